//! Moving an order: its status, its event, its row in the commit and the counters, all together.
//!
//! The only place in the shard where a record's status changes. Whether it should is decided
//! elsewhere.

use super::Shard;
use super::book::{IS_NEW, Slot};
use crate::clock::Timestamp;
use crate::faults::{self, Bug};
use crate::order::{Beside, Changed, Detail, Event, EventKind, OrderState, Status, Transition};

/// A move, and what goes with it.
pub(super) struct Move {
    pub(super) transition: Transition,
    /// Why, for people.
    pub(super) reason: Option<Box<str>>,
    /// Who asked for it.
    pub(super) by: Option<Box<str>>,
    /// The step and attempt the order is at afterwards, if that changes.
    pub(super) next: Option<(u8, u16)>,
    /// What goes with its event.
    pub(super) detail: Option<Detail>,
}

impl Move {
    pub(super) fn to(transition: Transition) -> Self {
        Self {
            transition,
            reason: None,
            by: None,
            next: None,
            detail: None,
        }
    }
}

/// An entry of the history that leaves the status as it is.
pub(super) struct Remark {
    pub(super) kind: EventKind,
    /// The step that it is about, if it is about one.
    pub(super) step: Option<u8>,
    /// The attempt and the lease that it is about; zeros if it is about none.
    pub(super) attempt: u16,
    pub(super) lease: i64,
    pub(super) reason: Option<Box<str>>,
    pub(super) by: Option<Box<str>>,
    pub(super) detail: Option<Detail>,
}

impl Remark {
    pub(super) fn of(kind: EventKind) -> Self {
        Self {
            kind,
            step: None,
            attempt: 0,
            lease: 0,
            reason: None,
            by: None,
            detail: None,
        }
    }
}

/// What becomes of the reason that is stored with an order.
enum Reason {
    Kept,
    Set(Option<Box<str>>),
}

impl Shard {
    /// Makes a move that the caller knows to be legal. An illegal one changes nothing and is
    /// reported: it would be a mistake in this program.
    pub(super) fn make(&mut self, slot: Slot, it: Move, now: Timestamp) {
        let before = self.book.at(slot).status.get();
        let status = match before.apply(it.transition) {
            Ok(status) => status,
            Err(error) => {
                debug_assert!(false, "{error}");
                tracing::error!(seq = self.book.at(slot).seq.0, %error, "refused an illegal move");
                return;
            }
        };
        self.note(slot, &it, (before, status), now);
        let record = self.book.at_mut(slot);
        record.status = status.into();
        record.version += 1;
        if matches!(it.transition, Transition::Start { .. }) && record.started_at().is_none() {
            record.started_at = now;
        }
        if let Some((step, attempt)) = it.next {
            (record.step, record.attempt) = (step, attempt);
        }
        let seq = record.seq;
        self.write(slot, Reason::Set(it.reason), now);
        if !status.is_open() {
            // Whatever held it back, nothing does any more.
            if self.holds.remove(&seq).is_some() {
                self.write_beside(slot);
            }
            self.close(slot);
        }
    }

    /// Notes something that stands beside the status, after it was changed.
    pub(super) fn remark(&mut self, slot: Slot, it: Remark, now: Timestamp) {
        self.note_remark(slot, it, now);
        self.write(slot, Reason::Kept, now);
        self.write_beside(slot);
    }

    /// The event of a remark, and the version after it.
    pub(super) fn note_remark(&mut self, slot: Slot, it: Remark, now: Timestamp) -> u32 {
        let record = self.book.at_mut(slot);
        record.version += 1;
        let steps = &self.processes.at(record.process).steps;
        self.commit.events.push(Event {
            seq: record.seq,
            version: record.version,
            kind: it.kind,
            status: record.status.get().kind(),
            at: now,
            previous: record.position,
            step: it.step.map(|step| steps[usize::from(step)].name.clone()),
            attempt: it.attempt,
            lease: it.lease,
            reason: it.reason,
            by: it.by,
            detail: it.detail,
        });
        record.version
    }

    /// The event and the counters of a move that is about to be made.
    fn note(&mut self, slot: Slot, it: &Move, (before, after): (Status, Status), now: Timestamp) {
        let record = self.book.at(slot);
        let lease = match (before, after) {
            (Status::Processing { lease }, _) | (_, Status::Processing { lease }) => lease,
            (Status::Compensating { .. }, _) => self.undo_lease(record.seq),
            _ => 0,
        };
        let is_start = matches!(after, Status::Processing { .. });
        let is_of_attempt = lease != 0 || matches!(before, Status::Waiting { .. });
        let attempt = it
            .next
            .filter(|_| is_start)
            .map_or(record.attempt, |(_, attempt)| attempt);
        let step = self.processes.at(record.process).steps[usize::from(record.step)]
            .name
            .clone();
        let kind = EventKind::from(it.transition);
        let event = Event {
            seq: record.seq,
            version: record.version + 1,
            kind,
            status: after.kind(),
            at: now,
            previous: record.position,
            step: is_of_attempt.then_some(step),
            attempt: if is_of_attempt { attempt } else { 0 },
            lease,
            reason: it.reason.clone(),
            by: it.by.clone(),
            detail: it.detail,
        };
        if kind != EventKind::Retried || !faults::is_planted(Bug::JournalMissesRetry) {
            self.commit.events.push(event);
        }
        let name = self.processes.name_of(record.process);
        let counters = &mut self.commit.tallies[usize::from(name.0)];
        counters.tally.count(before.kind(), record.priority, -1);
        if kind != EventKind::Dead || !faults::is_planted(Bug::CounterMissesDead) {
            counters.tally.count(after.kind(), record.priority, 1);
        }
        if let Status::Completed { ended_at } = after {
            counters.complete(record.created_at, record.started_at, ended_at);
        }
    }

    /// Whether an order that is in the store has changed in the commit that is being built.
    pub(super) fn is_in_commit(&self, slot: Slot) -> bool {
        let record = self.book.at(slot);
        record.position == self.commit.position && record.change != IS_NEW
    }

    /// Puts the latest state of an order into the commit.
    fn write(&mut self, slot: Slot, reason: Reason, now: Timestamp) {
        let position = self.commit.position;
        let is_in_commit = self.is_in_commit(slot);
        let record = self.book.at_mut(slot);
        record.position = position;
        let (keeps_reason, reason) = match reason {
            Reason::Kept => (true, None),
            Reason::Set(reason) => (false, reason),
        };
        let state = OrderState {
            status: record.status.get(),
            version: record.version,
            step: self.processes.at(record.process).steps[usize::from(record.step)]
                .name
                .clone(),
            attempt: record.attempt,
            started_at: record.started_at(),
            updated_at: now,
            reason,
            position,
        };
        if !is_in_commit {
            // A commit has far fewer than 2^32 changes: see `CHANGES_MAX`.
            record.change = self.commit.changed.len() as u32;
            self.commit.changed.push(Changed {
                keeps_reason,
                ..Changed::to(record.seq, state)
            });
            return;
        }
        let changed = &mut self.commit.changed[record.change as usize];
        let before = std::mem::replace(&mut changed.state, state);
        if keeps_reason {
            changed.state.reason = before.reason;
        } else {
            changed.keeps_reason = false;
        }
    }

    /// Puts the state of an order, which is in the commit, there once more: something of it was
    /// changed since.
    pub(super) fn rewrite(&mut self, slot: Slot, now: Timestamp) {
        self.write(slot, Reason::Kept, now);
    }

    /// Puts what stands beside the state of an order, which is in the commit, there too.
    pub(super) fn write_beside(&mut self, slot: Slot) {
        let record = self.book.at(slot);
        let hold = self.holds.get(&record.seq).map(|hold| (**hold).clone());
        let changed = &mut self.commit.changed[record.change as usize];
        let (priority, marks) = (record.priority, self.marks.get(&record.seq));
        changed.beside = Some(Box::new(Beside {
            priority,
            hold,
            marks: marks.copied().unwrap_or_default(),
        }));
    }
}
