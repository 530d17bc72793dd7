//! Brings the open orders from before the start back, page by page, while new orders are already
//! taken.
//!
//! While a database is away, the same page is asked for again and again.
//!
//! Reads on a thread of its own; the engine takes one page in a turn, so that answers do not wait
//! for it. An engine that is driven by hand reads a page in each turn instead.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::away::is_away;
use super::run::Turns;
use crate::faults::{self, Bug};
use crate::order::{OpenOrder, Seq, ShardNumber};
use crate::store::{Store, StoreError};

/// Orders on a page: about a millisecond of the engine's time.
const PAGE: usize = 4_096;
/// Pause before a page is asked for again that a database could not give.
const PAUSE: Duration = Duration::from_millis(100);
/// Pages that wait to be taken.
const PAGES_MAX: usize = 2;
/// Most sequence numbers that are left out because the file cannot be read there: some hundred of
/// its pages. Beyond that too much is damaged to go on.
const UNREADABLE_MAX: u32 = 4_096;

type Page = Result<Vec<OpenOrder>, StoreError>;

/// Where pages come from.
pub(super) enum Pages {
    /// A thread that reads ahead.
    Ahead(Ahead),
    /// The store, when they are asked for.
    AsAsked(Reader),
}

/// What became of asking for a page.
pub(super) enum Taken {
    /// Here it is.
    Page(Page),
    /// None is there yet.
    NotYet,
    /// The last one was taken.
    End,
}

impl Pages {
    /// Reads ahead in the background.
    pub(super) fn ahead(mut reader: Reader) -> std::io::Result<Self> {
        let (sender, pages) = sync_channel(PAGES_MAX);
        let read = move || {
            while let Some(page) = reader.next() {
                let is_away = page.as_ref().is_err_and(is_away);
                if sender.send(page).is_err() {
                    return;
                }
                if is_away {
                    std::thread::sleep(PAUSE);
                }
            }
        };
        let thread = std::thread::Builder::new().name("recovery".into());
        Ok(Self::Ahead(Ahead {
            pages: Some(pages),
            thread: Some(thread.spawn(read)?),
        }))
    }

    /// The next page, if it is there. Waits only if it is read as asked.
    pub(super) fn take(&mut self) -> Taken {
        match self {
            Self::Ahead(ahead) => match ahead.pages.as_ref().map(Receiver::try_recv) {
                Some(Ok(page)) => Taken::Page(page),
                Some(Err(TryRecvError::Empty)) => Taken::NotYet,
                Some(Err(TryRecvError::Disconnected)) | None => Taken::End,
            },
            Self::AsAsked(reader) => reader.next().map_or(Taken::End, Taken::Page),
        }
    }
}

/// A thread that reads, and what it has read. Dropping it waits for the thread: when an engine has
/// ended, nothing of it may hold the store any more.
pub(super) struct Ahead {
    pages: Option<Receiver<Page>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Without a receiver the thread ends after the page that it is reading.
        self.pages = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the reader of open orders panicked");
        }
    }
}

/// Reads all open orders of a shard up to a sequence number; ends after the last page, or after an
/// error.
pub(super) struct Reader {
    store: Arc<dyn Store>,
    page: usize,
    after: Seq,
    last: Seq,
    /// The next order whose row is damaged: pages end before it.
    damaged: Option<Seq>,
    /// Sequence numbers at which the file cannot be read.
    unreadable: u32,
    is_done: bool,
}

impl Reader {
    pub(super) fn new(store: Arc<dyn Store>, shard: ShardNumber, last: Seq) -> Self {
        Self {
            store,
            page: PAGE,
            after: Seq(shard.base()),
            last,
            damaged: None,
            unreadable: 0,
            is_done: false,
        }
    }

    /// The same with so many orders on a page.
    pub(super) fn in_pages_of(self, page: usize) -> Self {
        Self { page, ..self }
    }

    fn next(&mut self) -> Option<Page> {
        if self.is_done {
            return None;
        }
        let last = match faults::is_planted(Bug::OrdersDoubledAtRestart) {
            true => Seq(i64::MAX),
            false => self.last,
        };
        let last = self.damaged.map_or(last, |seq| Seq(seq.0 - 1));
        let page = self.store.open_orders(self.after, last, self.page);
        if let Err(error) = &page
            && let Some(seq) = self.first_damaged(error, last)
            && seq > self.after
            && seq <= last
        {
            self.damaged = Some(seq);
            return Some(Ok(Vec::new()));
        }
        if page.as_ref().is_err_and(is_away) {
            return Some(page);
        }
        let full = page.as_ref().ok().filter(|page| page.len() == self.page);
        let full = full.filter(|_| !faults::is_planted(Bug::OrdersForgottenAtRestart));
        match full.and_then(|page| page.last()) {
            Some(order) => self.after = order.seq,
            // All before the damaged order are read: go on behind it.
            None => match self.damaged.take().filter(|_| page.is_ok()) {
                Some(seq) => self.after = seq,
                None => self.is_done = true,
            },
        }
        Some(page)
    }

    /// The order that is damaged, if that is why a page up to `last` cannot be read. It stays as it
    /// is, and holds up nobody else.
    fn first_damaged(&mut self, error: &StoreError, last: Seq) -> Option<Seq> {
        let StoreError::BadRow { table, key, .. } = error else {
            return None;
        };
        if *table == "orders" {
            tracing::error!(%error, "an open order is damaged: it stays as it is");
            return key.parse().ok().map(Seq);
        }
        if self.unreadable == UNREADABLE_MAX {
            return None;
        }
        self.unreadable += 1;
        let seq = self.first_unreadable(last)?;
        tracing::error!(%error, seq = seq.0, "an open order cannot be read: it stays as it is");
        Some(seq)
    }

    /// The first sequence number behind which nothing can be read, by halving: all that ends before
    /// it can be.
    fn first_unreadable(&self, last: Seq) -> Option<Seq> {
        let (mut good, mut bad) = (self.after.0, last.0);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            match self.store.open_orders(self.after, Seq(middle), self.page) {
                Ok(_) => good = middle,
                Err(StoreError::BadRow { .. }) => bad = middle,
                Err(_) => return None,
            }
        }
        Some(Seq(bad))
    }
}

impl Turns {
    /// Takes one page of open orders from before the start. A page that cannot be read ends the
    /// engine: going on without those orders would forget them.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        if !self.is_recovering {
            return Ok(());
        }
        match self.parts.pages.take() {
            // It comes again.
            Taken::Page(Err(error)) if is_away(&error) => {}
            Taken::Page(page) => {
                let page = page.inspect_err(|error| {
                    tracing::error!(%error, "open orders cannot be loaded; the engine stops");
                })?;
                page.iter().for_each(|order| self.take_back(order));
                faults::point("recovery-page-taken");
            }
            Taken::NotYet => {}
            Taken::End => {
                self.is_recovering = false;
                self.changes.recovered(&mut self.backlog);
                faults::point("recovery-done");
                let open_orders = self.parts.shard.open_orders();
                tracing::debug!(open_orders, "open orders from before the start are loaded");
            }
        }
        Ok(())
    }

    fn take_back(&mut self, order: &OpenOrder) {
        if !self.parts.shard.recover(order, self.now) {
            let (process, version) = (&order.process, order.process_version);
            tracing::error!(
                seq = order.seq.0, %process, version, step = %order.state.step,
                "an open order pins a process that is not known; it stays as it is"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::engine::tests::{by_hand, checked, order};
    use crate::order::NewOrder;
    use crate::store::sqlite::Sqlite;

    #[test]
    fn nothing_holds_the_store_after_the_reader_is_dropped() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("orders.db").display());
            let store = crate::store::open(&url, 1).unwrap();
            let opening = store.open_shard(ShardNumber(0)).unwrap();
            let reader = Reader::new(Arc::clone(&store), ShardNumber(0), opening.last_seq);
            drop(Pages::ahead(reader).unwrap());
            assert_eq!(Arc::strong_count(&store), 1);
        }
    }
    /// Breaks a page of the table of orders on which `id` lies.
    fn break_page(path: &Path, id: &str) {
        let mut file = std::fs::read(path).unwrap();
        let has = |page: &[u8], text: &[u8]| page.windows(text.len()).any(|part| part == text);
        let is_leaf = |page: &[u8]| page[0] == 0x0d;
        let mut pages = file.chunks_mut(4_096);
        let page = pages
            .find(|page| is_leaf(page) && has(page, id.as_bytes()) && has(page, FILLING))
            .unwrap();
        page[0] = 0xff;
        std::fs::write(path, file).unwrap();
    }

    const FILLING: &[u8] = &[b'x'; 500];

    #[tokio::test]
    async fn orders_where_the_file_cannot_be_read_hold_up_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
        let (store, handle, mut turns) = by_hand(folder.path(), &clock, checked());
        let orders = (1..=400).map(|number| NewOrder {
            payload: format!(r#"{{"items":["{}"]}}"#, "x".repeat(500)).into(),
            ..order(Some(&format!("order-{number}")))
        });
        let orders = orders.collect();
        let sent = tokio::spawn(async move { handle.submit_batch(orders, Vec::new()).await });
        tokio::task::yield_now().await;
        (0..3).for_each(|_| _ = turns.turn(Duration::ZERO).unwrap());
        sent.await.unwrap().unwrap();
        drop((store, turns));
        // The log is copied into the file when it is opened.
        drop(Sqlite::open(&path, 1).unwrap());
        break_page(&path, "order-200");

        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path, 1).unwrap());
        let opening = store.open_shard(ShardNumber(0)).unwrap();
        for page in [7, 4_096] {
            let reader = Reader::new(Arc::clone(&store), ShardNumber(0), opening.last_seq);
            let mut reader = reader.in_pages_of(page);
            let mut found = Vec::new();
            while let Some(page) = reader.next() {
                found.extend(page.unwrap().into_iter().map(|order| order.seq.0));
            }
            assert!(found.is_sorted() && !found.contains(&200), "{found:?}");
            // As many as have room on a page.
            assert!((393..400).contains(&found.len()), "{found:?}");
        }
    }
}
