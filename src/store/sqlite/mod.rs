//! The SQLite store: one writer, several readers, one file with its write-ahead log beside it.
//!
//! A commit is one transaction with `synchronous=FULL`: when it has returned, it survives power
//! loss. The log is moved into the database by a thread of its own, off the way of an answer. Holds
//! a lock on the data folder while it lives, so that there is never a second writer.

mod checkpoint;
mod insert;
mod keys;
mod ledger;
mod lists;
mod open;
mod pen;
mod read;
mod read_events;
mod renew;
mod reopen;
mod reserve;
mod row;
mod snapshot;
mod space;
mod transfer;
mod witness;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use self::pen::Pen;
pub use self::renew::Renew;
pub use self::snapshot::Snapshot;
use self::space::Space;
pub use self::space::{FileSystem, Gauge};
pub use self::transfer::Moving;
use self::witness::Witness;
use self::write::Writer;
use super::error::given_up;
use super::{
    Durability, EventPlace, EventView, JournalRow, Ledger, ListQuery, Options, Page, Reading,
    Reopened, Room, Store, StoreError,
};
use crate::clock::Timestamp;
use crate::order::{
    Commit, Fingerprint, KeptKey, OpenOrder, Opening, Order, OrderId, Position, Receipt,
    RequestKey, Seq, ShardNumber,
};

/// An opened SQLite store.
pub struct Sqlite {
    path: PathBuf,
    renew: Renew,
    /// `None` once it failed and no other could be had.
    pen: Arc<Mutex<Option<Pen>>>,
    /// `None`: nobody looks at the room on the disk.
    space: Option<Mutex<Space>>,
    /// `None`: nobody notices if something that was flushed is missing.
    witness: Option<Witness>,
    /// For single rows, used right where the question is asked: such a read takes some ten
    /// microseconds, and a hop to another thread costs more than that.
    points: Arc<Pool>,
    /// For pages and scans, used on threads that may block.
    scans: Arc<Pool>,
    durability: Durability,
    /// Damaged rows that reads have met.
    bad_rows: AtomicU64,
    _lock: Option<File>,
}

/// A few connections that only read.
struct Pool {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Pool {
    fn open(path: &Path, size: usize) -> Result<Arc<Self>, StoreError> {
        let connections = (0..size.max(1)).map(|_| open::reader(path).map(Mutex::new));
        let connections = connections.collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            connections,
            next: AtomicUsize::new(0),
        }))
    }

    /// Closes every connection until it is opened anew; whoever wants to read waits. The guards are
    /// in the order of the connections.
    fn close(&self) -> Result<Vec<MutexGuard<'_, Connection>>, StoreError> {
        let all = self.connections.iter().map(|connection| {
            let mut guard = connection.lock().unwrap_or_else(PoisonError::into_inner);
            *guard = Connection::open_in_memory().map_err(row::unreadable)?;
            Ok(guard)
        });
        all.collect()
    }

    /// A free connection, or the next one as soon as it is free.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        let free = self
            .connections
            .iter()
            .find_map(|connection| connection.try_lock().ok());
        free.unwrap_or_else(|| {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
            // A reader that panicked left nothing half done: reading changes nothing.
            self.connections[turn]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        })
    }
}

impl Sqlite {
    /// Opens, creates or migrates the database at `path`, with `readers` connections for single
    /// rows. Nobody looks at the room on the disk. On another of SQLite's file systems
    /// (`file:PATH?vfs=NAME`) no folder is locked.
    pub fn open(path: &Path, readers: usize) -> Result<Self, StoreError> {
        Self::open_with(path, &Options::readers(readers))
    }

    /// The same, with all that can be chosen.
    pub fn open_with(path: &Path, options: &Options) -> Result<Self, StoreError> {
        Self::open_on(path, options, space::gauge(path), renew::of(path))
    }

    /// The same on a disk whose room `gauge` tells, with a log that `renew` renews.
    pub fn open_on(
        path: &Path,
        options: &Options,
        gauge: Gauge,
        renew: Renew,
    ) -> Result<Self, StoreError> {
        let Options {
            readers,
            list_readers,
            free_space_min,
            wants_witness,
            timeouts: _,
            settings_every: _,
        } = *options;
        let lock = open::lock_folder(path)?;
        let mut space = Space::watch(path, free_space_min, gauge);
        let opened = Pen::open(path, &renew).or_else(|error| {
            let is_worth_it = space.as_mut().is_some_and(Space::start_failed);
            if is_worth_it {
                Pen::open(path, &renew)
            } else {
                Err(error)
            }
        });
        let (pen, durability) = opened?;
        Ok(Self {
            path: path.into(),
            renew,
            pen: Arc::new(Mutex::new(Some(pen))),
            space: space.map(Mutex::new),
            witness: wants_witness.then(|| Witness::beside(path)).flatten(),
            points: Pool::open(path, readers)?,
            scans: Pool::open(path, list_readers)?,
            durability,
            bad_rows: AtomicU64::new(0),
            _lock: lock,
        })
    }

    fn pen(&self) -> MutexGuard<'_, Option<Pen>> {
        lock(&self.pen)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut pen = self.pen();
        let pen = pen.as_mut().ok_or_else(given_up)?;
        work(&mut pen.writer)
    }

    /// Whether the log is being copied into the database at this moment, by a thread of its own.
    pub fn is_copying(&self) -> bool {
        let pen = self.pen();
        pen.as_ref()
            .is_some_and(|pen| pen.checkpointer.is_copying())
    }

    fn space(&self) -> Option<MutexGuard<'_, Space>> {
        let space = self.space.as_ref()?;
        Some(space.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// There was no room for a commit. `true`: now there is some, and it is worth another try.
    fn make_room(&self) -> bool {
        let is_given_up = self.space().is_some_and(|mut it| it.is_used_up());
        if is_given_up && let Some(pen) = &*self.pen() {
            // A log that is copied begins again at its start.
            pen.writer.checkpoint();
        }
        is_given_up
    }

    /// Counts a damaged row that a read has met.
    fn counted<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::BadRow { .. }) = &read {
            self.bad_rows.fetch_add(1, Ordering::Relaxed);
        }
        read
    }

    /// Counts the damaged rows that were left out of a page.
    fn counted_page(&self, page: Page) -> Page {
        self.bad_rows
            .fetch_add(page.left_out as u64, Ordering::Relaxed);
        page
    }

    async fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let scans = Arc::clone(&self.scans);
        let task = tokio::task::spawn_blocking(move || read(&scans.connection()));
        let read = task.await.map_err(|error| StoreError::Unreadable {
            detail: error.to_string(),
        })?;
        self.counted(read)
    }
}

fn lock(pen: &Mutex<Option<Pen>>) -> MutexGuard<'_, Option<Pen>> {
    // After a panic inside a transaction the connection still rolls back before it is used again.
    pen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last commit that was flushed, as the file beside the database at `path` says, if it does. To
/// be read before a snapshot is opened.
pub fn flushed(path: &str) -> Option<(ShardNumber, Position)> {
    witness::said(path.as_ref()).map(|(shard, position, _)| (shard, position))
}

impl Store for Sqlite {
    fn open_shard(&self, shard: ShardNumber) -> Result<Opening, StoreError> {
        let open = || {
            self.write(|writer| {
                let witness = self.witness.as_ref();
                witness.map_or(Ok(()), |it| it.check(&writer.connection, shard))?;
                writer.open_shard(shard)
            })
        };
        open().or_else(|error| {
            let is_full = matches!(error, StoreError::Full { .. });
            let is_worth_it = is_full && self.space().is_some_and(|mut it| it.start_failed());
            if is_worth_it { open() } else { Err(error) }
        })
    }

    fn sent_under(
        &self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        self.write(|writer| keys::sent_under(&writer.connection, key, expired_before))
    }

    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        let write = || {
            self.write(|writer| {
                let receipt = writer.commit(commit)?;
                if let Some((witness, head)) = self.witness.as_ref().zip(writer.head) {
                    witness.note(head);
                }
                Ok(receipt)
            })
        };
        match write() {
            Err(StoreError::Full { .. }) if self.make_room() => write(),
            committed => committed,
        }
    }

    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError> {
        let mut pen = self.pen();
        let failed = pen.take().ok_or_else(given_up)?;
        let known = failed.writer.give_up();
        drop(failed.checkpointer);
        if let Some(mut space) = self.space() {
            space.needs_room();
        }
        // What connections share says which pages of the log are copied, and that may be what a
        // failed flush has lost. Without any of them it is made anew from the log itself.
        let mut readers = self.points.close()?;
        readers.extend(self.scans.close()?);
        let opened = Pen::open(&self.path, &self.renew).and_then(|(mut fresh, _)| {
            let fate = fresh.writer.find_out(commit, known)?;
            let opening = fresh.writer.open_shard(commit.shard)?;
            *pen = Some(fresh);
            Ok(Reopened { opening, fate })
        });
        for mut reader in readers {
            *reader = open::reader(&self.path)?;
        }
        opened
    }

    fn tidy_up(&self) {
        if let Some(pen) = &*self.pen() {
            pen.checkpointer.tidy_up(|| pen.writer.checkpoint());
        }
    }

    fn bad_rows(&self) -> u64 {
        self.bad_rows.load(Ordering::Relaxed)
    }

    fn room(&self) -> Room {
        let log = self.pen().as_ref().map(|pen| pen.checkpointer.watch());
        let room = self.space().zip(log).map(|(mut it, log)| it.room(&log));
        room.unwrap_or_default()
    }

    fn durability(&self) -> Durability {
        self.durability.clone()
    }

    fn open_orders(
        &self,
        after: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError> {
        self.counted(read::open_orders(
            &self.scans.connection(),
            after,
            last,
            limit,
        ))
    }

    fn order<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Order>> {
        Box::pin(async move { self.counted(read::order(&self.points.connection(), id)) })
    }

    fn orders_at(&self, seqs: &[Seq]) -> Result<Vec<Order>, StoreError> {
        let read = |seqs: &[Seq]| read::orders_at(&self.points.connection(), seqs);
        let page = Page::of_each(seqs, read)?;
        Ok(self.counted_page(page).orders)
    }

    fn kept_key<'a>(&'a self, scope: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>> {
        Box::pin(async move { keys::find(&self.points.connection(), scope, key) })
    }

    fn orders(&self, query: ListQuery) -> Reading<'_, Page> {
        let read = self.scan(move |connection| lists::orders(connection, &query));
        Box::pin(async move { Ok(self.counted_page(read.await?)) })
    }

    fn history<'a>(
        &'a self,
        id: &'a OrderId,
        after: EventPlace,
        limit: usize,
    ) -> Reading<'a, Option<Vec<EventView>>> {
        let id = id.clone();
        Box::pin(self.scan(move |connection| read_events::history(connection, &id, after, limit)))
    }

    fn events(&self, after: EventPlace, limit: usize) -> Reading<'_, Vec<EventView>> {
        Box::pin(self.scan(move |connection| read_events::events(connection, after, limit)))
    }

    fn journal(&self, after: Position, limit: usize) -> Reading<'_, Vec<JournalRow>> {
        Box::pin(self.scan(move |connection| read::journal(connection, after, limit)))
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        Some(self)
    }
}
