//! Idempotency keys: the same request again gets the first answer, and nothing is made twice.
//!
//! Over a real connection to a whole server.

use serde_json::{Value, json};

use crate::support::{Reply, Setup, TestServer, order, order_with, together};

const JSON: &str = "Content-Type: application/json";

async fn create(server: &TestServer, key: &str, order: &Value) -> Reply {
    let key = format!("Idempotency-Key: {key}");
    let headers = [JSON, &key];
    server
        .send("POST /v1/orders", &headers, order.to_string())
        .await
}

async fn create_batch(server: &TestServer, key: &str, orders: &Value) -> Reply {
    let key = format!("Idempotency-Key: {key}");
    let headers = [JSON, &key];
    let body = orders.to_string();
    server.send("POST /v1/orders/batch", &headers, body).await
}

fn is_replayed(reply: &Reply) -> bool {
    reply
        .headers
        .get("idempotency-replayed")
        .is_some_and(|value| value == "true")
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_byte_for_byte() {
    let server = TestServer::start().await;
    let sent = order_with(json!({"order_id": "mine"}));
    let first = create(&server, "k-1", &sent).await;
    assert_eq!((first.status, is_replayed(&first)), (201, false));
    let again = create(&server, "k-1", &sent).await;
    assert_eq!((again.status, is_replayed(&again)), (201, true));
    assert_eq!(again.body, first.body);
    for header in ["location", "content-type", "etag"] {
        assert_eq!(again.header(header), first.header(header));
    }
    assert_eq!(server.count().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused_and_stores_nothing() {
    let server = TestServer::start().await;
    create(&server, "k-1", &order()).await;
    let other = order_with(json!({"customer_id": "c2"}));
    let refused = create(&server, "k-1", &other).await;
    let told = (refused.status, refused.code());
    assert_eq!(told, (422, "idempotency-key-reused".to_owned()));
    assert_eq!(server.count().await, 1);
    assert_eq!(create(&server, "k-2", &other).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn twins_in_flight_become_one_order() {
    let server = TestServer::start().await;
    let sent = order();
    let twins = (0..8).map(|_| create(&server, "twin", &sent));
    let replies = together(twins).await;
    assert!(replies.iter().all(|reply| reply.status == 201));
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    let first = replies.iter().filter(|reply| !is_replayed(reply));
    assert_eq!(first.count(), 1);
    assert_eq!(server.count().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_does_not_use_the_key_up() {
    let server = TestServer::start().await;
    let bad = order_with(json!({"items": []}));
    assert_eq!(create(&server, "k-1", &bad).await.status, 422);
    let taken = order_with(json!({"order_id": "taken"}));
    server.create(&taken).await;
    assert_eq!(create(&server, "k-1", &taken).await.code(), "order-exists");
    assert_eq!(create(&server, "k-1", &order()).await.status, 201);
    assert_eq!(server.count().await, 2);
    server.stop().await;
}

#[tokio::test]
async fn a_full_server_still_repeats_what_it_answered() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 1;
    let server = TestServer::with(setup).await;
    let sent = order_with(json!({"process": "slow"}));
    let first = create(&server, "k-1", &sent).await;
    assert_eq!(create(&server, "k-2", &sent).await.code(), "overloaded");
    let again = create(&server, "k-1", &sent).await;
    assert_eq!((again.status, is_replayed(&again)), (201, true));
    assert_eq!(again.body, first.body);
    let other = order_with(json!({"process": "slow", "customer_id": "c2"}));
    let other = create(&server, "k-1", &other).await;
    assert_eq!(other.code(), "idempotency-key-reused");
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_over_after_its_time() {
    let mut setup = Setup::default();
    setup.engine.key_retention_us = 1;
    let server = TestServer::with(setup).await;
    create(&server, "k-1", &order()).await;
    let other = order_with(json!({"customer_id": "c2"}));
    let again = create(&server, "k-1", &other).await;
    assert_eq!((again.status, is_replayed(&again)), (201, false));
    assert_eq!(server.count().await, 2);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_under_a_key_is_accepted_once() {
    let server = TestServer::start().await;
    let bad = order_with(json!({"items": []}));
    let sent = json!([order(), bad, order(), order_with(json!({"order_id": "x"}))]);
    let first = create_batch(&server, "b-1", &sent).await;
    assert_eq!((first.status, is_replayed(&first)), (200, false));
    let again = create_batch(&server, "b-1", &sent).await;
    assert_eq!((again.status, is_replayed(&again)), (200, true));
    assert_eq!(again.body, first.body);
    assert_eq!(server.count().await, 3);
    let other = create_batch(&server, "b-1", &json!([order()])).await;
    let result = &other.json()["results"][0];
    assert_eq!(result["problem"]["code"], "idempotency-key-reused");
    server.stop().await;
}

#[tokio::test]
async fn orders_of_a_batch_may_have_keys_of_their_own() {
    let server = TestServer::start().await;
    let keyed = |key: &str| order_with(json!({"idempotency_key": key}));
    let sent = json!([keyed("a"), keyed("b"), order()]);
    let first = server
        .post("/v1/orders/batch", sent.to_string())
        .await
        .json();
    let sent = json!([keyed("b"), keyed("c"), keyed("bad key")]);
    let again = server
        .post("/v1/orders/batch", sent.to_string())
        .await
        .json();
    assert_eq!(again["results"][0], first["results"][1]);
    assert_eq!(again["results"][1]["status"], 201);
    let fault = &again["results"][2]["problem"]["errors"][0];
    assert_eq!(fault["pointer"], "/idempotency_key");
    assert_eq!(server.count().await, 4);
    server.stop().await;
}

#[tokio::test]
async fn a_single_order_may_bring_its_key_in_the_body() {
    let server = TestServer::start().await;
    let sent = order_with(json!({"idempotency_key": "in-body"}));
    let first = server.post("/v1/orders", sent.to_string()).await;
    assert_eq!(first.status, 201);
    let again = create(&server, "in-body", &sent).await;
    assert!(is_replayed(&again));
    let both = create(&server, "another", &sent).await;
    assert_eq!(both.code(), "bad-idempotency-key");
    assert_eq!(server.count().await, 1);
    server.stop().await;
}
