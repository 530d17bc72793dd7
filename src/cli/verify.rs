//! `orderd verify`: proves the invariants of a store from its journal. Reads only, beside a running
//! server or without one, and never repairs anything.

mod chain;
mod compare;
mod counters;
mod findings;
mod histories;
pub mod show;
mod tracks;
mod walk;

use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::show::Paint;
use super::exit::{self, Failure};
use super::{Globals, output};
use crate::clock;
use crate::config::{Flag, masked};
use crate::store::StoreError;

pub use self::findings::{Check, Finding, Findings, Violation};
pub use self::walk::{Report, Stage, heads, prove, prove_snapshot};

const EXAMPLES: &str = "\
Examples:
  orderd verify
  orderd verify --data /var/lib/orderd
  orderd verify --store sqlite:/backup/orders.db --json";

const AFTER: &str = "\
Checks that the journal is whole and its hashes are chained, that every order's history is legal and
ends at most once, that each order says what its history says, and that the counters are right.
Exit code 0 if all of it holds, 1 if not: then each violation is named.";

/// Prove the invariants of a store
#[derive(Clone, Debug, Default, clap::Args)]
#[command(before_help = EXAMPLES, after_help = AFTER)]
pub struct Arguments {
    /// Folder of the data [env: ORDERD_DATA] [default: ./orderd-data]
    #[arg(long, value_name = "FOLDER", conflicts_with = "store")]
    data: Option<PathBuf>,
    /// sqlite:PATH, postgres://… or mysql://… if not in the folder
    /// [env: ORDERD_STORE or DATABASE_URL]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

impl Arguments {
    fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        if let Some(folder) = &self.data {
            let folder = folder.to_string_lossy().into_owned();
            flags.push(Flag::new("--data", "store.data", folder));
        }
        if let Some(url) = &self.store {
            flags.push(Flag::new("--store", "store.url", url.as_str()));
        }
        flags
    }
}

/// Proves a store and shows what was found. Answers the exit code.
///
/// # Errors
///
/// [`Failure`] with its code: there is no store, it cannot be read, or it is of a newer orderd.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let config = globals.config(arguments.flags())?;
    let url = config.store.effective_url();
    let path = url.strip_prefix("sqlite:").map(Path::new);
    if let Some(path) = path.filter(|path| !path.exists()) {
        let path = path.display();
        let what = format!("there is no store at {path}");
        return Err(Failure::new(exit::NOT_FOUND, what, "name its folder with --data").into());
    }
    // A file is named by its path, a database by its URL.
    let name = path.map_or_else(|| masked(&url), |path| path.display().to_string());
    let started = clock::monotonic();
    let cannot = |error: StoreError| Failure::of_store(&format!("cannot verify {name}: "), &error);
    say_memory(walk::orders_expected(&url).map_err(cannot)?);
    let progress = Progress::new();
    let report = prove(&url, &mut |stage| progress.show(stage)).map_err(cannot)?;
    progress.end();
    print(&report, &name, started.elapsed(), globals)?;
    Ok(if report.findings.are_none() {
        exit::OK
    } else {
        exit::FAILURE
    })
}

fn print(report: &Report, store: &str, took: Duration, globals: &Globals) -> anyhow::Result<()> {
    if globals.json {
        output::line(&show::json(report, store, took))?;
        return Ok(());
    }
    let is_colourful = !globals.no_color && stdout().is_terminal() && !globals.is_dumb_terminal();
    let paint = if is_colourful {
        Paint::Coloured
    } else {
        Paint::Plain
    };
    output::text(&show::text(report, took, paint))?;
    Ok(())
}

fn say_memory(orders: u64) {
    let bytes = orders.saturating_mul(tracks::TRACK_BYTES as u64);
    let needed = show::mebibytes(bytes);
    let orders = show::grouped(orders);
    eprintln!("Up to {orders} orders: needs about {needed:.1} MiB of memory.");
}

/// A bar on stderr; nothing if that is not a terminal.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Self {
        if !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(0);
        let style = "{msg:8} {wide_bar} {human_pos}/{human_len}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    fn show(&self, stage: Stage) {
        let Some(bar) = &self.0 else { return };
        let (what, done, all) = match stage {
            Stage::File => ("file", 0, 1),
            Stage::Journal(done, all) => ("journal", done, all),
            Stage::Orders(done, all) => ("orders", done, all),
        };
        if bar.message() != what {
            bar.reset_eta();
            bar.set_message(what);
        }
        bar.set_length(all.max(done));
        bar.set_position(done);
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
