//! Who waits for which order of the commit that is being built, and who waits for an order's end.
//!
//! Tickets stand in the same order as the new orders of the commit. Nothing here answers before it
//! is told that the commit is durable, or that it never will be.

use std::collections::HashMap;
use std::time::Instant;

use tokio::sync::oneshot;

use super::SubmitError;
use super::batch::BatchAnswer;
use super::inbox::Answer;
use crate::faults::{self, Bug};
use crate::order::{Order, OrderState, Seq};
use crate::shard::Fate;

/// Most orders whose end is watched at once. A waiting request holds a connection, of which there
/// are fewer.
const WATCHED_MAX: usize = 16_384;

/// Somebody who waits for one order of the commit.
enum Ticket {
    /// A request with one order.
    Single {
        reply: oneshot::Sender<Answer>,
        arrived_at: Instant,
        watch: Option<oneshot::Sender<OrderState>>,
    },
    /// One item of a batch.
    Item { batch: usize, item: usize },
}

/// A batch whose items are in the commit, or refused already.
struct Batch {
    answers: Vec<Answer>,
    /// Nothing of it is in the commit, because of this.
    refused: Option<SubmitError>,
    reply: oneshot::Sender<BatchAnswer>,
    arrived_at: Instant,
}

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Replies {
    tickets: Vec<Ticket>,
    batches: Vec<Batch>,
    watched: HashMap<Seq, oneshot::Sender<OrderState>>,
}

impl Replies {
    pub(super) fn expect_single(
        &mut self,
        reply: oneshot::Sender<Answer>,
        arrived_at: Instant,
        watch: Option<oneshot::Sender<OrderState>>,
    ) {
        self.tickets.push(Ticket::Single {
            reply,
            arrived_at,
            watch,
        });
    }

    /// A batch begins; its items follow with `expect_item` or `refuse_item`, in order.
    pub(super) fn begin_batch(&mut self, reply: oneshot::Sender<BatchAnswer>, arrived_at: Instant) {
        self.batches.push(Batch {
            answers: Vec::new(),
            refused: None,
            reply,
            arrived_at,
        });
    }

    pub(super) fn expect_item(&mut self) {
        let batch = self.batches.len() - 1;
        let answers = &mut self.batches[batch].answers;
        self.tickets.push(Ticket::Item {
            batch,
            item: answers.len(),
        });
        // Replaced before anybody sees it: every ticket is answered.
        answers.push(Err(SubmitError::OutcomeUnknown));
    }

    pub(super) fn refuse_item(&mut self, error: SubmitError) {
        if let Some(batch) = self.batches.last_mut() {
            batch.answers.push(Err(error));
        }
    }

    /// The batch that began last is refused whole. The answer waits for the commit all the same:
    /// the reason may be in it.
    pub(super) fn refuse_batch(&mut self, error: SubmitError) {
        if let Some(batch) = self.batches.last_mut() {
            batch.refused = Some(error);
        }
    }

    /// The commit is durable: answers everybody. `accepted` hears since when each stored order was
    /// waited for.
    pub(super) fn release(
        &mut self,
        created: Vec<(Box<Order>, Fate)>,
        mut accepted: impl FnMut(Instant),
    ) {
        for (ticket, (order, fate)) in self.tickets.drain(..).zip(created) {
            let seq = order.seq;
            let is_stored = fate == Fate::Stored;
            let answer = match fate {
                Fate::Stored => Ok(order),
                Fate::IdTaken => Err(SubmitError::Exists { id: order.id }),
                Fate::KeyTaken => Err(SubmitError::KeyTaken),
            };
            match ticket {
                Ticket::Single {
                    reply,
                    arrived_at,
                    watch,
                } => {
                    if is_stored {
                        accepted(arrived_at);
                    }
                    if let Some(watch) = watch
                        && is_stored
                        && self.watched.len() < WATCHED_MAX
                    {
                        self.watched.insert(seq, watch);
                    }
                    // Whoever has gone away can still read the order.
                    let _ = reply.send(answer);
                    faults::point("answers-begun");
                }
                Ticket::Item { batch, item } => {
                    if is_stored {
                        accepted(self.batches[batch].arrived_at);
                    }
                    self.batches[batch].answers[item] = answer;
                }
            }
        }
        self.release_batches();
    }

    /// Nobody is answered before the commit is durable, but for a planted bug.
    #[inline(always)]
    pub(super) fn release_early(&mut self, created: &[Box<Order>]) {
        if !faults::is_planted(Bug::AnswerBeforeFlush) {
            return;
        }
        let stored = created.iter().map(|order| (order.clone(), Fate::Stored));
        self.release(stored.collect(), |_| {});
    }

    /// The commit will never be durable, or nobody knows: tells everybody so.
    pub(super) fn fail(&mut self, error: &SubmitError) {
        for ticket in self.tickets.drain(..) {
            match ticket {
                Ticket::Single { reply, .. } => drop(reply.send(Err(error.clone()))),
                Ticket::Item { batch, item } => {
                    self.batches[batch].answers[item] = Err(error.clone());
                }
            }
        }
        self.release_batches();
    }

    fn release_batches(&mut self) {
        for batch in self.batches.drain(..) {
            faults::point("answers-batch-held");
            let answer = batch.refused.map_or(Ok(batch.answers), Err);
            let _ = batch.reply.send(answer);
        }
    }

    /// Whether anybody watches an order.
    pub(super) fn is_watching(&self) -> bool {
        !self.watched.is_empty()
    }

    /// An order came to stand still, durably.
    pub(super) fn tell_end(&mut self, seq: Seq, state: &OrderState) {
        if let Some(watch) = self.watched.remove(&seq) {
            let _ = watch.send(state.clone());
        }
    }

    /// Forgets those who gave up waiting for an end.
    pub(super) fn forget_gone(&mut self) {
        self.watched.retain(|_, watch| !watch.is_closed());
    }
}
