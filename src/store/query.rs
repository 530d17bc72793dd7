//! What is read from a store: questions and answers.
//!
//! Data only, the same for every backend. Row structs stay inside the backends.

use std::sync::Arc;

use super::Tally;
use crate::clock::Timestamp;
use crate::order::{
    EventKind, Order, OrderId, OrderState, Position, Priority, Process, Seq, StatusKind,
};

/// Where a shard stands when it is opened.
#[derive(Debug, Default)]
pub struct Opening {
    /// The new epoch, already stored.
    pub epoch: i64,
    /// The highest sequence number ever given, or the shard's base.
    pub last_seq: Seq,
    /// The position of the last commit, or the shard's base.
    pub position: Position,
    /// Counters as of that commit.
    pub tally: Tally,
    /// Every process that an order ever pinned.
    pub definitions: Vec<Process>,
}

/// An open order as the shard needs it after a restart.
#[derive(Clone, Debug)]
pub struct OpenOrder {
    /// Its sequence number.
    pub seq: Seq,
    /// Name of its process.
    pub process: Arc<str>,
    /// Version of the process that it pins.
    pub process_version: u32,
    /// Its head start.
    pub priority: Priority,
    /// No first step starts after.
    pub expires_at: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Its state when it was written last.
    pub state: OrderState,
}

/// Which orders to list. A filter that is `None` lets everything through.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only this status.
    pub status: Option<StatusKind>,
    /// Only this customer.
    pub customer_id: Option<Box<str>>,
    /// Only this priority.
    pub priority: Option<Priority>,
    /// Only this process, any version.
    pub process: Option<Box<str>>,
    /// Only orders accepted at this time or later.
    pub created_after: Option<Timestamp>,
    /// Only orders accepted before this time.
    pub created_before: Option<Timestamp>,
    /// Only sequence numbers below this one: where the page before ended.
    pub before: Option<Seq>,
    /// Most orders on the page, from 1.
    pub limit: usize,
}

/// A page of orders, newest first.
#[derive(Debug, Default)]
pub struct Page {
    /// The orders.
    pub orders: Vec<Order>,
    /// Where to go on, if there may be more. A read is bounded, so a page may be short, even empty, and
    /// still have a next one.
    pub next: Option<Seq>,
}

/// A place in the journal: a row, and an entry in it counted from 0. Orders like the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPlace {
    /// The journal row.
    pub position: Position,
    /// The entry in the row.
    pub index: u32,
}

/// An event as readers of the journal see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// Where it is.
    pub place: EventPlace,
    /// Whose history.
    pub order_id: OrderId,
    /// What happened.
    pub kind: EventKind,
    /// Where the order was afterwards.
    pub status: StatusKind,
    /// The order's version after it.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// The step it is about.
    pub step: Option<Arc<str>>,
    /// The attempt it is about, from 1; 0 if none.
    pub attempt: u16,
    /// The fence `(epoch, lease)` it is about; a lease of 0 means none.
    pub fence: (i64, i64),
    /// Why, for people.
    pub reason: Option<Box<str>>,
}

/// One commit, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Its place.
    pub position: Position,
    /// The epoch it was made under.
    pub epoch: i64,
    /// When.
    pub at: Timestamp,
    /// Its events, as [`super::journal::encode`] writes them.
    pub entries: Box<str>,
    /// SHA-256 over the hash before and everything above.
    pub hash: [u8; 32],
}

/// How safe a commit is once it has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// `disk`: survives power loss of this machine.
    pub level: &'static str,
    /// The engine and the settings that this follows from.
    pub detail: String,
}
