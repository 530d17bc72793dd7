//! What the screen and the progress lines show, worked out from a tally and the time.
//! Pure: no drawing here, and the time comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::notation::micros;
use super::tally::{Counted, Tally};

/// The percentiles that are shown.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];
/// Their names.
pub const PERCENTILE_NAMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];
/// Rates that are kept for the sparkline.
const HISTORY_MAX: usize = 400;
/// The time that "now" spans.
const NOW: Duration = Duration::from_secs(1);
/// Bounds of the bars of a latency histogram, in microseconds: 1-2-5 steps.
const BOUNDS_US: [u64; 22] = [
    0,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    60_000_000,
    600_000_000,
    u64::MAX,
];

/// Answers that took from one time to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Lower bound in microseconds, inclusive.
    pub from_us: u64,
    /// Upper bound in microseconds, exclusive; the largest number for the last bar.
    pub to_us: u64,
    /// How many.
    pub count: u64,
}

impl Bar {
    /// The bounds for people.
    pub fn label(&self) -> String {
        match self.to_us {
            u64::MAX => format!("over {}", micros(self.from_us)),
            _ => format!("to {}", micros(self.to_us)),
        }
    }
}

/// The bars of a histogram, without the empty ones at both ends.
pub fn bars(histogram: &Histogram<u64>) -> Vec<Bar> {
    let bar = |bounds: &[u64]| Bar {
        from_us: bounds[0],
        to_us: bounds[1],
        count: 0,
    };
    let mut bars: Vec<_> = BOUNDS_US.windows(2).map(bar).collect();
    let mut place = 0;
    for point in histogram.iter_recorded() {
        while point.value_iterated_to() >= bars[place].to_us && place + 1 < bars.len() {
            place += 1;
        }
        bars[place].count += point.count_since_last_iteration();
    }
    while bars.last().is_some_and(|bar| bar.count == 0) {
        bars.pop();
    }
    let empty = bars.iter().take_while(|bar| bar.count == 0).count();
    bars.drain(..empty);
    bars
}

/// A moment of a run.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Since the start.
    pub elapsed: Duration,
    /// Orders sent.
    pub orders_sent: u64,
    /// Orders accepted.
    pub accepted: u64,
    /// Orders that were there already.
    pub existing: u64,
    /// Orders refused.
    pub refused: u64,
    /// Requests and connections that failed.
    pub failed: u64,
    /// Requests that wait for their answer.
    pub in_flight: u64,
    /// Orders that are due and wait for a connection.
    pub waiting: u64,
    /// Orders answered per second, over the last second.
    pub rate_now: u64,
    /// Orders answered per second, since the start.
    pub rate_average: u64,
    /// Refused orders by status and code.
    pub refusals: Vec<Counted>,
    /// Failures by what failed.
    pub errors: Vec<Counted>,
    /// Microseconds at [`PERCENTILES`].
    pub percentiles: [u64; 5],
    /// The latency histogram.
    pub bars: Vec<Bar>,
    /// Orders answered per second, one for each time it was looked at, the newest last.
    pub history: Vec<u64>,
}

/// Follows a run.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    seen: VecDeque<(Duration, u64)>,
    history: VecDeque<u64>,
}

impl Follower {
    /// The view of a tally at this time since the start. Times must not go back.
    pub fn view(&mut self, elapsed: Duration, tally: &Tally, waiting: u64) -> View {
        let answered = tally.accepted + tally.existing + tally.refused();
        if let Some(&(before, count)) = self.seen.back() {
            self.history
                .push_back(per_second(answered - count, elapsed.saturating_sub(before)));
        }
        self.seen.push_back((elapsed, answered));
        while self.seen.len() > 2 && elapsed.saturating_sub(self.seen[1].0) >= NOW {
            self.seen.pop_front();
        }
        while self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
        let (since, before) = self.seen.front().copied().unwrap_or_default();
        View {
            elapsed,
            orders_sent: tally.orders_sent,
            accepted: tally.accepted,
            existing: tally.existing,
            refused: tally.refused(),
            failed: tally.failed(),
            in_flight: tally.in_flight(),
            waiting,
            rate_now: per_second(answered - before, elapsed.saturating_sub(since)),
            rate_average: per_second(answered, elapsed),
            refusals: tally.refusals.clone(),
            errors: tally.errors.clone(),
            percentiles: PERCENTILES.map(|p| tally.latency.value_at_percentile(p)),
            bars: bars(&tally.latency),
            history: self.history.iter().copied().collect(),
        }
    }
}

/// How many that are in a second; 0 if no time has passed.
fn per_second(count: u64, time: Duration) -> u64 {
    let scaled = u128::from(count) * 1_000_000_000;
    scaled.checked_div(time.as_nanos()).unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_now_looks_back_one_second_and_the_average_to_the_start() {
        let mut follower = Follower::default();
        let mut tally = Tally::default();
        let mut last = View::default();
        for quarter in 0..=12_u32 {
            tally.accepted = if quarter <= 8 {
                u64::from(quarter) * 100
            } else {
                800
            };
            last = follower.view(Duration::from_millis(250) * quarter, &tally, 0);
            if quarter == 8 {
                assert_eq!((last.rate_now, last.rate_average), (400, 400));
            }
        }
        assert_eq!((last.rate_now, last.rate_average), (0, 266));
        assert_eq!(
            last.history[..9],
            [400, 400, 400, 400, 400, 400, 400, 400, 0]
        );
    }

    #[test]
    fn bars_begin_and_end_where_there_is_something() {
        let mut histogram = Histogram::new(3).unwrap();
        for us in [150, 199, 200, 3_000] {
            histogram.record(us).unwrap();
        }
        let found: Vec<_> = bars(&histogram)
            .iter()
            .map(|bar| (bar.label(), bar.count))
            .collect();
        let expected = [
            ("to 200 µs", 2),
            ("to 500 µs", 1),
            ("to 1.00 ms", 0),
            ("to 2.00 ms", 0),
            ("to 5.00 ms", 1),
        ];
        assert_eq!(
            found,
            expected.map(|(label, count)| (label.to_owned(), count))
        );
        assert!(bars(&Histogram::new(3).unwrap()).is_empty());
    }
}
