//! Idempotency keys on the POSTs of webhooks: sent again nothing happens, and the first answer
//! comes back byte for byte, also after a restart.
//!
//! What happened is read from the webhooks, or seen by their receiver.

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::support::{Reply, Setup, TestServer, order_with, together};

async fn post(server: &TestServer, path: &str, key: &str, body: &str) -> Reply {
    let key = format!("Idempotency-Key: {key}");
    let headers = ["Content-Type: application/json", &key];
    server.send(&format!("POST {path}"), &headers, body).await
}

/// The same answer as before, marked as such.
fn assert_again(again: &Reply, first: &Reply) {
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert!(!first.headers.contains_key("idempotency-replayed"));
}

async fn count(server: &TestServer) -> usize {
    let list = server.get("/v1/webhooks").await.json();
    list["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_create_that_is_sent_again_makes_nothing_and_tells_the_secret_again() {
    let server = TestServer::start().await;
    let body = json!({"url": "http://shop.example/"}).to_string();
    let first = post(&server, "/v1/webhooks", "k", &body).await;
    assert_eq!(first.status, 201);
    assert!(
        first.json()["secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    assert_again(&post(&server, "/v1/webhooks", "k", &body).await, &first);
    assert_eq!(count(&server).await, 1);
    let other = json!({"url": "http://other.example/"}).to_string();
    let reused = post(&server, "/v1/webhooks", "k", &other).await;
    assert_eq!(
        (reused.status, &*reused.code()),
        (422, "idempotency-key-reused")
    );
    let bad = post(&server, "/v1/webhooks", "b", "{").await;
    assert_eq!(bad.status, 400);
    let made = post(&server, "/v1/webhooks", "b", &other).await;
    assert_eq!(made.status, 201, "a refusal uses no key up");
    // After a restart, and when the webhook is gone.
    let place = Some(server.stop().await);
    let server = TestServer::with(Setup {
        place,
        ..Setup::default()
    })
    .await;
    assert_again(&post(&server, "/v1/webhooks", "k", &body).await, &first);
    let path = format!(
        "/v1/webhooks/{}",
        first.json()["webhook_id"].as_str().unwrap()
    );
    assert_eq!(
        server.send(&format!("DELETE {path}"), &[], "").await.status,
        204
    );
    assert_again(&post(&server, "/v1/webhooks", "k", &body).await, &first);
    assert_eq!(count(&server).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn twins_in_flight_make_one_webhook() {
    let server = TestServer::start().await;
    let body = json!({"url": "http://shop.example/"}).to_string();
    let twins = together((0..8).map(|_| post(&server, "/v1/webhooks", "k", &body))).await;
    assert!(
        twins
            .iter()
            .all(|twin| (twin.status, &twin.body) == (201, &twins[0].body))
    );
    let again = twins
        .iter()
        .filter(|it| it.headers.contains_key("idempotency-replayed"));
    assert_eq!((again.count(), count(&server).await), (7, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_change_that_is_sent_again_changes_nothing() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url()}).to_string();
    let made = server.post("/v1/webhooks", body).await.json();
    let path = format!("/v1/webhooks/{}", made["webhook_id"].as_str().unwrap());
    let shown = async || server.get(&path).await.json();
    for (action, body) in [
        ("pause", json!({"reason": "moving"})),
        ("resume", json!({})),
        ("rotate-secret", json!({"overlap_seconds": 0})),
        ("test", json!({})),
        ("replay", json!({"after": "0-0"})),
    ] {
        let (to, body) = (format!("{path}/{action}"), body.to_string());
        let first = post(&server, &to, "k", &body).await;
        assert_eq!(first.status, 200, "{action}: {}", first.text());
        // Something else in between.
        server.post(&format!("{path}/pause"), "{}").await;
        let before = shown().await;
        assert_again(&post(&server, &to, "k", &body).await, &first);
        assert_eq!(shown().await, before, "{action}");
    }
    assert_eq!(receiver.seen().len(), 1, "the test was sent again");
    // The secret that the repetition tells is the one that signs.
    let rotate = format!("{path}/rotate-secret");
    let body = json!({"overlap_seconds": 0}).to_string();
    let secret = post(&server, &rotate, "k", &body).await.json()["secret"].clone();
    server.post(&format!("{path}/resume"), "{}").await;
    server.create(&order_with(json!({"order_id": "a"}))).await;
    let message = receiver.take(2).await.pop().unwrap();
    let secret = orderd::outbound::Secret::parse(secret.as_str().unwrap()).unwrap();
    let seconds = message.header("webhook-timestamp").parse().unwrap();
    let signed = secret.sign(
        message.header("webhook-id"),
        seconds,
        message.body.as_bytes(),
    );
    assert_eq!(message.header("webhook-signature"), signed);
    assert_eq!(shown().await["secret"], Value::Null);
    server.stop().await;
}
