//! What was measured: one block after the other, with every figure, as it is kept on disk.
//!
//! The record knows no meaning of figures; `tables` and `chart` ask for them by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::ratio::{self, Ratio};

/// Share of stolen processor time, in percent, from which on a block counts as disturbed.
pub const STEAL_PERCENT_MAX: f64 = 2.0;

/// A block: one server, one load, one length of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Which measurement, such as `accept` or `latency-50`.
    pub measure: String,
    /// Which of the things compared, such as `floor` or `orderd`.
    pub side: String,
    /// Counted from 1; blocks of one round are compared with each other.
    pub round: u32,
    /// The figures by name; the unit is the end of the name.
    pub figures: BTreeMap<String, f64>,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Day of the run, UTC, `2026-11-21`.
    pub date: String,
    /// Where it ran.
    pub machine: Machine,
    /// How: the arguments in words.
    pub plan: String,
    /// Whether it only shows that everything works.
    pub quick: bool,
    /// The blocks in the order in which they ran.
    pub blocks: Vec<Block>,
}

impl Record {
    /// Reads earlier runs. Of a measurement that several hold the last one counts.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is no record; no file at all.
    pub fn read_all(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut whole: Option<Self> = None;
        for path in paths {
            let name = path.display();
            let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
            let next: Self =
                serde_json::from_slice(&bytes).with_context(|| format!("{name} is no record"))?;
            whole = Some(match whole {
                Some(earlier) => earlier.replaced_by(next),
                None => next,
            });
        }
        whole.context("no file to read")
    }

    fn replaced_by(mut self, next: Self) -> Self {
        let has = |block: &Block| next.blocks.iter().any(|b| b.measure == block.measure);
        self.blocks.retain(|block| !has(block));
        self.blocks.extend(next.blocks);
        Self {
            blocks: self.blocks,
            quick: self.quick || next.quick,
            date: next.date,
            machine: next.machine,
            plan: next.plan,
        }
    }

    /// Writes everything to a file.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or the file not be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// One figure of one side, with rounds. Disturbed blocks are left out unless all are disturbed.
    pub fn figures(&self, measure: &str, side: &str, figure: &str) -> Vec<(u32, f64)> {
        let of_side = |block: &&Block| block.measure == measure && block.side == side;
        let pick = |block: &Block| Some((block.round, *block.figures.get(figure)?));
        let blocks = || self.blocks.iter().filter(of_side);
        let calm: Vec<_> = blocks()
            .filter(|b| !b.is_disturbed())
            .filter_map(pick)
            .collect();
        match calm.is_empty() {
            true => blocks().filter_map(pick).collect(),
            false => calm,
        }
    }

    /// The median of one figure of one side.
    pub fn median(&self, measure: &str, side: &str, figure: &str) -> Option<f64> {
        let values = self.figures(measure, side, figure);
        ratio::median(
            &values
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>(),
        )
    }

    /// The paired ratios of rates, `of` to `to`; each is a measurement and a side.
    pub fn ratio(&self, of: (&str, &str), to: (&str, &str)) -> Option<Ratio> {
        let rates = |(measure, side)| self.figures(measure, side, "per_second");
        ratio::paired(&rates(of), &rates(to))
    }

    /// How many blocks were disturbed by other machines on the same host.
    pub fn disturbed(&self) -> usize {
        self.blocks.iter().filter(|b| b.is_disturbed()).count()
    }
}

impl Block {
    fn is_disturbed(&self) -> bool {
        let steal = self.figures.get("steal_percent");
        steal.is_some_and(|steal| *steal > STEAL_PERCENT_MAX)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A block with a rate and some more figures.
    pub fn block(measure: &str, side: &str, round: u32, figures: &[(&str, f64)]) -> Block {
        let figures = figures
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value));
        Block {
            measure: measure.to_owned(),
            side: side.to_owned(),
            round,
            figures: figures.collect(),
        }
    }

    /// A record of these blocks on a made-up machine.
    pub fn record(blocks: Vec<Block>) -> Record {
        Record {
            date: "2026-01-31".to_owned(),
            machine: Machine::default(),
            plan: "3 rounds".to_owned(),
            quick: false,
            blocks,
        }
    }

    #[test]
    fn disturbed_blocks_are_left_out_while_others_are_there() {
        let calm = [("per_second", 10.0), ("steal_percent", 0.1)];
        let disturbed = [("per_second", 5.0), ("steal_percent", 9.0)];
        let one = record(vec![
            block("accept", "floor", 1, &calm),
            block("accept", "floor", 2, &disturbed),
            block("accept", "orderd", 1, &disturbed),
        ]);
        assert_eq!(one.figures("accept", "floor", "per_second"), [(1, 10.0)]);
        assert_eq!(one.median("accept", "orderd", "per_second"), Some(5.0));
        assert_eq!(one.disturbed(), 2);
        let ratio = one
            .ratio(("accept", "orderd"), ("accept", "floor"))
            .unwrap();
        assert_eq!((ratio.median, ratio.pairs), (0.5, 1));
    }

    #[test]
    fn a_later_run_replaces_the_measurements_it_has() {
        let rate = |value| [("per_second", value)];
        let first = record(vec![
            block("accept", "floor", 1, &rate(1.0)),
            block("batch", "floor", 1, &rate(2.0)),
        ]);
        let second = record(vec![block("batch", "floor", 1, &rate(3.0))]);
        let folder = tempfile::tempdir().unwrap();
        let paths = [
            folder.path().join("runs/a.json"),
            folder.path().join("b.json"),
        ];
        first.write(&paths[0]).unwrap();
        second.write(&paths[1]).unwrap();
        let whole = Record::read_all(&paths).unwrap();
        assert_eq!(whole.median("accept", "floor", "per_second"), Some(1.0));
        assert_eq!(whole.median("batch", "floor", "per_second"), Some(3.0));
        assert!(Record::read_all(&[]).is_err());
    }
}
