//! Steps: one piece of work each, of a kind, with its limits and its retries.
//!
//! What a kind needs to be known; who does the work is decided elsewhere.

use std::sync::Arc;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{Outcome, Priority, Push, RetryPolicy, Rules};

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the process; the same form as a process name.
    pub name: Arc<str>,
    /// What happens.
    pub kind: StepKind,
    /// Most attempts of this step that run at once, from 1.
    #[serde(skip, default = "unlimited")]
    pub concurrency: u32,
    /// What happens after a failed attempt.
    #[serde(skip)]
    pub retry: RetryPolicy,
    /// How what it did is undone if the order is refused or stopped later: an attempt like any
    /// other, with limits and retries of its own. `None`: there is nothing to undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Box<Step>>,
}

impl Step {
    /// A step of this kind without limits, with the usual retries, and with nothing to undo.
    pub fn new(name: &str, kind: StepKind) -> Self {
        Self {
            name: name.into(),
            kind,
            concurrency: u32::MAX,
            retry: RetryPolicy::default(),
            undo: None,
        }
    }

    /// What it does and, if there is that, how it is undone.
    pub fn works(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.undo.as_deref())
    }
}

/// The limit of what has none.
pub(super) fn unlimited() -> u32 {
    u32::MAX
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Takes some time and may fail: stands in for real work.
    Simulate(Simulate),
    /// Holds the order against limits and labels it: decided in the shard, at once.
    Rules(Rules),
    /// Waits in a queue for a worker that leases it.
    Pull(Pull),
    /// Waits in a queue of its own until it is sent to an address.
    Push(Push),
    /// Waits for an event from outside, which a signal with the name of the step brings.
    Wait(Wait),
}

impl StepKind {
    /// What the step is, without where it is done.
    pub(super) fn defines_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Push(own), Self::Push(other)) => own.has_effect() == other.has_effect(),
            _ => self == other,
        }
    }
}

/// Work that a worker leases from a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Name of the queue; the same form as a process name. Steps may share it.
    pub queue: Arc<str>,
    /// How long a worker may be silent before the work is given to another one, in microseconds,
    /// from 1.
    pub lease_us: i64,
}

/// An event that somebody outside will tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// How long it is waited for, in microseconds of the wall clock, from 1.
    pub timeout_us: i64,
    /// What happens if it has not come by then.
    pub then: TimeUp,
}

/// What becomes of an order whose signal did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUp {
    /// The attempt has failed: it waits again by the policy of the step.
    Retry,
    /// It is refused.
    Reject,
    /// It is dead, for a person.
    Dead,
    /// It goes on with the next step, without an output of this one.
    Continue,
}

impl TimeUp {
    /// All of them, each with the word that settings have for it.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Retry, "retry"),
        (Self::Reject, "reject"),
        (Self::Dead, "dead"),
        (Self::Continue, "continue"),
    ];

    /// The word that settings have for it.
    pub fn word(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(it, _)| *it == self);
        known.map_or("", |(_, word)| word)
    }

    /// How the attempt ends.
    pub fn outcome(self) -> Outcome {
        let reason = "no signal came in time".into();
        match self {
            Self::Retry => Outcome::Retry {
                reason,
                retry_after_us: None,
            },
            Self::Reject => Outcome::Reject { reason },
            Self::Dead => Outcome::Fail { reason },
            Self::Continue => Outcome::Complete { output: None },
        }
    }
}

/// Simulated work. It is a timer in the shard: no task and no thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulate {
    /// Shortest time an attempt takes, in microseconds, from 0.
    pub shortest_us: i64,
    /// Longest time, in microseconds, not below the shortest.
    pub longest_us: i64,
    /// Whether these times count for priority 1, and are doubled and trebled for 2 and 3.
    #[serde(default)]
    pub is_per_priority: bool,
    /// How many attempts of a million fail, 0 to 1,000,000.
    pub failures_ppm: u32,
    /// How many failures of a million are for good, 0 to 1,000,000: the order is dead at once.
    #[serde(default)]
    pub permanent_ppm: u32,
    /// After other failures, not to be tried again for so many microseconds.
    #[serde(default)]
    pub retry_after_us: Option<i64>,
}

impl Simulate {
    /// How long the next attempt takes: uniform from shortest to longest, in microseconds.
    pub fn duration_us(&self, priority: Priority, random: &mut impl Rng) -> i64 {
        let times = if self.is_per_priority {
            i64::from(priority.number())
        } else {
            1
        };
        let once_us = if self.longest_us <= self.shortest_us {
            self.shortest_us
        } else {
            random.random_range(self.shortest_us..=self.longest_us)
        };
        once_us.saturating_mul(times)
    }

    /// How the attempt ends.
    pub fn outcome(&self, random: &mut impl Rng) -> Outcome {
        let mut is_one_of = |ppm: u32| ppm > 0 && random.random_range(0..1_000_000) < ppm;
        if !is_one_of(self.failures_ppm) {
            Outcome::Complete { output: None }
        } else if is_one_of(self.permanent_ppm) {
            Outcome::Fail {
                reason: "simulated failure for good".into(),
            }
        } else {
            Outcome::Retry {
                reason: "simulated failure".into(),
                retry_after_us: self.retry_after_us,
            }
        }
    }
}
