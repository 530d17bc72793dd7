//! What was read of the journal a moment ago, so that many readers need it to be read once.
//!
//! Two rows of chunks: those from the end of the journal, and those that readers behind it have
//! asked for. Both are bounded; what falls off is in the store.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::feed::Render;
use super::filter::type_of;
use crate::store::{EventPlace, EventView};

/// What the chunks from the end of the journal may take of memory, in bytes.
const RECENT_BYTES: usize = 16 << 20;
/// Chunks from before that are kept.
const OLDER_MAX: usize = 16;
/// What an event takes beside its text, about.
const EVENT_BYTES: usize = 300;

/// Events that follow each other without a gap, as they are told.
pub(super) struct Chunk {
    /// What is in here begins behind this place.
    pub(super) after: EventPlace,
    /// Everything up to here is in it.
    pub(super) last: EventPlace,
    pub(super) text: Vec<u8>,
    /// Each event, and where its block stands in the text.
    pub(super) events: Vec<(EventView, Range<usize>)>,
}

impl Chunk {
    /// Everything behind `after`, up to `last`.
    pub(super) fn new(
        (after, last): (EventPlace, EventPlace),
        events: Vec<EventView>,
        render: Render,
    ) -> Self {
        let mut text = Vec::with_capacity(events.len() * EVENT_BYTES);
        let events = events.into_iter().map(|event| {
            let start = text.len();
            block(&mut text, &event, render);
            (event, start..text.len())
        });
        let events = events.collect();
        Self {
            after,
            last,
            text,
            events,
        }
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.events.len() * EVENT_BYTES
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

/// The chunks that are kept.
#[derive(Default)]
pub(super) struct Shelf {
    /// Oldest first, without gaps.
    recent: VecDeque<Arc<Chunk>>,
    recent_bytes: usize,
    /// In any order.
    older: VecDeque<Arc<Chunk>>,
}

impl Shelf {
    /// What follows a place, if it is here.
    pub(super) fn find(&self, at: EventPlace) -> Option<Arc<Chunk>> {
        let holds = |chunk: &&Arc<Chunk>| chunk.after <= at && at < chunk.last;
        let next = self.recent.partition_point(|chunk| chunk.last <= at);
        let recent = self.recent.get(next).filter(holds);
        recent.or_else(|| self.older.iter().find(holds)).cloned()
    }

    /// Keeps what was read at the end of the journal.
    pub(super) fn put_recent(&mut self, chunk: Arc<Chunk>) {
        if self
            .recent
            .back()
            .is_some_and(|last| last.last != chunk.after)
        {
            self.recent.clear();
            self.recent_bytes = 0;
        }
        self.recent_bytes += chunk.bytes();
        self.recent.push_back(chunk);
        while self.recent_bytes > RECENT_BYTES && self.recent.len() > 1 {
            let oldest = self.recent.pop_front();
            self.recent_bytes -= oldest.map_or(0, |chunk| chunk.bytes());
        }
    }

    /// Keeps what was read for somebody behind.
    pub(super) fn put_older(&mut self, chunk: Arc<Chunk>) {
        if self.older.len() == OLDER_MAX {
            self.older.pop_front();
        }
        self.older.push_back(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{EventKind, Position, StatusKind};
    use crate::telling::filter::tests::event;

    fn place(position: i64, index: u32) -> EventPlace {
        EventPlace {
            position: Position(position),
            index,
        }
    }

    fn chunk(after: i64, last: i64, text: usize) -> Arc<Chunk> {
        let render: Render = |out, event| out.extend_from_slice(event.order_id.as_str().as_bytes());
        let accepted = event("a", EventKind::Accepted, StatusKind::Pending);
        let span = (place(after, u32::MAX), place(last, u32::MAX));
        let mut chunk = Chunk::new(span, vec![accepted], render);
        chunk.text.resize(chunk.text.len() + text, b' ');
        Arc::new(chunk)
    }

    #[test]
    fn a_block_is_what_clients_read() {
        let chunk = chunk(0, 1, 0);
        let text = std::str::from_utf8(&chunk.text).unwrap();
        assert_eq!(text, "id: 1-0\nevent: order.accepted\ndata: a\n\n");
        assert_eq!(chunk.events[0].1, 0..text.len());
    }

    #[test]
    fn what_follows_a_place_is_found_in_either_row() {
        let mut shelf = Shelf::default();
        shelf.put_older(chunk(1, 4, 0));
        shelf.put_recent(chunk(7, 9, 0));
        shelf.put_recent(chunk(9, 12, 0));
        let last = |position, index| {
            shelf
                .find(place(position, index))
                .map(|it| it.last.position.0)
        };
        assert_eq!(last(0, 0), None);
        assert_eq!(last(1, u32::MAX), Some(4));
        assert_eq!(last(3, 7), Some(4));
        assert_eq!(last(4, u32::MAX), None);
        assert_eq!(last(7, u32::MAX), Some(9));
        assert_eq!(last(9, 0), Some(9));
        assert_eq!(last(9, u32::MAX), Some(12));
        assert_eq!(last(12, u32::MAX), None);
    }

    #[test]
    fn both_rows_are_bounded_and_the_first_has_no_gaps() {
        let mut shelf = Shelf::default();
        for at in 0..100 {
            shelf.put_recent(chunk(at, at + 1, 1 << 20));
            shelf.put_older(chunk(at, at + 1, 0));
        }
        assert!(
            (10..=16).contains(&shelf.recent.len()),
            "{}",
            shelf.recent.len()
        );
        assert_eq!(shelf.older.len(), OLDER_MAX);
        shelf.put_recent(chunk(500, 501, 0));
        assert_eq!(shelf.recent.len(), 1);
        shelf.put_recent(chunk(501, 502, 100 << 20));
        assert_eq!(shelf.recent.len(), 1, "the newest stays, however large");
    }
}
