//! `orderd copy`: moves a whole store into another database, and proves that it arrived.
//!
//! Changes nothing where it comes from. What is copied in part is never served: the same command
//! goes on with it.

mod compare;
mod conduct;
mod progress;
mod show;

use std::time::Duration;

use self::progress::Progress;
use super::exit::{self, Failure};
use super::{Globals, output};
use crate::clock;
use crate::config::masked;
use crate::store::StoreError;

pub use self::conduct::{CopyError, Report, Stage, copy};

const EXAMPLES: &str = "\
Examples:
  orderd copy --from sqlite:orderd-data/orders.db --to postgres://orderd@db.internal/orders
  orderd copy --from postgres://orderd@db.internal/orders --to sqlite:/backup/orders.db";

const AFTER: &str = "\
Copies everything: orders, their histories with the hash chain, processes, outputs of steps,
idempotency keys, counters, and webhooks with their secrets: a server on the copy calls the same
receivers. Stop the server of the source first; it stays as it is. The target must have no orders.
Broken off at any moment, the same command goes on where it was, and until it has said that the copy
is whole no server opens the target.
Exit code 0 if the target equals the source and all that `orderd verify` proves holds.";

/// Copy a whole store into another database
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Arguments {
    /// The store to read: sqlite:PATH, postgres://… or mysql://…
    #[arg(long, value_name = "URL")]
    from: String,
    /// The database to fill: sqlite:PATH, postgres://… or mysql://…
    #[arg(long, value_name = "URL")]
    to: String,
    /// Throw away what an unfinished copy has left in the target
    #[arg(long)]
    restart: bool,
}

/// Copies a store and shows how it went. Answers the exit code.
///
/// # Errors
///
/// [`Failure`] with its code: nothing to copy, no room for it, or the copy is not equal.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let (from, to) = (&arguments.from, &arguments.to);
    let name = |url: &str| match url.strip_prefix("sqlite:") {
        Some(path) => path.to_owned(),
        None => masked(url),
    };
    if from == to {
        let what = "--from and --to are the same store";
        return Err(Failure::new(exit::USAGE, what, "name an empty one with --to").into());
    }
    let started = clock::monotonic();
    let mut progress = Progress::new();
    let copied = copy(from, to, arguments.restart, &mut |stage| {
        progress.show(&stage);
    });
    progress.end();
    let names = (name(from), name(to));
    let report = copied.map_err(|error| failure(&error, &names))?;
    print(&report, &names, started.elapsed(), globals)?;
    Ok(if report.proof.findings.are_none() {
        exit::OK
    } else {
        exit::FAILURE
    })
}

fn print(
    report: &Report,
    names: &(String, String),
    took: Duration,
    globals: &Globals,
) -> anyhow::Result<()> {
    if globals.json {
        output::line(&show::json(report, names, took))?;
    } else {
        output::text(&show::text(report, names, took))?;
    }
    Ok(())
}

fn failure(error: &CopyError, (from, to): &(String, String)) -> Failure {
    match error {
        CopyError::Source(StoreError::Missing { .. } | StoreError::Older { found: 0, .. }) => {
            let what = format!("there is no store at {from}");
            Failure::new(exit::NOT_FOUND, what, "name another one with --from")
        }
        CopyError::Source(error) => Failure::of_store(&format!("cannot copy from {from}: "), error),
        CopyError::Target(error) => Failure::of_store(&format!("cannot copy to {to}: "), error),
        CopyError::Taken => {
            let what = format!("cannot copy to {to}: {error}");
            Failure::new(exit::CONFLICT, what, "name a database without")
        }
        CopyError::Other => {
            let what = format!("cannot copy to {to}: {error}");
            let way_out = "with --restart that part is thrown away";
            Failure::new(exit::CONFLICT, what, way_out)
        }
        CopyError::Differs(_) => {
            let way_out = "it is not to be served, and --restart begins anew";
            Failure::new(exit::FAILURE, format!("{to}: {error}"), way_out)
        }
    }
}
