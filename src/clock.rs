//! The only place that reads a clock.
//!
//! Everything above gets the time as an argument, or a `Clock` from the composition root. Wall time
//! is for what people see and for schedules; ticks and `monotonic` are for durations.
//! Nothing here sleeps, and nothing here decides.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point in time: whole microseconds since 1970-01-01 UTC. The same form in memory, on disk and
/// in SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;

impl Timestamp {
    /// The latest time that is accepted from outside: the end of the year 9999.
    pub const MAX: Self = Self(253_402_207_200 * MICROS_PER_SECOND - 1);

    /// This time plus `micros` microseconds; saturates.
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this time; negative if `earlier` is later; saturates.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole milliseconds since 1970, never negative: the time part of a UUIDv7.
    pub fn unix_millis(self) -> u64 {
        u64::try_from(self.0 / 1_000).unwrap_or(0)
    }

    /// What a time must be that somebody writes.
    pub const FORM: &str = "must be an RFC 3339 time with an offset, such as 2026-12-24T18:00:00Z";

    /// Reads an RFC 3339 time with an offset. `None` if it is not one, or lies outside 1970..=9999.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        let micros = Self(instant.as_microsecond());
        (micros.0 >= 0 && micros <= Self::MAX).then_some(micros)
    }
}

/// RFC 3339 in UTC with exactly six decimals, so that texts sort like times.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// Where the time comes from. Two implementations: the system's, and one that tests move by hand.
pub trait Clock: Send + Sync {
    /// The wall clock now.
    fn now(&self) -> Timestamp;

    /// The monotonic clock now: microseconds since some moment. Never falls, never jumps.
    fn ticks(&self) -> i64;
}

/// One moment on both clocks, and the time that is written down for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What is written down. Never falls, and is never behind the wall clock.
    pub at: Timestamp,
    /// The wall clock: schedules follow it.
    pub wall: Timestamp,
    /// The monotonic clock: durations follow it.
    pub ticks: i64,
}

impl Now {
    /// The first moment of a run, if `last` was written down before it.
    pub fn first(clock: &dyn Clock, last: Timestamp) -> Self {
        let (wall, ticks) = (clock.now(), clock.ticks());
        let at = wall.max(last);
        Self { at, wall, ticks }
    }

    /// A later moment of the same run.
    ///
    /// After the wall clock was set back, the time that is written down goes on at half the speed
    /// until the wall clock has caught up: it neither falls nor stands still.
    pub fn next(self, clock: &dyn Clock) -> Self {
        let (wall, ticks) = (clock.now(), clock.ticks().max(self.ticks));
        let passed = ticks.saturating_sub(self.ticks);
        let at = wall.max(self.at.plus(passed / 2 + passed % 2));
        Self { at, wall, ticks }
    }

    /// By how much the wall clock jumped since `before`, in microseconds; negative if back.
    pub fn jump_since(self, before: Self) -> i64 {
        let passed = self.ticks.saturating_sub(before.ticks);
        self.wall.micros_since(before.wall).saturating_sub(passed)
    }
}

/// A moment at which all clocks agree.
impl From<Timestamp> for Now {
    fn from(at: Timestamp) -> Self {
        let (wall, ticks) = (at, at.0);
        Self { at, wall, ticks }
    }
}

/// The machine's own clocks. Ticks count from when it was made; copies count alike.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn ticks(&self) -> i64 {
        let since = self.0.elapsed();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// A clock that stands still until somebody moves it. Clones share the same hands.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug, Default)]
struct Hands {
    wall: AtomicI64,
    ticks: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        let (wall, ticks) = (AtomicI64::new(start.0), AtomicI64::default());
        Self(Arc::new(Hands { wall, ticks }))
    }

    /// Lets `micros` microseconds go by, not below 0.
    pub fn advance(&self, micros: i64) {
        self.jump(micros);
        self.0.ticks.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the wall clock by `micros` microseconds, which may be negative. No time goes by.
    pub fn jump(&self, micros: i64) {
        self.0.wall.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.wall.load(Ordering::SeqCst))
    }

    fn ticks(&self) -> i64 {
        self.0.ticks.load(Ordering::SeqCst)
    }
}

/// Whether a text is an RFC 3339 time with an offset, of any year.
pub fn is_rfc3339(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

/// The monotonic clock, for durations. Never goes back, says nothing about the date.
pub fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_through_text() {
        let time = Timestamp(1_795_231_450_123_456);
        assert_eq!(time.to_string(), "2026-11-21T03:24:10.123456Z");
        assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Some(time));
        assert_eq!(
            Timestamp::parse_rfc3339("2026-11-21T04:24:10.123456+01:00"),
            Some(time)
        );
    }

    #[test]
    fn times_without_an_offset_or_before_1970_are_refused() {
        for text in [
            "2026-11-21T03:24:10",
            "2026-11-21",
            "1969-12-31T23:59:59Z",
            "",
            "now",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::new(Timestamp(5));
        let same = clock.clone();
        clock.advance(10);
        assert_eq!(same.now(), Timestamp(15));
        clock.jump(-20);
        assert_eq!((same.now(), same.ticks()), (Timestamp(-5), 10));
    }

    #[test]
    fn what_is_written_down_neither_falls_nor_stands_still() {
        let clock = ManualClock::new(Timestamp(1_000));
        let mut now = Now::first(&clock, Timestamp(3_000));
        assert_eq!((now.at, now.wall), (Timestamp(3_000), Timestamp(1_000)));
        for (passed, jump, at) in [
            (100, 0, 3_050),
            (1, 0, 3_051),
            (0, 9_000, 10_101),
            (100, -9_999, 10_151),
            (0, -i64::MAX / 2, 10_151),
            (50, 0, 10_176),
        ] {
            clock.advance(passed);
            clock.jump(jump);
            let next = now.next(&clock);
            assert_eq!((next.at, next.jump_since(now)), (Timestamp(at), jump));
            now = next;
        }
    }
}
