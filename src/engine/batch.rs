//! Many orders that come together, are decided together and are flushed together, each with its own
//! answer.
//!
//! Under a key of the whole, that is kept with the first of them that is accepted: if none is, the
//! key stays free. Another batch under a key that is taken is not decided at all.

use tokio::sync::oneshot;

use super::inbox::{Answer, Command, Weight};
use super::run::Turns;
use super::{Handle, SubmitError, away, change};
use crate::clock;
use crate::order::{ChangeKey, NewKey, NewOrder};

/// What is sent back for a batch: an answer for each order, in order, or why none was looked at.
pub(super) type BatchAnswer = Result<Vec<Answer>, SubmitError>;

/// Orders that somebody wants accepted in one commit.
#[derive(Default)]
pub struct Batch {
    /// The orders.
    pub orders: Vec<NewOrder>,
    /// Idempotency keys of some of them, with their index; the indexes ascend.
    pub keys: Vec<(usize, NewKey)>,
    /// The key of the whole, with what to keep under it.
    pub whole: Option<Box<ChangeKey>>,
}

impl Batch {
    /// How much of the inbox it takes.
    pub(super) fn weight(&self) -> Weight {
        Weight {
            orders: self.orders.len().max(1),
            bytes: self.orders.iter().map(|order| order.payload.len()).sum(),
        }
    }
}

impl Handle {
    /// Submits many orders in one flush, those with an index in `keys` under that idempotency key;
    /// the indexes ascend. Answers for each order, in order.
    pub async fn submit_batch(
        &self,
        orders: Vec<NewOrder>,
        keys: Vec<(usize, NewKey)>,
    ) -> Result<Vec<Answer>, SubmitError> {
        let whole = None;
        self.submit_whole(Batch {
            orders,
            keys,
            whole,
        })
        .await
    }

    /// The same for a batch that may have a key of its own. With [`SubmitError::KeyTaken`] another
    /// batch has it, and nothing of this one was decided.
    pub async fn submit_whole(&self, batch: Batch) -> Result<Vec<Answer>, SubmitError> {
        self.check_store()?;
        if let Err(refused) = self.pressure.enter_any(&batch.orders) {
            let refused = refused.into_iter().map(|one| self.unless_closed(one));
            return Ok(refused.map(Err).collect());
        }
        let (reply, answer) = oneshot::channel();
        let arrived_at = clock::monotonic();
        self.push(Command::SubmitBatch {
            batch,
            reply,
            arrived_at,
        })?;
        answer.await.unwrap_or(Err(SubmitError::OutcomeUnknown))
    }
}

impl Turns {
    /// Lets the shard decide about each order of the batch that began.
    pub(super) fn submit_batch(&mut self, batch: Batch) {
        let Batch {
            orders,
            keys,
            whole,
        } = batch;
        let mut whole = match self.not_kept(whole) {
            Ok(whole) => whole,
            Err(error) => {
                self.parts.pressure.turn_back(&orders);
                return self.replies.refuse_batch(error);
            }
        };
        let mut keys = keys.into_iter().peekable();
        for (at, order) in orders.into_iter().enumerate() {
            let key = keys.next_if(|(place, _)| *place == at);
            match self.submit(order, key.map(|(_, key)| key)) {
                Ok(()) => {
                    self.replies.expect_item();
                    if let Some(whole) = whole.take() {
                        self.parts.shard.keep_change_answer(*whole, self.now);
                    }
                }
                Err(error) => self.replies.refuse_item(error),
            }
        }
    }

    /// The key of a batch, unless it is kept already: then this is the same batch again.
    fn not_kept(
        &mut self,
        whole: Option<Box<ChangeKey>>,
    ) -> Result<Option<Box<ChangeKey>>, SubmitError> {
        // While nothing is taken, no key is.
        let whole = whole.filter(|_| self.refused.is_none() && !self.room.is_away);
        let Some(whole) = whole else { return Ok(None) };
        let (shard, store) = (&self.parts.shard, &*self.parts.store);
        match change::sent_under(&whole.key, shard, store, self.now) {
            Ok(None) => Ok(Some(whole)),
            Ok(Some(sent)) if sent == whole.key.fingerprint => Ok(None),
            Ok(Some(_)) => Err(SubmitError::KeyTaken),
            Err(error) => {
                self.room.is_away = away::is_away(&error);
                Err(SubmitError::from_store(&error))
            }
        }
    }
}
