//! `orderd listen`: follows events and, if asked to, forwards each to a local address as a webhook
//! would, to build and try a receiver against.
//!
//! Keeps nothing: the next start begins anew. One after the other, so that what is printed is what
//! happened.

mod sse;

use std::time::Duration;

use serde_json::Value;

use self::sse::{Block, SILENCE, Source};
use super::api::plain;
use super::chance;
use super::client::{self, encoded};
use super::exit::{self, Failure, OrFail};
use super::orders::show::second;
use super::{Globals, output};
use crate::clock::{Clock, MICROS_PER_SECOND, SystemClock};
use crate::outbound::{Allowed, Call, Client, ClientSettings, Secret, Target, signatures};

/// How long the local address may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The wait before a stream that broke off is opened again.
const AGAIN: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  orderd listen
  orderd listen --events order.completed,order.dead
  orderd listen --forward-to http://localhost:3000/orderd
  orderd listen --forward-to http://localhost:3000/orderd --secret whsec_…
  orderd listen --after 0-0 --limit 100      from the first event on";

const AFTER: &str = "\
Forwarded events are signed as webhooks are, with a secret that is made at the start and printed
unless --secret names one. Nothing is sent again: a webhook is for that. Ctrl-C ends it.";

/// Follow events, and forward them to a local address
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Arguments {
    /// Server to follow
    #[arg(long, default_value = "http://127.0.0.1:7070", env = "ORDERD_URL")]
    url: String,
    /// Where to forward each event to
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
    /// Only events of these types, with commas between them
    #[arg(long, value_name = "TYPES")]
    events: Option<String>,
    /// Only events of orders of this customer
    #[arg(long)]
    customer: Option<String>,
    /// Only events of orders of this process
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Only events of this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// Begin behind this event instead of now; 0-0 is the beginning
    #[arg(long, value_name = "EVENT", default_value = "latest")]
    after: String,
    /// Sign with this secret
    #[arg(long, value_name = "SECRET", requires = "forward_to")]
    secret: Option<String>,
    /// End after so many events
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
}

/// Where events are forwarded to.
struct Forward {
    target: Target,
    client: Client,
    secret: Secret,
}

/// Follows until it is interrupted, or so many events have come.
///
/// # Errors
///
/// Bad usage, no server at the address, or what the server refused.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let target = client::Target::parse(&arguments.url)?;
    let forward = arguments.forward()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            followed = follow(arguments, globals.json, &target, forward.as_ref()) => followed,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(exit::OK)
            }
        }
    })
}

async fn follow(
    arguments: &Arguments,
    is_json: bool,
    target: &client::Target,
    forward: Option<&Forward>,
) -> anyhow::Result<u8> {
    let mut after = arguments.after.clone();
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let opened = Source::open(target, &arguments.path(&after), SILENCE).await;
    let mut source = opened.map_err(|refused| refused.cause)?;
    let host = target.authority();
    eprintln!("following http://{host}; Ctrl-C ends it");
    if let Some(forward) = forward {
        let (to, secret) = (&forward.target, forward.secret.text());
        eprintln!("forwarding to {to}; the secret is {secret}");
    }
    while left > 0 {
        let Some(block) = source.next().await else {
            source = again(target, arguments, &after).await?;
            continue;
        };
        if let Some(id) = &block.id {
            after.clone_from(id);
        }
        let Block {
            data: Some(data), ..
        } = block
        else {
            continue;
        };
        let event: Value = serde_json::from_str(&data)
            .or_fail("an event is no JSON", "name an orderd with --url")?;
        let answer = match forward {
            Some(forward) => Some(forward.send(&event, &data).await),
            None => None,
        };
        left -= 1;
        if is_json {
            output::line(&as_json(&event, answer))?;
        } else {
            output::line(&line(&event, answer))?;
        }
    }
    Ok(exit::OK)
}

/// Opens the stream again where it broke off, as often as need be; not where the server says no.
async fn again(
    target: &client::Target,
    arguments: &Arguments,
    after: &str,
) -> anyhow::Result<Source> {
    eprintln!("the stream broke off; trying again");
    loop {
        tokio::time::sleep(AGAIN).await;
        match Source::open(target, &arguments.path(after), SILENCE).await {
            Ok(source) => {
                eprintln!("following again");
                return Ok(source);
            }
            Err(refused) if refused.is_final => return Err(refused.cause),
            Err(_) => {}
        }
    }
}

impl Arguments {
    fn path(&self, after: &str) -> String {
        let mut path = format!("/v1/events/stream?after={}", encoded(after));
        for (key, text) in [
            ("type", &self.events),
            ("customer_id", &self.customer),
            ("process", &self.process),
            ("order_id", &self.order),
        ] {
            if let Some(text) = text {
                path.push_str(&format!("&{key}={}", encoded(text)));
            }
        }
        path
    }

    fn forward(&self) -> anyhow::Result<Option<Forward>> {
        let Some(url) = &self.forward_to else {
            return Ok(None);
        };
        let bad = |error| {
            let what = format!("the URL '{url}' {error}");
            Failure::new(exit::USAGE, what, "try http://127.0.0.1:3000/orderd")
        };
        let target = Target::parse(url).map_err(bad)?;
        let secret = match &self.secret {
            Some(text) => {
                let bad =
                    |error| Failure::new(exit::USAGE, error, "leave --secret out for a new one");
                Secret::parse(text).map_err(bad)?
            }
            None => Secret::random(&mut chance::generator()?),
        };
        let client = Client::new(ClientSettings {
            allowed: Allowed::everything(),
            ..ClientSettings::default()
        });
        Ok(Some(Forward {
            target,
            client,
            secret,
        }))
    }
}

impl Forward {
    /// Sends one event; the status of the answer, or why there is none.
    async fn send(&self, event: &Value, data: &str) -> Result<u16, String> {
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let (kind, at, id) = (text("type"), text("at"), text("event_id"));
        let body = format!("{{\"type\":\"{kind}\",\"timestamp\":\"{at}\",\"data\":{data}}}");
        let id = format!("listen_{id}");
        let seconds = SystemClock::default().now().0 / MICROS_PER_SECOND;
        let signed = signatures([&self.secret], &id, seconds, body.as_bytes());
        let call = Call::post(&self.target, body)
            .header("webhook-id", &id)
            .header("webhook-timestamp", &seconds.to_string())
            .header("webhook-signature", &signed);
        let answered = self.client.notify(call, TIMEOUT).await;
        answered
            .map(|answer| answer.status)
            .map_err(|error| error.to_string())
    }
}

fn line(event: &Value, answer: Option<Result<u16, String>>) -> String {
    let text = |key: &str| plain(event[key].as_str().unwrap_or_default());
    let (at, kind, order) = (second(&event["at"]), text("type"), text("order_id"));
    let mut line = format!("{at}  {kind:<22} {order}");
    match answer {
        None => {}
        Some(Ok(status)) => line.push_str(&format!("  -> {status}")),
        Some(Err(error)) => line.push_str(&format!("  -> {}", plain(&error))),
    }
    line
}

fn as_json(event: &Value, answer: Option<Result<u16, String>>) -> Value {
    let mut told = event.clone();
    match answer {
        None => {}
        Some(Ok(status)) => told["forwarded"] = status.into(),
        Some(Err(error)) => told["forward_error"] = error.into(),
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_answer() {
        let event = json!({"event_id": "17-3", "type": "order.completed", "order_id": "A",
            "at": "2026-11-21T03:24:10.123456Z"});
        let start = "2026-11-21 03:24:10  order.completed        A";
        assert_eq!(line(&event, None), start);
        assert_eq!(line(&event, Some(Ok(204))), format!("{start}  -> 204"));
        let failed = line(&event, Some(Err("nobody\u{1b}".into())));
        assert_eq!(failed, format!("{start}  -> nobody\u{fffd}"));
        assert_eq!(as_json(&event, Some(Ok(204)))["forwarded"], 204);
    }
}
