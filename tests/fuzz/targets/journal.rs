//! The journal: whatever row can be read is written and read again as the same events, and whatever
//! events there are survive the way through text.

use std::sync::Arc;

use orderd::clock::Timestamp;
use orderd::order::{Detail, Event, EventKind, Position, Priority, Seq, StatusKind};
use orderd::store::{JournalRow, journal};

use super::input::Input;

fn row(at: Timestamp, entries: &str) -> JournalRow {
    JournalRow {
        position: Position(1),
        epoch: 1,
        at,
        entries: entries.into(),
        hash: journal::GENESIS,
    }
}

/// A row as it could stand in a file that somebody has changed.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let at = Timestamp(1_795_231_450_000_000);
    let Ok(events) = journal::decode(&row(at, text)) else {
        return;
    };
    let written = journal::encode(at, events.iter());
    let read = journal::decode(&row(at, &written)).expect("what is written can be read");
    assert_eq!(read, events, "{text} was written as {written}");
    assert_eq!(journal::encode(at, read.iter()), written);
}

/// Events as a shard makes them, put together from bytes.
pub fn events(bytes: &[u8]) {
    let mut input = Input(bytes);
    let at = Timestamp(input.number() >> 12);
    let mut events = Vec::new();
    while !input.is_empty() && events.len() < 64 {
        events.push(event(&mut input, at));
    }
    let written = journal::encode(at, events.iter());
    let value: serde_json::Value = serde_json::from_str(&written).expect("a row is JSON");
    assert_eq!(value.as_array().map(Vec::len), Some(events.len()));
    let read = journal::decode(&row(at, &written)).expect("what is written can be read");
    assert_eq!(read, events, "{written}");
}

fn event(input: &mut Input<'_>, row_at: Timestamp) -> Event {
    let kind = EventKind::ALL[usize::from(input.byte()) % EventKind::ALL.len()];
    let step = input.bool().then(|| Arc::from(input.name()));
    let (attempt, lease) = match step {
        Some(_) => (u16::from(input.byte()), input.number()),
        None => (0, 0),
    };
    Event {
        seq: Seq(input.number()),
        version: input.number() as u32,
        kind,
        status: StatusKind::ALL[usize::from(input.byte()) % StatusKind::ALL.len()],
        at: row_at.plus(input.number() >> 12),
        previous: Position(input.number()),
        step,
        attempt,
        lease,
        reason: input.bool().then(|| input.text().into()),
        by: input.bool().then(|| input.text().into()),
        detail: input.bool().then(|| match kind {
            EventKind::PriorityChanged => {
                Detail::Priority(Priority::ALL[usize::from(input.byte()) % 3])
            }
            _ => Detail::Until(Timestamp(input.number())),
        }),
    }
}
