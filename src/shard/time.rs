//! How the shard follows two clocks: durations the monotonic one, schedules the wall clock.
//!
//! What is due is taken from two heaps of timers, the more overdue first. No clock is read here.

use super::Shard;
use super::timers::TimerKind;
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::Seq;

impl Shard {
    /// When the shard wants to be advanced next, on the wall clock: now if there is work that may
    /// start, or the time of the next timer. `None`: not before the next input.
    pub fn next_deadline(&self, now: Now) -> Option<Timestamp> {
        if self.ready.can_lease() {
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
        self.now = seen(now);
        self.began.get_or_insert(self.now);
        now.at
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
