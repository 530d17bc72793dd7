//! What a campaign has shown, as a table for people and as JSON for programs.
//! Counts and sorts; judges nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::load::Counts;
use super::reckoning::Reckoning;

#[derive(Debug, Default, Serialize)]
pub struct Figures {
    pub seed: u64,
    pub cycles: u32,
    pub seconds: u64,
    /// Orders that were there in the end, of all stores.
    pub orders: u64,
    /// Orders that a client was answered for, each counted once, each line flushed.
    pub acknowledged: u64,
    /// Events in the histories of all orders.
    pub events: u64,
    pub requests: Counts,
    pub reckoning: Reckoning,
    /// How runs ended.
    pub ends: BTreeMap<&'static str, u32>,
    /// How often each fault point was died at.
    pub points: BTreeMap<&'static str, u32>,
    /// How often a point that was asked for was not reached in time.
    pub missed: BTreeMap<&'static str, u32>,
    /// Cycles in which nothing was acknowledged.
    pub empty_cycles: u32,
    /// Runs that were ended while somebody waited for an answer.
    pub busy_ends: u32,
    /// Times that `orderd verify` had nothing to say.
    pub verified: u32,
    /// Stores that were read row by row without the server.
    pub second_opinions: u32,
    /// Which backend kept the orders.
    pub store: String,
    pub ready: Times,
    pub recovered: Times,
}

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time that so many per cent did not exceed, in milliseconds.
    pub fn percentile(&self, percent: usize) -> u64 {
        let mut times = self.0.clone();
        times.sort_unstable();
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        let time = times.get(place).copied().unwrap_or_default();
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let percentiles = [("p50_ms", 50), ("p99_ms", 99), ("max_ms", 100)];
        let times = percentiles.map(|(name, percent)| (name, self.percentile(percent)));
        serializer.collect_map(times)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "p50 {half} ms, p99 {most} ms, max {all} ms")
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<26} {value}");
        let (counts, wrong) = (&self.requests, &self.reckoning);
        row("cycles", &self.cycles)?;
        row("seconds", &self.seconds)?;
        row("acknowledged orders", &self.acknowledged)?;
        row("lost", &wrong.lost)?;
        row("doubled", &wrong.doubled)?;
        row("ended twice", &wrong.ended_twice)?;
        row("refused and there", &wrong.refused_and_there)?;
        row("changes lost or doubled", &wrong.changes_lost)?;
        row("work lost or taken twice", &wrong.work_lost)?;
        row("other complaints", &wrong.complaints.len())?;
        row("orders in the end", &self.orders)?;
        row("events in their histories", &self.events)?;
        row("requests", &counts.requests)?;
        row("  sent twice on purpose", &counts.duplicates)?;
        row("  sent again, no answer", &counts.retries)?;
        row("  never answered", &counts.unheard)?;
        row("  orders refused", &counts.refused)?;
        row("changes", &counts.changes)?;
        row("dead letters replayed", &counts.dead_letters_replayed)?;
        row("imported", &counts.imported)?;
        row("reads", &counts.reads)?;
        row("leases", &counts.work)?;
        row("ends while busy", &self.busy_ends)?;
        row("empty cycles", &self.empty_cycles)?;
        row("verified by orderd verify", &self.verified)?;
        row("verified with SQL", &self.second_opinions)?;
        row("from start to ready", &self.ready)?;
        row("until all orders are back", &self.recovered)?;
        let groups = [
            ("ended by", &self.ends),
            ("died at", &self.points),
            ("missed", &self.missed),
        ];
        for (group, counts) in groups {
            for (name, count) in counts {
                writeln!(f, "{group:<9} {name:<34} {count:>6}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let mut times = Times::default();
        assert_eq!(times.percentile(50), 0);
        (1..=200)
            .rev()
            .for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!(
            [50, 99, 100].map(|it| times.percentile(it)),
            [100, 198, 200]
        );
    }
}
