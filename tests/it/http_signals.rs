//! Signals over HTTP: orders that wait go on, early signals are kept over a restart, repetitions
//! change nothing, and what nobody waits for is refused by name.
//!
//! What follows from a signal and when is compared with a model of the shard.

use orderd::http::schema;
use orderd::order::{Process, RetryPolicy, Step, StepKind, TimeUp, Wait};
use serde_json::{Value, json};

use crate::support::{Reply, Setup, TestServer, order_with, within};

fn step(name: &str, timeout_us: i64, then: TimeUp) -> Step {
    Step {
        retry: RetryPolicy {
            attempts_max: 2,
            base_us: 0,
            cap_us: 0,
        },
        ..Step::new(name, StepKind::Wait(Wait { timeout_us, then }))
    }
}

fn setup() -> Setup {
    let (hour, soon) = (3_600_000_000, 1_000);
    let process = |name: &str, steps| Process {
        name: name.into(),
        version: 1,
        steps,
        ..Process::built_in()
    };
    let mut setup = Setup::default();
    let work = setup.processes[0].steps[0].clone();
    let waits = [("retry", 0), ("reject", 1), ("dead", 2), ("continue", 3)];
    let hasty = waits.map(|(name, at)| {
        let then = TimeUp::ALL[at].0;
        process(name, vec![step("notice", soon, then)])
    });
    setup.processes.extend(hasty);
    setup.processes.push(process(
        "parcel",
        vec![
            step("picked-up", hour, TimeUp::Dead),
            work,
            step("delivered", hour, TimeUp::Dead),
        ],
    ));
    let steps = vec![
        step("notice", soon, TimeUp::Continue),
        step("delivered", hour, TimeUp::Dead),
    ];
    setup.processes.push(process("late", steps));
    setup
}

async fn create(server: &TestServer, id: &str, process: &str) {
    let fields = json!({"order_id": id, "process": process});
    server.create(&order_with(fields)).await;
}

async fn signal(server: &TestServer, id: &str, name: &str, body: &str) -> Reply {
    let path = format!("/v1/orders/{id}/signals/{name}");
    within(server.post(&path, body)).await
}

async fn read(server: &TestServer, id: &str) -> Value {
    let reply = server.get(&format!("/v1/orders/{id}")).await;
    let _: schema::Order = serde_json::from_slice(&reply.body).unwrap();
    reply.json()
}

/// Reads an order until it is at this step in this status.
async fn until(server: &TestServer, id: &str, step: Option<&str>, status: &str) -> Value {
    let wait = async {
        loop {
            let order = read(server, id).await;
            if order["status"] == status && order["step"].as_str() == step {
                return order;
            }
            tokio::task::yield_now().await;
        }
    };
    within(wait).await
}

async fn history(server: &TestServer, id: &str) -> Vec<String> {
    let reply = server.get(&format!("/v1/orders/{id}/events")).await.json();
    let events = reply["data"].as_array().unwrap().iter();
    let word = |event: &Value| {
        let kind = event["type"].as_str().unwrap().replace("order.", "");
        format!("{kind} {}", event["step"].as_str().unwrap_or("-"))
    };
    events.map(word).collect()
}

#[tokio::test]
async fn an_order_waits_until_its_signal_comes() {
    let server = TestServer::with(setup()).await;
    create(&server, "a", "parcel").await;
    let parked = until(&server, "a", Some("picked-up"), "waiting").await;
    let told = signal(&server, "a", "picked-up", " {\"by\" : \"van 7\"} ").await;
    assert_eq!(told.status, 201, "{}", told.text());
    assert_eq!(told.json()["outputs"]["picked-up"], json!({"by": "van 7"}));
    assert!(told.json()["version"].as_u64() > parked["version"].as_u64());
    until(&server, "a", Some("delivered"), "waiting").await;
    let told = signal(&server, "a", "delivered", "").await;
    assert_eq!(
        (told.status, &told.json()["status"]),
        (201, &json!("completed"))
    );
    let order = read(&server, "a").await;
    assert_eq!(order["outputs"]["delivered"], Value::Null);
    // Whoever tells of it again, even of an order that has ended, is told that it is known.
    let again = signal(&server, "a", "delivered", "[2]").await;
    assert_eq!((again.status, again.json()), (200, order));
    let expected = [
        "accepted -",
        "started picked-up",
        "parked picked-up",
        "signalled picked-up",
        "step_completed picked-up",
        "started work",
        "step_completed work",
        "started delivered",
        "parked delivered",
        "signalled delivered",
        "completed delivered",
    ];
    assert_eq!(history(&server, "a").await, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_signal_that_comes_early_is_kept_over_a_restart() {
    let server = TestServer::with(setup()).await;
    create(&server, "a", "parcel").await;
    until(&server, "a", Some("picked-up"), "waiting").await;
    let early = signal(&server, "a", "delivered", "[1]").await;
    assert_eq!(
        (early.status, &early.json()["status"]),
        (201, &json!("waiting"))
    );
    let place = server.stop().await;
    let place = Some(place);
    let server = TestServer::with(Setup { place, ..setup() }).await;
    let again = signal(&server, "a", "delivered", "[2]").await;
    assert_eq!((again.status, &again.json()["version"]), (200, &json!(4)));
    let told = signal(&server, "a", "picked-up", "1").await;
    assert_eq!(told.status, 201, "{}", told.text());
    let ended = until(&server, "a", None, "completed").await;
    assert_eq!(ended["outputs"], json!({"picked-up": 1, "delivered": [1]}));
    let history = history(&server, "a").await;
    assert!(!history.contains(&"parked delivered".into()), "{history:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_follows_when_the_time_is_up_is_declared() {
    let server = TestServer::with(setup()).await;
    for (process, status, attempts) in [
        ("retry", "dead", 2),
        ("reject", "rejected", 1),
        ("dead", "dead", 1),
        ("continue", "completed", 1),
    ] {
        create(&server, process, process).await;
        let step = (status == "dead").then_some("notice");
        let order = until(&server, process, step, status).await;
        let reason = (status != "completed").then_some("no signal came in time");
        assert_eq!(order["reason"].as_str(), reason);
        let history = history(&server, process).await;
        let parked = history.iter().filter(|it| *it == "parked notice");
        assert_eq!(parked.count(), attempts, "{history:?}");
    }
    // A dead order keeps the signal, and needs no other when it is tried again.
    assert_eq!(signal(&server, "dead", "notice", "7").await.status, 201);
    within(server.post("/v1/orders/dead/retry", "")).await;
    until(&server, "dead", None, "completed").await;
    server.stop().await;
}

#[tokio::test]
async fn a_signal_that_nobody_waits_for_is_refused_by_name() {
    let server = TestServer::with(setup()).await;
    create(&server, "open", "parcel").await;
    create(&server, "late", "late").await;
    create(&server, "ended", "reject").await;
    until(&server, "open", Some("picked-up"), "waiting").await;
    until(&server, "late", Some("delivered"), "waiting").await;
    until(&server, "ended", None, "rejected").await;
    let large = format!("{:?}", "x".repeat(64 << 10));
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    for (id, name, body, status, code) in [
        ("open", "gone", "1", 404, "signal-not-found"),
        ("open", "work", "1", 404, "signal-not-found"),
        ("nobody", "picked-up", "1", 404, "order-not-found"),
        ("late", "notice", "1", 409, "signal-too-late"),
        ("ended", "notice", "1", 409, "order-ended"),
        ("open", "picked-up", "{", 400, "malformed-json"),
        ("open", "picked-up", &deep, 400, "too-deep"),
        ("open", "picked-up", &large, 422, "invalid-change"),
    ] {
        let reply = signal(&server, id, name, body).await;
        assert_eq!((reply.status, &*reply.code()), (status, code), "{name}");
    }
    let order = read(&server, "open").await;
    assert_eq!(
        (&order["status"], &order["version"]),
        (&json!("waiting"), &json!(3))
    );
    server.stop().await;
}

#[tokio::test]
async fn under_a_key_the_first_answer_comes_again() {
    let server = TestServer::with(setup()).await;
    create(&server, "a", "parcel").await;
    until(&server, "a", Some("picked-up"), "waiting").await;
    let send = async |key: &str, body: &str| {
        let key = format!("Idempotency-Key: {key}");
        let headers = ["Content-Type: application/json", &key];
        let start = "POST /v1/orders/a/signals/delivered";
        within(server.send(start, &headers, body)).await
    };
    let first = send("k", "[1]").await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.json()["outputs"]["delivered"], json!([1]));
    let again = send("k", "[1]").await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(send("k", "[2]").await.code(), "idempotency-key-reused");
    assert_eq!(send("other", "[1]").await.status, 200);
    server.stop().await;
}
