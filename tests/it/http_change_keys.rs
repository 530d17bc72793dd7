//! Changes under an idempotency key: the same request again gets the first answer and changes
//! nothing, whatever has become of the order meanwhile.
//!
//! Over a real connection to a whole server; what must happen is polled for, with a bound.

use serde_json::{Value, json};

use crate::support::{Reply, Setup, TestServer, order_with, together, within};

const JSON: &str = "Content-Type: application/json";

async fn ask(server: &TestServer, key: &str, path: &str, body: &Value) -> Reply {
    let key = format!("Idempotency-Key: {key}");
    let start = format!("POST {path}");
    server.send(&start, &[JSON, &key], body.to_string()).await
}

async fn held(server: &TestServer, id: &str) {
    let hold = json!({"reason": "fraud?", "by": "ada"});
    let order = order_with(json!({"order_id": id, "hold": hold}));
    server.create(&order).await;
}

async fn dead(server: &TestServer, id: &str) {
    let order = order_with(json!({"order_id": id, "process": "failing"}));
    let wait = [JSON, "Prefer: wait=60"];
    let sent = server.send("POST /v1/orders", &wait, order.to_string());
    assert_eq!(within(sent).await.json()["status"], "dead", "{id}");
}

async fn read(server: &TestServer, id: &str) -> Reply {
    server.get(&format!("/v1/orders/{id}")).await
}

async fn history(server: &TestServer, id: &str) -> Vec<String> {
    let page = server.get(&format!("/v1/orders/{id}/events")).await.json();
    let events = page["data"].as_array().unwrap().iter();
    let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
    events.map(kind).collect()
}

fn is_replayed(reply: &Reply) -> bool {
    let marked = reply.headers.get("idempotency-replayed");
    marked.is_some_and(|value| value == "true")
}

/// The second reply is the first one again.
fn assert_again(first: &Reply, again: &Reply) {
    assert_eq!((first.status, is_replayed(first)), (200, false));
    assert_eq!((again.status, is_replayed(again)), (200, true));
    assert_eq!(again.text(), first.text());
    for header in ["etag", "content-type"] {
        assert_eq!(again.headers.get(header), first.headers.get(header));
    }
}

#[tokio::test]
async fn every_change_is_made_once_and_answered_with_the_order_as_it_left_it() {
    let server = TestServer::start().await;
    for (verb, body) in [
        (
            "hold",
            json!({"reason": "wait", "until": "2099-01-01T00:00:00Z"}),
        ),
        (
            "priority",
            json!({"priority": 1, "by": "ada", "reason": "she called"}),
        ),
        ("release", json!({"by": "bob"})),
        ("cancel", json!({"reason": "ordered twice"})),
        ("retry", json!({"by": "bob"})),
    ] {
        let id = &format!("of {verb}").replace(' ', "-");
        match verb {
            "retry" => dead(&server, id).await,
            _ => held(&server, id).await,
        }
        let path = format!("/v1/orders/{id}/{verb}");
        let first = ask(&server, "k", &path, &body).await;
        assert_eq!(first.status, 200, "{verb}: {}", first.text());
        // The others go on by themselves.
        if !matches!(verb, "release" | "retry") {
            let stored = read(&server, id).await;
            assert_eq!(first.text(), stored.text(), "{verb}");
            assert_eq!(first.header("etag"), stored.header("etag"));
        }
        assert_again(&first, &ask(&server, "k", &path, &body).await);
        let mut other = body.clone();
        other["by"] = json!("eve");
        let reused = ask(&server, "k", &path, &other).await;
        let told = (reused.status, reused.code());
        assert_eq!(told, (422, "idempotency-key-reused".to_owned()), "{verb}");
        let done = match verb {
            "hold" => "order.held",
            "priority" => "order.priority_changed",
            "release" => "order.released",
            "cancel" => "order.cancelled",
            _ => "order.replayed",
        };
        let told = history(&server, id).await;
        let from_start = usize::from(verb == "hold");
        let times = told.iter().filter(|kind| *kind == done).count();
        assert_eq!(times, 1 + from_start, "{verb}: {told:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_repetition_changes_nothing_whatever_happened_since() {
    let server = TestServer::start().await;
    held(&server, "A").await;
    let (hold, release) = (json!({"reason": "wait"}), json!({}));
    let first = ask(&server, "k", "/v1/orders/A/hold", &hold).await;
    let released = ask(&server, "k", "/v1/orders/A/release", &release).await;
    assert!(!is_replayed(&released), "keys count for a route");
    assert_again(&first, &ask(&server, "k", "/v1/orders/A/hold", &hold).await);
    let done = async { while read(&server, "A").await.json()["status"] != "completed" {} };
    within(done).await;
    assert_again(&first, &ask(&server, "k", "/v1/orders/A/hold", &hold).await);
    let again = ask(&server, "k", "/v1/orders/A/release", &release).await;
    assert_again(&released, &again);
    dead(&server, "B").await;
    let retried = ask(&server, "k", "/v1/orders/B/retry", &json!({})).await;
    let cancelled = ask(&server, "k", "/v1/orders/B/cancel", &json!({})).await;
    let again = ask(&server, "k", "/v1/orders/B/retry", &json!({})).await;
    assert_again(&retried, &again);
    // What was so already is an answer like any other.
    let met = ask(&server, "k-2", "/v1/orders/B/cancel", &json!({})).await;
    assert_eq!(met.text(), cancelled.text());
    let again = ask(&server, "k-2", "/v1/orders/B/cancel", &json!({})).await;
    assert_again(&met, &again);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_change_leaves_its_key_free() {
    let server = TestServer::start().await;
    held(&server, "A").await;
    let path = "/v1/orders/A/retry";
    let refused = ask(&server, "k", path, &json!({})).await;
    assert_eq!(refused.code(), "order-not-dead");
    let other = ask(&server, "k", path, &json!({"by": "ada"})).await;
    assert_eq!(other.code(), "order-not-dead");
    let cancel = async |condition: &'static str, key: &'static str| {
        let headers = [JSON, condition, key];
        server
            .send("POST /v1/orders/A/cancel", &headers, "{}")
            .await
    };
    let key = "Idempotency-Key: k";
    let refused = cancel("If-Match: \"7\"", key).await;
    assert_eq!(refused.code(), "version-mismatch");
    let first = cancel("If-Match: \"2\"", key).await;
    // The order has another version by now.
    assert_again(&first, &cancel("If-Match: \"2\"", key).await);
    let late = cancel("If-Match: \"2\"", "Idempotency-Key: k-2").await;
    assert_eq!(late.code(), "version-mismatch");
    let late = ask(&server, "k", "/v1/orders/A/hold", &json!({"reason": "x"})).await;
    assert_eq!(late.code(), "order-ended");
    let nobody = ask(&server, "k", "/v1/orders/B/cancel", &json!({})).await;
    assert_eq!(nobody.code(), "order-not-found");
    server.stop().await;
}

#[tokio::test]
async fn twins_in_flight_make_one_change() {
    let server = TestServer::start().await;
    held(&server, "A").await;
    let body = json!({"reason": "wait"});
    let twins = (0..8).map(|_| ask(&server, "twin", "/v1/orders/A/hold", &body));
    let replies = together(twins).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    assert_eq!(
        replies.iter().filter(|reply| !is_replayed(reply)).count(),
        1
    );
    // Others at the same moment are all made, one after the other.
    let keys: Vec<_> = (0..8).map(|at| format!("own-{at}")).collect();
    let others = keys
        .iter()
        .map(|key| ask(&server, key, "/v1/orders/A/hold", &body));
    let replies = together(others).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(history(&server, "A").await.len(), 2 + 1 + 8);
    server.stop().await;
}

#[tokio::test]
async fn a_key_of_a_change_is_over_after_its_time() {
    let mut setup = Setup::default();
    setup.engine.key_retention_us = 1;
    let server = TestServer::with(setup).await;
    held(&server, "A").await;
    let path = "/v1/orders/A/hold";
    let first = ask(&server, "k", path, &json!({"reason": "one"})).await;
    let second = ask(&server, "k", path, &json!({"reason": "two"})).await;
    assert_eq!((second.status, is_replayed(&second)), (200, false));
    assert_ne!(second.text(), first.text());
    server.stop().await;
}

#[tokio::test]
async fn a_replay_of_dead_letters_is_made_once() {
    let server = TestServer::start().await;
    for id in ["A", "B", "C"] {
        dead(&server, id).await;
    }
    let path = "/v1/dead-letters/replay";
    let body = json!({"limit": 2, "by": "ada"});
    let first = ask(&server, "k", path, &body).await;
    assert_eq!(first.json()["replayed"], 2);
    // They die once more, and stay so.
    let died = async {
        let is_dead = |status: &Value| status["dead"] == 3;
        while !is_dead(&server.get("/v1/stats").await.json()["orders"]["by_status"]) {}
    };
    within(died).await;
    assert_again(&first, &ask(&server, "k", path, &body).await);
    let times = history(&server, "C").await;
    let replayed = times.iter().filter(|kind| *kind == "order.replayed");
    assert_eq!(replayed.count(), 1);
    let other = ask(&server, "k", path, &json!({"limit": 3})).await;
    assert_eq!(
        (other.status, &*other.code()),
        (422, "idempotency-key-reused")
    );
    let dry = json!({"dry_run": true, "filter": {"process": "nobody's"}});
    let first = ask(&server, "dry", path, &dry).await;
    assert_eq!(first.json()["matched"], 0);
    assert_again(&first, &ask(&server, "dry", path, &dry).await);
    server.stop().await;
}
