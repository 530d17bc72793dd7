//! `orderd orders cancel`, `hold`, `release`, `retry` and `prioritize`: changes of orders that were
//! accepted.
//!
//! One order after the other, so that the first refusal is shown and nothing behind it is asked.

use serde_json::{Map, Value};

use super::Client;
use super::show::{cell, held};
use crate::cli::client::encoded;
use crate::cli::{exit, output};

const CANCEL_EXAMPLES: &str = "\
Examples:
  orderd orders cancel A-1001 --reason 'ordered twice'
  orderd orders cancel A-1001 A-1002 A-1003
  orderd orders cancel A-1001 --if-version 3";

const HOLD_EXAMPLES: &str = "\
Examples:
  orderd orders hold A-1001 --reason 'address to be confirmed'
  orderd orders hold A-1001 --reason 'not before the sale' --until 2026-11-27T08:00:00Z
  orderd orders list --held";

const RELEASE_EXAMPLES: &str = "\
Examples:
  orderd orders release A-1001
  orderd orders release A-1001 --reason 'address confirmed' --by ada";

const RETRY_EXAMPLES: &str = "\
Examples:
  orderd orders retry A-1001 --reason 'the bank is back'
  orderd dead replay --step payment";

const PRIORITIZE_EXAMPLES: &str = "\
Examples:
  orderd orders prioritize A-1001 --priority 1 --reason 'the customer called'
  orderd orders prioritize A-1001 A-1002 --priority 3";

const AFTER: &str = "\
Exit code 0 if all of it is done, 3 if there is no such order, 5 if it has ended, is not dead, or
has another version.";

/// Stop orders for good
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = CANCEL_EXAMPLES, after_help = AFTER)]
pub struct Cancel {
    #[command(flatten)]
    orders: Orders,
    /// Why, for the order's history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Hold orders back: no further step starts
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = HOLD_EXAMPLES, after_help = AFTER)]
pub struct Hold {
    #[command(flatten)]
    orders: Orders,
    /// Why, for everybody who looks at the order
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Release them at this time, such as 2026-11-27T08:00:00Z [default: only by a person]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Release orders that are held back
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = RELEASE_EXAMPLES, after_help = AFTER)]
pub struct Release {
    #[command(flatten)]
    orders: Orders,
    /// Why, for the order's history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Let dead orders try their step again, with as many attempts as at first
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = RETRY_EXAMPLES, after_help = AFTER)]
pub struct Retry {
    #[command(flatten)]
    orders: Orders,
    /// Why, for the order's history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Let orders run sooner or later
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = PRIORITIZE_EXAMPLES, after_help = AFTER)]
pub struct Prioritize {
    #[command(flatten)]
    orders: Orders,
    /// 1 (high), 2 (medium) or 3 (low)
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    priority: u8,
    /// Why, for the order's history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Which orders, and who asks.
#[derive(Clone, Debug, clap::Args)]
struct Orders {
    /// The orders' ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Who asks, for the order's history
    #[arg(long, value_name = "NAME", env = "ORDERD_BY")]
    by: Option<String>,
    /// Only if the order still has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u32>,
}

/// Cancels each order.
pub(super) async fn cancel(arguments: &Cancel, client: &mut Client) -> anyhow::Result<u8> {
    let reason = arguments.reason.as_deref();
    change(client, &arguments.orders, "cancel", &[("reason", reason)]).await
}

/// Holds each order back.
pub(super) async fn hold(arguments: &Hold, client: &mut Client) -> anyhow::Result<u8> {
    let fields = [
        ("reason", Some(arguments.reason.as_str())),
        ("until", arguments.until.as_deref()),
    ];
    change(client, &arguments.orders, "hold", &fields).await
}

/// Releases each order.
pub(super) async fn release(arguments: &Release, client: &mut Client) -> anyhow::Result<u8> {
    let reason = arguments.reason.as_deref();
    change(client, &arguments.orders, "release", &[("reason", reason)]).await
}

/// Lets each dead order try again.
pub(super) async fn retry(arguments: &Retry, client: &mut Client) -> anyhow::Result<u8> {
    let reason = arguments.reason.as_deref();
    change(client, &arguments.orders, "retry", &[("reason", reason)]).await
}

/// Gives each order the priority.
pub(super) async fn prioritize(arguments: &Prioritize, client: &mut Client) -> anyhow::Result<u8> {
    let Prioritize { orders, reason, .. } = arguments;
    let mut body = body(&[("reason", reason.as_deref())], orders.by.as_deref());
    body["priority"] = arguments.priority.into();
    send(client, orders, "priority", &body.to_string()).await
}

async fn change(
    client: &mut Client,
    orders: &Orders,
    verb: &str,
    fields: &[(&str, Option<&str>)],
) -> anyhow::Result<u8> {
    let body = body(fields, orders.by.as_deref()).to_string();
    send(client, orders, verb, &body).await
}

async fn send(client: &mut Client, orders: &Orders, verb: &str, body: &str) -> anyhow::Result<u8> {
    for id in &orders.ids {
        let path = format!("/v1/orders/{}/{verb}", encoded(id));
        let answer = client.api.change(&path, body, orders.if_version).await?;
        let answer = client.accept(answer)?;
        if !client.is_json {
            output::line(&line(&answer.json))?;
        }
    }
    Ok(exit::OK)
}

fn body(fields: &[(&str, Option<&str>)], by: Option<&str>) -> Value {
    let mut body = Map::new();
    for (key, value) in fields.iter().chain(&[("by", by)]) {
        if let Some(value) = value {
            body.insert((*key).into(), (*value).into());
        }
    }
    body.into()
}

/// How an order is now, in one line.
pub(super) fn line(order: &Value) -> String {
    let mut line = format!(
        "{}  {}",
        cell("order_id", &order["order_id"]),
        cell("status", &order["status"])
    );
    if !order["hold"].is_null() {
        line.push_str(&format!(", held: {}", held(&order["hold"])));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_said_is_sent() {
        let fields = [("reason", Some("late")), ("until", None)];
        assert_eq!(body(&fields, None), json!({"reason": "late"}));
        assert_eq!(body(&[("reason", None)], Some("ada")), json!({"by": "ada"}));
    }

    #[test]
    fn a_hold_is_shown_with_its_reason_and_its_end() {
        let mut order = json!({"order_id": "A", "status": "pending"});
        assert_eq!(line(&order), "A  pending");
        order["hold"] = json!({"reason": "fraud?", "until": "2026-11-27T08:00:00.000000Z"});
        assert_eq!(
            line(&order),
            "A  pending, held: fraud?, until 2026-11-27 08:00:00 UTC"
        );
    }
}
