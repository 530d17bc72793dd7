//! What is read from a store: questions and answers.
//!
//! Data only, the same for every backend. Row structs stay inside the backends.

use std::sync::Arc;

use super::StoreError;
use crate::clock::Timestamp;
use crate::order::{Detail, EventKind, Order, OrderId, Position, Priority, Seq, StatusKind};

/// Where a shard's journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardHead {
    /// The epoch under which it was opened last.
    pub epoch: i64,
    /// The last commit.
    pub position: Position,
    /// The hash of its journal row.
    pub hash: [u8; 32],
    /// The highest sequence number ever stored.
    pub last_seq: Seq,
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
    /// Only orders that are held back (`true`), or only others.
    pub is_held: Option<bool>,
    /// Only orders that are at this step. For statuses that are not final.
    pub step: Option<Box<str>>,
    /// Only orders whose reason contains this. For statuses that are not final.
    pub reason: Option<Box<str>>,
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
    /// Where to go on, if there may be more. A read is bounded, so a page may be short, even empty,
    /// and still have a next one.
    pub next: Option<Seq>,
    /// Orders that belong here and are left out because their rows are damaged.
    pub left_out: usize,
}

impl Page {
    /// A page of orders that were read one by one.
    pub(super) fn of(
        read: impl IntoIterator<Item = Result<Order, StoreError>>,
    ) -> Result<Self, StoreError> {
        let mut page = Self::default();
        for read in read {
            page.take(read)?;
        }
        Ok(page)
    }

    /// Orders that are read together. Where that meets damage they are read one by one: a page of
    /// the file that cannot be read must not hide all the others.
    pub(super) fn of_each(
        seqs: &[Seq],
        read: impl Fn(&[Seq]) -> Result<Self, StoreError>,
    ) -> Result<Self, StoreError> {
        match read(seqs) {
            Err(StoreError::BadRow { .. }) => {}
            page => return page,
        }
        let mut page = Self::default();
        for seq in seqs {
            match read(&[*seq]) {
                Ok(mut one) => {
                    page.orders.append(&mut one.orders);
                    page.left_out += one.left_out;
                }
                Err(error) => _ = page.take(Err(error))?,
            }
        }
        Ok(page)
    }

    /// Takes an order that was read, or counts it if its row is damaged: one must not hide all the
    /// others. Answers with the size of its payload.
    pub(super) fn take(&mut self, read: Result<Order, StoreError>) -> Result<usize, StoreError> {
        match read {
            Ok(order) => {
                let bytes = order.payload.len();
                self.orders.push(order);
                Ok(bytes)
            }
            Err(error @ StoreError::BadRow { .. }) => {
                tracing::error!(%error, "an order is left out of a list");
                self.left_out += 1;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }
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
    /// Who ordered.
    pub customer_id: Arc<str>,
    /// The process that the order goes through.
    pub process: Arc<str>,
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
    /// Who asked for it, if somebody did and said so.
    pub by: Option<Box<str>>,
    /// What it sets beside the status.
    pub detail: Option<Detail>,
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
    /// `disk`: survives power loss of this machine. `memory`: does not, the file system is in
    /// memory. `network`: is up to a network file system. `weak`: does not any more, somebody has
    /// changed the database server's settings.
    pub level: &'static str,
    /// The engine and the settings that this follows from.
    pub detail: String,
}

/// The room on the disk of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The store cannot be reached: nothing can be stored.
    pub is_away: bool,
    /// Another server has opened the shard: nothing will ever be stored here again.
    pub is_taken_over: bool,
    /// A commit would not survive power loss any more: no new orders are to be stored.
    pub is_weak: bool,
    /// Too little is free: no new orders are to be stored.
    pub is_low: bool,
    /// Bytes that are free. `None`: nobody looks, or nobody knows.
    pub free: Option<u64>,
    /// Bytes below which no new orders are to be stored. It rises with what is not copied from the
    /// log into the database yet.
    pub free_min: u64,
    /// Bytes that are set apart for orders that are open, for a disk that is full.
    pub reserve: u64,
}
