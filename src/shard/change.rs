//! What people ask of an accepted order, decided: cancel, hold, release, try again, prioritize.
//!
//! Whoever comes first wins: an order that has ended is not open any more, and an attempt that
//! still runs when its order is cancelled finds nobody to report to.

use super::Shard;
use super::book::{IS_NEW, Slot};
use super::decide::{class, place};
use super::timers::TimerKind;
use super::transition::{Move, Remark};
use super::undo::is_undoing;
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{
    Action, Change, Detail, EventKind, Hold, NewHold, OpenOrder, Priority, Refusal, Seq, Signature,
    Status, Target, Transition,
};

/// What became of a change that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is in the commit that is being built.
    Made {
        /// The order's version after it.
        version: u32,
    },
    /// The lease counts until then, on the wall clock.
    Extended {
        /// When it is over unless it is extended again.
        until: Timestamp,
    },
    /// There was nothing to do: the order is as it should be.
    Nothing,
}

impl Shard {
    /// Makes a change that somebody asks for, or says why not. It becomes true with the next
    /// commit.
    ///
    /// An order that is not in the store yet counts as not open.
    pub fn change(&mut self, change: Change, now: Now) -> Result<Effect, Refusal> {
        let now = self.set_now(now);
        let slot = match self.open_slot(change.seq) {
            Some(slot) => slot,
            None if faults::is_planted(Bug::CancelAfterTheEnd) => return Ok(Effect::Nothing),
            None => return Err(Refusal::NotOpen),
        };
        let version = self.book.at(slot).version;
        let versions = change.versions.as_deref();
        let is_other = versions.is_some_and(|wanted| !wanted.contains(&version));
        if is_other && !faults::is_planted(Bug::VersionNotChecked) {
            return Err(Refusal::OtherVersion { version });
        }
        self.commit.at = now;
        match change.action {
            Action::Cancel(signature) => self.cancel(slot, signature, now),
            Action::Hold(hold) => Ok(self.hold(slot, hold, now)),
            Action::Release(_) if !self.holds.contains_key(&change.seq) => Ok(Effect::Nothing),
            Action::Release(signature) => Ok(self.release(slot, signature, now)),
            Action::Retry(signature) => self.retry(slot, signature, now),
            Action::Prioritize(priority, signature) => {
                Ok(self.prioritize(slot, priority, signature, now))
            }
            Action::Report(report) => self.report(slot, *report, now),
            Action::Signal(signal) => self.signal(slot, *signal, now),
        }
    }

    /// Whether the order is open, and in memory.
    pub fn has(&self, seq: Seq) -> bool {
        self.open_slot(seq).is_some()
    }

    /// The record of an open order that is in the store.
    fn open_slot(&self, seq: Seq) -> Option<Slot> {
        let slot = self.book.find(seq)?;
        let record = self.book.at(slot);
        let is_stored = record.change != IS_NEW || record.position != self.commit.position;
        is_stored.then_some(slot)
    }

    /// What was just decided.
    pub(super) fn made(&self) -> Effect {
        let last = self.commit.events.last();
        last.map_or(Effect::Nothing, |event| Effect::Made {
            version: event.version,
        })
    }

    fn cancel(
        &mut self,
        slot: Slot,
        signature: Signature,
        now: Timestamp,
    ) -> Result<Effect, Refusal> {
        let record = *self.book.at(slot);
        match record.status.get() {
            Status::Compensating {
                target: Target::Cancelled,
            } => return Ok(Effect::Nothing),
            Status::Compensating { target } => {
                let target = target.kind();
                return Err(Refusal::Undoing { target });
            }
            // It is on its way there, and waits for a person.
            Status::Dead { .. } => match self.marks_of(record.seq).undoing {
                Some(Target::Cancelled) => return Ok(Effect::Nothing),
                Some(target) => {
                    let target = target.kind();
                    return Err(Refusal::Undoing { target });
                }
                None => {}
            },
            // Its attempt may go on; what it answers finds no order, or none that waits for it.
            Status::Processing { .. } => {
                self.note_begun(slot);
                if !record.is_queued {
                    self.leave(&record);
                }
            }
            _ => {}
        }
        self.turn_back(slot, Target::Cancelled, signature, now);
        Ok(self.made())
    }

    /// Lets a dead order try its step again, or try again to undo it. It waits for its turn once
    /// that is durable.
    fn retry(
        &mut self,
        slot: Slot,
        signature: Signature,
        now: Timestamp,
    ) -> Result<Effect, Refusal> {
        let record = *self.book.at(slot);
        if !matches!(record.status.get(), Status::Dead { .. }) {
            let status = record.status.get().kind();
            return Err(Refusal::NotDead { status });
        }
        let retry = Move {
            reason: signature.reason,
            by: signature.by,
            next: Some((record.step, 0)),
            ..Move::to(Transition::Replay { ready_at: now })
        };
        if let Some(target) = self.marks_of(record.seq).undoing {
            let transition = Transition::Undo { target };
            self.undo(
                slot,
                Move {
                    transition,
                    ..retry
                },
                now,
            );
            return Ok(self.made());
        }
        // What may have had its effect is never done as if for the first time.
        let next = Some((record.step, u16::from(self.has_effect(&record))));
        self.make(slot, Move { next, ..retry }, now);
        self.fresh.push((slot, record.seq));
        Ok(self.made())
    }

    /// Gives an order another priority. It keeps the time since which it has been ready; in the
    /// queue it stands at its other place once that is durable.
    fn prioritize(
        &mut self,
        slot: Slot,
        priority: Priority,
        signature: Signature,
        now: Timestamp,
    ) -> Effect {
        let before = *self.book.at(slot);
        if before.priority == priority {
            return Effect::Nothing;
        }
        if before.is_queued {
            self.unqueue(slot, now);
            self.fresh.push((slot, before.seq));
        }
        let record = self.book.at_mut(slot);
        record.priority = priority;
        let kind = record.status.get().kind();
        let name = self.processes.name_of(before.process);
        let tally = &mut self.commit.tallies[usize::from(name.0)].tally;
        tally.count(kind, before.priority, -1);
        tally.count(kind, priority, 1);
        let remark = Remark {
            reason: signature.reason,
            by: signature.by,
            detail: Some(Detail::Priority(priority)),
            ..Remark::of(EventKind::PriorityChanged)
        };
        self.remark(slot, remark, now);
        self.made()
    }

    /// Holds an order back, whatever it is doing: an attempt that runs is finished.
    fn hold(&mut self, slot: Slot, hold: NewHold, now: Timestamp) -> Effect {
        let seq = self.book.at(slot).seq;
        let hold = hold.since(now);
        let remark = held(&hold);
        if let Some(until) = hold.until {
            self.schedules.set(until, seq, TimerKind::Release);
        }
        self.holds.insert(seq, Box::new(hold));
        // It keeps no step from being undone.
        if !is_undoing(self.book.at(slot)) {
            self.unqueue(slot, now);
        }
        self.remark(slot, remark, now);
        self.made()
    }

    /// Holds an order back that is new in the commit. Answers with its version then.
    ///
    /// The end of the hold is watched once the order is durable.
    pub(super) fn hold_new(&mut self, slot: Slot, hold: Box<Hold>, now: Timestamp) -> u32 {
        let remark = held(&hold);
        let seq = self.book.at(slot).seq;
        self.holds.insert(seq, hold);
        self.note_remark(slot, remark, now)
    }

    /// Takes back the hold of an order from before the start. One whose lease was lost leaves it:
    /// nobody works on it, and that may be so for long.
    pub(super) fn recover_hold(&mut self, slot: Slot, order: &OpenOrder, now: Timestamp) {
        let Some(hold) = order.hold.clone() else {
            return;
        };
        if let Some(until) = hold.until {
            self.schedules.set(until, order.seq, TimerKind::Release);
        }
        self.holds.insert(order.seq, hold);
        self.commit.at = now;
        self.requeue_lost(slot, order.state.updated_at, now);
    }

    /// Takes an order out of the queue. One whose lease was lost leaves it as pending: nobody works
    /// on it, and that may now be so for long.
    pub(super) fn unqueue(&mut self, slot: Slot, now: Timestamp) {
        let record = *self.book.at(slot);
        if !record.is_queued {
            return;
        }
        let queued_at = match record.status.get() {
            Status::Pending { ready_at } => ready_at,
            _ => record.due,
        };
        let (place, class) = (place(&record), class(&record));
        self.ready.withdraw(place, class, queued_at, record.seq);
        self.book.at_mut(slot).is_queued = false;
        self.requeue_lost(slot, queued_at, now);
    }

    /// Ends the hold of an order that has one.
    fn release(&mut self, slot: Slot, signature: Signature, now: Timestamp) -> Effect {
        let record = *self.book.at(slot);
        self.holds.remove(&record.seq);
        let remark = Remark {
            reason: signature.reason,
            by: signature.by,
            ..Remark::of(EventKind::Released)
        };
        self.remark(slot, remark, now);
        // An attempt that runs, and a time that was set, send their order on by themselves.
        if matches!(record.status.get(), Status::Pending { .. }) {
            self.fresh.push((slot, record.seq));
        }
        self.made()
    }

    /// A hold is over at the time that was set, if it is still the same one.
    pub(super) fn hold_is_over(&mut self, slot: Slot, due: Timestamp, now: Timestamp) {
        let seq = self.book.at(slot).seq;
        let hold = self.holds.get(&seq);
        if hold.is_some_and(|hold| hold.until == Some(due)) {
            self.release(slot, Signature::default(), now);
        }
    }
}

fn held(hold: &Hold) -> Remark {
    Remark {
        reason: Some(hold.reason.clone()),
        by: hold.by.clone(),
        detail: hold.until.map(Detail::Until),
        ..Remark::of(EventKind::Held)
    }
}
