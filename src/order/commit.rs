//! What a shard asks the store to make durable in one go, and the store's receipt.
//!
//! Data only. An order that changed several times since the last commit is in here once, in its
//! latest state; its events are all there.

use std::borrow::Cow;

use super::{
    ChangeKey, Event, Hold, KeyRecord, Marks, Order, OrderState, Position, Priority, Process,
    ProcessTally, Seq, ShardNumber, StepOutput,
};
use crate::clock::Timestamp;

/// One batch of changes.
#[derive(Debug, Default)]
pub struct Commit {
    /// Whose changes.
    pub shard: ShardNumber,
    /// The epoch under which they were decided.
    pub epoch: i64,
    /// The place of its journal row, one after that of the commit before.
    pub position: Position,
    /// When it was decided.
    pub at: Timestamp,
    /// Processes that orders of this batch are the first to pin.
    pub definitions: Vec<Process>,
    /// New orders, ascending by sequence number.
    pub created: Vec<Box<Order>>,
    /// Idempotency keys of new orders, ascending by the order's index.
    pub keys: Vec<KeyRecord>,
    /// Idempotency keys of changes.
    pub change_keys: Vec<ChangeKey>,
    /// When the keys of this commit are kept, on the clock by which keys age.
    pub keys_kept_at: Timestamp,
    /// Keys that were kept before this time are over: they may be claimed again.
    pub keys_expired_before: Timestamp,
    /// Other orders that changed, each once, in any order.
    pub changed: Vec<Changed>,
    /// What steps of changed orders said when they were done, or will have said then.
    pub outputs: Vec<Output>,
    /// Every transition, in the order in which it happened.
    pub events: Vec<Event>,
    /// How the counters change if no new order collides: each process at most once.
    pub tallies: Vec<ProcessTally>,
}

/// The latest state of an order that is in the store already.
#[derive(Debug)]
pub struct Changed {
    /// Which order.
    pub seq: Seq,
    /// Its state.
    pub state: OrderState,
    /// The reason that is stored is still the right one, and that in `state` is to be left out.
    pub keeps_reason: bool,
    /// What stands beside the state, if that changed too.
    pub beside: Option<Box<Beside>>,
}

impl Changed {
    /// The order with nothing but another state.
    pub fn to(seq: Seq, state: OrderState) -> Self {
        Self {
            seq,
            state,
            keeps_reason: false,
            beside: None,
        }
    }
}

/// What stands beside an order's state and changes only when somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its priority.
    pub priority: Priority,
    /// The hold that is open.
    pub hold: Option<Hold>,
    /// What is remembered of its steps.
    pub marks: Marks,
}

/// What a step of an order said when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Which order.
    pub seq: Seq,
    /// Place of the step in its process, from 0.
    pub number: u8,
    /// The step and what it said. Takes the place of what the same step said before.
    pub output: StepOutput,
}

/// What became of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Indexes into `Commit::created` of the orders that were left out because their id or
    /// their idempotency key is taken;
    /// ascending.
    pub collided: Vec<usize>,
    /// Those of `collided` that were left out because their idempotency key is taken; ascending.
    pub keys_taken: Vec<usize>,
}

impl Commit {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty()
            && self.changed.is_empty()
            && self.definitions.is_empty()
            && self.change_keys.is_empty()
    }

    /// The latest state of an order that changes in this commit.
    pub fn change_of(&self, seq: Seq) -> Option<&Changed> {
        self.changed.iter().rfind(|changed| changed.seq == seq)
    }

    /// How many orders it touches.
    pub fn len(&self) -> usize {
        self.created.len() + self.changed.len()
    }

    /// The sequence number of the new order with this index, and that of the last one.
    pub fn seqs_from(&self, at: usize) -> (Seq, Seq) {
        let own = self.created.get(at).map_or(Seq::default(), |it| it.seq);
        let last = self.created.last().map_or(own, |it| it.seq);
        (own, last)
    }

    /// The events that are true if the `collided` new orders are left out.
    pub fn surviving_events<'a>(
        &'a self,
        collided: &'a [usize],
    ) -> impl Iterator<Item = &'a Event> {
        // Both the indexes and the orders they point to ascend.
        let is_left_out = |seq| {
            collided
                .binary_search_by_key(&seq, |at| self.created[*at].seq)
                .is_ok()
        };
        self.events
            .iter()
            .filter(move |event| collided.is_empty() || !is_left_out(event.seq))
    }

    /// How the counters change if the `collided` orders are left out.
    pub fn tally_changes(&self, collided: &[usize]) -> Cow<'_, [ProcessTally]> {
        if collided.is_empty() {
            return Cow::Borrowed(&self.tallies);
        }
        let mut changes = self.tallies.clone();
        for order in collided.iter().map(|at| &self.created[*at]) {
            ProcessTally::among(&mut changes, &order.process).count(order, -1);
        }
        Cow::Owned(changes)
    }
}
