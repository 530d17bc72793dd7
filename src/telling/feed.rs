//! The feed: the journal's events for any number of readers.
//!
//! At the end of the journal one task reads what is new, once for all, and shares it through a ring
//! that holds little: nobody is waited for. Who falls out of the ring reads pages from the store.
//! Reads beside writing take at most a quarter of one thread.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use super::filter::{Filter, type_of};
use super::reader::Reader;
use crate::clock;
use crate::order::Position;
use crate::store::{EventPlace, EventView, Store, StoreError};

/// Events that are read from the store together.
pub(super) const PAGE: usize = 1_000;
/// Pages that one page for a reader goes through at most, if few events of it are wanted.
const PAGES_MAX: usize = 10;
/// Pages that the ring holds.
const RING: usize = 32;
/// How long the task at the end lets news gather for each reader: every piece of news is a write to
/// each of them.
const GATHER_EACH: Duration = Duration::from_micros(250);
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
    ring: broadcast::Sender<News>,
    /// Whether a task is at the end of the journal.
    is_tailing: Mutex<bool>,
    room: Arc<Semaphore>,
    /// One reads pages at a time.
    desk: Arc<Semaphore>,
    fallbacks: AtomicU64,
}

/// What the task at the end of the journal has to say.
#[derive(Clone)]
pub(super) enum News {
    Events(Arc<Chunk>),
    /// The journal is damaged here: readers find it themselves.
    Broken,
}

/// Events that follow each other without a gap, as they are told.
pub(super) struct Chunk {
    /// All events up to here were told before.
    pub(super) after: EventPlace,
    pub(super) last: EventPlace,
    pub(super) text: Vec<u8>,
    /// Each event, and where its block stands in the text.
    pub(super) events: Vec<(EventView, Range<usize>)>,
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
            ring: broadcast::Sender::new(RING),
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
            let end = self.latest().max(after);
            let mut events = self.store.history(id).await?.unwrap_or_default();
            events.retain(|event| event.place > after && filter.admits(event));
            return Ok(cut(events, limit, end, false));
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

    /// The same for streams and webhooks: one after the other, and never for long beside writing.
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
        let mut is_tailing = self.tailing();
        let news = self.ring.subscribe();
        if !*is_tailing {
            *is_tailing = true;
            tokio::spawn(tail(Arc::clone(self), self.latest()));
        }
        drop(is_tailing);
        Ok(Reader::new(Arc::clone(self), filter, after, (news, seat)))
    }

    fn tailing(&self) -> MutexGuard<'_, bool> {
        // A flag is never half set.
        self.is_tailing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the task at the end go if nobody listens.
    fn is_over(&self) -> bool {
        let mut is_tailing = self.tailing();
        let is_over = self.ring.receiver_count() == 0 || *self.closing.borrow();
        if is_over {
            *is_tailing = false;
        }
        is_over
    }

    fn share(&self, after: EventPlace, events: Vec<EventView>) -> EventPlace {
        let last = events.last().map_or(after, |event| event.place);
        let mut text = Vec::with_capacity(events.len() * 300);
        let events = events.into_iter().map(|event| {
            let start = text.len();
            block(&mut text, &event, self.render);
            (event, start..text.len())
        });
        let events = events.collect();
        // Nobody there: then nobody misses it.
        let _ = self.ring.send(News::Events(Arc::new(Chunk {
            after,
            last,
            text,
            events,
        })));
        last
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

/// Appends an event as a block of `text/event-stream`.
pub(super) fn block(out: &mut Vec<u8>, event: &EventView, render: Render) {
    use std::io::Write;
    let (place, kind) = (event.place, type_of(event));
    // Writing to memory does not fail. An event's JSON has no line breaks.
    let _ = write!(
        out,
        "id: {}-{}\nevent: {kind}\ndata: ",
        place.position.0, place.index
    );
    render(out, event);
    out.extend_from_slice(b"\n\n");
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
        let readers = u32::try_from(feed.ring.receiver_count()).unwrap_or(u32::MAX);
        let gather = GATHER_EACH.saturating_mul(readers).min(GATHER_MAX);
        tokio::time::sleep(gather.max(began_at.elapsed())).await;
        if has_more {
            continue;
        }
        tokio::select! {
            moved = head.changed() => if moved.is_err() {
                // Nothing comes any more.
                *feed.tailing() = false;
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
            let _ = feed.ring.send(News::Broken);
            Vec::new()
        }
        read => read?,
    };
    let has_more = events.len() == PAGE;
    if !events.is_empty() {
        *cursor = feed.share(*cursor, events);
    }
    if !has_more {
        *cursor = end_of(seen).max(*cursor);
    }
    Ok(has_more)
}
