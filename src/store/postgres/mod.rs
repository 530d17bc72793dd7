//! The PostgreSQL store: one connection that writes, several that read.
//!
//! A commit is one transaction that leaves in one go and is answered in one go. When it has
//! returned, it survives what the server's settings say, which are read at the start. Holds an
//! advisory lock while it lives, so that a second server does not start; a commit under an old
//! epoch is refused in any case.

mod arrays;
mod binary;
mod claims;
mod connect;
mod error;
mod ledger;
mod lists;
mod open;
mod pool;
mod read;
mod read_events;
mod reopen;
mod revive;
mod row;
mod snapshot;
mod statements;
mod tail;
mod tls;
mod transfer;
mod url;
mod write;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::connect::Target;
use self::pool::Pool;
pub use self::snapshot::View;
pub use self::transfer::Moving;
use self::write::Writer;
use super::error::given_up;
use super::ledger::Tenure;
use super::motor::Motor;
use super::{
    Durability, EventPlace, EventView, JournalRow, Ledger, ListQuery, Options, Page, Reading,
    Reopened, Room, Store, StoreError, follow,
};
use crate::clock::{self, Timestamp};
use crate::order::{
    Commit, Fingerprint, KeptKey, OpenOrder, Opening, Order, OrderId, Position, Receipt,
    RequestKey, Seq, ShardNumber,
};

/// How often the connection is looked at between commits.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// After so long without a commit something is said on the connection.
const BEAT_EVERY: Duration = Duration::from_millis(900);

/// An opened PostgreSQL store.
pub struct Postgres {
    /// `None` once it failed and no other could be had.
    pen: Mutex<Option<Pen>>,
    /// For single rows.
    points: Pool,
    /// For pages and scans.
    scans: Pool,
    /// For what is kept beside orders.
    clerk: Pool,
    tenure: Tenure,
    durability: Durability,
    /// Damaged rows that reads have met.
    bad_rows: AtomicU64,
    /// The database could not be reached when it was looked for last.
    is_away: AtomicBool,
    /// Another server has the shard.
    is_taken_over: AtomicBool,
    /// Moves the bytes of those that read.
    motor: Motor,
}

/// All that writes: a connection, and what moves its bytes while somebody waits.
struct Pen {
    writer: Writer,
    motor: Motor,
    /// When the connection was last looked at between two commits.
    looked_at: Instant,
    /// When something was last said on it.
    heard_at: Instant,
}

impl Pen {
    fn open(target: &Target) -> Result<(Self, Durability), StoreError> {
        let motor = Motor::while_waiting()?;
        let opening = Writer::open(target.clone());
        let (writer, durability) = motor.run(opening)?;
        let now = clock::monotonic();
        let pen = Self {
            writer,
            motor,
            looked_at: now,
            heard_at: now,
        };
        Ok((pen, durability))
    }

    /// Runs work of the writer, and the bytes it needs, on this thread.
    fn run<'a, T, F>(&'a mut self, work: impl FnOnce(&'a mut Writer) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'a,
        T: Send,
    {
        self.motor.run(work(&mut self.writer))
    }
}

impl Postgres {
    /// Opens or migrates the database that `url` names.
    pub fn open(url: &str, options: &Options) -> Result<Self, StoreError> {
        let target = Target::of_url(url, options.timeouts)?;
        let (pen, durability) = Pen::open(&target)?;
        let readers_motor = Motor::at_any_time("postgres")?;
        let handle = readers_motor.handle()?;
        let clerk = Pool::new(target.clone(), handle.clone(), 1).that_writes();
        let pool = |size| Pool::new(target.clone(), handle.clone(), size);
        Ok(Self {
            points: pool(options.readers),
            scans: pool(2),
            clerk,
            tenure: Tenure::default(),
            pen: Mutex::new(Some(pen)),
            durability,
            bad_rows: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            is_taken_over: AtomicBool::new(false),
            motor: readers_motor,
        })
    }

    fn pen(&self) -> MutexGuard<'_, Option<Pen>> {
        // After a panic inside a transaction its connection is not used again.
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Postgres {
    /// Counts the damaged rows that were left out of a page.
    fn counted_page(&self, page: Page) -> Page {
        self.bad_rows
            .fetch_add(page.left_out as u64, Ordering::Relaxed);
        page
    }

    /// Counts a damaged row that a read meets.
    async fn counted<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let read = read.await;
        if let Err(StoreError::BadRow { .. }) = &read {
            self.bad_rows.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}

impl Store for Postgres {
    fn open_shard(&self, shard: ShardNumber) -> Result<Opening, StoreError> {
        let mut pen = self.pen();
        let pen = pen.as_mut().ok_or_else(given_up)?;
        let opening = pen.run(|writer| writer.open_shard(shard))?;
        self.tenure.begin(shard, opening.epoch);
        Ok(opening)
    }

    fn sent_under(
        &self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        let mut pen = self.pen();
        let pen = pen.as_mut().ok_or_else(given_up)?;
        pen.run(|writer| writer.sent_under(key, expired_before))
    }

    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        let mut pen = self.pen();
        let pen = pen.as_mut().ok_or_else(given_up)?;
        if self.is_away.load(Ordering::Relaxed) && !pen.writer.is_lost {
            let detail = "the database is away".into();
            return Err(StoreError::Refused { detail });
        }
        let committed = pen.run(|writer| writer.commit(commit));
        pen.heard_at = clock::monotonic();
        if pen.writer.is_held_up {
            self.is_away.store(true, Ordering::Relaxed);
        }
        committed
    }

    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError> {
        let mut pen = self.pen();
        let lost = pen.as_mut().ok_or_else(given_up)?;
        let reopened = lost.run(|writer| writer.reopen(commit));
        if let Ok(Reopened { opening, .. }) = &reopened {
            self.tenure.begin(commit.shard, opening.epoch);
        }
        if !matches!(reopened, Ok(_) | Err(StoreError::Unreachable { .. })) {
            *pen = None;
        }
        reopened
    }

    /// Looks whether the connection is still there, and replaces it if not. Says something on it
    /// now and then, so that other servers know that this one lives.
    fn tidy_up(&self) {
        let mut pen = self.pen();
        let Some(pen) = pen.as_mut().filter(|pen| !pen.writer.is_lost) else {
            return;
        };
        if pen.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        let is_quiet = pen.heard_at.elapsed() >= BEAT_EVERY;
        let touched = if pen.writer.is_held_up {
            pen.run(|writer| writer.try_locks())
        } else if is_quiet {
            pen.run(|writer| writer.beat())
        } else {
            pen.run(|writer| writer.keep_in_touch(false))
        };
        pen.looked_at = clock::monotonic();
        if is_quiet {
            pen.heard_at = pen.looked_at;
        }
        let is_taken_over = matches!(touched, Err(StoreError::Fenced));
        self.is_taken_over.store(is_taken_over, Ordering::Relaxed);
        let was_away = self.is_away.swap(touched.is_err(), Ordering::Relaxed);
        match touched {
            Err(StoreError::Fenced) => {}
            Err(error) if !was_away => {
                tracing::error!(%error, "the database is away; it is tried again and again");
            }
            Ok(()) if was_away => tracing::warn!("the database is there again"),
            _ => {}
        }
    }

    fn room(&self) -> Room {
        Room {
            is_away: self.is_away.load(Ordering::Relaxed),
            is_taken_over: self.is_taken_over.load(Ordering::Relaxed),
            ..Room::default()
        }
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
        let read = async {
            let link = self.scans.link().await?;
            read::open_orders(&link, after, last, limit).await
        };
        self.motor.run(self.counted(read))
    }

    fn bad_rows(&self) -> u64 {
        self.bad_rows.load(Ordering::Relaxed)
    }

    fn order<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Order>> {
        Box::pin(self.counted(async move { read::order(&*self.points.link().await?, id).await }))
    }

    fn orders_at(&self, seqs: &[Seq]) -> Result<Vec<Order>, StoreError> {
        let page = Page::of_each(seqs, |seqs| {
            let read = async { read::orders_at(&*self.points.link().await?, seqs).await };
            self.motor.run(read)
        })?;
        Ok(self.counted_page(page).orders)
    }

    fn kept_key<'a>(&'a self, scope: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>> {
        Box::pin(async move { read::kept_key(&*self.points.link().await?, scope, key).await })
    }

    fn orders(&self, query: ListQuery) -> Reading<'_, Page> {
        let read = async move { lists::orders(&*self.scans.link().await?, &query).await };
        Box::pin(async move {
            let page = self.counted(read).await?;
            Ok(self.counted_page(page))
        })
    }

    fn history<'a>(
        &'a self,
        id: &'a OrderId,
        after: EventPlace,
        limit: usize,
    ) -> Reading<'a, Option<Vec<EventView>>> {
        let read =
            async move { follow::history(&mut &*self.scans.link().await?, id, after, limit).await };
        Box::pin(self.counted(read))
    }

    fn events(&self, after: EventPlace, limit: usize) -> Reading<'_, Vec<EventView>> {
        let read =
            async move { follow::events(&mut &*self.scans.link().await?, after, limit).await };
        Box::pin(self.counted(read))
    }

    fn journal(&self, after: Position, limit: usize) -> Reading<'_, Vec<JournalRow>> {
        Box::pin(async move { read::journal(&*self.scans.link().await?, after, limit).await })
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        Some(self)
    }
}
