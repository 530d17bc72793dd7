//! The feed: the journal's events for any number of readers.
//!
//! At the end of the journal one task reads what is new, once for all, and puts it on a shelf that
//! holds the last moment: nobody is waited for. What is no longer there is read from the store,
//! once for all who want it. Such reads take at most a quarter of one thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::filter::Filter;
use super::reader::Reader;
use super::shelf::{Chunk, Shelf};
use crate::clock;
use crate::order::Position;
use crate::store::{EventPlace, EventView, Store, StoreError};

/// Events that are read from the store together.
pub(super) const PAGE: usize = 1_000;
/// Pages that one page for a reader goes through at most, if few events of it are wanted.
const PAGES_MAX: usize = 10;
/// How long the task at the end lets news gather for each reader: every piece of news is a write to
/// each of them.
const GATHER_EACH: Duration = Duration::from_micros(250);
const GATHER_MIN: Duration = Duration::from_millis(5);
const GATHER_MAX: Duration = Duration::from_millis(250);
/// How long a store that cannot be read is left alone.
pub(super) const AWAY: Duration = Duration::from_secs(1);

/// How an event becomes bytes.
pub type Render = fn(&mut Vec<u8>, &EventView);

/// What a feed may take.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    /// Most readers of streams at once.
    pub readers_max: usize,
    /// A reader is told at least this often that the stream is alive.
    pub heartbeat: Duration,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            readers_max: 1_000,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// There are as many readers as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("as many clients follow the events as may")]
pub struct Full;

/// The journal's events, for readers at its end and for those behind.
pub struct Feed {
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: FeedSettings,
    pub(super) render: Render,
    head: watch::Receiver<Position>,
    closing: watch::Sender<bool>,
    shelf: Mutex<Shelf>,
    /// Up to where readers may read now.
    told: watch::Sender<EventPlace>,
    /// Whether a task is at the end of the journal.
    is_tailing: Mutex<bool>,
    room: Arc<Semaphore>,
    /// One reads pages at a time.
    pub(super) desk: Arc<Semaphore>,
    fallbacks: AtomicU64,
}

/// Wanted events that follow a place, as far as was looked.
#[derive(Debug, Default)]
pub struct FeedPage {
    /// The events, oldest first.
    pub events: Vec<EventView>,
    /// Everything up to here was looked at.
    pub end: EventPlace,
    /// Whether there is more behind `end`.
    pub has_more: bool,
}

/// The end of a row, whatever is in it.
fn end_of(position: Position) -> EventPlace {
    EventPlace {
        position,
        index: u32::MAX,
    }
}

impl Feed {
    /// The feed of a store whose journal ends where `head` says; `render` writes an event as JSON.
    pub fn new(
        store: Arc<dyn Store>,
        head: watch::Receiver<Position>,
        render: Render,
        settings: FeedSettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            head,
            render,
            closing: watch::Sender::new(false),
            shelf: Mutex::default(),
            told: watch::Sender::default(),
            is_tailing: Mutex::new(false),
            room: Arc::new(Semaphore::new(
                settings.readers_max.min(Semaphore::MAX_PERMITS),
            )),
            desk: Arc::new(Semaphore::new(1)),
            fallbacks: AtomicU64::new(0),
            settings,
        })
    }

    /// The end of the journal as it is now.
    pub fn latest(&self) -> EventPlace {
        end_of(*self.head.borrow())
    }

    /// Resolves when the journal goes on behind a place (`true`), or the feed ends.
    pub async fn goes_on(&self, after: EventPlace) -> bool {
        let (mut head, mut closing) = (self.head.clone(), self.closing.subscribe());
        tokio::select! {
            moved = head.wait_for(|head| *head > after.position) => moved.is_ok(),
            _ = closing.wait_for(|is_closing| *is_closing) => false,
        }
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.settings.readers_max.min(Semaphore::MAX_PERMITS) - self.room.available_permits()
    }

    /// How often readers fell behind what is shared and went on from the store.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    pub(super) fn note_fallback(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// At most `limit` wanted events behind a place. A page is bounded: it may be short, even
    /// empty, and still have more behind it.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or is damaged there.
    pub async fn page(
        &self,
        filter: &Filter,
        after: EventPlace,
        limit: usize,
    ) -> Result<FeedPage, StoreError> {
        if let Some(id) = &filter.order_id {
            let (mut events, mut at) = (Vec::new(), after);
            let end = self.latest().max(after);
            loop {
                let read = self.store.history(id, at, PAGE).await?.unwrap_or_default();
                let is_last = read.len() < PAGE;
                at = read.last().map_or(at, |event| event.place);
                events.extend(read.into_iter().filter(|event| filter.admits(event)));
                if is_last || events.len() > limit {
                    return Ok(cut(events, limit, end, false));
                }
            }
        }
        if filter.is_open() {
            let end = self.latest().max(after);
            let events = self.store.events(after, limit + 1).await?;
            return Ok(cut(events, limit, end, false));
        }
        let (mut events, mut end) = (Vec::new(), after);
        for _ in 0..PAGES_MAX {
            let head = self.latest();
            let read = self.store.events(end, PAGE).await?;
            let is_last = read.len() < PAGE;
            end = read.last().map_or(end, |event| event.place);
            events.extend(read.into_iter().filter(|event| filter.admits(event)));
            if is_last || events.len() > limit {
                let end = if is_last { head.max(end) } else { end };
                return Ok(cut(events, limit, end, !is_last));
            }
        }
        Ok(cut(events, limit, end, true))
    }

    /// The same for webhooks: one after the other, and never for long beside writing.
    pub(super) async fn catch_up(
        &self,
        filter: &Filter,
        after: EventPlace,
        limit: usize,
    ) -> Result<FeedPage, StoreError> {
        let permit = Arc::clone(&self.desk).acquire_owned().await;
        let began_at = clock::monotonic();
        let page = self.page(filter, after, limit).await;
        if let Ok(permit) = permit {
            rest(permit, began_at.elapsed() * 3);
        }
        page
    }

    /// A reader of what follows a place.
    ///
    /// # Errors
    ///
    /// There are as many as there may be.
    pub fn reader(self: &Arc<Self>, filter: Filter, after: EventPlace) -> Result<Reader, Full> {
        let seat = Arc::clone(&self.room).try_acquire_owned();
        let seat = seat.map_err(|_| Full)?;
        let mut is_tailing = lock(&self.is_tailing);
        if !*is_tailing {
            *is_tailing = true;
            *lock(&self.shelf) = Shelf::default();
            tokio::spawn(tail(Arc::clone(self), self.latest()));
        }
        drop(is_tailing);
        Ok(Reader::new(Arc::clone(self), filter, after, seat))
    }

    /// What follows a place, from the shelf or from the store. The last place of it lies behind the
    /// one asked for, unless that is the end of the journal.
    pub(super) async fn chunk(&self, after: EventPlace) -> Result<Arc<Chunk>, StoreError> {
        if let Some(chunk) = self.shelved(after) {
            return Ok(chunk);
        }
        let permit = Arc::clone(&self.desk).acquire_owned().await;
        // Somebody who waited before may have read it.
        if let Some(chunk) = self.shelved(after) {
            return Ok(chunk);
        }
        let (began_at, head) = (clock::monotonic(), self.latest());
        let events = self.store.events(after, PAGE).await?;
        let last = end(&events, after, head);
        let chunk = Arc::new(Chunk::new((after, last), events, self.render));
        if after < last {
            lock(&self.shelf).put_older(Arc::clone(&chunk));
        }
        if let Ok(permit) = permit {
            rest(permit, began_at.elapsed() * 3);
        }
        Ok(chunk)
    }

    /// What follows a place, if it was read a moment ago.
    pub(super) fn shelved(&self, after: EventPlace) -> Option<Arc<Chunk>> {
        lock(&self.shelf).find(after)
    }

    /// Up to where readers may read now.
    pub(super) fn told(&self) -> watch::Receiver<EventPlace> {
        self.told.subscribe()
    }

    /// Lets the task at the end go if nobody listens.
    fn is_over(&self) -> bool {
        let mut is_tailing = lock(&self.is_tailing);
        let is_over = self.readers() == 0 || *self.closing.borrow();
        if is_over {
            *is_tailing = false;
            *lock(&self.shelf) = Shelf::default();
        }
        is_over
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A flag is never half set, and a shelf at worst lacks a chunk.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Up to where events that were read behind `after` reach, if the journal ended at `head` before.
fn end(events: &[EventView], after: EventPlace, head: EventPlace) -> EventPlace {
    let last = events.last().map_or(after, |event| event.place);
    match events.len() < PAGE {
        true => last.max(head),
        false => last,
    }
}

/// Keeps the desk closed for a while.
fn rest(permit: OwnedSemaphorePermit, pause: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        drop(permit);
    });
}

/// The first `limit` events; `end` counts if that is all.
fn cut(mut events: Vec<EventView>, limit: usize, end: EventPlace, has_more: bool) -> FeedPage {
    if events.len() <= limit {
        return FeedPage {
            end: events.last().map_or(end, |last| last.place.max(end)),
            events,
            has_more,
        };
    }
    events.truncate(limit);
    FeedPage {
        end: events.last().map_or(end, |last| last.place),
        events,
        has_more: true,
    }
}

/// Follows the end of the journal, from here on, as long as somebody listens.
async fn tail(feed: Arc<Feed>, mut cursor: EventPlace) {
    let (mut head, mut closing) = (feed.head.clone(), feed.closing());
    while !feed.is_over() {
        let began_at = clock::monotonic();
        let seen = *head.borrow_and_update();
        let has_more = match read_on(&feed, &mut cursor, seen).await {
            Ok(has_more) => has_more,
            Err(error) => {
                tracing::warn!(%error, "the feed cannot read the journal; it tries again");
                tokio::time::sleep(AWAY).await;
                continue;
            }
        };
        let took = began_at.elapsed();
        if has_more {
            tokio::time::sleep(took).await;
            continue;
        }
        let readers = u32::try_from(feed.readers()).unwrap_or(u32::MAX);
        let gather = GATHER_EACH.saturating_mul(readers);
        tokio::time::sleep(gather.clamp(GATHER_MIN, GATHER_MAX).max(took)).await;
        tokio::select! {
            moved = head.changed() => if moved.is_err() {
                // Nothing comes any more.
                *lock(&feed.is_tailing) = false;
                return;
            },
            _ = closing.wait_for(|is_closing| *is_closing) => {}
        }
    }
}

/// Shares what follows the cursor, a page at most. Whether there is more, up to the row `seen`.
async fn read_on(feed: &Feed, cursor: &mut EventPlace, seen: Position) -> Result<bool, StoreError> {
    if seen <= cursor.position && cursor.index == u32::MAX {
        return Ok(false);
    }
    let events = match feed.store.events(*cursor, PAGE).await {
        Err(error @ StoreError::BadRow { .. }) => {
            tracing::error!(%error, "the feed meets damage; its readers have to go");
            // They look for themselves, and find it.
            *cursor = end_of(seen);
            feed.told.send_replace(*cursor);
            return Ok(false);
        }
        read => read?,
    };
    let has_more = events.len() == PAGE;
    let last = end(&events, *cursor, end_of(seen));
    let chunk = Chunk::new((*cursor, last), events, feed.render);
    lock(&feed.shelf).put_recent(Arc::new(chunk));
    *cursor = last;
    feed.told.send_replace(last);
    Ok(has_more)
}
