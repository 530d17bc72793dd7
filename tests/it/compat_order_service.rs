//! `order_service` on the wire: its transcript, every row of its tables, and what it must survive.
//!
//! Bodies are compared to the byte.

use orderd::order::Dialect;
use serde_json::json;

use crate::compat_bad;
use crate::compat_curl::check;
use crate::compat_support::{CompatServer, Setup};
use crate::compat_transcript as transcript;

const CREATE: &str = "/order-service/order/create";
const STATUS: &str = "/order-service/order/order-status?order_id=";
const CREATED: &str = "200 application/json | {\"message\":\"Order created successfully\"}¶";
const INVALID: &str = "400 application/json | {\"error\":\"Invalid request payload\"}¶";
const NOT_FOUND: &str = "404 application/json | {\"error\":\"Order not found\"}¶";
const TAKEN: &str = "409 application/json | {\"error\":\"Order already exists\"}¶";
const NOT_CREATED: &str = "503 application/json | {\"error\":\"Could not create order\"}¶";
const NOT_READ: &str = "503 application/json | {\"error\":\"Could not get order status\"}¶";
const NO_PATH: &str = "404 application/json | {\"message\":\"Not Found\"}¶";
const NO_METHOD: &str = "405 application/json | {\"message\":\"Method Not Allowed\"}¶";

fn order(id: &str) -> String {
    let order = json!({"order_id": id, "user_id": "u", "items_ids": ["x"], "total_amount": 1});
    order.to_string()
}

/// A body whose fields are good but for these members at its end, which count instead.
fn with(members: &str) -> String {
    format!(r#"{{"order_id":"a","user_id":"u","items_ids":["x"],"total_amount":1,{members}}}"#)
}

#[tokio::test]
async fn the_transcript_holds() {
    let server = CompatServer::start().await;
    let steps = transcript::read(include_str!("transcripts/order_service.sh"));
    let [create, status, metrics] = &steps[..] else {
        panic!("not three steps")
    };
    server.says(&create.command, &create.answers[0]).await;
    let early = server.curl(&status.command).await.text();
    let words = ["Pending", "Processing"].map(|word| format!("{{\"order_status\":\"{word}\"}}\n"));
    assert!(words.contains(&early), "{early}");
    server.finish_work().await;
    server.says(&status.command, &status.answers[0]).await;
    server.says(&metrics.command, &metrics.answers[0]).await;
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
    r#""order_id":"1234567890123456789012345678901234567""#,
    r#""user_id":"""#,
    r#""user_id":null"#,
    r#""user_id":["u"]"#,
    r#""user_id":"a\u0000b""#,
    r#""user_id":"ééééééééééééééééééééééééééééééééééééé""#,
    r#""items_ids":null"#,
    r#""items_ids":[]"#,
    r#""items_ids":"x""#,
    r#""items_ids":{"0":"x"}"#,
    r#""items_ids":[1]"#,
    r#""items_ids":["x",null]"#,
    r#""items_ids":["x",""]"#,
    r#""items_ids":["x","y","x"]"#,
    r#""items_ids":["x\u0000"]"#,
    r#""items_ids":["1234567890123456789012345678901234567"]"#,
    r#""total_amount":null"#,
    r#""total_amount":"1""#,
    r#""total_amount":true"#,
    r#""total_amount":-0.01"#,
    r#""total_amount":1.005"#,
    r#""total_amount":0.001"#,
    r#""total_amount":1e-31"#,
    r#""total_amount":100000000"#,
    r#""total_amount":99999999.991"#,
    r#""total_amount":1e9"#,
    r#""total_amount":1e99999999999999999999"#,
    r#""status":1"#,
    r#""status":[]"#,
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
    "<order><order_id>a</order_id></order>",
    r#"{"user_id":"u","items_ids":["x"],"total_amount":1}"#,
    r#"{"order_id":"a","items_ids":["x"],"total_amount":1}"#,
    r#"{"order_id":"a","user_id":"u","total_amount":1}"#,
    r#"{"order_id":"a","user_id":"u","item_ids":["x"],"total_amount":1}"#,
    r#"{"order_id":"a","user_id":"u","items_ids":["x"]}"#,
    r#"{"order_id":"a","user_id":"u","items_ids":["x"],"total_amount":1} {}"#,
];

#[tokio::test]
async fn whatever_breaks_a_rule_is_invalid_and_not_stored() {
    let server = CompatServer::start().await;
    let members = BAD_MEMBERS.iter().map(|members| with(members));
    let mut bodies: Vec<String> = members.collect();
    bodies.extend(BAD_BODIES.iter().map(|body| (*body).to_owned()));
    let items: Vec<String> = (0..1_001).map(|at| format!("\"{at}\"")).collect();
    bodies.push(with(&format!("\"items_ids\":[{}]", items.join(","))));
    let deep = format!("\"x\":{}{}", "[".repeat(32), "]".repeat(32));
    bodies.push(with(&deep));
    let cases: Vec<_> = bodies.iter().map(|body| (body.as_str(), INVALID)).collect();
    server.refuses(8000, CREATE, &cases).await;
    for header in [
        "X: y",
        "Content-Type: text/plain",
        "Content-Type: application/xml",
    ] {
        let reply = server
            .send(8000, &format!("POST {CREATE}"), &[header], order("a"))
            .await;
        check(&reply, INVALID);
        assert!(
            reply
                .header("orderd-error")
                .starts_with("unsupported-media-type; ")
        );
    }
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

/// Members that are as good as any, after those of a good order without an id.
const GOOD_MEMBERS: &[&str] = &[
    r#""order_id":"1-%/?#&=\"~'{}[]""#,
    r#""order_id":"123456789012345678901234567890123456""#,
    r#""order_id":"upper","USER_ID":"éééééééééééééééééééééééééééééééééééé""#,
    r#""Order_Id":"b","Items_IDS":["y","123456789012345678901234567890123456"]"#,
    r#""order_id":"c","total_amount":99999999.99"#,
    r#""order_id":"d","total_amount":0"#,
    r#""order_id":"e","total_amount":1.500"#,
    r#""order_id":"f","total_amount":1e2"#,
    r#""order_id":"g","status":"Completed""#,
    r#""order_id":"h","status":null,"unknown":{"x":[1,null]}"#,
    r#""order_id":7,"order_id":"i""#,
    r#""order_id":"j","user_id":"line\nfeed""#,
];

#[tokio::test]
async fn what_keeps_the_rules_is_taken_and_found_again() {
    let server = CompatServer::start().await;
    for members in GOOD_MEMBERS {
        let members = with(members).replace(r#""order_id":"a","#, "");
        let kind = "Content-Type: Application/JSON; charset=utf-8";
        let reply = server
            .send(8000, &format!("POST {CREATE}"), &[kind], &members)
            .await;
        check(&reply, CREATED);
        let place = reply.header("location");
        assert!(place.starts_with(STATUS), "{place}");
        assert_eq!(server.get(8000, place).await.status, 200, "{place}");
    }
    let spaced = format!(" \r\n\t{}\n", order("k"));
    check(&server.post(8000, CREATE, spaced).await, CREATED);
    assert_eq!(server.count().await, 13);
    server.stop().await;
}

#[tokio::test]
async fn a_stored_order_is_a_native_one() {
    let server = CompatServer::start().await;
    let body = r#"{"order_id":"n","user_id":"üser","items_ids":["b","a"],"total_amount":100.5}"#;
    check(&server.post(8000, CREATE, body).await, CREATED);
    let order = server.get(8080, "/v1/orders/n").await.json();
    assert_eq!(order["process"], "order_service");
    assert_eq!(order["customer_id"], "üser");
    assert_eq!(order["items"], json!(["b", "a"]));
    assert_eq!(order["total"], json!({"amount": 10_050, "currency": "USD"}));
    let native = json!({
        "order_id": "m", "process": "order_service", "customer_id": "c", "items": ["x"],
        "total": {"amount": 1, "currency": "EUR"}
    });
    assert_eq!(
        server
            .post(8080, "/v1/orders", native.to_string())
            .await
            .status,
        201
    );
    assert_eq!(server.get(8000, &format!("{STATUS}m")).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_id_is_taken_once_by_anybody_and_read_by_its_owner_only() {
    let server = CompatServer::start().await;
    check(&server.post(8000, CREATE, order("a")).await, CREATED);
    let again = server.post(8000, CREATE, order("a")).await;
    check(&again, TAKEN);
    assert!(again.header("orderd-error").starts_with("order-exists; "));
    check(&server.post(8000, CREATE, order("A")).await, CREATED);
    let foreign = json!({"order_id": "n", "user_id": 1, "item_ids": [], "total_amount": 1});
    let reply = server
        .post(8000, "/api/v1/orders", foreign.to_string())
        .await;
    assert_eq!(reply.status, 202);
    check(&server.post(8000, CREATE, order("n")).await, TAKEN);
    check(&server.get(8000, &format!("{STATUS}n")).await, NOT_FOUND);
    assert_eq!(server.count().await, 3);
    server.stop().await;
}

#[tokio::test]
async fn of_many_equal_ids_at_once_exactly_one_is_taken() {
    let server = CompatServer::start().await;
    let bodies = (0..60).map(|at| order(&format!("{}", at % 3)));
    let replies = server.at_once(8000, CREATE, bodies).await;
    for at in 0..3 {
        let same = replies.iter().skip(at).step_by(3);
        let good: Vec<_> = same.clone().filter(|reply| reply.status == 200).collect();
        assert_eq!(good.len(), 1);
        check(good[0], CREATED);
        same.filter(|reply| reply.status != 200)
            .for_each(|reply| drop(check(reply, TAKEN)));
    }
    assert_eq!(server.count().await, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_creates_at_once_are_all_taken() {
    let server = CompatServer::start().await;
    let bodies = (0..1_000).map(|at| {
        let id = format!("order-{at}");
        json!({"order_id": id, "user_id": "u", "items_ids": ["x", "y"], "total_amount": 10.5})
    });
    let replies = server
        .at_once(8000, CREATE, bodies.map(|body| body.to_string()))
        .await;
    assert_eq!(replies.len(), 1_000);
    replies.iter().for_each(|reply| drop(check(reply, CREATED)));
    assert_eq!(server.count().await, 1_000);
    server.stop().await;
}

#[tokio::test]
async fn the_status_is_read_by_a_query() {
    let server = CompatServer::start().await;
    check(
        &server
            .post(8000, CREATE, order("a+b c%".replace(' ', "").as_str()))
            .await,
        CREATED,
    );
    for query in [
        "",
        "?",
        "?order_id",
        "?order_id=",
        "?order_id=&order_id=x",
        "?Order_id=x",
    ] {
        let path = format!("/order-service/order/order-status{query}");
        let reply = server.get(8000, &path).await;
        check(&reply, INVALID);
        assert!(reply.header("orderd-error").starts_with("bad-query; "));
    }
    for id in [
        "x",
        "%ff",
        "%00",
        "a%20b",
        "..",
        "%zz",
        "a",
        &"x".repeat(65),
    ] {
        check(&server.get(8000, &format!("{STATUS}{id}")).await, NOT_FOUND);
    }
    for query in ["a%2Bbc%25", "a%2bbc%&x=y", "a%2Bbc%25&order_id=x"] {
        assert_eq!(
            server.get(8000, &format!("{STATUS}{query}")).await.status,
            200,
            "{query}"
        );
    }
    let head = server
        .send(8000, &format!("HEAD {STATUS}a%2Bbc%25"), &[], "")
        .await;
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, "application/json")
    );
    assert!(head.header("content-length").parse::<u32>().unwrap() > 20);
    server.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_its_words() {
    let server = CompatServer::start().await;
    for start in [
        "GET /order-service",
        "GET /order-service/",
        "GET /order-service/order",
        "GET /order-service/order/create/",
        "POST /order-service/order/Create",
        "DELETE /order-service/order/order-status/x",
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
        ("GET /order-service/order/create", "POST"),
        ("PUT /order-service/order/create", "POST"),
        ("POST /order-service/order/order-status", "GET,HEAD"),
        ("OPTIONS /order-service/order/order-status", "GET,HEAD"),
    ] {
        let reply = server.send(8000, start, &[], "").await;
        check(&reply, NO_METHOD);
        assert_eq!(reply.header("allow"), allow, "{start}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_all_dialects_refuse_has_its_envelope() {
    let server = CompatServer::start().await;
    let (start, json) = (format!("POST {CREATE}"), "Content-Type: application/json");
    let reply = server
        .send(
            8000,
            &start,
            &[json, "Origin: http://evil.test"],
            order("a"),
        )
        .await;
    check(&reply, "403 application/json | {\"error\":\"Forbidden\"}¶");
    let reply = server
        .send(8000, &start, &[json, "Idempotency-Key: a b"], order("a"))
        .await;
    check(&reply, INVALID);
    let large = with(&format!("\"x\":\"{}\"", "x".repeat(1 << 20)));
    let reply = server.post(8000, CREATE, large).await;
    check(
        &reply,
        "413 application/json | {\"error\":\"Request body too large\"}¶",
    );
    assert!(reply.header("orderd-error").starts_with("body-too-large; "));
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn no_room_and_no_store_are_told_and_nothing_is_stored() {
    let mut setup = Setup::default();
    setup.process(Dialect::OrderService).open_orders_max = 1;
    let server = CompatServer::with(setup).await;
    check(&server.post(8000, CREATE, order("a")).await, CREATED);
    let full = server.post(8000, CREATE, order("b")).await;
    check(&full, NOT_CREATED);
    assert!((1..=60).contains(&full.retry_after()));
    assert!(full.header("orderd-error").starts_with("overloaded; "));
    check(&server.get(8000, &format!("{STATUS}b")).await, NOT_FOUND);
    server.fail_reads(true);
    let unread = server.get(8000, &format!("{STATUS}a")).await;
    check(&unread, NOT_READ);
    assert_eq!(unread.retry_after(), 1);
    server.fail_reads(false);
    server.finish_work().await;
    check(&server.post(8000, CREATE, order("b")).await, CREATED);
    server.handle.drain();
    let reply = server.post(8000, CREATE, order("c")).await;
    check(&reply, NOT_CREATED);
    assert!(reply.header("orderd-error").starts_with("draining; "));
    let unread = server.get(8000, "/order-service/order/order-metric").await;
    check(&unread, NOT_READ);
    server.stop().await;
}

#[tokio::test]
async fn it_survives_whatever_clients_send() {
    let server = CompatServer::start().await;
    let good = r#"{"order_id":"a","user_id":"u","items_ids":["x"],"total_amount":1,"status":"s"}"#;
    compat_bad::survives_all(&server, 8000, CREATE, good).await;
    server.stop().await;
}
