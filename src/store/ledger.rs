//! What is kept of those who are told what happens: the receivers of webhooks, how far each is, and
//! what became of the deliveries to it.
//!
//! Texts that only the floor above reads. Written beside the commits of orders, never in one, and
//! only by the server that has the shard; a write that failed may be made again.

use std::sync::{Mutex, PoisonError};

use super::{Reading, StoreError};
use crate::clock::Timestamp;
use crate::order::{KeptAnswer, RequestKey, ShardNumber};

/// A receiver, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWebhook {
    /// Its id.
    pub id: Box<str>,
    /// What somebody asked for: a JSON object.
    pub settings: Box<str>,
    /// How far it is: a JSON object.
    pub progress: Box<str>,
}

/// What became of a delivery, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDelivery {
    /// Rises with each delivery.
    pub number: i64,
    /// A JSON object.
    pub report: Box<str>,
}

/// What is noted about a receiver in one go, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Whose.
    pub webhook: Box<str>,
    /// How far it is now.
    pub progress: Box<str>,
    /// What became of deliveries, oldest first.
    pub reports: Vec<Box<str>>,
    /// So many of its newest reports are kept, at least.
    pub reports_max: u32,
}

/// The answer to a request that is kept with what it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerUnder {
    /// The key that the request came under.
    pub key: RequestKey,
    /// What it is answered with.
    pub answer: KeptAnswer,
    /// What time it is, on the clock by which keys age.
    pub kept_at: Timestamp,
    /// What was kept under the key before this time is over.
    pub expired_before: Timestamp,
}

/// Where receivers of webhooks are kept. Every write fails with [`StoreError::Fenced`] unless this
/// store has opened the shard, and nobody else has since.
pub trait Ledger: Send + Sync {
    /// All receivers, by id.
    fn webhooks(&self) -> Reading<'_, Vec<KeptWebhook>>;

    /// Keeps a receiver; takes the place of what was kept of it. An answer is kept with it, in one
    /// go; if its key is taken, nothing is kept at all, and the answer here is `false`.
    fn keep_webhook(&self, webhook: KeptWebhook, under: Option<AnswerUnder>) -> Reading<'_, bool>;

    /// Forgets a receiver and the reports about it.
    fn forget_webhook(&self, id: Box<str>) -> Reading<'_, ()>;

    /// Notes how far a receiver is. Does nothing if it is not kept.
    fn note(&self, note: Note) -> Reading<'_, ()>;

    /// Reports about a receiver with numbers below `before`, newest first, at most `limit`.
    fn deliveries(
        &self,
        webhook: Box<str>,
        before: i64,
        limit: usize,
    ) -> Reading<'_, Vec<KeptDelivery>>;
}

/// Under which epoch a server has the shard, for those who write beside its commits.
#[derive(Default)]
pub(super) struct Tenure(Mutex<Option<(ShardNumber, i64)>>);

impl Tenure {
    /// The shard was opened, under this epoch.
    pub(super) fn begin(&self, shard: ShardNumber, epoch: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((shard, epoch));
    }

    /// Shard and epoch under which to write.
    ///
    /// # Errors
    ///
    /// None was opened.
    pub(super) fn now(&self) -> Result<(ShardNumber, i64), StoreError> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.ok_or(StoreError::Fenced)
    }
}
