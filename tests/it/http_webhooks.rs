//! Webhooks: every event reaches its receiver, signed, in the order of each order, whatever becomes
//! of the receiver in between.
//!
//! What is awaited is what the receiver gets, or what the server says about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orderd::http::schema;
use orderd::outbound::Secret;
use orderd::telling::WebhookSettings;
use serde_json::{Value, json};

use crate::receiver::{Message, Receiver};
use crate::support::{Setup, TestServer, order_with, within};

fn setup() -> Setup {
    Setup {
        webhooks: WebhookSettings {
            timeout: Duration::from_secs(5),
            retry_base: Duration::from_millis(2),
            retry_cap: Duration::from_millis(20),
            give_up_after: Duration::from_secs(3_600),
        },
        ..Setup::default()
    }
}

async fn webhook(server: &TestServer, fields: Value) -> Value {
    let reply = server.post("/v1/webhooks", fields.to_string()).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let _: schema::Webhook = serde_json::from_slice(&reply.body).unwrap();
    reply.json()
}

fn id(webhook: &Value) -> String {
    webhook["webhook_id"].as_str().unwrap().to_owned()
}

async fn act(server: &TestServer, webhook: &Value, action: &str, body: Value) -> Value {
    let path = format!("/v1/webhooks/{}/{action}", id(webhook));
    let reply = server.post(&path, body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Waits until the webhook is as it should be.
async fn until(server: &TestServer, webhook: &Value, is_it: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/webhooks/{}", id(webhook));
    within(async {
        loop {
            let now = server.get(&path).await.json();
            if is_it(&now) {
                return now;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Orders that are done at once, three events each.
async fn orders(server: &TestServer, count: usize, name: &str) {
    let batch: Vec<Value> = (0..count)
        .map(|at| order_with(json!({"order_id": format!("{name}{at}")})))
        .collect();
    let body = Value::from(batch).to_string();
    let reply = server.post("/v1/orders/batch", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Every event of the feed.
async fn told(server: &TestServer, count: usize) -> Vec<Value> {
    within(async {
        loop {
            let page = server.get("/v1/events?limit=1000").await.json();
            let events = page["data"].as_array().unwrap().clone();
            if events.len() >= count {
                return events;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// What was taken holds each of these events, and those of each order in their order when first
/// taken.
fn assert_all(taken: &[Message], events: &[Value]) {
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for message in taken {
        let data = message.json()["data"].clone();
        let event = data["event_id"].as_str().unwrap().to_owned();
        let known = ids.insert(event, message.header("webhook-id").to_owned());
        if let Some(known) = known {
            assert_eq!(
                known,
                message.header("webhook-id"),
                "another id the second time"
            );
            continue;
        }
        let order = data["order_id"].as_str().unwrap().to_owned();
        let version = data["version"].as_u64().unwrap();
        let before = versions.insert(order.clone(), version).unwrap_or(0);
        assert_eq!(version, before + 1, "order {order} is told out of order");
    }
    let wanted: BTreeSet<&str> = events
        .iter()
        .map(|it| it["event_id"].as_str().unwrap())
        .collect();
    let found: BTreeSet<&str> = ids.keys().map(String::as_str).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn events_arrive_signed_and_as_they_are_in_the_feed() {
    let server = TestServer::with(setup()).await;
    orders(&server, 1, "before").await;
    told(&server, 3).await;
    let receiver = Receiver::start().await;
    let made = webhook(&server, json!({"url": receiver.url(), "description": "x"})).await;
    let secret = Secret::parse(made["secret"].as_str().unwrap()).unwrap();
    orders(&server, 5, "a").await;
    let taken = receiver.take(15).await;
    let events = told(&server, 18).await;
    assert_all(&taken, &events[3..]);
    for message in &taken {
        let (text, json) = (&message.body, message.json());
        let event = events
            .iter()
            .find(|it| it["event_id"] == json["data"]["event_id"]);
        assert_eq!(Some(&json["data"]), event);
        assert_eq!(json["type"], json["data"]["type"]);
        assert_eq!(json["timestamp"], json["data"]["at"]);
        assert_eq!(message.header("content-type"), "application/json");
        let id = format!(
            "{}_{}",
            id(&made),
            json["data"]["event_id"].as_str().unwrap()
        );
        assert_eq!(message.header("webhook-id"), id);
        let seconds = message.header("webhook-timestamp").parse().unwrap();
        let signed = secret.sign(&id, seconds, text.as_bytes());
        assert_eq!(message.header("webhook-signature"), signed);
    }
    let shown = until(&server, &made, |it| it["delivered"] == 15).await;
    assert_eq!(
        (&shown["status"], &shown["secret"]),
        (&json!("active"), &Value::Null)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_receiver_that_was_away_gets_everything_in_order() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::answering(|_| Some(503)).await;
    let made = webhook(&server, json!({"url": receiver.url(), "after": "0-0"})).await;
    orders(&server, 300, "a").await;
    let failing = until(&server, &made, |it| it["status"] == "failing").await;
    assert_eq!(failing["reason"], "answered 503");
    // Away, then back and out of sorts: every third time it fails, and once it says nothing.
    let mut count = 0;
    receiver.answer(move |_| {
        count += 1;
        Some(if count % 3 == 0 { 500 } else { 200 })
    });
    let taken = receiver.take(900).await;
    assert_all(&taken, &told(&server, 900).await);
    until(&server, &made, |it| it["status"] == "active").await;
    server.stop().await;
}

#[tokio::test]
async fn nobody_there_and_then_somebody() {
    let server = TestServer::with(setup()).await;
    let gone = Receiver::start().await;
    let address = gone.address;
    drop(gone);
    let url = format!("http://{address}/hook");
    let made = webhook(&server, json!({"url": url, "types": ["order.completed"]})).await;
    orders(&server, 20, "a").await;
    until(&server, &made, |it| it["status"] == "failing").await;
    let receiver = Receiver::at(address, |_| Some(200)).await;
    let taken = receiver.take(20).await;
    assert!(
        taken
            .iter()
            .all(|it| it.json()["type"] == "order.completed")
    );
    server.stop().await;
}

#[tokio::test]
async fn one_that_says_gone_is_paused_with_the_reason_and_can_be_resumed() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::answering(|_| Some(410)).await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    orders(&server, 10, "a").await;
    let paused = until(&server, &made, |it| it["status"] == "paused").await;
    assert_eq!(paused["is_paused_by_server"], true);
    let reason = paused["reason"].as_str().unwrap();
    assert!(reason.contains("410 Gone"), "{reason}");
    receiver.answer(|_| Some(200));
    let resumed = act(&server, &made, "resume", json!({})).await;
    assert_eq!(resumed["reason"], Value::Null);
    let taken = receiver.take(30).await;
    assert_all(&taken, &told(&server, 30).await);
    server.stop().await;
}

#[tokio::test]
async fn one_that_is_not_got_through_to_for_long_is_paused() {
    let mut setup = setup();
    setup.webhooks.give_up_after = Duration::from_millis(30);
    let server = TestServer::with(setup).await;
    let receiver = Receiver::answering(|_| Some(500)).await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    orders(&server, 1, "a").await;
    let paused = until(&server, &made, |it| it["status"] == "paused").await;
    let reason = paused["reason"].as_str().unwrap();
    assert!(reason.contains("answered 500"), "{reason}");
    server.stop().await;
}

#[tokio::test]
async fn a_receiver_goes_on_after_a_restart_where_it_was() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::start().await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    let secret = Secret::parse(made["secret"].as_str().unwrap()).unwrap();
    orders(&server, 10, "a").await;
    receiver.take(30).await;
    until(&server, &made, |it| it["delivered"] == 30).await;
    receiver.answer(|_| Some(500));
    orders(&server, 10, "b").await;
    until(&server, &made, |it| it["status"] == "failing").await;
    let place = server.stop().await;
    receiver.answer(|_| Some(200));
    let place = Some(place);
    let server = TestServer::with(Setup { place, ..setup() }).await;
    orders(&server, 10, "c").await;
    let taken = receiver.take(90).await;
    assert_all(&taken, &told(&server, 90).await);
    assert_eq!(
        taken.len(),
        90,
        "what had arrived is not sent again after a good end"
    );
    let last = &taken[89];
    let seconds = last.header("webhook-timestamp").parse().unwrap();
    let signed = secret.sign(last.header("webhook-id"), seconds, last.body.as_bytes());
    assert_eq!(last.header("webhook-signature"), signed);
    server.stop().await;
}

#[tokio::test]
async fn what_was_on_its_way_before_a_restart_is_delivered() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::answering(|_| Some(503)).await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    orders(&server, 10, "a").await;
    until(&server, &made, |it| it["status"] == "failing").await;
    let place = Some(server.stop().await);
    receiver.answer(|_| Some(200));
    let server = TestServer::with(Setup { place, ..setup() }).await;
    orders(&server, 1, "b").await;
    let events = told(&server, 33).await;
    let place = |id: &Value| -> (u64, u64) {
        let (position, index) = id.as_str().unwrap().split_once('-').unwrap();
        (position.parse().unwrap(), index.parse().unwrap())
    };
    let last = place(&events[32]["event_id"]);
    // By its own account everything has arrived then.
    until(&server, &made, |it| place(&it["delivered_up_to"]) >= last).await;
    let taken: BTreeSet<String> = receiver
        .taken()
        .iter()
        .map(|it| it.json()["data"]["event_id"].to_string())
        .collect();
    let ids = events.iter().map(|event| event["event_id"].to_string());
    let lost: Vec<String> = ids.filter(|id| !taken.contains(id)).collect();
    assert!(lost.is_empty(), "never delivered: {lost:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_slow_receiver_holds_nobody_up() {
    let server = TestServer::with(setup()).await;
    let (silent, quick) = (
        Receiver::answering(|_| None::<i32>).await,
        Receiver::start().await,
    );
    webhook(&server, json!({"url": silent.url()})).await;
    webhook(&server, json!({"url": quick.url()})).await;
    orders(&server, 400, "a").await;
    let taken = quick.take(1_200).await;
    assert_eq!(taken.len(), 1_200);
    assert!(silent.seen().len() <= 16, "more than are under way at once");
    let done = server.get("/v1/orders/a399").await.json();
    assert_eq!(done["status"], "completed");
    server.stop().await;
}

#[tokio::test]
async fn secrets_change_over_without_a_gap() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::start().await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    let rotated = act(
        &server,
        &made,
        "rotate-secret",
        json!({"overlap_seconds": 60}),
    )
    .await;
    let told = act(&server, &made, "test", json!({})).await;
    assert_eq!(
        (&told["status"], &told["error"]),
        (&json!(200), &Value::Null)
    );
    let last = act(
        &server,
        &made,
        "rotate-secret",
        json!({"overlap_seconds": 0}),
    )
    .await;
    act(&server, &made, "test", json!({})).await;
    let seen = receiver.take(2).await;
    let signed = |message: &Message, by: &Value| {
        let secret = Secret::parse(by["secret"].as_str().unwrap()).unwrap();
        let seconds = message.header("webhook-timestamp").parse().unwrap();
        secret.sign(
            message.header("webhook-id"),
            seconds,
            message.body.as_bytes(),
        )
    };
    let both = format!("{} {}", signed(&seen[0], &rotated), signed(&seen[0], &made));
    assert_eq!(seen[0].header("webhook-signature"), both);
    assert_eq!(seen[1].header("webhook-signature"), signed(&seen[1], &last));
    assert_eq!(seen[1].json()["type"], "webhook.test");
    server.stop().await;
}

#[tokio::test]
async fn a_part_can_be_delivered_again_and_deliveries_are_told() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::start().await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    orders(&server, 10, "a").await;
    let events = told(&server, 30).await;
    let first = receiver.take(30).await;
    let (after, until_) = (&events[4]["event_id"], &events[9]["event_id"]);
    act(
        &server,
        &made,
        "replay",
        json!({"after": after, "until": until_}),
    )
    .await;
    let again = receiver.take(35).await;
    let part: BTreeSet<String> = again[30..]
        .iter()
        .map(|it| it.header("webhook-id").into())
        .collect();
    assert_eq!(part.len(), 5);
    for message in &again[30..] {
        assert!(
            first
                .iter()
                .any(|it| it.header("webhook-id") == message.header("webhook-id"))
        );
        let event = message.json()["data"].clone();
        assert!(events[5..10].contains(&event), "{event}");
    }
    until(&server, &made, |it| it["replayed_up_to"].is_null()).await;
    let path = format!("/v1/webhooks/{}/deliveries", id(&made));
    let page = within(async {
        loop {
            let reply = server.get(&format!("{path}?limit=20")).await;
            let page: schema::DeliveryPage = serde_json::from_slice(&reply.body).unwrap();
            if page.data.len() == 20 {
                return page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(page.has_more && page.data.iter().all(|it| it.status == Some(200)));
    let rest = format!("{path}?after={}", page.next_cursor.unwrap());
    assert!(
        !server.get(&rest).await.json()["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    server.stop().await;
}

#[tokio::test]
async fn a_replay_that_is_stuck_can_be_ended() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::start().await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    orders(&server, 2, "a").await;
    let events = told(&server, 6).await;
    receiver.take(6).await;
    let refused = events[0]["event_id"].clone();
    receiver.answer(move |it| {
        Some(if it.json()["data"]["event_id"] == refused {
            422
        } else {
            200
        })
    });
    act(&server, &made, "replay", json!({"after": "0-0"})).await;
    until(&server, &made, |it| it["status"] == "failing").await;
    orders(&server, 2, "b").await;
    // Another one takes its place, and goes through.
    let (after, last) = (&events[1]["event_id"], &events[5]["event_id"]);
    act(
        &server,
        &made,
        "replay",
        json!({"after": after, "until": last}),
    )
    .await;
    let taken = receiver.take(6 + 4 + 6).await;
    until(&server, &made, |it| it["replayed_up_to"].is_null()).await;
    assert_all(&taken, &told(&server, 12).await);
    act(&server, &made, "replay", json!({"after": "0-0"})).await;
    until(&server, &made, |it| it["status"] == "failing").await;
    let ended = act(
        &server,
        &made,
        "replay",
        json!({"after": "0-0", "until": "0-0"}),
    )
    .await;
    assert_eq!(ended["replayed_up_to"], Value::Null);
    let count = receiver.taken().len();
    orders(&server, 1, "c").await;
    receiver.take(count + 3).await;
    until(&server, &made, |it| it["status"] == "active").await;
    server.stop().await;
}

#[tokio::test]
async fn damage_where_a_receiver_is_shows_as_its_reason() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::start().await;
    orders(&server, 1, "a").await;
    told(&server, 3).await;
    server.damage("UPDATE journal SET entries = 'x' WHERE position = 1");
    let made = webhook(&server, json!({"url": receiver.url(), "after": "0-0"})).await;
    let shown = until(&server, &made, |it| it["status"] == "failing").await;
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("journal row 1"), "{reason}");
    server.stop().await;
}

#[tokio::test]
async fn a_paused_receiver_gets_nothing_until_it_is_resumed() {
    let server = TestServer::with(setup()).await;
    let receiver = Receiver::start().await;
    let made = webhook(&server, json!({"url": receiver.url()})).await;
    let paused = act(&server, &made, "pause", json!({"reason": "moving"})).await;
    assert_eq!(
        (&paused["status"], &paused["reason"]),
        (&json!("paused"), &json!("moving"))
    );
    assert_eq!(paused["is_paused_by_server"], false);
    orders(&server, 3, "a").await;
    let events = told(&server, 9).await;
    assert!(receiver.seen().is_empty());
    act(&server, &made, "resume", json!({})).await;
    assert_all(&receiver.take(9).await, &events);
    let path = format!("/v1/webhooks/{}", id(&made));
    let list = server.get("/v1/webhooks").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let gone = server.send(&format!("DELETE {path}"), &[], "").await;
    assert_eq!(gone.status, 204);
    assert_eq!(server.get(&path).await.code(), "webhook-not-found");
    orders(&server, 1, "b").await;
    told(&server, 12).await;
    let place = server.stop().await;
    let place = Some(place);
    let server = TestServer::with(Setup { place, ..setup() }).await;
    assert_eq!(server.get("/v1/webhooks").await.json()["data"], json!([]));
    assert_eq!(receiver.seen().len(), 9);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused_with_the_place() {
    let server = TestServer::with(setup()).await;
    for (body, pointer, code) in [
        (json!({"url": "ftp://x/"}), "/url", "invalid-url"),
        (json!({"url": "http://u:p@x/"}), "/url", "invalid-url"),
        (
            json!({"url": "http://x/", "types": ["order.dead", "dead"]}),
            "/types/1",
            "unknown-type",
        ),
        (
            json!({"url": "http://x/", "description": ""}),
            "/description",
            "invalid-length",
        ),
        (
            json!({"url": "http://x/", "color": "red"}),
            "/color",
            "unknown-field",
        ),
        (json!({"url": 7}), "/url", "wrong-type"),
        (json!({}), "/url", "missing-field"),
    ] {
        let reply = server.post("/v1/webhooks", body.to_string()).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (422, "invalid-webhook"),
            "{body}"
        );
        let fault = &reply.json()["errors"][0];
        assert_eq!(
            (&fault["pointer"], &fault["code"]),
            (&json!(pointer), &json!(code)),
            "{body}"
        );
    }
    assert_eq!(
        server.post("/v1/webhooks", "{").await.code(),
        "malformed-json"
    );
    let after = json!({"url": "http://x/", "after": "yesterday"}).to_string();
    assert_eq!(
        server.post("/v1/webhooks", after).await.code(),
        "bad-cursor"
    );
    for path in ["test", "pause", "resume", "rotate-secret"] {
        let reply = server
            .post(&format!("/v1/webhooks/wh_0/{path}"), "{}")
            .await;
        assert_eq!(reply.code(), "webhook-not-found", "{path}");
    }
    let many = json!({"overlap_seconds": 604_801}).to_string();
    let reply = server.post("/v1/webhooks/wh_0/rotate-secret", many).await;
    assert_eq!(reply.code(), "invalid-webhook");
    assert_eq!(server.get("/v1/webhooks").await.json()["data"], json!([]));
    server.stop().await;
}
