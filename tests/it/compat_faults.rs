//! A store whose reads of orders can be made to fail, to see what a dialect says then.
//!
//! Everything else is the real store's; the engine has that one itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use orderd::clock::Timestamp;
use orderd::order::{
    Commit, KeptKey, OpenOrder, Opening, Order, OrderId, Position, Receipt, RequestKey, Seq,
    ShardNumber,
};
use orderd::store::{
    Durability, EventPlace, EventView, JournalRow, ListQuery, Page, Reading, Reopened, Store,
    StoreError,
};

/// Fails to read orders while it is told to.
pub struct FaultyReads {
    inner: Arc<dyn Store>,
    is_failing: Arc<AtomicBool>,
}

impl FaultyReads {
    pub fn new(inner: Arc<dyn Store>, is_failing: Arc<AtomicBool>) -> Self {
        Self { inner, is_failing }
    }
}

impl Store for FaultyReads {
    fn open_shard(&self, shard: ShardNumber) -> Result<Opening, StoreError> {
        self.inner.open_shard(shard)
    }

    fn is_key_taken(&self, key: &RequestKey, expired: Timestamp) -> Result<bool, StoreError> {
        self.inner.is_key_taken(key, expired)
    }

    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        self.inner.commit(commit)
    }

    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError> {
        self.inner.reopen(commit)
    }

    fn tidy_up(&self) {
        self.inner.tidy_up();
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
        if self.is_failing.load(Ordering::SeqCst) {
            let detail = "planted".to_owned();
            return Box::pin(std::future::ready(Err(StoreError::Unreadable { detail })));
        }
        self.inner.order(id)
    }

    fn kept_key<'a>(&'a self, scope: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>> {
        self.inner.kept_key(scope, key)
    }

    fn orders(&self, query: ListQuery) -> Reading<'_, Page> {
        self.inner.orders(query)
    }

    fn history<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Vec<EventView>>> {
        self.inner.history(id)
    }

    fn events(&self, after: EventPlace, limit: usize) -> Reading<'_, Vec<EventView>> {
        self.inner.events(after, limit)
    }

    fn journal(&self, after: Position, limit: usize) -> Reading<'_, Vec<JournalRow>> {
        self.inner.journal(after, limit)
    }
}
