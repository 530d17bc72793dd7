//! Where the journal of one shard has come to, and whether the next row follows.
//!
//! Nothing here looks into a row.

use super::findings::{Check, Findings};
use crate::order::{Position, ProcessTally, Seq, ShardNumber};
use crate::store::{JournalRow, journal};

/// Where the journal of one shard has come to.
pub(super) struct Chain {
    pub(super) position: Position,
    pub(super) hash: [u8; 32],
    pub(super) epoch: i64,
    /// The highest lease of this epoch.
    pub(super) lease: i64,
    /// The row with which each epoch begins.
    epochs: Vec<(Position, i64)>,
    pub(super) last_seq: Seq,
    /// By process, counted from the orders.
    pub(super) tallies: Vec<ProcessTally>,
}

impl Chain {
    pub(super) fn new(shard: ShardNumber) -> Self {
        Self {
            position: Position(shard.base()),
            hash: journal::GENESIS,
            epoch: 0,
            lease: 0,
            epochs: Vec::new(),
            last_seq: Seq(shard.base()),
            tallies: Vec::new(),
        }
    }

    /// The epoch of a row that was read.
    pub(super) fn epoch_of(&self, position: Position) -> i64 {
        let after = self.epochs.partition_point(|(first, _)| *first <= position);
        after.checked_sub(1).map_or(0, |at| self.epochs[at].1)
    }

    /// Checks that a row follows the one before, and goes on from it whatever it is: one wrong row
    /// is one violation.
    pub(super) fn follow(&mut self, row: &JournalRow, findings: &mut Findings) {
        findings.examine(&[Check::HashChain, Check::Epochs]);
        let next = self.position.next();
        if row.position > next {
            let (first, last) = (next.0, row.position.0 - 1);
            let what = format!("rows {first} to {last} are missing");
            findings.add(Check::HashChain, "journal", first, what);
        } else {
            let hash = journal::hash(&self.hash, row.position, row.epoch, row.at, &row.entries);
            if hash != row.hash {
                let what = "its hash does not follow from the row before and its own contents";
                findings.add(Check::HashChain, "journal", row.position.0, what);
            }
        }
        if row.epoch < self.epoch {
            let what = format!("its epoch is {}, after {}", row.epoch, self.epoch);
            findings.add(Check::Epochs, "journal", row.position.0, what);
        }
        if row.epoch != self.epoch {
            self.lease = 0;
            self.epochs.push((row.position, row.epoch));
        }
        (self.position, self.hash, self.epoch) = (row.position, row.hash, row.epoch);
    }
}
