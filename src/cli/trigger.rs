//! `orderd trigger`: sends a test order through a running server, so that a chosen event happens.
//!
//! For trying receivers of events. The orders are real ones, of the customer `orderd-trigger`.

use serde_json::{Value, json};

use super::api::{Server, plain};
use super::client::encoded;
use super::orders::Client;
use super::{Globals, exit, output};

const EXAMPLES: &str = "\
Examples:
  orderd trigger order.completed
  orderd trigger order.cancelled --process default
  orderd trigger all";

const AFTER: &str = "\
What each does:
  order.accepted           an order comes in and takes its way
  order.completed          the same, and its end is waited for
  order.scheduled          an order for the year 2999, cancelled at once
  order.held               an order that is held back, then cancelled
  order.released           an order that is held back and released
  order.priority_changed   a held order gets another priority, then is cancelled
  order.cancelled          a held order is cancelled
  all                      each of them

Whether an order is completed, dead or rejected is up to the process; --process names one.";

/// Send a test order through, so that an event happens
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Arguments {
    /// Which event
    #[arg(value_enum)]
    event: Trigger,
    #[command(flatten)]
    server: Server,
    /// The process that the order goes through
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// How long its end is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=60))]
    wait: u32,
}

/// What can be made to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Trigger {
    #[value(name = "order.accepted")]
    Accepted,
    #[value(name = "order.completed")]
    Completed,
    #[value(name = "order.scheduled")]
    Scheduled,
    #[value(name = "order.held")]
    Held,
    #[value(name = "order.released")]
    Released,
    #[value(name = "order.priority_changed")]
    PriorityChanged,
    #[value(name = "order.cancelled")]
    Cancelled,
    #[value(name = "all")]
    All,
}

impl Trigger {
    const EACH: [Self; 7] = [
        Self::Accepted,
        Self::Completed,
        Self::Scheduled,
        Self::Held,
        Self::Released,
        Self::PriorityChanged,
        Self::Cancelled,
    ];

    /// What is special about the order.
    fn fields(self) -> Value {
        match self {
            Self::Accepted | Self::Completed | Self::All => json!({}),
            Self::Scheduled => json!({ "start_at": IN_THE_FUTURE }),
            Self::Held | Self::Released | Self::PriorityChanged | Self::Cancelled => {
                json!({ "hold": { "reason": "a test", "by": "orderd trigger" } })
            }
        }
    }

    /// What is asked of it afterwards.
    fn changes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Accepted | Self::Completed | Self::All => &[],
            Self::Scheduled | Self::Held | Self::Cancelled => &[("cancel", WHY)],
            Self::Released => &[("release", WHY)],
            Self::PriorityChanged => &[
                ("priority", r#"{"priority":1,"reason":"a test"}"#),
                ("cancel", WHY),
            ],
        }
    }
}

/// No order starts by itself then.
const IN_THE_FUTURE: &str = "2999-01-01T00:00:00Z";
const WHY: &str = r#"{"reason":"a test","by":"orderd trigger"}"#;

/// Runs the command: prints each order as it is at the end.
///
/// # Errors
///
/// No server at the address, or what the server refused.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let mut client = Client::new(&arguments.server, globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let which = match arguments.event {
        Trigger::All => Trigger::EACH.to_vec(),
        one => vec![one],
    };
    runtime.block_on(async {
        for trigger in which {
            one(arguments, trigger, &mut client).await?;
        }
        Ok(exit::OK)
    })
}

async fn one(arguments: &Arguments, trigger: Trigger, client: &mut Client) -> anyhow::Result<()> {
    let wait = (trigger == Trigger::Completed).then_some(arguments.wait);
    let order = order(trigger, arguments.process.as_deref()).to_string();
    let posted = client.api.post("/v1/orders", &order, wait);
    let mut answer = posted.await?.success()?;
    let id = answer.json["order_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for (action, body) in trigger.changes() {
        let path = format!("/v1/orders/{}/{action}", encoded(&id));
        answer = client.api.change(&path, body, None).await?.success()?;
    }
    if client.is_json {
        output::line(&answer.text.trim_end())?;
    } else {
        let status = answer.json["status"].as_str().unwrap_or_default();
        output::line(&format_args!("{} is {}", plain(&id), plain(status)))?;
    }
    Ok(())
}

fn order(trigger: Trigger, process: Option<&str>) -> Value {
    let mut order = json!({
        "customer_id": "orderd-trigger",
        "items": [{ "sku": "test", "quantity": 1, "unit_price": 100 }],
        "total": { "amount": 100, "currency": "USD" },
    });
    if let Some(fields) = trigger.fields().as_object() {
        for (key, value) in fields {
            order[key] = value.clone();
        }
    }
    if let Some(process) = process {
        order["process"] = process.into();
    }
    order
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_help_says_what_each_does() {
        for trigger in Trigger::value_variants() {
            let name = trigger.to_possible_value().unwrap().get_name().to_owned();
            let line = format!("\n  {name} ");
            assert!(AFTER.contains(&line), "{name}");
            assert!(*trigger == Trigger::All || Trigger::EACH.contains(trigger));
        }
    }

    #[test]
    fn an_order_is_what_its_event_needs() {
        let held = order(Trigger::Held, Some("p"));
        assert_eq!(held["hold"]["reason"], "a test");
        assert_eq!(held["process"], "p");
        assert_eq!(order(Trigger::Completed, None)["hold"], Value::Null);
    }
}
