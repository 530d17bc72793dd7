//! How the shard follows two clocks: durations the monotonic one, schedules the wall clock.
//!
//! What is due is taken from two heaps of timers, the more overdue first. No clock is read here.

use super::Shard;
use super::ready::Taker;
use super::timers::TimerKind;
use crate::clock::{MICROS_PER_SECOND, Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::Seq;

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
