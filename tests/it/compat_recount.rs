//! Counts the orders of a process one by one, as the native API tells them, to compare with what a
//! dialect says that there are. Shares no arithmetic with the server.
//!
//! Also makes the orders that a recount is worth: some that fail, wait, expire or come later.

use orderd::clock::{Clock, Timestamp};
use orderd::order::{Dialect, RetryPolicy, Simulate, StepKind};
use serde_json::{Value, json};

use crate::compat_support::{CompatServer, NATIVE, Setup};

/// All orders of a process.
pub struct Recount(Vec<Value>);

impl Recount {
    pub async fn of(server: &CompatServer, process: Dialect) -> Self {
        let name = process.name();
        let (mut orders, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/orders?process={name}&limit=7{after}");
            let page = server.get(NATIVE, &path).await.json();
            orders.extend(page["data"].as_array().unwrap().iter().cloned());
            if !page["has_more"].as_bool().unwrap() {
                return Self(orders);
            }
            after = format!("&after={}", page["next_cursor"].as_str().unwrap());
        }
    }

    /// Orders that are now in one of these statuses.
    pub fn now(&self, statuses: &[&str]) -> usize {
        let is_in = |order: &&Value| statuses.contains(&order["status"].as_str().unwrap());
        self.0.iter().filter(is_in).count()
    }

    pub fn all(&self) -> usize {
        self.0.len()
    }

    /// Each order as the native API lists it.
    pub fn orders(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// The mean time of work over completed orders with at most this many decimals, in units of so
    /// many microseconds.
    pub fn work(&self, unit_us: i64, places: u32) -> String {
        mean(&self.completed_times("started_at"), unit_us, places)
    }

    /// The mean of the whole seconds from acceptance to completion, with at most four decimals.
    pub fn turnaround(&self) -> String {
        let times = self.completed_times("created_at");
        let whole: Vec<i64> = times.iter().map(|us| us / 1_000_000).collect();
        mean(&whole, 1, 4)
    }

    /// From a time of each completed order to its end, in microseconds.
    fn completed_times(&self, from: &str) -> Vec<i64> {
        let time = |order: &Value, field: &str| {
            let text = order[field].as_str().unwrap();
            Timestamp::parse_rfc3339(text).unwrap().0
        };
        let completed = self.0.iter().filter(|order| order["status"] == "completed");
        completed
            .map(|order| time(order, "ended_at") - time(order, from))
            .collect()
    }
}

/// The mean of counts of a unit, so many of which are one, rounded half up and printed without
/// zeros at the end.
fn mean(counts: &[i64], unit: i64, places: u32) -> String {
    if counts.is_empty() {
        return "0".to_owned();
    }
    let (scale, divisor) = (10_i64.pow(places), counts.len() as i64 * unit);
    let rounded = (counts.iter().sum::<i64>() * 2 * scale + divisor) / (2 * divisor);
    let width = places as usize;
    let text = format!("{}.{:0width$}", rounded / scale, rounded % scale);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// All dialects; this one's process has few workers, and a third of its orders die. Work takes up
/// to `longest_us`.
pub fn failing(dialect: Dialect, longest_us: i64) -> Setup {
    let mut setup = Setup::default();
    let process = setup.process(dialect);
    process.concurrency = 5;
    process.steps[0].kind = StepKind::Simulate(Simulate {
        shortest_us: longest_us / 10,
        longest_us,
        failures_ppm: 333_333,
        ..Simulate::default()
    });
    process.steps[0].retry = RetryPolicy {
        attempts_max: 1,
        ..RetryPolicy::default()
    };
    setup
}

/// Creates native orders of this process: some that start tomorrow, and some that expire unless
/// they start within a second.
pub async fn native_orders(server: &CompatServer, process: Dialect) {
    let second = Timestamp(server.clock.now().0 + 1_000_000).to_string();
    let tomorrow = Timestamp(server.clock.now().0 + 86_400_000_000).to_string();
    for (field, time) in [("expires_at", &second), ("start_at", &tomorrow)] {
        for priority in [1, 3, 3] {
            let mut order = json!({
                "customer_id": "native",
                "items": [{"sku": "line", "quantity": 2}],
                "total": {"amount": 100, "currency": "USD"},
                "process": process.name(),
                "priority": priority,
            });
            order[field] = json!(time);
            let reply = server.post(NATIVE, "/v1/orders", order.to_string()).await;
            assert_eq!(reply.status, 201, "{}", reply.text());
        }
    }
}
