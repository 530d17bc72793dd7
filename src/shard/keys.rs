//! Idempotency keys in the commit that is being built: what is kept under them, with the orders and
//! the changes that they came with.
//!
//! Whether the key of a new order is taken is decided by the store, when it is committed.

use super::Shard;
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{ChangeKey, Fingerprint, KeyRecord, NewKey, RequestKey};

impl Shard {
    /// Lets the order that was submitted last be kept under its key, with the answer to it.
    pub fn keep_answer(&mut self, new: NewKey) {
        let Some(order) = self.commit.created.last() else {
            return;
        };
        let created = self.commit.created.len() - 1;
        let NewKey { key, answer } = new;
        let answer = answer(order);
        self.commit.keys.push(KeyRecord {
            created,
            key,
            answer,
        });
        self.date_keys();
    }

    /// Lets the changes that were just decided be kept under their key, with the answer to them.
    /// If the commit is refused, both stay in it. Or the new orders that were just submitted.
    pub fn keep_change_answer(&mut self, kept: ChangeKey, now: Now) {
        self.commit.at = self.set_now(now);
        self.commit.change_keys.push(kept);
        self.date_keys();
    }

    /// A key is dated by the wall clock where that is ahead: if it was behind at the start and is
    /// set right since, the key must still count after the next start.
    pub fn keys_kept_at(&self, now: Now) -> Timestamp {
        self.key_time(now).max(now.wall)
    }

    fn date_keys(&mut self) {
        self.commit.keys_kept_at = self.keys_kept_at(self.now);
        self.commit.keys_expired_before = self.keys_expired_before(self.now);
    }

    /// What was sent under this key, if it is one of the commit that is being built.
    pub fn sent_under(&self, key: &RequestKey) -> Option<Fingerprint> {
        let mut kept = self.commit.change_keys.iter();
        let found = kept.find(|kept| kept.key.is_same(key))?;
        Some(found.key.fingerprint)
    }

    /// Keys that were kept before this time are over at `now`.
    pub fn keys_expired_before(&self, now: Now) -> Timestamp {
        let retention_us = match faults::is_planted(Bug::KeyOverAtOnce) {
            true => 0,
            false => self.settings.key_retention_us,
        };
        self.key_time(now).plus(-retention_us)
    }

    /// The clock by which keys age: what the wall clock showed at the start, and the time that has
    /// gone by since. No jump of the wall clock makes a key old.
    fn key_time(&self, now: Now) -> Timestamp {
        let start = self.began.unwrap_or(now);
        start.wall.plus(now.ticks.saturating_sub(start.ticks))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::order::{KeptAnswer, Opening, Process, Processes, ShardNumber};
    use crate::shard::{Allowances, ShardSettings};

    const DAY: i64 = 24 * 3_600 * 1_000_000;

    fn shard() -> Shard {
        let settings = ShardSettings {
            shard: ShardNumber(0),
            open_orders_max: 1,
            allowances: Allowances::default(),
            key_retention_us: 7 * DAY,
        };
        let processes = Processes::new(vec![Process::built_in()], Vec::new()).unwrap();
        let random = StdRng::seed_from_u64(1);
        Shard::new(settings, &Opening::default(), Arc::new(processes), random)
    }

    #[test]
    fn keys_age_by_the_time_that_goes_by_whatever_the_wall_clock_does() {
        let mut shard = shard();
        let start = Timestamp(1_800_000_000_000_000);
        let at = |wall_days: i64, hours: i64| Now {
            at: start.plus(wall_days.max(0) * DAY),
            wall: start.plus(wall_days * DAY),
            ticks: 5 + hours * DAY / 24,
        };
        shard.advance(at(0, 0));
        for (wall_days, hours) in [(0, 1), (400, 2), (-400, 3), (0, 4)] {
            let now = at(wall_days, hours);
            shard.advance(now);
            let expected = start.plus(hours * DAY / 24 - 7 * DAY);
            assert_eq!(shard.keys_expired_before(now), expected, "{wall_days}");
        }
        shard.reopen(&Opening::default());
        assert_eq!(
            shard.keys_expired_before(at(9, 5)),
            start.plus(5 * DAY / 24 - 7 * DAY)
        );
    }
    /// The clock is 20 days behind at the start, and set right a minute later.
    #[test]
    fn a_key_of_a_start_under_a_late_clock_counts_after_the_next_start() {
        let right = Timestamp(1_800_000_000_000_000);
        let at = |late_days: i64, minutes: i64| Now {
            at: right.plus(minutes * 60_000_000),
            wall: right.plus(minutes * 60_000_000 - late_days * DAY),
            ticks: minutes * 60_000_000,
        };
        let mut before = shard();
        before.advance(at(20, 0));
        let key = RequestKey::new("scope", b"k", [7; 32]).unwrap();
        let answer = KeptAnswer {
            status: 200,
            content_type: "application/json".into(),
            location: None,
            etag: None,
            body: (*b"{}").into(),
        };
        let kept = ChangeKey {
            seq: None,
            is_of_new: false,
            key,
            answer,
        };
        before.keep_change_answer(kept, at(0, 1));
        let kept_at = before.commit().keys_kept_at;
        assert_eq!(kept_at, at(0, 1).wall);
        assert!(kept_at >= before.keys_expired_before(at(0, 1)));
        let mut after = shard();
        after.advance(at(0, 2));
        assert!(kept_at >= after.keys_expired_before(at(0, 2)));
        assert!(kept_at < after.keys_expired_before(at(0, 2 + 7 * 24 * 60)));
    }
}
