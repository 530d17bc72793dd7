//! Events: one order's history, and the feed of all.
//!
//! A history is a list that goes backwards through the journal: the order knows the row with its
//! last event, and each event knows the row with the one before.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::read::{Read, collect, journal, order};
use super::row::unreadable;
use crate::order::{Event, OrderId, Position, Seq};
use crate::store::feed::{History, Subject, check_hash, decode, no_order, view};
use crate::store::journal::GENESIS;
use crate::store::{EventPlace, EventView};

/// A page of one order's history, oldest first.
pub(super) fn history(
    connection: &Connection,
    id: &OrderId,
    after: EventPlace,
    limit: usize,
) -> Read<Option<Vec<EventView>>> {
    let Some(order) = order(connection, id)? else {
        return Ok(None);
    };
    let mut history = History::of(&order, after, limit);
    while let Some(position) = history.next() {
        let row = journal(connection, Position(position.0 - 1), 1)?;
        history.take(row.first(), &hash_before(connection, position)?)?;
    }
    Ok(Some(history.page()))
}

/// Events of all orders after a place, oldest first.
pub(super) fn events(
    connection: &Connection,
    after: EventPlace,
    limit: usize,
) -> Read<Vec<EventView>> {
    let mut views = Vec::new();
    let mut position = Position(after.position.0 - 1);
    let mut last: Option<(Position, [u8; 32])> = None;
    while views.len() < limit {
        let rows = journal(connection, position, 1)?;
        let Some(row) = rows.into_iter().next() else {
            break;
        };
        position = row.position;
        let before = match last {
            Some((last, hash)) if last.next() == position => hash,
            _ => hash_before(connection, position)?,
        };
        let mut events = decode(&row)?;
        check_hash(&before, &row)?;
        last = Some((position, row.hash));
        if row.position == after.position {
            events.retain(|(index, _)| *index > after.index);
        }
        events.truncate(limit - views.len());
        let subjects = subjects(connection, &events)?;
        for (index, event) in events {
            let subject = subjects.get(&event.seq);
            let subject = subject.ok_or_else(|| no_order(&row, event.seq))?;
            views.push(view(&row, index, event, subject));
        }
    }
    Ok(views)
}

/// The hash of the journal row before a position.
fn hash_before(connection: &Connection, position: Position) -> Read<[u8; 32]> {
    let sql = "SELECT hash FROM journal WHERE position = ?1 - 1";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let hash = statement.query_row([position.0], |row| row.get(0));
    let hash = hash.optional().map_err(unreadable)?;
    Ok(hash.unwrap_or(GENESIS))
}

fn subjects(connection: &Connection, events: &[(u32, Event)]) -> Read<BTreeMap<Seq, Subject>> {
    let sql = "SELECT id, customer_id, process FROM orders WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let mut subjects = BTreeMap::new();
    for (_, event) in events {
        if subjects.contains_key(&event.seq) {
            continue;
        }
        let rows = statement.query([event.seq.0]).map_err(unreadable)?;
        let found = collect(rows, |row| {
            let text = |at| row.get::<_, String>(at).map_err(unreadable);
            Ok(Subject::read(&text(0)?, &text(1)?, &text(2)?))
        })?;
        if let Some(subject) = found.into_iter().flatten().next() {
            subjects.insert(event.seq, subject);
        }
    }
    Ok(subjects)
}
