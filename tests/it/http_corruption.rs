//! Damage on disk, planted with SQL behind the server's back: what is damaged is shown to nobody,
//! all else goes on, also after a restart.

use std::time::Duration;

use orderd::clock::monotonic;
use serde_json::{Value, json};

use super::support::{Setup, TestServer, order_with, within};
use super::{http_queues, unchecked};

/// Ways to damage the row of an order so that it can be seen.
const DAMAGES: [&str; 6] = [
    "currency = 'ZZZ'",
    "total_minor = -1",
    "status = 99",
    "priority = 7",
    "lease = NULL, due_at = NULL",
    "hold = '{}'",
];

/// A server with three open orders.
async fn three() -> TestServer {
    let server = TestServer::start().await;
    for id in ["a", "b", "c"] {
        let order = order_with(json!({"order_id": id, "process": "slow"}));
        server.create(&order).await;
    }
    server
}

fn ids(page: &Value) -> Vec<&str> {
    let orders = page["data"].as_array().unwrap().iter();
    orders
        .filter_map(|order| order["order_id"].as_str())
        .collect()
}

/// The code of what is answered to this, which is no success.
async fn refused(server: &TestServer, path: &str) -> (u16, String) {
    let reply = server.get(path).await;
    (reply.status, reply.code())
}

async fn cancel(server: &TestServer, id: &str) -> u16 {
    let path = format!("/v1/orders/{id}/cancel");
    server.post(&path, "{}").await.status
}

#[tokio::test]
async fn a_damaged_order_is_shown_to_nobody_and_the_others_go_on() {
    let corruption = (500, "corruption".to_owned());
    for damage in DAMAGES {
        let server = three().await;
        server.damage(&format!("UPDATE orders SET {damage} WHERE seq = 2"));
        assert_eq!(
            refused(&server, "/v1/orders/b").await,
            corruption,
            "{damage}"
        );
        assert_eq!(refused(&server, "/v1/orders/b/events").await, corruption);
        assert_eq!(cancel(&server, "b").await, 500);
        let page = server.get("/v1/orders").await.json();
        assert_eq!((ids(&page), &page["left_out"]), (vec!["c", "a"], &json!(1)));
        let mut path = "/v1/orders?limit=1".to_owned();
        let mut seen = Vec::new();
        while seen.len() < 9 {
            let page = server.get(&path).await.json();
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("/v1/orders?limit=1&after={next}");
        }
        assert_eq!(seen, ["c", "a"]);
        assert_eq!(cancel(&server, "a").await, 200);
        let metrics = server.get("/metrics").await.text();
        let line = "orderd_bad_rows_total 0";
        assert!(!metrics.lines().any(|it| it == line), "{metrics}");
        let setup = Setup {
            place: Some(server.stop().await),
            ..Setup::default()
        };

        let server = TestServer::with(setup).await;
        assert_eq!(cancel(&server, "c").await, 200, "{damage}");
        assert_eq!(refused(&server, "/v1/orders/b").await, corruption);
        let stats = server.get("/v1/stats").await.json();
        assert_eq!(stats["orders"]["open"], 1, "the damaged one still counts");
        server.create(&order_with(json!({"order_id": "d"}))).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_damaged_journal_row_is_named_and_its_events_are_shown_to_nobody() {
    let server = three().await;
    let row = "(SELECT position FROM orders WHERE id = 'b')";
    server.damage(&format!(
        "UPDATE journal SET at = at + 1 WHERE position = {row}"
    ));
    let corruption = (500, "corruption".to_owned());
    assert_eq!(refused(&server, "/v1/orders/b/events").await, corruption);
    let feed = server.get("/v1/events").await;
    assert_eq!(feed.code(), "corruption");
    assert_eq!(refused(&server, "/v1/events/stream").await, corruption);
    assert!(
        feed.text().contains("of the journal is damaged"),
        "{}",
        feed.text()
    );
    assert_eq!(server.get("/v1/orders/a/events").await.status, 200);
    assert_eq!(server.get("/v1/orders/b").await.status, 200);
    assert_eq!(cancel(&server, "b").await, 200);
    server.stop().await;
}

/// What a step said fills pages of its own. One of them leads to a page that is not there.
fn break_the_output(path: &str) {
    let mut file = std::fs::read(path).unwrap();
    let size = usize::from(u16::from_be_bytes([file[16], file[17]]));
    let page = file
        .chunks_mut(size)
        .find(|page| page[4..].iter().all(|byte| *byte == b'z'));
    page.unwrap()[..4].copy_from_slice(&[0x7f; 4]);
    std::fs::write(path, file).unwrap();
}

#[tokio::test]
async fn work_of_which_a_page_cannot_be_read_is_dead_and_the_rest_is_leased() {
    let server = http_queues::start().await;
    for id in ["a", "b"] {
        http_queues::create(&server, id, "shop").await;
    }
    let mut picked = 0;
    while picked < 2 {
        for leased in http_queues::lease(&server, "pickers").await {
            let mut done = http_queues::mention(&leased);
            if leased["order_id"] == "a" {
                done["output"] = "z".repeat(60_000).into();
            }
            let reply = http_queues::ask(&server, "pickers", "complete", done).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            picked += 1;
        }
    }
    let place = server.stop().await;
    let url = place.url();
    let Some(path) = url.strip_prefix("sqlite:") else {
        // Database servers have files of their own.
        return;
    };
    // Whoever closes the file last has its log copied.
    assert_eq!(
        unchecked::run(&url, "UPDATE orders SET seq = seq WHERE seq = 0"),
        Ok(0)
    );
    break_the_output(path);
    let server = http_queues::start_at(None, Some(place)).await;
    let leased = async {
        loop {
            // Those of which nothing can be read are not in the answer.
            let leased = http_queues::lease(&server, "packers").await;
            if !leased.is_empty() {
                break leased;
            }
        }
    };
    let leased = within(leased).await;
    assert_eq!((leased.len(), &leased[0]["order_id"]), (1, &json!("b")));
    let dead =
        async { while server.get("/v1/stats").await.json()["orders"]["by_status"]["dead"] != 1 {} };
    within(dead).await;
    let corruption = (500, "corruption".to_owned());
    assert_eq!(refused(&server, "/v1/orders/a").await, corruption);
    server.stop().await;
}

/// Asks whether the server is ready until it is, or not any more; answers with what its storage is.
async fn until_ready(server: &TestServer, is_ready: bool) -> Value {
    let began_at = monotonic();
    loop {
        let reply = server.get("/readyz").await;
        if (reply.status == 200) == is_ready {
            return reply.json()["checks"]["storage"].clone();
        }
        assert!(
            began_at.elapsed() < Duration::from_secs(20),
            "{}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn a_server_whose_store_refuses_is_not_ready_until_it_takes_what_waits() {
    let server = three().await;
    let behind = |sql| unchecked::run(&server.place.url(), sql).unwrap();
    behind("ALTER TABLE journal RENAME TO elsewhere");
    let refused = async { cancel(&server, "a").await };
    let back = async {
        assert_eq!(until_ready(&server, false).await, "refusing");
        let metrics = server.get("/metrics").await.text();
        assert!(
            metrics.contains("\norderd_storage_refusing 1\n"),
            "{metrics}"
        );
        behind("ALTER TABLE elsewhere RENAME TO journal");
        assert_eq!(until_ready(&server, true).await, "ok");
    };
    let (status, ()) = tokio::join!(refused, back);
    assert!([200, 503].contains(&status), "{status}");
    let order = server.get("/v1/orders/a").await.json();
    assert_eq!(order["status"], "cancelled");
    server.stop().await;
}
