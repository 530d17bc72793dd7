//! Events: one order's history, and the feed of all.
//!
//! A history is a list that goes backwards through the journal: the order knows the row with its
//! last event, and each event knows the row with the one before.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::read::{Read, collect, journal, order};
use super::row::unreadable;
use crate::order::{Event, OrderId, Position, Seq};
use crate::store::feed::{HISTORY_ROWS_MAX, bad_position, check_hash, decode, no_order, view};
use crate::store::journal::GENESIS;
use crate::store::{EventPlace, EventView};

/// One order's history, oldest first.
pub(super) fn history(connection: &Connection, id: &OrderId) -> Read<Option<Vec<EventView>>> {
    let Some(order) = order(connection, id)? else {
        return Ok(None);
    };
    let mut newest_first = Vec::new();
    let mut position = order.state.position;
    for _ in 0..HISTORY_ROWS_MAX {
        let row = journal(connection, Position(position.0 - 1), 1)?;
        let row = row.into_iter().find(|row| row.position == position);
        let row = row.ok_or_else(|| bad_position(&order.seq, position))?;
        let mut events = decode(&row)?;
        check_hash(&hash_before(connection, position)?, &row)?;
        events.retain(|(_, event)| event.seq == order.seq);
        let (_, first) = events
            .first()
            .ok_or_else(|| bad_position(&order.seq, position))?;
        position = first.previous;
        let views = events
            .into_iter()
            .rev()
            .map(|(index, event)| view(&row, index, event, id));
        newest_first.extend(views);
        if position == Position::default() {
            newest_first.reverse();
            return Ok(Some(newest_first));
        }
    }
    Err(bad_position(&order.seq, position))
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
        let ids = ids(connection, &events)?;
        for (index, event) in events {
            let id = ids
                .get(&event.seq)
                .ok_or_else(|| no_order(&row, event.seq))?;
            views.push(view(&row, index, event, id));
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

fn ids(connection: &Connection, events: &[(u32, Event)]) -> Read<BTreeMap<Seq, OrderId>> {
    let sql = "SELECT id FROM orders WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let mut ids = BTreeMap::new();
    for (_, event) in events {
        if ids.contains_key(&event.seq) {
            continue;
        }
        let rows = statement.query([event.seq.0]).map_err(unreadable)?;
        let texts = collect(rows, |row| row.get::<_, String>(0).map_err(unreadable))?;
        if let Some(id) = texts.first().and_then(|text| OrderId::parse(text).ok()) {
            ids.insert(event.seq, id);
        }
    }
    Ok(ids)
}
