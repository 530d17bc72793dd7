//! One reader of the feed: what it gets next, and where it is.
//!
//! It holds no events of its own between two pieces; if it is slow, the shared ones pass by, and it
//! goes on from the store where it was.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;

use super::feed::{AWAY, Feed, PAGE};
use super::filter::Filter;
use super::shelf::{Chunk, block};
use crate::clock;
use crate::store::{EventPlace, EventView, StoreError};

/// How long a client waits before it comes again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// Bytes for one reader, as `text/event-stream`.
pub struct Piece(Text);

enum Text {
    /// What all get, in memory once.
    Shared(Arc<Chunk>),
    Own(Vec<u8>),
}

impl Piece {
    fn own(text: Vec<u8>) -> Self {
        Self(Text::Own(text))
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Text::Shared(chunk) => &chunk.text,
            Text::Own(text) => text,
        }
    }
}

/// Reads the feed from a place on, without an end.
pub struct Reader {
    feed: Arc<Feed>,
    filter: Filter,
    /// Everything up to here was told, or is not wanted.
    at: EventPlace,
    /// Where the client believes to be.
    told: EventPlace,
    is_behind: bool,
    /// It was at the end since it last went on from the store.
    was_at_end: bool,
    /// Made by `begin`, for the first piece.
    first: Option<Vec<u8>>,
    end: watch::Receiver<EventPlace>,
    closing: watch::Receiver<bool>,
    /// A page that it waits for. A task of its own: it keeps its place in the queue while the
    /// client is sent something, and holds nobody up if that takes long.
    page: JoinSet<Result<Arc<Chunk>, StoreError>>,
    last_piece_at: Instant,
    _seat: OwnedSemaphorePermit,
}

impl Reader {
    pub(super) fn new(
        feed: Arc<Feed>,
        filter: Filter,
        after: EventPlace,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        let (end, closing) = (feed.told(), feed.closing());
        Self {
            feed,
            filter,
            at: after,
            told: after,
            is_behind: true,
            was_at_end: false,
            first: None,
            end,
            closing,
            page: JoinSet::new(),
            last_piece_at: clock::monotonic(),
            _seat: seat,
        }
    }

    /// Looks for the first time, so that a client whose place cannot be read is told so.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or is damaged there.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        // With a place from the first byte on, a client that is cut off before its first event
        // misses nothing either.
        let mut text = format!("retry: {RETRY_MS}\nid: {}\n\n", written(self.at)).into_bytes();
        if self.filter.order_id.is_some() {
            // An order knows its history; nobody has to look for it.
            let page = self.feed.page(&self.filter, self.at, PAGE).await?;
            for event in &page.events {
                block(&mut text, event, self.feed.render);
                self.told = event.place;
            }
            self.at = page.end;
        } else {
            let chunk = self.feed.chunk(self.at).await?;
            text.extend_from_slice(self.take(chunk).as_ref().map_or(&[], Piece::as_ref));
        }
        self.first = Some(text);
        Ok(())
    }

    /// What comes next; waits for it. `None`: the stream is over, and the client has to come again.
    pub async fn next(&mut self) -> Option<Piece> {
        if let Some(first) = self.first.take() {
            return Some(Piece::own(first));
        }
        let piece = loop {
            let heartbeat = self.feed.settings.heartbeat;
            let left = heartbeat.saturating_sub(self.last_piece_at.elapsed());
            let mut closing = self.closing.clone();
            tokio::select! {
                biased;
                _ = closing.wait_for(|is_closing| *is_closing) => return None,
                advanced = self.advance() => match advanced? {
                    Some(piece) => break piece,
                    None if self.last_piece_at.elapsed() >= heartbeat => break self.heartbeat(),
                    None => {}
                },
                () = tokio::time::sleep(left) => break self.heartbeat(),
            }
        };
        self.last_piece_at = clock::monotonic();
        Some(piece)
    }

    /// One step on, if it yields something or not. `None`: the end. May be given up at any point.
    async fn advance(&mut self) -> Option<Option<Piece>> {
        let at = self.at;
        let chunk = match self.feed.shelved(at) {
            Some(chunk) => chunk,
            None if !self.is_behind => {
                // Whoever is at the end waits for news; then they are on the shelf, or passed by.
                self.was_at_end = true;
                let moved = self.end.wait_for(|end| *end > at).await;
                moved.ok()?;
                self.is_behind = self.feed.shelved(at).is_none();
                return Some(None);
            }
            None => {
                if std::mem::take(&mut self.was_at_end) {
                    self.feed.note_fallback();
                }
                match self.page_after(at).await {
                    Ok(chunk) => chunk,
                    Err(StoreError::BadRow { .. }) => return None,
                    Err(error) => {
                        tracing::warn!(%error, "a reader of events cannot be served; it waits");
                        tokio::time::sleep(AWAY).await;
                        return Some(None);
                    }
                }
            }
        };
        // Somebody else may have read it meanwhile.
        if !self.page.is_empty() {
            self.page = JoinSet::new();
        }
        Some(self.take(chunk))
    }

    /// The page behind a place. Who gives up waiting for it finds it again, with its place in the
    /// queue.
    async fn page_after(&mut self, at: EventPlace) -> Result<Arc<Chunk>, StoreError> {
        if self.page.is_empty() {
            let feed = Arc::clone(&self.feed);
            self.page.spawn(async move { feed.chunk(at).await });
        }
        let read = self.page.join_next().await.and_then(Result::ok);
        read.unwrap_or_else(|| {
            Err(StoreError::Unreadable {
                detail: "the read was broken off".into(),
            })
        })
    }

    /// What of a chunk this reader has not seen and wants.
    fn take(&mut self, chunk: Arc<Chunk>) -> Option<Piece> {
        let before = std::mem::replace(&mut self.at, chunk.last);
        // What the task at the end has read last is the end, however much it was.
        self.is_behind = chunk.events.len() >= PAGE && self.at != *self.end.borrow();
        let is_new = |event: &EventView| event.place > before;
        let is_whole =
            self.filter.is_open() && chunk.events.first().is_some_and(|it| is_new(&it.0));
        if is_whole {
            self.told = self.at;
            return Some(Piece(Text::Shared(chunk)));
        }
        let mut text = Vec::new();
        for (event, range) in &chunk.events {
            if is_new(event) && self.filter.admits(event) {
                text.extend_from_slice(&chunk.text[range.clone()]);
                self.told = event.place;
            }
        }
        (!text.is_empty()).then(|| Piece::own(text))
    }

    /// A sign of life. If much passed by that is not wanted, it tells how far the reader is, so
    /// that nobody looks at all that again.
    fn heartbeat(&mut self) -> Piece {
        if self.told == self.at {
            return Piece::own(b":\n\n".to_vec());
        }
        self.told = self.at;
        Piece::own(format!("id: {}\n\n", written(self.at)).into_bytes())
    }
}

/// A place as clients send it back.
fn written(place: EventPlace) -> String {
    format!("{}-{}", place.position.0, place.index)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::order::{Position, ShardNumber};
    use crate::telling::FeedSettings;

    #[tokio::test]
    async fn who_waits_for_a_page_hears_signs_of_life_and_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("orders.db").display());
        let store = crate::store::open(&url, 1).unwrap();
        store.open_shard(ShardNumber(0)).unwrap();
        let head = watch::Sender::new(Position(5));
        let settings = FeedSettings {
            heartbeat: Duration::from_millis(5),
            ..FeedSettings::default()
        };
        let feed = Feed::new(store, head.subscribe(), |_, _| {}, settings);
        let busy = Arc::clone(&feed.desk).acquire_owned().await.unwrap();
        let start = EventPlace::default();
        let mut reader = feed.reader(Filter::default(), start).unwrap();
        for _ in 0..3 {
            assert_eq!(reader.next().await.unwrap().as_ref(), b":\n\n");
        }
        let rival = tokio::spawn({
            let (feed, desk) = (Arc::clone(&feed), Arc::clone(&feed.desk));
            async move {
                let turn = desk.acquire_owned().await;
                turn.map(|_| feed.shelved(start).is_some()).unwrap()
            }
        });
        tokio::task::yield_now().await;
        drop(busy);
        assert!(rival.await.unwrap(), "the place in the queue was lost");
        let place = loop {
            let piece = reader.next().await.unwrap();
            if piece.as_ref() != b":\n\n" {
                break piece;
            }
        };
        assert_eq!(place.as_ref(), b"id: 5-4294967295\n\n");
    }
}
