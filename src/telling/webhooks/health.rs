//! How a receiver is doing, and how long to leave it alone. Pure: time and chance are arguments.
//!
//! Failures of deliveries that were under way together count as one.

use std::time::{Duration, Instant};

/// So many failures in a row mean that the receiver is away, and not that one event is not taken.
const AWAY_FAILURES: u32 = 5;
/// How long a receiver that asks for patience is left alone at most.
const ASKED_MAX: Duration = Duration::from_secs(3_600);

#[derive(Debug, Default)]
pub(super) struct Health {
    /// Failures in a row; 0: it is well.
    failures: u32,
    failed_at: Option<Instant>,
    /// It is left alone until then.
    open_at: Option<Instant>,
}

/// The wait after so many failures in a row, with a quarter of chance (`0.0..1.0`).
pub(super) fn wait(failures: u32, base: Duration, cap: Duration, chance: f64) -> Duration {
    let doubled = base.saturating_mul(1 << failures.saturating_sub(1).min(24));
    doubled
        .min(cap)
        .mul_f64(0.75 + chance.clamp(0.0, 1.0) / 4.0)
}

impl Health {
    pub(super) fn is_well(&self) -> bool {
        self.failures == 0
    }

    /// Until when it is left alone.
    pub(super) fn open_at(&self) -> Option<Instant> {
        self.open_at
    }

    /// A delivery went through. Whether the receiver was away before.
    pub(super) fn succeeded(&mut self) -> bool {
        let before = std::mem::take(self);
        before.failures >= AWAY_FAILURES
    }

    /// A delivery that began at `began` failed just now. `wait` says how long to wait after so many
    /// failures; the receiver may have asked for more patience.
    pub(super) fn failed(
        &mut self,
        (began, now): (Instant, Instant),
        asked: Option<Duration>,
        wait: impl FnOnce(u32) -> Duration,
    ) {
        let is_same = self.failed_at.is_some_and(|before| began < before);
        if !is_same {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(now);
            let asked = asked.unwrap_or_default().min(ASKED_MAX);
            self.open_at = Some(now + wait(self.failures).max(asked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_cap() {
        let cap = Duration::from_secs(600);
        let full = |failures| wait(failures, SECOND, cap, 1.0).as_secs();
        let waits: Vec<u64> = (1..=12).map(full).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(full(u32::MAX), 600);
        assert_eq!(wait(1, SECOND, cap, 0.0), SECOND.mul_f64(0.75));
    }

    #[test]
    fn failures_under_way_together_are_one() {
        let start = crate::clock::monotonic();
        let after = |seconds: u32| start + SECOND * seconds;
        let mut health = Health::default();
        for _ in 0..16 {
            health.failed((after(0), after(5)), None, |failures| SECOND * failures);
        }
        assert_eq!(health.open_at(), Some(after(6)));
        health.failed((after(6), after(7)), None, |failures| SECOND * failures);
        assert_eq!(health.open_at(), Some(after(9)));
        let asked = Some(Duration::from_secs(100_000));
        health.failed((after(9), after(10)), asked, |failures| SECOND * failures);
        assert_eq!(health.open_at(), Some(after(3_610)));
        assert!(!health.is_well());
        assert!(!health.succeeded());
        assert!(health.is_well());
        for second in 0..AWAY_FAILURES {
            let times = (after(20 + 2 * second), after(21 + 2 * second));
            health.failed(times, None, |failures| SECOND * failures);
        }
        assert!(health.succeeded());
    }
}
