//! `orderd orders attempts`: every attempt of an order's steps: when, how long, and how it ended.
//!
//! Made of the order's history; what is not there is not guessed.

use comfy_table::Table;
use serde_json::{Value, json};

use super::Client;
use super::show::{cell, second, table};
use crate::cli::client::encoded;
use crate::cli::{exit, output};
use crate::clock::Timestamp;

/// Show every attempt of an order: when, how long, and how it ended
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The order's id
    id: String,
}

/// Reads the whole history and shows the attempts in it; with `--json` as a list.
pub(super) async fn run(arguments: &Arguments, client: &mut Client) -> anyhow::Result<u8> {
    let id = encoded(&arguments.id);
    let mut after = String::new();
    let mut events = Vec::new();
    loop {
        let path = format!("/v1/orders/{id}/events?limit=1000&after={after}");
        let page = client.api.get(&path).await?.success()?.json;
        events.extend(page["data"].as_array().cloned().unwrap_or_default());
        if page["has_more"] != true {
            break;
        }
        after = page["next_cursor"].as_str().unwrap_or_default().to_owned();
    }
    let attempts = attempts(&events);
    if client.is_json {
        output::line(&Value::from(attempts))?;
    } else if attempts.is_empty() {
        eprintln!("no attempt has begun");
    } else {
        output::line(&shown(&attempts))?;
    }
    Ok(exit::OK)
}

/// Each start, with the event that ended it.
fn attempts(events: &[Value]) -> Vec<Value> {
    let mut attempts: Vec<Value> = Vec::new();
    for event in events {
        let kind = event["type"].as_str().unwrap_or_default();
        let kind = kind.trim_start_matches("order.");
        if kind == "started" {
            attempts.push(json!({
                "step": event["step"],
                "attempt": event["attempt"],
                "started_at": event["at"],
            }));
        } else if kind != "parked"
            && event["step"].is_string()
            && event["attempt"].is_number()
            && let Some(attempt) = attempts.last_mut()
            && attempt["ended_at"].is_null()
        {
            attempt["ended_at"] = event["at"].clone();
            attempt["took_us"] = took(&attempt["started_at"], &event["at"]);
            attempt["end"] = kind.into();
            if !event["reason"].is_null() {
                attempt["reason"] = event["reason"].clone();
            }
            if !event["until"].is_null() {
                attempt["not_before"] = event["until"].clone();
            }
        }
    }
    attempts
}

/// Microseconds between two times; null if one of them is none.
fn took(from: &Value, to: &Value) -> Value {
    let time = |value: &Value| Timestamp::parse_rfc3339(value.as_str()?);
    let took = time(to)
        .zip(time(from))
        .map(|(to, from)| to.micros_since(from));
    took.into()
}

fn shown(attempts: &[Value]) -> Table {
    let mut table = table();
    table.set_header(["step", "attempt", "started (UTC)", "took", "end", "reason"]);
    for attempt in attempts {
        let mut end = match attempt["end"].as_str() {
            Some(end) => end.replace('_', " "),
            None => "runs".into(),
        };
        if attempt["not_before"].is_string() {
            end.push_str(&format!(", not before {}", second(&attempt["not_before"])));
        }
        table.add_row([
            cell("step", &attempt["step"]),
            cell("attempt", &attempt["attempt"]),
            second(&attempt["started_at"]),
            seconds(&attempt["took_us"]),
            end,
            cell("reason", &attempt["reason"]),
        ]);
    }
    table
}

/// A duration with milliseconds.
fn seconds(micros: &Value) -> String {
    let millis = micros.as_i64().map(|micros| micros / 1_000);
    millis.map_or_else(String::new, |millis| {
        format!("{}.{:03} s", millis / 1_000, millis % 1_000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_is_an_attempt_with_the_end_that_follows() {
        let event = |kind: &str, second: u8, step: Option<&str>| {
            json!({
                "type": format!("order.{kind}"),
                "at": format!("2026-11-21T03:24:{second:02}.500000Z"),
                "step": step, "attempt": 1, "reason": step.map(|_| "timed out"),
                "until": (kind == "retried").then_some("2026-11-21T03:25:00.000000Z"),
            })
        };
        let events = [
            event("accepted", 0, None),
            event("started", 1, Some("pay")),
            event("held", 2, None),
            event("retried", 3, Some("pay")),
            event("released", 4, None),
            event("started", 5, Some("pay")),
        ];
        let attempts = attempts(&events);
        assert_eq!(attempts.len(), 2);
        assert_eq!(
            (&attempts[0]["end"], &attempts[0]["took_us"]),
            (&json!("retried"), &json!(2_000_000))
        );
        assert_eq!(attempts[0]["reason"], "timed out");
        assert!(attempts[1]["end"].is_null());
        let text = shown(&attempts).to_string();
        assert!(text.contains("2.000 s") && text.contains("runs"), "{text}");
        assert!(
            text.contains("retried, not before 2026-11-21 03:25:00"),
            "{text}"
        );
    }
}
