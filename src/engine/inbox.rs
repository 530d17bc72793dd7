//! The engine's bounded inbox: many senders, one thread that takes everything at once.
//!
//! Never blocks a sender: full is an answer. The engine is woken only if it sleeps, so a busy
//! engine costs its senders one short lock and no system call.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::batch::{Batch, BatchAnswer};
use super::{Stats, SubmitError, change, leases};
use crate::order::{NewKey, NewOrder, Order, OrderState, ProcessTally};

/// Most orders that wait in the inbox: about a second's worth.
pub(super) const ORDERS_MAX: usize = 65_536;
/// Payload that waits in the inbox before it counts as full, in bytes.
const BYTES_MAX: usize = 64 << 20;

/// What is sent back for one submitted order.
pub type Answer = Result<Box<Order>, SubmitError>;

/// What an engine is asked to do.
pub(super) enum Command {
    /// Accept an order.
    Submit {
        order: Box<NewOrder>,
        key: Option<Box<NewKey>>,
        reply: oneshot::Sender<Answer>,
        arrived_at: Instant,
        watch: Option<oneshot::Sender<OrderState>>,
    },
    /// Accept many orders in one commit.
    SubmitBatch {
        batch: Batch,
        reply: oneshot::Sender<BatchAnswer>,
        arrived_at: Instant,
    },
    /// Change accepted orders.
    Change(Box<change::Request>),
    /// Lease work to a worker.
    Lease(Box<leases::Request>),
    /// Tell about yourself.
    Stats { reply: oneshot::Sender<Stats> },
    /// Tell the counters of one process.
    ProcessTally {
        process: Box<str>,
        reply: oneshot::Sender<ProcessTally>,
    },
}

impl Command {
    /// Whether it only asks something. Questions are small and few: one for each connection.
    fn is_question(&self) -> bool {
        matches!(self, Self::Stats { .. } | Self::ProcessTally { .. })
    }

    /// The orders it wants accepted.
    pub(super) fn orders(&self) -> &[NewOrder] {
        match self {
            Self::Submit { order, .. } => std::slice::from_ref(order),
            Self::SubmitBatch { batch, .. } => &batch.orders,
            _ => &[],
        }
    }

    /// Tells whoever waits for it that nothing of it was touched. A question stays unanswered.
    pub(super) fn refuse(self, error: &SubmitError) {
        match self {
            Self::Submit { reply, .. } => drop(reply.send(Err(error.clone()))),
            Self::SubmitBatch { batch, reply, .. } => {
                let refused = batch.orders.iter().map(|_| Err(error.clone())).collect();
                drop(reply.send(Ok(refused)));
            }
            Self::Change(request) => request.refuse(error.clone()),
            Self::Lease(request) => request.refuse(error.clone()),
            Self::Stats { .. } | Self::ProcessTally { .. } => {}
        }
    }

    /// How much of the inbox it takes: its orders, and what is in them.
    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Submit { order, .. } => Weight {
                orders: 1,
                bytes: order.payload.len(),
            },
            Self::SubmitBatch { batch, .. } => batch.weight(),
            Self::Change(request) => Weight {
                orders: request.changes().max(1),
                bytes: request.bytes(),
            },
            Self::Lease(_) | Self::Stats { .. } | Self::ProcessTally { .. } => Weight {
                orders: 1,
                bytes: 0,
            },
        }
    }
}

/// What a command takes of the inbox's room.
#[derive(Clone, Copy, Default)]
pub(super) struct Weight {
    pub(super) orders: usize,
    pub(super) bytes: usize,
}

/// What became of a pushed command.
pub(super) enum Push {
    Taken,
    Full(Command),
    Closed(Command),
}

#[derive(Default)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    commands: VecDeque<Command>,
    weight: Weight,
    is_closed: bool,
    /// The engine waits for `arrived`.
    is_awaited: bool,
}

impl Inbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nobody panics while holding it: pushes and swaps only.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, command: Command) -> Push {
        let mut queue = self.queue();
        if queue.is_closed {
            return Push::Closed(command);
        }
        let is_full = queue.weight.orders >= ORDERS_MAX || queue.weight.bytes >= BYTES_MAX;
        if is_full && !command.is_question() {
            return Push::Full(command);
        }
        let weight = command.weight();
        queue.weight.orders += weight.orders;
        queue.weight.bytes += weight.bytes;
        queue.commands.push_back(command);
        let is_awaited = std::mem::take(&mut queue.is_awaited);
        drop(queue);
        if is_awaited {
            self.arrived.notify_one();
        }
        Push::Taken
    }

    pub(super) fn is_open(&self) -> bool {
        !self.queue().is_closed
    }

    /// Refuses further commands; those inside are still taken.
    pub(super) fn close(&self) {
        self.queue().is_closed = true;
        self.arrived.notify_one();
    }

    /// Swaps everything that has arrived into `taken`, which is empty. Waits at most `patience` for
    /// something to arrive. `false` when closed: then there will be nothing more.
    pub(super) fn take(&self, taken: &mut VecDeque<Command>, patience: Duration) -> bool {
        let mut queue = self.queue();
        if queue.commands.is_empty() && !queue.is_closed && !patience.is_zero() {
            queue.is_awaited = true;
            let waited = self.arrived.wait_timeout_while(queue, patience, |queue| {
                queue.commands.is_empty() && !queue.is_closed
            });
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.is_awaited = false;
        }
        std::mem::swap(&mut queue.commands, taken);
        queue.weight = Weight::default();
        !queue.is_closed
    }
}
