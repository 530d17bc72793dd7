//! Steps that are sent to an address: what is sent, what each answer means, and that nobody else
//! suffers from a service that does not behave.
//!
//! The service is in this process, and private to its test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use orderd::engine::BreakerSettings;
use orderd::order::{Hidden, Process, Push, RetryPolicy, Step, StepKind};
use orderd::outbound::Secret;
use serde_json::{Value, json};

use crate::http_queues::pulled;
use crate::receiver::{Receiver, Said};
use crate::support::{Setup, TestServer, order_with, within};

/// Made up for these tests.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How a step is sent to a service.
pub fn push(process: &str, step: &str, url: &str) -> Push {
    Push {
        queue: Push::queue_of(process, step),
        url: url.into(),
        lookup: None,
        timeout_us: 10_000_000,
        callback_us: 60_000_000,
        secrets: vec![Hidden::new(SECRET)],
    }
}

/// A process with one step that is tried twice, at once.
pub fn process(name: &str, push: Push) -> Process {
    Process {
        name: name.into(),
        version: 1,
        steps: vec![Step {
            undo: None,
            name: "pay".into(),
            kind: StepKind::Push(push),
            concurrency: 64,
            retry: RetryPolicy {
                attempts_max: 2,
                base_us: 0,
                cap_us: 0,
            },
        }],
        ..Process::built_in()
    }
}

/// A server with these processes, whose services rest for a moment.
pub async fn start(processes: Vec<Process>) -> TestServer {
    let mut setup = Setup {
        breaker: BreakerSettings {
            rest_base: Duration::from_millis(5),
            rest_cap: Duration::from_millis(20),
            ..BreakerSettings::default()
        },
        ..Setup::default()
    };
    setup.processes.extend(processes);
    TestServer::with(setup).await
}

pub async fn create(server: &TestServer, id: &str, process: &str) {
    let fields = json!({"order_id": id, "process": process});
    server.create(&order_with(fields)).await;
}

/// Waits until an order is as it should be.
pub async fn until(server: &TestServer, id: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/orders/{id}");
    within(async {
        loop {
            let order = server.get(&path).await.json();
            if is_it(&order) {
                return order;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

pub async fn ended(server: &TestServer, id: &str, status: &str) -> Value {
    until(server, id, |order| {
        let now = order["status"].as_str().unwrap();
        assert!(
            now == status || !matches!(now, "completed" | "dead" | "rejected"),
            "{order}"
        );
        now == status
    })
    .await
}

/// Type and reason of each entry of an order's history.
pub async fn history(server: &TestServer, id: &str) -> Vec<(String, String)> {
    let reply = server.get(&format!("/v1/orders/{id}/events")).await.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = reply["data"].as_array().unwrap().iter();
    events
        .map(|event| (text(&event["type"]), text(&event["reason"])))
        .collect()
}

#[tokio::test]
async fn a_call_has_all_that_the_step_needs_and_is_signed() {
    let service = Receiver::answering(|_| Some((200, r#"{"output": {"paid": 7}}"#))).await;
    let mut shop = process("shop", push("shop", "pay", &service.url()));
    shop.steps.insert(0, pulled()[0].steps[0].clone());
    let server = start(vec![shop]).await;
    create(&server, "a", "shop").await;
    let lease = json!({"wait": "30s"}).to_string();
    let leased = server.post("/v1/queues/pickers/lease", &lease).await.json();
    let leased = &leased["data"][0];
    let done = json!({
        "order_id": "a", "step": "pick", "fence": leased["fence"], "output": [1, "x"],
    });
    let path = "/v1/queues/pickers/complete";
    assert_eq!(server.post(path, done.to_string()).await.status, 200);
    let order = ended(&server, "a", "completed").await;
    assert_eq!(
        order["outputs"],
        json!({"pick": [1, "x"], "pay": {"paid": 7}})
    );

    let calls = service.seen();
    assert_eq!(calls.len(), 1);
    let (call, body) = (&calls[0], calls[0].json());
    assert_eq!(
        (&body["order_id"], &body["step"]),
        (&json!("a"), &json!("pay"))
    );
    assert_eq!(body["queue"], "shop.pay");
    assert_eq!(body["attempt"], 1);
    assert_eq!(body["effect_key"], "a/pay");
    assert_eq!(body["outputs"], json!({"pick": [1, "x"]}));
    assert_eq!(body["order"]["items"][0]["sku"], "A");
    assert_eq!(body["order"]["status"], "processing");
    assert!(body["deadline"].as_str() > body["order"]["updated_at"].as_str());
    assert_eq!(call.header("idempotency-key"), "a/pay");
    assert_eq!(call.header("webhook-id"), "a/pay");
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.header("traceparent").len(), 55);
    let seconds = call.header("webhook-timestamp").parse().unwrap();
    let secret = Secret::parse(SECRET).unwrap();
    let signature = secret.sign("a/pay", seconds, call.body.as_bytes());
    assert_eq!(call.header("webhook-signature"), signature);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_ends_the_attempt_as_it_says() {
    let service = Receiver::answering(|call| {
        Some(match call.json()["order_id"].as_str().unwrap() {
            "done" => (200, r#"{}"#.to_owned()),
            "nothing-to-say" => (204, String::new()),
            "again" if call.json()["attempt"] == 1 => (200, r#"{"error": "busy"}"#.to_owned()),
            "again" => (200, r#"{"output": 2}"#.to_owned()),
            "no" => (200, r#"{"error": "no money", "reject": true}"#.to_owned()),
            "never" => (
                200,
                r#"{"error": "no such card", "retry": false}"#.to_owned(),
            ),
            "refused" => (422, "what is that?".to_owned()),
            "large" => (200, format!(r#"{{"output": "{}"}}"#, "x".repeat(10 << 20))),
            "garbage" => (200, "<html>".to_owned()),
            "empty" => (200, String::new()),
            other => panic!("{other}"),
        })
        .map(|(status, body)| Said::from((status, &*body)))
    })
    .await;
    let server = start(vec![process("shop", push("shop", "pay", &service.url()))]).await;
    let garbage = "answered 200, but ";
    for (id, status, reason) in [
        ("done", "completed", ""),
        ("nothing-to-say", "completed", ""),
        ("again", "completed", ""),
        ("no", "rejected", "no money"),
        ("never", "dead", "no such card"),
        ("refused", "dead", "answered 422: what is that?"),
        ("large", "dead", "the answer has more than"),
        ("garbage", "dead", garbage),
        ("empty", "dead", "answered 200, but the body is empty"),
    ] {
        create(&server, id, "shop").await;
        let order = ended(&server, id, status).await;
        let said = order["reason"].as_str().unwrap_or_default();
        assert!(said.starts_with(reason), "{id}: {order}");
    }
    let attempts = |id: &str| {
        let of = |call: &&crate::receiver::Message| call.json()["order_id"] == id;
        service.seen().iter().filter(of).count()
    };
    // What cannot be read may be read the next time; what was refused is refused.
    assert_eq!((attempts("garbage"), attempts("large")), (2, 2));
    assert_eq!((attempts("never"), attempts("refused")), (1, 1));
    assert_eq!(
        history(&server, "again").await[2],
        ("order.retried".into(), "busy".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn those_who_are_late_or_hang_up_hold_up_nobody_else() {
    let silent = Receiver::answering(|_| None::<i32>).await;
    let good = Receiver::answering(|_| Some((200, "{}"))).await;
    let mut slow = push("slow-pay", "pay", &silent.url());
    slow.timeout_us = 100_000;
    let fine = push("shop", "pay", &good.url());
    let server = start(vec![process("slow-pay", slow), process("shop", fine)]).await;
    for at in 0..3 {
        create(&server, &format!("late{at}"), "slow-pay").await;
        create(&server, &format!("good{at}"), "shop").await;
    }
    for at in 0..3 {
        ended(&server, &format!("good{at}"), "completed").await;
        let order = ended(&server, &format!("late{at}"), "dead").await;
        assert_eq!(order["reason"], "no answer within 100 ms");
    }
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["push"]["steps"]["shop.pay"]["ended"]["done"], 3);
    let metrics = server.get("/metrics").await;
    let line = r#"orderd_push_calls_total{queue="shop.pay",end="done"} 3"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
    server.stop().await;
}

#[tokio::test]
async fn what_is_accepted_is_finished_by_a_callback_and_holds_no_place() {
    let service = Receiver::answering(|_| Some(202)).await;
    let mut shop = process("shop", push("shop", "pay", &service.url()));
    shop.steps[0].concurrency = 1;
    let server = start(vec![shop]).await;
    for id in ["a", "b"] {
        create(&server, id, "shop").await;
    }
    let calls = service.see(2).await;
    let queue = |verb: &str| format!("/v1/queues/shop.pay/{verb}");
    let said = |at: usize, fields: Value| {
        let call = calls[at].json();
        let mut body = json!({
            "order_id": call["order_id"], "step": call["step"], "fence": call["fence"],
        });
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        body.to_string()
    };
    let beat = server.post(&queue("beat"), said(0, json!({}))).await;
    assert_eq!(beat.status, 200, "{}", beat.text());
    let done = said(0, json!({"output": "paid"}));
    assert_eq!(server.post(&queue("complete"), &done).await.status, 200);
    assert_eq!(
        ended(&server, "a", "completed").await["outputs"]["pay"],
        "paid"
    );
    // Once only.
    let again = server.post(&queue("complete"), &done).await;
    assert_eq!(again.json()["code"], "stale-fence");
    let failed = said(1, json!({"error": "no", "reject": true}));
    assert_eq!(server.post(&queue("fail"), &failed).await.status, 200);
    ended(&server, "b", "rejected").await;
    let lease = server.post(&queue("lease"), "{}").await;
    assert_eq!(lease.json()["code"], "queue-not-found");
    server.stop().await;
}

#[tokio::test]
async fn a_callback_may_overtake_the_answer() {
    let service = Receiver::answering(|_| None::<i32>).await;
    let server = start(vec![process("shop", push("shop", "pay", &service.url()))]).await;
    create(&server, "a", "shop").await;
    let call = service.see(1).await[0].json();
    let done = json!({"order_id": "a", "step": "pay", "fence": call["fence"]});
    let path = "/v1/queues/shop.pay/complete";
    assert_eq!(server.post(path, done.to_string()).await.status, 200);
    ended(&server, "a", "completed").await;
    drop(service);
    let types: Vec<String> = history(&server, "a")
        .await
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(
        types,
        ["order.accepted", "order.started", "order.completed"]
    );
    server.stop().await;
}

#[tokio::test]
async fn patience_that_a_service_asks_for_is_kept() {
    let service = Receiver::answering(|_| {
        let mut said = Said::from(429);
        said.headers.push("Retry-After: 3600".into());
        Some(said)
    })
    .await;
    let server = start(vec![process("shop", push("shop", "pay", &service.url()))]).await;
    create(&server, "a", "shop").await;
    let order = until(&server, "a", |order| order["reason"].is_string()).await;
    assert_eq!(
        (&order["status"], &order["attempt"]),
        (&json!("pending"), &json!(1))
    );
    let events = server.get("/v1/orders/a/events").await.json();
    let retried = &events["data"][2];
    let accepted = &events["data"][0];
    assert_eq!(retried["type"], "order.retried");
    // An hour, to the letter of the clock.
    let hour = |event: &Value, key: &str| event[key].as_str().unwrap()[..16].to_owned();
    assert!(hour(retried, "until") > hour(accepted, "at"), "{retried}");
    server.stop().await;
}

#[tokio::test]
async fn a_service_that_is_away_costs_no_order_its_attempts() {
    let is_up = Arc::new(AtomicUsize::new(0));
    let answering = Arc::clone(&is_up);
    let service = Receiver::answering(move |_| {
        Some(match answering.load(Ordering::Relaxed) {
            0 => (503, "down"),
            _ => (200, "{}"),
        })
    })
    .await;
    let mut shop = process("shop", push("shop", "pay", &service.url()));
    shop.steps[0].concurrency = 4;
    shop.steps[0].retry.attempts_max = 1_000;
    let server = start(vec![shop]).await;
    let ids: Vec<String> = (0..50).map(|at| format!("o{at}")).collect();
    for id in &ids {
        create(&server, id, "shop").await;
    }
    // Five failures open it; each further call is a probe, and there is one at a time.
    service.see(25).await;
    let stats = server.get("/v1/stats").await.json();
    let (_, service_now) = stats["push"]["services"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    assert_eq!(service_now["state"], "resting");
    assert_eq!(service_now["error"], "answered 503: down");
    let metrics = server.get("/metrics").await;
    let line = format!("orderd_push_resting{{target=\"{}\"}} 1", service.url());
    assert!(metrics.text().contains(&line), "{}", metrics.text());
    is_up.store(1, Ordering::Relaxed);
    for id in &ids {
        ended(&server, id, "completed").await;
    }
    let failed = service
        .seen()
        .iter()
        .filter(|call| call.status == 503)
        .count();
    let mut counted = 0;
    for id in &ids {
        let history = history(&server, id).await;
        counted += history
            .iter()
            .filter(|(kind, _)| kind == "order.retried")
            .count();
    }
    // Those that were under way when it opened do not count.
    assert!(
        counted <= failed && counted >= failed - 3,
        "{counted} of {failed}"
    );
    let stats = server.get("/v1/stats").await.json();
    let (_, service_now) = stats["push"]["services"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    assert_eq!(
        (&service_now["state"], &service_now["error"]),
        (&json!("called"), &Value::Null)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_costs_next_to_nothing() {
    let service = Receiver::start().await;
    let (address, url) = (service.address, service.url());
    drop(service);
    let mut shop = process("shop", push("shop", "pay", &url));
    shop.steps[0].retry.attempts_max = 10;
    let server = start(vec![shop]).await;
    for at in 0..20 {
        create(&server, &format!("o{at}"), "shop").await;
    }
    let resting = within(async {
        loop {
            let stats = server.get("/v1/stats").await.json();
            let ended = &stats["push"]["steps"]["shop.pay"]["ended"];
            if ended["not_counted"].as_u64() > Some(20) {
                break stats;
            }
        }
    })
    .await;
    let step = &resting["push"]["steps"]["shop.pay"];
    assert!(step["ended"]["retried"].as_u64() <= Some(5), "{resting}");
    let _service = Receiver::at(address, |_| Some((200, "{}"))).await;
    for at in 0..20 {
        ended(&server, &format!("o{at}"), "completed").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_step_without_orders_does_not_keep_the_only_call_from_another_one() {
    let is_up = Arc::new(AtomicUsize::new(0));
    let answering = Arc::clone(&is_up);
    let service = Receiver::answering(move |_| match answering.load(Ordering::Relaxed) {
        0 => Some((503, "down")),
        _ => Some((200, "{}")),
    })
    .await;
    let mut processes: Vec<Process> = ["idle", "shop"]
        .iter()
        .map(|name| process(name, push(name, "pay", &service.url())))
        .collect();
    for process in &mut processes {
        process.steps[0].retry.attempts_max = 1_000;
    }
    let server = start(processes).await;
    for at in 0..3 {
        create(&server, &format!("o{at}"), "shop").await;
    }
    service.see(20).await;
    is_up.store(1, Ordering::Relaxed);
    for at in 0..3 {
        ended(&server, &format!("o{at}"), "completed").await;
    }
    server.stop().await;
}
