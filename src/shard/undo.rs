//! Undoing: before an order that is refused or stopped ends, what its steps may have done is
//! undone, from the last one to the first.
//!
//! An attempt to undo is one like any other: it waits for its turn, has a lease, is retried by a
//! policy of its own, and leaves the order dead when it gives up. Nothing here does the work.

use super::Shard;
use super::book::{Record, Slot};
use super::transition::{Move, Remark};
use crate::clock::Timestamp;
use crate::faults::{self, Bug};
use crate::order::{
    Detail, EventKind, Marks, Outcome, Seq, Signature, Status, StatusKind, Target, Transition,
};

/// How far the undoing of a step is. A restart forgets it and begins the attempt anew.
#[derive(Clone, Copy, Debug)]
pub(super) enum Undoing {
    /// It waits for its turn since then, or until then.
    Due(Timestamp),
    /// An attempt runs under this lease.
    Running(i64),
}

/// Whether the steps of an order are being undone.
pub(super) fn is_undoing(record: &Record) -> bool {
    record.status.get().kind() == StatusKind::Compensating
}

impl Shard {
    pub(super) fn marks_of(&self, seq: Seq) -> Marks {
        self.marks.get(&seq).copied().unwrap_or_default()
    }

    /// The lease of the attempt to undo that runs; 0 if none does.
    pub(super) fn undo_lease(&self, seq: Seq) -> i64 {
        match self.undoing.get(&seq) {
            Some(Undoing::Running(lease)) => *lease,
            _ => 0,
        }
    }

    /// Notes that the step at which an order is may have had an effect, if that can be undone.
    /// `true`: it is to be written down.
    pub(super) fn note_begun(&mut self, slot: Slot) -> bool {
        let record = *self.book.at(slot);
        let step = &self.processes.at(record.process).steps[usize::from(record.step)];
        if step.undo.is_none() || faults::is_planted(Bug::EffectForgotten) {
            return false;
        }
        let marks = self.marks.entry(record.seq).or_default();
        let is_new = !marks.begun.has(record.step);
        marks.begun.add(record.step);
        is_new
    }

    /// Ends an order that is refused or stopped: at once if there is nothing to undo, and otherwise
    /// when everything is undone.
    pub(super) fn turn_back(
        &mut self,
        slot: Slot,
        target: Target,
        signature: Signature,
        now: Timestamp,
    ) {
        let seq = self.book.at(slot).seq;
        let end = Move {
            reason: signature.reason,
            by: signature.by,
            ..Move::to(target.reach(now))
        };
        let Some(step) = self.marks_of(seq).begun.last() else {
            return self.make(slot, end, now);
        };
        self.unqueue(slot, now);
        self.marks.entry(seq).or_default().undoing = Some(target);
        let undo = Move {
            transition: Transition::Undo { target },
            next: Some((step, 0)),
            ..end
        };
        self.undo(slot, undo, now);
    }

    /// Lets the steps of an order be undone from the one that the move leads to.
    pub(super) fn undo(&mut self, slot: Slot, it: Move, now: Timestamp) {
        let seq = self.book.at(slot).seq;
        self.wait_to_undo(slot, now);
        self.remember_why(seq, it.reason.clone());
        self.make(slot, it, now);
        self.write_beside(slot);
        self.fresh.push((slot, seq));
    }

    /// No attempt to undo runs, and the next one waits since or until then. Whatever timer was set
    /// means nothing any more.
    fn wait_to_undo(&mut self, slot: Slot, at: Timestamp) {
        let record = self.book.at_mut(slot);
        record.due = Timestamp::default();
        self.undoing.insert(record.seq, Undoing::Due(at));
    }

    /// The reason for which an order turned back is told when it ends.
    pub(super) fn remember_why(&mut self, seq: Seq, reason: Option<Box<str>>) {
        match reason {
            Some(reason) => drop(self.turned_back.insert(seq, reason)),
            None => drop(self.turned_back.remove(&seq)),
        }
    }

    /// Begins an attempt to undo, for the worker `by` if it is one who does it.
    pub(super) fn begin_undo(&mut self, slot: Slot, by: Option<&str>, now: Timestamp) {
        let record = self.book.at_mut(slot);
        record.attempt = record.attempt.saturating_add(1);
        let seq = record.seq;
        self.undoing.insert(seq, Undoing::Running(self.last_lease));
        let remark = Remark {
            by: by.map(Box::from),
            ..self.of_attempt(slot, EventKind::UndoStarted)
        };
        self.remark(slot, remark, now);
    }

    /// What happened to the attempt to undo that runs.
    fn of_attempt(&self, slot: Slot, kind: EventKind) -> Remark {
        let record = self.book.at(slot);
        Remark {
            step: Some(record.step),
            attempt: record.attempt,
            lease: self.undo_lease(record.seq),
            ..Remark::of(kind)
        }
    }

    /// Takes the outcome of an attempt to undo.
    pub(super) fn conclude_undo(&mut self, slot: Slot, outcome: Outcome, now: Timestamp) {
        let record = *self.book.at(slot);
        let retry = self
            .processes
            .at(record.process)
            .work(record.step, true)
            .retry;
        let is_exhausted = retry.is_exhausted(record.attempt);
        let (reason, wait_us) = match outcome {
            Outcome::Complete { .. } => return self.undone(slot, now),
            Outcome::Retry {
                reason,
                retry_after_us: Some(wish_us),
            } => (reason, retry.wished_wait_us(wish_us, &mut self.random)),
            Outcome::Retry { reason, .. } | Outcome::Unknown { reason } => {
                (reason, retry.wait_us(record.attempt, &mut self.random))
            }
            Outcome::Lost => (super::decide::LOST.into(), 0),
            Outcome::Reject { reason } | Outcome::Fail { reason } => {
                return self.give_up_undoing(slot, reason, now);
            }
        };
        match is_exhausted {
            true => self.give_up_undoing(slot, reason, now),
            false => self.undo_again(slot, reason, now.plus(wait_us), now),
        }
    }

    /// The attempt to undo is made again, not before a time.
    fn undo_again(&mut self, slot: Slot, reason: Box<str>, at: Timestamp, now: Timestamp) {
        let seq = self.book.at(slot).seq;
        let remark = Remark {
            reason: Some(reason),
            detail: (at > now).then_some(Detail::Until(at)),
            ..self.of_attempt(slot, EventKind::UndoRetried)
        };
        self.wait_to_undo(slot, at);
        self.remark(slot, remark, now);
        self.fresh.push((slot, seq));
    }

    /// A worker gives back what it has not undone: the attempt does not count.
    pub(super) fn hand_back_undo(&mut self, slot: Slot, reason: Option<Box<str>>, now: Timestamp) {
        let reason = reason.unwrap_or_else(|| "the worker gave it back".into());
        self.undo_again(slot, reason, now, now);
        let record = self.book.at_mut(slot);
        record.attempt = record.attempt.saturating_sub(1);
        self.rewrite(slot, now);
    }

    /// A step is undone: the one before it is next, or the order ends.
    fn undone(&mut self, slot: Slot, now: Timestamp) {
        let record = *self.book.at(slot);
        let remark = self.of_attempt(slot, EventKind::Undone);
        self.wait_to_undo(slot, now);
        let marks = self.marks.entry(record.seq).or_default();
        marks.begun.remove(record.step);
        let next = marks.begun.last();
        if next.is_none() {
            marks.undoing = None;
        }
        if let Some(step) = next {
            let record = self.book.at_mut(slot);
            (record.step, record.attempt) = (step, 0);
        }
        self.remark(slot, remark, now);
        match (next, record.status.get()) {
            (None, Status::Compensating { target }) => {
                let end = Move {
                    reason: self.turned_back.remove(&record.seq),
                    ..Move::to(target.reach(now))
                };
                self.make(slot, end, now);
            }
            _ => self.fresh.push((slot, record.seq)),
        }
    }

    /// A step cannot be undone: the order is dead, for a person. What it was to be is remembered.
    fn give_up_undoing(&mut self, slot: Slot, reason: Box<str>, now: Timestamp) {
        let seq = self.book.at(slot).seq;
        let give_up = Move {
            reason: Some(reason),
            ..Move::to(Transition::GiveUp { at: now })
        };
        self.make(slot, give_up, now);
        self.undoing.remove(&seq);
        self.turned_back.remove(&seq);
    }
}
