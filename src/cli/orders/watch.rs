//! `orderd orders watch`: follows one order until it has ended, printing each event as it happens.
//!
//! Asks again after a pause that grows while nothing happens. Ends at a dead order too: it stands
//! still until somebody acts.

use std::time::Duration;

use serde_json::Value;

use super::Client;
use super::show::second;
use crate::cli::api::plain;
use crate::cli::client::encoded;
use crate::cli::{exit, output};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

const AFTER: &str = "\
Exit code 0 if the order was completed, 1 if it ended otherwise or is dead, 3 if there is none.";

/// Follow an order until it has ended
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Arguments {
    /// The order's id
    id: String,
}

/// Prints events until there can be no more.
pub(super) async fn run(arguments: &Arguments, client: &mut Client) -> anyhow::Result<u8> {
    let path = format!("/v1/orders/{}/events", encoded(&arguments.id));
    let mut shown = 0;
    let mut pause = PAUSE_MIN;
    loop {
        let answer = client.api.get(&path).await?.success()?;
        let events = answer.json["data"].as_array().cloned().unwrap_or_default();
        for event in events.iter().skip(shown) {
            print(event, client.is_json)?;
        }
        if events.len() > shown {
            shown = events.len();
            pause = PAUSE_MIN;
        }
        if let Some(code) = events.last().and_then(end) {
            return Ok(code);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}

/// The exit code, if nothing more happens after an event.
fn end(event: &Value) -> Option<u8> {
    match event["status"].as_str()? {
        "completed" => Some(exit::OK),
        "cancelled" | "rejected" | "expired" | "dead" => Some(exit::FAILURE),
        _ => None,
    }
}

fn print(event: &Value, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return Ok(output::line(event)?);
    }
    Ok(output::line(&line(event))?)
}

fn line(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().map(plain);
    let what = text("type").unwrap_or_default();
    let what = what.trim_start_matches("order.").replace('_', " ");
    let status = text("status").unwrap_or_default();
    let mut line = format!("{}  {what:<14} {status}", second(&event["at"]));
    if let Some(step) = text("step") {
        line.push_str(&format!("  step {step}"));
    }
    if let Some(attempt) = event["attempt"].as_u64().filter(|attempt| *attempt > 1) {
        line.push_str(&format!(", attempt {attempt}"));
    }
    if let Some(by) = text("by") {
        line.push_str(&format!("  by {by}"));
    }
    if event["until"].is_string() {
        line.push_str(&format!("  until {}", second(&event["until"])));
    }
    if let Some(reason) = text("reason") {
        line.push_str(&format!(": {reason}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"event_id": "17-3", "type": "order.retried", "order_id": "A",
            "version": 3,
            "status": "pending", "at": "2026-11-21T03:24:10.123456Z", "step": "pay", "attempt": 2,
            "reason": "simulated failure"});
        assert_eq!(
            line(&event),
            "2026-11-21 03:24:10  retried        pending  step pay, attempt 2: simulated failure"
        );
    }

    #[test]
    fn only_a_completed_order_is_a_success() {
        let end_of = |status: &str| end(&json!({ "status": status }));
        assert_eq!(end_of("completed"), Some(exit::OK));
        assert_eq!(end_of("dead"), Some(exit::FAILURE));
        assert_eq!(end_of("pending"), None);
    }
}
