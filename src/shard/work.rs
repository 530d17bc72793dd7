//! What a step does once it is started: how long it takes, and how it ends.
//!
//! Steps that are decided here need nobody else: simulated work is a timer, rules take no time. The
//! timer of work that somebody leased is the end of the lease.

use super::Shard;
use super::book::Slot;
use super::decide::LOST;
use super::timers::TimerKind;
use super::undo::is_undoing;
use crate::clock::Timestamp;
use crate::order::{Facts, Outcome, ProcessIndex, Seq, StepKind};

impl Shard {
    /// Keeps what rules look at, if the process of an order has any.
    pub(super) fn remember(
        &mut self,
        process: ProcessIndex,
        seq: Seq,
        facts: impl FnOnce() -> Facts,
    ) {
        if self.has_rules[usize::from(process.0)] {
            self.facts.insert(seq, facts());
        }
    }

    /// Does the work of the attempt that was just started, or sets a timer for its end.
    pub(super) fn work(&mut self, slot: Slot, now: Timestamp) {
        let record = *self.book.at(slot);
        let process = self.processes.at(record.process);
        let step = process.work(record.step, is_undoing(&record));
        let duration_us = match &step.kind {
            StepKind::Simulate(work) => work.duration_us(record.priority, &mut self.random),
            StepKind::Rules(_) => 0,
            StepKind::Pull(_) | StepKind::Push(_) => step.kind.lease_us().unwrap_or(1).max(1),
            StepKind::Wait(wait) => {
                let timeout_us = wait.timeout_us;
                return self.park(slot, timeout_us, now);
            }
        };
        if duration_us == 0 {
            return self.end_work(slot, now);
        }
        let due = Timestamp(self.now.ticks).plus(duration_us);
        self.book.at_mut(slot).due = due;
        self.delays.set(due, record.seq, TimerKind::Move);
    }

    /// The time of the work is over: takes its outcome.
    pub(super) fn end_work(&mut self, slot: Slot, now: Timestamp) {
        if self.is_extended(slot) {
            return;
        }
        let record = *self.book.at(slot);
        let process = self.processes.at(record.process);
        let step = process.work(record.step, is_undoing(&record));
        let outcome = match &step.kind {
            StepKind::Simulate(work) => work.outcome(&mut self.random),
            StepKind::Rules(rules) => match self.facts.get(&record.seq) {
                Some(facts) => rules.outcome(Facts {
                    priority: record.priority,
                    ..*facts
                }),
                // Every order of such a process is remembered.
                None => Outcome::Fail {
                    reason: "what the rules look at is not known".into(),
                },
            },
            StepKind::Push(push) if push.has_effect() => Outcome::Unknown {
                reason: LOST.into(),
            },
            // Nobody runs a step that waits.
            StepKind::Pull(_) | StepKind::Push(_) | StepKind::Wait(_) => Outcome::Lost,
        };
        self.finish(slot, outcome, now);
    }
}
