//! The engine's bounded inbox: many senders, one thread that takes everything at once.
//!
//! Never blocks a sender: full is an answer. The engine is woken only if it sleeps, so a busy
//! engine costs its senders one short lock and no system call.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Stats, SubmitError};
use crate::order::{NewOrder, Order, OrderState};

/// Most orders that wait in the inbox: more than a second's worth, and some tens of MiB.
const ORDERS_MAX: usize = 65_536;

/// What is sent back for one submitted order.
pub type Answer = Result<Box<Order>, SubmitError>;

/// What an engine is asked to do.
pub(super) enum Command {
    /// Accept an order.
    Submit {
        order: Box<NewOrder>,
        reply: oneshot::Sender<Answer>,
        arrived_at: Instant,
        watch: Option<oneshot::Sender<OrderState>>,
    },
    /// Accept many orders in one commit.
    SubmitBatch {
        orders: Vec<NewOrder>,
        reply: oneshot::Sender<Vec<Answer>>,
        arrived_at: Instant,
    },
    /// Tell about yourself.
    Stats { reply: oneshot::Sender<Stats> },
}

impl Command {
    /// How much of the inbox it takes.
    fn weight(&self) -> usize {
        match self {
            Self::SubmitBatch { orders, .. } => orders.len().max(1),
            _ => 1,
        }
    }
}

/// What became of a pushed command.
pub(super) enum Push {
    Taken,
    Full,
    Closed,
}

#[derive(Default)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    commands: VecDeque<Command>,
    weight: usize,
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
            return Push::Closed;
        }
        if queue.weight >= ORDERS_MAX {
            return Push::Full;
        }
        queue.weight += command.weight();
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
        queue.weight = 0;
        !queue.is_closed
    }
}
