//! `orders_api` on the wire: its transcript, every row of its tables, and what it must survive.
//!
//! Bodies are compared to the byte.

use std::collections::BTreeSet;

use orderd::order::Dialect;
use serde_json::json;

use crate::compat_bad;
use crate::compat_curl::check;
use crate::compat_support::{CompatServer, Setup};
use crate::compat_transcript as transcript;

const MALFORMED: &str = "400 application/json; charset=utf-8 | {\"error\":\"Invalid JSON\"}";
const INVALID: &str = "400 application/json; charset=utf-8 | {\"error\":\"Error creating order\"}";
const NOT_FOUND: &str = "404 application/json; charset=utf-8 | {\"error\":\"Order not found\"}";
const NOT_CREATED: &str = "503 application/json; charset=utf-8 | \
    {\"error\":\"Error creating order\"}";
const NOT_READ: &str = "503 application/json; charset=utf-8 | \
    {\"error\":\"Error retrieving order status\"}";
const GOOD: &str = r#"{"user_id":"u","item_ids":["x"],"total_amount":1}"#;

/// A body whose fields are good but for these members at its end, which count instead.
fn with(members: &str) -> String {
    format!("{},{members}}}", GOOD.trim_end_matches('}'))
}

#[tokio::test]
async fn the_transcript_holds() {
    let server = CompatServer::start().await;
    let steps = transcript::read(include_str!("transcripts/orders_api.sh"));
    let [create, status, metrics] = &steps[..] else {
        panic!("not three steps")
    };
    let created = server.says(&create.command, &create.answers[0]).await;
    server.says(&status.command, &status.answers[0]).await;
    server.finish_work().await;
    let status_of_it = status.command.replace(":order_id", &created[0]);
    server.says(&status_of_it, &status.answers[1]).await;
    server.says(&metrics.command, &metrics.answers[0]).await;
    server.stop().await;
}

/// Members that break a rule, after those of a good order.
const BAD_MEMBERS: &[&str] = &[
    r#""user_id":"""#,
    r#""user_id":null"#,
    r#""user_id":true"#,
    r#""user_id":[]"#,
    r#""user_id":{}"#,
    r#""user_id":1.5"#,
    r#""user_id":1e99"#,
    r#""user_id":"a\u0000""#,
    r#""item_ids":null"#,
    r#""item_ids":"x""#,
    r#""item_ids":1"#,
    r#""item_ids":{"0":"x"}"#,
    r#""item_ids":[null]"#,
    r#""item_ids":["x",true]"#,
    r#""item_ids":[1.5]"#,
    r#""item_ids":[["x"]]"#,
    r#""item_ids":["x\u0000"]"#,
    r#""total_amount":null"#,
    r#""total_amount":false"#,
    r#""total_amount":"""#,
    r#""total_amount":"ten""#,
    r#""total_amount":" 1""#,
    r#""total_amount":[1]"#,
    r#""total_amount":-0.01"#,
    r#""total_amount":"-1""#,
    r#""total_amount":1.005"#,
    r#""total_amount":"1.005""#,
    r#""total_amount":1e31"#,
    r#""total_amount":92233720368547758.08"#,
];

#[tokio::test]
async fn whatever_breaks_a_rule_is_refused_and_not_stored() {
    let server = CompatServer::start().await;
    let members = BAD_MEMBERS.iter().map(|members| with(members));
    let mut bodies: Vec<String> = members.collect();
    bodies.push(with(&format!("\"user_id\":\"{}\"", "x".repeat(256))));
    bodies.push(with(&format!("\"user_id\":{}", "9".repeat(256))));
    bodies.push(with(&format!("\"item_ids\":[\"{}\"]", "x".repeat(256))));
    bodies.push(with(&format!("\"item_ids\":[{}1]", "1,".repeat(1_000))));
    let cases: Vec<_> = bodies.iter().map(|body| (body.as_str(), INVALID)).collect();
    server.refuses(3000, "/orders", &cases).await;
    let deep = with(&format!("\"x\":{}{}", "[".repeat(32), "]".repeat(32)));
    let cases = [
        ("", INVALID),
        ("{}", INVALID),
        (r#"{"item_ids":["x"],"total_amount":1}"#, INVALID),
        (r#"{"user_id":"u","total_amount":1}"#, INVALID),
        (r#"{"user_id":"u","item_ids":["x"]}"#, INVALID),
        (
            r#"{"User_id":"u","item_ids":["x"],"total_amount":1}"#,
            INVALID,
        ),
        (" ", MALFORMED),
        ("[]", MALFORMED),
        ("null", MALFORMED),
        ("7", MALFORMED),
        ("{\"user_id\":", MALFORMED),
        ("{\"user_id\":\"\\ud800\"}", MALFORMED),
        ("{} {}", MALFORMED),
        (&deep, MALFORMED),
    ];
    server.refuses(3000, "/orders", &cases).await;
    for header in [
        "X: y",
        "Content-Type: text/plain",
        "Content-Type: application/jsonp",
    ] {
        for body in [GOOD, "user_id=u"] {
            let reply = server.send(3000, "POST /orders", &[header], body).await;
            check(&reply, INVALID);
            assert!(
                reply
                    .header("orderd-error")
                    .starts_with("unsupported-media-type; ")
            );
        }
    }
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

/// Members of good orders, and the answer's `user_id`, `item_ids` and `total_amount`.
const GOOD_MEMBERS: &[(&str, &str, &str, &str)] = &[
    (r#""user_id":7"#, "7", r#"["x"]"#, "1"),
    (r#""user_id":-0"#, "0", r#"["x"]"#, "1"),
    (r#""user_id":8.0"#, "8", r#"["x"]"#, "1"),
    (r#""user_id":1e2"#, "100", r#"["x"]"#, "1"),
    (
        r#""user_id":12345678901234567890123"#,
        "12345678901234567890123",
        r#"["x"]"#,
        "1",
    ),
    (r#""user_id":" \u00e9\"\n""#, r#"" é\"\n""#, r#"["x"]"#, "1"),
    (r#""item_ids":[]"#, r#""u""#, "[]", "1"),
    (
        r#""item_ids":["", 7 ,"7","a\\\"b<>&"]"#,
        r#""u""#,
        r#"["",7,"7","a\\\"b<>&"]"#,
        "1",
    ),
    (r#""total_amount":"99.990""#, r#""u""#, r#"["x"]"#, "99.99"),
    (r#""total_amount":150.00"#, r#""u""#, r#"["x"]"#, "150"),
    (r#""total_amount":0"#, r#""u""#, r#"["x"]"#, "0"),
    (r#""total_amount":-0.0"#, r#""u""#, r#"["x"]"#, "0"),
    (r#""total_amount":1e2"#, r#""u""#, r#"["x"]"#, "100"),
    (
        r#""total_amount":92233720368547758.07"#,
        r#""u""#,
        r#"["x"]"#,
        "92233720368547758.07",
    ),
    (
        r#""order_id":"mine","status":7,"x":[null]"#,
        r#""u""#,
        r#"["x"]"#,
        "1",
    ),
    (r#""user_id":null,"user_id":"v""#, r#""v""#, r#"["x"]"#, "1"),
];

#[tokio::test]
async fn a_good_order_is_answered_as_it_was_sent() {
    let server = CompatServer::start().await;
    for (members, user, items, total) in GOOD_MEMBERS {
        let kind = "Content-Type: application/json;charset=UTF-8";
        let reply = server
            .send(3000, "POST /orders", &[kind], with(members))
            .await;
        let items_string = serde_json::to_string(items).unwrap();
        let expected = format!(
            "201 application/json; charset=utf-8 | {{\"order_id\":\"<ord>\",\"user_id\":{user},\
             \"item_ids\":{items},\"total_amount\":{total},\"status\":\"Pending\",\
             \"item_ids_string\":{items_string}}}"
        );
        let id = check(&reply, &expected).remove(0);
        assert_eq!(reply.header("location"), format!("/orders/{id}/status"));
        let read = server.get(3000, reply.header("location")).await;
        assert_eq!(read.status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stored_order_is_a_native_one_and_others_are_unknown_here() {
    let server = CompatServer::start().await;
    let body = r#"{"user_id":8.0,"item_ids":["b",7,""],"total_amount":"100.5"}"#;
    let id = server.post(3000, "/orders/", body).await.json()["order_id"].clone();
    let order = server
        .get(8080, &format!("/v1/orders/{}", id.as_str().unwrap()))
        .await
        .json();
    assert_eq!(order["process"], "orders_api");
    assert_eq!(order["customer_id"], "8");
    assert_eq!(order["items"], json!(["b", "7", ""]));
    assert_eq!(order["total"], json!({"amount": 10_050, "currency": "USD"}));
    let mut native = json!({
        "order_id": "m", "process": "orders_api", "customer_id": "c", "items": ["x"],
        "total": {"amount": 1, "currency": "EUR"}
    });
    assert_eq!(
        server
            .post(8080, "/v1/orders", native.to_string())
            .await
            .status,
        201
    );
    assert_eq!(server.get(3000, "/orders/m/status").await.status, 200);
    native["process"] = "api_v1".into();
    native["order_id"] = "n".into();
    assert_eq!(
        server
            .post(8080, "/v1/orders", native.to_string())
            .await
            .status,
        201
    );
    check(&server.get(3000, "/orders/n/status").await, NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_creates_at_once_are_all_taken() {
    let server = CompatServer::start().await;
    let bodies = (0..1_000).map(|i| {
        let items = [format!("item{i}"), format!("item{}", i + 1)];
        let (user, total) = (format!("user{i}"), format!("{}.{}", 100 + i / 2, i % 2 * 5));
        let body = json!({"user_id": user, "item_ids": items, "total_amount": total});
        body.to_string()
    });
    let replies = server.at_once(3000, "/orders", bodies).await;
    let ids: BTreeSet<String> = replies
        .iter()
        .map(|reply| {
            assert_eq!(reply.status, 201, "{}", reply.text());
            reply.json()["order_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 1_000);
    assert_eq!(server.count().await, 1_000);
    server.stop().await;
}

#[tokio::test]
async fn orders_go_on_and_counters_are_kept_after_a_restart() {
    let server = CompatServer::start().await;
    let metrics = "curl http://localhost:3000/metrics";
    let figures = |total: i64, mean: &str, counts: [i64; 3]| {
        let [pending, processing, completed] = counts;
        format!(
            "200 application/json; charset=utf-8 | {{\"total_orders\":{total},\
             \"average_processing_time\":{mean},\"order_counts\":{{\"Pending\":{pending},\
             \"Processing\":{processing},\"Completed\":{completed}}}}}"
        )
    };
    server.says(metrics, &figures(0, "0", [0, 0, 0])).await;
    for _ in 0..150 {
        assert_eq!(server.post(3000, "/orders", GOOD).await.status, 201);
    }
    // A hundred workers: the last fifty wait for a second, and all take one.
    server.begin_work().await;
    server.says(metrics, &figures(150, "0", [50, 100, 0])).await;
    server.clock.advance(1_000_000);
    server.begin_work().await;
    server.says(metrics, &figures(150, "1", [0, 50, 100])).await;
    let server = server.restart().await;
    server.begin_work().await;
    server.says(metrics, &figures(150, "1", [0, 50, 100])).await;
    server.finish_work().await;
    server
        .says(metrics, &figures(150, "1.3333", [0, 0, 150]))
        .await;
    server.stop().await;
}

#[tokio::test]
async fn any_other_path_or_method_is_not_found() {
    let server = CompatServer::start().await;
    for start in [
        "GET /",
        "GET /orders",
        "PUT /orders/",
        "OPTIONS /orders",
        "DELETE /metrics",
        "POST /orders/a/status",
        "GET /orders//status",
        "GET /orders/a",
        "GET /Orders/a/status",
        "POST /ORDERS",
        "GET /v1/orders",
        "GET /livez",
        "GET /a%20b/%22%3Cscript%3E",
        "BREW /coffee",
    ] {
        let reply = server.send(3000, &format!("{start}?x=y"), &[], "").await;
        let expected =
            format!("404 application/json; charset=utf-8 | {{\"error\":\"Cannot {start}\"}}");
        check(&reply, &expected);
        assert!(reply.header("orderd-error").contains("; "));
    }
    let head = server.send(3000, "HEAD /orders", &[], "").await;
    assert_eq!(head.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn the_status_is_read_with_or_without_a_slash() {
    let server = CompatServer::start().await;
    let reply = server.post(3000, "/orders", GOOD).await;
    let place = reply.header("location");
    server.finish_work().await;
    let completed = "200 application/json; charset=utf-8 | {\"status\":\"Completed\"}";
    for path in [
        place.to_owned(),
        format!("{place}/"),
        format!("{place}?x=y"),
    ] {
        check(&server.get(3000, &path).await, completed);
    }
    let head = server.send(3000, &format!("HEAD {place}"), &[], "").await;
    assert_eq!((head.status, head.header("content-length")), (200, "22"));
    for id in [
        ":order_id",
        "%ff",
        "%00",
        "a%20b",
        "%2e%2e",
        &"x".repeat(65),
    ] {
        check(
            &server.get(3000, &format!("/orders/{id}/status")).await,
            NOT_FOUND,
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn what_all_dialects_refuse_has_its_envelope() {
    let server = CompatServer::start().await;
    let json = "Content-Type: application/json";
    let reply = server
        .send(3000, "POST /orders", &[json, "Origin: null"], GOOD)
        .await;
    check(
        &reply,
        "403 application/json; charset=utf-8 | {\"error\":\"Forbidden\"}",
    );
    let reply = server
        .send(3000, "POST /orders", &[json, "Idempotency-Key: a b"], GOOD)
        .await;
    check(&reply, INVALID);
    let large = with(&format!("\"x\":\"{}\"", "x".repeat(1 << 20)));
    let reply = server.post(3000, "/orders", large).await;
    check(
        &reply,
        "413 application/json; charset=utf-8 | {\"error\":\"Request body too large\"}",
    );
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn no_room_and_no_store_are_told_and_nothing_is_stored() {
    let mut setup = Setup::default();
    setup.process(Dialect::OrdersApi).open_orders_max = 1;
    let server = CompatServer::with(setup).await;
    let reply = server.post(3000, "/orders", GOOD).await;
    assert_eq!(reply.status, 201);
    let full = server.post(3000, "/orders", GOOD).await;
    check(&full, NOT_CREATED);
    assert!((1..=60).contains(&full.retry_after()));
    assert!(full.header("orderd-error").starts_with("overloaded; "));
    assert_eq!(server.count().await, 1);
    server.fail_reads(true);
    check(&server.get(3000, reply.header("location")).await, NOT_READ);
    server.fail_reads(false);
    server.handle.drain();
    let reply = server.post(3000, "/orders", GOOD).await;
    check(&reply, NOT_CREATED);
    assert!(reply.header("orderd-error").starts_with("draining; "));
    let no_metrics = "503 application/json; charset=utf-8 | {\"error\":\"Error fetching metrics\"}";
    check(&server.get(3000, "/metrics").await, no_metrics);
    server.stop().await;
}

#[tokio::test]
async fn it_survives_whatever_clients_send() {
    let server = CompatServer::start().await;
    compat_bad::survives_all(&server, 3000, "/orders", GOOD).await;
    server.stop().await;
}
