//! Connections: slow and silent clients are closed, the others keep their answers, and a shutdown
//! loses nothing.

use std::time::Duration;

use orderd::clock::monotonic;
use orderd::server::BodyBudget;
use serde_json::json;

use crate::support::{Setup, TestServer, order, order_with, within};

const SHORT: Duration = Duration::from_millis(200);

fn short() -> Setup {
    let mut setup = Setup::default();
    setup.server.head_timeout = SHORT;
    setup.server.idle_timeout = SHORT;
    setup.server.write_timeout = SHORT;
    setup.server.linger = SHORT;
    setup.bodies = BodyBudget::new(0, SHORT);
    setup
}

#[tokio::test]
async fn a_silent_or_slow_client_is_closed() {
    let server = TestServer::with(short()).await;
    for start in ["", "GET /livez HTTP/1.1\r\nHost: x\r\n", "P"] {
        let mut connection = server.connect().await;
        let begun = monotonic();
        connection.write(start).await;
        assert!(connection.rest().await.is_empty(), "{start:?}");
        assert!(begun.elapsed() >= SHORT, "{start:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_its_head_byte_by_byte_is_closed() {
    let server = TestServer::with(short()).await;
    let connection = server.connect().await;
    let (mut reading, mut writing) = connection.0.into_split();
    let drip = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while writing.write_all(b"a").await.is_ok() {
            tick.tick().await;
        }
    });
    let mut rest = Vec::new();
    let _ = within(tokio::io::AsyncReadExt::read_to_end(
        &mut reading,
        &mut rest,
    ))
    .await;
    within(drip).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_slow_body_is_answered_and_closed() {
    let server = TestServer::with(short()).await;
    let mut connection = server.connect().await;
    let headers = ["Content-Type: application/json", "Content-Length: 100"];
    connection.request("POST /v1/orders", &headers, b"").await;
    connection.write("{").await;
    let reply = connection.reply().await;
    assert_eq!((reply.status, &*reply.code()), (408, "request-timeout"));
    assert!(connection.rest().await.is_empty());
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answers() {
    let server = TestServer::with(short()).await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        connection.request("GET /livez", &[], b"").await;
        assert_eq!(connection.reply().await.status, 200);
    }
    assert!(connection.rest().await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let server = TestServer::with(short()).await;
    let notes = "x".repeat(8_000);
    let batch: Vec<_> = (0..1_000)
        .map(|_| order_with(json!({"notes": notes})))
        .collect();
    let batch = serde_json::Value::Array(batch).to_string();
    assert_eq!(server.post("/v1/orders/batch", batch).await.status, 200);
    let mut connection = server.connect().await;
    let list = b"GET /v1/orders?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
    connection.write(list).await;
    let mut room = tokio::time::interval(SHORT);
    // The server gives up: from then on the client's own writes fail.
    within(async {
        while tokio::io::AsyncWriteExt::write_all(&mut connection.0, b" ")
            .await
            .is_ok()
        {
            room.tick().await;
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn waiting_for_an_end_is_not_being_slow() {
    let server = TestServer::with(short()).await;
    let headers = ["Content-Type: application/json", "Prefer: wait=1"];
    let body = order_with(json!({"process": "slow"})).to_string();
    let begun = monotonic();
    let reply = server.send("POST /v1/orders", &headers, body).await;
    assert_eq!(reply.status, 201);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    server.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    let mut bytes = Vec::new();
    for at in 0..20 {
        let body = order_with(json!({"order_id": format!("p{at}")})).to_string();
        let head = format!(
            "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body.as_bytes());
    }
    connection.write(bytes).await;
    for at in 0..20 {
        let reply = connection.reply().await;
        assert_eq!(reply.json()["order_id"], format!("p{at}"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_has_finished_sending_still_gets_its_answer() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    connection
        .request("POST /v1/orders", &[], order().to_string().as_bytes())
        .await;
    tokio::io::AsyncWriteExt::shutdown(&mut connection.0)
        .await
        .unwrap();
    assert_eq!(connection.reply().await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn http_1_0_is_served_with_and_without_keep_alive() {
    let server = TestServer::start().await;
    let body = order().to_string();
    let request = |headers: &str| {
        let length = body.len();
        format!("POST /v1/orders HTTP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
    };
    let mut connection = server.connect().await;
    for _ in 0..2 {
        connection
            .write(request("Connection: Keep-Alive\r\n"))
            .await;
        let reply = connection.reply().await;
        assert_eq!(reply.status, 201);
        // A client of this version goes on only if it is told that it may.
        assert_eq!(reply.header("connection"), "keep-alive");
    }
    connection.write(request("")).await;
    assert_eq!(connection.reply().await.status, 201);
    assert!(connection.rest().await.is_empty());
    assert_eq!(server.count().await, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_arrives_although_nobody_has_read_the_body() {
    let server = TestServer::start().await;
    let long = format!("POST /{}", "x".repeat(9_000));
    for (start, status) in [("POST /v1/orders", 403), (&*long, 414)] {
        // More than the buffers between both sides hold.
        let body = vec![b' '; 20 << 20];
        let headers = ["Origin: http://evil.test", "Connection: close"];
        let reply = server.send(start, &headers, body).await;
        assert_eq!(reply.status, status);
    }
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let mut setup = Setup::default();
    setup.server.connections_max = 1;
    let server = TestServer::with(setup).await;
    let mut first = server.connect().await;
    first.request("GET /livez", &[], b"").await;
    assert_eq!(first.reply().await.status, 200);
    let mut second = server.connect().await;
    second.request("GET /livez", &[], b"").await;
    let reply = second.reply().await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["code"], "overloaded");
    assert_eq!(reply.retry_after(), 5);
    assert!(second.rest().await.is_empty());
    drop(second);
    first.request("GET /livez", &[], b"").await;
    assert_eq!(first.reply().await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_answers_what_is_in_flight_and_closes_idle_connections() {
    let server = TestServer::start().await;
    let mut idle = server.connect().await;
    idle.request("GET /livez", &[], b"").await;
    assert_eq!(idle.reply().await.status, 200);
    let mut busy = server.connect().await;
    let headers = ["Prefer: wait=60"];
    let body = order_with(json!({"process": "slow", "order_id": "a"})).to_string();
    busy.request("POST /v1/orders", &headers, body.as_bytes())
        .await;
    within(async {
        while server.get("/v1/orders/a").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let address = server.address;
    let served = server.begin_stop();
    assert!(idle.rest().await.is_empty());
    let reply = busy.reply().await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json()["order_id"], "a");
    within(served).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let mut setup = Setup::default();
    setup.server.drain_timeout = SHORT;
    let server = TestServer::with(setup).await;
    let mut stuck = server.connect().await;
    let headers = ["Content-Length: 100", "Expect: 100-continue"];
    stuck.request("POST /v1/orders", &headers, b"").await;
    assert_eq!(stuck.head_reply().await.status, 100);
    within(server.begin_stop()).await.unwrap();
    assert!(stuck.rest().await.is_empty());
}
