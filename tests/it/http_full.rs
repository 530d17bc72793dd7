//! A disk that runs full: new orders are refused before it is, and everything else goes on.
//!
//! The free bytes are said by the test; `tests/crash/full` fills a real disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orderd::clock::monotonic;
use orderd::engine;
use orderd::store::sqlite::FileSystem;
use serde_json::json;

use super::support::{Setup, TestServer, order, order_with};

/// Longest that a change of the disk may go unnoticed.
const NOTICED: Duration = Duration::from_secs(5);
const TOTAL: u64 = 1 << 30;
/// An eighth of the disk.
const MARK: u64 = TOTAL / 8;

/// A server on a disk of 1 GiB, and how much of it is free.
async fn server() -> (TestServer, Arc<AtomicU64>) {
    server_with(engine::Settings::default()).await
}

async fn server_with(engine: engine::Settings) -> (TestServer, Arc<AtomicU64>) {
    let free = Arc::new(AtomicU64::new(TOTAL));
    let says = Arc::clone(&free);
    let gauge = move || {
        let free = says.load(Ordering::Relaxed);
        Some(FileSystem { free, total: TOTAL })
    };
    let setup = Setup {
        engine,
        gauge: Some(Box::new(gauge)),
        ..Setup::default()
    };
    (TestServer::with(setup).await, free)
}

/// Asks whether orders are taken until that is so, or not any more.
async fn until(server: &TestServer, status: u16) -> serde_json::Value {
    let began_at = monotonic();
    loop {
        let reply = server.get("/readyz").await;
        if reply.status == status {
            return reply.json();
        }
        assert!(began_at.elapsed() < NOTICED, "{}", reply.text());
    }
}

#[tokio::test]
async fn new_orders_are_refused_before_the_disk_is_full_and_taken_again_after() {
    let (server, free) = server().await;
    server
        .create(&order_with(json!({"order_id": "done"})))
        .await;
    let slow = order_with(json!({"order_id": "slow", "process": "slow"}));
    server.create(&slow).await;
    let key = ["Content-Type: application/json", "Idempotency-Key: k"];
    let sent = order().to_string();
    let keyed = server.send("POST /v1/orders", &key, &sent).await;
    assert_eq!(keyed.status, 201);
    free.store(MARK - 1, Ordering::Relaxed);
    let unready = until(&server, 503).await;
    assert_eq!(unready["checks"]["storage"], "full");
    assert_eq!(unready["checks"]["accepting"], "ok");

    let refused = server.post("/v1/orders", &sent).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "storage-full".into())
    );
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    let batch = json!([order(), order()]).to_string();
    let refused = server.post("/v1/orders/batch", batch).await.json();
    assert_eq!(refused["results"][1]["problem"]["code"], "storage-full");
    assert_eq!(server.get("/v1/orders/done").await.status, 200);
    assert_eq!(server.get("/v1/events").await.status, 200);
    assert_eq!(server.get("/livez").await.status, 200);
    let cancelled = server.post("/v1/orders/slow/cancel", "{}").await;
    assert_eq!(cancelled.json()["status"], "cancelled");
    let stats = server.get("/v1/stats").await.json();
    let storage = &stats["storage"];
    assert_eq!(
        (&storage["status"], &storage["refused"]),
        (&json!("full"), &json!(3))
    );
    assert_eq!(storage["free_bytes_min"], MARK);
    assert_eq!(storage["reserve_bytes"], 32 << 20);
    assert_eq!(stats["orders"]["total"], 3);
    let metrics = server.get("/metrics").await.text();
    for line in [
        "orderd_storage_full 1",
        "orderd_refused_storage_full_total 3",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}\n{metrics}");
    }
    let replayed = server.send("POST /v1/orders", &key, &sent).await;
    assert_eq!((replayed.status, &replayed.body), (201, &keyed.body));

    free.store(TOTAL, Ordering::Relaxed);
    assert_eq!(until(&server, 200).await["checks"]["storage"], "ok");
    server.create(&order()).await;
    server.stop().await;
}

#[tokio::test]
async fn orders_that_are_refused_for_want_of_disk_take_no_room_from_those_that_follow() {
    let settings = engine::Settings {
        open_orders_max: 3,
        ..engine::Settings::default()
    };
    let (server, free) = server_with(settings).await;
    free.store(MARK - 1, Ordering::Relaxed);
    until(&server, 503).await;
    let sent = order().to_string();
    let batch = json!([order(), order()]).to_string();
    for _ in 0..4 {
        let refused = server.post("/v1/orders", &sent).await;
        assert_eq!(refused.code(), "storage-full");
        let refused = server.post("/v1/orders/batch", &batch).await.json();
        assert_eq!(refused["results"][0]["problem"]["code"], "storage-full");
    }
    free.store(TOTAL, Ordering::Relaxed);
    until(&server, 200).await;
    server.create(&order()).await;
    server.stop().await;
}
