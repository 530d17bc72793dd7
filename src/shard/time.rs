//! How the shard follows two clocks: durations the monotonic one, schedules the wall clock.
//!
//! What is due is taken from two heaps of timers, the more overdue first. No clock is read here.

use super::Shard;
use super::decide::is_begun;
use super::ready::Taker;
use super::timers::TimerKind;
use crate::clock::{MICROS_PER_SECOND, Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::Seq;

/// So many timers for each open order may lie in a heap: one more than can mean something.
const TIMERS_PER_ORDER: usize = 4;
/// And so many more.
const TIMERS_SPARE: usize = 64;

impl Shard {
    /// When the shard wants to be advanced next, on the wall clock: now if there is work that may
    /// start, or the time of the next timer. `None`: not before the next input.
    pub fn next_deadline(&self, now: Now) -> Option<Timestamp> {
        if self.ready.can_lease(Taker::Shard) {
            return Some(now.wall);
        }
        let now = seen(now);
        let delay = self.delays.next_due();
        let delay = delay.map(|due| now.wall.plus(due.0.saturating_sub(now.ticks)));
        self.schedules.next_due().into_iter().chain(delay).min()
    }

    /// Takes the timer that is most overdue, on whichever clock.
    pub(super) fn pop_due(&mut self) -> Option<(Timestamp, Seq, TimerKind)> {
        let (wall, ticks) = (self.now.wall, Timestamp(self.now.ticks));
        let delay = self.delays.next_due();
        let schedule = self.schedules.next_due();
        let late_by = |now: Timestamp, due: Option<Timestamp>| due.map(|due| now.micros_since(due));
        if late_by(ticks, delay) > late_by(wall, schedule) {
            self.delays.pop_due(ticks)
        } else {
            self.schedules.pop_due(wall)
        }
    }

    /// Takes the timers out that mean nothing any more, once they are most of them: the end of a
    /// lease of a day whose work took a second must not be kept for a day. Each timer that is set
    /// pays for looking at a bounded number of them.
    pub(super) fn sweep_timers(&mut self) {
        let (book, holds) = (&self.book, &self.holds);
        // What `fire` would do nothing for.
        let means = |due: Timestamp, seq: Seq, kind: TimerKind| {
            let record = book.find(seq).map(|slot| book.at(slot));
            record.is_some_and(|record| match kind {
                TimerKind::Move => record.due == due || faults::is_planted(Bug::StaleTimerTaken),
                TimerKind::Expiry => !is_begun(record),
                TimerKind::Release => holds.get(&seq).is_some_and(|it| it.until == Some(due)),
            })
        };
        for timers in [&mut self.schedules, &mut self.delays] {
            if timers.len() > TIMERS_PER_ORDER * book.len() + TIMERS_SPARE {
                timers.sweep(means);
            }
        }
    }

    /// Notes the moment of an input. Answers with the time that is written down for it.
    pub(super) fn set_now(&mut self, now: Now) -> Timestamp {
        let before = std::mem::replace(&mut self.now, seen(now));
        if self.began.is_some() {
            self.leaps.note(before, self.now);
        }
        self.began.get_or_insert(self.now);
        now.at
    }

    /// How long it is since a time that was written down, in microseconds, without what the written
    /// time leapt ahead meanwhile. Never negative.
    pub fn waited_us(&self, since: Timestamp, now: Timestamp) -> i64 {
        let waited_us = now
            .micros_since(since)
            .saturating_sub(self.leaps.since(since));
        waited_us.max(0)
    }
}

/// Where the written time leapt ahead of the monotonic clock in this run: nobody waited for that
/// long. The latest few, since a clock that jumps all the time measures nothing.
#[derive(Default)]
pub(super) struct Leaps(Vec<(Timestamp, i64)>);

/// Leaps that are remembered.
const LEAPS_MAX: usize = 16;
/// A smaller leap is not worth remembering, in microseconds.
const LEAP_US: i64 = MICROS_PER_SECOND;

impl Leaps {
    fn note(&mut self, before: Now, now: Now) {
        let passed_us = now.ticks.saturating_sub(before.ticks);
        let leapt_us = now.at.micros_since(before.at).saturating_sub(passed_us);
        if leapt_us < LEAP_US {
            return;
        }
        if self.0.len() == LEAPS_MAX {
            self.0.remove(0);
        }
        self.0.push((before.at, leapt_us));
    }

    /// The sum of those at this time or later.
    fn since(&self, time: Timestamp) -> i64 {
        let later = self.0.iter().filter(|(at, _)| *at >= time);
        later.fold(0, |sum, (_, leapt_us)| sum.saturating_add(*leapt_us))
    }
}

/// The clocks as the shard looks at them.
fn seen(now: Now) -> Now {
    match faults::is_planted(Bug::DurationsByWallClock) {
        true => Now {
            ticks: now.wall.0,
            ..now
        },
        false => now,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::order::{
        Action, Change, Currency, Money, NewOrder, Opening, Outcome, Priority, Process,
        ProcessIndex, Processes, Pull, QueueIndex, Receipt, Report, ShardNumber, Spelling,
        StepKind, Verdict, WantedId,
    };
    use crate::shard::{Allowances, ShardSettings, Timers};

    const DAY_US: i64 = 86_400 * MICROS_PER_SECOND;

    fn shard() -> Shard {
        let mut process = Process::built_in();
        process.steps[0].kind = StepKind::Pull(Pull {
            queue: "q".into(),
            lease_us: DAY_US,
        });
        let processes = Processes::new(vec![process], Vec::new()).unwrap();
        let settings = ShardSettings {
            shard: ShardNumber(0),
            open_orders_max: 100,
            allowances: Allowances::default(),
            key_retention_us: DAY_US,
        };
        let random = StdRng::seed_from_u64(1);
        Shard::new(settings, &Opening::default(), Arc::new(processes), random)
    }

    fn order(expires_at: Timestamp) -> NewOrder {
        NewOrder {
            idempotency_key: None,
            id: WantedId::Made(Spelling::Uuid),
            customer_id: "c".into(),
            item_count: 1,
            total: Money::new(1, Currency::from_code("EUR").unwrap()).unwrap(),
            priority: Priority::Medium,
            process: ProcessIndex(0),
            payload: "{}".into(),
            start_at: None,
            expires_at: Some(expires_at),
            hold: None,
            past: None,
        }
    }

    /// Leases last a day and orders would expire in a day; all end at once.
    #[test]
    fn what_was_set_for_orders_that_have_ended_is_not_kept_until_its_time() {
        let (mut shard, now) = (shard(), Now::from(Timestamp(DAY_US)));
        for _ in 0..1_000 {
            shard.submit(order(now.at.plus(DAY_US)), now).unwrap();
            shard.committed(&Receipt::default(), now);
            let leased = shard.lease(QueueIndex(0), 1, None, now).remove(0);
            let outcome = Outcome::Complete { output: None };
            let report = Report {
                verdict: Verdict::Ended(outcome),
                ..leased.hand_back()
            };
            let change = Change {
                seq: leased.fence.seq,
                versions: None,
                action: Action::Report(Box::new(report)),
            };
            shard.change(change, now).unwrap();
            shard.committed(&Receipt::default(), now);
        }
        assert_eq!(shard.open_orders(), 0);
        let left = [&shard.schedules, &shard.delays].map(Timers::len);
        assert!(left.iter().all(|left| *left <= TIMERS_SPARE), "{left:?}");
    }
}
