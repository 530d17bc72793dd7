//! Workers: what they lease and what they say, drawn at random, and what the model makes of it.
//!
//! Where chance decides how long a failed attempt waits, the model reads what the shard drew.

use orderd::clock::Timestamp;
use orderd::order::{
    Action, Change, Changed, Detail, Event, EventKind, Fence, Outcome, Output, QueueIndex, Refusal,
    Report, Seq, Signature, Status, StepKind, StepOutput, Target, Verdict,
};
use orderd::shard::Effect;
use proptest::prelude::*;

use super::finish::longest_wait_us;
use super::model::{Difference, Entry, Model, Place};
use super::sequence::{Pair, same};

/// The queues that steps may name.
pub const QUEUES: [&str; 2] = ["queue-a", "queue-b"];

/// Why the shard says that an attempt failed of which it heard nothing.
pub const LOST: &str = "nothing was heard of the worker in the time of its lease";

/// Something that a worker says of some order.
#[derive(Clone, Debug)]
pub struct Say {
    /// Which order, counted round among all that were ever accepted.
    pub which: usize,
    pub verdict: Verdict,
    /// By how much its lease is older than the current one.
    pub lease_off: i64,
    /// By how much its epoch is.
    pub epoch_off: i64,
    /// It says so to the other queue.
    pub is_elsewhere: bool,
}

pub fn say() -> impl Strategy<Value = Say> {
    let retry_after_us = prop::option::of(0..9_000_000_i64);
    let ended = |outcome| Verdict::Ended(outcome);
    let reason = || Box::from("no");
    let verdict = prop_oneof![
        3 => prop::option::of(Just(r#"{"a":1}"#)).prop_map(move |output| {
            ended(Outcome::Complete { output: output.map(Box::from) })
        }),
        2 => retry_after_us.prop_map(move |retry_after_us| {
            ended(Outcome::Retry { reason: reason(), retry_after_us })
        }),
        1 => Just(()).prop_map(move |()| ended(Outcome::Fail { reason: reason() })),
        1 => Just(()).prop_map(move |()| ended(Outcome::Reject { reason: reason() })),
        3 => Just(Verdict::Beat),
        2 => prop::option::of(Just("no")).prop_map(|reason| Verdict::HandBack {
            reason: reason.map(Box::from),
        }),
        2 => Just(Verdict::Later),
        1 => Just(Verdict::Check),
        2 => Just(()).prop_map(move |()| ended(Outcome::Unknown { reason: reason() })),
    ];
    let off = prop_oneof![4 => Just(0), 1 => -1..3_i64];
    (
        any::<prop::sample::Index>(),
        verdict,
        (off.clone(), off),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(which, verdict, (lease_off, epoch_off), is_elsewhere)| Say {
                which: which.index(usize::MAX),
                verdict,
                lease_off,
                epoch_off,
                is_elsewhere,
            },
        )
}

impl Pair<'_> {
    fn queue(&self, name: &str) -> Option<QueueIndex> {
        self.registry.queues().find(name)
    }

    /// A worker asks for orders.
    pub fn lease(&mut self, name: &str, max: usize) -> Result<(), Difference> {
        let Some(queue) = self.queue(name) else {
            return Ok(());
        };
        let is_any = self.model.next_to_start(Some(name)).is_some();
        // Whoever ended while it waited may still stand there.
        if is_any {
            same("can lease", true, self.shard.can_lease(queue))?;
        }
        let before = self.shard.commit().events.len();
        let leased = self.shard.lease(queue, max, None, self.now);
        let commit = self.shard.commit();
        let mut events = &commit.events[before..];
        for leased in &leased {
            let seq = self.model.next_to_start(Some(name));
            let seq = seq.ok_or_else(|| format!("nobody waits: {leased:?}"))?;
            let used = self
                .model
                .start(seq, self.now.at, events, &commit.changed)?;
            events = &events[used..];
            let entry = &self.model.orders[self.model.at(seq)];
            same("fence", self.model.fence(entry), Some(leased.fence))?;
            same("leased", self.model.state(entry), leased.state.clone())?;
            let Place::Time(due, _) = entry.place else {
                return Err(format!("{entry:?} has no lease"));
            };
            let until = self.now.wall.plus(due.micros_since(self.model.ticks()));
            same("until", until, leased.until)?;
        }
        let more = self.model.next_to_start(Some(name)).is_some();
        same("leased all", false, more && leased.len() < max)?;
        self.starts += leased.len() as u64;
        self.count("leased", leased.len());
        Ok(())
    }

    /// A worker says something.
    pub fn say(&mut self, say: &Say) -> Result<(), Difference> {
        let count = self.model.orders.len();
        let Some(entry) = self.model.orders.get(say.which % count.max(1)) else {
            return Ok(());
        };
        let own = self.model.queue(entry);
        let at = QUEUES.iter().position(|name| Some(*name) == own);
        let name = QUEUES[(at.unwrap_or_default() + usize::from(say.is_elsewhere)) % 2];
        let (Some(queue), seq) = (self.queue(name), entry.seq) else {
            return Ok(());
        };
        let lease = match entry.status {
            Status::Processing { lease } => lease,
            _ => self.model.last_lease,
        };
        let report = Report {
            fence: Fence {
                epoch: self.model.epoch - say.epoch_off,
                lease: lease - say.lease_off,
                seq,
            },
            queue,
            verdict: say.verdict.clone(),
        };
        self.report(seq, name, report)
    }

    fn report(&mut self, seq: Seq, name: &str, report: Report) -> Result<(), Difference> {
        let change = Change {
            seq,
            versions: None,
            action: Action::Report(Box::new(report.clone())),
        };
        let answer = self.shard.change(change, self.now);
        let last = self.shard.commit().events.last();
        self.model.until = match last.and_then(|event| event.detail) {
            Some(Detail::Until(until)) => Some(until),
            _ => None,
        };
        let changed = &self.shard.commit().changed;
        let expected = self
            .model
            .said((seq, name), &report, self.now.at, changed)?;
        if expected.is_ok() {
            self.count(
                match report.verdict {
                    Verdict::Beat => "beaten",
                    Verdict::HandBack { .. } => "handed back",
                    Verdict::Later => "taken over",
                    Verdict::Check => "checked",
                    Verdict::Ended(Outcome::Complete { .. }) => "completed by a worker",
                    Verdict::Ended(Outcome::Fail { .. }) => "failed for good by a worker",
                    Verdict::Ended(Outcome::Reject { .. }) => "rejected by a worker",
                    Verdict::Ended(Outcome::Unknown { .. }) => "not known",
                    Verdict::Ended(_) => "failed by a worker",
                },
                1,
            );
        }
        same("answer", expected, answer)
    }

    /// Workers complete all that they have.
    pub fn complete_all(&mut self) -> Result<(), Difference> {
        for at in 0..self.model.orders.len() {
            let entry = &self.model.orders[at];
            let fence = self.model.fence(entry);
            let name = self.model.queue(entry).map(str::to_owned);
            let (Some(fence), Some(name)) = (fence, name) else {
                continue;
            };
            let Some(queue) = self.queue(&name) else {
                continue;
            };
            let verdict = Verdict::Ended(Outcome::Complete { output: None });
            let report = Report {
                fence,
                queue,
                verdict,
            };
            self.report(fence.seq, &name, report)?;
        }
        let lost = self.model.lost;
        self.count("lost by a worker", lost);
        self.model.lost = 0;
        Ok(())
    }
}

impl Model {
    /// The queue in which an order waits at its step.
    pub fn queue<'a>(&'a self, entry: &Entry) -> Option<&'a str> {
        match &self.task(entry).kind {
            StepKind::Pull(pull) => Some(&pull.queue),
            StepKind::Push(push) => Some(&push.queue),
            _ => None,
        }
    }

    /// When a lease is over that is given now, if the order is at such a step.
    pub fn lease_end(&self, at: usize) -> Option<Timestamp> {
        match &self.task(&self.orders[at]).kind {
            StepKind::Pull(pull) => Some(self.ticks().plus(pull.lease_us)),
            // Two answers, and five minutes to tell of them.
            StepKind::Push(push) => Some(self.ticks().plus(2 * push.timeout_us + 300_000_000)),
            _ => None,
        }
    }

    /// When a lease is over that is extended now.
    fn beat_end(&self, at: usize) -> Option<Timestamp> {
        match &self.task(&self.orders[at]).kind {
            StepKind::Push(push) => Some(self.ticks().plus(push.callback_us)),
            _ => self.lease_end(at),
        }
    }

    /// Whether somebody is called for a step.
    fn is_pushed(&self, at: usize) -> bool {
        matches!(self.task(&self.orders[at]).kind, StepKind::Push(_))
    }

    /// Whether an attempt must not be made twice.
    pub fn has_effect(&self, at: usize) -> bool {
        let entry = &self.orders[at];
        let kind = &self.processes[entry.process].steps[entry.step].kind;
        matches!(kind, StepKind::Push(push) if push.lookup.is_some())
    }

    /// The fence of the worker that has an order.
    pub fn fence(&self, entry: &Entry) -> Option<Fence> {
        let is_leased = matches!(entry.place, Place::Time(..)) && self.queue(entry).is_some();
        match entry.status {
            Status::Processing { lease } if is_leased => Some(Fence {
                epoch: self.epoch,
                lease,
                seq: entry.seq,
            }),
            Status::Compensating { .. } if is_leased && entry.undo_lease > 0 => Some(Fence {
                epoch: self.epoch,
                lease: entry.undo_lease,
                seq: entry.seq,
            }),
            _ => None,
        }
    }

    /// What the shard must answer to a worker, and what is so afterwards.
    fn said(
        &mut self,
        (seq, queue): (Seq, &str),
        report: &Report,
        now: Timestamp,
        changed: &[Changed],
    ) -> Result<Result<Effect, Refusal>, Difference> {
        let at = self.at(seq);
        if !self.orders[at].is_stored || !self.orders[at].is_present() {
            return Ok(Err(Refusal::NotOpen));
        }
        let entry = &self.orders[at];
        let is_own = self.queue(entry) == Some(queue);
        if !is_own || self.fence(entry) != Some(report.fence) {
            // Only what somebody did is written.
            if matches!(report.verdict, Verdict::Ended(_) | Verdict::HandBack { .. }) {
                self.came_late(at, report.fence, now);
            }
            return Ok(Err(Refusal::StaleFence));
        }
        match &report.verdict {
            Verdict::Beat | Verdict::Later => {
                self.orders[at].is_away |= report.verdict == Verdict::Later;
                let due = self.beat_end(at).unwrap_or_default();
                self.orders[at].place = Place::Time(due, due);
                let until = self.now.wall.plus(due.micros_since(self.ticks()));
                return Ok(Ok(Effect::Extended { until }));
            }
            Verdict::Check => return Ok(Ok(Effect::Nothing)),
            Verdict::HandBack { reason } if self.orders[at].is_undoing() => {
                self.undo_handed_back(at, reason.as_deref(), now);
            }
            Verdict::HandBack { reason } => {
                if self.is_pushed(at) {
                    self.note_begun(at);
                }
                let status = Status::Pending { ready_at: now };
                self.apply(at, EventKind::Requeued, status, now);
                self.orders[at].attempt -= 1;
                self.orders[at].place = Place::Commit;
                if let Some(reason) = reason {
                    self.say_why(at, reason);
                }
            }
            Verdict::Ended(outcome) => self.ended(at, outcome, now, changed)?,
        }
        let version = self.orders[at].version;
        Ok(Ok(Effect::Made { version }))
    }

    fn came_late(&mut self, at: usize, fence: Fence, now: Timestamp) {
        let lease = (fence.epoch, fence.lease);
        let was_given = lease <= (self.epoch, self.last_lease);
        let current = match (self.orders[at].status, self.orders[at].place) {
            (Status::Processing { lease }, Place::Time(..)) => (self.epoch, lease),
            (Status::Compensating { .. }, _) if self.orders[at].undo_lease > 0 => {
                (self.epoch, self.orders[at].undo_lease)
            }
            _ => (0, 0),
        };
        let is_over = current != lease;
        if was_given && is_over && lease > self.orders[at].late {
            self.orders[at].late = lease;
            self.remark(at, EventKind::CameLate, now);
            if let Some(event) = self.events.last_mut() {
                event.reason = Some(format!("lease {}-{} is over", lease.0, lease.1).into());
            }
        }
    }

    fn ended(
        &mut self,
        at: usize,
        outcome: &Outcome,
        now: Timestamp,
        changed: &[Changed],
    ) -> Result<(), Difference> {
        if self.orders[at].is_undoing() {
            let until = self.until.unwrap_or(now);
            return self.undo_ended(at, outcome, (until, now));
        }
        let (_, retry, is_last) = self.work(at);
        let is_exhausted = self.orders[at].attempt >= retry.attempts_max;
        let is_end = is_last && matches!(outcome, Outcome::Complete { .. });
        if !is_end && !matches!(outcome, Outcome::Reject { .. }) {
            self.note_begun(at);
        }
        match outcome {
            Outcome::Complete { output } => {
                self.note_output(at, output.clone());
                if is_last {
                    let status = Status::Completed { ended_at: now };
                    self.apply(at, EventKind::Completed, status, now);
                    self.orders[at].place = Place::Nothing;
                } else {
                    let status = Status::Pending { ready_at: now };
                    self.apply(at, EventKind::StepCompleted, status, now);
                    let entry = &mut self.orders[at];
                    (entry.step, entry.attempt) = (entry.step + 1, 0);
                    self.orders[at].place = self.place_of_next_step(at, now);
                }
                return Ok(());
            }
            Outcome::Retry { retry_after_us, .. } if !is_exhausted => {
                let attempt = self.orders[at].attempt;
                let range = match retry_after_us {
                    Some(wish) => (*wish, wish + retry.base_us),
                    None => (0, longest_wait_us(&retry, attempt)),
                };
                self.wait_again(at, range, changed, now)?;
                if retry_after_us.is_some()
                    && let Status::Pending { ready_at } = self.orders[at].status
                    && let Some(event) = self.events.last_mut()
                {
                    event.detail = Some(Detail::Until(ready_at));
                }
            }
            Outcome::Unknown { .. } if self.orders[at].attempt < retry.attempts_max + 10 => {
                let range = (0, longest_wait_us(&retry, self.orders[at].attempt));
                self.wait_again(at, range, changed, now)?;
            }
            Outcome::Reject { reason } => {
                let reason = Some(reason.clone());
                let signature = Signature { reason, by: None };
                self.turn_back(at, Target::Rejected, &signature, now);
                return Ok(());
            }
            _ => {
                self.apply(at, EventKind::Dead, Status::Dead { since: now }, now);
                self.orders[at].place = Place::Nothing;
            }
        }
        self.say_why(at, "no");
        Ok(())
    }

    /// It is tried again after a random time between these two.
    pub fn wait_again(
        &mut self,
        at: usize,
        (least, most): (i64, i64),
        changed: &[Changed],
        now: Timestamp,
    ) -> Result<(), Difference> {
        let seq = self.orders[at].seq;
        let state = changed.iter().find(|it| it.seq == seq);
        let status = state.map(|it| it.state.status);
        let Some(Status::Pending { ready_at }) = status else {
            return Err(format!("order {} will be written as {status:?}", seq.0));
        };
        if !(least..=most).contains(&ready_at.micros_since(now)) {
            return Err(format!("order {} waits until {ready_at:?}", seq.0));
        }
        self.apply(at, EventKind::Retried, Status::Pending { ready_at }, now);
        self.orders[at].place = Place::Commit;
        Ok(())
    }

    /// Nothing was heard of a worker.
    pub fn lost(
        &mut self,
        at: usize,
        event: &Event,
        changed: &[Changed],
    ) -> Result<(), Difference> {
        let now = event.at;
        let (_, retry, _) = self.work(at);
        self.note_begun(at);
        let attempt = self.orders[at].attempt;
        if self.has_effect(at) && attempt < retry.attempts_max + 10 {
            self.wait_again(at, (0, longest_wait_us(&retry, attempt)), changed, now)?;
        } else if self.orders[at].attempt >= retry.attempts_max {
            self.apply(at, EventKind::Dead, Status::Dead { since: now }, now);
            self.orders[at].place = Place::Nothing;
        } else {
            let status = Status::Pending { ready_at: now };
            self.apply(at, EventKind::Retried, status, now);
            self.orders[at].place = Place::Commit;
        }
        self.say_why(at, LOST);
        self.lost += 1;
        self.expect(event)
    }

    pub fn say_why(&mut self, at: usize, reason: &str) {
        self.orders[at].reason = Some(reason.into());
        if let Some(event) = self.events.last_mut() {
            event.reason = Some(reason.into());
        }
    }

    fn note_output(&mut self, at: usize, output: Option<Box<str>>) {
        let entry = &self.orders[at];
        let step = &self.processes[entry.process].steps[entry.step].name;
        self.outputs.extend(output.map(|output| Output {
            seq: entry.seq,
            number: entry.step as u8,
            output: StepOutput {
                step: step.clone(),
                output,
            },
        }));
    }
}
