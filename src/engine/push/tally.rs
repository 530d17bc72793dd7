//! How often calls of a step ended in which way.
//!
//! Counters only, shared by tasks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::order::{Outcome, Verdict};

/// The ways in which calls end, as metrics call them.
pub const ENDS: [&str; 7] = [
    "done",
    "later",
    "retried",
    "rejected",
    "failed",
    "unknown",
    "not_counted",
];

#[derive(Default)]
pub(super) struct Calls([AtomicU64; ENDS.len()]);

impl Calls {
    pub(super) fn count(&self, verdict: &Verdict) {
        let at = match verdict {
            Verdict::Ended(Outcome::Complete { .. }) => 0,
            Verdict::Later | Verdict::Beat | Verdict::Check => 1,
            Verdict::Ended(Outcome::Retry { .. } | Outcome::Lost) => 2,
            Verdict::Ended(Outcome::Reject { .. }) => 3,
            Verdict::Ended(Outcome::Fail { .. }) => 4,
            Verdict::Ended(Outcome::Unknown { .. }) => 5,
            Verdict::HandBack { .. } => 6,
        };
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }

    /// In the order of [`ENDS`].
    pub(super) fn all(&self) -> [u64; ENDS.len()] {
        std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }
}
