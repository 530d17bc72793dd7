//! `orderd orders import`: takes over orders that another service has finished, from a file.
//!
//! Sends a batch of lines at a time, so a file may be of any size. An order that is there already
//! is counted and left alone, so that a broken run can simply be started again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};

use serde_json::Value;

use super::Client;
use super::create::NAME_ANOTHER;
use crate::cli::api::plain;
use crate::cli::exit::{self, OrFail};
use crate::cli::output;
use crate::server::BATCH_BYTES_MAX;

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
    let mut source: Box<dyn BufRead> = match name.as_str() {
        "-" => Box::new(stdin().lock()),
        _ => {
            let file = File::open(name);
            let file = file.or_fail(format_args!("cannot read {name}"), NAME_ANOTHER)?;
            Box::new(BufReader::new(file))
        }
    };
    let mut count = Count::default();
    let (mut batch, mut numbers) = (String::new(), Vec::new());
    for number in 1_u64.. {
        let line = next_line(&mut source, BATCH_BYTES_MAX);
        let line = line.or_fail(
            format_args!("cannot read line {number} of {name}"),
            "mend that line, then run it again: what is there already is left alone",
        )?;
        let Some(line) = line else { break };
        if line.trim().is_empty() {
            continue;
        }
        if numbers.len() == BATCH_ORDERS || batch.len() + line.len() > BATCH_BYTES {
            send(client, &mut batch, &mut numbers, &mut count).await?;
        }
        batch.push_str(line.trim_end());
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

/// The next line, of at most `limit` bytes; `None` at the end.
fn next_line(source: &mut dyn BufRead, limit: usize) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    source.take(limit as u64 + 1).read_until(b'\n', &mut line)?;
    if line.len() > limit {
        let why = format!("it has more than {limit} bytes; is there one order in each line?");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    if line.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(line);
    text.map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_bound() {
        let mut source: &[u8] = b"12345678\n\n1234567";
        let mut next = || next_line(&mut source, 9).unwrap();
        assert_eq!(next().as_deref(), Some("12345678\n"));
        assert_eq!(next().as_deref(), Some("\n"));
        assert_eq!(next().as_deref(), Some("1234567"));
        assert_eq!(next(), None);
        let mut source: &[u8] = b"123456789\n";
        assert!(next_line(&mut source, 9).is_err());
    }
}
