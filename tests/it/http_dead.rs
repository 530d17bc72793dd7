//! Dead letters over HTTP: listed by filter, tried again one by one or page by page, with a dry run
//! first.
//!
//! Over a real connection to a whole server; what must happen is polled for, with a bound.

use orderd::clock::Timestamp;
use orderd::http::schema;
use orderd::order::{RetryPolicy, Simulate, StepKind};
use serde_json::{Value, json};

use crate::support::{Setup, TestServer, order_with, within};

/// Creates orders that are dead after one attempt.
async fn dead(server: &TestServer, ids: &[&str], fields: Value) {
    for id in ids {
        let mut order = order_with(fields.clone());
        order["order_id"] = json!(id);
        order["process"] = json!("failing");
        let headers = ["Content-Type: application/json", "Prefer: wait=60"];
        let sent = server.send("POST /v1/orders", &headers, order.to_string());
        assert_eq!(within(sent).await.json()["status"], "dead", "{id}");
    }
}

async fn list(server: &TestServer, query: &str) -> Vec<String> {
    let reply = server.get(&format!("/v1/dead-letters?{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let page: schema::OrderPage = serde_json::from_slice(&reply.body).unwrap();
    page.data.into_iter().map(|order| order.order_id).collect()
}

async fn replay(server: &TestServer, body: Value) -> schema::ReplayResult {
    let reply = server
        .post("/v1/dead-letters/replay", body.to_string())
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// Waits until an order has this version.
async fn version(server: &TestServer, id: &str, version: i64) -> Value {
    let read = async {
        loop {
            let order = server.get(&format!("/v1/orders/{id}")).await.json();
            if order["version"].as_i64() >= Some(version) {
                return order;
            }
            tokio::task::yield_now().await;
        }
    };
    within(read).await
}

#[tokio::test]
async fn dead_letters_are_listed_by_filter() {
    let server = TestServer::start().await;
    dead(
        &server,
        &["A", "B"],
        json!({"customer_id": "ada", "priority": 1}),
    )
    .await;
    dead(&server, &["C"], json!({"customer_id": "bob"})).await;
    server.create(&order_with(json!({"process": "slow"}))).await;
    assert_eq!(list(&server, "").await, ["C", "B", "A"]);
    assert_eq!(list(&server, "customer_id=ada&limit=1").await, ["B"]);
    assert_eq!(
        list(&server, "process=failing&step=work&priority=2").await,
        ["C"]
    );
    assert_eq!(list(&server, "failure=simulated").await, ["C", "B", "A"]);
    for none in [
        "process=slow",
        "step=pay",
        "failure=timed+out",
        "priority=3",
        "created_after=2999-01-01T00:00:00Z",
        "created_before=2020-01-01T00:00:00Z",
    ] {
        assert_eq!(list(&server, none).await, [""; 0], "{none}");
    }
    let second = server.get("/v1/orders/B").await.json();
    let second = second["created_at"].as_str().unwrap();
    assert_eq!(
        list(&server, &format!("created_after={second}")).await,
        ["C", "B"]
    );
    assert_eq!(
        list(&server, &format!("created_before={second}")).await,
        ["A"]
    );
    let first = server.get("/v1/dead-letters?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(
        list(&server, &format!("limit=2&after={cursor}")).await,
        ["A"]
    );
    let other = server
        .get(&format!("/v1/dead-letters?step=work&after={cursor}"))
        .await;
    assert_eq!(other.code(), "bad-cursor");
    assert_eq!(
        server.get("/v1/dead-letters?status=dead").await.code(),
        "bad-query"
    );
    server.stop().await;
}

#[tokio::test]
async fn one_dead_order_is_tried_again_with_fresh_attempts() {
    let server = TestServer::start().await;
    dead(&server, &["A"], json!({})).await;
    let path = "/v1/orders/A/retry";
    let stale = server
        .send(&format!("POST {path}"), &["If-Match: \"2\""], "")
        .await;
    assert_eq!(stale.code(), "version-mismatch");
    let body = json!({"reason": "the bank is back", "by": "ada"}).to_string();
    let reply = server.post(path, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let order = version(&server, "A", 6).await;
    assert_eq!(
        (&order["status"], &order["attempt"]),
        (&json!("dead"), &json!(1))
    );
    let events = server.get("/v1/orders/A/events").await.json();
    let types = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["type"].as_str().unwrap());
    assert_eq!(
        types.collect::<Vec<_>>(),
        [
            "order.accepted",
            "order.started",
            "order.dead",
            "order.replayed",
            "order.started",
            "order.dead",
        ]
    );
    let replayed = &events["data"][3];
    assert_eq!(
        (&replayed["reason"], &replayed["by"]),
        (&json!("the bank is back"), &json!("ada"))
    );
    server
        .create(&order_with(json!({"order_id": "B", "process": "slow"})))
        .await;
    let reply = server.post("/v1/orders/B/retry", "{}").await;
    assert_eq!((reply.status, &*reply.code()), (409, "order-not-dead"));
    assert!(["pending", "processing"].contains(&reply.json()["order_status"].as_str().unwrap()));
    server.stop().await;
}

#[tokio::test]
async fn many_are_tried_again_page_by_page_after_a_dry_run() {
    let server = TestServer::start().await;
    let ids: Vec<_> = (0..7).map(|number| format!("A-{number}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    dead(&server, &ids, json!({"customer_id": "ada"})).await;
    dead(&server, &["B"], json!({"customer_id": "bob"})).await;
    let filter = json!({"customer_id": "ada", "failure": "simulated"});
    let mut request = json!({"filter": filter, "dry_run": true, "limit": 3});
    let mut matched = 0;
    loop {
        let result = replay(&server, request.clone()).await;
        assert_eq!(
            (result.dry_run, result.replayed, result.skipped),
            (true, 0, 0)
        );
        matched += result.matched;
        request["after"] = json!(result.next_cursor);
        if !result.has_more {
            break;
        }
    }
    assert_eq!(matched, 7);
    let mut request = json!({"filter": filter, "limit": 3, "by": "ada"});
    let mut pages = Vec::new();
    loop {
        let result = replay(&server, request.clone()).await;
        pages.push((result.matched, result.replayed, result.skipped));
        request["after"] = json!(result.next_cursor);
        if !result.has_more {
            break;
        }
    }
    assert_eq!(pages, [(3, 3, 0), (3, 3, 0), (1, 1, 0)]);
    for id in &ids {
        version(&server, id, 6).await;
    }
    assert_eq!(server.get("/v1/orders/B").await.json()["version"], 3);
    let before = json!({"filter": {"created_before": "2020-01-01T00:00:00Z"}});
    assert_eq!(replay(&server, before).await.matched, 0);
    let nobody = replay(&server, json!({"filter": {"process": "slow"}})).await;
    assert_eq!(
        (nobody.matched, nobody.has_more, nobody.next_cursor),
        (0, false, None)
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_replay_is_named() {
    let server = TestServer::start().await;
    for (body, pointer, code) in [
        (json!({"limit": 0}), "/limit", "out-of-range"),
        (json!({"limit": 1_001}), "/limit", "out-of-range"),
        (
            json!({"filter": {"priority": 9}}),
            "/filter/priority",
            "out-of-range",
        ),
        (
            json!({"filter": {"status": "dead"}}),
            "/filter/status",
            "unknown-field",
        ),
        (json!({"filter": []}), "/filter", "wrong-type"),
        (
            json!({"filter": {"created_after": "yesterday"}}),
            "/filter/created_after",
            "invalid-time",
        ),
        (json!({"dry_run": 1}), "/dry_run", "wrong-type"),
        (json!({"reason": ""}), "/reason", "invalid-length"),
        (json!({"by": "a\tb"}), "/by", "invalid-character"),
    ] {
        let reply = server
            .post("/v1/dead-letters/replay", body.to_string())
            .await;
        assert_eq!(
            (reply.status, &*reply.code()),
            (422, "invalid-change"),
            "{body}"
        );
        let fault = &reply.json()["errors"][0];
        assert_eq!(
            (&fault["pointer"], &fault["code"]),
            (&json!(pointer), &json!(code))
        );
    }
    let reply = server
        .post("/v1/dead-letters/replay", json!({"after": "x"}).to_string())
        .await;
    assert_eq!(reply.code(), "bad-cursor");
    server.stop().await;
}

/// A server whose process `failing` fails like this, and may try ten times.
async fn failing(simulate: Simulate) -> TestServer {
    let mut setup = Setup::default();
    let step = &mut setup.processes[2].steps[0];
    step.kind = StepKind::Simulate(Simulate {
        failures_ppm: 1_000_000,
        ..simulate
    });
    step.retry = RetryPolicy::default();
    TestServer::with(setup).await
}

async fn last_event(server: &TestServer, id: &str) -> Value {
    let page = server.get(&format!("/v1/orders/{id}/events")).await.json();
    page["data"].as_array().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn a_failure_for_good_needs_no_further_attempt() {
    let server = failing(Simulate {
        permanent_ppm: 1_000_000,
        ..Simulate::default()
    })
    .await;
    dead(&server, &["A"], json!({})).await;
    let order = server.get("/v1/orders/A").await.json();
    assert_eq!(order["attempt"], 1);
    assert_eq!(order["reason"], "simulated failure for good");
    assert_eq!(last_event(&server, "A").await["type"], "order.dead");
    server.stop().await;
}

#[tokio::test]
async fn a_step_is_not_tried_again_before_the_time_that_it_wished_for() {
    let hour = 3_600_000_000;
    let server = failing(Simulate {
        retry_after_us: Some(hour),
        ..Simulate::default()
    })
    .await;
    let order = order_with(json!({"order_id": "A", "process": "failing"}));
    server.create(&order).await;
    let order = version(&server, "A", 3).await;
    assert_eq!(
        (&order["status"], &order["attempt"]),
        (&json!("pending"), &json!(1))
    );
    let event = last_event(&server, "A").await;
    assert_eq!(event["type"], "order.retried");
    assert_eq!(event["until"], order["ready_at"]);
    let time = |value: &Value| Timestamp::parse_rfc3339(value.as_str().unwrap()).unwrap();
    let waits = time(&event["until"]).micros_since(time(&event["at"]));
    assert!((hour..=hour + 1_000_000).contains(&waits), "{waits}");
    server.stop().await;
}
