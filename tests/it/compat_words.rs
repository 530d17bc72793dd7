//! Words and counters of `order_service`, `api_v1` and `orders_api`: whatever becomes of an order,
//! it is called what the documentation calls it, and the metrics equal a recount of the orders.
//!
//! One run for each dialect in which orders complete, die, are rejected, expire, are cancelled,
//! wait and come later, with restarts in the middle of it.

use std::collections::BTreeSet;

use orderd::compat;
use orderd::order::{Dialect, Limits, RetryPolicy, Rules, Step, StepKind};
use orderd::server::{Refusal, RequestHead, Route};
use serde_json::json;

use crate::compat_recount::{Recount, failing, native_orders};
use crate::compat_support::{CompatServer, NATIVE, Setup};

/// Native statuses and the dialects' words for them, in the order of the metrics.
const WORDS: [(&str, &[&str]); 7] = [
    ("Pending", &["scheduled", "pending"]),
    ("Processing", &["processing", "waiting", "compensating"]),
    ("Completed", &["completed"]),
    ("Failed", &["dead"]),
    ("Cancelled", &["cancelled"]),
    ("Rejected", &["rejected"]),
    ("Expired", &["expired"]),
];

/// What is different in a dialect.
struct Dialected {
    dialect: Dialect,
    create: &'static str,
    metrics: &'static str,
    /// Where the status of an order is read, and how it is told.
    status: fn(&str, &str) -> (String, String),
    /// What is said to metrics.
    expected: fn(&Recount) -> String,
}

const DIALECTS: [Dialected; 3] = [
    Dialected {
        dialect: Dialect::OrderService,
        create: "/order-service/order/create",
        metrics: "/order-service/order/order-metric",
        status: |id, word| {
            (
                format!("/order-service/order/order-status?order_id={id}"),
                format!("{{\"order_status\":\"{word}\"}}\n"),
            )
        },
        expected: |recount| {
            let words = counts(recount).filter(|(_, count)| *count > 0);
            let words: Vec<_> = words
                .map(|(word, count)| format!("{{\"status\":\"{word}\",\"count\":{count}}}"))
                .collect();
            format!(
                "{{\"order_metrics\":{{\"total_orders\":{},\"avg_processing_time\":{},\
                 \"orders_by_status\":[{}]}}}}\n",
                recount.all(),
                recount.turnaround(),
                words.join(","),
            )
        },
    },
    Dialected {
        dialect: Dialect::ApiV1,
        create: "/api/v1/orders",
        metrics: "/api/v1/metrics",
        status: |id, word| {
            (
                format!("/api/v1/orders/{id}"),
                format!("{{\"order_id\":\"{id}\",\"status\":\"{word}\"}}"),
            )
        },
        expected: |recount| {
            format!(
                "{{\"status_code\":200,\"message\":\"Succesfully fetched metrics Ddta\",\"data\":\
                 {{\"total_orders_processed\":{},\"total_processing_time\":{},\
                 \"status_counts\":{}}}}}",
                recount.all(),
                recount.work(1_000_000, 6),
                members(recount),
            )
        },
    },
    Dialected {
        dialect: Dialect::OrdersApi,
        create: "/orders",
        metrics: "/metrics",
        status: |id, word| {
            (
                format!("/orders/{id}/status"),
                format!("{{\"status\":\"{word}\"}}"),
            )
        },
        expected: |recount| {
            format!(
                "{{\"total_orders\":{},\"average_processing_time\":{},\"order_counts\":{}}}",
                recount.all(),
                recount.turnaround(),
                members(recount),
            )
        },
    },
];

/// How many orders each word stands for.
fn counts(recount: &Recount) -> impl Iterator<Item = (&'static str, usize)> {
    WORDS
        .map(|(word, statuses)| (word, recount.now(statuses)))
        .into_iter()
}

/// The same as an object: three words always, the others only where there are some.
fn members(recount: &Recount) -> String {
    let words = counts(recount).enumerate();
    let words = words.filter(|(at, (_, count))| *at < 3 || *count > 0);
    let words: Vec<_> = words
        .map(|(_, (word, count))| format!("\"{word}\":{count}"))
        .collect();
    format!("{{{}}}", words.join(","))
}

/// Orders of which a third die, and those above 50.00 are rejected.
fn setup(dialect: Dialect) -> Setup {
    let mut setup = failing(dialect, 6_000_000);
    let limits = Limits {
        total_max_minor: Some(5_000),
        ..Limits::default()
    };
    setup.process(dialect).steps.push(Step {
        undo: None,
        name: "limits".into(),
        kind: StepKind::Rules(Rules {
            limits,
            labels: Vec::new(),
        }),
        concurrency: u32::MAX,
        retry: RetryPolicy::default(),
    });
    setup
}

impl Dialected {
    /// Creates an order in a form that all three take.
    async fn create(&self, server: &CompatServer, at: i64) -> String {
        let mut order = json!({"user_id": at + 1, "item_ids": [1, 2], "total_amount": at});
        if self.dialect == Dialect::OrderService {
            order = json!({"user_id": "u", "items_ids": ["a"], "total_amount": at});
        }
        if self.dialect != Dialect::OrdersApi {
            order["order_id"] = format!("order-{at}").into();
        }
        let body = order.to_string();
        let reply = server.post(self.dialect.port(), self.create, body).await;
        assert!((200..300).contains(&reply.status), "{}", reply.text());
        let place = reply.header("location").trim_end_matches("/status");
        place.rsplit(['/', '=']).next().unwrap().to_owned()
    }

    /// Reads every order and the metrics, and compares them with what is native.
    async fn compare(&self, server: &CompatServer) -> BTreeSet<&'static str> {
        server.begin_work().await;
        let port = self.dialect.port();
        let recount = Recount::of(server, self.dialect).await;
        let metrics = server.get(port, self.metrics).await;
        assert_eq!(metrics.text(), (self.expected)(&recount));
        let mut seen = BTreeSet::new();
        for order in recount.orders() {
            let status = order["status"].as_str().unwrap();
            let words = WORDS
                .iter()
                .find(|(_, statuses)| statuses.contains(&status));
            let (word, _) = words.unwrap();
            let id = order["order_id"].as_str().unwrap();
            let (path, expected) = (self.status)(id, word);
            assert_eq!(server.get(port, &path).await.text(), expected, "{status}");
            seen.insert(*word);
        }
        seen
    }
}

/// One run of a dialect.
async fn run(dialected: &Dialected) {
    let mut server = CompatServer::with(setup(dialected.dialect)).await;
    assert!(dialected.compare(&server).await.is_empty());
    let mut seen = BTreeSet::new();
    let mut ids = Vec::new();
    for at in 0..60 {
        ids.push(dialected.create(&server, at).await);
    }
    native_orders(&server, dialected.dialect).await;
    for (id, verb) in [
        (&ids[58], "cancel"),
        (&ids[59], "cancel"),
        (&ids[57], "hold"),
    ] {
        let path = format!("/v1/orders/{id}/{verb}");
        let reply = server.post(NATIVE, &path, r#"{"reason":"r"}"#).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    for _ in 0..2 {
        for _ in 0..20 {
            server.begin_work().await;
            server.clock.advance(1_234_567);
        }
        seen.append(&mut dialected.compare(&server).await);
        server = server.restart().await;
        seen.append(&mut dialected.compare(&server).await);
    }
    let all: BTreeSet<_> = WORDS.iter().map(|(word, _)| *word).collect();
    assert_eq!(seen, all);
    server.stop().await;
}

#[tokio::test]
async fn words_and_metrics_of_order_service_equal_a_recount_before_and_after_restarts() {
    run(&DIALECTS[0]).await;
}

#[tokio::test]
async fn words_and_metrics_of_api_v1_equal_a_recount_before_and_after_restarts() {
    run(&DIALECTS[1]).await;
}

#[tokio::test]
async fn words_and_metrics_of_orders_api_equal_a_recount_before_and_after_restarts() {
    run(&DIALECTS[2]).await;
}

/// Where a fault of the server may come up, and what is said then.
const FAULTS: [(Dialect, &str, &str, &str); 8] = [
    (
        Dialect::OrderService,
        "POST",
        "/order-service/order/create",
        "{\"error\":\"Could not create order\"}\n",
    ),
    (
        Dialect::OrderService,
        "GET",
        "/order-service/order/order-status",
        "{\"error\":\"Could not get order status\"}\n",
    ),
    (
        Dialect::ApiV1,
        "POST",
        "/api/v1/orders",
        "{\"status_code\":500,\"message\":\"Internal Server Error!\"}",
    ),
    (
        Dialect::ApiV1,
        "GET",
        "/api/v1/orders/a",
        "{\"status_code\":500,\"message\":\"Internal Server Error\"}",
    ),
    (
        Dialect::ApiV1,
        "GET",
        "/api/v1/metrics",
        "{\"status_code\":500,\"message\":\"Internal Server Error!\"}",
    ),
    (
        Dialect::OrdersApi,
        "POST",
        "/orders/",
        "{\"error\":\"Error creating order\"}",
    ),
    (
        Dialect::OrdersApi,
        "GET",
        "/orders/a/status",
        "{\"error\":\"Error retrieving order status\"}",
    ),
    (
        Dialect::OrdersApi,
        "HEAD",
        "/metrics/",
        "{\"error\":\"Error fetching metrics\"}",
    ),
];

#[tokio::test]
async fn a_fault_of_the_server_is_told_in_the_words_of_its_route() {
    for (dialect, method, path, expected) in FAULTS {
        let method = method.parse().unwrap();
        let head = RequestHead {
            route: Route::Compat(dialect),
            method: &method,
            path,
            accept: None,
        };
        let voice = compat::voice(&Setup::of(&[dialect]).dialects, None);
        let (head, body) = voice.refuse(&head, Refusal::Panic).into_parts();
        assert_eq!(head.status.as_u16(), 500);
        let told = head.headers["orderd-error"].to_str().unwrap();
        assert!(told.starts_with("internal; "), "{told}");
        let body = axum::body::to_bytes(body, 1_024).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&body), expected);
    }
}
