//! Pages of large orders: a page ends early rather than filling the memory.
//!
//! Cursors still lead through all of them, once each.

use serde_json::json;

use crate::support::{TestServer, order_with};

#[tokio::test]
async fn a_page_of_large_orders_ends_early_and_goes_on() {
    let server = TestServer::start().await;
    let articles: Vec<_> = (0..1_000).map(|n| format!("{n:0>200}")).collect();
    let large = order_with(json!({"items": articles}));
    let batch = json!(vec![&large; 30]);
    let reply = server.post("/v1/orders/batch", batch.to_string()).await;
    assert_eq!(reply.status, 200);
    let (mut path, mut found, mut pages) = ("/v1/orders?limit=30".to_owned(), 0, 0);
    loop {
        let reply = server.get(&path).await;
        assert!(
            reply.body.len() < 6 << 20,
            "a page of {} bytes",
            reply.body.len()
        );
        let page = reply.json();
        found += page["data"].as_array().unwrap().len();
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/orders?limit=30&after={cursor}");
    }
    assert_eq!(found, 30);
    assert!(pages > 1, "6 MB came on one page");
    server.stop().await;
}
