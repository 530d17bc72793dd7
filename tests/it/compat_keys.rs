//! Idempotency keys in every dialect: the same request again gets the first answer, byte for byte,
//! and nothing is made twice.
//!
//! What keys are, and how long they count, is tested with the native API.

use orderd::order::Dialect;

use crate::compat_curl::check;
use crate::compat_support::{CompatServer, Setup};
use crate::support::Reply;

const JSON: &str = "Content-Type: application/json";
const REUSED: &str = "Idempotency-Key was used with another request";

/// How a dialect creates an order.
struct Create {
    dialect: Dialect,
    path: &'static str,
    body: &'static str,
    /// Another good order.
    other: &'static str,
    /// Status and content type of a refusal, and its body around the text.
    envelope: (&'static str, &'static str, &'static str),
    bad_key: &'static str,
}

const TEXT: (&str, &str, &str) = ("text/plain; charset=utf-8", "", "¶");

const CREATES: [Create; 5] = [
    Create {
        dialect: Dialect::TwoQueue,
        path: "/order",
        body: r#"{"user_id":"u","item_ids":"a","total_amount":1}"#,
        other: r#"{"user_id":"u","item_ids":"a","total_amount":2}"#,
        envelope: TEXT,
        bad_key: "Invalid Idempotency-Key",
    },
    Create {
        dialect: Dialect::Realtime,
        path: "/orders",
        body: r#"{"id":"r","amount":1,"items":["a"],"customer":"c","address":"x"}"#,
        other: r#"{"amount":1,"items":["a"],"customer":"c","address":"x"}"#,
        envelope: TEXT,
        bad_key: "Invalid Idempotency-Key",
    },
    Create {
        dialect: Dialect::OrderService,
        path: "/order-service/order/create",
        body: r#"{"order_id":"s","user_id":"u","items_ids":["a"],"total_amount":1}"#,
        other: r#"{"order_id":"t","user_id":"u","items_ids":["a"],"total_amount":1}"#,
        envelope: ("application/json", r#"{"error":""#, "\"}¶"),
        bad_key: "Invalid request payload",
    },
    Create {
        dialect: Dialect::ApiV1,
        path: "/api/v1/orders",
        body: r#"{"order_id":"v","user_id":1,"item_ids":[1],"total_amount":1}"#,
        other: r#"{"order_id":"w","user_id":1,"item_ids":[1],"total_amount":1}"#,
        envelope: ("application/json", r#"{"status_code":N,"message":""#, "\"}"),
        bad_key: "Validation Error",
    },
    Create {
        dialect: Dialect::OrdersApi,
        path: "/orders",
        body: r#"{"user_id":7.0,"item_ids":["a",1],"total_amount":"1"}"#,
        other: r#"{"user_id":"u","item_ids":[],"total_amount":1}"#,
        envelope: ("application/json; charset=utf-8", r#"{"error":""#, "\"}"),
        bad_key: "Error creating order",
    },
];

impl Create {
    async fn send(&self, server: &CompatServer, key: &str, body: &str) -> Reply {
        let start = format!("POST {}", self.path);
        let key = format!("Idempotency-Key: {key}");
        server
            .send(self.dialect.port(), &start, &[JSON, &key], body)
            .await
    }

    /// What is said with this status and text.
    fn refusal(&self, status: u16, text: &str) -> String {
        let (content_type, before, after) = self.envelope;
        let before = before.replace('N', &status.to_string());
        format!("{status} {content_type} | {before}{text}{after}")
    }
}

fn is_replayed(reply: &Reply) -> bool {
    let told = reply.headers.get("idempotency-replayed");
    told.is_some_and(|told| told == "true")
}

#[track_caller]
fn assert_same(again: &Reply, first: &Reply) {
    assert!((200..300).contains(&first.status), "{first:?}");
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    for header in ["content-type", "location"] {
        assert_eq!(again.header(header), first.header(header));
    }
    assert_eq!((is_replayed(first), is_replayed(again)), (false, true));
}

#[tokio::test]
async fn the_same_request_gets_the_first_answer_even_after_the_work_and_a_restart() {
    let server = CompatServer::start().await;
    let mut first = Vec::new();
    for create in &CREATES {
        first.push(create.send(&server, "k", create.body).await);
        assert_same(
            &create.send(&server, "k", create.body).await,
            &first[first.len() - 1],
        );
    }
    server.finish_work().await;
    let server = server.restart().await;
    for (create, first) in CREATES.iter().zip(&first) {
        assert_same(&create.send(&server, "k", create.body).await, first);
    }
    assert_eq!(server.count().await, CREATES.len() as i64);
    server.stop().await;
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused_and_stores_nothing() {
    let server = CompatServer::start().await;
    for create in &CREATES {
        create.send(&server, "k", create.body).await;
        let refused = create.send(&server, "k", create.other).await;
        check(&refused, &create.refusal(422, REUSED));
        assert!(
            refused
                .header("orderd-error")
                .starts_with("idempotency-key-reused; ")
        );
        let bad = create.send(&server, "a b", create.other).await;
        check(&bad, &create.refusal(400, create.bad_key));
        assert!(
            bad.header("orderd-error")
                .starts_with("bad-idempotency-key; ")
        );
    }
    assert_eq!(server.count().await, CREATES.len() as i64);
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_does_not_use_the_key_up() {
    let server = CompatServer::start().await;
    for create in &CREATES {
        let refused = create.send(&server, "k", "{").await;
        assert_eq!(refused.status, 400);
        let created = create.send(&server, "k", create.other).await;
        assert!((200..300).contains(&created.status) && !is_replayed(&created));
    }
    server.stop().await;
}

#[tokio::test]
async fn twins_in_flight_become_one_order() {
    let server = CompatServer::start().await;
    for create in &CREATES {
        let (left, right) = tokio::join!(
            create.send(&server, "twin", create.body),
            create.send(&server, "twin", create.body)
        );
        let (first, again) = if is_replayed(&left) {
            (right, left)
        } else {
            (left, right)
        };
        assert_same(&again, &first);
    }
    assert_eq!(server.count().await, CREATES.len() as i64);
    server.stop().await;
}

#[tokio::test]
async fn a_full_server_still_repeats_what_it_answered() {
    for create in &CREATES {
        let mut setup = Setup::default();
        setup.process(create.dialect).open_orders_max = 1;
        let server = CompatServer::with(setup).await;
        let first = create.send(&server, "k", create.body).await;
        assert_eq!(create.send(&server, "l", create.other).await.status, 503);
        assert_same(&create.send(&server, "k", create.body).await, &first);
        server.stop().await;
    }
}
