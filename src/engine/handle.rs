//! How the floors above talk to an engine: send a command, await the answer.
//!
//! An answer comes after the flush, never before. Handles are cheap to clone and outlive the
//! engine: then they answer that it is draining.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{oneshot, watch};

use super::Stats;
use super::inbox::{Command, Inbox, Push};
use super::pressure::Pressure;
use crate::clock::{self, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{NewKey, NewOrder, Order, OrderId, OrderState, Position, ProcessTally};
use crate::store::StoreError;

/// Sends commands to an engine.
#[derive(Clone)]
pub struct Handle {
    inbox: Arc<Inbox>,
    pub(super) pressure: Arc<Pressure>,
    head: watch::Receiver<Position>,
}

/// Why an order was not accepted. Nothing of it is stored, except perhaps with `OutcomeUnknown`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// Another order has this id.
    #[error("an order with the id {id} exists")]
    Exists {
        /// The id, which is also the holder's.
        id: OrderId,
    },
    /// Its idempotency key is taken: what was answered under it is in the store.
    #[error("the idempotency key is taken")]
    KeyTaken,
    /// No room for more open orders, or more commands than the engine keeps up with.
    #[error("too many open orders")]
    Overloaded {
        /// When there is likely to be room, in seconds from now, 1 to 60.
        retry_after_seconds: u32,
    },
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Draining,
    /// The store refused; definitely not stored.
    #[error("the store refused: {detail}")]
    StoreUnavailable {
        /// What the store said.
        detail: Arc<str>,
    },
    /// No room on disk; definitely not stored.
    #[error("the store is full: {detail}")]
    StorageFull {
        /// What the store said.
        detail: Arc<str>,
    },
    /// The commit was sent and its fate is not known. Sending the same order id again gets the one
    /// result.
    #[error("it is not known whether the order is stored")]
    OutcomeUnknown,
}

impl SubmitError {
    /// What a failed commit means for the orders in it.
    pub(super) fn from_store(error: &StoreError) -> Self {
        match error {
            StoreError::Full { detail } => Self::StorageFull {
                detail: detail.as_str().into(),
            },
            StoreError::Lost { .. } => Self::OutcomeUnknown,
            StoreError::Unknown { .. } if !faults::is_planted(Bug::UnknownCalledRefused) => {
                Self::OutcomeUnknown
            }
            other => Self::StoreUnavailable {
                detail: other.to_string().into(),
            },
        }
    }
}

/// An accepted order, and how to learn its end.
pub struct Accepted {
    /// The order as stored.
    pub order: Box<Order>,
    /// Sends the order's state once it is final or dead. Closed at once if too many are watched.
    pub end: Option<oneshot::Receiver<OrderState>>,
}

impl Handle {
    pub(super) fn new(
        inbox: Arc<Inbox>,
        pressure: Arc<Pressure>,
        head: watch::Receiver<Position>,
    ) -> Self {
        Self {
            inbox,
            pressure,
            head,
        }
    }

    /// Where the journal ends: changes with each commit, once that is durable and can be read.
    /// Closed when the engine has ended.
    pub fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    /// Submits one order; with `is_watched` its end can be awaited too.
    pub async fn submit(
        &self,
        order: Box<NewOrder>,
        is_watched: bool,
    ) -> Result<Accepted, SubmitError> {
        self.submit_under(None, order, is_watched).await
    }

    /// The same under an idempotency key, if there is one: the answer is kept with the order.
    ///
    /// Without room this is refused at once, however long the engine's thread has to work.
    pub async fn submit_under(
        &self,
        key: Option<Box<NewKey>>,
        order: Box<NewOrder>,
        is_watched: bool,
    ) -> Result<Accepted, SubmitError> {
        self.check_store()?;
        let entered = self.pressure.enter(&order);
        entered.map_err(|refused| self.unless_closed(refused))?;
        let (watch, end) = if is_watched {
            let (sender, receiver) = oneshot::channel();
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        };
        let (reply, answer) = oneshot::channel();
        let arrived_at = clock::monotonic();
        self.push(Command::Submit {
            order,
            key,
            reply,
            arrived_at,
            watch,
        })?;
        // An engine that ends without an answer was stopped in the middle: nobody knows.
        let order = answer.await.unwrap_or(Err(SubmitError::OutcomeUnknown))?;
        Ok(Accepted { order, end })
    }

    /// A picture of the engine. `None` once it has ended.
    pub async fn stats(&self) -> Option<Stats> {
        let (reply, answer) = oneshot::channel();
        self.push(Command::Stats { reply }).ok()?;
        answer.await.ok()
    }

    /// The counters of one process as of the last commit, zeros if it is not known. `None` once the
    /// engine has ended.
    pub async fn process_tally(&self, process: &str) -> Option<ProcessTally> {
        let (process, (reply, answer)) = (process.into(), oneshot::channel());
        self.push(Command::ProcessTally { process, reply }).ok()?;
        answer.await.ok()
    }

    /// What time it is on the clock by which idempotency keys age, as of the last turn.
    pub fn keys_kept_at(&self) -> Timestamp {
        self.pressure.keys_kept_at()
    }

    /// Idempotency keys that were kept before this time are over, as of the last turn.
    pub fn keys_expired_before(&self) -> Timestamp {
        self.pressure.keys_expired_before()
    }

    /// Whether new orders are taken: not draining, not ended.
    pub fn is_accepting(&self) -> bool {
        self.inbox.is_open()
    }

    /// Refuses while the store is away, unless the engine refuses everything for good.
    pub(super) fn check_store(&self) -> Result<(), SubmitError> {
        let checked = self.pressure.check_store();
        checked.map_err(|refused| self.unless_closed(refused))
    }

    /// A refusal for now, or for good.
    pub(super) fn unless_closed(&self, refused: SubmitError) -> SubmitError {
        if self.inbox.is_open() {
            refused
        } else {
            SubmitError::Draining
        }
    }

    /// Lets the engine finish what is in its inbox, flush and end. Later commands are refused.
    pub fn drain(&self) {
        self.inbox.close();
    }

    pub(super) fn push(&self, command: Command) -> Result<(), SubmitError> {
        match self.inbox.push(command) {
            Push::Taken => Ok(()),
            Push::Full(command) => {
                self.pressure.turn_back(command.orders());
                Err(self.pressure.refuse_at_inbox())
            }
            Push::Closed(command) => {
                self.pressure.turn_back(command.orders());
                Err(SubmitError::Draining)
            }
        }
    }
}
