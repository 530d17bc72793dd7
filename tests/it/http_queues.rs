//! Queues over HTTP: workers lease, beat, complete, fail and give back; who comes late is refused.
//!
//! Who gets what and when is compared with a model of the shard; here is what a worker sees of it.

use std::net::SocketAddr;
use std::time::Duration;

use orderd::http::schema;
use orderd::order::{Process, Pull, RetryPolicy, Step, StepKind};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::databases::Place;
use crate::support::{Connection, Reply, Setup, TestServer, order_with, together, within};

/// A process of two steps that workers do, and one with a lease of a millisecond.
pub fn pulled() -> Vec<Process> {
    let step = |name: &str, queue: &str, lease_us| Step {
        undo: None,
        name: name.into(),
        kind: StepKind::Pull(Pull {
            queue: queue.into(),
            lease_us,
        }),
        concurrency: u32::MAX,
        retry: RetryPolicy {
            attempts_max: 2,
            base_us: 0,
            cap_us: 0,
        },
    };
    let process = |name: &str, steps| Process {
        name: name.into(),
        version: 1,
        steps,
        ..Process::built_in()
    };
    let minute = 60_000_000;
    vec![
        process(
            "shop",
            vec![
                step("pick", "pickers", minute),
                step("pack", "packers", minute),
            ],
        ),
        process("hasty", vec![step("run", "runners", 1_000)]),
    ]
}

pub async fn start() -> TestServer {
    start_at(None, None).await
}

/// The same on what another server has left, and perhaps at its address.
pub async fn start_at(address: Option<SocketAddr>, place: Option<Box<dyn Place>>) -> TestServer {
    let mut setup = Setup {
        address,
        place,
        ..Setup::default()
    };
    setup.processes.extend(pulled());
    TestServer::with(setup).await
}

pub async fn create(server: &TestServer, id: &str, process: &str) {
    let fields = json!({"order_id": id, "process": process});
    server.create(&order_with(fields)).await;
}

/// What a worker asks of a queue, or says to it.
pub async fn ask(server: &TestServer, queue: &str, verb: &str, body: Value) -> Reply {
    let path = format!("/v1/queues/{queue}/{verb}");
    within(server.post(&path, body.to_string())).await
}

/// Leases what there is within the longest wait.
pub async fn lease(server: &TestServer, queue: &str) -> Vec<Value> {
    let body = json!({"max": 10, "wait": "30s", "worker": "w1"});
    let reply = ask(server, queue, "lease", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let page: schema::LeasePage = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        page.data.len(),
        reply.json()["data"].as_array().unwrap().len()
    );
    reply.json()["data"].as_array().unwrap().clone()
}

/// The words that begin everything that is said of an attempt.
pub fn mention(leased: &Value) -> Value {
    json!({"order_id": leased["order_id"], "step": leased["step"], "fence": leased["fence"]})
}

fn with(mut body: Value, fields: Value) -> Value {
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

async fn events(server: &TestServer, id: &str) -> Vec<Value> {
    let reply = server.get(&format!("/v1/orders/{id}/events")).await.json();
    reply["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_order_goes_through_the_hands_of_workers() {
    let server = start().await;
    create(&server, "a", "shop").await;
    let first = &lease(&server, "pickers").await[0];
    assert_eq!(
        (&first["step"], &first["attempt"]),
        (&json!("pick"), &json!(1))
    );
    assert_eq!(first["effect_key"], "a/pick");
    assert_eq!(first["outputs"], json!({}));
    assert_eq!(first["order"]["items"][0]["sku"], "A");
    assert_eq!(first["order"]["status"], "processing");
    assert!(first["deadline"].as_str() > first["order"]["updated_at"].as_str());

    let output = json!({"shelf": "7 \" b", "n": [1, {}]});
    let done = with(mention(first), json!({"output": output}));
    let reply = ask(&server, "pickers", "complete", done.clone()).await;
    let reported: schema::Reported = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, reported.version), (200, Some(3)));

    let second = &lease(&server, "packers").await[0];
    assert_eq!(second["outputs"], json!({"pick": output}));
    assert_eq!(second["order"]["outputs"], Value::Null);
    let reply = ask(&server, "packers", "complete", mention(second)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let order = server.get("/v1/orders/a").await.json();
    assert_eq!(order["status"], "completed");
    assert_eq!(order["outputs"], json!({"pick": output}));
    let history = events(&server, "a").await;
    assert_eq!(
        (&history[1]["type"], &history[1]["by"]),
        (&json!("order.started"), &json!("w1"))
    );
    // Said once more it is too late.
    let reply = ask(&server, "pickers", "complete", done).await;
    assert_eq!(
        (reply.status, reply.code()),
        (409, "stale-fence".to_owned())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_worker_that_waits_gets_the_work_as_it_comes() {
    let server = start().await;
    let waiting = (0..3).map(|_| lease(&server, "pickers"));
    let coming = async {
        for at in 0..3 {
            create(&server, &format!("order-{at}"), "shop").await;
        }
    };
    let (got, ()) = tokio::join!(together(waiting), coming);
    let mut ids: Vec<_> = got
        .iter()
        .flatten()
        .map(|it| it["order_id"].clone())
        .collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["order-0", "order-1", "order-2"]);
    // And one that does not wait gets nothing.
    let reply = ask(&server, "pickers", "lease", json!({})).await;
    assert_eq!(reply.text(), r#"{"data":[]}"#);
    let reply = ask(&server, "pickers", "lease", json!({"wait": "1ms"})).await;
    assert_eq!(reply.text(), r#"{"data":[]}"#);
    server.stop().await;
}

#[tokio::test]
async fn what_nobody_is_heard_of_is_given_to_the_next() {
    let server = start().await;
    create(&server, "a", "hasty").await;
    let lost = lease(&server, "runners").await.remove(0);
    let next = lease(&server, "runners").await.remove(0);
    assert_eq!(
        (&next["order_id"], &next["attempt"]),
        (&json!("a"), &json!(2))
    );
    assert_ne!(next["fence"], lost["fence"]);
    let reply = ask(&server, "runners", "complete", mention(&lost)).await;
    assert_eq!(reply.code(), "stale-fence");
    // The second attempt is the last one: it is lost as well.
    let page = within(async {
        loop {
            let page = server.get("/v1/dead-letters").await.json();
            if page["data"][0].is_object() {
                break page;
            }
        }
    });
    let reason = page.await["data"][0]["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.starts_with("nothing was heard of the worker"),
        "{reason}"
    );
    let history = events(&server, "a").await;
    let is_late = |event: &&Value| event["type"] == "order.came_late";
    assert_eq!(history.iter().filter(is_late).count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_beat_extends_and_a_release_gives_back_without_an_attempt() {
    let server = start().await;
    create(&server, "a", "shop").await;
    let leased = lease(&server, "pickers").await.remove(0);
    let reply = ask(&server, "pickers", "beat", mention(&leased)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.json()["deadline"].as_str() > leased["deadline"].as_str());
    let reply = ask(&server, "pickers", "release", mention(&leased)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let again = lease(&server, "pickers").await.remove(0);
    assert_eq!(again["attempt"], 1);
    let reply = ask(&server, "pickers", "beat", mention(&leased)).await;
    assert_eq!(reply.code(), "stale-fence");
    server.stop().await;
}

#[tokio::test]
async fn a_failure_is_tried_again_or_not_or_is_a_no() {
    let server = start().await;
    for (id, fields, status) in [
        ("a", json!({"error": "later"}), "pending"),
        ("b", json!({"error": "never", "retry": false}), "dead"),
        ("c", json!({"error": "no", "reject": true}), "rejected"),
        (
            "d",
            json!({"error": "busy", "retry_after": "1h"}),
            "pending",
        ),
    ] {
        create(&server, id, "shop").await;
        let all = lease(&server, "pickers").await;
        let leased = all.iter().find(|it| it["order_id"] == id).unwrap();
        let reply = ask(&server, "pickers", "fail", with(mention(leased), fields)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        if id != "a" {
            let order = server.get(&format!("/v1/orders/{id}")).await.json();
            assert_eq!(order["status"], status, "{id}");
        }
    }
    let last = events(&server, "d").await.pop().unwrap();
    assert_eq!(
        (&last["reason"], &last["type"]),
        (&json!("busy"), &json!("order.retried"))
    );
    assert!(last["until"].is_string());
    server.stop().await;
}

#[tokio::test]
async fn many_things_are_said_at_once_and_answered_one_by_one() {
    let server = start().await;
    for id in ["a", "b"] {
        create(&server, id, "shop").await;
    }
    let all = lease(&server, "pickers").await;
    let all = match all.len() {
        2 => all,
        _ => [all, lease(&server, "pickers").await].concat(),
    };
    let twice = json!([mention(&all[0]), mention(&all[0]), mention(&all[1])]);
    let headers = ["Content-Type: application/json", "Idempotency-Key: k1"];
    let post = "POST /v1/queues/pickers/complete";
    let reply = server.send(post, &headers, twice.to_string()).await;
    let results: schema::ReportResults = serde_json::from_slice(&reply.body).unwrap();
    let statuses: Vec<_> = results.results.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [200, 409, 200], "{}", reply.text());
    // Under its key the same request gets the same answer.
    let again = server.send(post, &headers, twice.to_string()).await;
    assert_eq!(again.text(), reply.text());
    assert_eq!(again.header("idempotency-replayed"), "true");
    server.stop().await;
}

#[tokio::test]
async fn leases_from_before_a_restart_are_worthless_and_the_work_is_there_at_once() {
    let server = start().await;
    create(&server, "a", "shop").await;
    let before = lease(&server, "pickers").await.remove(0);
    let server = start_at(None, Some(server.stop().await)).await;
    let reply = ask(&server, "pickers", "complete", mention(&before)).await;
    assert_eq!(reply.code(), "stale-fence");
    let again = lease(&server, "pickers").await.remove(0);
    // The attempt that lost its lease does not count.
    assert_eq!(
        (&again["order_id"], &again["attempt"]),
        (&json!("a"), &json!(1))
    );
    let reply = ask(&server, "pickers", "complete", mention(&again)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let names: Vec<_> = events(&server, "a").await;
    let names: Vec<_> = names
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    let expected = [
        "accepted",
        "started",
        "came_late",
        "requeued",
        "started",
        "step_completed",
    ];
    let expected = expected.map(|name| format!("order.{name}"));
    assert_eq!(names, expected);
    server.stop().await;
}

/// What does not fit into an answer is leased by the next one, and no attempt is lost.
#[tokio::test]
async fn orders_that_are_too_large_for_one_answer_stay_in_the_queue() {
    let server = start().await;
    let item = json!({"sku": "s".repeat(60), "quantity": 1});
    let items: Vec<_> = (0..1_000).map(|_| item.clone()).collect();
    let large: Vec<_> = (0..100)
        .map(|_| order_with(json!({"process": "shop", "items": items})))
        .collect();
    for batch in large.chunks(50) {
        let reply = server.post("/v1/orders/batch", json!(batch).to_string());
        assert_eq!(reply.await.status, 200);
    }
    let mut taken = Vec::new();
    while taken.len() < 100 {
        let body = json!({"max": 100, "wait": "30s"});
        let reply = ask(&server, "pickers", "lease", body).await;
        assert!(reply.body.len() < 10 << 20, "{}", reply.body.len());
        let page = reply.json()["data"].as_array().unwrap().clone();
        assert!(!page.is_empty() && page.len() < 100, "{}", page.len());
        assert!(page.iter().all(|it| it["attempt"] == 1));
        taken.extend(page.into_iter().map(|it| it["order_id"].to_string()));
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 100);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_order_is_nobodys_work() {
    let server = start().await;
    create(&server, "a", "shop").await;
    let leased = lease(&server, "pickers").await.remove(0);
    assert_eq!(server.post("/v1/orders/a/cancel", "").await.status, 200);
    let reply = ask(&server, "pickers", "complete", mention(&leased)).await;
    assert_eq!(
        (reply.status, reply.code()),
        (409, "stale-fence".to_owned())
    );
    server.stop().await;
}

/// A worker that waits for work of the pickers, once that is so.
async fn waiting(server: &TestServer) -> Connection {
    let mut connection = server.connect().await;
    let headers = ["Content-Type: application/json"];
    let post = "POST /v1/queues/pickers/lease";
    let body = json!({"wait": "30s"}).to_string();
    connection.request(post, &headers, body.as_bytes()).await;
    until(server, |pickers| pickers["workers"] == 1).await;
    connection
}

/// Waits until the statistics say this of the queue of the pickers.
async fn until(server: &TestServer, is_so: impl Fn(&Value) -> bool) {
    let asked = async {
        while !is_so(&server.get("/v1/stats").await.json()["queues"]["pickers"]) {
            tokio::task::yield_now().await;
        }
    };
    within(asked).await;
}

#[tokio::test]
async fn a_server_that_stops_lets_nobody_wait() {
    let server = start().await;
    let mut worker = waiting(&server).await;
    let stopped = tokio::time::timeout(Duration::from_secs(20), server.stop());
    let (stopped, reply) = tokio::join!(stopped, worker.reply());
    assert!(stopped.is_ok(), "a worker that waits holds up the end");
    assert_eq!((reply.status, reply.code()), (503, "draining".to_owned()));
}

#[tokio::test]
async fn a_worker_that_hangs_up_while_it_waits_is_given_nothing() {
    let server = start().await;
    drop(waiting(&server).await);
    // It may only have closed its half; then it is told that there is nothing.
    let mut half = waiting(&server).await;
    half.0.shutdown().await.unwrap();
    assert_eq!(half.reply().await.text(), r#"{"data":[]}"#);
    until(&server, |pickers| pickers["workers"] == 0).await;
    create(&server, "a", "shop").await;
    until(&server, |pickers| pickers["waiting"] == 1).await;
    let leased = lease(&server, "pickers").await.remove(0);
    assert_eq!(leased["attempt"], 1);
    until(&server, |pickers| pickers["leased"] == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn the_depth_of_a_queue_is_told() {
    let server = start().await;
    for id in ["a", "b", "c", "d"] {
        create(&server, id, "shop").await;
    }
    until(&server, |pickers| pickers["waiting"] == 4).await;
    assert_eq!(server.post("/v1/orders/d/cancel", "").await.status, 200);
    let reply = ask(&server, "pickers", "lease", json!({})).await;
    assert_eq!(reply.json()["data"].as_array().unwrap().len(), 1);
    let stats = server.get("/v1/stats").await.json();
    let pickers = &stats["queues"]["pickers"];
    let counts = [&pickers["waiting"], &pickers["leased"], &pickers["workers"]];
    assert_eq!(counts, [&json!(2), &json!(1), &json!(0)]);
    assert!(pickers["oldest_waiting_ms"].is_u64());
    let metrics = server.get("/metrics").await.text();
    for line in [
        "orderd_queue_waiting{queue=\"pickers\"} 2",
        "orderd_queue_leased{queue=\"pickers\"} 1",
        "orderd_queue_workers{queue=\"pickers\"} 0",
        "orderd_queue_waiting{queue=\"packers\"} 0",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} {metrics}");
    }
    server.stop().await;
}

/// Asks each of these, and expects its problem at its place.
async fn expect_refused(server: &TestServer, asked: &[(&str, &str, Value, &str, &str)]) {
    for (queue, verb, body, code, pointer) in asked {
        let reply = ask(server, queue, verb, body.clone()).await;
        assert_eq!(&reply.code(), code, "{body}");
        if !pointer.is_empty() {
            let faults = reply.json()["errors"].clone();
            assert_eq!(faults[0]["pointer"], *pointer, "{body}: {faults}");
        }
    }
}

#[tokio::test]
async fn a_lease_that_is_badly_asked_for_is_refused_and_named() {
    let server = start().await;
    let bad = "invalid-change";
    let asked = [
        ("nobody", "lease", json!({}), "queue-not-found", ""),
        ("pickers", "lease", json!({"max": -1}), bad, "/max"),
        ("pickers", "lease", json!({"max": 1001}), bad, "/max"),
        ("pickers", "lease", json!({"wait": "31s"}), bad, "/wait"),
        ("pickers", "lease", json!({"wait": 10}), bad, "/wait"),
        ("pickers", "lease", json!({"worker": ""}), bad, "/worker"),
        ("pickers", "lease", json!({"count": 1}), bad, "/count"),
    ];
    expect_refused(&server, &asked).await;
    let headers = ["Content-Type: application/json", "Idempotency-Key: k"];
    let post = "POST /v1/queues/pickers/lease";
    let reply = server.send(post, &headers, "{}").await;
    assert_eq!(reply.code(), "bad-idempotency-key");
    server.stop().await;
}

#[tokio::test]
async fn what_is_badly_said_is_refused_and_named() {
    let server = start().await;
    create(&server, "a", "shop").await;
    let leased = lease(&server, "pickers").await.remove(0);
    let good = mention(&leased);
    let but = |fields: Value| with(good.clone(), fields);
    let too_large = json!("x".repeat(64 << 10));
    let bad = "invalid-change";
    let late = json!({"error": "e", "retry_after": "2d"});
    let asked = [
        ("pickers", "beat", json!({}), bad, "/order_id"),
        ("pickers", "beat", json!([]), bad, ""),
        (
            "pickers",
            "complete",
            but(json!({"fence": "1-2-3"})),
            bad,
            "/fence",
        ),
        (
            "pickers",
            "complete",
            but(json!({"step": "pack"})),
            bad,
            "/fence",
        ),
        (
            "pickers",
            "complete",
            but(json!({"output": too_large})),
            bad,
            "/output",
        ),
        ("pickers", "fail", good.clone(), bad, "/error"),
        ("pickers", "fail", but(late), bad, "/retry_after"),
        (
            "pickers",
            "fail",
            json!([but(json!({"error": ""}))]),
            bad,
            "/0/error",
        ),
        // Of this order and step, but of another queue.
        ("packers", "complete", good.clone(), "stale-fence", ""),
    ];
    expect_refused(&server, &asked).await;
    // Nothing of it counted.
    let reply = ask(&server, "pickers", "complete", good).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    server.stop().await;
}
