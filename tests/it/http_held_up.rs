//! The store takes long over a commit, and the engine's thread waits for it: whoever asks for
//! figures is answered all the same.
//!
//! A whole server with all dialects; its store has faults.

use orderd::order::Dialect;

use crate::compat_support::{CompatServer, NATIVE};
use crate::support::{order, within};

#[tokio::test]
async fn whoever_watches_the_server_is_answered_while_a_commit_takes_long() {
    let server = CompatServer::start().await;
    server.faults.hold_commits(true);
    let mut client = server.connect(NATIVE).await;
    let sent = order().to_string();
    client
        .request("POST /v1/orders", &[], sent.as_bytes())
        .await;
    // Until the order has reached the engine.
    within(async {
        loop {
            let metrics = server.get(NATIVE, "/metrics").await;
            assert_eq!(metrics.status, 200);
            assert!(metrics.text().contains("orderd_accepting 1"));
            if !metrics.text().contains("orderd_uptime_seconds") {
                break;
            }
        }
    })
    .await;
    let dialect = Dialect::Realtime.port();
    let (figures, health, stats) = tokio::join!(
        server.get(NATIVE, "/v1/stats"),
        server.get(dialect, "/health"),
        server.get(dialect, "/stats"),
    );
    assert_eq!(figures.code(), "store-unavailable");
    assert_eq!((health.status, stats.status), (503, 503));
    server.faults.hold_commits(false);
    assert_eq!(client.reply().await.status, 201);
    assert_eq!(server.get(NATIVE, "/v1/stats").await.status, 200);
    server.stop().await;
}
