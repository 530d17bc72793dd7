//! `api_v1` on the wire: its transcript, every row of its tables, its documents, and what it must
//! survive.
//!
//! Bodies are compared to the byte.

use orderd::order::Dialect;
use serde_json::json;

use crate::compat_bad;
use crate::compat_curl::check;
use crate::compat_support::{CompatServer, Setup};
use crate::compat_transcript as transcript;

const ORDERS: &str = "/api/v1/orders";
const ACCEPTED: &str = "202 application/json | {\"status_code\":202,\"message\":\"Order \
    successfully processed. Please check status for order id: <id>\"}";
const INVALID: &str = "400 application/json | \
    {\"status_code\":400,\"message\":\"Validation Error\"}";
const NOT_FOUND: &str = "404 application/json | \
    {\"status_code\":404,\"message\":\"Order not found\"}";
const TAKEN: &str = "400 application/json | \
    {\"status_code\":400,\"message\":\"Order with order_id <id> already exists.\"}";
const UNAVAILABLE: &str = "503 application/json | \
    {\"status_code\":503,\"message\":\"Service Unavailable\"}";
const NO_PATH: &str = "404 application/json | {\"detail\":\"Not Found\"}";
const NO_METHOD: &str = "405 application/json | {\"detail\":\"Method Not Allowed\"}";

fn order(id: &str) -> String {
    json!({"order_id": id, "user_id": 1, "item_ids": [1, 2], "total_amount": 9.5}).to_string()
}

/// A body whose fields are good but for these members at its end, which count instead.
fn with(members: &str) -> String {
    format!(r#"{{"order_id":"a","user_id":1,"item_ids":[1],"total_amount":1,{members}}}"#)
}

#[tokio::test]
async fn the_transcript_holds() {
    let server = CompatServer::start().await;
    let steps = transcript::read(include_str!("transcripts/api_v1.sh"));
    let [create, status, metrics] = &steps[..] else {
        panic!("not three steps")
    };
    server.says(&create.command, &create.answers[0]).await;
    server.says(&status.command, &status.answers[0]).await;
    let other = |text: &str| text.replace("order123", "ORD123");
    server
        .says(&other(&create.command), &other(&create.answers[0]))
        .await;
    let early = server.curl(&status.command).await.text();
    let words = ["Pending", "Processing"];
    let words = words.map(|word| format!("{{\"order_id\":\"ORD123\",\"status\":\"{word}\"}}"));
    assert!(words.contains(&early), "{early}");
    server.finish_work().await;
    server.says(&status.command, &status.answers[1]).await;
    let seconds = server.says(&metrics.command, &metrics.answers[0]).await;
    assert_eq!(seconds, ["2"]);
    server.stop().await;
}

/// Members that break a rule, after those of a good order.
const BAD_MEMBERS: &[&str] = &[
    r#""order_id":"""#,
    r#""order_id":null"#,
    r#""order_id":7"#,
    r#""order_id":"a b""#,
    r#""order_id":"é""#,
    r#""order_id":"a\u0000""#,
    r#""order_id":"12345678901234567890123456789012345678901234567890123456789012345""#,
    r#""user_id":null"#,
    r#""user_id":true"#,
    r#""user_id":false"#,
    r#""user_id":"""#,
    r#""user_id":"x""#,
    r#""user_id":" 1""#,
    r#""user_id":"1.0""#,
    r#""user_id":"1_0""#,
    r#""user_id":"+""#,
    r#""user_id":"٣""#,
    r#""user_id":[1]"#,
    r#""user_id":8.9"#,
    r#""user_id":2147483648"#,
    r#""user_id":-2147483649"#,
    r#""user_id":"2147483648""#,
    r#""user_id":1e99999999999999999999"#,
    r#""item_ids":null"#,
    r#""item_ids":1"#,
    r#""item_ids":"1""#,
    r#""item_ids":{}"#,
    r#""item_ids":[null]"#,
    r#""item_ids":[true]"#,
    r#""item_ids":[1,[2]]"#,
    r#""item_ids":[1,8.9]"#,
    r#""item_ids":["a"]"#,
    r#""item_ids":[2147483648]"#,
    r#""total_amount":null"#,
    r#""total_amount":true"#,
    r#""total_amount":"""#,
    r#""total_amount":"1,5""#,
    r#""total_amount":"NaN""#,
    r#""total_amount":[1]"#,
    r#""total_amount":-0.01"#,
    r#""total_amount":"-1""#,
    r#""total_amount":1.005"#,
    r#""total_amount":"1.005""#,
    r#""total_amount":1e31"#,
    r#""total_amount":1e-31"#,
    r#""total_amount":92233720368547758.08"#,
    r#""status":null"#,
    r#""status":1"#,
    r#""status":"pending""#,
    r#""status":"Failed""#,
    r#""status":"""#,
    r#""unknown":1"#,
    r#""Order_id":"b""#,
    r#""item_id":1"#,
];

/// Bodies that are not an order at all, or miss a field.
const BAD_BODIES: &[&str] = &[
    "",
    " ",
    "{}",
    "null",
    "[]",
    "\"order\"",
    "{\"order_id\":\"a\"",
    "{\"order_id\":\"\\ud800\"}",
    r#"{"user_id":1,"item_ids":[1],"total_amount":1}"#,
    r#"{"order_id":"a","item_ids":[1],"total_amount":1}"#,
    r#"{"order_id":"a","user_id":1,"total_amount":1}"#,
    r#"{"order_id":"a","user_id":1,"item_ids":[1]}"#,
    r#"{"order_id":"a","user_id":1,"item_ids":[1],"total_amount":1} 1"#,
];

#[tokio::test]
async fn whatever_breaks_a_rule_is_invalid_and_not_stored() {
    let server = CompatServer::start().await;
    let members = BAD_MEMBERS.iter().map(|members| with(members));
    let mut bodies: Vec<String> = members.collect();
    bodies.extend(BAD_BODIES.iter().map(|body| (*body).to_owned()));
    bodies.push(with(&format!("\"item_ids\":[{}1]", "1,".repeat(1_000))));
    bodies.push(format!(
        "{{\"order_id\":{}1{}}}",
        "[".repeat(32),
        "]".repeat(32)
    ));
    let cases: Vec<_> = bodies.iter().map(|body| (body.as_str(), INVALID)).collect();
    server.refuses(8000, ORDERS, &cases).await;
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

/// Members that are as good as any, the native customer, items and minor units they become.
const GOOD_MEMBERS: &[(&str, &str, &str, i64)] = &[
    (r#""user_id":"7""#, "7", r#"["1"]"#, 100),
    (r#""user_id":"+007""#, "7", r#"["1"]"#, 100),
    (r#""user_id":"-0""#, "0", r#"["1"]"#, 100),
    (r#""user_id":8.0"#, "8", r#"["1"]"#, 100),
    (r#""user_id":2147483647"#, "2147483647", r#"["1"]"#, 100),
    (r#""user_id":"-2147483648""#, "-2147483648", r#"["1"]"#, 100),
    (r#""user_id":1e2"#, "100", r#"["1"]"#, 100),
    (r#""item_ids":[]"#, "1", "[]", 100),
    (
        r#""item_ids":[3,"03",3.00,-2]"#,
        "1",
        r#"["3","3","3","-2"]"#,
        100,
    ),
    (r#""total_amount":0"#, "1", r#"["1"]"#, 0),
    (r#""total_amount":-0.00"#, "1", r#"["1"]"#, 0),
    (r#""total_amount":"99.99""#, "1", r#"["1"]"#, 9_999),
    (r#""total_amount":1.500"#, "1", r#"["1"]"#, 150),
    (
        r#""total_amount":92233720368547758.07"#,
        "1",
        r#"["1"]"#,
        i64::MAX,
    ),
    (r#""status":"Pending""#, "1", r#"["1"]"#, 100),
    (r#""status":"Completed""#, "1", r#"["1"]"#, 100),
    (r#""user_id":true,"user_id":5"#, "5", r#"["1"]"#, 100),
];

#[tokio::test]
async fn what_keeps_the_rules_is_taken_and_is_a_native_order() {
    let server = CompatServer::start().await;
    for (at, (members, customer, items, minor)) in GOOD_MEMBERS.iter().enumerate() {
        let id = format!("order-{at}");
        let body = with(&format!("{members},\"order_id\":\"{id}\""));
        // The content type does not matter.
        let reply = server
            .send(8000, "POST /api/v1/orders", &["Content-Type: x"], body)
            .await;
        check(&reply, &ACCEPTED.replace("<id>", &id));
        assert_eq!(reply.header("location"), format!("/api/v1/orders/{id}"));
        let order = server.get(8080, &format!("/v1/orders/{id}")).await.json();
        assert_eq!(order["process"], "api_v1");
        assert_eq!(order["customer_id"], *customer);
        assert_eq!(order["items"].to_string(), *items);
        assert_eq!(order["total"], json!({"amount": minor, "currency": "USD"}));
    }
    server.stop().await;
}

#[tokio::test]
async fn ids_are_any_visible_ascii_and_found_again() {
    let server = CompatServer::start().await;
    let long = "x".repeat(64);
    for id in [
        "a", "A", "a/b", "%", "#?&", "\"\\'", "~!*()", "orders", &long,
    ] {
        let reply = server.post(8000, ORDERS, order(id)).await;
        assert_eq!(reply.status, 202, "{id}");
        let message = "Order successfully processed. Please check status for order id:";
        assert_eq!(reply.json()["message"], format!("{message} {id}"));
        let read = server.get(8000, reply.header("location")).await;
        assert_eq!((read.status, &read.json()["order_id"]), (200, &json!(id)));
        let again = server.post(8000, ORDERS, order(id)).await;
        let message = format!("Order with order_id {id} already exists.");
        assert_eq!(
            again.json(),
            json!({"status_code": 400, "message": message})
        );
        assert!(again.header("orderd-error").starts_with("order-exists; "));
    }
    for path in ["x", "%ff", "%00", "a%20b", ".%2e", &"x".repeat(65)] {
        let reply = server.get(8000, &format!("{ORDERS}/{path}")).await;
        check(&reply, NOT_FOUND);
        assert!(
            reply
                .header("orderd-error")
                .starts_with("order-not-found; ")
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn an_order_of_another_dialect_is_unknown_here_and_its_id_is_taken() {
    let server = CompatServer::start().await;
    let foreign = json!({"order_id": "n", "user_id": "u", "items_ids": ["x"], "total_amount": 1});
    let create = "/order-service/order/create";
    assert_eq!(
        server.post(8000, create, foreign.to_string()).await.status,
        200
    );
    check(&server.get(8000, "/api/v1/orders/n").await, NOT_FOUND);
    check(&server.post(8000, ORDERS, order("n")).await, TAKEN);
    let native = json!({
        "order_id": "m", "process": "api_v1", "customer_id": "no number", "items": ["x"],
        "total": {"amount": 1, "currency": "EUR"}
    });
    assert_eq!(
        server
            .post(8080, "/v1/orders", native.to_string())
            .await
            .status,
        201
    );
    assert_eq!(server.get(8000, "/api/v1/orders/m").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn of_many_equal_ids_at_once_exactly_one_is_taken() {
    let server = CompatServer::start().await;
    let replies = server
        .at_once(8000, ORDERS, (0..60).map(|_| order("same")))
        .await;
    let (good, bad): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 202);
    assert_eq!(good.len(), 1);
    check(good[0], &ACCEPTED.replace("<id>", "same"));
    bad.iter()
        .for_each(|reply| drop(check(reply, &TAKEN.replace("<id>", "same"))));
    assert_eq!(server.count().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_creates_at_once_are_all_taken() {
    let server = CompatServer::start().await;
    let bodies = (0..1_000).map(|at| {
        let (id, user, total) = (format!("ORD{at}"), 100 + at % 101, 10 + at % 90);
        json!({
            "order_id": id, "user_id": user, "item_ids": [1, 2, 50], "total_amount": total,
            "status": "Pending"
        })
    });
    let replies = server
        .at_once(8000, ORDERS, bodies.map(|body| body.to_string()))
        .await;
    let ids: std::collections::BTreeSet<_> = replies
        .iter()
        .flat_map(|reply| check(reply, ACCEPTED))
        .collect();
    assert_eq!(ids.len(), 1_000);
    assert_eq!(server.count().await, 1_000);
    server.finish_work().await;
    let read = server.get(8000, "/api/v1/orders/ORD999").await;
    assert_eq!(read.json()["status"], "Completed");
    server.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_its_words() {
    let server = CompatServer::start().await;
    for start in [
        "GET /",
        "GET /api/v1",
        "GET /api/v1/",
        "GET /api/v1/Orders",
        "POST /orders",
        "GET /v1/orders",
        "GET /livez",
        "GET /order-services",
        "GET /api/v1/orders/a/b",
        "GET /docs/x",
    ] {
        let reply = server.send(8000, start, &[], "").await;
        check(&reply, NO_PATH);
        assert!(
            reply
                .header("orderd-error")
                .starts_with("route-not-found; ")
        );
    }
    for (start, allow) in [
        ("GET /api/v1/orders", "POST"),
        ("DELETE /api/v1/orders/a", "GET,HEAD"),
        ("POST /api/v1/openapi.json", "GET,HEAD"),
        ("POST /docs", "GET,HEAD"),
        ("OPTIONS /api/v1/orders", "POST"),
    ] {
        let reply = server.send(8000, start, &[], "").await;
        check(&reply, NO_METHOD);
        assert_eq!(reply.header("allow"), allow, "{start}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_slash_at_the_end_leads_to_the_path_without() {
    let server = CompatServer::start().await;
    for (start, place) in [
        ("POST /api/v1/orders/", "/api/v1/orders"),
        ("GET /api/v1/orders/", "/api/v1/orders"),
        (
            "GET /api/v1/orders/a%2Fb/?c=d%20e",
            "/api/v1/orders/a%2Fb?c=d%20e",
        ),
        ("GET /api/v1/orders//", "/api/v1/orders"),
        ("HEAD /docs/", "/docs"),
        ("GET /redoc/?", "/redoc?"),
        ("GET /api/v1/openapi.json/", "/api/v1/openapi.json"),
    ] {
        let reply = server.send(8000, start, &[], "").await;
        check(&reply, "307 |");
        assert_eq!(reply.header("location"), place, "{start}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_all_dialects_refuse_has_its_envelope() {
    let server = CompatServer::start().await;
    let start = format!("POST {ORDERS}");
    let reply = server
        .send(8000, &start, &["Origin: null"], order("a"))
        .await;
    check(
        &reply,
        "403 application/json | {\"status_code\":403,\"message\":\"Forbidden\"}",
    );
    let reply = server
        .send(8000, &start, &["Idempotency-Key: a b"], order("a"))
        .await;
    check(&reply, INVALID);
    let reply = server
        .post(8000, ORDERS, format!("\"{}\"", "x".repeat(1 << 20)))
        .await;
    let expected = "413 application/json | \
        {\"status_code\":413,\"message\":\"Request body too large\"}";
    check(&reply, expected);
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn no_room_and_no_store_are_told_and_nothing_is_stored() {
    let mut setup = Setup::default();
    setup.process(Dialect::ApiV1).open_orders_max = 1;
    let server = CompatServer::with(setup).await;
    assert_eq!(server.post(8000, ORDERS, order("a")).await.status, 202);
    let full = server.post(8000, ORDERS, order("b")).await;
    check(&full, UNAVAILABLE);
    assert!((1..=60).contains(&full.retry_after()));
    assert!(full.header("orderd-error").starts_with("overloaded; "));
    check(&server.get(8000, "/api/v1/orders/b").await, NOT_FOUND);
    server.fail_reads(true);
    check(&server.get(8000, "/api/v1/orders/a").await, UNAVAILABLE);
    server.fail_reads(false);
    server.finish_work().await;
    // The refused order can be sent again.
    assert_eq!(server.post(8000, ORDERS, order("b")).await.status, 202);
    server.handle.drain();
    let reply = server.post(8000, ORDERS, order("c")).await;
    check(&reply, UNAVAILABLE);
    assert!(reply.header("orderd-error").starts_with("draining; "));
    check(&server.get(8000, "/api/v1/metrics").await, UNAVAILABLE);
    server.stop().await;
}

#[tokio::test]
async fn it_survives_whatever_clients_send() {
    let server = CompatServer::start().await;
    let good = r#"{"order_id":"a","user_id":1,"item_ids":[1],"total_amount":1,"status":"Pending"}"#;
    compat_bad::survives_all(&server, 8000, ORDERS, good).await;
    server.stop().await;
}
