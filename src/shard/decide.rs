//! What a shard decides of the orders that it has: start, finish, retry, give up, expire.
//!
//! Every function here reads the record, chooses a move and makes it. No order is moved anywhere
//! else.

use super::book::{NEVER, Record, Slot};
use super::ready::{Class, Place, Taker};
use super::timers::TimerKind;
use super::transition::Move;
use super::undo::{Undoing, is_undoing};
use super::{CHANGES_MAX, Shard};
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{
    Detail, Outcome, Output, Seq, Signature, Status, Step, StepKind, StepOutput, Target, Transition,
};

/// Why an attempt failed of which nothing was heard.
pub(super) const LOST: &str = "nothing was heard of the worker in the time of its lease";

impl Shard {
    /// Lets everything happen that is due: timers first, then waiting orders in the order of their
    /// rank, up to [`CHANGES_MAX`] changes.
    pub fn advance(&mut self, now: Now) {
        let now = self.set_now(now);
        self.commit.at = now;
        while self.commit.changed.len() < CHANGES_MAX {
            let Some((due, seq, kind)) = self.pop_due() else {
                break;
            };
            self.fire(due, seq, kind, now);
        }
        while self.commit.changed.len() < CHANGES_MAX {
            let Some((place, ready_at, seq)) = self.ready.lease(Taker::Shard) else {
                break;
            };
            self.start((place, ready_at, seq), None, now);
        }
    }

    fn fire(&mut self, due: Timestamp, seq: Seq, kind: TimerKind, now: Timestamp) {
        let Some(slot) = self.book.find(seq) else {
            return;
        };
        let record = *self.book.at(slot);
        match (kind, record.status.get()) {
            (TimerKind::Expiry, Status::Scheduled { .. } | Status::Pending { .. })
                if !is_begun(&record) =>
            {
                self.make(slot, Move::to(Transition::Expire { at: now }), now);
            }
            (TimerKind::Move, _)
                if record.due != due && !faults::is_planted(Bug::StaleTimerTaken) => {}
            (TimerKind::Move, Status::Scheduled { .. }) => {
                self.make(slot, Move::to(Transition::Ready { ready_at: now }), now);
                self.fresh.push((slot, seq));
            }
            // The end of a lease that was given back: the order waits for its turn already.
            (TimerKind::Move, Status::Pending { .. }) if record.is_queued => {}
            // What was just decided about it has to be durable first.
            (TimerKind::Move, Status::Pending { .. }) if self.is_in_commit(slot) => {
                self.fresh.push((slot, seq));
            }
            (TimerKind::Move, Status::Pending { ready_at }) => self.enqueue(slot, ready_at),
            (TimerKind::Move, Status::Processing { .. }) => self.end_work(slot, now),
            (TimerKind::Move, Status::Waiting { .. }) => self.time_is_up(slot, now),
            (TimerKind::Move, Status::Compensating { .. }) => match self.undoing.get(&seq).copied()
            {
                Some(Undoing::Running(_)) => self.end_work(slot, now),
                Some(Undoing::Due(ready_at)) => self.enqueue_undo(slot, ready_at),
                None => {}
            },
            (TimerKind::Release, _) => self.hold_is_over(slot, due, now),
            _ => {}
        }
    }

    /// Starts an attempt of an order that was taken from the queue, for the worker `by` if it is
    /// one who does it. `None`: that order is not there any more.
    pub(super) fn start(
        &mut self,
        (place, ready_at, seq): (Place, Timestamp, Seq),
        by: Option<&str>,
        now: Timestamp,
    ) -> Option<Slot> {
        let slot = self
            .book
            .find(seq)
            .filter(|slot| is_startable(self.book.at(*slot), ready_at));
        let Some(slot) = slot else {
            self.ready.release(place);
            return None;
        };
        self.book.at_mut(slot).is_queued = false;
        self.ready.leave(place);
        self.requeue_lost(slot, ready_at, now);
        if !faults::is_planted(Bug::FenceStandsStill) {
            self.last_lease += 1;
        }
        faults::point("lease-given");
        let record = *self.book.at(slot);
        if is_undoing(&record) {
            self.begin_undo(slot, by, now);
        } else {
            let lease = self.last_lease;
            let start = Move {
                next: Some((record.step, record.attempt.saturating_add(1))),
                by: by.map(Box::from),
                ..Move::to(Transition::Start { lease })
            };
            self.make(slot, start, now);
        }
        self.measured
            .queue_waits_us
            .push(self.waited_us(ready_at, now));
        self.work(slot, now);
        Some(slot)
    }

    /// Writes down that a lease from before the start is lost, if the order has one.
    pub(super) fn requeue_lost(&mut self, slot: Slot, ready_at: Timestamp, now: Timestamp) {
        let record = *self.book.at(slot);
        if !matches!(record.status.get(), Status::Processing { .. }) {
            return;
        }
        let is_marked = self.note_begun(slot);
        // The attempt that lost its lease does not count, unless it may have had its effect: then
        // the next one is not the first.
        let lost = u16::from(!self.has_effect(&record));
        let next = Some((record.step, record.attempt.saturating_sub(lost)));
        let requeue = Move::to(Transition::Requeue { ready_at });
        self.make(slot, Move { next, ..requeue }, now);
        if is_marked {
            self.write_beside(slot);
        }
        self.book.at_mut(slot).due = Timestamp::default();
    }

    /// Whether the step of an order must not be done twice.
    pub(super) fn has_effect(&self, record: &Record) -> bool {
        let step = &self.processes.at(record.process).steps[usize::from(record.step)];
        matches!(&step.kind, StepKind::Push(push) if push.has_effect())
    }

    /// Takes the outcome of the attempt that is running.
    pub(super) fn finish(&mut self, slot: Slot, outcome: Outcome, now: Timestamp) {
        faults::point("outcome-taken");
        let record = *self.book.at(slot);
        self.leave(&record);
        self.conclude(slot, outcome, now);
    }

    /// Takes the outcome of an attempt that runs no more.
    pub(super) fn conclude(&mut self, slot: Slot, outcome: Outcome, now: Timestamp) {
        let record = *self.book.at(slot);
        if is_undoing(&record) {
            return self.conclude_undo(slot, outcome, now);
        }
        if let Outcome::Reject { reason } = outcome {
            let reason = Some(reason);
            let signature = Signature { reason, by: None };
            return self.turn_back(slot, Target::Rejected, signature, now);
        }
        let process = self.processes.at(record.process);
        let next = process.steps.get(usize::from(record.step) + 1);
        // Nobody outside hears of rules, so they need not wait until this is durable. They are next
        // in line: the room that this attempt leaves is theirs.
        let is_ruled_next = next.is_some_and(|next| matches!(next.kind, StepKind::Rules(_)));
        let is_end = next.is_none() && matches!(outcome, Outcome::Complete { .. });
        let is_marked = !is_end && self.note_begun(slot);
        let it = self.after(&record, outcome, now);
        let is_retry = matches!(it.transition, Transition::Retry { .. });
        let is_advance = matches!(it.transition, Transition::Advance { .. });
        self.make(slot, it, now);
        if is_marked {
            self.write_beside(slot);
        }
        if is_advance && is_ruled_next {
            self.enqueue(slot, now);
        } else if is_advance || is_retry {
            self.fresh.push((slot, record.seq));
        }
    }

    /// Where an order goes whose step has ended like this, and keeps what the step said.
    fn after(&mut self, record: &Record, outcome: Outcome, now: Timestamp) -> Move {
        let process = self.processes.at(record.process);
        let step = &process.steps[usize::from(record.step)];
        let is_last = usize::from(record.step) + 1 == process.steps.len();
        if let Outcome::Complete {
            output: Some(output),
        } = &outcome
        {
            self.commit.outputs.push(said(record, step, output));
        }
        match outcome {
            Outcome::Complete { .. } if is_last => {
                let worked_us = self.waited_us(record.started_at, now);
                self.measured.processing_times_us.push(worked_us);
                Move::to(Transition::Complete { at: now })
            }
            Outcome::Complete { .. } => Move {
                next: Some((record.step + 1, 0)),
                ..Move::to(Transition::Advance { ready_at: now })
            },
            Outcome::Retry {
                reason,
                retry_after_us,
            } if !step.retry.is_exhausted(record.attempt) => {
                let wait_us = match retry_after_us {
                    Some(wish_us) => step.retry.wished_wait_us(wish_us, &mut self.random),
                    None => step.retry.wait_us(record.attempt, &mut self.random),
                };
                let ready_at = now.plus(wait_us);
                Move {
                    detail: retry_after_us.map(|_| Detail::Until(ready_at)),
                    ..again(reason, ready_at)
                }
            }
            Outcome::Unknown { reason } if !step.retry.is_past_asking(record.attempt) => {
                let wait_us = step.retry.wait_us(record.attempt, &mut self.random);
                again(reason, now.plus(wait_us))
            }
            Outcome::Lost if !step.retry.is_exhausted(record.attempt) => again(LOST.into(), now),
            Outcome::Lost => Move {
                reason: Some(LOST.into()),
                ..Move::to(Transition::GiveUp { at: now })
            },
            Outcome::Retry { reason, .. }
            | Outcome::Unknown { reason }
            | Outcome::Fail { reason } => Move {
                reason: Some(reason),
                ..Move::to(Transition::GiveUp { at: now })
            },
            Outcome::Reject { reason } => Move {
                reason: Some(reason),
                ..Move::to(Transition::Reject { at: now })
            },
        }
    }

    /// Sends an order to where its status waits: the queue, a timer, or nowhere.
    pub(super) fn route(&mut self, slot: Slot, now: Timestamp) {
        let record = *self.book.at(slot);
        let seq = record.seq;
        let (timers, due) = match record.status.get() {
            Status::Scheduled { start_at } if faults::is_planted(Bug::SchedulesByTicks) => {
                let due = Timestamp(self.now.ticks).plus(start_at.micros_since(self.now.wall));
                (&mut self.delays, due)
            }
            Status::Scheduled { start_at: at } | Status::Waiting { until: at } => {
                (&mut self.schedules, at)
            }
            Status::Pending { ready_at } if ready_at > now => {
                let due = Timestamp(self.now.ticks).plus(ready_at.micros_since(now));
                (&mut self.delays, due)
            }
            Status::Pending { ready_at } => return self.enqueue(slot, ready_at),
            Status::Processing { .. } if faults::is_planted(Bug::LostLeaseGoesOn) => {
                self.ready.take(place(&record));
                return self.work(slot, now);
            }
            // A lease from before the start.
            Status::Processing { .. } => {
                self.book.at_mut(slot).due = now;
                return self.enqueue(slot, now);
            }
            Status::Compensating { .. } => match self.undoing.get(&seq).copied() {
                Some(Undoing::Due(ready_at)) if ready_at > now => {
                    let due = Timestamp(self.now.ticks).plus(ready_at.micros_since(now));
                    (&mut self.delays, due)
                }
                Some(Undoing::Due(ready_at)) => return self.enqueue_undo(slot, ready_at),
                _ => return,
            },
            _ => return,
        };
        if record.due != due {
            self.book.at_mut(slot).due = due;
            timers.set(due, seq, TimerKind::Move);
        }
    }

    /// Lets an order wait for its turn to be undone, unless it does already.
    fn enqueue_undo(&mut self, slot: Slot, ready_at: Timestamp) {
        if !self.book.at(slot).is_queued {
            self.book.at_mut(slot).due = ready_at;
            self.enqueue(slot, ready_at);
        }
    }

    /// Lets an order wait for its turn, unless it does already or is held back.
    fn enqueue(&mut self, slot: Slot, ready_at: Timestamp) {
        let record = *self.book.at(slot);
        // A hold keeps no step from being undone.
        let is_held = self.holds.contains_key(&record.seq) && !is_undoing(&record);
        if record.is_queued || (is_held && !faults::is_planted(Bug::HoldIgnored)) {
            return;
        }
        self.book.at_mut(slot).is_queued = true;
        let (place, class) = (place(&record), class(&record));
        self.ready.enqueue(place, class, ready_at, record.seq);
    }
}

/// A failed attempt is made again.
fn again(reason: Box<str>, ready_at: Timestamp) -> Move {
    Move {
        reason: Some(reason),
        ..Move::to(Transition::Retry { ready_at })
    }
}

/// What a step said about an order, as it is kept.
fn said(record: &Record, step: &Step, output: &str) -> Output {
    Output {
        seq: record.seq,
        number: record.step,
        output: StepOutput {
            step: step.name.clone(),
            output: output.into(),
        },
    }
}

/// Whether an entry of the queue still means this record.
pub(super) fn is_startable(record: &Record, queued_at: Timestamp) -> bool {
    match record.status.get() {
        Status::Pending { ready_at } => record.is_queued && ready_at == queued_at,
        // Only a lease from before the start is ever in the queue.
        Status::Processing { .. } => record.is_queued,
        Status::Compensating { .. } => record.is_queued && record.due == queued_at,
        _ => false,
    }
}

pub(super) fn is_begun(record: &Record) -> bool {
    record.started_at != NEVER
}

pub(super) fn place(record: &Record) -> Place {
    Place {
        process: record.process,
        step: record.step,
        is_undo: is_undoing(record),
    }
}

pub(super) fn class(record: &Record) -> Class {
    Class {
        priority: record.priority,
        is_begun: is_begun(record),
    }
}
