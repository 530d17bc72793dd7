//! Work that somebody else does: leases of it, and what is said under them.
//!
//! A lease is given from memory and nobody waits for it to be durable: what is said under it counts
//! only while its fence is the current one, and a restart ends them all.

use std::sync::Arc;

use super::book::{Record, Slot};
use super::change::Effect;
use super::decide::place;
use super::ready::Taker;
use super::transition::{Move, Remark};
use super::undo::is_undoing;
use super::{CHANGES_MAX, Shard};
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{
    EventKind, Fence, OrderState, QueueIndex, Refusal, Report, Status, StepKind, Transition,
    Verdict,
};

/// An attempt that a worker may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Under which its result counts.
    pub fence: Fence,
    /// The queue it was leased from.
    pub queue: QueueIndex,
    /// When the lease is over unless it is extended, on the wall clock.
    pub until: Timestamp,
    /// The order's state now, with the step and the attempt.
    pub state: OrderState,
}

/// What there is to do in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueLoad {
    /// Its name.
    pub queue: Arc<str>,
    /// Orders that wait in it.
    pub waiting: usize,
    /// Orders that workers have.
    pub leased: u32,
    /// Since when the one that has waited longest has been ready. `None`: none waits.
    pub oldest: Option<Timestamp>,
}

impl Leased {
    /// What is said if the attempt will not be made.
    pub fn hand_back(&self) -> Report {
        Report {
            fence: self.fence,
            queue: self.queue,
            verdict: Verdict::HandBack { reason: None },
        }
    }
}

impl Shard {
    /// Leases at most `max` waiting orders from a queue to a worker, in the order of their rank.
    pub fn lease(
        &mut self,
        queue: QueueIndex,
        max: usize,
        worker: Option<&str>,
        now: Now,
    ) -> Vec<Leased> {
        let at = self.set_now(now);
        self.commit.at = at;
        let mut all = Vec::new();
        while all.len() < max && self.commit.changed.len() < CHANGES_MAX {
            let Some(taken) = self.ready.lease(Taker::Workers(queue)) else {
                break;
            };
            let slot = self.start(taken, worker, at);
            all.extend(slot.and_then(|slot| self.leased(slot, queue)));
        }
        all
    }

    /// Whether an order could be leased from a queue now.
    pub fn can_lease(&self, queue: QueueIndex) -> bool {
        self.ready.can_lease(Taker::Workers(queue)) && self.commit.changed.len() < CHANGES_MAX
    }

    /// What there is to do in each queue.
    pub fn queues(&mut self) -> Vec<QueueLoad> {
        let oldest = self.oldest();
        let queues = (0..).map(QueueIndex).zip(self.processes.queues().names());
        let load = |((index, queue), oldest): (_, &Option<Timestamp>)| {
            let (waiting, leased) = self.ready.load(Taker::Workers(index));
            QueueLoad {
                queue: Arc::clone(queue),
                waiting,
                leased,
                oldest: *oldest,
            }
        };
        queues.zip(&oldest[1..]).map(load).collect()
    }

    fn leased(&self, slot: Slot, queue: QueueIndex) -> Option<Leased> {
        let record = self.book.at(slot);
        let fence = self.fence(slot)?;
        let changed = self.commit.changed.get(record.change as usize)?;
        let mut state = changed.state.clone();
        if is_undoing(record) {
            state.reason = self.turned_back.get(&record.seq).cloned();
        }
        Some(Leased {
            fence,
            queue,
            until: self.wall_of(record.due),
            state,
        })
    }

    /// The fence of the attempt that runs now, if somebody else makes it.
    fn fence(&self, slot: Slot) -> Option<Fence> {
        let record = self.book.at(slot);
        match record.status.get() {
            // One that waits has a lease from before the start.
            Status::Processing { lease } if !record.is_queued => Some(Fence {
                epoch: self.commit.epoch,
                lease,
                seq: record.seq,
            }),
            _ => {
                let (epoch, lease) = (self.commit.epoch, self.undo_lease(record.seq));
                let seq = record.seq;
                (lease > 0).then_some(Fence { epoch, lease, seq })
            }
        }
    }

    /// The time on the wall clock at which the monotonic clock will show `ticks`.
    fn wall_of(&self, ticks: Timestamp) -> Timestamp {
        let left_us = ticks.0.saturating_sub(self.now.ticks);
        self.now.wall.plus(left_us)
    }

    /// Takes what a worker says, if its fence is the current one.
    pub(super) fn report(
        &mut self,
        slot: Slot,
        report: Report,
        now: Timestamp,
    ) -> Result<Effect, Refusal> {
        let record = *self.book.at(slot);
        let process = self.processes.at(record.process);
        let step = process.work(record.step, is_undoing(&record));
        let lease_us = match &step.kind {
            StepKind::Push(push) => Some(push.callback_us),
            kind => kind.lease_us(),
        };
        let Some(lease_us) = lease_us else {
            return self.came_late(slot, &report, now);
        };
        let is_own = self.processes.queues().of_step(&step.kind) == Some(report.queue);
        let current = self.fence(slot).filter(|_| is_own);
        let counts = |current| current == report.fence || faults::is_planted(Bug::StaleResultTaken);
        if !current.is_some_and(counts) {
            return self.came_late(slot, &report, now);
        }
        match report.verdict {
            Verdict::Beat => return Ok(self.extend(slot, lease_us)),
            Verdict::Check => return Ok(Effect::Nothing),
            Verdict::Later => {
                if self.away.insert(record.seq) {
                    self.ready.release(place(&record));
                }
                return Ok(self.extend(slot, lease_us));
            }
            Verdict::HandBack { reason } => self.hand_back(slot, reason, now),
            Verdict::Ended(outcome) => self.finish(slot, outcome, now),
        }
        Ok(self.made())
    }

    /// Lets a lease count anew from now. Nothing is written: a lease that a restart ends anyway
    /// needs no journal. Its timer stays where it is, however often this is asked, unless that is
    /// later: a callback may have less time than the call before it.
    fn extend(&mut self, slot: Slot, lease_us: i64) -> Effect {
        let until = Timestamp(self.now.ticks).plus(lease_us);
        let record = *self.book.at(slot);
        if until < record.due {
            self.beats.remove(&record.seq);
            self.book.at_mut(slot).due = until;
            self.delays.set(until, record.seq, super::TimerKind::Move);
        } else {
            self.beats.insert(record.seq, until);
        }
        Effect::Extended {
            until: self.wall_of(until),
        }
    }

    /// The timer of a lease is due: whether it was extended. Then the timer is set anew, even if
    /// that time has come, too: what is due before it comes first.
    pub(super) fn is_extended(&mut self, slot: Slot) -> bool {
        let seq = self.book.at(slot).seq;
        let Some(until) = self.beats.remove(&seq) else {
            return false;
        };
        self.book.at_mut(slot).due = until;
        self.delays.set(until, seq, super::TimerKind::Move);
        true
    }

    /// The attempt of an order is over, whatever became of it: its place is free, and its lease
    /// means nothing any more.
    pub(super) fn leave(&mut self, record: &Record) {
        self.beats.remove(&record.seq);
        if !self.away.remove(&record.seq) {
            self.ready.release(place(record));
        }
    }

    /// A worker gives back what it has not done: the attempt does not count.
    fn hand_back(&mut self, slot: Slot, reason: Option<Box<str>>, now: Timestamp) {
        let record = *self.book.at(slot);
        self.leave(&record);
        if is_undoing(&record) {
            return self.hand_back_undo(slot, reason, now);
        }
        let step = self.processes.at(record.process).work(record.step, false);
        // Of a call that came to nothing nobody knows where it ended.
        let is_marked = matches!(step.kind, StepKind::Push(_)) && self.note_begun(slot);
        let requeue = Move {
            reason,
            next: Some((record.step, record.attempt.saturating_sub(1))),
            ..Move::to(Transition::Requeue { ready_at: now })
        };
        self.make(slot, requeue, now);
        if is_marked {
            self.write_beside(slot);
        }
        self.fresh.push((slot, record.seq));
    }

    /// Refuses what is said under a lease that is over. The history has the first word under each;
    /// of a beat nothing is ever written.
    fn came_late(
        &mut self,
        slot: Slot,
        report: &Report,
        now: Timestamp,
    ) -> Result<Effect, Refusal> {
        if !report.is_told_late() {
            return Err(Refusal::StaleFence);
        }
        let fence = report.fence;
        let seq = self.book.at(slot).seq;
        let lease = (fence.epoch, fence.lease);
        let last = self.late.get(&seq).copied().unwrap_or_default();
        let (epoch, newest) = (self.commit.epoch, self.last_lease);
        let was_given = fence.epoch < epoch || (fence.epoch == epoch && fence.lease <= newest);
        let is_over = self.fence(slot) != Some(fence);
        if was_given && is_over && lease > last {
            self.late.insert(seq, lease);
            let (epoch, lease) = lease;
            let remark = Remark {
                reason: Some(format!("lease {epoch}-{lease} is over").into()),
                ..Remark::of(EventKind::CameLate)
            };
            self.remark(slot, remark, now);
        }
        Err(Refusal::StaleFence)
    }
}
