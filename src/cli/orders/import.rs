//! `orderd orders import`: takes over orders that another service has finished, from a file.
//!
//! Sends a batch of lines at a time, so a file may be of any size. An order that is there already
//! is counted and left alone, so that a broken run can simply be started again.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};

use anyhow::Context;
use serde_json::Value;

use super::Client;
use crate::cli::api::plain;
use crate::cli::{exit, output};

/// Orders in one request.
const BATCH_ORDERS: usize = 1_000;
/// Bytes of one request, unless one line alone has more.
const BATCH_BYTES: usize = 4 << 20;
/// Refused orders that are shown; the rest is counted.
const SHOWN_MAX: u64 = 20;

const EXAMPLES: &str = "\
Examples:
  orderd orders import finished.ndjson
  export-orders | orderd orders import -
  jq -c '.[]' finished.json | orderd orders import -";

const AFTER: &str = "\
One order in each line, as for `orders create --file`, and beside it: status (completed or
cancelled), created_at, ended_at, and perhaps started_at and reason. Nothing is done with them.
Exit code 0 if all of them are there afterwards, 1 if some were refused.";

/// Take over orders that another service has finished
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Arguments {
    /// The file, or - for stdin: a JSON object in each line
    file: String,
}

/// What became of all lines so far.
#[derive(Default)]
struct Count {
    imported: u64,
    existing: u64,
    refused: u64,
}

/// Sends the file, batch by batch.
pub(super) async fn run(arguments: &Arguments, client: &mut Client) -> anyhow::Result<u8> {
    let name = &arguments.file;
    let source: Box<dyn BufRead> = match name.as_str() {
        "-" => Box::new(stdin().lock()),
        _ => {
            let file = File::open(name).with_context(|| format!("cannot read {name}"))?;
            Box::new(BufReader::new(file))
        }
    };
    let mut count = Count::default();
    let (mut batch, mut numbers) = (String::new(), Vec::new());
    for (number, line) in (1_u64..).zip(source.lines()) {
        let line = line.with_context(|| format!("cannot read line {number} of {name}"))?;
        if line.trim().is_empty() {
            continue;
        }
        if numbers.len() == BATCH_ORDERS || batch.len() + line.len() > BATCH_BYTES {
            send(client, &mut batch, &mut numbers, &mut count).await?;
        }
        batch.push_str(&line);
        batch.push('\n');
        numbers.push(number);
    }
    send(client, &mut batch, &mut numbers, &mut count).await?;
    let Count {
        imported,
        existing,
        refused,
    } = count;
    eprintln!("{imported} imported, {existing} were there already, {refused} refused");
    Ok(if refused == 0 {
        exit::OK
    } else {
        exit::FAILURE
    })
}

/// Sends what has been gathered; `numbers` are those of its lines.
async fn send(
    client: &mut Client,
    batch: &mut String,
    numbers: &mut Vec<u64>,
    count: &mut Count,
) -> anyhow::Result<()> {
    if numbers.is_empty() {
        return Ok(());
    }
    let answer = client.api.post_lines("/v1/orders/import", batch).await?;
    let answer = client.accept(answer)?;
    let results = answer.json["results"].as_array();
    for (number, result) in numbers.iter().zip(results.into_iter().flatten()) {
        tell(*number, result, count, client.is_json)?;
    }
    batch.clear();
    numbers.clear();
    Ok(())
}

fn tell(number: u64, result: &Value, count: &mut Count, is_json: bool) -> anyhow::Result<()> {
    let problem = &result["problem"];
    if result["status"] == 201 {
        count.imported += 1;
        if !is_json {
            let id = result["order"]["order_id"].as_str().unwrap_or_default();
            output::line(&plain(id))?;
        }
    } else if problem["code"] == "order-exists" {
        count.existing += 1;
    } else {
        count.refused += 1;
        if count.refused <= SHOWN_MAX {
            let why = problem["detail"].as_str().unwrap_or("refused");
            eprintln!("line {number}: {}", plain(why));
        }
    }
    Ok(())
}
