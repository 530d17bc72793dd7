//! The store: makes commits durable, and reads them back.
//!
//! One write verb, `commit`; everything else reads. Stores decide nothing: the unique constraint on
//! ids and the epoch of a shard are their only opinions. Each backend has its own folder and its
//! own plain SQL.

mod beside;
mod columns;
mod error;
mod feed;
mod follow;
pub mod journal;
mod ledger;
mod motor;
pub mod mysql;
pub mod postgres;
mod query;
pub mod sqlite;
pub mod transfer;
mod writing;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use error::StoreError;
pub use ledger::{AnswerUnder, KeptDelivery, KeptWebhook, Ledger, Note};
pub use query::{Durability, EventPlace, EventView, JournalRow, ListQuery, Page, Room, ShardHead};

use crate::clock::Timestamp;
use crate::order::{
    Commit, Fingerprint, KeptKey, OpenOrder, Opening, Order, OrderId, Position, Process,
    ProcessTally, Receipt, RequestKey, Seq, ShardNumber,
};

/// A read in progress. Reads run beside commits and never hold them up.
pub type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where orders are kept.
///
/// `open_shard`, `sent_under`, `commit` and `reopen` block and are called by the engine's thread
/// alone. Reads may be called from anywhere, at any time, and see the latest commit that has
/// returned.
pub trait Store: Send + Sync {
    /// Takes over a shard: raises and stores its epoch, so that whoever had it before is fenced,
    /// and tells where it stands. Durable when it returns.
    fn open_shard(&self, shard: ShardNumber) -> Result<Opening, StoreError>;

    /// The fingerprint of what was sent under a key, if something is kept under it since
    /// `expired_before` or later. Changes under a key are decided only if it is free; nobody else
    /// can take it before they are committed.
    ///
    /// With [`StoreError::Unreachable`] nobody could be asked; any other error is about this key.
    fn sent_under(
        &self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError>;

    /// Makes one batch of changes durable, all or nothing, if its epoch is still the shard's.
    ///
    /// A new order whose id or idempotency key is taken is left out, with its events, and named in
    /// the receipt; it never fails the batch. The key is looked at first, and an order that is left
    /// out leaves its key free. The errors say whether anything may have been stored; see
    /// [`StoreError`].
    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError>;

    /// Finds out what became of the last commit, whose fate was unknown.
    ///
    /// Gives up the handle on which it failed, opens another one, has everything that is stored
    /// written out and flushed through it, looks where the journal ends, and takes over the shard
    /// anew. After an error there is no way to write left. Readers wait meanwhile, and
    /// then go on.
    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError>;

    /// Does housekeeping that would hold up a commit. Called between commits, after the answers are
    /// out.
    fn tidy_up(&self);

    /// How many damaged rows reads have met since the store was opened.
    fn bad_rows(&self) -> u64 {
        0
    }

    /// The room on disk, from a reading that is at most 100 ms old. Cheap; called in every turn of
    /// the engine, and by its thread alone.
    fn room(&self) -> Room {
        Room::default()
    }

    /// How safe a commit is once it has returned, as read from the engine's real settings.
    fn durability(&self) -> Durability;

    /// Open orders of a shard with sequence numbers above `after`, up to and including `last`,
    /// ascending. At most `limit`; fewer mean that there are no more.
    fn open_orders(
        &self,
        after: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError>;

    /// One order.
    fn order<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Order>>;

    /// The orders with these sequence numbers, in any order; one that is not there, or whose row is
    /// damaged, is left out. Blocks: for threads on which no tasks run.
    fn orders_at(&self, seqs: &[Seq]) -> Result<Vec<Order>, StoreError>;

    /// What is kept under an idempotency key, whether it is over or not.
    fn kept_key<'a>(&'a self, scope: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>>;

    /// A page of orders, newest first.
    fn orders(&self, query: ListQuery) -> Reading<'_, Page>;

    /// One order's history after a place in the journal, oldest first, at most `limit` events.
    /// `None` if there is no such order. Goes back from the order's last event to that place.
    fn history<'a>(
        &'a self,
        id: &'a OrderId,
        after: EventPlace,
        limit: usize,
    ) -> Reading<'a, Option<Vec<EventView>>>;

    /// Events of all orders after a place in the journal, oldest first, at most `limit`.
    fn events(&self, after: EventPlace, limit: usize) -> Reading<'_, Vec<EventView>>;

    /// Journal rows after a position, ascending, at most `limit`.
    fn journal(&self, after: Position, limit: usize) -> Reading<'_, Vec<JournalRow>>;

    /// Where receivers of webhooks are kept, if it keeps any.
    fn ledger(&self) -> Option<&dyn Ledger> {
        None
    }
}

/// A store in one consistent state, for an offline look at it by `orderd verify`: read-only, beside
/// a running server. Every read fails on a row that breaks an invariant, and names it.
pub trait Snapshot {
    /// The counters of a shard by process, as stored.
    fn tallies(&self, shard: ShardNumber) -> Result<Vec<ProcessTally>, StoreError>;

    /// Every process that an order pins.
    fn definitions(&self) -> Result<Vec<Process>, StoreError>;

    /// Journal rows after a position, ascending, at most `limit`.
    fn journal(&self, after: Position, limit: usize) -> Result<Vec<JournalRow>, StoreError>;

    /// Orders with sequence numbers above `after`, ascending, at most `limit`.
    fn orders(&self, after: Seq, limit: usize) -> Result<Vec<Order>, StoreError>;

    /// Outputs of steps whose order is not there, by sequence number and step, at most `limit`.
    fn stray_outputs(&self, limit: usize) -> Result<Vec<(Seq, String)>, StoreError>;

    /// Where a shard's journal ends, if it was ever opened.
    fn head(&self, shard: ShardNumber) -> Result<Option<ShardHead>, StoreError>;

    /// What the engine itself says about its files: empty if they are sound.
    fn integrity(&self) -> Result<Vec<String>, StoreError>;
}

/// What a store knows after it was opened anew.
#[derive(Debug)]
pub struct Reopened {
    /// Where the shard stands, under a new epoch.
    pub opening: Opening,
    /// What became of the commit: its receipt if it is stored. `None`: it is not, and never will
    /// be.
    pub fate: Option<Receipt>,
}

/// How often the settings of a database server are read, unless somebody wants it otherwise.
pub const SETTINGS_EVERY: Duration = Duration::from_secs(3_600);

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections for looking up single orders.
    pub readers: usize,
    /// Connections for lists, histories and the feed.
    pub list_readers: usize,
    /// How long is waited for a database server.
    pub timeouts: Timeouts,
    /// How often the settings of a database server are read. A file has its own.
    pub settings_every: Duration,
    /// Bytes that must be free on the disk for new orders to be stored; 0: nobody looks. `None`: it
    /// follows from the size of the disk.
    pub free_space_min: Option<u64>,
    /// A file beside the database says how far it had come, so that it is noticed when something
    /// that was flushed is missing at the next start.
    pub wants_witness: bool,
}

impl Options {
    /// So many readers; nobody looks at the disk, and there is no witness.
    pub fn readers(readers: usize) -> Self {
        Self {
            readers,
            list_readers: 2,
            timeouts: Timeouts::default(),
            settings_every: SETTINGS_EVERY,
            free_space_min: Some(0),
            wants_witness: false,
        }
    }
}

/// How long is waited for a database server. A file needs none of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One try to reach it, until a commit could be sent.
    pub connect: Duration,
    /// The answer to a commit. Without it the connection counts as lost. A statement that the
    /// server itself does not get done is given up a fifth earlier, and then nothing is stored.
    pub commit: Duration,
    /// The answer to a read.
    pub read: Duration,
}

impl Timeouts {
    /// How long the server may be at a statement of a commit.
    pub fn statement(&self) -> Duration {
        self.commit * 4 / 5
    }
}

impl Default for Timeouts {
    /// 2 s, 5 s and 10 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            commit: Duration::from_secs(5),
            read: Duration::from_secs(10),
        }
    }
}

/// Opens the store that a URL names, with so many readers, and looks at no disk.
///
/// # Errors
///
/// As [`open_with`].
pub fn open(url: &str, readers: usize) -> Result<Arc<dyn Store>, StoreError> {
    open_with(url, &Options::readers(readers))
}

/// Opens the store that a URL names: `sqlite:PATH`, `postgres://…`, `postgresql://…` or `mysql://…`.
///
/// Creates and migrates it if need be.
///
/// # Errors
///
/// It is locked by another server, is newer than this binary, or cannot be written.
pub fn open_with(url: &str, options: &Options) -> Result<Arc<dyn Store>, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Arc::new(sqlite::Sqlite::open_with(path.as_ref(), options)?)),
        Some(("postgres" | "postgresql", _)) => {
            Ok(Arc::new(postgres::Postgres::open(url, options)?))
        }
        Some(("mysql", _)) => Ok(Arc::new(mysql::Mysql::open(url, options)?)),
        _ => Err(unknown(url)),
    }
}

/// Opens the store that a URL names for looking at it. Creates and migrates nothing.
///
/// Fails if there is none, if it is newer than this binary, if it is a copy that is not complete,
/// or if it cannot be read.
pub fn snapshot(url: &str) -> Result<Box<dyn Snapshot>, StoreError> {
    look(url, false)
}

/// The same for whoever completes a copy.
pub fn snapshot_of_copy(url: &str) -> Result<Box<dyn Snapshot>, StoreError> {
    look(url, true)
}

fn look(url: &str, half_copied: bool) -> Result<Box<dyn Snapshot>, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", path)) => {
            let path = path.as_ref();
            Ok(Box::new(sqlite::Snapshot::open(path, half_copied)?))
        }
        Some(("postgres" | "postgresql", _)) => {
            Ok(Box::new(postgres::View::open(url, half_copied)?))
        }
        Some(("mysql", _)) => Ok(Box::new(mysql::View::open(url, half_copied)?)),
        _ => Err(unknown(url)),
    }
}

fn unknown(url: &str) -> StoreError {
    StoreError::UnknownUrl {
        url: url.split("://").next().unwrap_or("").into(),
    }
}
