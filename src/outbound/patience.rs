//! How long somebody is left alone who does not answer.
//!
//! Pure: chance is an argument, and nothing is waited for here.

use std::time::Duration;

/// How long somebody who asks for patience is left alone at most.
const ASKED_MAX: Duration = Duration::from_secs(3_600);

/// The wait after so many failures in a row, from `base` up to `cap`, with a quarter of chance
/// (`0.0..1.0`); longer if somebody has asked for more patience.
pub fn wait(
    failures: u32,
    (base, cap): (Duration, Duration),
    chance: f64,
    asked: Option<Duration>,
) -> Duration {
    let doubled = base.saturating_mul(1 << failures.saturating_sub(1).min(24));
    let own = doubled
        .min(cap)
        .mul_f64(0.75 + chance.clamp(0.0, 1.0) / 4.0);
    own.max(asked.unwrap_or_default().min(ASKED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_cap() {
        let bounds = (SECOND, Duration::from_secs(600));
        let full = |failures| wait(failures, bounds, 1.0, None).as_secs();
        let waits: Vec<u64> = (1..=12).map(full).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(full(u32::MAX), 600);
        assert_eq!(wait(1, bounds, 0.0, None), SECOND.mul_f64(0.75));
        assert_eq!(wait(1, bounds, 0.0, Some(SECOND * 7)), SECOND * 7);
        assert_eq!(wait(12, bounds, 1.0, Some(SECOND)), bounds.1);
        assert_eq!(wait(1, bounds, 1.0, Some(SECOND * 100_000)), ASKED_MAX);
    }
}
