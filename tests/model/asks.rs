//! What people ask of accepted orders: drawn at random, and what the model makes of it.
//!
//! Decided once more in the plainest way; where an order waits is all that a hold changes.

use orderd::clock::Timestamp;
use orderd::order::{
    Action, Change, Detail, Event, EventKind, Hold, NewHold, Past, PastEnd, Priority, Refusal, Seq,
    Signal, Signature, Status, StatusKind, Target,
};
use orderd::shard::Effect;
use proptest::prelude::*;

use super::model::{Entry, Model, Place};

/// Something to ask of some order; times are relative to the moment.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which order, counted round among all that were ever accepted.
    pub which: usize,
    pub action: Asked,
    /// How far the expected version is off; `None`: none is expected.
    pub version_off: Option<u32>,
    pub is_signed: bool,
}

#[derive(Clone, Debug)]
pub enum Asked {
    Cancel,
    Hold(Option<i64>),
    Release,
    Retry,
    Prioritize(usize),
    /// That the step with this place in its process need wait no longer.
    Signal(usize),
}

pub fn ask() -> impl Strategy<Value = Ask> {
    let until = prop::option::of(-1_000_000..20_000_000_i64);
    let action = prop_oneof![
        1 => Just(Asked::Cancel),
        3 => until.prop_map(Asked::Hold),
        2 => Just(Asked::Release),
        2 => Just(Asked::Retry),
        2 => (0..3_usize).prop_map(Asked::Prioritize),
        3 => (0..3_usize).prop_map(Asked::Signal),
    ];
    let version_off = prop_oneof![6 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(1))];
    (
        any::<prop::sample::Index>(),
        action,
        version_off,
        any::<bool>(),
    )
        .prop_map(|(which, action, version_off, is_signed)| Ask {
            which: which.index(usize::MAX),
            action,
            version_off,
            is_signed,
        })
}

impl Ask {
    /// The same as the shard is asked.
    pub fn change(&self, seq: Seq, version: u32, now: Timestamp) -> Change {
        let by = self.is_signed.then(|| Box::from("ada"));
        let signature = Signature {
            reason: self.is_signed.then(|| Box::from("because")),
            by: by.clone(),
        };
        let action = match self.action {
            Asked::Cancel => Action::Cancel(signature),
            Asked::Hold(in_us) => Action::Hold(NewHold {
                reason: "wait".into(),
                by,
                until: in_us.map(|us| now.plus(us)),
            }),
            Asked::Release => Action::Release(signature),
            Asked::Retry => Action::Retry(signature),
            Asked::Prioritize(at) => Action::Prioritize(Priority::ALL[at], signature),
            Asked::Signal(at) => Action::Signal(Box::new(Signal {
                name: format!("step-{at}").into(),
                output: format!("[{at}]").into(),
            })),
        };
        let versions = self.version_off.map(|off| [0, version + off].into());
        Change {
            seq,
            versions,
            action,
        }
    }
}

impl Model {
    /// What the shard must answer, and what is so afterwards.
    pub fn ask(&mut self, change: &Change, now: Timestamp) -> Result<Effect, Refusal> {
        let known = self.orders.iter().position(|it| it.seq == change.seq);
        let at = known.filter(|at| self.orders[*at].is_stored && self.orders[*at].is_present());
        let at = at.ok_or(Refusal::NotOpen)?;
        let version = self.orders[at].version;
        if let Some(versions) = &change.versions
            && !versions.contains(&version)
        {
            return Err(Refusal::OtherVersion { version });
        }
        match &change.action {
            Action::Cancel(signature) => {
                if let Some(effect) = self.cancel(at, signature, now)? {
                    return Ok(effect);
                }
            }
            Action::Hold(hold) => self.hold(at, hold, now),
            Action::Release(_) if self.orders[at].hold.is_none() => return Ok(Effect::Nothing),
            Action::Release(signature) => {
                self.release(at, now);
                self.sign(signature);
            }
            Action::Retry(signature) => {
                let status = self.orders[at].status.kind();
                if status != StatusKind::Dead {
                    return Err(Refusal::NotDead { status });
                }
                if let Some(target) = self.orders[at].undoing {
                    self.undo_from(at, target, self.orders[at].step, now);
                } else {
                    let status = Status::Pending { ready_at: now };
                    self.apply(at, EventKind::Replayed, status, now);
                    self.orders[at].attempt = u16::from(self.has_effect(at));
                    self.orders[at].place = Place::Commit;
                }
                self.orders[at].reason.clone_from(&signature.reason);
                self.sign(signature);
            }
            Action::Signal(signal) => {
                if let Some(effect) = self.signal(at, signal, now)? {
                    return Ok(effect);
                }
            }
            // Said in a place of its own.
            Action::Report(_) => return Err(Refusal::StaleFence),
            Action::Prioritize(priority, _) if self.orders[at].priority == *priority => {
                return Ok(Effect::Nothing);
            }
            Action::Prioritize(priority, signature) => {
                if let Place::Turn(since) = self.orders[at].place {
                    self.lose_lease(at, since, now);
                    self.orders[at].place = Place::Commit;
                }
                self.orders[at].priority = *priority;
                self.remark(at, EventKind::PriorityChanged, now);
                self.sign(signature);
                if let Some(event) = self.events.last_mut() {
                    event.detail = Some(Detail::Priority(*priority));
                }
            }
        }
        let version = self.orders[at].version;
        Ok(Effect::Made { version })
    }

    fn cancel(
        &mut self,
        at: usize,
        signature: &Signature,
        now: Timestamp,
    ) -> Result<Option<Effect>, Refusal> {
        match self.orders[at].undoing {
            Some(Target::Cancelled) => return Ok(Some(Effect::Nothing)),
            Some(target) => {
                let target = target.kind();
                return Err(Refusal::Undoing { target });
            }
            None => {}
        }
        if matches!(self.orders[at].status, Status::Processing { .. }) {
            self.note_begun(at);
        }
        self.turn_back(at, Target::Cancelled, signature, now);
        Ok(None)
    }

    /// An order comes in that was finished elsewhere, with its whole history.
    pub fn import(&mut self, mut entry: Entry, past: &Past) {
        entry.created_at = past.created_at;
        entry.place = Place::Nothing;
        self.submit(entry, None, past.created_at);
        let at = self.orders.len() - 1;
        if let Some(started_at) = past.started_at {
            self.last_lease += 1;
            let lease = self.last_lease;
            let process = self.orders[at].process;
            self.orders[at].step = self.processes[process].steps.len() - 1;
            self.orders[at].attempt = 1;
            self.orders[at].started_at = Some(started_at);
            self.apply(
                at,
                EventKind::Started,
                Status::Processing { lease },
                started_at,
            );
        }
        let ended_at = past.ended_at;
        let (kind, status) = match past.end {
            PastEnd::Completed => (EventKind::Completed, Status::Completed { ended_at }),
            PastEnd::Cancelled => (EventKind::Cancelled, Status::Cancelled { ended_at }),
        };
        self.apply(at, kind, status, ended_at);
        self.orders[at].reason.clone_from(&past.reason);
        if let Some(event) = self.events.last_mut() {
            event.reason.clone_from(&past.reason);
        }
    }

    fn sign(&mut self, signature: &Signature) {
        if let Some(event) = self.events.last_mut() {
            event.reason.clone_from(&signature.reason);
            event.by.clone_from(&signature.by);
        }
    }

    pub fn hold(&mut self, at: usize, hold: &NewHold, now: Timestamp) {
        let NewHold { reason, by, until } = hold.clone();
        self.orders[at].hold = Some(Hold {
            reason: reason.clone(),
            by: by.clone(),
            since: now,
            until,
        });
        if let Place::Turn(since) = self.orders[at].place
            && !self.orders[at].is_undoing()
        {
            self.lose_lease(at, since, now);
            self.orders[at].place = Place::Held;
        }
        self.remark(at, EventKind::Held, now);
        if let Some(event) = self.events.last_mut() {
            (event.reason, event.by) = (Some(reason), by);
            event.detail = until.map(Detail::Until);
        }
    }

    /// The hold of an order is over; it waits for its turn once that is true.
    pub fn release(&mut self, at: usize, now: Timestamp) {
        self.orders[at].hold = None;
        self.remark(at, EventKind::Released, now);
        if matches!(self.orders[at].status, Status::Pending { .. }) {
            self.orders[at].place = Place::Commit;
        }
    }

    /// A lease from before the restart is given up, if the order has one.
    pub fn lose_lease(&mut self, at: usize, since: Timestamp, now: Timestamp) {
        if matches!(self.orders[at].status, Status::Processing { .. }) {
            self.note_begun(at);
            let status = Status::Pending { ready_at: since };
            self.apply(at, EventKind::Requeued, status, now);
            if !self.has_effect(at) {
                self.orders[at].attempt -= 1;
            }
        }
    }

    /// Notes something that leaves the status as it is.
    pub fn remark(&mut self, at: usize, kind: EventKind, now: Timestamp) {
        let position = self.position.next();
        let entry = &mut self.orders[at];
        entry.version += 1;
        self.events.push(Event {
            seq: entry.seq,
            version: entry.version,
            kind,
            status: entry.status.kind(),
            at: now,
            previous: entry.position,
            step: None,
            attempt: 0,
            lease: 0,
            reason: None,
            by: None,
            detail: None,
        });
        entry.updated_at = now;
        entry.position = position;
    }
}
