//! Events: one order's history, and the feed of all.
//!
//! A history is a list that goes backwards through the journal: the order knows the row with its
//! last event, and each event knows the row with the one before.

use std::collections::BTreeMap;

use super::connect::Link;
use super::read::{Read, column, journal, order};
use crate::order::{Event, OrderId, Position, Seq};
use crate::store::feed::{
    HISTORY_ROWS_MAX, Subject, bad_position, check_hash, decode, no_order, view,
};
use crate::store::journal::GENESIS;
use crate::store::{EventPlace, EventView};

/// Journal rows of the feed that are read together. A row may be as large as a commit.
const ROWS: usize = 8;

/// One order's history, oldest first.
pub(super) async fn history(link: &Link, id: &OrderId) -> Read<Option<Vec<EventView>>> {
    let Some(order) = order(link, id).await? else {
        return Ok(None);
    };
    let subject = Subject::of(&order);
    let mut newest_first = Vec::new();
    let mut position = order.state.position;
    for _ in 0..HISTORY_ROWS_MAX {
        let row = journal(link, Position(position.0 - 1), 1).await?;
        let row = row.into_iter().find(|row| row.position == position);
        let row = row.ok_or_else(|| bad_position(&order.seq, position))?;
        let mut events = decode(&row)?;
        check_hash(&hash_before(link, position).await?, &row)?;
        events.retain(|(_, event)| event.seq == order.seq);
        let (_, first) = events
            .first()
            .ok_or_else(|| bad_position(&order.seq, position))?;
        position = first.previous;
        let views = events
            .into_iter()
            .rev()
            .map(|(index, event)| view(&row, index, event, &subject));
        newest_first.extend(views);
        if position == Position::default() {
            newest_first.reverse();
            return Ok(Some(newest_first));
        }
    }
    Err(bad_position(&order.seq, position))
}

/// Events of all orders after a place, oldest first.
pub(super) async fn events(link: &Link, after: EventPlace, limit: usize) -> Read<Vec<EventView>> {
    let mut views = Vec::new();
    let mut position = Position(after.position.0 - 1);
    let mut last: Option<(Position, [u8; 32])> = None;
    loop {
        let rows = journal(link, position, ROWS).await?;
        for row in &rows {
            position = row.position;
            let before = match last {
                Some((last, hash)) if last.next() == position => hash,
                _ => hash_before(link, position).await?,
            };
            let mut events = decode(row)?;
            check_hash(&before, row)?;
            last = Some((position, row.hash));
            if row.position == after.position {
                events.retain(|(index, _)| *index > after.index);
            }
            events.truncate(limit - views.len());
            let subjects = subjects(link, &events).await?;
            for (index, event) in events {
                let subject = subjects.get(&event.seq);
                let subject = subject.ok_or_else(|| no_order(row, event.seq))?;
                views.push(view(row, index, event, subject));
            }
            if views.len() == limit {
                return Ok(views);
            }
        }
        if rows.len() < ROWS {
            return Ok(views);
        }
    }
}

/// The hash of the journal row before a position.
async fn hash_before(link: &Link, position: Position) -> Read<[u8; 32]> {
    let rows = journal(link, Position(position.0 - 2), 1).await?;
    let before = rows.iter().find(|row| row.position.next() == position);
    Ok(before.map_or(GENESIS, |row| row.hash))
}

async fn subjects(link: &Link, events: &[(u32, Event)]) -> Read<BTreeMap<Seq, Subject>> {
    let seqs: Vec<i64> = events.iter().map(|(_, event)| event.seq.0).collect();
    let sql = "SELECT seq, id, customer_id, process FROM orders WHERE seq = ANY ($1)";
    let mut subjects = BTreeMap::new();
    for row in &link.query(sql, &[&seqs]).await? {
        let subject = Subject::read(column(row, 1)?, column(row, 2)?, column(row, 3)?);
        if let Some(subject) = subject {
            subjects.insert(Seq(column(row, 0)?), subject);
        }
    }
    Ok(subjects)
}
