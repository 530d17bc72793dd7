//! The store on MySQL and MariaDB: one connection that writes, several that read.
//!
//! A commit is one transaction that leaves in one go and is answered in one go. When it has
//! returned, it survives what the server's settings say, which are read at the start. Holds a
//! named lock while it lives, so that a second server does not start; a commit under an old
//! epoch is refused in any case.

mod ask;
mod changes;
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
mod role;
mod row;
mod snapshot;
mod text;
mod transaction;
mod transfer;
mod url;
mod write;

use std::sync::Arc;

use self::connect::Target;
use self::pool::Pool;
pub use self::snapshot::View;
pub use self::transfer::Moving;
use self::write::Writer;
use super::ledger::Tenure;
use super::motor::Motor;
use super::writing::{Penholder, Writing};
use super::{
    Durability, EventPlace, EventView, JournalRow, Ledger, ListQuery, Options, Page, Reading,
    Reopened, Room, Store, StoreError, follow,
};
use crate::clock::Timestamp;
use crate::order::{
    Commit, Fingerprint, KeptKey, OpenOrder, Opening, Order, OrderId, Position, Receipt,
    RequestKey, Seq, ShardNumber,
};

/// An opened store on MySQL or MariaDB.
pub struct Mysql {
    /// All that writes.
    holder: Penholder<Writer>,
    /// For single rows.
    points: Pool,
    /// For pages and scans.
    scans: Pool,
    /// For what is kept beside orders.
    clerk: Pool,
    tenure: Tenure,
    /// Moves the bytes of those that read.
    motor: Motor,
}

impl Mysql {
    /// Opens or migrates the database that `url` names.
    pub fn open(url: &str, options: &Options) -> Result<Self, StoreError> {
        let target = Target::of_url(url, options.timeouts)?;
        let holder = Penholder::open(options.settings_every, Writer::open(target.clone()))?;
        let readers_motor = Motor::at_any_time("mysql")?;
        let handle = readers_motor.handle()?;
        let clerk = Pool::that_writes(target.clone(), handle.clone(), 1);
        let pool = |size| Pool::new(target.clone(), handle.clone(), size);
        Ok(Self {
            points: pool(options.readers),
            scans: pool(options.list_readers),
            clerk,
            tenure: Tenure::default(),
            holder,
            motor: readers_motor,
        })
    }
}

impl Drop for Mysql {
    /// Closes the connection that writes, and with it frees the lock. The driver would say goodbye
    /// on a runtime that it finds on this thread, which is not the one that moves these bytes; on a
    /// thread without one it closes at once.
    fn drop(&mut self) {
        let pen = self.holder.close();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(pen));
        });
    }
}

impl Store for Mysql {
    fn open_shard(&self, shard: ShardNumber) -> Result<Opening, StoreError> {
        let opening = self.holder.open_shard(shard)?;
        self.tenure.begin(shard, opening.epoch);
        Ok(opening)
    }

    fn sent_under(
        &self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        self.holder.sent_under(key, expired_before)
    }

    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        self.holder.commit(commit)
    }

    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError> {
        let reopened = self.holder.reopen(commit)?;
        self.tenure.begin(commit.shard, reopened.opening.epoch);
        Ok(reopened)
    }

    fn tidy_up(&self) {
        self.holder.tidy_up();
    }

    fn room(&self) -> Room {
        self.holder.room()
    }

    fn durability(&self) -> Durability {
        self.holder.durability()
    }

    fn open_orders(
        &self,
        after: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError> {
        let read = self
            .scans
            .ask(move |link| Box::pin(read::open_orders(link, after, last, limit)));
        self.motor.run(self.holder.counted(read))
    }

    fn bad_rows(&self) -> u64 {
        self.holder.bad_rows()
    }

    fn order<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Order>> {
        let id = id.clone();
        let read = self.points.ask(move |link| {
            let id = id.clone();
            Box::pin(async move { read::order(link, &id).await })
        });
        Box::pin(self.holder.counted(read))
    }

    fn orders_at(&self, seqs: &[Seq]) -> Result<Vec<Order>, StoreError> {
        let seqs: Arc<[i64]> = seqs.iter().map(|seq| seq.0).collect();
        let read = self.points.ask(move |link| {
            let seqs = Arc::clone(&seqs);
            Box::pin(async move { read::orders_at(link, &seqs).await })
        });
        let page = self.motor.run(read)?;
        Ok(self.holder.counted_page(page).orders)
    }

    fn kept_key<'a>(&'a self, scope: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>> {
        let asked: (Arc<str>, Arc<str>) = (scope.into(), key.into());
        Box::pin(self.points.ask(move |link| {
            let (scope, key) = asked.clone();
            Box::pin(async move { read::kept_key(link, &scope, &key).await })
        }))
    }

    fn orders(&self, query: ListQuery) -> Reading<'_, Page> {
        let read = self.scans.ask(move |link| {
            let query = query.clone();
            Box::pin(async move { lists::orders(link, &query).await })
        });
        Box::pin(async move {
            let page = self.holder.counted(read).await?;
            Ok(self.holder.counted_page(page))
        })
    }

    fn history<'a>(
        &'a self,
        id: &'a OrderId,
        after: EventPlace,
        limit: usize,
    ) -> Reading<'a, Option<Vec<EventView>>> {
        let id = id.clone();
        let read = self.scans.ask(move |link| {
            let id = id.clone();
            Box::pin(async move { follow::history(link, &id, after, limit).await })
        });
        Box::pin(self.holder.counted(read))
    }

    fn events(&self, after: EventPlace, limit: usize) -> Reading<'_, Vec<EventView>> {
        let read = self
            .scans
            .ask(move |link| Box::pin(follow::events(link, after, limit)));
        Box::pin(self.holder.counted(read))
    }

    fn journal(&self, after: Position, limit: usize) -> Reading<'_, Vec<JournalRow>> {
        let read = self
            .scans
            .ask(move |link| Box::pin(read::journal(link, after, limit)));
        Box::pin(read)
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        Some(self)
    }
}

impl Writing for Writer {
    async fn open_shard(&mut self, shard: ShardNumber) -> Result<Opening, StoreError> {
        Self::open_shard(self, shard).await
    }

    async fn sent_under(
        &mut self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        Self::sent_under(self, key, expired_before).await
    }

    async fn commit(&mut self, commit: &Commit) -> Result<Receipt, StoreError> {
        Self::commit(self, commit).await
    }

    async fn reopen(&mut self, commit: &Commit) -> Result<Reopened, StoreError> {
        Self::reopen(self, commit).await
    }

    /// To look at a connection is to say something on it.
    async fn look_after(&mut self, _is_quiet: bool) -> Result<(), StoreError> {
        self.keep_in_touch().await
    }

    async fn try_locks(&mut self) -> Result<(), StoreError> {
        Self::try_locks(self).await
    }

    async fn durability(&mut self) -> Result<Durability, StoreError> {
        let patience = self.target.timeouts.connect;
        let late = |_| StoreError::Unreadable {
            detail: format!("no answer within {} s", patience.as_secs_f32()),
        };
        let read = tokio::time::timeout(patience, open::durability(&mut self.link)).await;
        read.map_err(late)?
    }

    fn is_lost(&self) -> bool {
        self.is_lost
    }

    fn lose(&mut self) -> StoreError {
        self.is_lost = true;
        let detail = "the answer did not come".into();
        StoreError::Lost { detail }
    }

    fn is_held_up(&self) -> bool {
        self.is_held_up
    }
}
