//! Counters of orders by status and priority.
//!
//! Kept by the shard, written with each commit, and equal to a recount: `orderd verify` checks
//! that.

use super::{Priority, StatusKind};

/// How many orders there are by status and priority; or, with negative numbers, how that changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([[i64; 3]; 10]);

impl Tally {
    /// Counts `change` more orders of this status and priority.
    pub fn count(&mut self, status: StatusKind, priority: Priority, change: i64) {
        self.0[status.index()][priority.index()] += change;
    }

    /// Adds every counter of `other`.
    pub fn add(&mut self, other: &Self) {
        for (status, priority, change) in other.nonzero() {
            self.count(status, priority, change);
        }
    }

    /// The counter of one status and priority.
    pub fn of(&self, status: StatusKind, priority: Priority) -> i64 {
        self.0[status.index()][priority.index()]
    }

    /// All orders of a status.
    pub fn by_status(&self, status: StatusKind) -> i64 {
        self.0[status.index()].iter().sum()
    }

    /// All open orders of a priority.
    pub fn open_by_priority(&self, priority: Priority) -> i64 {
        let open = StatusKind::ALL
            .into_iter()
            .filter(|status| !status.is_final());
        open.map(|status| self.of(status, priority)).sum()
    }

    /// All open orders.
    pub fn open(&self) -> i64 {
        Priority::ALL
            .into_iter()
            .map(|priority| self.open_by_priority(priority))
            .sum()
    }

    /// All orders ever accepted.
    pub fn total(&self) -> i64 {
        self.0.iter().flatten().sum()
    }

    /// The counters that are not zero.
    pub fn nonzero(&self) -> impl Iterator<Item = (StatusKind, Priority, i64)> + '_ {
        StatusKind::ALL
            .into_iter()
            .flat_map(|status| Priority::ALL.map(|priority| (status, priority)))
            .map(|(status, priority)| (status, priority, self.of(status, priority)))
            .filter(|(_, _, count)| *count != 0)
    }
}
