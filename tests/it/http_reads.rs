//! Reading: lists, histories, the feed, statistics, metrics, health, documents.
//!
//! What is read is checked against the documented shapes, with unknown fields denied.

use std::collections::BTreeSet;

use orderd::http::schema;
use orderd::http::{EventPage, EventType, StatsView};
use serde_json::{Value, json};

use crate::support::{TestServer, order, order_with, within};

fn ids(page: &Value) -> Vec<String> {
    let orders = page["data"].as_array().unwrap().iter();
    orders
        .map(|order| order["order_id"].as_str().unwrap().to_owned())
        .collect()
}

/// Creates an order and waits until it has ended.
async fn create_and_end(server: &TestServer, fields: Value) -> Value {
    let headers = ["Content-Type: application/json", "Prefer: wait=60"];
    let body = order_with(fields).to_string();
    let reply = within(server.send("POST /v1/orders", &headers, body)).await;
    assert_eq!(reply.status, 201);
    reply.json()
}

/// All ids of a list, page by page.
async fn walk(server: &TestServer, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = server.get(&format!("{path}&after={cursor}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let page = reply.json();
        let _: schema::OrderPage = serde_json::from_slice(&reply.body).unwrap();
        all.extend(ids(&page));
        if page["has_more"] == false {
            assert_eq!(page["next_cursor"], Value::Null);
            return all;
        }
        cursor = page["next_cursor"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn lists_are_newest_first_and_filtered() {
    let server = TestServer::start().await;
    for at in 0..10 {
        let process = if at % 2 == 0 { "slow" } else { "default" };
        let customer = format!("c&{}", at % 3);
        let fields = json!({
            "order_id": format!("o{at}"),
            "process": process,
            "customer_id": customer,
            "priority": at % 3 + 1
        });
        if process == "slow" {
            server.create(&order_with(fields)).await;
        } else {
            create_and_end(&server, fields).await;
        }
    }
    let name = |at: &i32| format!("o{at}");
    let expect = |which: &[i32]| -> Vec<_> { which.iter().map(name).collect() };
    let all: Vec<_> = (0..10).rev().collect();
    for limit in [1, 3, 10, 1000] {
        let found = walk(&server, &format!("/v1/orders?limit={limit}")).await;
        assert_eq!(found, expect(&all), "limit {limit}");
    }
    for (filter, which) in [
        ("status=completed", &[9, 7, 5, 3, 1][..]),
        ("customer_id=c%261", &[7, 4, 1]),
        ("priority=3", &[8, 5, 2]),
        ("process=slow", &[8, 6, 4, 2, 0]),
        ("process=slow&priority=1", &[6, 0]),
        ("status=expired", &[]),
        ("created_before=2020-01-01T00:00:00Z", &[]),
        ("created_after=2099-01-01T00:00:00Z", &[]),
    ] {
        let found = walk(&server, &format!("/v1/orders?limit=2&{filter}")).await;
        assert_eq!(found, expect(which), "{filter}");
    }
    let middle = server.get("/v1/orders/o5").await.json();
    let time = middle["created_at"].as_str().unwrap();
    let found = walk(&server, &format!("/v1/orders?created_after={time}")).await;
    assert_eq!(found, expect(&[9, 8, 7, 6, 5]));
    let found = walk(&server, &format!("/v1/orders?created_before={time}")).await;
    assert_eq!(found, expect(&[4, 3, 2, 1, 0]));

    let page = server.get("/v1/orders?limit=1&priority=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let reply = server
        .get(&format!("/v1/orders?limit=1&priority=2&after={cursor}"))
        .await;
    assert_eq!(reply.code(), "bad-cursor");
    server.stop().await;
}

#[tokio::test]
async fn an_order_named_batch_can_be_read() {
    let server = TestServer::start().await;
    server
        .create(&order_with(json!({"order_id": "batch"})))
        .await;
    assert_eq!(
        server.get("/v1/orders/batch").await.json()["order_id"],
        "batch"
    );
    let reply = server.send("DELETE /v1/orders/batch", &[], "").await;
    assert_eq!(reply.code(), "method-not-allowed");
    server.stop().await;
}

#[tokio::test]
async fn an_order_that_is_known_is_not_sent_again() {
    let server = TestServer::start().await;
    let held = json!({"order_id": "a", "hold": {"reason": "x"}});
    server.create(&order_with(held)).await;
    let read = async |condition| server.send("GET /v1/orders/a", &[condition], "").await;
    for known in [
        "If-None-Match: \"2\"",
        "If-None-Match: W/\"1\", W/\"2\"",
        "If-None-Match: *",
    ] {
        let reply = read(known).await;
        assert_eq!((reply.status, &*reply.body), (304, &b""[..]), "{known}");
        assert_eq!(reply.header("etag"), "\"2\"");
    }
    let full = server.get("/v1/orders/a").await;
    assert_eq!(read("If-None-Match: \"1\"").await.body, full.body);
    server.post("/v1/orders/a/release", "{}").await;
    assert_eq!(read("If-None-Match: \"2\"").await.status, 200);
    let gone = server
        .send("GET /v1/orders/b", &["If-None-Match: *"], "")
        .await;
    assert_eq!(gone.code(), "order-not-found");
    server.stop().await;
}

#[tokio::test]
async fn a_history_tells_what_happened_in_order() {
    let server = TestServer::start().await;
    create_and_end(&server, json!({"order_id": "a/1"})).await;
    create_and_end(&server, json!({"order_id": "b", "process": "failing"})).await;
    let later = json!({"order_id": "c", "start_at": "2099-01-01T00:00:00Z"});
    server.create(&order_with(later)).await;
    for (id, types) in [
        (
            "a%2F1",
            &[
                EventType::Accepted,
                EventType::Started,
                EventType::Completed,
            ][..],
        ),
        (
            "b",
            &[EventType::Accepted, EventType::Started, EventType::Dead],
        ),
        ("c", &[EventType::Scheduled]),
    ] {
        let reply = server.get(&format!("/v1/orders/{id}/events")).await;
        let page: EventPage = serde_json::from_slice(&reply.body).unwrap();
        let found: Vec<_> = page.data.iter().map(|event| event.r#type).collect();
        assert_eq!(found, types, "{id}");
        let versions: Vec<_> = page.data.iter().map(|event| event.version).collect();
        assert!(versions.into_iter().eq(1..=types.len() as u32), "{id}");
        assert!(!page.has_more);
    }
    let page = server.get("/v1/orders/b/events?limit=2").await.json();
    assert_eq!(page["has_more"], true);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = server
        .get(&format!("/v1/orders/b/events?after={cursor}"))
        .await
        .json();
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
    assert_eq!(rest["data"][0]["type"], "order.dead");
    server.stop().await;
}

#[tokio::test]
async fn the_feed_has_every_event_once_and_goes_on() {
    let server = TestServer::start().await;
    let empty = server.get("/v1/events").await.json();
    assert_eq!(
        empty,
        json!({"data": [], "has_more": false, "next_cursor": null})
    );
    for at in 0..5 {
        create_and_end(&server, json!({"order_id": format!("o{at}")})).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = server
            .get(&format!("/v1/events?limit=4&after={cursor}"))
            .await;
        let page: EventPage = serde_json::from_slice(&reply.body).unwrap();
        seen.extend(page.data.into_iter().map(|event| event.event_id));
        cursor = page.next_cursor.unwrap();
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen.len(), 15);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 15);
    let nothing = server
        .get(&format!("/v1/events?after={cursor}"))
        .await
        .json();
    assert_eq!(nothing["next_cursor"], *cursor);
    server.create(&order_with(json!({"process": "slow"}))).await;
    let next = server
        .get(&format!("/v1/events?after={cursor}"))
        .await
        .json();
    assert_eq!(next["data"][0]["type"], "order.accepted");
    let by_id = server
        .get(&format!("/v1/events?after={}", seen[13]))
        .await
        .json();
    assert_eq!(by_id["data"][0]["event_id"], *seen[14]);
    server.stop().await;
}

#[tokio::test]
async fn statistics_and_metrics_count_what_happened() {
    let server = TestServer::start().await;
    create_and_end(&server, json!({"priority": 1})).await;
    server
        .create(&order_with(json!({"process": "slow", "priority": 3})))
        .await;
    server.post("/v1/orders", "{").await;
    let reply = server.get("/v1/stats").await;
    let stats: StatsView = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(stats.orders.by_status.len(), 10);
    assert_eq!(stats.orders.by_status["completed"], 1);
    assert_eq!((stats.orders.open, stats.orders.total), (1, 2));
    assert_eq!(stats.orders.by_priority["3"], 1);
    assert_eq!(stats.processing_time_ms.count, 1);
    let level = &*stats.durability.level;
    assert!(["disk", "memory", "network"].contains(&level), "{level}");
    assert_eq!(stats.shard.epoch, 1);
    let (done, slow) = (&stats.processes["default"], &stats.processes["slow"]);
    assert_eq!(
        (done.total, done.open, done.by_status["completed"]),
        (1, 0, 1)
    );
    assert_eq!((slow.total, slow.open, slow.by_status.len()), (1, 1, 10));
    assert_eq!(
        (slow.average_work_ms, stats.processes["failing"].total),
        (0.0, 0)
    );

    let reply = server.get("/metrics").await;
    assert!(
        reply
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let text = reply.text();
    for line in [
        "orderd_http_requests_total{route=\"create\",class=\"2xx\"} 2",
        "orderd_http_requests_total{route=\"create\",class=\"4xx\"} 1",
        "orderd_orders{status=\"completed\",priority=\"1\"} 1",
        "orderd_accept_seconds_bucket{le=\"+Inf\"} 2",
        "orderd_accept_seconds_count 2",
        "orderd_shard_epoch{shard=\"0\"} 1",
        "orderd_accepting 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<_> = kinds.filter_map(|line| line.split_once(' ')).collect();
    let document = include_str!("../../docs/metrics.md");
    let rows = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `orderd_"));
    let documented: BTreeSet<_> = rows
        .filter_map(|row| {
            let mut cells = row.split('|').map(str::trim);
            Some((cells.next()?.trim_end_matches('`'), cells.next()?))
        })
        .collect();
    let told: BTreeSet<_> = told
        .into_iter()
        .map(|(name, kind)| (name.trim_start_matches("orderd_"), kind))
        .collect();
    assert_eq!(told, documented);
    server.stop().await;
}

#[tokio::test]
async fn head_works_wherever_get_does() {
    let server = TestServer::start().await;
    server.create(&order_with(json!({"order_id": "a"}))).await;
    for path in [
        "/v1/orders",
        "/v1/orders/a",
        "/v1/orders/nope",
        "/v1/orders/a/events",
        "/v1/events",
        "/v1/stats",
        "/livez",
        "/readyz",
        "/healthz",
        "/version",
        "/metrics",
        "/errors/overloaded",
        "/openapi.json",
        "/nowhere",
    ] {
        let get = server.get(path).await;
        let mut connection = server.connect().await;
        connection
            .request(&format!("HEAD {path}"), &["Connection: close"], b"")
            .await;
        let head = connection.head_reply().await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert!(connection.rest().await.is_empty(), "{path} has a body");
    }
    server.stop().await;
}

#[tokio::test]
async fn small_documents_are_served() {
    let server = TestServer::start().await;
    let version = server.get("/version").await.json();
    assert_eq!(
        version,
        json!({"name": "orderd", "version": env!("CARGO_PKG_VERSION")})
    );
    let page = server.get("/errors/order-exists").await;
    assert_eq!(page.header("content-type"), "text/plain; charset=utf-8");
    assert!(page.text().starts_with("# order-exists\n\nStatus 409"));
    assert!(
        server
            .get("/errors/sum-mismatch")
            .await
            .text()
            .contains("add up")
    );
    let created = server.create(&order()).await;
    assert_eq!(created["customer_id"], "c1");
    server.stop().await;
}
