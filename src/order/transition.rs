//! What can happen to an order's status, and the refusal of what cannot.
//!
//! Data only: `Status::apply` in `status` decides which transition is legal where.

use thiserror::Error;

use super::{StatusKind, Target};
use crate::clock::Timestamp;

/// What can happen to an order's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The start time of a scheduled order has come.
    Ready {
        /// From when it waits for its turn.
        ready_at: Timestamp,
    },
    /// A step is leased.
    Start {
        /// Number of the lease.
        lease: i64,
    },
    /// A step is done and the next one is queued.
    Advance {
        /// From when the next step waits for its turn.
        ready_at: Timestamp,
    },
    /// An attempt failed and will be made again.
    Retry {
        /// When the next attempt may start.
        ready_at: Timestamp,
    },
    /// A lease was lost or handed back; no attempt is counted.
    Requeue {
        /// From when it waits for its turn.
        ready_at: Timestamp,
    },
    /// A step waits for an outside event.
    Park {
        /// When waiting is over.
        until: Timestamp,
    },
    /// Attempts are used up.
    GiveUp {
        /// When.
        at: Timestamp,
    },
    /// A person lets a dead order try again.
    Replay {
        /// From when it waits for its turn.
        ready_at: Timestamp,
    },
    /// What was done must be undone first.
    Undo {
        /// What the order will be then.
        target: Target,
    },
    /// The last step is done.
    Complete {
        /// When.
        at: Timestamp,
    },
    /// Somebody stopped it, or everything is undone on the way there.
    Cancel {
        /// When.
        at: Timestamp,
    },
    /// A step refused it for good, or everything is undone on the way there.
    Reject {
        /// When.
        at: Timestamp,
    },
    /// It was not begun in time, or everything is undone on the way there.
    Expire {
        /// When.
        at: Timestamp,
    },
}

/// A transition that the table of arrows does not have. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an order that is {} cannot {transition:?}", from.name())]
pub struct IllegalTransition {
    /// Where the order is and stays.
    pub from: StatusKind,
    /// What was asked.
    pub transition: Transition,
}

impl Transition {
    /// One of each, with `at` for every time: for tests that go through all of them.
    pub fn samples(at: Timestamp) -> Vec<Self> {
        let targets = [Target::Cancelled, Target::Rejected, Target::Expired];
        let mut all = vec![
            Self::Ready { ready_at: at },
            Self::Start { lease: 1 },
            Self::Advance { ready_at: at },
            Self::Retry { ready_at: at },
            Self::Requeue { ready_at: at },
            Self::Park { until: at },
            Self::GiveUp { at },
            Self::Replay { ready_at: at },
            Self::Complete { at },
            Self::Cancel { at },
            Self::Reject { at },
            Self::Expire { at },
        ];
        all.extend(targets.map(|target| Self::Undo { target }));
        all
    }
}
