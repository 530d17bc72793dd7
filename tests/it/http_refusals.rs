//! Bad requests: each a 4xx with a code and the place of the fault, and nothing is stored.

use serde_json::{Value, json};

use crate::support::{TestServer, order, order_with};

const JSON: &str = "Content-Type: application/json";

#[tokio::test]
async fn a_bad_order_is_refused_with_pointer_and_code() {
    let server = TestServer::start().await;
    let line = |fields: Value| {
        let mut line = json!({"sku": "A", "quantity": 1});
        for (key, value) in fields.as_object().unwrap() {
            line[key] = value.clone();
        }
        order_with(json!({"items": ["x", line]}))
    };
    let total = |amount: Value, currency: &str| {
        let total = json!({"amount": amount, "currency": currency});
        order_with(json!({"total": total}))
    };
    let long = "x".repeat(256);
    let cases = [
        (json!([]), "", "wrong-type"),
        (
            order_with(json!({"customer_id": 7})),
            "/customer_id",
            "wrong-type",
        ),
        (
            order_with(json!({"customer_id": long})),
            "/customer_id",
            "invalid-length",
        ),
        (
            order_with(json!({"customer_id": "a\u{0}b"})),
            "/customer_id",
            "invalid-character",
        ),
        (
            order_with(json!({"order_id": "a\tb"})),
            "/order_id",
            "invalid-character",
        ),
        (
            order_with(json!({"order_id": "x".repeat(65)})),
            "/order_id",
            "invalid-length",
        ),
        (
            order_with(json!({"colour": "red"})),
            "/colour",
            "unknown-field",
        ),
        (order_with(json!({"items": []})), "/items", "invalid-length"),
        (
            order_with(json!({"items": vec!["x"; 1_001]})),
            "/items",
            "invalid-length",
        ),
        (
            line(json!({"quantity": 0})),
            "/items/1/quantity",
            "out-of-range",
        ),
        (
            line(json!({"quantity": -5})),
            "/items/1/quantity",
            "out-of-range",
        ),
        (
            line(json!({"unit_price": -1})),
            "/items/1/unit_price",
            "out-of-range",
        ),
        (
            line(json!({"unit_price": 0.5})),
            "/items/1/unit_price",
            "invalid-money",
        ),
        (line(json!({"price": 5})), "/items/1/price", "unknown-field"),
        (
            total(json!(10.001), "USD"),
            "/total/amount",
            "invalid-money",
        ),
        (total(json!(-1), "USD"), "/total/amount", "out-of-range"),
        (
            total(json!(u64::MAX), "USD"),
            "/total/amount",
            "out-of-range",
        ),
        (total(json!(999), "USD"), "/total/amount", "sum-mismatch"),
        (
            total(json!(1_000), "XXX1"),
            "/total/currency",
            "unknown-currency",
        ),
        (
            order_with(json!({"priority": 9})),
            "/priority",
            "out-of-range",
        ),
        (
            order_with(json!({"process": "nope"})),
            "/process",
            "unknown-process",
        ),
        (
            order_with(json!({"start_at": "2026-01-01"})),
            "/start_at",
            "invalid-time",
        ),
        (
            order_with(
                json!({"start_at": "2026-01-02T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"}),
            ),
            "/expires_at",
            "out-of-range",
        ),
        (
            order_with(json!({"metadata": {"a/b": "x".repeat(1_025)}})),
            "/metadata/a~1b",
            "invalid-length",
        ),
    ];
    for (body, pointer, code) in cases {
        let reply = server.post("/v1/orders", body.to_string()).await;
        assert_eq!(
            (reply.status, &*reply.code()),
            (422, "invalid-order"),
            "{body}"
        );
        let fault = reply.json()["errors"][0].clone();
        assert_eq!(fault["pointer"], pointer, "{fault}");
        assert_eq!(fault["code"], code, "{fault}");
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
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    assert_eq!(problem["errors_left_out"], 101);
    server.stop().await;
}

#[tokio::test]
async fn a_bad_request_is_refused_with_a_code() {
    let server = TestServer::start().await;
    let good = order().to_string();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let form = "Content-Type: application/x-www-form-urlencoded";
    let cases: Vec<(&str, Vec<&str>, &str, u16, &str)> = vec![
        (
            "POST /v1/orders",
            vec![JSON],
            "{\"customer_id\":",
            400,
            "malformed-json",
        ),
        ("POST /v1/orders", vec![JSON], "", 400, "malformed-json"),
        ("POST /v1/orders", vec![JSON], &deep, 400, "too-deep"),
        (
            "POST /v1/orders",
            vec![form],
            &good,
            415,
            "unsupported-media-type",
        ),
        (
            "POST /v1/orders",
            vec!["Content-Type: text/plain"],
            &good,
            415,
            "unsupported-media-type",
        ),
        (
            "POST /v1/orders",
            vec!["Content-Type: application/x-ndjson"],
            &good,
            415,
            "unsupported-media-type",
        ),
        (
            "POST /v1/orders",
            vec![JSON, "Content-Encoding: gzip"],
            &good,
            415,
            "unsupported-encoding",
        ),
        (
            "POST /v1/orders",
            vec![JSON, "Idempotency-Key: 1"],
            &good,
            400,
            "idempotency-key-unsupported",
        ),
        (
            "POST /v1/orders",
            vec![JSON, "Prefer: wait=0"],
            &good,
            400,
            "bad-prefer",
        ),
        (
            "POST /v1/orders",
            vec![JSON, "Origin: http://evil.test"],
            &good,
            403,
            "foreign-origin",
        ),
        (
            "POST /v1/orders",
            vec![JSON, "Origin: null"],
            &good,
            403,
            "foreign-origin",
        ),
        ("GET /v1/orders?limit=0", vec![], "", 400, "bad-query"),
        (
            "GET /v1/orders?limit=1&limit=2",
            vec![],
            "",
            400,
            "bad-query",
        ),
        ("GET /v1/orders?colour=red", vec![], "", 400, "bad-query"),
        ("GET /v1/orders?status=done", vec![], "", 400, "bad-query"),
        (
            "GET /v1/orders?created_after=yesterday",
            vec![],
            "",
            400,
            "bad-query",
        ),
        ("GET /v1/orders?after=xyz", vec![], "", 400, "bad-cursor"),
        ("GET /v1/events?after=xyz", vec![], "", 400, "bad-cursor"),
        ("GET /v1/stats?x=1", vec![], "", 400, "bad-query"),
        ("GET /v1/orders/nope", vec![], "", 404, "order-not-found"),
        ("GET /v1/orders/a%20b", vec![], "", 404, "order-not-found"),
        ("GET /v1/orders/%ff", vec![], "", 404, "order-not-found"),
        ("GET /v1/orders/batch", vec![], "", 404, "order-not-found"),
        (
            "GET /v1/orders/nope/events",
            vec![],
            "",
            404,
            "order-not-found",
        ),
        ("GET /v2/orders", vec![], "", 404, "route-not-found"),
        ("GET /v1/orders/", vec![], "", 404, "route-not-found"),
        ("GET /errors/nope", vec![], "", 404, "route-not-found"),
        ("DELETE /v1/orders", vec![], "", 405, "method-not-allowed"),
        (
            "PUT /v1/orders/a",
            vec![JSON],
            &good,
            405,
            "method-not-allowed",
        ),
        ("BREW /v1/orders", vec![], "", 405, "method-not-allowed"),
    ];
    for (start, headers, body, status, code) in cases {
        let reply = server.send(start, &headers, body).await;
        assert_eq!(
            (reply.status, &*reply.code()),
            (status, code),
            "{start} {headers:?}"
        );
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
