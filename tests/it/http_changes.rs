//! Changes of accepted orders over HTTP: what is answered, what is stored, who wins a race.
//!
//! Over a real connection to a whole server; what must happen is polled for, with a bound.

use orderd::http::{EventPage, schema};
use orderd::order::{Simulate, StepKind};
use serde_json::{Value, json};

use crate::support::{Reply, Setup, TestServer, order_with, within};

const JSON: &str = "Content-Type: application/json";

/// Creates an order of the process `slow`, whose step never ends, and waits until it runs.
async fn running(server: &TestServer, id: &str) {
    server
        .create(&order_with(json!({"order_id": id, "process": "slow"})))
        .await;
    until(server, id, "processing").await;
}

/// Creates an order that is held back.
async fn held(server: &TestServer, id: &str) -> Value {
    let hold = json!({"reason": "fraud?", "by": "ada"});
    server
        .create(&order_with(json!({"order_id": id, "hold": hold})))
        .await
}

async fn read(server: &TestServer, id: &str) -> Value {
    let reply = server.get(&format!("/v1/orders/{id}")).await;
    let order: schema::Order = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(reply.header("etag"), format!("\"{}\"", order.version));
    reply.json()
}

/// Reads an order until it has this status.
async fn until(server: &TestServer, id: &str, status: &str) -> Value {
    let wait = async {
        loop {
            let order = read(server, id).await;
            if order["status"] == status {
                return order;
            }
            tokio::task::yield_now().await;
        }
    };
    within(wait).await
}

async fn ask(server: &TestServer, id: &str, verb: &str, body: Value) -> Reply {
    server
        .post(&format!("/v1/orders/{id}/{verb}"), body.to_string())
        .await
}

async fn history(server: &TestServer, id: &str) -> Vec<String> {
    let reply = server.get(&format!("/v1/orders/{id}/events")).await;
    let _: EventPage = serde_json::from_slice(&reply.body).unwrap();
    let page = reply.json();
    let events = page["data"].as_array().unwrap().iter();
    let words = events.map(|event| {
        let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", text("type"), text("reason"), text("by"))
    });
    words.collect()
}

#[tokio::test]
async fn an_order_is_cancelled_wherever_it_is() {
    let server = TestServer::start().await;
    let later = json!({"order_id": "scheduled", "start_at": "2099-01-01T00:00:00Z"});
    server.create(&order_with(later)).await;
    held(&server, "pending").await;
    running(&server, "processing").await;
    server
        .create(&order_with(
            json!({"order_id": "dead", "process": "failing"}),
        ))
        .await;
    until(&server, "dead", "dead").await;
    for id in ["scheduled", "pending", "processing", "dead"] {
        let body = json!({"reason": "ordered twice", "by": "ada"});
        let reply = ask(&server, id, "cancel", body).await;
        assert_eq!(reply.status, 200, "{id}: {}", reply.text());
        let order: schema::Order = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.header("etag"), format!("\"{}\"", order.version));
        assert_eq!(order.reason.as_deref(), Some("ordered twice"), "{id}");
        assert!(order.ended_at.is_some() && order.hold.is_none(), "{id}");
        assert_eq!(read(&server, id).await, reply.json(), "{id}");
        let last = history(&server, id).await.pop();
        assert_eq!(last.as_deref(), Some("order.cancelled ordered twice ada"));
    }
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["orders"]["by_status"]["cancelled"], 4);
    assert_eq!(stats["orders"]["open"], 0);
    server.stop().await;
}

#[tokio::test]
async fn whoever_cancels_too_late_is_told_how_the_order_ended() {
    let server = TestServer::start().await;
    let headers = [JSON, "Prefer: wait=60"];
    let body = order_with(json!({"order_id": "done"})).to_string();
    within(server.send("POST /v1/orders", &headers, body)).await;
    for verb in ["cancel", "release"] {
        let reply = ask(&server, "done", verb, json!({})).await;
        assert_eq!((reply.status, &*reply.code()), (409, "order-ended"));
        let problem = reply.json();
        assert_eq!(problem["order_status"], "completed");
        assert_eq!(problem["order_version"], 3);
    }
    running(&server, "again").await;
    let first = server.send("POST /v1/orders/again/cancel", &[], "").await;
    let second = server
        .send("POST /v1/orders/again/cancel", &[JSON], "null")
        .await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.json(), second.json());
    let reply = ask(&server, "again", "hold", json!({"reason": "x"})).await;
    assert_eq!(reply.json()["order_status"], "cancelled");
    let reply = ask(&server, "nobody", "cancel", json!({})).await;
    assert_eq!((reply.status, &*reply.code()), (404, "order-not-found"));
    server.stop().await;
}

#[tokio::test]
async fn of_a_cancel_and_a_completion_one_wins_and_everybody_is_told_the_truth() {
    let mut setup = Setup::default();
    setup.processes[0].steps[0].kind = StepKind::Simulate(Simulate {
        longest_us: 10_000,
        ..Simulate::default()
    });
    let server = TestServer::with(setup).await;
    let (mut cancelled, mut completed) = (0, 0);
    for number in 0..2_000 {
        if number >= 50 && cancelled > 0 && completed > 0 {
            break;
        }
        let id = format!("race-{number}");
        let mut watcher = server.connect().await;
        let body = order_with(json!({"order_id": id})).to_string();
        let wait = [JSON, "Prefer: wait=60"];
        watcher
            .request("POST /v1/orders", &wait, body.as_bytes())
            .await;
        let race = async {
            loop {
                let reply = ask(&server, &id, "cancel", json!({})).await;
                if reply.status != 404 {
                    return reply;
                }
            }
        };
        let reply = within(race).await;
        let told = watcher.reply().await.json();
        let stored = read(&server, &id).await;
        assert_eq!(told["status"], stored["status"], "{id}");
        if reply.status == 200 {
            cancelled += 1;
            assert_eq!(stored["status"], "cancelled", "{id}");
        } else {
            completed += 1;
            assert_eq!(reply.code(), "order-ended");
            assert_eq!(reply.json()["order_status"], "completed", "{id}");
            assert_eq!(stored["status"], "completed", "{id}");
        }
    }
    assert!(
        cancelled > 0 && completed > 0,
        "{cancelled} and {completed}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_held_order_starts_once_it_is_released() {
    let server = TestServer::start().await;
    let created = held(&server, "A").await;
    assert_eq!(created["status"], "pending");
    assert_eq!(created["hold"]["reason"], "fraud?");
    assert_eq!(created["hold"]["since"], created["created_at"]);
    assert_eq!(read(&server, "A").await, created);
    let body = json!({"reason": "still looking", "until": "2099-01-01T00:00:00+01:00"});
    let reply = ask(&server, "A", "hold", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["hold"]["until"], "2098-12-31T23:00:00.000000Z");
    assert_eq!(reply.json()["hold"]["by"], Value::Null);
    let listed = server.get("/v1/orders?held=true").await.json();
    assert_eq!(listed["data"][0]["order_id"], "A");
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["orders"]["held"], 1);
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("\norderd_held_orders 1\n"), "{metrics}");
    let others = server.get("/v1/orders?held=false").await.json();
    assert_eq!(others["data"], json!([]));
    let reply = ask(&server, "A", "release", json!({"by": "bob"})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["hold"], Value::Null);
    let done = until(&server, "A", "completed").await;
    assert_eq!(done["version"], 6);
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["orders"]["held"], 0);
    assert_eq!(
        history(&server, "A").await,
        [
            "order.accepted - -",
            "order.held fraud? ada",
            "order.held still looking -",
            "order.released - bob",
            "order.started - -",
            "order.completed - -",
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_hold_ends_by_itself_at_its_time() {
    let server = TestServer::start().await;
    let hold = json!({"reason": "soon", "until": "2020-01-01T00:00:00Z"});
    server
        .create(&order_with(json!({"order_id": "A", "hold": hold})))
        .await;
    let done = until(&server, "A", "completed").await;
    assert_eq!(done["hold"], Value::Null);
    let told = history(&server, "A").await;
    assert_eq!(told[1..3], ["order.held soon -", "order.released - -"]);
    server.stop().await;
}

#[tokio::test]
async fn a_running_attempt_is_finished_and_a_dead_order_keeps_its_reason() {
    let server = TestServer::start().await;
    running(&server, "slow").await;
    let reply = ask(&server, "slow", "hold", json!({"reason": "x"})).await;
    assert_eq!(reply.json()["status"], "processing");
    server
        .create(&order_with(
            json!({"order_id": "dead", "process": "failing"}),
        ))
        .await;
    until(&server, "dead", "dead").await;
    let reply = ask(&server, "dead", "hold", json!({"reason": "x"})).await;
    assert_eq!(reply.json()["reason"], "simulated failure");
    assert!(reply.json()["dead_since"].is_string());
    let reply = ask(&server, "dead", "release", json!({})).await;
    assert_eq!(reply.json()["reason"], "simulated failure");
    let again = ask(&server, "dead", "release", json!({})).await;
    assert_eq!((again.status, again.json()), (200, reply.json()));
    server.stop().await;
}

#[tokio::test]
async fn a_change_under_another_version_is_not_made() {
    let server = TestServer::start().await;
    held(&server, "A").await;
    let cancel = "POST /v1/orders/A/cancel";
    for condition in [
        "If-Match: \"1\"",
        "If-Match: W/\"2\"",
        "If-Match: \"1\", \"x\"",
    ] {
        let reply = server.send(cancel, &[condition], "").await;
        assert_eq!((reply.status, &*reply.code()), (412, "version-mismatch"));
        assert_eq!(reply.json()["order_version"], 2);
    }
    let reply = server.send(cancel, &["If-Match: 2"], "").await;
    assert_eq!((reply.status, &*reply.code()), (400, "bad-if-match"));
    assert_eq!(read(&server, "A").await["version"], 2);
    let reply = server.send(cancel, &["If-Match: \"1\", \"2\""], "").await;
    assert_eq!(reply.status, 200);
    let reply = server.send(cancel, &["If-Match: \"2\""], "").await;
    assert_eq!((reply.status, &*reply.code()), (412, "version-mismatch"));
    let reply = server.send(cancel, &["If-Match: *"], "").await;
    assert_eq!(reply.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_change_is_named() {
    let server = TestServer::start().await;
    held(&server, "A").await;
    for (verb, body, pointer, code) in [
        ("cancel", json!({"reason": ""}), "/reason", "invalid-length"),
        ("cancel", json!({"by": "a\nb"}), "/by", "invalid-character"),
        ("cancel", json!({"why": "x"}), "/why", "unknown-field"),
        ("cancel", json!([]), "", "wrong-type"),
        ("hold", json!({}), "/reason", "missing-field"),
        (
            "hold",
            json!({"reason": "x", "until": "noon"}),
            "/until",
            "invalid-time",
        ),
        ("release", json!({"reason": 1}), "/reason", "wrong-type"),
        ("priority", json!({}), "/priority", "missing-field"),
        (
            "priority",
            json!({"priority": 4}),
            "/priority",
            "out-of-range",
        ),
        (
            "priority",
            json!({"priority": 1, "by": ""}),
            "/by",
            "invalid-length",
        ),
    ] {
        let reply = ask(&server, "A", verb, body.clone()).await;
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
    let reply = ask(&server, "A", "hold", json!(1)).await;
    assert_eq!(reply.code(), "invalid-change");
    for body in ["", "{", "{} {}"] {
        let reply = server.send("POST /v1/orders/A/hold", &[JSON], body).await;
        assert_eq!(
            (reply.status, &*reply.code()),
            (400, "malformed-json"),
            "{body}"
        );
    }
    let lines = ["Content-Type: application/x-ndjson"];
    let reply = server.send("POST /v1/orders/A/cancel", &lines, "{}").await;
    assert_eq!(reply.code(), "unsupported-media-type");
    let hold = json!({"order_id": "B", "hold": {"reason": "", "until": "x"}});
    let reply = server
        .post("/v1/orders", order_with(hold).to_string())
        .await;
    assert_eq!(reply.code(), "invalid-order");
    let faults = reply.json()["errors"].clone();
    assert_eq!(faults[0]["pointer"], "/hold/reason");
    assert_eq!(faults[1]["pointer"], "/hold/until");
    assert_eq!(read(&server, "A").await["version"], 2);
    server.stop().await;
}

#[tokio::test]
async fn an_open_order_gets_another_priority() {
    let server = TestServer::start().await;
    held(&server, "A").await;
    let body = json!({"priority": 1, "by": "ada", "reason": "she called"});
    let reply = ask(&server, "A", "priority", body.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        (&reply.json()["priority"], &reply.json()["version"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(reply.json()["hold"]["reason"], "fraud?");
    let again = ask(&server, "A", "priority", body).await;
    assert_eq!(again.json(), reply.json());
    let events = server.get("/v1/orders/A/events").await.json();
    let last = &events["data"][2];
    assert_eq!(last["type"], "order.priority_changed");
    assert_eq!((&last["priority"], &last["by"]), (&json!(1), &json!("ada")));
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["orders"]["by_priority"]["1"], 1);
    assert_eq!(stats["orders"]["by_priority"]["2"], 0);
    ask(&server, "A", "cancel", json!({})).await;
    let late = ask(&server, "A", "priority", json!({"priority": 2})).await;
    assert_eq!(late.code(), "order-ended");
    server.stop().await;
}
