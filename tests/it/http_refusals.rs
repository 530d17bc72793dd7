//! Bad requests: each a 4xx with a code and the place of the fault, and nothing is stored.
//!
//! Every kind of bad input is here once, through a real connection.

use serde_json::{Value, json};

use crate::support::{TestServer, order, order_with};

const JSON: &str = "Content-Type: application/json";

/// Fields that are put over those of a good order, and the fault they make.
const BAD_FIELDS: &[(&str, &str, &str)] = &[
    (r#"{"customer_id":7}"#, "/customer_id", "wrong-type"),
    (
        r#"{"customer_id":"a\u0000b"}"#,
        "/customer_id",
        "invalid-character",
    ),
    (r#"{"order_id":"a\tb"}"#, "/order_id", "invalid-character"),
    (r#"{"order_id":""}"#, "/order_id", "invalid-length"),
    (r#"{"colour":"red"}"#, "/colour", "unknown-field"),
    (r#"{"items":[]}"#, "/items", "invalid-length"),
    (
        r#"{"items":[{"sku":"A","quantity":0}]}"#,
        "/items/0/quantity",
        "out-of-range",
    ),
    (
        r#"{"items":["x",{"sku":"A","quantity":-5}]}"#,
        "/items/1/quantity",
        "out-of-range",
    ),
    (
        r#"{"items":[{"sku":"A","quantity":1,"unit_price":-1}]}"#,
        "/items/0/unit_price",
        "out-of-range",
    ),
    (
        r#"{"items":[{"sku":"A","quantity":1,"amount":0.5}]}"#,
        "/items/0/amount",
        "invalid-money",
    ),
    (
        r#"{"items":[{"sku":"A","quantity":1,"price":5}]}"#,
        "/items/0/price",
        "unknown-field",
    ),
    (
        r#"{"items":[{"sku":"A"}]}"#,
        "/items/0/quantity",
        "missing-field",
    ),
    (
        r#"{"total":{"amount":10.001,"currency":"USD"}}"#,
        "/total/amount",
        "invalid-money",
    ),
    (r#"{"total":[1000,"USD"]}"#, "/total", "wrong-type"),
    (r#"{"order_id":".."}"#, "/order_id", "invalid-character"),
    (
        r#"{"total":{"amount":-1,"currency":"USD"}}"#,
        "/total/amount",
        "out-of-range",
    ),
    (
        r#"{"total":{"amount":18446744073709551615,"currency":"USD"}}"#,
        "/total/amount",
        "out-of-range",
    ),
    (
        r#"{"total":{"amount":999,"currency":"USD"}}"#,
        "/total/amount",
        "sum-mismatch",
    ),
    (
        r#"{"total":{"amount":1000,"currency":"XXX1"}}"#,
        "/total/currency",
        "unknown-currency",
    ),
    (r#"{"priority":9}"#, "/priority", "out-of-range"),
    (r#"{"process":"nope"}"#, "/process", "unknown-process"),
    (r#"{"start_at":"2026-01-01"}"#, "/start_at", "invalid-time"),
    (
        r#"{"start_at":"2026-01-02T00:00:00Z","expires_at":"2026-01-01T00:00:00Z"}"#,
        "/expires_at",
        "out-of-range",
    ),
];

/// Sends an order that has one fault.
async fn refuse(server: &TestServer, order: &Value, pointer: &str, code: &str) {
    let reply = server.post("/v1/orders", order.to_string()).await;
    assert_eq!(
        (reply.status, &*reply.code()),
        (422, "invalid-order"),
        "{order}"
    );
    let fault = reply.json()["errors"][0].clone();
    assert_eq!(fault["pointer"], pointer, "{fault}");
    assert_eq!(fault["code"], code, "{fault}");
}

#[tokio::test]
async fn a_bad_order_is_refused_with_pointer_and_code() {
    let server = TestServer::start().await;
    for (fields, pointer, code) in BAD_FIELDS {
        let order = order_with(serde_json::from_str(fields).unwrap());
        refuse(&server, &order, pointer, code).await;
    }
    refuse(&server, &json!([]), "", "wrong-type").await;
    let values = json!([null, "ada", ["x"], {"amount": 1, "currency": "USD"}, 1]);
    refuse(&server, &values, "", "wrong-type").await;
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let server = TestServer::start().await;
    let long = |length| "x".repeat(length);
    let cases = [
        (json!({"customer_id": long(256)}), "/customer_id"),
        (json!({"order_id": long(65)}), "/order_id"),
        (json!({"items": vec!["x"; 1_001]}), "/items"),
        (json!({"address": long(1_025)}), "/address"),
        (json!({"notes": long(8_193)}), "/notes"),
        (json!({"metadata": {"a/b": long(1_025)}}), "/metadata/a~1b"),
    ];
    for (fields, pointer) in cases {
        refuse(&server, &order_with(fields), pointer, "invalid-length").await;
    }
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let server = TestServer::start().await;
    let lines = vec![json!({"sku": "", "quantity": 0}); 100];
    let body = order_with(json!({"items": lines, "priority": 0})).to_string();
    let problem = server.post("/v1/orders", body).await.json();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 20);
    assert_eq!(problem["errors_left_out"], 181);
    server.stop().await;
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const LINES: &str = "Content-Type: application/x-ndjson";

/// Headers of a create that would be good without them, and how it is refused.
const BAD_HEADERS: &[(&[&str], u16, &str)] = &[
    (&[FORM], 415, "unsupported-media-type"),
    (&["Content-Type: text/plain"], 415, "unsupported-media-type"),
    (&[LINES], 415, "unsupported-media-type"),
    (
        &[JSON, "Content-Encoding: gzip"],
        415,
        "unsupported-encoding",
    ),
    (
        &[JSON, "Idempotency-Key: two words"],
        400,
        "bad-idempotency-key",
    ),
    (&[JSON, "Prefer: wait=0"], 400, "bad-prefer"),
    (&[JSON, "Origin: http://evil.test"], 403, "foreign-origin"),
    (&[JSON, "Origin: null"], 403, "foreign-origin"),
];

/// Requests without a body, and how they are refused.
const BAD_REQUESTS: &[(&str, u16, &str)] = &[
    ("POST /v1/orders", 400, "malformed-json"),
    ("POST /v1/orders/batch", 400, "malformed-json"),
    ("GET /v1/orders?limit=0", 400, "bad-query"),
    ("GET /v1/orders?limit=1&limit=2", 400, "bad-query"),
    ("GET /v1/orders?colour=red", 400, "bad-query"),
    ("GET /v1/orders?status=done", 400, "bad-query"),
    ("GET /v1/orders?created_after=yesterday", 400, "bad-query"),
    ("GET /v1/orders?after=xyz", 400, "bad-cursor"),
    ("GET /v1/events?after=xyz", 400, "bad-cursor"),
    ("GET /v1/stats?x=1", 400, "bad-query"),
    ("GET /v1/orders/a?x", 400, "bad-query"),
    ("POST /v1/orders?wait=1", 400, "bad-query"),
    ("POST /v1/orders/batch?wait=1", 400, "bad-query"),
    ("GET /v1/orders/nope", 404, "order-not-found"),
    ("GET /v1/orders/a%20b", 404, "order-not-found"),
    ("GET /v1/orders/%ff", 404, "order-not-found"),
    ("GET /v1/orders/batch", 404, "order-not-found"),
    ("GET /v1/orders/nope/events", 404, "order-not-found"),
    ("GET /v2/orders", 404, "route-not-found"),
    ("GET /v1/orders/", 404, "route-not-found"),
    ("GET /errors/nope", 404, "route-not-found"),
    ("DELETE /v1/orders", 405, "method-not-allowed"),
    ("PUT /v1/orders/a", 405, "method-not-allowed"),
    ("BREW /v1/orders", 405, "method-not-allowed"),
];

#[tokio::test]
async fn a_bad_request_is_refused_with_a_code() {
    let server = TestServer::start().await;
    let good = order().to_string();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let mut cases: Vec<(&str, &[&str], &str, u16, &str)> = vec![
        (
            "POST /v1/orders",
            &[JSON],
            "{\"customer_id\":",
            400,
            "malformed-json",
        ),
        ("POST /v1/orders", &[JSON], &deep, 400, "too-deep"),
    ];
    let bad_headers = BAD_HEADERS.iter();
    cases.extend(bad_headers.map(|(headers, status, code)| {
        ("POST /v1/orders", *headers, good.as_str(), *status, *code)
    }));
    let bad_requests = BAD_REQUESTS.iter();
    cases.extend(bad_requests.map(|(start, status, code)| (*start, &[][..], "", *status, *code)));
    for (start, headers, body, status, code) in cases {
        let reply = server.send(start, headers, body).await;
        let found = (reply.status, reply.code());
        assert_eq!((found.0, &*found.1), (status, code), "{start} {headers:?}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        if status == 405 {
            assert!(reply.header("allow").contains("GET"), "{reply:?}");
        }
    }
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_the_server_itself_and_a_body_without_a_type_are_fine() {
    let server = TestServer::start().await;
    let own = [JSON, "Origin: http://ORDERS.test"];
    let reply = server
        .send("POST /v1/orders", &own, order().to_string())
        .await;
    assert_eq!(reply.status, 201);
    let reply = server
        .send("POST /v1/orders", &[], order().to_string())
        .await;
    assert_eq!(reply.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn too_large_bodies_are_refused_however_they_come() {
    let server = TestServer::start().await;
    let large = order_with(json!({"notes": "x".repeat(1 << 20)})).to_string();
    let reply = server.post("/v1/orders", &large).await;
    assert_eq!((reply.status, &*reply.code()), (413, "body-too-large"));

    let mut connection = server.connect().await;
    let headers = [JSON, "Transfer-Encoding: chunked"];
    connection.request("POST /v1/orders", &headers, b"").await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        connection.write(&chunk).await;
    }
    let reply = connection.reply().await;
    assert_eq!((reply.status, &*reply.code()), (413, "body-too-large"));

    let huge = vec![b' '; (16 << 20) + 1];
    let reply = server.post("/v1/orders/batch", &huge).await;
    assert_eq!((reply.status, &*reply.code()), (413, "body-too-large"));
    let many = format!("[{}]", vec!["0"; 10_001].join(","));
    let reply = server.post("/v1/orders/batch", many).await;
    assert_eq!((reply.status, &*reply.code()), (413, "batch-too-large"));
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn too_long_urls_and_heads_are_refused() {
    let server = TestServer::start().await;
    let reply = server
        .get(&format!("/v1/orders/{}", "x".repeat(9_000)))
        .await;
    assert_eq!((reply.status, &*reply.code()), (414, "uri-too-long"));
    let header = format!("X-Large: {}", "x".repeat(40_000));
    let reply = server.send("GET /livez", &[&header], "").await;
    assert_eq!(reply.status, 431);
    let headers: Vec<_> = (0..120).map(|at| format!("X-{at}: 1")).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    assert_eq!(server.send("GET /livez", &headers, "").await.status, 431);
    server.stop().await;
}
