//! How a receiver is doing, and how long to leave it alone. Pure: time and chance are arguments.
//!
//! Failures of deliveries that were under way together count as one.

use std::time::{Duration, Instant};

/// So many failures in a row mean that the receiver is away, and not that one event is not taken.
const AWAY_FAILURES: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct Health {
    /// Failures in a row; 0: it is well.
    failures: u32,
    failed_at: Option<Instant>,
    /// It is left alone until then.
    open_at: Option<Instant>,
}

impl Health {
    pub(super) fn is_well(&self) -> bool {
        self.failures == 0
    }

    /// Until when it is left alone.
    pub(super) fn open_at(&self) -> Option<Instant> {
        self.open_at
    }

    /// A delivery that began at `began` went through. Whether the receiver was away before. It says
    /// nothing about what has failed since it began.
    pub(super) fn succeeded(&mut self, began: Instant) -> bool {
        if self.failed_at.is_some_and(|failed| began < failed) {
            return false;
        }
        let before = std::mem::take(self);
        before.failures >= AWAY_FAILURES
    }

    /// A delivery that began at `began` failed just now. `wait` says how long to wait after so many
    /// failures.
    pub(super) fn failed(
        &mut self,
        (began, now): (Instant, Instant),
        wait: impl FnOnce(u32) -> Duration,
    ) {
        let is_same = self.failed_at.is_some_and(|before| began < before);
        if !is_same {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(now);
            self.open_at = Some(now + wait(self.failures));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_went_through_says_nothing_about_what_failed_meanwhile() {
        let start = crate::clock::monotonic();
        let after = |seconds: u32| start + SECOND * seconds;
        let mut health = Health::default();
        health.failed((after(1), after(2)), |_| SECOND * 60);
        assert!(!health.succeeded(after(1)));
        assert_eq!(
            health.open_at(),
            Some(after(62)),
            "the patience is forgotten"
        );
        assert!(!health.is_well());
        health.succeeded(after(62));
        assert!(health.is_well());
    }

    #[test]
    fn failures_under_way_together_are_one() {
        let start = crate::clock::monotonic();
        let after = |seconds: u32| start + SECOND * seconds;
        let mut health = Health::default();
        for _ in 0..16 {
            health.failed((after(0), after(5)), |failures| SECOND * failures);
        }
        assert_eq!(health.open_at(), Some(after(6)));
        health.failed((after(6), after(7)), |failures| SECOND * failures);
        assert_eq!(health.open_at(), Some(after(9)));
        assert!(!health.is_well());
        assert!(!health.succeeded(after(9)));
        assert!(health.is_well());
        for second in 0..AWAY_FAILURES {
            let times = (after(20 + 2 * second), after(21 + 2 * second));
            health.failed(times, |failures| SECOND * failures);
        }
        assert!(health.succeeded(after(40)));
    }
}
