//! When somebody who found no room should come back: worked out from how many wait for room, and
//! how fast it is made.
//!
//! Pure; docs/errors.md explains it to clients.

/// Longest time after which a refused client is told to come back, in seconds.
pub(super) const SECONDS_MAX: f64 = 60.0;
/// What a client is told before there is anything to measure, in seconds.
const SECONDS_UNKNOWN: f64 = 5.0;
/// By which part a time is lengthened at most, so that clients do not come back in one wave.
const JITTER: f64 = 0.25;
/// Whole seconds, 1 to 60, after which somebody refused finds room if all who were refused before
/// come back as they are told.
///
/// `waiting` orders were refused and have not been made up for; `per_second` leave, `None` as long
/// as that is not known. `chance` is anything from 0 to below 1: it lengthens the time by up to a
/// quarter.
pub(super) fn retry_after(waiting: u64, per_second: Option<f64>, chance: f64) -> u32 {
    let longest = SECONDS_MAX / (1.0 + JITTER);
    let wait = match per_second {
        None => SECONDS_UNKNOWN,
        Some(speed) if speed > 0.0 => waiting as f64 / speed,
        Some(_) => longest,
    };
    (wait.min(longest) * (1.0 + JITTER * chance))
        .ceil()
        .max(1.0) as u32
}

/// A chance for each number: consecutive ones lie far apart and fill the range evenly (Weyl's
/// sequence with the golden ratio; Knuth, TAOCP 3, 6.4).
pub(super) fn chance_of(number: u64) -> f64 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refused_order_comes_back_when_those_before_it_have_found_room() {
        for (waiting, per_second, chance, seconds) in [
            (1, Some(1_000.0), 0.0, 1),
            (1, Some(1_000.0), 0.999, 1),
            (5_000, Some(1_000.0), 0.0, 5),
            (5_001, Some(1_000.0), 0.0, 6),
            (8_000, Some(1_000.0), 0.999, 10),
            (9, Some(0.5), 0.0, 18),
            (1_000_000, Some(1_000.0), 0.0, 48),
            (1_000_000, Some(1_000.0), 0.999, 60),
            (1, Some(0.0), 0.0, 48),
            (0, Some(0.0), 0.999, 60),
            (700, None, 0.0, 5),
            (700, None, 0.999, 7),
        ] {
            let told = retry_after(waiting, per_second, chance);
            assert_eq!(told, seconds, "{waiting} {per_second:?} {chance}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_within_its_bounds_and_grows_with_those_who_wait(
            waiting in 0..u64::MAX / 2,
            more in 0..1_000_000_u64,
            per_second in proptest::option::of(0.0..1e9),
            number: u64,
        ) {
            let chance = chance_of(number);
            prop_assert!((0.0..1.0).contains(&chance));
            let told = retry_after(waiting, per_second, chance);
            prop_assert!((1..=60).contains(&told));
            prop_assert!(retry_after(waiting + more, per_second, chance) >= told);
        }
    }

    #[test]
    fn chances_of_neighbours_fill_the_range() {
        let mut tenths = [0; 10];
        for number in 0..1_000 {
            tenths[(chance_of(number) * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (98..=102).contains(count)),
            "{tenths:?}"
        );
    }
}
