//! Creating orders: what is answered, what is stored, what waiting means.
//!
//! Over a real connection to a whole server; nothing is mocked.

use orderd::http::schema;
use serde_json::json;

use crate::support::{Setup, TestServer, order, order_with, within};

#[tokio::test]
async fn a_created_order_is_found_with_everything_that_was_sent() {
    let server = TestServer::start().await;
    let sent = json!({
        "order_id": "shop/1?#",
        "customer_id": "Zoë \"Z\" Żółć 🛒",
        "items": [
            {"sku": "A", "quantity": 2, "amount": 700},
            {"sku": "B", "quantity": 1, "amount": 300}
        ],
        "total": {"amount": 1_000, "currency": "JPY"},
        "priority": 1,
        "process": "slow",
        "address": "line 1\nline 2",
        "notes": "<script>",
        "metadata": {"k": "v", "Ö": ""},
        "start_at": "2099-01-01T00:00:00+01:00",
        "expires_at": "2099-01-02T00:00:00Z"
    });
    let reply = server.post("/v1/orders", sent.to_string()).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("location"), "/v1/orders/shop%2F1%3F%23");
    let _: schema::Order = serde_json::from_slice(&reply.body).unwrap();
    let created = reply.json();
    for field in [
        "order_id",
        "customer_id",
        "items",
        "total",
        "priority",
        "process",
        "address",
    ] {
        assert_eq!(created[field], sent[field], "{field}");
    }
    assert_eq!(created["notes"], sent["notes"]);
    assert_eq!(created["metadata"], sent["metadata"]);
    assert_eq!(created["start_at"], "2098-12-31T23:00:00.000000Z");
    assert_eq!(created["ready_at"], created["start_at"]);
    assert_eq!(created["status"], "scheduled");
    assert_eq!(created["version"], 1);
    assert_eq!(created["process_version"], 1);
    let read = server.get(reply.header("location")).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.json(), created);
    server.stop().await;
}

#[tokio::test]
async fn without_an_id_the_server_makes_one() {
    let server = TestServer::start().await;
    let created = server.create(&order()).await;
    let id = created["order_id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(&id[14..15], "7");
    assert_eq!(created["status"], "pending");
    assert_eq!(created["step"], "work");
    assert_eq!(created["priority"], 2);
    assert_eq!(server.get(&format!("/v1/orders/{id}")).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_second_order_with_the_same_id_is_refused_and_names_the_holder() {
    let server = TestServer::start().await;
    let first = order_with(json!({"order_id": "a/b", "customer_id": "one"}));
    server.create(&first).await;
    let second = order_with(json!({"order_id": "a/b", "customer_id": "two"}));
    let reply = server.post("/v1/orders", second.to_string()).await;
    assert_eq!((reply.status, &*reply.code()), (409, "order-exists"));
    assert_eq!(reply.json()["order_id"], "a/b");
    assert_eq!(reply.header("location"), "/v1/orders/a%2Fb");
    let holder = server.get(reply.header("location")).await.json();
    assert_eq!(holder["customer_id"], "one");
    assert_eq!(server.count().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_free_order_and_the_largest_amount_are_taken() {
    let server = TestServer::start().await;
    for amount in [0, i64::MAX] {
        let items = json!([{"sku": "A", "quantity": 1, "amount": amount}]);
        let total = json!({"amount": amount, "currency": "KWD"});
        let order = order_with(json!({"items": items, "total": total}));
        assert_eq!(server.create(&order).await["total"]["amount"], amount);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_may_wait_for_the_end() {
    let server = TestServer::start().await;
    for (process, status, wait) in [
        ("default", "completed", 60),
        ("failing", "dead", 60),
        ("slow", "processing", 1),
    ] {
        let headers = [
            "Content-Type: application/json; charset=utf-8",
            &*format!("Prefer: respond-async, wait={wait}"),
        ];
        let body = order_with(json!({"process": process})).to_string();
        let reply = within(server.send("POST /v1/orders", &headers, body)).await;
        assert_eq!(reply.status, 201);
        assert_eq!(reply.header("preference-applied"), format!("wait={wait}"));
        let shown: schema::Order = serde_json::from_slice(&reply.body).unwrap();
        let name = serde_json::to_value(shown.status).unwrap();
        assert_eq!(name, status, "{process}");
        assert!(shown.version > 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn request_ids_are_taken_over_or_made() {
    let server = TestServer::start().await;
    let reply = server
        .send("GET /livez", &["X-Request-Id: abc-1"], "")
        .await;
    assert_eq!(reply.header("x-request-id"), "abc-1");
    let too_long = format!("X-Request-Id: {}", "x".repeat(65));
    for header in ["X-Request-Id: a b", "X-Request-Id:", &too_long] {
        let reply = server.send("GET /nowhere", &[header], "").await;
        let id = reply.header("x-request-id").to_owned();
        assert!(id.starts_with("1234abcd") && id.len() == 20, "{id}");
        assert_eq!(reply.code(), "route-not-found");
    }
    let one = server.get("/livez").await;
    let two = server.get("/livez").await;
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    server.stop().await;
}

#[tokio::test]
async fn without_room_nothing_is_stored_and_the_client_is_told_when_to_come_back() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 3;
    let server = TestServer::with(setup).await;
    let slow = order_with(json!({"process": "slow"}));
    for _ in 0..3 {
        server.create(&slow).await;
    }
    let reply = server.post("/v1/orders", slow.to_string()).await;
    assert_eq!((reply.status, &*reply.code()), (503, "overloaded"));
    assert!((1..=60).contains(&reply.retry_after()));
    let batch = json!([slow, slow]).to_string();
    let reply = server.post("/v1/orders/batch", batch).await.json();
    for at in 0..2 {
        let problem = &reply["results"][at]["problem"];
        assert_eq!(problem["code"], "overloaded");
        assert!((1..=60).contains(&problem["retry_after"].as_u64().unwrap()));
    }
    assert_eq!(server.count().await, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_full_process_refuses_its_own_orders_only() {
    let mut setup = Setup::default();
    let slow = setup.processes.iter_mut().find(|it| &*it.name == "slow");
    slow.unwrap().open_orders_max = 2;
    let server = TestServer::with(setup).await;
    let slow = order_with(json!({"process": "slow"}));
    for _ in 0..2 {
        server.create(&slow).await;
    }
    let reply = server.post("/v1/orders", slow.to_string()).await;
    assert_eq!((reply.status, &*reply.code()), (503, "overloaded"));
    assert!((1..=60).contains(&reply.retry_after()));
    server.create(&order_with(json!({}))).await;
    assert_eq!(server.count().await, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_draining_server_says_so() {
    let server = TestServer::start().await;
    let ready = server.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.json()["status"].as_str().unwrap()),
        (200, "ok")
    );
    server.handle.drain();
    let reply = server.post("/v1/orders", order().to_string()).await;
    assert_eq!((reply.status, &*reply.code()), (503, "draining"));
    for path in ["/readyz", "/healthz"] {
        let ready = server.get(path).await;
        assert_eq!(ready.status, 503);
        assert_eq!(ready.json()["checks"]["accepting"], "draining");
    }
    assert_eq!(server.get("/livez").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 200);
    server.stop().await;
}
