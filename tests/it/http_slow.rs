//! Slow and greedy clients beside ordinary ones: the ordinary ones get all their answers, the
//! others are closed, and idle connections hold up nobody and give way.

use std::time::Duration;

use orderd::clock::monotonic;
use orderd::server::BodyBudget;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::{Connection, Setup, TestServer, order, order_with, within};

const SHORT: Duration = Duration::from_millis(300);
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(20);
/// Slow clients of each kind in a test.
const SLOW: usize = 40;

fn short() -> Setup {
    let mut setup = Setup::default();
    setup.server.head_timeout = SHORT;
    setup.server.write_timeout = SHORT;
    setup.server.linger = SHORT;
    setup.bodies = BodyBudget::new(0, SHORT);
    setup
}

/// Sends `start`, then a byte now and then, until the server has closed the connection. Answers
/// with what it said before.
async fn drip(connection: Connection, start: &'static str) -> String {
    let (mut reading, mut writing) = connection.0.into_split();
    let dripping = tokio::spawn(async move {
        let mut tick = tokio::time::interval(DRIP);
        let _ = writing.write_all(start.as_bytes()).await;
        while writing.write_all(b" ").await.is_ok() {
            tick.tick().await;
        }
    });
    let mut said = Vec::new();
    // A connection that is reset has said all that it will.
    let _ = reading.read_to_end(&mut said).await;
    dripping.await.unwrap();
    String::from_utf8(said).unwrap()
}

const SLOW_HEAD: &str = "POST /v1/orders HTTP/1.1\r\nX-Slow:";
const SLOW_BODY: &str = "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{";

#[tokio::test]
async fn ordinary_clients_are_answered_beside_slow_ones_which_are_closed() {
    let server = TestServer::with(short()).await;
    let mut slow = JoinSet::new();
    for _ in 0..SLOW {
        slow.spawn(drip(server.connect().await, SLOW_HEAD));
        slow.spawn(drip(server.connect().await, SLOW_BODY));
    }
    let mut honest = server.connect().await;
    let mut count = 0;
    let mut answered = 0;
    within(async {
        while count < 2 * SLOW {
            let body = order().to_string();
            honest
                .request("POST /v1/orders", &[], body.as_bytes())
                .await;
            assert_eq!(honest.reply().await.status, 201);
            answered += 1;
            while let Some(said) = slow.try_join_next() {
                let said = said.unwrap();
                // The head has no end, so there is nothing to answer; a body can be answered.
                assert!(
                    said.is_empty() || said.starts_with("HTTP/1.1 408 "),
                    "{said}"
                );
                count += 1;
            }
        }
    })
    .await;
    assert!(answered > 0);
    assert_eq!(server.count().await, answered);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_in_is_given_up_however_often_a_byte_comes() {
    let server = TestServer::with(short()).await;
    let begun = monotonic();
    let said = within(drip(server.connect().await, SLOW_BODY)).await;
    assert!(begun.elapsed() >= SHORT);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("request-timeout"), "{said}");
    server.stop().await;
}

/// They ask for far more than the buffers between both sides hold, and read nothing of it.
#[tokio::test]
async fn clients_that_do_not_read_hold_up_nobody() {
    let server = TestServer::with(short()).await;
    let notes = "x".repeat(8_000);
    let batch = vec![order_with(json!({"notes": notes})); 500];
    let batch = serde_json::Value::Array(batch).to_string();
    assert_eq!(server.post("/v1/orders/batch", batch).await.status, 200);
    let list = b"GET /v1/orders?limit=500 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
    let mut greedy = JoinSet::new();
    for _ in 0..8 {
        let mut connection = server.connect().await;
        connection.write(&list).await;
        greedy.spawn(async move {
            let mut tick = tokio::time::interval(DRIP);
            // Its own writes fail as soon as the server has given up.
            while connection.0.write_all(b"\r\n").await.is_ok() {
                tick.tick().await;
            }
        });
    }
    let mut honest = server.connect().await;
    within(async {
        while !greedy.is_empty() {
            honest.request("GET /livez", &[], b"").await;
            assert_eq!(honest.reply().await.status, 200);
            let body = order().to_string();
            honest
                .request("POST /v1/orders", &[], body.as_bytes())
                .await;
            assert_eq!(honest.reply().await.status, 201);
            while let Some(closed) = greedy.try_join_next() {
                closed.unwrap();
            }
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_stay_and_hold_up_nobody() {
    let server = TestServer::with(short()).await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let mut connection = server.connect().await;
        connection.request("GET /livez", &[], b"").await;
        assert_eq!(connection.reply().await.status, 200);
        idle.push(connection);
    }
    for _ in 0..100 {
        server.create(&order()).await;
    }
    for connection in &mut idle {
        connection.request("GET /livez", &[], b"").await;
        assert_eq!(connection.reply().await.status, 200);
    }
    let closed = server.begin_stop();
    for mut connection in idle {
        assert!(connection.rest().await.is_empty());
    }
    within(closed).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_gives_way_when_there_is_no_room_for_another() {
    let mut setup = short();
    setup.server.connections_max = 3;
    setup.server.crowded_idle_timeout = SHORT;
    let server = TestServer::with(setup).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut connection = server.connect().await;
        connection.request("GET /livez", &[], b"").await;
        assert_eq!(connection.reply().await.status, 200);
        idle.push(connection);
    }
    let begun = monotonic();
    let refused = server.get("/livez").await;
    assert_eq!((refused.status, refused.retry_after()), (503, 5));
    let mut tick = tokio::time::interval(DRIP);
    within(async {
        while server.get("/livez").await.status != 200 {
            tick.tick().await;
        }
    })
    .await;
    assert!(begun.elapsed() >= SHORT);
    // Not all of them gave way: room for one is enough.
    let mut left = 0;
    for mut connection in idle {
        let request = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let _ = connection.0.write_all(request).await;
        let mut said = Vec::new();
        let _ = within(connection.0.read_to_end(&mut said)).await;
        left += usize::from(said.starts_with(b"HTTP/1.1 200 "));
    }
    assert!((1..3).contains(&left), "{left}");
    server.stop().await;
}

/// It reads steadily, but less than it must.
#[tokio::test]
async fn an_answer_must_be_read_at_a_least_rate() {
    let mut setup = short();
    setup.server.write_bytes_min = u64::MAX;
    let server = TestServer::with(setup).await;
    let notes = "x".repeat(8_000);
    let batch = vec![order_with(json!({"notes": notes})); 500];
    let batch = serde_json::Value::Array(batch).to_string();
    assert_eq!(server.post("/v1/orders/batch", batch).await.status, 200);
    let list = b"GET /v1/orders?limit=500 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
    let mut steady = server.connect().await;
    steady.write(&list).await;
    let mut tick = tokio::time::interval(DRIP);
    let mut piece = vec![0; 64 << 10];
    // A connection that is cut may end with a reset.
    within(async {
        while let Ok(1..) = steady.0.read(&mut piece).await {
            tick.tick().await;
        }
    })
    .await;
    server.stop().await;
}
