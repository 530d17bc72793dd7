//! Everything that is read, each question one whole statement.
//!
//! Reads run on connections of their own and never hold up a commit. Each is bounded: by its limit,
//! by the window of rows it may look at, or by the number of open orders.

use mysql_async::prelude::FromValue;
use mysql_async::{Row, Value};

use super::connect::Link;
use super::row;
use crate::clock::Timestamp;
use crate::order::{
    Fingerprint, KeptAnswer, KeptKey, OpenOrder, Order, OrderId, Position, Priority, Process,
    ProcessTally, RequestKey, Seq, ShardNumber, StatusKind,
};
use crate::store::{JournalRow, Page, ShardHead, StoreError};

pub(super) type Read<T> = Result<T, StoreError>;

/// A statement that reads whole orders: their columns in the order of `store::columns`, what their
/// steps said as a JSON array of [number, step, output] or NULL, and what stands behind `FROM`. No
/// view, because MySQL makes one with a subquery among its columns from the whole table.
macro_rules! whole_orders {
    ($from:literal) => {
        concat!(
            "SELECT o.seq, o.id, o.customer_id, o.process, o.process_version, o.priority,
                    o.total_minor, o.currency, o.item_count, o.created_at, o.start_at,
                    o.expires_at, o.imported_at, o.status, o.version, o.step, o.attempt,
                    o.started_at, o.updated_at, o.due_at, o.lease, o.target, o.ended_at, o.reason,
                    o.position, o.hold, o.marks, o.payload,
                    (SELECT JSON_ARRAYAGG(JSON_ARRAY(s.number, s.step, CONCAT(s.output, '')))
                       FROM step_outputs s WHERE s.seq = o.seq) AS outputs
               FROM ",
            $from
        )
    };
}
pub(super) use whole_orders;

/// A column of a row that has no invariant to name.
pub(super) fn column<T: FromValue>(row: &Row, place: usize) -> Read<T> {
    let value = row.as_ref(place).cloned().unwrap_or(Value::NULL);
    T::from_value_opt(value).map_err(|_| StoreError::Unreadable {
        detail: format!("column {place} of an answer cannot be read"),
    })
}

/// One order.
pub(super) async fn order(link: &mut Link, id: &OrderId) -> Read<Option<Order>> {
    let sql = whole_orders!("orders o WHERE o.id = ?");
    let rows = link.query(sql, (id.as_str(),)).await?;
    rows.first().map(row::order).transpose()
}

/// The orders with these sequence numbers.
pub(super) async fn orders_at(link: &mut Link, seqs: &[i64]) -> Read<Page> {
    let sql = whole_orders!(
        "JSON_TABLE(?, '$[*]' COLUMNS (seq BIGINT PATH '$')) n
           STRAIGHT_JOIN orders o ON o.seq = n.seq"
    );
    let rows = link.query(sql, (format!("{seqs:?}"),)).await?;
    Page::of(rows.iter().map(row::order))
}

/// What is kept under a key, whether it is over or not.
pub(super) async fn kept_key(link: &mut Link, scope: &str, key: &str) -> Read<Option<KeptKey>> {
    let sql = "SELECT fingerprint, kept_at, status, content_type, location, etag, body
                 FROM idempotency_keys WHERE scope = ? AND `key` = ?";
    let rows = link.query(sql, (scope, key)).await?;
    rows.first().map(kept).transpose()
}

/// What was sent under a key that was claimed at `expired_before` or later.
pub(super) async fn sent_under(
    link: &mut Link,
    key: &RequestKey,
    expired_before: Timestamp,
) -> Read<Option<Fingerprint>> {
    let sql = "SELECT fingerprint FROM idempotency_keys
                WHERE scope = ? AND `key` = ? AND kept_at >= ?";
    let values = (&*key.scope, &*key.key, expired_before.0);
    let rows = link.query(sql, values).await?;
    rows.first().map(|row| hash(row, 0)).transpose()
}

fn kept(row: &Row) -> Read<KeptKey> {
    let status: i64 = column(row, 2)?;
    let bad = |_| StoreError::Unreadable {
        detail: format!("an answer has the status {status}"),
    };
    Ok(KeptKey {
        fingerprint: hash(row, 0)?,
        kept_at: Timestamp(column(row, 1)?),
        answer: KeptAnswer {
            status: u16::try_from(status).map_err(bad)?,
            content_type: column::<String>(row, 3)?.into(),
            location: column::<Option<String>>(row, 4)?.map(Into::into),
            etag: column::<Option<String>>(row, 5)?.map(Into::into),
            body: column::<Vec<u8>>(row, 6)?.into(),
        },
    })
}

/// A hash in a row.
pub(super) fn hash(row: &Row, place: usize) -> Read<[u8; 32]> {
    let bytes: Vec<u8> = column(row, place)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| StoreError::Unreadable {
        detail: format!("a hash has {length} bytes"),
    })
}

/// Open orders with sequence numbers above `after`, up to and including `last`.
pub(super) async fn open_orders(
    link: &mut Link,
    after: Seq,
    last: Seq,
    limit: usize,
) -> Read<Vec<OpenOrder>> {
    let sql =
        "SELECT seq, id, customer_id, process, process_version, priority, total_minor, currency,
                      item_count, created_at, start_at, expires_at, imported_at, status, version,
                      step, attempt, started_at, updated_at, due_at, lease, target, ended_at,
                      reason, position, hold, marks
                 FROM orders FORCE INDEX (orders_open)
                WHERE ended_at IS NULL AND seq > ? AND seq <= ?
                ORDER BY seq LIMIT ?";
    let rows = link.query(sql, (after.0, last.0, as_limit(limit))).await?;
    rows.iter().map(row::open_order).collect()
}

/// Orders with sequence numbers above `after`, ascending.
pub(super) async fn orders_ascending(
    link: &mut Link,
    after: Seq,
    limit: usize,
) -> Read<Vec<Order>> {
    let sql = whole_orders!(
        "orders o FORCE INDEX (PRIMARY)
                WHERE o.seq > ? ORDER BY o.seq LIMIT ?"
    );
    let rows = link.query(sql, (after.0, as_limit(limit))).await?;
    rows.iter().map(row::order).collect()
}

/// Journal rows after a position.
pub(super) async fn journal(
    link: &mut Link,
    after: Position,
    limit: usize,
) -> Read<Vec<JournalRow>> {
    let sql = "SELECT position, epoch, at, entries, hash FROM journal
                WHERE position > ? ORDER BY position LIMIT ?";
    let rows = link.query(sql, (after.0, as_limit(limit))).await?;
    let journal_row = |row: &Row| {
        Ok(JournalRow {
            position: Position(column(row, 0)?),
            epoch: column(row, 1)?,
            at: Timestamp(column(row, 2)?),
            entries: column::<String>(row, 3)?.into(),
            hash: hash(row, 4)?,
        })
    };
    rows.iter().map(journal_row).collect()
}

/// The counters of a shard, by process.
pub(super) async fn tallies(link: &mut Link, shard: ShardNumber) -> Read<Vec<ProcessTally>> {
    let mut tallies = Vec::new();
    let sql = "SELECT process, status, priority, orders FROM tally WHERE shard = ?";
    for row in &link.query(sql, (shard.0,)).await? {
        let process: String = column(row, 0)?;
        let (status, priority): (i64, i64) = (column(row, 1)?, column(row, 2)?);
        let known = StatusKind::from_number(status).zip(Priority::from_number(priority));
        let Some((status, priority)) = known else {
            return Err(StoreError::BadRow {
                table: "tally",
                column: "status, priority",
                key: format!("{process}/{status}/{priority}"),
                detail: "unknown number".into(),
            });
        };
        let tally = ProcessTally::among(&mut tallies, &process.into());
        tally.tally.count(status, priority, column(row, 3)?);
    }
    let sql = "SELECT process, work_us, turnaround_s FROM tally_times WHERE shard = ?";
    for row in &link.query(sql, (shard.0,)).await? {
        let process: String = column(row, 0)?;
        let tally = ProcessTally::among(&mut tallies, &process.into());
        tally.work_us = column(row, 1)?;
        tally.turnaround_s = column(row, 2)?;
    }
    Ok(tallies)
}

/// Every process that an order pins.
pub(super) async fn definitions(link: &mut Link) -> Read<Vec<Process>> {
    let sql = "SELECT name, definition FROM processes ORDER BY name, version";
    let rows = link.query(sql, ()).await?;
    let process = |row: &Row| {
        let (name, text): (String, String) = (column(row, 0)?, column(row, 1)?);
        serde_json::from_str(&text).map_err(|error| StoreError::BadRow {
            table: "processes",
            column: "definition",
            key: name,
            detail: error.to_string(),
        })
    };
    rows.iter().map(process).collect()
}

/// Outputs of steps whose order is not there.
pub(super) async fn stray_outputs(link: &mut Link, limit: usize) -> Read<Vec<(Seq, String)>> {
    let sql = "SELECT seq, step FROM step_outputs s
                WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.seq = s.seq) LIMIT ?";
    let rows = link.query(sql, (as_limit(limit),)).await?;
    let stray = |row: &Row| Ok((Seq(column(row, 0)?), column(row, 1)?));
    rows.iter().map(stray).collect()
}

/// What the server says about the tables and their indexes; empty if they are sound.
pub(super) async fn integrity(link: &mut Link) -> Read<Vec<String>> {
    // As text: MySQL prepares no such statement.
    let sql = "CHECK TABLE orders, imported_orders, step_outputs, journal, shards, tally,
                           tally_times, processes, idempotency_keys, webhooks, webhook_deliveries";
    let mut found = Vec::new();
    for row in &link.ask(sql.into()).await? {
        let (kind, text): (String, String) = (column(row, 2)?, column(row, 3)?);
        if kind.eq_ignore_ascii_case("error") || kind.eq_ignore_ascii_case("warning") {
            found.push(format!("{}: {text}", column::<String>(row, 0)?));
        }
    }
    Ok(found)
}

/// Where a shard's journal ends, if it was ever opened.
pub(super) async fn head(link: &mut Link, shard: ShardNumber) -> Read<Option<ShardHead>> {
    let sql = "SELECT epoch, position, hash, last_seq FROM shards WHERE shard = ?";
    let rows = link.query(sql, (shard.0,)).await?;
    let head = |row: &Row| {
        Ok(ShardHead {
            epoch: column(row, 0)?,
            position: Position(column(row, 1)?),
            hash: hash(row, 2)?,
            last_seq: Seq(column(row, 3)?),
        })
    };
    rows.first().map(head).transpose()
}

/// The time of a row of the journal; 0 if there is none.
pub(super) async fn written_at(link: &mut Link, position: Position) -> Read<Timestamp> {
    let sql = "SELECT at FROM journal WHERE position = ?";
    let rows = link.query(sql, (position.0,)).await?;
    let at = rows.first().map(|row| column(row, 0)).transpose()?;
    Ok(Timestamp(at.unwrap_or_default()))
}

pub(super) fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
