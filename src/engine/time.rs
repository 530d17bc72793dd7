//! The engine looks at both clocks once in a turn, and says when the wall clock jumped.
//!
//! What follows which clock is decided by the shard.

use super::run::Turns;
use crate::faults::{self, Bug};

/// A jump of the wall clock that is worth a line in the log and a count, in microseconds.
const JUMP_US: i64 = 30_000_000;

impl Turns {
    /// Reads both clocks.
    pub(super) fn tell_time(&mut self) {
        let mut now = self.now.next(&*self.parts.clock);
        if faults::is_planted(Bug::WrittenTimeFalls) {
            now.at = now.wall;
        }
        let jump_us = now.jump_since(self.now);
        if jump_us.unsigned_abs() > JUMP_US.unsigned_abs() {
            tracing::warn!(jump_us, "the wall clock jumped");
            self.meters.clock_jumps += 1;
        }
        self.now = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::clock::{ManualClock, Timestamp};
    use crate::engine::tests::{by_hand, checked, order};

    const SECOND: i64 = 1_000_000;
    const DAY: i64 = 86_400 * SECOND;

    /// Two orders, one after the other, a minute each; in the middle of it the clock jumps.
    #[tokio::test]
    async fn a_jump_of_the_wall_clock_is_no_wait_and_no_speed() {
        for jump_us in [400 * DAY, -400 * DAY] {
            let folder = tempfile::tempdir().unwrap();
            let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
            let mut process = checked();
            process.concurrency = 1;
            let (_store, handle, mut turns) = by_hand(folder.path(), &clock, process);
            let mut after = |micros| {
                clock.advance(micros);
                (0..4).for_each(|_| _ = turns.turn(Duration::ZERO).unwrap());
            };
            let orders = vec![order(None), order(None)];
            let sender = handle.clone();
            let sent = tokio::spawn(async move { sender.submit_batch(orders, Vec::new()).await });
            tokio::task::yield_now().await;
            after(0);
            assert!(sent.await.unwrap().unwrap().iter().all(Result::is_ok));
            after(SECOND);
            clock.jump(jump_us);
            after(59 * SECOND);
            after(120 * SECOND);
            let asked = tokio::spawn(async move { handle.stats().await });
            tokio::task::yield_now().await;
            after(0);
            let stats = asked.await.unwrap().unwrap();
            assert_eq!((stats.clock_jumps, stats.uptime_us), (1, 180 * SECOND));
            assert_eq!(stats.accepted_per_second[2], 2.0 / 180.0);
            for spread in [&stats.queue_wait, &stats.processing_time] {
                let highest = 600 * SECOND.unsigned_abs();
                assert!((1..=highest).contains(&spread.sum), "{spread:?}");
            }
        }
    }
}
