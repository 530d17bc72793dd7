//! The engine looks at both clocks once in a turn, and says when the wall clock jumped.
//!
//! What follows which clock is decided by the shard.

use super::run::Turns;
use crate::faults::{self, Bug};

/// A jump of the wall clock that is worth a line in the log, in microseconds.
const JUMP_US: i64 = 30_000_000;

impl Turns {
    /// Reads both clocks.
    pub(super) fn tell_time(&mut self) {
        let mut now = self.now.next(&*self.parts.clock);
        if faults::is_planted(Bug::WrittenTimeFalls) {
            now.at = now.wall;
        }
        let jump_us = now.jump_since(self.now);
        if jump_us.unsigned_abs() > JUMP_US.unsigned_abs() {
            tracing::warn!(jump_us, "the wall clock jumped");
        }
        self.now = now;
    }
}
