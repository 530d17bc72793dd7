//! One order's history and the feed of all, from a journal that is asked over a connection. The
//! same for every database server; what is asked of it is the backend's matter.
//!
//! A history is a list that goes backwards through the journal: the order knows the row with its
//! last event, and each event knows the row with the one before.

use std::collections::BTreeMap;
use std::future::Future;

use super::feed::{History, Subject, check_hash, decode, no_order, view};
use super::journal::GENESIS;
use super::{EventPlace, EventView, JournalRow, StoreError};
use crate::order::{Order, OrderId, Position, Seq};

/// Journal rows of the feed that are read together. A row may be as large as a commit.
const ROWS: usize = 8;

/// A journal that can be asked.
pub(super) trait Source: Send {
    /// Journal rows after a position, ascending, at most `limit`.
    fn rows(
        &mut self,
        after: Position,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<JournalRow>, StoreError>> + Send;

    /// The hash of the journal row at a position.
    fn hash(
        &mut self,
        position: Position,
    ) -> impl Future<Output = Result<Option<[u8; 32]>, StoreError>> + Send;

    /// One order.
    fn order(
        &mut self,
        id: &OrderId,
    ) -> impl Future<Output = Result<Option<Order>, StoreError>> + Send;

    /// What events tell of orders, as far as they are there.
    fn subjects(
        &mut self,
        seqs: Vec<i64>,
    ) -> impl Future<Output = Result<BTreeMap<Seq, Subject>, StoreError>> + Send;
}

/// A page of one order's history, oldest first.
pub(super) async fn history(
    source: &mut impl Source,
    id: &OrderId,
    after: EventPlace,
    limit: usize,
) -> Result<Option<Vec<EventView>>, StoreError> {
    let Some(order) = source.order(id).await? else {
        return Ok(None);
    };
    let mut history = History::of(&order, after, limit);
    while let Some(position) = history.next() {
        let row = source.rows(Position(position.0 - 1), 1).await?;
        let before = hash_before(source, position).await?;
        history.take(row.first(), &before)?;
    }
    Ok(Some(history.page()))
}

/// Events of all orders after a place, oldest first.
pub(super) async fn events(
    source: &mut impl Source,
    after: EventPlace,
    limit: usize,
) -> Result<Vec<EventView>, StoreError> {
    let mut views = Vec::new();
    let mut position = Position(after.position.0 - 1);
    let mut last: Option<(Position, [u8; 32])> = None;
    loop {
        let rows = source.rows(position, ROWS).await?;
        for row in &rows {
            position = row.position;
            let before = match last {
                Some((last, hash)) if last.next() == position => hash,
                _ => hash_before(source, position).await?,
            };
            let mut events = decode(row)?;
            check_hash(&before, row)?;
            last = Some((position, row.hash));
            if row.position == after.position {
                events.retain(|(index, _)| *index > after.index);
            }
            events.truncate(limit - views.len());
            let seqs = events.iter().map(|(_, event)| event.seq.0).collect();
            let subjects = source.subjects(seqs).await?;
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
async fn hash_before(source: &mut impl Source, position: Position) -> Result<[u8; 32], StoreError> {
    let before = source.hash(Position(position.0 - 1)).await?;
    Ok(before.unwrap_or(GENESIS))
}
