//! Everything that is read, each question one whole statement.
//!
//! Reads run on connections of their own and never hold up a commit. Each is bounded: by its limit,
//! by the window of rows it may look at, or by the number of open orders.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::row::{self, unreadable};
use crate::clock::Timestamp;
use crate::order::{
    OpenOrder, Order, OrderId, Position, Priority, Process, ProcessTally, Seq, ShardNumber,
    StatusKind,
};
use crate::store::{JournalRow, Page, ShardHead, StoreError};

pub(super) type Read<T> = Result<T, StoreError>;

/// One order.
pub(super) fn order(connection: &Connection, id: &OrderId) -> Read<Option<Order>> {
    let sql = "SELECT * FROM whole_orders WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let mut rows = statement.query([id.as_str()]).map_err(unreadable)?;
    rows.next().map_err(unreadable)?.map(row::order).transpose()
}

/// The orders with these sequence numbers, as far as they are there.
pub(super) fn orders_at(connection: &Connection, seqs: &[Seq]) -> Read<Page> {
    let sql = "SELECT * FROM whole_orders WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let mut page = Page::default();
    for seq in seqs {
        let mut rows = statement.query([seq.0]).map_err(unreadable)?;
        if let Some(row) = rows.next().map_err(unreadable)? {
            page.take(row::order(row))?;
        }
    }
    Ok(page)
}

/// Open orders with sequence numbers above `after`, up to and including `last`.
pub(super) fn open_orders(
    connection: &Connection,
    after: Seq,
    last: Seq,
    limit: usize,
) -> Read<Vec<OpenOrder>> {
    let sql =
        "SELECT seq, id, customer_id, process, process_version, priority, total_minor, currency,
                      item_count, created_at, start_at, expires_at, imported_at, status, version,
                      step, attempt, started_at, updated_at, due_at, lease, target, ended_at,
                      reason, position, hold, marks
                 FROM orders
                WHERE ended_at IS NULL AND seq > ?1 AND seq <= ?2
                ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let rows = statement
        .query(params![after.0, last.0, as_limit(limit)])
        .map_err(unreadable)?;
    collect(rows, row::open_order)
}

/// Orders with sequence numbers above `after`, ascending.
pub(super) fn orders_ascending(
    connection: &Connection,
    after: Seq,
    limit: usize,
) -> Read<Vec<Order>> {
    let sql = "SELECT * FROM whole_orders WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let rows = statement
        .query(params![after.0, as_limit(limit)])
        .map_err(unreadable)?;
    collect(rows, row::order)
}

/// Journal rows after a position.
pub(super) fn journal(
    connection: &Connection,
    after: Position,
    limit: usize,
) -> Read<Vec<JournalRow>> {
    let sql = "SELECT position, epoch, at, entries, hash FROM journal
                WHERE position > ?1 ORDER BY position LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let rows = statement
        .query(params![after.0, as_limit(limit)])
        .map_err(unreadable)?;
    collect(rows, |row| journal_row(row).map_err(unreadable))
}

fn journal_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<JournalRow> {
    Ok(JournalRow {
        position: Position(row.get(0)?),
        epoch: row.get(1)?,
        at: Timestamp(row.get(2)?),
        entries: row.get(3)?,
        hash: row.get(4)?,
    })
}

/// The counters of a shard, by process.
pub(super) fn tallies(connection: &Connection, shard: ShardNumber) -> Read<Vec<ProcessTally>> {
    let mut tallies = Vec::new();
    let sql = "SELECT process, status, priority, orders FROM tally WHERE shard = ?1";
    let mut statement = connection.prepare(sql).map_err(unreadable)?;
    let mut rows = statement.query([shard.0]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let (process, status, priority, orders) = count(row).map_err(unreadable)?;
        let known = StatusKind::from_number(status).zip(Priority::from_number(priority));
        let Some((status, priority)) = known else {
            return Err(StoreError::BadRow {
                table: "tally",
                column: "status, priority",
                key: format!("{process}/{status}/{priority}"),
                detail: "unknown number".into(),
            });
        };
        let tally = ProcessTally::among(&mut tallies, &process);
        tally.tally.count(status, priority, orders);
    }
    let sql = "SELECT process, work_us, turnaround_s FROM tally_times WHERE shard = ?1";
    let mut statement = connection.prepare(sql).map_err(unreadable)?;
    let mut rows = statement.query([shard.0]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let process = row.get::<_, Arc<str>>(0).map_err(unreadable)?;
        let tally = ProcessTally::among(&mut tallies, &process);
        tally.work_us = row.get(1).map_err(unreadable)?;
        tally.turnaround_s = row.get(2).map_err(unreadable)?;
    }
    Ok(tallies)
}

fn count(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Arc<str>, i64, i64, i64)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

/// Every process that an order pins.
pub(super) fn definitions(connection: &Connection) -> Read<Vec<Process>> {
    let sql = "SELECT name, version, definition FROM processes ORDER BY name, version";
    let mut statement = connection.prepare(sql).map_err(unreadable)?;
    let rows = statement.query([]).map_err(unreadable)?;
    collect(rows, |row| {
        let key: String = row.get(0).map_err(unreadable)?;
        let text: String = row.get(2).map_err(unreadable)?;
        serde_json::from_str(&text).map_err(|error| {
            let detail = error.to_string();
            StoreError::BadRow {
                table: "processes",
                column: "definition",
                key,
                detail,
            }
        })
    })
}

/// Outputs of steps whose order is not there.
pub(super) fn stray_outputs(connection: &Connection, limit: usize) -> Read<Vec<(Seq, String)>> {
    let sql = "SELECT seq, step FROM step_outputs o
                WHERE NOT EXISTS (SELECT 1 FROM orders WHERE seq = o.seq) LIMIT ?1";
    let mut statement = connection.prepare(sql).map_err(unreadable)?;
    let rows = statement.query([as_limit(limit)]).map_err(unreadable)?;
    let stray = |row: &rusqlite::Row<'_>| Ok((Seq(row.get(0)?), row.get(1)?));
    collect(rows, |row| stray(row).map_err(unreadable))
}

/// Where a shard's journal ends, if it was ever opened.
pub(super) fn head(connection: &Connection, shard: ShardNumber) -> Read<Option<ShardHead>> {
    let sql = "SELECT epoch, position, hash, last_seq FROM shards WHERE shard = ?1";
    let read = connection.query_row(sql, [shard.0], |row| {
        Ok(ShardHead {
            epoch: row.get(0)?,
            position: Position(row.get(1)?),
            hash: row.get(2)?,
            last_seq: Seq(row.get(3)?),
        })
    });
    read.optional().map_err(unreadable)
}

/// The time of a row of the journal; 0 if there is none.
pub(super) fn written_at(connection: &Connection, position: Position) -> Read<Timestamp> {
    let sql = "SELECT at FROM journal WHERE position = ?1";
    let read = connection.query_row(sql, [position.0], |row| row.get(0));
    let at = read.optional().map_err(unreadable)?;
    Ok(Timestamp(at.unwrap_or_default()))
}

/// What SQLite says about its file; empty if it is sound.
pub(super) fn integrity(connection: &Connection) -> Read<Vec<String>> {
    let mut statement = connection
        .prepare("PRAGMA integrity_check(20)")
        .map_err(unreadable)?;
    let rows = statement.query([]).map_err(unreadable)?;
    let lines = collect(rows, |row| row.get::<_, String>(0).map_err(unreadable))?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

pub(super) fn collect<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&rusqlite::Row<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(unreadable)? {
        all.push(read(row)?);
    }
    Ok(all)
}

pub(super) fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
