//! `orderd orders signal`: tells that what an order waits for has happened. Waits for nothing
//! itself.

use super::Client;
use super::change::line;
use crate::cli::client::encoded;
use crate::cli::{exit, output};

const EXAMPLES: &str = "\
Examples:
  orderd orders signal A-1001 delivered
  orderd orders signal A-1001 delivered --data '{\"by\": \"van 7\"}'";

const AFTER: &str = "\
A signal that has come before changes nothing. Exit code 0 if it is known now, 3 if there is no such
order or no step of it waits for this signal, 5 if the order has ended or the step is over.";

/// Tell that what an order waits for has happened
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Arguments {
    /// The order's id
    id: String,
    /// Name of the step that waits
    name: String,
    /// What goes with it, as JSON: the output of the step
    #[arg(long, value_name = "JSON", default_value = "")]
    data: String,
    /// Only if the order still has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u32>,
}

/// Sends the signal, and shows how the order is now.
pub(super) async fn run(arguments: &Arguments, client: &mut Client) -> anyhow::Result<u8> {
    let (id, name) = (&arguments.id, &arguments.name);
    let path = format!("/v1/orders/{}/signals/{}", encoded(id), encoded(name));
    let version = arguments.if_version;
    let answer = client.api.change(&path, &arguments.data, version).await?;
    let is_news = answer.status == 201;
    let answer = client.accept(answer)?;
    if !client.is_json {
        output::line(&line(&answer.json))?;
        if !is_news {
            eprintln!("this signal has come before");
        }
    }
    Ok(exit::OK)
}
