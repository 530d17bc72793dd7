//! Undoing over HTTP: a refusal and a cancel undo what was done, in reverse order, by workers that
//! are told so; one that cannot be undone waits for a person and goes on from there.
//!
//! What is undone when is compared with a model of the shard.

use orderd::order::{Process, Pull, RetryPolicy, Step, StepKind};
use serde_json::{Value, json};

use crate::http_push;
use crate::receiver::Receiver;
use crate::support::{Reply, Setup, TestServer, order_with, within};

fn pulled(name: &str, queue: &str) -> Step {
    let lease_us = 60_000_000;
    let queue = queue.into();
    Step {
        retry: RetryPolicy {
            attempts_max: 1,
            base_us: 0,
            cap_us: 0,
        },
        ..Step::new(name, StepKind::Pull(Pull { queue, lease_us }))
    }
}

/// Two steps that workers do and undo, and one that only says yes or no.
async fn start() -> TestServer {
    let step = |name: &str| Step {
        undo: Some(Box::new(pulled(name, "undoers"))),
        ..pulled(name, "doers")
    };
    let process = Process {
        name: "shop".into(),
        version: 1,
        steps: vec![step("pay"), step("reserve"), pulled("judge", "doers")],
        ..Process::built_in()
    };
    let mut setup = Setup::default();
    setup.processes.push(process);
    TestServer::with(setup).await
}

async fn create(server: &TestServer, id: &str) {
    let fields = json!({"order_id": id, "process": "shop"});
    server.create(&order_with(fields)).await;
}

async fn ask(server: &TestServer, queue: &str, verb: &str, body: Value) -> Reply {
    let path = format!("/v1/queues/{queue}/{verb}");
    within(server.post(&path, body.to_string())).await
}

/// Leases the next work of a queue.
async fn lease(server: &TestServer, queue: &str) -> Value {
    let reply = ask(server, queue, "lease", json!({"wait": "30s"})).await;
    reply.json()["data"][0].clone()
}

async fn say(server: &TestServer, queue: &str, verb: &str, leased: &Value, more: Value) -> Reply {
    let mut body = more;
    for key in ["order_id", "step", "fence"] {
        body[key] = leased[key].clone();
    }
    ask(server, queue, verb, body).await
}

async fn complete(server: &TestServer, queue: &str) -> Value {
    let leased = lease(server, queue).await;
    let reply = say(server, queue, "complete", &leased, json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    leased
}

async fn read(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/v1/orders/{id}")).await.json()
}

async fn undos(server: &TestServer, id: &str) -> Vec<String> {
    let reply = server.get(&format!("/v1/orders/{id}/events")).await.json();
    let events = reply["data"].as_array().unwrap().iter();
    let word = |event: &Value| {
        let kind = event["type"].as_str().unwrap().replace("order.", "");
        format!("{kind} {}", event["step"].as_str().unwrap_or("-"))
    };
    events
        .map(word)
        .skip_while(|it| !it.starts_with("compensating"))
        .collect()
}

#[tokio::test]
async fn a_refusal_undoes_what_was_done_from_the_last_to_the_first() {
    let server = start().await;
    create(&server, "a").await;
    complete(&server, "doers").await;
    complete(&server, "doers").await;
    let judged = lease(&server, "doers").await;
    let no = json!({"error": "no credit", "retry": false, "reject": true});
    let reply = say(&server, "doers", "fail", &judged, no).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let order = read(&server, "a").await;
    assert_eq!(
        (&order["status"], &order["target"]),
        (&json!("compensating"), &json!("rejected"))
    );
    for step in ["reserve", "pay"] {
        let undo = complete(&server, "undoers").await;
        assert_eq!((&undo["step"], &undo["undo"]), (&json!(step), &json!(true)));
        assert_eq!(undo["effect_key"], format!("a/{step}/undo"));
    }
    let order = read(&server, "a").await;
    assert_eq!(
        (&order["status"], &order["reason"]),
        (&json!("rejected"), &json!("no credit"))
    );
    assert_eq!(order["target"], Value::Null);
    let expected = [
        "compensating judge",
        "undo_started reserve",
        "undone reserve",
        "undo_started pay",
        "undone pay",
        "rejected -",
    ];
    assert_eq!(undos(&server, "a").await, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_cancel_undoes_an_attempt_of_which_nobody_knows() {
    let server = start().await;
    create(&server, "a").await;
    let running = lease(&server, "doers").await;
    let cancelled = server.post("/v1/orders/a/cancel", "").await;
    assert_eq!(cancelled.json()["status"], "compensating");
    // What the attempt says now finds nobody, and the undoing goes on.
    let late = say(&server, "doers", "complete", &running, json!({})).await;
    assert_eq!(late.code(), "stale-fence");
    let again = server.post("/v1/orders/a/cancel", "").await;
    assert_eq!(
        (again.status, &again.json()["status"]),
        (200, &json!("compensating"))
    );
    complete(&server, "undoers").await;
    assert_eq!(read(&server, "a").await["status"], "cancelled");
    // One that never began has nothing to undo.
    create(&server, "b").await;
    let cancelled = server.post("/v1/orders/b/cancel", "").await;
    assert_eq!(cancelled.json()["status"], "cancelled");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_undone_waits_for_a_person_and_goes_on_from_there() {
    let server = start().await;
    create(&server, "a").await;
    complete(&server, "doers").await;
    server.post("/v1/orders/a/cancel", "").await;
    let undo = lease(&server, "undoers").await;
    let reply = say(
        &server,
        "undoers",
        "fail",
        &undo,
        json!({"error": "bank is closed"}),
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let dead = server.get("/v1/dead-letters").await.json();
    let order = &dead["data"][0];
    assert_eq!(
        (&order["step"], &order["target"]),
        (&json!("pay"), &json!("cancelled"))
    );
    assert_eq!(order["reason"], "bank is closed");
    let replayed = server.post("/v1/orders/a/retry", "").await;
    assert_eq!(replayed.json()["status"], "compensating");
    complete(&server, "undoers").await;
    assert_eq!(read(&server, "a").await["status"], "cancelled");
    server.stop().await;
}

#[tokio::test]
async fn what_a_service_may_have_done_is_undone_by_a_worker() {
    let service = Receiver::answering(|_| Some(202)).await;
    let push = http_push::push("shop", "pay", &service.url());
    let mut shop = http_push::process("shop", push);
    shop.steps[0].undo = Some(Box::new(pulled("pay", "undoers")));
    shop.steps.push(pulled("judge", "doers"));
    let server = http_push::start(vec![shop]).await;
    for id in ["done", "unknown"] {
        create(&server, id).await;
    }
    // One says that it is done and is refused by the next step, the other is stopped before.
    let calls = service.see(2).await;
    let call = |id: &str| {
        calls
            .iter()
            .map(|it| it.json())
            .find(|it| it["order_id"] == id)
    };
    let (done, unknown) = (call("done").unwrap(), call("unknown").unwrap());
    let reply = say(&server, "shop.pay", "complete", &done, json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let judged = lease(&server, "doers").await;
    let no = json!({"error": "no credit", "reject": true});
    say(&server, "doers", "fail", &judged, no).await;
    let cancelled = server.post("/v1/orders/unknown/cancel", "").await;
    assert_eq!(cancelled.json()["status"], "compensating");
    let late = say(&server, "shop.pay", "complete", &unknown, json!({})).await;
    assert_eq!(late.code(), "stale-fence");
    let mut undone = Vec::new();
    for _ in 0..2 {
        let undo = complete(&server, "undoers").await;
        undone.push(undo["effect_key"].as_str().unwrap().to_owned());
    }
    undone.sort();
    assert_eq!(undone, ["done/pay/undo", "unknown/pay/undo"]);
    assert_eq!(read(&server, "done").await["status"], "rejected");
    assert_eq!(read(&server, "unknown").await["status"], "cancelled");
    assert_eq!(service.seen().len(), 2);
    server.stop().await;
}
