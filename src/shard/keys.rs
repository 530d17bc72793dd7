//! Idempotency keys in the commit that is being built: what is kept under them, with the orders and
//! the changes that they came with.
//!
//! Whether the key of a new order is taken is decided by the store, when it is committed.

use super::Shard;
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{ChangeKey, KeyRecord, NewKey, RequestKey};

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
        self.commit.keys_expired_before = self.keys_expired_before(self.commit.at);
    }

    /// Lets the changes that were just decided be kept under their key, with the answer to them.
    /// If the commit is refused, both stay in it.
    pub fn keep_change_answer(&mut self, kept: ChangeKey, now: Now) {
        self.commit.at = self.set_now(now);
        self.commit.change_keys.push(kept);
        self.commit.keys_expired_before = self.keys_expired_before(self.commit.at);
    }

    /// Whether changes in the commit that is being built came under this key.
    pub fn has_change_key(&self, key: &RequestKey) -> bool {
        let mut kept = self.commit.change_keys.iter();
        kept.any(|kept| kept.key.is_same(key))
    }

    /// Keys that were kept before this time are over at `now`.
    pub fn keys_expired_before(&self, now: Timestamp) -> Timestamp {
        let retention_us = match faults::is_planted(Bug::KeyOverAtOnce) {
            true => 0,
            false => self.settings.key_retention_us,
        };
        now.plus(-retention_us)
    }
}
