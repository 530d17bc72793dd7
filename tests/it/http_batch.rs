//! Batches: every order has its own result, and all accepted ones are stored.
//!
//! Sent over a real connection, both as an array and as lines.

use orderd::http::schema::BatchResults;
use serde_json::{Value, json};

use crate::support::{Setup, TestServer, order, order_with};

fn statuses(results: &Value) -> Vec<i64> {
    let results = results["results"].as_array().unwrap().iter();
    results
        .map(|result| result["status"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn an_array_has_a_result_for_each_order() {
    let server = TestServer::start().await;
    let bad = order_with(json!({"items": [{"sku": "A", "quantity": 0}]}));
    let batch = json!([
        order_with(json!({"order_id": "a"})),
        bad,
        order_with(json!({"order_id": "b"})),
        {"customer_id": 1},
        order_with(json!({"order_id": "a"})),
    ]);
    let reply = server.post("/v1/orders/batch", batch.to_string()).await;
    assert_eq!(reply.status, 200);
    let _: BatchResults = serde_json::from_slice(&reply.body).unwrap();
    let results = reply.json();
    assert_eq!(statuses(&results), [201, 422, 201, 422, 409]);
    assert_eq!(results["results"][0]["order"]["order_id"], "a");
    assert_eq!(results["results"][2]["order"]["order_id"], "b");
    let fault = &results["results"][1]["problem"]["errors"][0];
    assert_eq!(fault["pointer"], "/items/0/quantity");
    assert_eq!(
        results["results"][3]["problem"]["errors"][0]["pointer"],
        "/customer_id"
    );
    assert_eq!(results["results"][4]["problem"]["order_id"], "a");
    assert_eq!(server.count().await, 2);
    server.stop().await;
}

#[tokio::test]
async fn lines_have_a_result_each_and_a_broken_line_is_its_own_problem() {
    let server = TestServer::start().await;
    let good = order().to_string();
    let body = format!("{good}\n\nnope\r\n{good}\r\n");
    let lines = ["Content-Type: application/x-ndjson"];
    let reply = server.send("POST /v1/orders/batch", &lines, body).await;
    let results = reply.json();
    assert_eq!(statuses(&results), [201, 400, 201]);
    assert_eq!(results["results"][1]["problem"]["code"], "malformed-json");
    assert_eq!(server.count().await, 2);
    server.stop().await;
}

#[tokio::test]
async fn the_largest_batch_is_taken_whole() {
    let server = TestServer::start().await;
    let batch = Value::Array(vec![order(); 10_000]).to_string();
    let reply = server.post("/v1/orders/batch", batch).await;
    assert!(statuses(&reply.json()).iter().all(|status| *status == 201));
    assert_eq!(server.count().await, 10_000);
    server.stop().await;
}

#[tokio::test]
async fn a_broken_array_is_refused_whole_and_an_empty_one_is_fine() {
    let server = TestServer::start().await;
    let reply = server
        .post("/v1/orders/batch", format!("[{}", order()))
        .await;
    assert_eq!((reply.status, &*reply.code()), (400, "malformed-json"));
    let reply = server.post("/v1/orders/batch", order().to_string()).await;
    assert_eq!((reply.status, &*reply.code()), (422, "invalid-order"));
    let reply = server.post("/v1/orders/batch", "[]").await;
    assert_eq!(reply.text(), "{\"results\":[]}");
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn orders_of_a_batch_beyond_the_room_are_refused_one_by_one() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 2;
    let server = TestServer::with(setup).await;
    let batch = Value::Array(vec![order_with(json!({"process": "slow"})); 4]);
    let reply = server.post("/v1/orders/batch", batch.to_string()).await;
    let accepted = statuses(&reply.json())
        .iter()
        .filter(|status| **status == 201)
        .count();
    assert_eq!(accepted as i64, server.count().await);
    assert!(accepted <= 2);
    server.stop().await;
}
