//! A store whose reads of orders and keys can be made to fail, and which can lose the answer to a
//! commit, to see what is said then.
//!
//! Everything else is the real store's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use orderd::clock::Timestamp;
use orderd::order::{
    Commit, Fingerprint, KeptKey, OpenOrder, Opening, Order, OrderId, Position, Receipt,
    RequestKey, Seq, ShardNumber,
};
use orderd::store::{
    Durability, EventPlace, EventView, JournalRow, ListQuery, Page, Reading, Reopened, Room, Store,
    StoreError,
};

/// What goes wrong now.
#[derive(Default)]
pub struct Faults {
    /// Orders and keys cannot be read, and the store cannot be opened anew.
    pub reads_fail: AtomicBool,
    /// The next commit is stored and its answer is lost; from then on reads fail.
    pub is_commit_lost: AtomicBool,
    /// After the next commit reads fail.
    pub is_commit_last: AtomicBool,
    /// Commits wait after so many more.
    held_after: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Faults {
    /// From now on commits wait, or do so no longer.
    pub fn hold_commits(&self, wants_to_hold: bool) {
        self.hold_commits_after(wants_to_hold.then_some(0));
    }

    /// So many more commits are made, and then they wait.
    pub fn hold_commits_after(&self, count: Option<usize>) {
        *self.held_after.lock().unwrap() = count;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let left = self.held_after.lock().unwrap();
        let mut left = self
            .changed
            .wait_while(left, |left| *left == Some(0))
            .unwrap();
        *left = left.map(|left| left - 1);
    }
}

/// A store with faults.
pub struct Faulty {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Store>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    fn read<'a, T: Send + 'a>(&'a self, reading: Reading<'a, T>) -> Reading<'a, T> {
        if self.faults.reads_fail.load(Ordering::SeqCst) {
            let detail = "planted".to_owned();
            return Box::pin(std::future::ready(Err(StoreError::Unreadable { detail })));
        }
        reading
    }
}

impl Store for Faulty {
    fn open_shard(&self, shard: ShardNumber) -> Result<Opening, StoreError> {
        self.inner.open_shard(shard)
    }

    fn sent_under(
        &self,
        key: &RequestKey,
        expired: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        self.inner.sent_under(key, expired)
    }

    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        self.faults.wait();
        let receipt = self.inner.commit(commit)?;
        let is_lost = self.faults.is_commit_lost.swap(false, Ordering::SeqCst);
        if is_lost || self.faults.is_commit_last.swap(false, Ordering::SeqCst) {
            self.faults.reads_fail.store(true, Ordering::SeqCst);
        }
        if is_lost {
            let detail = "planted".to_owned();
            return Err(StoreError::Lost { detail });
        }
        Ok(receipt)
    }

    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError> {
        if self.faults.reads_fail.load(Ordering::SeqCst) {
            let detail = "planted".to_owned();
            return Err(StoreError::Unreachable {
                database: "planted".to_owned(),
                detail,
            });
        }
        self.inner.reopen(commit)
    }

    fn tidy_up(&self) {
        self.inner.tidy_up();
    }

    fn room(&self) -> Room {
        self.inner.room()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn open_orders(
        &self,
        after: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError> {
        self.inner.open_orders(after, last, limit)
    }

    fn order<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Order>> {
        self.read(self.inner.order(id))
    }

    fn orders_at(&self, seqs: &[Seq]) -> Result<Vec<Order>, StoreError> {
        self.inner.orders_at(seqs)
    }

    fn kept_key<'a>(&'a self, scope: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>> {
        self.read(self.inner.kept_key(scope, key))
    }

    fn orders(&self, query: ListQuery) -> Reading<'_, Page> {
        self.inner.orders(query)
    }

    fn history<'a>(
        &'a self,
        id: &'a OrderId,
        after: EventPlace,
        limit: usize,
    ) -> Reading<'a, Option<Vec<EventView>>> {
        self.inner.history(id, after, limit)
    }

    fn events(&self, after: EventPlace, limit: usize) -> Reading<'_, Vec<EventView>> {
        self.inner.events(after, limit)
    }

    fn journal(&self, after: Position, limit: usize) -> Reading<'_, Vec<JournalRow>> {
        self.inner.journal(after, limit)
    }
}
