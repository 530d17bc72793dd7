//! Steps with rules over HTTP: labels are shown as outputs, limits end an order as rejected.
//!
//! What rules may say is tested where they are; here is what a client sees of it.

use orderd::http::schema;
use orderd::order::{LabelRule, Limits, Priority, Process, Rules, Step, StepKind, When};
use serde_json::{Value, json};

use crate::support::{Reply, Setup, TestServer, order_with, within};

fn checked() -> Process {
    let label = |label: &str, priority| LabelRule {
        label: label.into(),
        text: format!("is {label}").into(),
        when: When {
            total_above_minor: None,
            priority,
        },
    };
    let rules = |limits, labels| StepKind::Rules(Rules { limits, labels });
    let limits = Limits {
        items_max: Some(2),
        total_max_minor: Some(9_999),
        total_text: "too dear".into(),
        ..Limits::default()
    };
    let step = |name: &str, kind| Step::new(name, kind);
    let labels = vec![label("fast", Some(Priority::High)), label("usual", None)];
    Process {
        name: "checked".into(),
        version: 4,
        steps: vec![
            step("label", rules(Limits::default(), labels)),
            step("limit", rules(limits, Vec::new())),
        ],
        ..Process::built_in()
    }
}

async fn start() -> TestServer {
    let mut setup = Setup::default();
    setup.processes.push(checked());
    TestServer::with(setup).await
}

async fn end_of(server: &TestServer, fields: Value) -> Reply {
    let headers = ["Content-Type: application/json", "Prefer: wait=60"];
    let body = order_with(fields).to_string();
    let reply = within(server.send("POST /v1/orders", &headers, body)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let _: schema::Order = serde_json::from_slice(&reply.body).unwrap();
    reply
}

#[tokio::test]
async fn a_label_is_shown_wherever_the_order_is() {
    let server = start().await;
    let sent = json!({"order_id": "a", "process": "checked", "priority": 1});
    let reply = end_of(&server, sent).await.json();
    assert_eq!(reply["status"], "completed");
    let outputs = json!({"label": {"label": "fast", "text": "is fast"}});
    assert_eq!(reply["outputs"], outputs);
    let read = server.get("/v1/orders/a").await.json();
    assert_eq!(read, reply);
    let list = server.get("/v1/orders?process=checked").await.json();
    assert_eq!(list["data"][0]["outputs"], outputs);
    let sent = json!({"process": "checked", "priority": 3});
    let other = end_of(&server, sent).await.json();
    assert_eq!(other["outputs"]["label"]["label"], "usual");
    let plain = end_of(&server, json!({})).await.json();
    assert_eq!(plain["outputs"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn above_a_limit_an_order_ends_rejected_with_the_text_of_the_limit() {
    let server = start().await;
    let many = json!(["a", "b", "c"]);
    for (items, amount, reason) in [
        (json!(["a"]), 10_000, "too dear"),
        (many, 9_999, "too many items in order"),
    ] {
        let total = json!({"amount": amount, "currency": "USD"});
        let sent = json!({"process": "checked", "items": items, "total": total});
        let reply = end_of(&server, sent).await.json();
        assert_eq!(
            (&reply["status"], &reply["reason"]),
            (&"rejected".into(), &reason.into())
        );
        // What an earlier step said stays.
        assert_eq!(reply["outputs"]["label"]["label"], "usual");
        let path = format!("/v1/orders/{}/events", reply["order_id"].as_str().unwrap());
        let events = server.get(&path).await.json();
        let last = events["data"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["type"], &last["step"]),
            (&"order.rejected".into(), &"limit".into())
        );
        assert_eq!(last["reason"], reason);
    }
    let stats = server.get("/v1/stats").await.json();
    assert_eq!(stats["processes"]["checked"]["by_status"]["rejected"], 2);
    server.stop().await;
}
