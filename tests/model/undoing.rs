//! Undoing, written down a second time: what an order that turns back has to undo, in which order,
//! and what becomes of attempts to undo.

use orderd::clock::Timestamp;
use orderd::order::{
    Detail, Event, EventKind, Marks, Outcome, Signature, Status, StatusKind, Step, Target,
};

use super::finish::{FOR_GOOD, longest_wait_us};
use super::model::{Difference, Entry, Model, Place};

impl Entry {
    pub fn marks(&self) -> Marks {
        Marks {
            signalled: self.signalled.iter().copied().collect(),
            begun: self.begun.iter().copied().collect(),
            undoing: self.undoing,
        }
    }

    pub fn is_undoing(&self) -> bool {
        self.status.kind() == StatusKind::Compensating
    }
}

impl Model {
    /// What is done with an order now: its step, or how that is undone.
    pub fn task(&self, entry: &Entry) -> &Step {
        let step = &self.processes[entry.process].steps[entry.step];
        match &step.undo {
            Some(undo) if entry.is_undoing() => undo,
            _ => step,
        }
    }

    /// The step of an order may have had an effect.
    pub fn note_begun(&mut self, at: usize) {
        let entry = &self.orders[at];
        let step = &self.processes[entry.process].steps[entry.step];
        if step.undo.is_some() {
            let step = entry.step as u8;
            self.orders[at].begun.insert(step);
        }
    }

    /// An order is refused or stopped.
    pub fn turn_back(&mut self, at: usize, target: Target, signature: &Signature, now: Timestamp) {
        match self.orders[at].begun.last().copied() {
            None => {
                let (kind, status) = end(target, now);
                self.apply(at, kind, status, now);
                self.orders[at].place = Place::Nothing;
            }
            Some(step) => {
                if let Place::Turn(since) = self.orders[at].place {
                    self.lose_lease(at, since, now);
                }
                self.orders[at].undoing = Some(target);
                self.undo_from(at, target, step.into(), now);
            }
        }
        self.orders[at].reason.clone_from(&signature.reason);
        if let Some(event) = self.events.last_mut() {
            event.reason.clone_from(&signature.reason);
            event.by.clone_from(&signature.by);
        }
    }

    /// Its steps are undone from this one on.
    pub fn undo_from(&mut self, at: usize, target: Target, step: usize, now: Timestamp) {
        let status = Status::Compensating { target };
        self.apply(at, EventKind::Compensating, status, now);
        let entry = &mut self.orders[at];
        (entry.step, entry.attempt) = (step, 0);
        (entry.undo_due, entry.undo_lease) = (now, 0);
        entry.place = Place::Commit;
    }

    /// An attempt to undo begins.
    pub fn undo_started(&mut self, at: usize, now: Timestamp) {
        self.orders[at].attempt += 1;
        self.orders[at].undo_lease = self.last_lease;
        self.note(at, EventKind::UndoStarted, now);
    }

    /// Something happens to the attempt to undo that runs.
    fn note(&mut self, at: usize, kind: EventKind, now: Timestamp) {
        let entry = &self.orders[at];
        let name = self.processes[entry.process].steps[entry.step].name.clone();
        let (attempt, lease) = (entry.attempt, entry.undo_lease);
        self.remark(at, kind, now);
        if let Some(event) = self.events.last_mut() {
            event.step = Some(name);
            (event.attempt, event.lease) = (attempt, lease);
        }
    }

    /// The attempt to undo that runs has ended like this, as the shard says with `changed`.
    pub fn undo_ended(
        &mut self,
        at: usize,
        outcome: &Outcome,
        (ready_at, now): (Timestamp, Timestamp),
    ) -> Result<(), Difference> {
        let retry = self.task(&self.orders[at]).retry;
        let attempt = self.orders[at].attempt;
        let is_exhausted = attempt >= retry.attempts_max;
        let (reason, (least, most)) = match outcome {
            Outcome::Complete { .. } => {
                self.undone(at, now);
                return Ok(());
            }
            Outcome::Retry {
                reason,
                retry_after_us: Some(wish),
            } => (reason.clone(), (*wish, wish + retry.base_us)),
            Outcome::Retry { reason, .. } | Outcome::Unknown { reason } => {
                (reason.clone(), (0, longest_wait_us(&retry, attempt)))
            }
            Outcome::Lost => (super::work::LOST.into(), (0, 0)),
            Outcome::Reject { reason } | Outcome::Fail { reason } => {
                self.give_up_undoing(at, reason, now);
                return Ok(());
            }
        };
        if is_exhausted {
            self.give_up_undoing(at, &reason, now);
            return Ok(());
        }
        let wait = ready_at.micros_since(now);
        if !(least..=most).contains(&wait) {
            return Err(format!("undone again after {wait} us under {retry:?}"));
        }
        self.undo_again(at, &reason, ready_at, now);
        Ok(())
    }

    fn undo_again(&mut self, at: usize, reason: &str, ready_at: Timestamp, now: Timestamp) {
        self.note(at, EventKind::UndoRetried, now);
        if let Some(event) = self.events.last_mut() {
            event.reason = Some(reason.into());
            event.detail = (ready_at > now).then_some(Detail::Until(ready_at));
        }
        let entry = &mut self.orders[at];
        (entry.undo_due, entry.undo_lease) = (ready_at, 0);
        entry.place = Place::Commit;
    }

    /// A worker gives it back.
    pub fn undo_handed_back(&mut self, at: usize, reason: Option<&str>, now: Timestamp) {
        let reason = reason.unwrap_or("the worker gave it back");
        self.undo_again(at, reason, now, now);
        self.orders[at].attempt -= 1;
    }

    fn undone(&mut self, at: usize, now: Timestamp) {
        self.note(at, EventKind::Undone, now);
        let entry = &mut self.orders[at];
        entry.begun.remove(&(entry.step as u8));
        (entry.undo_due, entry.undo_lease) = (now, 0);
        if let Some(step) = entry.begun.last() {
            (entry.step, entry.attempt) = (usize::from(*step), 0);
            entry.place = Place::Commit;
        } else if let Some(target) = entry.undoing.take() {
            let reason = entry.reason.clone();
            let (kind, status) = end(target, now);
            self.apply(at, kind, status, now);
            self.orders[at].reason.clone_from(&reason);
            self.orders[at].place = Place::Nothing;
            if let Some(event) = self.events.last_mut() {
                event.reason = reason;
            }
        }
    }

    fn give_up_undoing(&mut self, at: usize, reason: &str, now: Timestamp) {
        self.apply(at, EventKind::Dead, Status::Dead { since: now }, now);
        self.orders[at].undo_lease = 0;
        self.orders[at].place = Place::Nothing;
        self.say_why(at, reason);
    }

    /// The event of a simulated attempt to undo that has ended.
    pub fn undo_finished(&mut self, at: usize, event: &Event) -> Result<(), Difference> {
        let until = match event.detail {
            Some(Detail::Until(until)) => until,
            _ => event.at,
        };
        let (work, _, _) = self.work(at);
        let is_failure = event.kind != EventKind::Undone;
        let is_worker = self.lease_end(at).is_some();
        let ppm = work.failures_ppm;
        if !is_worker && ((is_failure && ppm == 0) || (!is_failure && ppm >= 1_000_000)) {
            return Err(format!("{event:?} of an undoing with {ppm} ppm"));
        }
        let outcome = match event.kind {
            EventKind::Undone if is_worker => return Err(format!("{event:?} of a worker")),
            EventKind::Undone => Outcome::Complete { output: None },
            _ if is_worker => {
                self.lost += 1;
                Outcome::Lost
            }
            EventKind::Dead if event.reason.as_deref() == Some(FOR_GOOD) => Outcome::Fail {
                reason: FOR_GOOD.into(),
            },
            EventKind::UndoRetried | EventKind::Dead => Outcome::Retry {
                reason: "simulated failure".into(),
                retry_after_us: work.retry_after_us,
            },
            _ => return Err(format!("{event:?} of an attempt to undo")),
        };
        let before = self.events.len();
        self.undo_ended(at, &outcome, (until, event.at))?;
        match self.events.get(before) {
            Some(expected) if expected == event => Ok(()),
            expected => Err(format!("expected {expected:?}\n     got {event:?}")),
        }
    }
}

/// The event and the status in which an order ends that turned back.
fn end(target: Target, ended_at: Timestamp) -> (EventKind, Status) {
    match target {
        Target::Cancelled => (EventKind::Cancelled, Status::Cancelled { ended_at }),
        Target::Rejected => (EventKind::Rejected, Status::Rejected { ended_at }),
        Target::Expired => (EventKind::Expired, Status::Expired { ended_at }),
    }
}
