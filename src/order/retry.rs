//! When a failed attempt is tried again, and when it is given up.
//!
//! A pure function of the policy, the attempt and a random number: no clock, no state.

use rand::{Rng, RngExt};

/// Longest wait that a step may wish for, in microseconds: a day. A wish is no way to hold an
/// order.
const RETRY_AFTER_MAX_US: i64 = 24 * 3_600 * 1_000_000;

/// How often is asked what became of an attempt, beyond the attempts that a step may have.
pub const QUESTIONS_MAX: u16 = 10;

/// How a step's failed attempts are retried: exponential back-off with full jitter, then `dead`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts before the order is dead, 1 to 1,000. 1 means: no retry.
    pub attempts_max: u16,
    /// Longest wait after the first failure, in microseconds.
    pub base_us: i64,
    /// Longest wait ever, in microseconds.
    pub cap_us: i64,
}

impl Default for RetryPolicy {
    /// 10 attempts, 1 s doubling up to 10 min.
    fn default() -> Self {
        Self {
            attempts_max: 10,
            base_us: 1_000_000,
            cap_us: 600_000_000,
        }
    }
}

impl RetryPolicy {
    /// Whether attempt number `attempt`, counted from 1, was the last one.
    pub fn is_exhausted(&self, attempt: u16) -> bool {
        attempt >= self.attempts_max
    }

    /// Whether nobody is asked any more what became of an attempt.
    pub fn is_past_asking(&self, attempt: u16) -> bool {
        attempt >= self.attempts_max.saturating_add(QUESTIONS_MAX)
    }

    /// Time to wait before the next attempt: uniform in `0 ..= min(cap, base * 2^(attempt-1))`.
    ///
    /// `attempt` counts from 1; the result is in microseconds and never above `cap_us`. Saturates.
    /// Source: "full jitter", M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog,
    /// 2015.
    pub fn wait_us(&self, attempt: u16, random: &mut impl Rng) -> i64 {
        random.random_range(0..=self.longest_wait_us(attempt))
    }

    /// Time to wait if the step wished not to be tried for `wish_us`: that, and up to `base_us`
    /// more, so that those who wish for the same do not come back at once.
    ///
    /// Takes the place of the back-off, be it longer or shorter. In microseconds. Saturates.
    pub fn wished_wait_us(&self, wish_us: i64, random: &mut impl Rng) -> i64 {
        let wished_us = wish_us.clamp(0, RETRY_AFTER_MAX_US);
        wished_us.saturating_add(random.random_range(0..=self.base_us.max(0)))
    }

    /// The upper end of `wait_us`, in microseconds.
    pub fn longest_wait_us(&self, attempt: u16) -> i64 {
        let doublings = u32::from(attempt.saturating_sub(1)).min(62);
        self.base_us
            .saturating_mul(1_i64 << doublings)
            .clamp(0, self.cap_us.max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let bounds: Vec<_> = [1, 2, 3, 10, 11, 1_000]
            .map(|attempt| policy.longest_wait_us(attempt) / 1_000_000)
            .into_iter()
            .collect();
        assert_eq!(bounds, [1, 2, 4, 512, 600, 600]);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_bounds(attempt: u16, base: u32, cap: u32, seed: u64) {
            let policy = RetryPolicy {
                attempts_max: 3,
                base_us: base.into(),
                cap_us: cap.into(),
            };
            let wait = policy.wait_us(attempt, &mut StdRng::seed_from_u64(seed));
            prop_assert!((0..=policy.cap_us).contains(&wait));
        }

        #[test]
        fn a_wish_is_never_answered_early(wish: i64, base: u32, seed: u64) {
            let policy = RetryPolicy { base_us: base.into(), ..RetryPolicy::default() };
            let wait = policy.wished_wait_us(wish, &mut StdRng::seed_from_u64(seed));
            let least = wish.clamp(0, 86_400_000_000);
            prop_assert!((least..=least + policy.base_us).contains(&wait));
        }
    }
}
