//! Counters: orders by status and priority, and for each process also how long its orders took.
//!
//! Kept by the shard, written with each commit, and equal to a recount: `orderd verify` checks
//! that.

use std::sync::Arc;

use super::{Order, Priority, Status, StatusKind};
use crate::clock::{MICROS_PER_SECOND, Timestamp};

/// How many orders there are by status and priority; or, with negative numbers, how that changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([[i64; 3]; 10]);

impl Tally {
    /// Counts `change` more orders of this status and priority.
    pub fn count(&mut self, status: StatusKind, priority: Priority, change: i64) {
        self.0[status.index()][priority.index()] += change;
    }

    /// The counters of all processes together.
    pub fn of_all(processes: &[ProcessTally]) -> Self {
        let mut sum = Self::default();
        processes.iter().for_each(|it| sum.add(&it.tally));
        sum
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

/// The counters of the orders of one process, in all its versions; or, with negative numbers, how
/// they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessTally {
    /// Name of the process.
    pub process: Arc<str>,
    /// Its orders by status and priority.
    pub tally: Tally,
    /// Sum over its completed orders, from first start to completion, in microseconds.
    pub work_us: i64,
    /// Sum over its completed orders, from accepted to completed, in whole seconds, each order
    /// rounded down.
    pub turnaround_s: i64,
}

impl ProcessTally {
    /// The counters of a process without orders.
    pub fn new(process: Arc<str>) -> Self {
        Self {
            process,
            tally: Tally::default(),
            work_us: 0,
            turnaround_s: 0,
        }
    }

    /// The counters of a process among these, added to them if need be.
    pub fn among<'a>(all: &'a mut Vec<Self>, process: &Arc<str>) -> &'a mut Self {
        let at = all.iter().position(|it| it.process == *process);
        let at = at.unwrap_or_else(|| {
            all.push(Self::new(Arc::clone(process)));
            all.len() - 1
        });
        &mut all[at]
    }

    /// Counts a whole order once more (`change` is 1) or no more (-1).
    pub fn count(&mut self, order: &Order, change: i64) {
        let state = &order.state;
        self.tally
            .count(state.status.kind(), order.priority, change);
        if let Status::Completed { ended_at } = state.status {
            let started_at = state.started_at.unwrap_or(ended_at);
            let (work_us, turnaround_s) = times(order.created_at, started_at, ended_at);
            self.add_times(work_us * change, turnaround_s * change);
        }
    }

    /// Adds the times of an order that is now completed; its status is counted on its own.
    pub fn complete(&mut self, created_at: Timestamp, started_at: Timestamp, ended_at: Timestamp) {
        let (work_us, turnaround_s) = times(created_at, started_at, ended_at);
        self.add_times(work_us, turnaround_s);
    }

    /// Adds every counter of `other`, whatever its process.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.add_times(other.work_us, other.turnaround_s);
    }

    /// Whether every counter is zero.
    pub fn is_zero(&self) -> bool {
        self.tally == Tally::default() && (self.work_us, self.turnaround_s) == (0, 0)
    }

    /// Sets every counter to zero.
    pub fn clear(&mut self) {
        (self.tally, self.work_us, self.turnaround_s) = (Tally::default(), 0, 0);
    }

    /// Sums stay at their highest value rather than run over.
    fn add_times(&mut self, work_us: i64, turnaround_s: i64) {
        self.work_us = self.work_us.saturating_add(work_us);
        self.turnaround_s = self.turnaround_s.saturating_add(turnaround_s);
    }
}

/// What one completed order adds to the sums. Never negative, even if a clock was set back.
fn times(created_at: Timestamp, started_at: Timestamp, ended_at: Timestamp) -> (i64, i64) {
    let turnaround_us = ended_at.micros_since(created_at).max(0);
    let work_us = ended_at.micros_since(started_at).max(0);
    (work_us, turnaround_us / MICROS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(created_at: i64, started_at: i64, ended_at: i64) -> (i64, i64) {
        let mut tally = ProcessTally::new("p".into());
        tally.complete(
            Timestamp(created_at),
            Timestamp(started_at),
            Timestamp(ended_at),
        );
        (tally.work_us, tally.turnaround_s)
    }

    #[test]
    fn work_is_exact_and_a_turnaround_is_whole_seconds_rounded_down() {
        assert_eq!(completed(0, 400_000, 1_999_999), (1_599_999, 1));
        assert_eq!(completed(0, 0, 2_000_000), (2_000_000, 2));
        assert_eq!(completed(7, 7, 7), (0, 0));
    }

    #[test]
    fn a_clock_that_was_set_back_takes_nothing_off_the_sums() {
        assert_eq!(completed(9_000_000, 9_000_000, 1_000_000), (0, 0));
    }

    #[test]
    fn each_order_is_rounded_on_its_own_and_sums_do_not_run_over() {
        let mut tally = ProcessTally::new("p".into());
        for _ in 0..3 {
            tally.complete(Timestamp(0), Timestamp(0), Timestamp(1_900_000));
        }
        assert_eq!((tally.work_us, tally.turnaround_s), (5_700_000, 3));
        let (first, last) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        tally.complete(first, first, last);
        assert_eq!(tally.work_us, i64::MAX);
    }

    #[test]
    fn what_is_added_and_taken_away_again_leaves_nothing() {
        let mut change = ProcessTally::new("p".into());
        change.tally.count(StatusKind::Pending, Priority::Low, 1);
        let mut tally = change.clone();
        change.clear();
        assert!(change.is_zero() && !tally.is_zero());
        change.tally.count(StatusKind::Pending, Priority::Low, -1);
        tally.add(&change);
        assert!(tally.is_zero());
    }

    #[test]
    fn counters_are_found_by_the_name_of_their_process() {
        let (mut all, names) = (Vec::new(), ["a", "b", "a"].map(Arc::from));
        for name in &names {
            ProcessTally::among(&mut all, name).work_us += 1;
        }
        let counted: Vec<_> = all.iter().map(|it| (&*it.process, it.work_us)).collect();
        assert_eq!(counted, [("a", 2), ("b", 1)]);
    }
}
