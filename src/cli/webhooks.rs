//! `orderd webhooks`: makes receivers of events at a server, looks after them, forgets them.
//!
//! A client of the HTTP API like any other. A secret is shown when it is made, and never again.

use serde_json::{Map, Value, json};

use super::api::{Server, plain};
use super::client::encoded;
use super::orders::Client;
use super::orders::show::{cell, second, table};
use super::{Globals, exit, output};
use crate::cli::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  orderd webhooks create https://shop.example/orderd --events order.completed,order.dead
  orderd webhooks list
  orderd webhooks test wh_0b7c9d0e1f2a3b4c
  orderd webhooks deliveries wh_0b7c9d0e1f2a3b4c
  orderd webhooks pause wh_0b7c9d0e1f2a3b4c --reason 'moving house'
  orderd webhooks resume wh_0b7c9d0e1f2a3b4c
  orderd webhooks rotate wh_0b7c9d0e1f2a3b4c
  orderd webhooks replay wh_0b7c9d0e1f2a3b4c --after 17-3 --until 99-0
  orderd webhooks delete wh_0b7c9d0e1f2a3b4c";

/// Make receivers of events and look after them
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Create(Create),
    /// List all receivers
    List,
    /// Show one receiver
    Get(One),
    /// Send a test message and show what came of it
    Test(One),
    Pause(Pause),
    /// Go on where deliveries stopped, at once
    Resume(One),
    Rotate(Rotate),
    Replay(Replay),
    Deliveries(Deliveries),
    /// Forget a receiver
    Delete(One),
}

/// Make a receiver; prints its secret
#[derive(Clone, Debug, clap::Args)]
struct Create {
    /// Where to send
    receiver: String,
    /// Only events of these types, with commas between them
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    events: Vec<String>,
    /// Only events of orders of this customer
    #[arg(long)]
    customer: Option<String>,
    /// Only events of orders of this process
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Only events of this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// What it is, for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Begin behind this event instead of now; 0-0 is the beginning
    #[arg(long, value_name = "EVENT")]
    after: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct One {
    /// The receiver's id
    id: String,
}

/// Send nothing until it is resumed
#[derive(Clone, Debug, clap::Args)]
struct Pause {
    /// The receiver's id
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Change the secret; prints the new one
#[derive(Clone, Debug, clap::Args)]
struct Rotate {
    /// The receiver's id
    id: String,
    /// How many seconds the secret before signs too
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    overlap: u32,
}

/// Deliver a part of the feed again
#[derive(Clone, Debug, clap::Args)]
struct Replay {
    /// The receiver's id
    id: String,
    /// Begin behind this event; 0-0 is the beginning
    #[arg(long, value_name = "EVENT")]
    after: String,
    /// Up to this event instead of all
    #[arg(long, value_name = "EVENT")]
    until: Option<String>,
}

/// Show what became of deliveries, newest first
#[derive(Clone, Debug, clap::Args)]
struct Deliveries {
    /// The receiver's id
    id: String,
    /// How many at most
    #[arg(long, short = 'n', default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

/// Runs the command.
///
/// # Errors
///
/// Bad usage, no server at the address, or what the server refused.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let mut client = Client::new(&arguments.server, globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command(&arguments.command, &mut client))
}

async fn command(command: &Command, client: &mut Client) -> anyhow::Result<u8> {
    match command {
        Command::Create(asked) => {
            let made = ask(client, "/v1/webhooks", &asked.json()).await?;
            if !client.is_json {
                output::line(&sheet(&made))?;
            }
            Ok(exit::OK)
        }
        Command::List => list(client).await,
        Command::Get(one) => {
            let answer = client.api.get(&path(&one.id, "")).await?;
            show(client, answer)
        }
        Command::Test(one) => test(client, one).await,
        Command::Pause(asked) => {
            let reason = asked.reason.as_ref();
            let body = reason.map_or(json!({}), |reason| json!({ "reason": reason }));
            change(client, &path(&asked.id, "/pause"), &body).await
        }
        Command::Resume(one) => change(client, &path(&one.id, "/resume"), &json!({})).await,
        Command::Rotate(asked) => {
            let body = json!({ "overlap_seconds": asked.overlap });
            change(client, &path(&asked.id, "/rotate-secret"), &body).await
        }
        Command::Replay(asked) => {
            let mut body = json!({ "after": asked.after });
            if let Some(until) = &asked.until {
                body["until"] = until.as_str().into();
            }
            change(client, &path(&asked.id, "/replay"), &body).await
        }
        Command::Deliveries(asked) => deliveries(client, asked).await,
        Command::Delete(one) => {
            let answer = client.api.delete(&path(&one.id, "")).await?;
            answer.success()?;
            eprintln!("{} is gone", plain(&one.id));
            Ok(exit::OK)
        }
    }
}

fn path(id: &str, action: &str) -> String {
    format!("/v1/webhooks/{}{action}", encoded(id))
}

async fn ask(client: &mut Client, path: &str, body: &Value) -> anyhow::Result<Value> {
    let answer = client.api.post(path, &body.to_string(), None).await?;
    Ok(client.accept(answer)?.json)
}

async fn change(client: &mut Client, path: &str, body: &Value) -> anyhow::Result<u8> {
    let changed = ask(client, path, body).await?;
    if !client.is_json {
        output::line(&sheet(&changed))?;
    }
    Ok(exit::OK)
}

fn show(client: &Client, answer: super::api::Answer) -> anyhow::Result<u8> {
    let webhook = client.accept(answer)?.json;
    if !client.is_json {
        output::line(&sheet(&webhook))?;
    }
    Ok(exit::OK)
}

async fn test(client: &mut Client, one: &One) -> anyhow::Result<u8> {
    let told = ask(client, &path(&one.id, "/test"), &json!({})).await?;
    let Some(error) = told["error"].as_str() else {
        if !client.is_json {
            let (status, took) = (&told["status"], &told["took_ms"]);
            output::line(&format_args!("answered {status} after {took} ms"))?;
        }
        return Ok(exit::OK);
    };
    let way_out = "look after the receiver, then test it again";
    Err(Failure::new(exit::FAILURE, plain(error), way_out).into())
}

async fn list(client: &mut Client) -> anyhow::Result<u8> {
    let answer = client.api.get("/v1/webhooks").await?;
    let page = client.accept(answer)?.json;
    if client.is_json {
        return Ok(exit::OK);
    }
    let webhooks = page["data"].as_array().cloned().unwrap_or_default();
    if webhooks.is_empty() {
        eprintln!("no webhooks");
        return Ok(exit::OK);
    }
    let mut table = table();
    table.set_header(["webhook", "receiver", "status", "delivered", "reason"]);
    for webhook in &webhooks {
        let keys = ["webhook_id", "url", "status", "delivered", "reason"];
        table.add_row(keys.map(|key| cell(key, &webhook[key])));
    }
    output::line(&table)?;
    Ok(exit::OK)
}

async fn deliveries(client: &mut Client, asked: &Deliveries) -> anyhow::Result<u8> {
    let path = path(&asked.id, &format!("/deliveries?limit={}", asked.limit));
    let answer = client.api.get(&path).await?;
    let page = client.accept(answer)?.json;
    if client.is_json {
        return Ok(exit::OK);
    }
    let mut table = table();
    table.set_header([
        "at (UTC)", "event", "type", "order", "try", "status", "ms", "error",
    ]);
    for delivery in page["data"].as_array().into_iter().flatten() {
        let rest = [
            "event_id", "type", "order_id", "attempt", "status", "took_ms", "error",
        ];
        let rest = rest.map(|key| cell(key, &delivery[key]));
        table.add_row([second(&delivery["at"])].into_iter().chain(rest));
    }
    output::line(&table)?;
    Ok(exit::OK)
}

/// One receiver, a line for each thing that is known of it.
fn sheet(webhook: &Value) -> comfy_table::Table {
    let mut table = table();
    for key in [
        "webhook_id",
        "url",
        "description",
        "secret",
        "types",
        "order_id",
        "customer_id",
        "process",
        "status",
        "reason",
        "since",
        "delivered",
        "delivered_up_to",
        "replayed_up_to",
        "created_at",
    ] {
        let value = &webhook[key];
        if let Some(types) = value.as_array() {
            let types: Vec<&str> = types.iter().filter_map(Value::as_str).collect();
            let text = match types.as_slice() {
                [] => "all".to_owned(),
                types => plain(&types.join(", ")),
            };
            table.add_row([key.to_owned(), text]);
        } else if !value.is_null() {
            table.add_row([key.to_owned(), cell(key, value)]);
        }
    }
    table
}

impl Create {
    fn json(&self) -> Value {
        let mut body = Map::new();
        body.insert("url".into(), self.receiver.as_str().into());
        if !self.events.is_empty() {
            body.insert("types".into(), json!(self.events));
        }
        for (key, text) in [
            ("customer_id", &self.customer),
            ("process", &self.process),
            ("order_id", &self.order),
            ("description", &self.description),
            ("after", &self.after),
        ] {
            if let Some(text) = text {
                body.insert(key.into(), text.as_str().into());
            }
        }
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_into_the_body() {
        let asked = Create {
            receiver: "https://x/".into(),
            events: vec!["order.dead".into()],
            customer: Some("ada".into()),
            process: None,
            order: None,
            description: None,
            after: Some("0-0".into()),
        };
        let expected = json!({
            "url": "https://x/", "types": ["order.dead"], "customer_id": "ada", "after": "0-0"
        });
        assert_eq!(asked.json(), expected);
        assert_eq!(path("a/b", "/test"), "/v1/webhooks/a%2Fb/test");
    }
}
