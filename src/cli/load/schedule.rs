//! When the requests of an open loop are due: a pure function of their number.
//! The plan never waits for the server, so a slow answer delays nobody else's planned time.

use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Requests at even distances: number 0 at the start, then `rate / batch` each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    rate: u128,
    batch: u128,
}

impl Schedule {
    /// `rate` orders per second, `batch` orders in a request; both at least 1.
    pub fn new(rate: u64, batch: u32) -> Self {
        Self {
            rate: u128::from(rate.max(1)),
            batch: u128::from(batch.max(1)),
        }
    }

    /// The time from the start until request `number` is due. Never drifts: it is computed from
    /// the number, not added up.
    pub fn due(&self, number: u64) -> Duration {
        let nanos = (u128::from(number) * self.batch * NANOS_PER_SECOND).div_ceil(self.rate);
        let seconds = u64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(u64::MAX);
        // The remainder is below a second, which fits.
        Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32)
    }

    /// How many requests are due when this much time has passed.
    pub fn due_by(&self, elapsed: Duration) -> u64 {
        let count = elapsed.as_nanos() * self.rate / (self.batch * NANOS_PER_SECOND);
        u64::try_from(count).map_or(u64::MAX, |count| count.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thousand_a_second_is_one_each_millisecond() {
        let schedule = Schedule::new(1_000, 1);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1_500), Duration::from_millis(1_500));
        assert_eq!(schedule.due_by(Duration::ZERO), 1);
        assert_eq!(schedule.due_by(Duration::from_micros(999)), 1);
        assert_eq!(schedule.due_by(Duration::from_millis(1)), 2);
    }

    #[test]
    fn a_batch_is_due_as_often_as_its_orders_allow() {
        let schedule = Schedule::new(10_000, 100);
        assert_eq!(schedule.due(100), Duration::from_secs(1));
    }

    #[test]
    fn does_not_drift_at_rates_that_do_not_divide() {
        assert_eq!(
            Schedule::new(7, 1).due(7 * 86_400),
            Duration::from_secs(86_400)
        );
    }

    proptest! {
        #[test]
        fn number_and_time_agree(
            rate in 1_u64..200_000,
            batch in 1_u32..1_000,
            number in 0_u64..1_000_000_000,
        ) {
            let schedule = Schedule::new(rate, batch);
            let due = schedule.due(number);
            prop_assert!(schedule.due_by(due) > number);
            if let Some(before) = due.checked_sub(Duration::from_nanos(1)) {
                prop_assert!(schedule.due_by(before) <= number);
            }
        }
    }
}
