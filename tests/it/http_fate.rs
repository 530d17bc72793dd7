//! Requests whose commit is stored while its answer is lost, and the store cannot be read
//! afterwards: nobody is told that nothing is stored, and a repetition finds the first result.
//!
//! A whole server with all dialects; its store has faults.

use std::sync::atomic::Ordering;

use orderd::order::Dialect;
use serde_json::json;

use crate::compat_support::{CompatServer, NATIVE};
use crate::support::{Reply, order_with, within};

const JSON: &str = "Content-Type: application/json";

/// An order that starts another day, so that nothing but its acceptance is committed.
fn order(id: &str) -> String {
    let id = json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"});
    order_with(id).to_string()
}

/// A batch of one order with a key of its own.
fn keyed(id: &str) -> String {
    format!("[{}]", order(id)).replace("\"order_id\"", "\"idempotency_key\":\"k\",\"order_id\"")
}

async fn ask(server: &CompatServer, key: Option<&str>, path: &str, body: &str) -> Reply {
    let key = key.map(|key| format!("Idempotency-Key: {key}"));
    let headers: Vec<&str> = [JSON].into_iter().chain(key.as_deref()).collect();
    let (port, path) = match path.split_once(' ') {
        Some((port, path)) => (port.parse().unwrap(), path),
        None => (NATIVE, path),
    };
    let start = format!("POST {path}");
    server.send(port, &start, &headers, body).await
}

/// What went wrong: the code of the whole answer, or of its only result.
fn code(reply: &Reply) -> String {
    if let Some(told) = reply.headers.get("orderd-error") {
        return told.split(';').next().unwrap().to_owned();
    }
    let document = reply.json();
    let problem = match document.get("results") {
        Some(results) => &results[0]["problem"],
        None => &document,
    };
    problem["code"].as_str().unwrap_or("none").to_owned()
}

/// Sends it so that its commit is stored and the answer to that is lost.
async fn lose(server: &CompatServer, key: Option<&str>, path: &str, body: &str) {
    server.faults.is_commit_lost.store(true, Ordering::SeqCst);
    let lost = code(&ask(server, key, path, body).await);
    assert!(!server.faults.is_commit_lost.load(Ordering::SeqCst));
    assert_eq!(lost, "outcome-unknown", "{path}: called refused: {lost}");
}

/// Lets the store be read again, and waits until the engine works.
async fn come_back(server: &CompatServer) {
    server.fail_reads(false);
    within(async {
        while server.get(NATIVE, "/readyz").await.status != 200 {
            // The clock stands still, and the store is tried again after a time.
            server.clock.advance(1_000_000);
        }
    })
    .await;
}

#[tokio::test]
async fn what_may_be_stored_under_a_key_is_never_called_refused() {
    let server = CompatServer::start().await;
    for id in ["held", "cancelled"] {
        let created = ask(&server, None, "/v1/orders", &order(id)).await;
        assert_eq!(created.status, 201);
    }
    let dialect = format!("{} /order", Dialect::TwoQueue.port());
    for (path, body) in [
        ("/v1/orders", &*order("single")),
        ("/v1/orders/batch", &keyed("batch")),
        ("/v1/orders/held/hold", r#"{"reason": "fraud?"}"#),
        ("/v1/orders/cancelled/cancel", "{}"),
        ("/v1/dead-letters/replay", "{}"),
        (
            &dialect,
            r#"{"user_id":"u","item_ids":"a","total_amount":1}"#,
        ),
    ] {
        // The orders of a batch have their own.
        let key = (path != "/v1/orders/batch").then_some("k");
        lose(&server, key, path, body).await;
        come_back(&server).await;
        let again = ask(&server, key, path, body).await;
        assert_eq!(again.status / 100, 2, "{path}: {}", again.text());
        assert_eq!(again.header("idempotency-replayed"), "true", "{path}");
    }
    assert_eq!(server.count().await, 5);
    server.stop().await;
}

#[tokio::test]
async fn a_repetition_whose_first_answer_cannot_be_read_is_not_called_refused() {
    let server = CompatServer::start().await;
    let dialect = format!("{} /order", Dialect::TwoQueue.port());
    for (path, body) in [
        ("/v1/orders", &*order("single")),
        ("/v1/orders/batch", &keyed("batch")),
        (
            &dialect,
            r#"{"user_id":"u","item_ids":"a","total_amount":1}"#,
        ),
    ] {
        let first = ask(&server, Some("k"), path, body).await;
        assert_eq!(first.status / 100, 2);
        server.fail_reads(true);
        let told = code(&ask(&server, Some("k"), path, body).await);
        assert_eq!(told, "outcome-unknown", "{path}: called refused: {told}");
        server.fail_reads(false);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_change_that_is_made_is_not_called_refused() {
    let server = CompatServer::start().await;
    let created = ask(&server, None, "/v1/orders", &order("A")).await;
    assert_eq!(created.status, 201);
    server.faults.is_commit_last.store(true, Ordering::SeqCst);
    let made = ask(&server, None, "/v1/orders/A/cancel", "{}").await;
    assert_eq!(code(&made), "outcome-unknown");
    assert!(
        made.text().contains("the change is made"),
        "{}",
        made.text()
    );
    server.fail_reads(false);
    let order = server.get(NATIVE, "/v1/orders/A").await.json();
    assert_eq!(order["status"], "cancelled");
    server.stop().await;
}
