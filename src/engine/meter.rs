//! Gathers what the engine tells about itself: rates, durations, sizes. Owned by the engine's
//! thread.
//!
//! Costs a few nanoseconds for an order and allocates nothing after its start. Never decides
//! anything.

use hdrhistogram::Histogram;

use super::run::Turns;
use super::{BUCKETS_US, Distribution, QueueStats, Stats};
use crate::clock::MICROS_PER_SECOND;
use crate::order::Tally;
use crate::shard::QueueLoad;

/// Longest window of a rate, in seconds.
const SECONDS_MAX: usize = 300;
/// Highest value that is told apart: one day, in microseconds.
const HIGHEST_US: u64 = 86_400_000_000;

/// Everything that the engine measures.
pub(super) struct Meters {
    /// On the monotonic clock.
    started_at: i64,
    pub(super) accepted: Rate,
    pub(super) completed: Rate,
    pub(super) processing_time: Spread,
    pub(super) queue_wait: Spread,
    pub(super) accept_time: Spread,
    pub(super) commit_time: Spread,
    pub(super) commit_orders: Spread,
    pub(super) refused_full: u64,
    pub(super) reopenings: u64,
    pub(super) clock_jumps: u64,
}

impl Meters {
    /// All times are those of the monotonic clock.
    pub(super) fn new(now: i64) -> Self {
        Self {
            started_at: now,
            accepted: Rate::new(now),
            completed: Rate::new(now),
            processing_time: Spread::new(),
            queue_wait: Spread::new(),
            accept_time: Spread::new(),
            commit_time: Spread::new(),
            commit_orders: Spread::new(),
            refused_full: 0,
            reopenings: 0,
            clock_jumps: 0,
        }
    }
}

impl Turns {
    /// Takes over what the shard has measured.
    pub(super) fn measure(&mut self) {
        let (meters, measured) = (&mut self.meters, self.parts.shard.measured());
        for wait in measured.queue_waits_us.drain(..) {
            meters.queue_wait.record(wait.max(0).unsigned_abs());
        }
        meters
            .completed
            .count(measured.processing_times_us.len() as u64, self.now.ticks);
        for time in measured.processing_times_us.drain(..) {
            meters.processing_time.record(time.max(0).unsigned_abs());
        }
    }

    fn queues(&mut self) -> Vec<QueueStats> {
        let queues = self.parts.shard.queues();
        let shard = &self.parts.shard;
        let load = |(at, load): (usize, QueueLoad)| QueueStats {
            queue: load.queue,
            waiting: load.waiting,
            leased: load.leased,
            workers: self.leases.waiting(at),
            oldest_waiting_us: load.oldest.map(|since| shard.waited_us(since, self.now.at)),
        };
        queues.into_iter().enumerate().map(load).collect()
    }

    /// A picture of the engine now.
    pub(super) fn stats(&mut self) -> Stats {
        let queues = self.queues();
        let (shard, meters, now) = (&mut self.parts.shard, &mut self.meters, self.now.ticks);
        let oldest = shard.oldest_ready();
        Stats {
            uptime_us: now.saturating_sub(meters.started_at),
            tally: Tally::of_all(shard.tallies()),
            processes: shard.tallies().to_vec(),
            open_by_version: shard.open_by_version(),
            accepted_per_second: meters.accepted.per_second(now),
            completed_per_second: meters.completed.per_second(now),
            processing_time: meters.processing_time.distribution(),
            queue_wait: meters.queue_wait.distribution(),
            accept_time: meters.accept_time.distribution(),
            commit_time: meters.commit_time.distribution(),
            commit_orders: meters.commit_orders.distribution(),
            held_orders: shard.held_orders(),
            oldest_waiting_us: oldest.map(|since| shard.waited_us(since, self.now.at)),
            queues,
            shard: self.parts.shard_number,
            epoch: shard.epoch(),
            position: shard.position(),
            is_recovering: self.is_recovering,
            open_orders_max: self.parts.open_orders_max,
            refused_overloaded: self.parts.pressure.refused(),
            refused_full: meters.refused_full,
            room: self.room,
            is_refused: self.refused.is_some(),
            reopenings: meters.reopenings,
            clock_jumps: meters.clock_jumps,
        }
    }
}

/// How a quantity is spread: three significant digits up to a day, for the life of the process.
pub(super) struct Spread {
    histogram: Option<Histogram<u64>>,
    sum: u64,
}

impl Spread {
    pub(super) fn new() -> Self {
        // These bounds are valid, so there is a histogram; without one nothing would be measured.
        Self {
            histogram: Histogram::new_with_bounds(1, HIGHEST_US, 3).ok(),
            sum: 0,
        }
    }

    pub(super) fn record(&mut self, value: u64) {
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(value);
            self.sum = self.sum.saturating_add(value);
        }
    }

    pub(super) fn distribution(&self) -> Distribution {
        let Some(histogram) = &self.histogram else {
            return Distribution::default();
        };
        Distribution {
            count: histogram.len(),
            sum: self.sum,
            p50: histogram.value_at_quantile(0.5),
            p95: histogram.value_at_quantile(0.95),
            p99: histogram.value_at_quantile(0.99),
            buckets: buckets(histogram),
        }
    }
}

/// How many values are at most each bucket's end, in one pass.
fn buckets(histogram: &Histogram<u64>) -> Vec<u64> {
    let mut counts = vec![0; BUCKETS_US.len()];
    for value in histogram.iter_recorded() {
        let at = BUCKETS_US.partition_point(|end| *end < value.value_iterated_to());
        if let Some(count) = counts.get_mut(at) {
            *count += value.count_since_last_iteration();
        }
    }
    let mut sum = 0;
    for count in &mut counts {
        sum += *count;
        *count = sum;
    }
    counts
}

/// Counts by second for the last five minutes, on the monotonic clock: a jump of the wall clock
/// makes no speed.
pub(super) struct Rate {
    by_second: [u64; SECONDS_MAX],
    /// The second that is being counted.
    second: i64,
    /// The second in which it was made.
    first: i64,
}

impl Rate {
    pub(super) fn new(now: i64) -> Self {
        let second = now / MICROS_PER_SECOND;
        Self {
            by_second: [0; SECONDS_MAX],
            second,
            first: second,
        }
    }

    pub(super) fn count(&mut self, events: u64, now: i64) {
        self.forward(now);
        self.by_second[index(self.second)] += events;
    }

    /// Events per second over the last 1 s, 1 min and 5 min. Complete seconds only, and none before
    /// the start.
    pub(super) fn per_second(&mut self, now: i64) -> [f64; 3] {
        [1, 60, 300].map(|window| self.over(window, now).unwrap_or(0.0))
    }

    /// Events per second over this many seconds, as above; `None` before the first is complete.
    pub(super) fn over(&mut self, window: i64, now: i64) -> Option<f64> {
        self.forward(now);
        let age = self.second - self.first;
        let seconds = window.min(age).min(SECONDS_MAX as i64 - 1);
        let sum: u64 = (1..=seconds)
            .map(|ago| self.by_second[index(self.second - ago)])
            .sum();
        (seconds > 0).then(|| sum as f64 / seconds as f64)
    }

    fn forward(&mut self, now: i64) {
        let second = now / MICROS_PER_SECOND;
        let passed = (second - self.second).clamp(0, SECONDS_MAX as i64);
        (1..=passed).for_each(|ahead| self.by_second[index(second - passed + ahead)] = 0);
        self.second = self.second.max(second);
    }
}

fn index(second: i64) -> usize {
    second.rem_euclid(SECONDS_MAX as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> i64 {
        seconds * MICROS_PER_SECOND
    }

    #[test]
    fn a_rate_counts_whole_seconds_in_its_window() {
        let mut rate = Rate::new(at(1_000));
        assert_eq!(rate.per_second(at(1_000)), [0.0, 0.0, 0.0]);
        assert_eq!(rate.over(10, at(1_000)), None);
        rate.count(30, at(1_000));
        rate.count(10, at(1_001));
        assert_eq!(rate.per_second(at(1_001)), [30.0, 30.0, 30.0]);
        assert_eq!(rate.per_second(at(1_002)), [10.0, 20.0, 20.0]);
        assert_eq!(rate.over(10, at(1_002)), Some(20.0));
        assert_eq!(rate.per_second(at(1_062)), [0.0, 0.0, 40.0 / 62.0]);
        assert_eq!(rate.per_second(at(9_000)), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_distribution_agrees_with_what_was_recorded() {
        let mut spread = Spread::new();
        [90, 200, 200, 900, 2_000_000]
            .into_iter()
            .for_each(|value| spread.record(value));
        let distribution = spread.distribution();
        assert_eq!(
            (distribution.count, distribution.sum, distribution.p50),
            (5, 2_001_390, 200)
        );
        assert_eq!(distribution.buckets[..4], [1, 3, 3, 4]);
        assert_eq!(distribution.buckets.last(), Some(&5));
    }
}
