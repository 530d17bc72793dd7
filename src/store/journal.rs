//! The form of a journal row: its text and its hash. Pure, and the same for every backend.
//!
//! The text is JSON, one array for each event, so that SQL and people can read it:
//! `[seq, version, "kind", status, microseconds since the row's time, previous position, step,
//! attempt, lease, reason, by, detail]`; trailing absent values are left out.

use std::sync::Arc;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{JournalRow, ShardHead, StoreError};
use crate::clock::Timestamp;
use crate::order::{Commit, Detail, Event, EventKind, Position, Priority, Seq, StatusKind};

/// The hash before the first row of a shard.
pub const GENESIS: [u8; 32] = [0; 32];

/// A journal row's text cannot be read.
#[derive(Debug, Error)]
#[error("journal row {position} cannot be read: {detail}")]
pub struct BadEntries {
    /// Which row.
    pub position: i64,
    /// What is wrong.
    pub detail: String,
}

/// The text of a row made at `at` with these events.
pub fn encode<'a>(at: Timestamp, events: impl Iterator<Item = &'a Event>) -> String {
    let mut text = String::with_capacity(128);
    text.push('[');
    for event in events {
        if text.len() > 1 {
            text.push(',');
        }
        entry(&mut text, at, event);
    }
    text.push(']');
    text
}

fn entry(text: &mut String, at: Timestamp, event: &Event) {
    let mut digits = itoa::Buffer::new();
    let mut number = |text: &mut String, before: &str, value: i64| {
        text.push_str(before);
        text.push_str(digits.format(value));
    };
    number(text, "[", event.seq.0);
    number(text, ",", event.version.into());
    text.push_str(",\"");
    text.push_str(event.kind.name());
    number(text, "\",", event.status.number().into());
    number(text, ",", event.at.micros_since(at));
    number(text, ",", event.previous.0);
    if let Some(step) = &event.step {
        text.push_str(",\"");
        // The name of a step has letters, digits, `_` and `-` only: nothing to escape.
        text.push_str(step);
        number(text, "\",", event.attempt.into());
        number(text, ",", event.lease);
    } else if has_more(event, 0) {
        text.push_str(",null,0,0");
    }
    for (at, words) in [&event.reason, &event.by].into_iter().enumerate() {
        if words.is_some() || has_more(event, at + 1) {
            text.push(',');
            // A string always has a JSON form, and so has none.
            text.push_str(&serde_json::to_string(words).unwrap_or_default());
        }
    }
    if let Some(detail) = event.detail {
        let value = match detail {
            Detail::Until(at) => at.0,
            Detail::Priority(priority) => priority.number().into(),
        };
        number(text, ",", value);
    }
    text.push(']');
}

/// Whether an entry goes on behind its lease with one of reason, who and detail, from the one with
/// the number `from`.
fn has_more(event: &Event, from: usize) -> bool {
    let behind = [
        event.reason.is_some(),
        event.by.is_some(),
        event.detail.is_some(),
    ];
    behind[from..].contains(&true)
}

/// The events of a row, in the order in which they happened.
pub fn decode(row: &JournalRow) -> Result<Vec<Event>, BadEntries> {
    let bad = |detail: String| BadEntries {
        position: row.position.0,
        detail,
    };
    let entries: Vec<Entry<'_>> =
        serde_json::from_str(&row.entries).map_err(|error| bad(error.to_string()))?;
    let events = entries.into_iter().map(|entry| entry.into_event(row.at));
    events.collect::<Result<_, _>>().map_err(bad)
}

/// The hash of a row that follows a row with the hash `before`.
///
/// SHA-256 (FIPS 180-4) over: hash before, position, epoch, time (each 8 bytes, big endian), text.
pub fn hash(
    before: &[u8; 32],
    position: Position,
    epoch: i64,
    at: Timestamp,
    entries: &str,
) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(before);
    sha.update(position.0.to_be_bytes());
    sha.update(epoch.to_be_bytes());
    sha.update(at.0.to_be_bytes());
    sha.update(entries.as_bytes());
    sha.finalize().into()
}

/// Checks that rows end with that of a commit, chained to the one before, and that this is where
/// the shard's journal ends. `Fenced` if what stands there was written under another epoch.
pub(super) fn check_end(
    rows: &[JournalRow],
    commit: &Commit,
    head: &ShardHead,
) -> Result<(), StoreError> {
    let position = commit.position;
    let at = rows.iter().position(|row| row.position == position);
    let before = match at {
        Some(0) | None => GENESIS,
        Some(at) => rows[at - 1].hash,
    };
    let is_last = |row: &&JournalRow| {
        let hash = hash(&before, position, row.epoch, row.at, &row.entries);
        (head.position, head.hash) == (position, row.hash) && row.hash == hash
    };
    match at.map(|at| &rows[at]).filter(is_last) {
        Some(row) if row.epoch == commit.epoch => Ok(()),
        Some(_) => Err(StoreError::Fenced),
        None => Err(StoreError::BadRow {
            table: "journal",
            column: "hash",
            key: position.0.to_string(),
            detail: "the journal does not end where it should".into(),
        }),
    }
}

/// An entry as it stands in the text.
#[derive(Default)]
struct Entry<'a> {
    seq: i64,
    version: u32,
    kind: &'a str,
    status: i64,
    after_us: i64,
    previous: i64,
    step: Option<&'a str>,
    attempt: u16,
    lease: i64,
    reason: Option<Box<str>>,
    by: Option<Box<str>>,
    detail: Option<i64>,
}

impl Entry<'_> {
    fn into_event(self, row_at: Timestamp) -> Result<Event, String> {
        let kind = EventKind::from_name(self.kind);
        let kind = kind.ok_or_else(|| format!("unknown kind {:?}", self.kind))?;
        if self.step.is_none() && (self.attempt, self.lease) != (0, 0) {
            return Err("an attempt or a lease without a step".into());
        }
        let status = StatusKind::from_number(self.status);
        Ok(Event {
            seq: Seq(self.seq),
            version: self.version,
            kind,
            status: status.ok_or_else(|| format!("unknown status {}", self.status))?,
            at: row_at.plus(self.after_us),
            previous: Position(self.previous),
            step: self.step.map(Arc::from),
            attempt: self.attempt,
            lease: self.lease,
            reason: self.reason,
            by: self.by,
            detail: self.detail.map(|value| detail(kind, value)).transpose()?,
        })
    }
}

/// What the last value of an entry means.
fn detail(kind: EventKind, value: i64) -> Result<Detail, String> {
    if kind != EventKind::PriorityChanged {
        return Ok(Detail::Until(Timestamp(value)));
    }
    let priority = Priority::from_number(value);
    let priority = priority.ok_or_else(|| format!("unknown priority {value}"))?;
    Ok(Detail::Priority(priority))
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array that describes an event")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error;
        let missing = || A::Error::custom("an event has at least six values");
        let mut entry = Entry {
            seq: seq.next_element()?.ok_or_else(missing)?,
            version: seq.next_element()?.ok_or_else(missing)?,
            kind: seq.next_element()?.ok_or_else(missing)?,
            status: seq.next_element()?.ok_or_else(missing)?,
            after_us: seq.next_element()?.ok_or_else(missing)?,
            previous: seq.next_element()?.ok_or_else(missing)?,
            ..Entry::default()
        };
        entry.step = seq.next_element()?.unwrap_or_default();
        entry.attempt = seq.next_element()?.unwrap_or_default();
        entry.lease = seq.next_element()?.unwrap_or_default();
        entry.reason = seq.next_element()?.unwrap_or_default();
        entry.by = seq.next_element()?.unwrap_or_default();
        entry.detail = seq.next_element()?.unwrap_or_default();
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(entry),
            Some(_) => Err(A::Error::custom("an event has at most twelve values")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let step = proptest::option::of("[a-z_-]{1,9}");
        let reason = proptest::option::of(".{0,20}");
        let by = proptest::option::of(".{0,9}");
        let detail = proptest::option::of(any::<i64>());
        let event = (
            any::<i64>(),
            any::<u32>(),
            0..EventKind::ALL.len(),
            0..10_usize,
            step,
            (reason, by, detail),
        )
            .prop_map(|(seq, version, kind, status, step, words)| Event {
                seq: Seq(seq),
                version,
                kind: EventKind::ALL[kind],
                status: StatusKind::ALL[status],
                at: Timestamp(1_000_000 + i64::from(version)),
                previous: Position(seq / 2),
                attempt: if step.is_some() { 3 } else { 0 },
                lease: if step.is_some() { seq } else { 0 },
                step: step.map(Arc::from),
                reason: words.0.map(Box::from),
                by: words.1.map(Box::from),
                detail: words.2.map(|value| match EventKind::ALL[kind] {
                    EventKind::PriorityChanged => Detail::Priority(Priority::Low),
                    _ => Detail::Until(Timestamp(value)),
                }),
            });
        proptest::collection::vec(event, 0..20)
    }

    fn row(entries: &str) -> JournalRow {
        let (position, at) = (Position(1), Timestamp(1_000_000));
        JournalRow {
            position,
            epoch: 1,
            at,
            entries: entries.into(),
            hash: GENESIS,
        }
    }

    proptest! {
        #[test]
        fn events_survive_the_way_through_text(events in events()) {
            let text = encode(Timestamp(1_000_000), events.iter());
            prop_assert_eq!(decode(&row(&text)).unwrap(), events);
        }

        #[test]
        fn no_text_makes_decoding_panic(text in ".{0,60}") {
            let _ = decode(&row(&text));
        }
    }

    #[test]
    fn only_a_step_has_an_attempt_and_a_lease() {
        let entry = |end: &str| decode(&row(&format!("[[1,1,\"started\",3,0,0{end}]]")));
        assert_eq!(entry(",null,0,0").unwrap(), entry("").unwrap());
        for end in [",null,1,0", ",null,0,1", ",null,0,-1,\"why\""] {
            assert!(entry(end).is_err(), "{end}");
        }
    }

    #[test]
    fn a_hash_depends_on_everything_it_covers() {
        let base = hash(&GENESIS, Position(1), 1, Timestamp(1), "[]");
        let others = [
            hash(&base, Position(1), 1, Timestamp(1), "[]"),
            hash(&GENESIS, Position(2), 1, Timestamp(1), "[]"),
            hash(&GENESIS, Position(1), 2, Timestamp(1), "[]"),
            hash(&GENESIS, Position(1), 1, Timestamp(2), "[]"),
            hash(&GENESIS, Position(1), 1, Timestamp(1), "[ ]"),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    /// However its epoch was raised since, and whoever wrote at the same place.
    #[test]
    fn only_a_row_of_its_own_epoch_is_that_of_a_commit() {
        let row = |epoch: i64| {
            let (position, at) = (Position(1), Timestamp(1));
            JournalRow {
                position,
                epoch,
                at,
                entries: "[]".into(),
                hash: hash(&GENESIS, position, epoch, at, "[]"),
            }
        };
        let commit = Commit {
            epoch: 4,
            position: Position(1),
            ..Commit::default()
        };
        let check = |row: JournalRow, epoch: i64| {
            let head = ShardHead {
                epoch,
                position: Position(1),
                hash: row.hash,
                last_seq: Seq(1),
            };
            check_end(&[row], &commit, &head)
        };
        assert!(check(row(4), 4).is_ok() && check(row(4), 6).is_ok());
        assert!(matches!(check(row(5), 5), Err(StoreError::Fenced)));
        let damaged = JournalRow {
            entries: "[1]".into(),
            ..row(4)
        };
        assert!(matches!(check(damaged, 4), Err(StoreError::BadRow { .. })));
    }
}
