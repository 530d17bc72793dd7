//! Steps that must not be done twice: what is asked of their services before an attempt is made
//! again, and the real binary that is killed in the middle of a call.
//!
//! The services are in this process.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli_support::Place;
use crate::compat_faults::Faults;
use crate::http_push::{create, ended, history, process, push, start, until};
use crate::receiver::{Message, Receiver};
use crate::support::{Setup, TestServer, order_with, within};

/// A server with a step that takes money, and who is asked about it.
async fn charging(service: &Receiver, lookup: &Receiver, attempts_max: u16) -> TestServer {
    let mut push = push("shop", "pay", &service.url());
    push.timeout_us = 200_000;
    push.lookup = Some(lookup.url().into());
    let mut shop = process("shop", push);
    shop.steps[0].retry.attempts_max = attempts_max;
    start(vec![shop]).await
}

fn kinds(history: &[(String, String)]) -> Vec<&str> {
    let kinds = history.iter().map(|(kind, _)| kind.as_str());
    kinds
        .map(|kind| kind.trim_start_matches("order."))
        .collect()
}

#[tokio::test]
async fn what_was_done_after_all_is_not_done_again() {
    let service = Receiver::answering(|_| None::<i32>).await;
    let found = json!({"done": true, "output": {"charge": "c1"}});
    let lookup = Receiver::answering(move |_| Some((200, found.clone()))).await;
    let server = charging(&service, &lookup, 1).await;
    create(&server, "a", "shop").await;
    let order = ended(&server, "a", "completed").await;
    assert_eq!(order["outputs"]["pay"], json!({"charge": "c1"}));
    assert_eq!((service.seen().len(), lookup.seen().len()), (1, 1));
    let asked = lookup.seen()[0].json();
    assert_eq!(asked["effect_key"], "a/pay");
    assert_eq!(asked["order_id"], "a");
    assert!(
        lookup.seen()[0]
            .header("webhook-signature")
            .starts_with("v1,")
    );
    let history = history(&server, "a").await;
    let expected = ["accepted", "started", "retried", "started", "completed"];
    assert_eq!(kinds(&history), expected);
    assert_eq!(history[2].1, "no answer within 200 ms");
    server.stop().await;
}

#[tokio::test]
async fn what_was_not_done_is_done_once() {
    let mut calls = 0;
    let service = Receiver::answering(move |_| {
        calls += 1;
        (calls > 1).then_some((200, r#"{"output": 1}"#))
    })
    .await;
    let lookup = Receiver::answering(|_| Some((200, r#"{"done": false}"#))).await;
    let server = charging(&service, &lookup, 2).await;
    create(&server, "a", "shop").await;
    let order = ended(&server, "a", "completed").await;
    assert_eq!(order["attempt"], 2);
    let keys: Vec<String> = service.seen().iter().map(key).collect();
    assert_eq!(keys, ["a/pay", "a/pay"]);
    assert_eq!(lookup.seen().len(), 1);
    server.stop().await;
}

fn key(call: &Message) -> String {
    call.header("idempotency-key").to_owned()
}

#[tokio::test]
async fn no_attempt_is_made_beyond_the_last_one() {
    let service = Receiver::answering(|_| None::<i32>).await;
    let lookup = Receiver::answering(|_| Some((200, r#"{"done": false}"#))).await;
    let server = charging(&service, &lookup, 1).await;
    create(&server, "a", "shop").await;
    let order = ended(&server, "a", "dead").await;
    let reason = "the attempt before was not made, and there is no further one";
    assert_eq!(order["reason"], reason);
    // One attempt, and another one because the first was proved not to have been made.
    assert_eq!((service.seen().len(), lookup.seen().len()), (2, 2));
    // A person has it tried again: it is asked first, whatever was said before.
    lookup.answer(|_| Some((200, r#"{"done": true}"#)));
    let retried = server.post("/v1/orders/a/retry", "{}").await;
    assert_eq!(retried.status, 200, "{}", retried.text());
    within(async { while server.get("/v1/orders/a").await.json()["status"] != "completed" {} })
        .await;
    assert_eq!((service.seen().len(), lookup.seen().len()), (2, 3));
    server.stop().await;
}

#[tokio::test]
async fn who_cannot_say_is_asked_again_and_then_a_person_is() {
    let service = Receiver::answering(|_| Some((500, "lost my memory"))).await;
    let lookup = Receiver::answering(|_| Some((404, "who?"))).await;
    let server = charging(&service, &lookup, 1).await;
    create(&server, "a", "shop").await;
    let order = ended(&server, "a", "dead").await;
    let reason = "not known what became of the attempt before: answered 404: who?";
    assert_eq!(order["reason"], reason);
    // One attempt, and ten questions.
    assert_eq!((service.seen().len(), lookup.seen().len()), (1, 10));
    server.stop().await;
}

#[tokio::test]
async fn an_answer_of_the_lookup_ends_the_order_as_it_says() {
    let service = Receiver::answering(|_| Some((200, "garbage"))).await;
    let lookup = Receiver::answering(|call| {
        let id = call.json()["order_id"].as_str().unwrap().to_owned();
        Some(match &*id {
            "no" => (
                200,
                r#"{"done": true, "error": "no money", "reject": true}"#,
            ),
            "later" => (202, ""),
            other => panic!("{other}"),
        })
    })
    .await;
    let server = charging(&service, &lookup, 3).await;
    create(&server, "no", "shop").await;
    assert_eq!(ended(&server, "no", "rejected").await["reason"], "no money");
    create(&server, "later", "shop").await;
    lookup.see(2).await;
    let fence = lookup.seen()[1].json()["fence"].clone();
    let done = json!({"order_id": "later", "step": "pay", "fence": fence});
    let path = "/v1/queues/shop.pay/complete";
    let reply = server.post(path, done.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    ended(&server, "later", "completed").await;
    assert_eq!(service.seen().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn what_may_have_been_done_survives_an_outage_of_who_could_tell() {
    let service = Receiver::answering(|_| None::<i32>).await;
    let lookup = Receiver::start().await;
    let server = charging(&service, &lookup, 2).await;
    let address = lookup.address;
    drop(lookup);
    create(&server, "a", "shop").await;
    service.see(1).await;
    drop(service);
    // More than the attempts that it has.
    within(async {
        loop {
            let stats = server.get("/v1/stats").await.json();
            let ended = &stats["push"]["steps"]["shop.pay"]["ended"];
            if ended["not_counted"].as_u64() > Some(30) {
                break;
            }
        }
    })
    .await;
    let found = json!({"done": true, "output": "paid"});
    let _lookup = Receiver::at(address, move |_| Some((200, found.clone()))).await;
    let order = ended(&server, "a", "completed").await;
    assert_eq!(order["outputs"]["pay"], "paid");
    server.stop().await;
}

#[tokio::test]
async fn what_has_an_effect_is_not_given_back() {
    let service = Receiver::answering(|_| Some(202)).await;
    let server = charging(&service, &service, 2).await;
    create(&server, "a", "shop").await;
    let call = service.see(1).await[0].json();
    let mention = json!({
        "order_id": call["order_id"], "step": call["step"], "fence": call["fence"],
    });
    let mention = mention.to_string();
    let reply = server.post("/v1/queues/shop.pay/release", &mention);
    assert_eq!(reply.await.json()["code"], "queue-not-found");
    let done = server.post("/v1/queues/shop.pay/complete", &mention);
    assert_eq!(done.await.status, 200);
    ended(&server, "a", "completed").await;
    server.stop().await;
}

fn settings(service: &Receiver, more: &str) -> String {
    format!(
        "[outbound]\nallow = \"127.0.0.1\"\n[process.default]\nversion = 1\n\
         [[process.default.step]]\nname = \"pay\"\nkind = \"push\"\nurl = \"{}\"\n{more}",
        service.url()
    )
}

fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// Sends an order with the id `a` to a real server.
fn order(place: &Place, url: &str) {
    let what = "orders create --id a --customer ada --item tea:1 --total".split(' ');
    let what: Vec<&str> = what.chain(["1.00 EUR", "--url", url]).collect();
    let made = place.run(&what);
    assert_eq!(made.code, Some(0), "{}", made.err);
}

/// Has a server killed while a service works on an order that it has sent, and starts it again.
async fn killed_in_a_call(service: &Receiver, more: &str) -> (Place, crate::cli_support::Server) {
    let place = Place::new().with("orderd.toml", &settings(service, more));
    let mut server = blocking(|| place.serve(&[]));
    let url = server.url.clone();
    blocking(|| order(&place, &url));
    service.see(1).await;
    blocking(|| {
        server.signal("KILL");
        server.exit_code()
    });
    let server = blocking(|| place.serve(&[]));
    (place, server)
}

/// Waits until the order has ended as completed.
async fn completed(place: &Place, url: &str) -> Value {
    within(async {
        loop {
            let shown = blocking(|| place.run(&["orders", "get", "a", "--url", url, "--json"]));
            let order: Value = serde_json::from_str(&shown.out).unwrap();
            if order["status"] == "completed" {
                return order;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_a_kill_cut_off_is_made_again_and_counts_once() {
    let mut calls = 0;
    let service = Receiver::answering(move |_| {
        calls += 1;
        (calls > 1).then_some((200, r#"{"output": "second"}"#))
    })
    .await;
    let (place, server) = killed_in_a_call(&service, "").await;
    let order = completed(&place, &server.url).await;
    // The attempt that was cut off does not count.
    assert_eq!(
        (&order["attempt"], &order["outputs"]["pay"]),
        (&json!(1), &json!("second"))
    );
    let calls = service.seen();
    assert_eq!(calls.len(), 2);
    assert_eq!(key(&calls[0]), key(&calls[1]));
    assert_ne!(calls[0].json()["fence"], calls[1].json()["fence"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_is_asked_before_it_is_done_again() {
    let service = Receiver::answering(|call| {
        (call.path == "/lookup").then_some((200, r#"{"done": true, "output": "once"}"#))
    })
    .await;
    let lookup = service.url().replace("/hook", "/lookup");
    let more = format!("effect = true\nlookup = \"{lookup}\"\n");
    let (place, server) = killed_in_a_call(&service, &more).await;
    let order = completed(&place, &server.url).await;
    assert_eq!(order["outputs"]["pay"], "once");
    let paths: Vec<String> = service.seen().into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/hook", "/lookup"]);
}

#[tokio::test]
async fn an_address_in_a_private_network_is_not_called() {
    let service = Receiver::start().await;
    let text = settings(&service, "").replace("allow = \"127.0.0.1\"", "");
    let place = Place::new().with("orderd.toml", &text);
    let server = place.serve(&[]);
    order(&place, &server.url);
    within(async {
        loop {
            let shown = ["orders", "get", "a", "--url", &server.url, "--json"];
            let order: Value = serde_json::from_str(&place.run(&shown).out).unwrap();
            if order["reason"].is_string() {
                assert!(
                    order["reason"].as_str().unwrap().contains("private"),
                    "{order}"
                );
                return;
            }
        }
    })
    .await;
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn a_cancelled_order_is_not_brought_back_by_its_answer() {
    let service = Receiver::answering(|_| None::<i32>).await;
    let server = start(vec![process("shop", push("shop", "pay", &service.url()))]).await;
    create(&server, "a", "shop").await;
    service.see(1).await;
    let cancelled = server.post("/v1/orders/a/cancel", "{}").await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    drop(service);
    let order = until(&server, "a", |order| order["status"] == "cancelled").await;
    assert_eq!(order["reason"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn nothing_with_an_effect_is_sent_before_it_is_on_disk_that_it_began() {
    let (service, other) = (
        Receiver::start().await,
        Receiver::answering(|_| Some(202)).await,
    );
    service.answer(|_| Some((200, "{}")));
    let mut pay = push("shop", "pay", &service.url());
    pay.lookup = Some(service.url().into());
    let mut tell = process("tell", push("tell", "pay", &other.url()));
    tell.concurrency = u32::MAX;
    let faults = Arc::new(Faults::default());
    let mut setup = Setup {
        faults: Some(Arc::clone(&faults)),
        ..Setup::default()
    };
    setup.processes.extend([process("shop", pay), tell]);
    let server = TestServer::with(setup).await;
    // The one that has the orders is made, and the one that has their attempts waits.
    faults.hold_commits_after(Some(1));
    let batch: Vec<Value> = (0..20)
        .map(|at| {
            let process = if at == 0 { "shop" } else { "tell" };
            order_with(json!({"order_id": format!("o{at}"), "process": process}))
        })
        .collect();
    let reply = server
        .post("/v1/orders/batch", Value::from(batch).to_string())
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // All were leased together; those without an effect need not wait.
    other.see(19).await;
    for _ in 0..50 {
        assert_eq!(server.get("/livez").await.status, 200);
        assert!(service.seen().is_empty());
    }
    faults.hold_commits_after(None);
    ended(&server, "o0", "completed").await;
    assert_eq!(service.seen().len(), 1);
    server.stop().await;
}
