//! Where blocks are played: programs, folders, progress, and the record that grows with them.
//!
//! It decides the order of the sides; what is done to a server is the business of the measurements.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use orderd::clock::{Clock, SystemClock};
use tempfile::TempDir;

use super::disk::{self, Flush};
use super::machine::{self, Machine, Ticks};
use super::plan::{Measure, Plan};
use super::record::{Block, Record};
use super::server::{Programs, Server};

/// From this load on something else is running, and figures are worth little.
const LOAD_MAX: f64 = 0.5;

/// Figures of a block by name; the unit is the end of the name.
pub type Figures = BTreeMap<String, f64>;

/// Figures from pairs.
pub fn figures<const N: usize>(pairs: [(&str, f64); N]) -> Figures {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Rounds of `sides`, each round in the opposite order of the one before: A B B A A B.
pub fn interleaved<T: Copy>(rounds: u32, sides: &[T]) -> Vec<(u32, T)> {
    let mut blocks = Vec::new();
    for round in 1..=rounds {
        let mut sides = sides.to_vec();
        if round % 2 == 0 {
            sides.reverse();
        }
        blocks.extend(sides.into_iter().map(|side| (round, side)));
    }
    blocks
}

/// What all measurements share.
pub struct Stage {
    /// What is measured and how long.
    pub plan: Plan,
    /// What is started.
    pub programs: Programs,
    data: PathBuf,
    folder: TempDir,
    record: Record,
    bar: ProgressBar,
}

impl Stage {
    /// Finds the programs beside this one and makes a folder for stores.
    ///
    /// # Errors
    ///
    /// A program was not built; the folder cannot be made.
    pub fn set(plan: &Plan) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let examples = own.parent().context("this program lies in no folder")?;
        let builds = examples
            .parent()
            .context("this program lies in no folder")?;
        let programs = Programs {
            orderd: builds.join("orderd"),
            floor: examples.join("floor"),
            another: plan.against.clone().unwrap_or_default(),
        };
        let another = plan.against.as_ref();
        for program in [&programs.orderd, &programs.floor]
            .into_iter()
            .chain(another)
        {
            if !program.is_file() {
                let name = program.display();
                bail!("{name} is not built; scripts/bench builds everything");
            }
        }
        let data = plan.data.clone().unwrap_or_else(|| builds.into());
        std::fs::create_dir_all(&data)?;
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&data)?;
        let record = Record {
            date: SystemClock::default().now().to_string()[..10].to_owned(),
            machine: Machine::here(),
            plan: in_words(plan),
            quick: plan.quick,
            blocks: Vec::new(),
        };
        let load = machine::load();
        if load > LOAD_MAX {
            eprintln!(
                "bench: the machine is busy (load {load}); wait, or do not trust the figures"
            );
        }
        let blocks = plan.only.iter().map(|one| blocks_of(*one, plan)).sum();
        Ok(Self {
            plan: plan.clone(),
            programs,
            data,
            folder,
            record,
            bar: bar(blocks)?,
        })
    }

    /// An empty folder on the measured disk, gone when dropped.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn fresh(&self) -> anyhow::Result<TempDir> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }

    /// The folder for stores: on the measured disk, and open to who runs a database.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Path of a file for a load generator.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A line on stderr.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Shows what runs now.
    pub fn announce(&self, text: String) {
        match self.bar.is_hidden() {
            true => eprintln!("{text}"),
            false => self.bar.set_message(text),
        }
    }

    /// Takes down a block, shows it, and saves everything if that was asked for.
    ///
    /// # Errors
    ///
    /// The raw values cannot be written.
    pub fn keep(&mut self, block: Block) -> anyhow::Result<()> {
        let shown: Vec<String> = block
            .figures
            .iter()
            .map(|(name, value)| format!("{name} {value:.3}"))
            .collect();
        let (measure, side, round) = (&block.measure, &block.side, block.round);
        self.say(&format!("{measure} {side} {round}: {}", shown.join(", ")));
        self.record.blocks.push(block);
        self.bar.inc(1);
        if let Some(path) = &self.plan.json {
            self.record.write(path)?;
        }
        Ok(())
    }

    /// What was measured so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record, when all is done.
    pub fn into_record(self) -> Record {
        self.bar.finish_and_clear();
        self.record
    }

    /// Measures the disk, then begins to count what the server uses.
    ///
    /// # Errors
    ///
    /// The disk cannot be written to; the server has ended.
    pub fn open_window(&self, server: &Server) -> anyhow::Result<Window> {
        Ok(Window {
            flush: disk::measure(self.folder.path())?,
            ticks: Ticks::now(),
            cpu_seconds: server.cpu_seconds()?,
        })
    }
}

/// The time of a block, and what the machine and the server used in it.
pub struct Window {
    flush: Flush,
    ticks: Ticks,
    cpu_seconds: f64,
}

impl Window {
    /// What was used since, with the processor time per 1,000 of `count`.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub fn close(&self, server: &Server, count: f64) -> anyhow::Result<Figures> {
        let cpu_seconds = server.cpu_seconds()? - self.cpu_seconds;
        Ok(figures([
            (
                "cpu_seconds_per_1000",
                cpu_seconds * 1_000.0 / count.max(1.0),
            ),
            (
                "steal_percent",
                Ticks::now().steal_percent_since(self.ticks),
            ),
            ("flush_p50_us", self.flush.p50_us),
            ("flush_p99_us", self.flush.p99_us),
        ]))
    }
}

fn bar(blocks: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?;
    Ok(ProgressBar::new(blocks).with_style(style))
}

fn blocks_of(measure: Measure, plan: &Plan) -> u64 {
    let sides = match measure {
        Measure::Accept
        | Measure::Completed
        | Measure::Dialects
        | Measure::Keys
        | Measure::Against
        | Measure::Reads
        | Measure::Stored => 2,
        Measure::Batch => 3,
        Measure::Latency => 2 * super::latency::PERCENTS.len() as u64,
        Measure::Memory | Measure::Overload | Measure::Stream | Measure::Webhooks => 1,
        Measure::Connections => 3,
        Measure::Postgres | Measure::Mysql => 4,
        Measure::Peers => 9,
    };
    sides * u64::from(plan.rounds)
}

fn in_words(plan: &Plan) -> String {
    format!(
        "{} rounds, blocks of {} s after {} s of warm-up, {} s at half load; \
         {} open orders, {} stored orders, {} s of overload, {} idle connections",
        plan.rounds,
        plan.seconds,
        plan.warm_up_seconds,
        plan.latency_seconds,
        plan.open_orders,
        plan.stored_orders,
        plan.overload_seconds,
        plan.idle_connections
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_take_turns_in_going_first() {
        let order = |blocks: Vec<(u32, char)>| blocks.into_iter().map(|b| b.1).collect::<String>();
        assert_eq!(order(interleaved(3, &['A', 'B'])), "ABBAAB");
        assert_eq!(order(interleaved(2, &['A', 'B', 'C'])), "ABCCBA");
        assert_eq!(interleaved(2, &['A'])[1], (2, 'A'));
    }
}
