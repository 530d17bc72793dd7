//! How full the engine is, told without its thread: who is refused at once, and when to come back.
//!
//! The engine's thread writes, everybody reads. It refuses only what the shard would refuse; that
//! there is room is always for the shard to say.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::inbox;
use super::meter::Rate;
use super::retry_after::{SECONDS_MAX, chance_of, retry_after};
use super::{SubmitError, away};
use crate::clock::{MICROS_PER_SECOND, Timestamp};
use crate::order::{NewOrder, Process, ProcessIndex};
use crate::shard::Shard;

/// Complete seconds over which speeds are measured.
pub(super) const WINDOW_SECONDS: i64 = 10;
/// Time without a refusal after which nobody counts as waiting outside any more, in microseconds.
const CALM_US: i64 = MICROS_PER_SECOND;

/// A speed that one thread writes, per second; at first it is not known.
struct Speed(AtomicU64);

impl Speed {
    fn unknown() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }

    fn set(&self, per_second: Option<f64>) {
        let bits = per_second.unwrap_or(f64::NAN).to_bits();
        self.0.store(bits, Ordering::Relaxed);
    }

    fn get(&self) -> Option<f64> {
        let speed = f64::from_bits(self.0.load(Ordering::Relaxed));
        (!speed.is_nan()).then_some(speed)
    }
}

/// How full one bound is: that of the server, or that of a process.
struct Gauge {
    /// Orders let in since the start.
    entered: AtomicU64,
    /// Of these: what the shard has decided about. The others wait in the inbox.
    decided: AtomicU64,
    /// How many may have been let in.
    limit: AtomicU64,
    /// Orders refused since the start.
    refused: AtomicU64,
    /// How many of those would have found room since.
    made_up: AtomicU64,
    /// Orders that leave.
    speed: Speed,
}

impl Gauge {
    /// Open until the engine says otherwise.
    fn new() -> Self {
        Self {
            entered: AtomicU64::new(0),
            decided: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            refused: AtomicU64::new(0),
            made_up: AtomicU64::new(0),
            speed: Speed::unknown(),
        }
    }

    // SeqCst: whoever has seen what made room must see the room, too.
    fn has_room(&self) -> bool {
        self.entered.load(Ordering::SeqCst) < self.limit.load(Ordering::SeqCst)
    }

    /// Room beside the orders that wait in the inbox: they will take theirs first.
    fn set_room(&self, room: u64) {
        let limit = self.decided.load(Ordering::SeqCst).saturating_add(room);
        self.limit.store(limit, Ordering::SeqCst);
    }

    fn refuse(&self, chance: f64) -> u32 {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let waiting = refused.saturating_sub(self.made_up.load(Ordering::Relaxed));
        retry_after(waiting, self.speed.get(), chance)
    }
}

/// What everybody can see of an engine.
pub(super) struct Pressure {
    all: Gauge,
    /// By process: those that have a bound of their own.
    own: Box<[Option<Gauge>]>,
    refused: AtomicU64,
    accepted: Speed,
    /// The store cannot be reached.
    is_away: AtomicBool,
    /// The clock by which idempotency keys age.
    keys_kept_at: AtomicI64,
    /// Those that were kept before this time are over.
    keys_expired_before: AtomicI64,
}

impl Pressure {
    /// `processes` in the order of their indexes.
    pub(super) fn new(processes: &[Process]) -> Self {
        let gauge = |process: &Process| (process.open_orders_max > 0).then(Gauge::new);
        Self {
            all: Gauge::new(),
            own: processes.iter().map(gauge).collect(),
            refused: AtomicU64::new(0),
            accepted: Speed::unknown(),
            is_away: AtomicBool::new(false),
            keys_kept_at: AtomicI64::new(i64::MIN),
            keys_expired_before: AtomicI64::new(i64::MIN),
        }
    }

    /// Tells whether the store cannot be reached.
    pub(super) fn tell_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    /// What everybody is told while the store cannot be reached, without waiting for the engine,
    /// which may be busy with looking for it.
    pub(super) fn check_store(&self) -> Result<(), SubmitError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(away::unreachable());
        }
        Ok(())
    }

    fn gauges(&self, process: ProcessIndex) -> impl Iterator<Item = &Gauge> {
        let own = self.own.get(usize::from(process.0));
        std::iter::once(&self.all).chain(own.and_then(Option::as_ref))
    }

    /// Lets an order go on to the shard, unless that would refuse it.
    pub(super) fn enter(&self, order: &NewOrder) -> Result<(), SubmitError> {
        // One that ended elsewhere needs no room.
        if order.past.is_some() {
            return Ok(());
        }
        if !self.gauges(order.process).all(Gauge::has_room) {
            return Err(self.refuse(order.process));
        }
        self.note_entered(order);
        Ok(())
    }

    fn note_entered(&self, order: &NewOrder) {
        if order.past.is_none() {
            self.gauges(order.process).for_each(|gauge| {
                gauge.entered.fetch_add(1, Ordering::SeqCst);
            });
        }
    }

    /// Orders that were let in are refused before the shard decides about them.
    pub(super) fn turn_back<'a>(&self, orders: impl IntoIterator<Item = &'a NewOrder>) {
        for order in orders.into_iter().filter(|order| order.past.is_none()) {
            self.gauges(order.process).for_each(|gauge| {
                gauge.entered.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    /// The shard decides about an order that was let in.
    pub(super) fn note_decided(&self, order: &NewOrder) {
        if order.past.is_none() {
            self.gauges(order.process).for_each(|gauge| {
                gauge.decided.fetch_add(1, Ordering::SeqCst);
            });
        }
    }

    /// The same for many: they go on together if any of them may have room.
    pub(super) fn enter_any(&self, orders: &[NewOrder]) -> Result<(), Vec<SubmitError>> {
        let may_enter = |order: &NewOrder| {
            order.past.is_some() || self.gauges(order.process).all(Gauge::has_room)
        };
        if orders.is_empty() || orders.iter().any(may_enter) {
            orders.iter().for_each(|order| self.note_entered(order));
            return Ok(());
        }
        let refuse = |order: &NewOrder| self.refuse(order.process);
        Err(orders.iter().map(refuse).collect())
    }

    /// Refuses an order of this process, for which there is no room.
    pub(super) fn refuse(&self, process: ProcessIndex) -> SubmitError {
        let chance = self.count_refusal();
        let full = self.gauges(process).filter(|gauge| !gauge.has_room());
        let seconds = full.map(|gauge| gauge.refuse(chance)).max();
        SubmitError::Overloaded {
            retry_after_seconds: seconds.unwrap_or(1),
        }
    }

    /// Refuses a command for which the inbox has no room: the engine must work that off first.
    pub(super) fn refuse_at_inbox(&self) -> SubmitError {
        let chance = self.count_refusal();
        let waiting = inbox::ORDERS_MAX as u64;
        SubmitError::Overloaded {
            retry_after_seconds: retry_after(waiting, self.accepted.get(), chance),
        }
    }

    fn count_refusal(&self) -> f64 {
        chance_of(self.refused.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Orders and commands refused since the start.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Tells how much room there is, as the shard has decided so far.
    pub(super) fn tell_room(&self, shard: &Shard) {
        self.all.set_room(shard.room());
        for (index, gauge) in self.own() {
            gauge.set_room(shard.room_of(index));
        }
    }

    /// Tells what time it is for idempotency keys, and which are over.
    pub(super) fn tell_keys(&self, kept_at: Timestamp, expired_before: Timestamp) {
        self.keys_kept_at.store(kept_at.0, Ordering::Relaxed);
        let (told, time) = (&self.keys_expired_before, expired_before.0);
        told.store(time, Ordering::Relaxed);
    }

    pub(super) fn keys_kept_at(&self) -> Timestamp {
        Timestamp(self.keys_kept_at.load(Ordering::Relaxed))
    }

    pub(super) fn keys_expired_before(&self) -> Timestamp {
        Timestamp(self.keys_expired_before.load(Ordering::Relaxed))
    }

    fn own(&self) -> impl Iterator<Item = (ProcessIndex, &Gauge)> {
        let gauges = self.own.iter().enumerate();
        // A process index has 16 bits.
        gauges.filter_map(|(at, gauge)| Some((ProcessIndex(at as u16), gauge.as_ref()?)))
    }
}

/// What the engine's thread keeps to know how fast orders leave.
pub(super) struct Flows {
    all: Flow,
    own: Vec<Flow>,
}

impl Flows {
    pub(super) fn new(pressure: &Pressure, now: i64) -> Self {
        Self {
            all: Flow::new(now),
            own: pressure.own().map(|_| Flow::new(now)).collect(),
        }
    }

    /// Looks at what has happened since the last time, and tells it. `now` is on the monotonic
    /// clock.
    pub(super) fn tell(
        &mut self,
        pressure: &Pressure,
        shard: &Shard,
        accepted_per_second: Option<f64>,
        now: i64,
    ) {
        pressure.tell_room(shard);
        self.all.tell(&pressure.all, shard.left(), now);
        for (flow, (index, gauge)) in self.own.iter_mut().zip(pressure.own()) {
            flow.tell(gauge, shard.left_of(index), now);
        }
        pressure.accepted.set(accepted_per_second);
    }
}

/// How one bound is moved away from.
struct Flow {
    left: u64,
    rate: Rate,
    refused: u64,
    /// On the monotonic clock.
    refused_at: i64,
}

impl Flow {
    fn new(now: i64) -> Self {
        Self {
            left: 0,
            rate: Rate::new(now),
            refused: 0,
            refused_at: now,
        }
    }

    /// `left` counts the orders that have left since the shard was opened.
    fn tell(&mut self, gauge: &Gauge, left: u64, now: i64) {
        // A shard that was opened anew counts from 0.
        let newly = left.checked_sub(self.left).unwrap_or(left);
        self.left = left;
        self.rate.count(newly, now);
        let speed = self.rate.over(WINDOW_SECONDS, now);
        gauge.speed.set(speed);

        let refused = gauge.refused.load(Ordering::Relaxed);
        if refused != self.refused {
            (self.refused, self.refused_at) = (refused, now);
        }
        // Longer than the longest time nobody is told to wait.
        let waiting_max = (speed.unwrap_or(0.0) * SECONDS_MAX) as u64;
        let made_up = gauge.made_up.load(Ordering::Relaxed) + newly;
        let made_up = made_up.max(refused.saturating_sub(waiting_max));
        let is_calm = now.saturating_sub(self.refused_at) > CALM_US;
        let made_up = if is_calm {
            refused
        } else {
            made_up.min(refused)
        };
        gauge.made_up.store(made_up, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> i64 {
        1_000_000_000 + micros
    }

    /// Those refused in a burst are told to come back at the speed at which orders leave.
    #[test]
    fn a_burst_is_told_to_come_back_one_after_the_other() {
        let (gauge, mut flow) = (Gauge::new(), Flow::new(at(0)));
        for (left, micros) in [(200, 500_000), (400, 1_500_000), (400, 2_000_000)] {
            flow.tell(&gauge, left, at(micros));
        }
        assert_eq!(gauge.speed.get(), Some(200.0));
        let told: Vec<u32> = (0..2_000).map(|_| gauge.refuse(0.0)).collect();
        for second in 1..=10 {
            let count = told.iter().filter(|told| **told == second).count();
            assert_eq!(count, 200, "{second}");
        }
        // Half of them have found room since.
        flow.tell(&gauge, 1_400, at(2_100_000));
        assert_eq!(gauge.refuse(0.0), 6);
    }

    #[test]
    fn orders_in_the_inbox_take_the_room_first() {
        let gauge = Gauge::new();
        gauge.entered.store(7, Ordering::SeqCst);
        gauge.decided.store(5, Ordering::SeqCst);
        for (room, has_room) in [(0, false), (2, false), (3, true), (u64::MAX, true)] {
            gauge.set_room(room);
            assert_eq!(gauge.has_room(), has_room, "{room}");
        }
    }

    #[test]
    fn who_was_refused_long_ago_is_not_waited_for() {
        let (gauge, mut flow) = (Gauge::new(), Flow::new(at(0)));
        flow.tell(&gauge, 10, at(0));
        flow.tell(&gauge, 20, at(1_000_000));
        (0..100_000).for_each(|_| _ = gauge.refuse(0.0));
        flow.tell(&gauge, 20, at(1_000_001));
        // Never more than the longest time: 60 s at 10 a second.
        assert_eq!(gauge.refused.load(Ordering::Relaxed), 100_000);
        assert_eq!(gauge.made_up.load(Ordering::Relaxed), 99_400);
        flow.tell(&gauge, 20, at(2_000_002));
        assert_eq!(gauge.refuse(0.0), 1);
        // A shard that was opened anew has made no room below zero.
        flow.tell(&gauge, 5, at(2_000_003));
        assert_eq!(flow.left, 5);
    }
}
