//! Everything that is read, each question one whole statement.
//!
//! Reads run on connections of their own and never hold up a commit. Each is bounded: by its limit,
//! by the window of rows it may look at, or by the number of open orders.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::connect::Link;
use super::error::{text, unreadable};
use super::row;
use super::tail::small;
use crate::clock::Timestamp;
use crate::order::{
    Fingerprint, KeptAnswer, KeptKey, OpenOrder, Order, OrderId, Position, Priority, Process,
    ProcessTally, RequestKey, Seq, ShardNumber, StatusKind,
};
use crate::store::{JournalRow, Page, ShardHead, StoreError};

pub(super) type Read<T> = Result<T, StoreError>;

/// A column of a row that has no invariant to name.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, place: usize) -> Read<T> {
    row.try_get(place).map_err(unreadable)
}

/// One order.
pub(super) async fn order(link: &Link, id: &OrderId) -> Read<Option<Order>> {
    let sql = "SELECT * FROM whole_orders WHERE id = $1";
    let rows = link.query(sql, &[&id.as_str()]).await?;
    rows.first().map(row::order).transpose()
}

/// The orders with these sequence numbers, as far as they are there.
pub(super) async fn orders_at(link: &Link, seqs: &[Seq]) -> Read<Page> {
    let sql = "SELECT * FROM whole_orders WHERE seq = ANY($1)";
    let seqs: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
    let rows = link.query(sql, &[&seqs]).await?;
    Page::of(rows.iter().map(row::order))
}

/// What is kept under a key, whether it is over or not.
pub(super) async fn kept_key(link: &Link, scope: &str, key: &str) -> Read<Option<KeptKey>> {
    let sql = "SELECT fingerprint, kept_at, status, content_type, location, etag, body
                 FROM idempotency_keys WHERE scope = $1 AND key = $2";
    let rows = link.query(sql, &[&scope, &key]).await?;
    rows.first().map(kept).transpose()
}

/// What was sent under a key that was claimed at `expired_before` or later.
pub(super) async fn sent_under(
    link: &Link,
    key: &RequestKey,
    expired_before: Timestamp,
) -> Read<Option<Fingerprint>> {
    let sql = "SELECT fingerprint FROM idempotency_keys
                WHERE scope = $1 AND key = $2 AND kept_at >= $3";
    let (scope, key) = (&*key.scope, &*key.key);
    let rows = link.query(sql, &[&scope, &key, &expired_before.0]).await?;
    rows.first().map(|row| hash(row, 0)).transpose()
}

fn kept(row: &Row) -> Read<KeptKey> {
    let status: i32 = column(row, 2)?;
    let bad = |_| StoreError::Unreadable {
        detail: format!("an answer has the status {status}"),
    };
    Ok(KeptKey {
        fingerprint: hash(row, 0)?,
        kept_at: Timestamp(column(row, 1)?),
        answer: KeptAnswer {
            status: u16::try_from(status).map_err(bad)?,
            content_type: column::<&str>(row, 3)?.into(),
            location: column::<Option<&str>>(row, 4)?.map(Into::into),
            etag: column::<Option<&str>>(row, 5)?.map(Into::into),
            body: column::<&[u8]>(row, 6)?.into(),
        },
    })
}

/// A hash in a row.
pub(super) fn hash(row: &Row, place: usize) -> Read<[u8; 32]> {
    let bytes: &[u8] = column(row, place)?;
    bytes.try_into().map_err(|_| StoreError::Unreadable {
        detail: format!("a hash has {} bytes", bytes.len()),
    })
}

/// Open orders with sequence numbers above `after`, up to and including `last`: the old ones, and
/// if those are too few, the young ones.
pub(super) async fn open_orders(
    link: &Link,
    after: Seq,
    last: Seq,
    limit: usize,
) -> Read<Vec<OpenOrder>> {
    let sql = "WITH old AS MATERIALIZED (
                 SELECT seq FROM lingering WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3
               ), young AS (
                 SELECT y.seq FROM shards s
                  CROSS JOIN LATERAL (SELECT seq FROM orders
                                       WHERE seq > greatest(s.lingering_to, $1)
                                         AND seq <= least(s.last_seq, $2)
                                         AND ended_at IS NULL ORDER BY seq LIMIT $3) AS y
                  WHERE (SELECT count(*) FROM old) < $3
               ), found AS (
                 SELECT seq FROM old UNION ALL SELECT seq FROM young ORDER BY seq LIMIT $3
               )
               SELECT o.* FROM found
                CROSS JOIN LATERAL (
                  SELECT seq, id, customer_id, process, process_version, priority, total_minor,
                         currency, item_count, created_at, start_at, expires_at, imported_at,
                         status, version, step, attempt, started_at, updated_at, due_at, lease,
                         target, ended_at, reason, position, hold, marks
                    FROM orders WHERE seq = found.seq OFFSET 0) AS o
                ORDER BY found.seq";
    let values = &[&after.0 as _, &last.0 as _, &as_limit(limit) as _];
    let rows = link.query(sql, values).await?;
    rows.iter().map(row::open_order).collect()
}

/// Orders with sequence numbers above `after`, ascending.
pub(super) async fn orders_ascending(link: &Link, after: Seq, limit: usize) -> Read<Vec<Order>> {
    let sql = "SELECT * FROM whole_orders WHERE seq > $1 ORDER BY seq LIMIT $2";
    let rows = link.query(sql, &[&after.0, &as_limit(limit)]).await?;
    rows.iter().map(row::order).collect()
}

/// Journal rows after a position.
pub(super) async fn journal(link: &Link, after: Position, limit: usize) -> Read<Vec<JournalRow>> {
    let sql = "SELECT position, epoch, at, entries, hash FROM journal
                WHERE position > $1 ORDER BY position LIMIT $2";
    let rows = link.query(sql, &[&after.0, &as_limit(limit)]).await?;
    let journal_row = |row: &Row| {
        Ok(JournalRow {
            position: Position(column(row, 0)?),
            epoch: column(row, 1)?,
            at: Timestamp(column(row, 2)?),
            entries: column::<&str>(row, 3)?.into(),
            hash: hash(row, 4)?,
        })
    };
    rows.iter().map(journal_row).collect()
}

/// The counters of a shard, by process.
pub(super) async fn tallies(link: &Link, shard: ShardNumber) -> Read<Vec<ProcessTally>> {
    let mut tallies = Vec::new();
    let sql = "SELECT process, status, priority, orders FROM tally WHERE shard = $1";
    for row in &link.query(sql, &[&small(shard)?]).await? {
        let process: &str = column(row, 0)?;
        let (status, priority): (i16, i16) = (column(row, 1)?, column(row, 2)?);
        let known =
            StatusKind::from_number(status.into()).zip(Priority::from_number(priority.into()));
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
    let sql = "SELECT process, work_us, turnaround_s FROM tally_times WHERE shard = $1";
    for row in &link.query(sql, &[&small(shard)?]).await? {
        let process: &str = column(row, 0)?;
        let tally = ProcessTally::among(&mut tallies, &process.into());
        tally.work_us = column(row, 1)?;
        tally.turnaround_s = column(row, 2)?;
    }
    Ok(tallies)
}

/// Every process that an order pins.
pub(super) async fn definitions(link: &Link) -> Read<Vec<Process>> {
    let sql = "SELECT name, definition::text FROM processes ORDER BY name, version";
    let rows = link.query(sql, &[]).await?;
    let process = |row: &Row| {
        let (name, text): (&str, &str) = (column(row, 0)?, column(row, 1)?);
        serde_json::from_str(text).map_err(|error| StoreError::BadRow {
            table: "processes",
            column: "definition",
            key: name.into(),
            detail: error.to_string(),
        })
    };
    rows.iter().map(process).collect()
}

/// Outputs of steps whose order is not there.
pub(super) async fn stray_outputs(link: &Link, limit: usize) -> Read<Vec<(Seq, String)>> {
    let sql = "SELECT seq, step FROM step_outputs o
                WHERE NOT EXISTS (SELECT 1 FROM orders WHERE seq = o.seq) LIMIT $1";
    let rows = link.query(sql, &[&as_limit(limit)]).await?;
    let stray = |row: &Row| Ok((Seq(column(row, 0)?), column(row, 1)?));
    rows.iter().map(stray).collect()
}

/// What is wrong with what the database keeps twice: with old orders that are open, and, if its own
/// means for that are installed, the extension amcheck, with its indexes.
pub(super) async fn integrity(link: &Link) -> Read<Vec<String>> {
    let sql = "(SELECT 'order ' || o.seq || ' is open and old and does not linger'
                  FROM shards s JOIN orders o ON o.seq > s.shard::bigint << 48
                   AND o.seq <= s.lingering_to AND o.ended_at IS NULL
                 WHERE NOT EXISTS (SELECT 1 FROM lingering l WHERE l.seq = o.seq) LIMIT 10)
               UNION ALL
               (SELECT 'order ' || l.seq || ' lingers and is not open'
                  FROM lingering l LEFT JOIN orders o USING (seq)
                 WHERE o.seq IS NULL OR o.ended_at IS NOT NULL LIMIT 10)";
    let wrong = link.query(sql, &[]).await?;
    let wrong: Vec<String> = wrong
        .iter()
        .map(|row| column(row, 0))
        .collect::<Read<_>>()?;
    let sql = "SELECT 1 FROM pg_extension WHERE extname = 'amcheck'";
    if !wrong.is_empty() || link.query(sql, &[]).await?.is_empty() {
        return Ok(wrong);
    }
    let sql = "SELECT bt_index_check(indexrelid) FROM pg_index
                WHERE indrelid IN ('orders'::regclass, 'journal'::regclass, 'shards'::regclass,
                                   'step_outputs'::regclass)";
    match link.client.batch_execute(sql).await {
        Ok(()) => Ok(Vec::new()),
        Err(error) => Ok(vec![text(&error)]),
    }
}

/// Where a shard's journal ends, if it was ever opened.
pub(super) async fn head(link: &Link, shard: ShardNumber) -> Read<Option<ShardHead>> {
    let sql = "SELECT epoch, position, hash, last_seq FROM shards WHERE shard = $1";
    let rows = link.query(sql, &[&small(shard)?]).await?;
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
pub(super) async fn written_at(link: &Link, position: Position) -> Read<Timestamp> {
    let sql = "SELECT at FROM journal WHERE position = $1";
    let rows = link.query(sql, &[&position.0]).await?;
    let at = rows.first().map(|row| column(row, 0)).transpose()?;
    Ok(Timestamp(at.unwrap_or_default()))
}

pub(super) fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
