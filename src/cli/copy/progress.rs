//! How far a copy is, on stderr: a bar on a terminal, else a line for each stage and every two
//! seconds.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Stage;
use crate::cli::verify::{self, show::grouped};
use crate::clock;

const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows stages.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    said_at: Instant,
}

impl Progress {
    /// For this terminal.
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let style = "{msg:32} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left";
            match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self {
            bar,
            what: String::new(),
            said_at: clock::monotonic(),
        }
    }

    /// Shows a stage, if there is something new to say.
    pub fn show(&mut self, stage: &Stage) {
        let (what, done, all) = words(stage);
        let is_new = what != self.what;
        if let Some(bar) = &self.bar {
            if is_new {
                bar.reset();
                bar.set_message(what.clone());
            }
            bar.set_length(all.max(done));
            bar.set_position(done);
        } else if is_new || self.said_at.elapsed() >= LINE_EVERY {
            self.said_at = clock::monotonic();
            eprintln!("{what}: {} of {}", grouped(done), grouped(all.max(done)));
        }
        self.what = what;
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn words(stage: &Stage) -> (String, u64, u64) {
    match stage {
        Stage::Rows(table, done, all) => (format!("copy {table}"), *done, *all),
        Stage::Indexes => ("build indexes".into(), 0, 1),
        Stage::Comparing(table, done, all) => (format!("compare {table}"), *done, *all),
        Stage::Proving(verify::Stage::File) => ("prove the file".into(), 0, 1),
        Stage::Proving(verify::Stage::Journal(done, all)) => {
            ("prove the journal".into(), *done, *all)
        }
        Stage::Proving(verify::Stage::Orders(done, all)) => {
            ("prove the orders".into(), *done, *all)
        }
    }
}
