//! Lets every order end, so that all can be compared: sends again what was not answered, does what
//! waits for workers, releases what is held, stops what would wait for ever.
//!
//! Afterwards nothing is open, and nothing is under way.

use std::time::Duration;

use orderd::clock::monotonic;
use serde_json::Value;

use super::http::Client;
use super::load::Load;
use super::workers;

/// Longest time in which all orders must have ended.
const REST_MAX: Duration = Duration::from_secs(120);

pub fn bring(load: &Load, client: &mut Client) {
    load.send_everything_again(client).unwrap();
    load.ask_for_all_kept_answers(client).unwrap();
    let started = monotonic();
    loop {
        while workers::work_off(load, client).unwrap() {}
        for (status, verb) in [("held=true", "release"), ("status=scheduled", "cancel")] {
            ask_each(client, status, verb);
        }
        ask_each(client, "status=dead", "cancel");
        let stats = client.get("/v1/stats").unwrap().json();
        let open = stats["orders"]["open"].as_u64();
        if open == Some(0) {
            return;
        }
        assert!(
            started.elapsed() < REST_MAX,
            "{open:?} did not end: {stats}"
        );
    }
}

/// Asks the same of each order in a list. Whatever it answers, the next look says what is left.
fn ask_each(client: &mut Client, filter: &str, verb: &str) {
    for order in pages(client, &format!("/v1/orders?{filter}&limit=1000")) {
        let id = order["order_id"].as_str().unwrap_or_default();
        client
            .post(&format!("/v1/orders/{id}/{verb}"), "", "{}")
            .unwrap();
    }
}

/// Everything that a list has, page by page.
pub fn pages(client: &mut Client, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = client.get(&format!("{path}{cursor}")).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut page = reply.json();
        if let Value::Array(data) = page["data"].take() {
            all.extend(data);
        }
        match page["next_cursor"].as_str() {
            Some(next) if page["has_more"] == true => cursor = format!("&after={next}"),
            _ => return all,
        }
    }
}
