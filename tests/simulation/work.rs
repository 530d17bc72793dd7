//! Workers: what they have under a lease, what they say of it, and what must be true of both.
//!
//! Work that is done says its own fence, so that what is stored tells whose word counted.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use orderd::engine::{ChangeAnswer, Lease, SubmitError};
use orderd::order::{Action, Change, Outcome, Refusal, Report, Verdict};
use orderd::shard::{Effect, Leased};
use rand::RngExt;
use rand::rngs::StdRng;

use super::plan::LEASE_US;
use super::proof::Broken;
use super::stored::Stored;

/// Somebody asks for work.
pub type Asking = Pin<Box<dyn Future<Output = Result<Lease, SubmitError>>>>;

/// Somebody has said something, and waits for the answer.
pub struct Saying {
    /// Of which lease.
    pub at: usize,
    pub verdict: Verdict,
    pub answer: Pin<Box<dyn Future<Output = Result<Vec<ChangeAnswer>, SubmitError>>>>,
}

/// A lease, from when it is given until for ever: what is said under an old one must not count.
pub struct Held {
    pub leased: Leased,
    /// When it is over unless it is beaten, on the monotonic clock.
    until: i64,
    /// Its worker said how the work ended, or gave it back.
    pub is_said: bool,
    /// Its worker has vanished.
    pub is_gone: bool,
    /// How often it was said that the work is done.
    completions: usize,
    /// Somebody was told that this does not count.
    is_refused: bool,
}

/// All workers of a run.
#[derive(Default)]
pub struct Workers {
    pub held: Vec<Held>,
    pub asking: Vec<Asking>,
    pub saying: Vec<Saying>,
    fences: BTreeSet<(i64, i64)>,
}

/// What a worker says about work that is done under this fence.
pub fn output((epoch, lease): (i64, i64)) -> String {
    format!("[{epoch},{lease}]")
}

fn fence(held: &Held) -> (i64, i64) {
    (held.leased.fence.epoch, held.leased.fence.lease)
}

impl Workers {
    /// A worker has got a lease. `now` is the moment of the turn that gave it, on the monotonic
    /// clock.
    pub fn take(&mut self, leased: Leased, now: i64) -> Result<(), Broken> {
        let new = leased.fence;
        if !self.fences.insert((new.epoch, new.lease)) {
            return Err(format!("(6) a fence was given twice: {leased:?}"));
        }
        let has_it = |held: &&Held| {
            let old = held.leased.fence;
            let is_same = (old.epoch, old.seq) == (new.epoch, new.seq);
            is_same && !held.is_said && now < held.until
        };
        if let Some(held) = self.held.iter().find(has_it) {
            let (old, until) = (&held.leased, held.until);
            return Err(format!(
                "(6) two workers have an order at {now}: {old:?} until {until}, {leased:?}"
            ));
        }
        self.held.push(Held {
            leased,
            until: now + LEASE_US,
            is_said: false,
            is_gone: false,
            completions: 0,
            is_refused: false,
        });
        Ok(())
    }

    /// What is asked of the engine when a worker says this.
    pub fn say(&mut self, at: usize, verdict: &Verdict) -> Change {
        let held = &mut self.held[at];
        held.is_said |= *verdict != Verdict::Beat;
        held.completions += usize::from(is_done(verdict));
        let report = Report {
            verdict: verdict.clone(),
            ..held.leased.hand_back()
        };
        Change {
            seq: report.fence.seq,
            versions: None,
            action: Action::Report(Box::new(report)),
        }
    }

    /// A random thing to say under a lease.
    pub fn verdict(&self, at: usize, random: &mut StdRng) -> Verdict {
        let reason = || "because".into();
        match random.random_range(0..16) {
            0..6 => self.done(at),
            6..12 => Verdict::Beat,
            12..13 => Verdict::HandBack { reason: None },
            13..14 => Verdict::Ended(Outcome::Retry {
                reason: reason(),
                retry_after_us: random.random_ratio(1, 2).then_some(3_000_000),
            }),
            14..15 => Verdict::Ended(Outcome::Fail { reason: reason() }),
            _ => Verdict::Ended(Outcome::Reject { reason: reason() }),
        }
    }

    /// That the work under a lease is done.
    pub fn done(&self, at: usize) -> Verdict {
        Verdict::Ended(Outcome::Complete {
            output: Some(output(fence(&self.held[at])).into()),
        })
    }

    /// A worker hears what became of what it said. Answers with what happened.
    pub fn hear(
        &mut self,
        at: usize,
        verdict: &Verdict,
        answer: Result<ChangeAnswer, SubmitError>,
        (data, now): (&Stored, i64),
    ) -> Result<&'static str, Broken> {
        let is_stored = is_stored(&self.held[at], data);
        let held = &mut self.held[at];
        match answer {
            Ok(Ok(Effect::Extended { .. })) => {
                held.until = now + LEASE_US;
                Ok("lease beaten")
            }
            Ok(Ok(_)) if is_done(verdict) && !is_stored => {
                let leased = &held.leased;
                Err(format!(
                    "(1) told that this is done, and it is not: {leased:?}"
                ))
            }
            Ok(Ok(_)) => Ok("word taken"),
            Ok(Err(Refusal::StaleFence | Refusal::NotOpen)) => {
                held.is_refused |= is_done(verdict);
                Ok("word too late")
            }
            Ok(Err(other)) => Err(format!("(6) a worker was told {other:?}")),
            Err(SubmitError::OutcomeUnknown) => Ok("word unknown"),
            Err(_) => {
                held.is_refused |= is_done(verdict);
                Ok("word refused")
            }
        }
    }

    /// The server is gone: nobody is answered any more.
    pub fn lose(&mut self) {
        self.asking.clear();
        self.saying.clear();
    }

    /// What was refused the only time that it was said does not count.
    pub fn prove(&self, data: &Stored) -> Result<(), Broken> {
        let counts = |it: &&Held| it.is_refused && it.completions == 1 && is_stored(it, data);
        match self.held.iter().find(counts) {
            Some(held) => Err(format!("(7) refused, but it counts: {:?}", held.leased)),
            None => Ok(()),
        }
    }
}

fn is_done(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Ended(Outcome::Complete { .. }))
}

/// Whether what a lease's worker said of its work when it was done is stored.
fn is_stored(held: &Held, data: &Stored) -> bool {
    let said = output(fence(held));
    let order = data.orders.get(&held.leased.fence.seq);
    order.is_some_and(|order| order.outputs.iter().any(|it| *it.output == *said))
}
