//! Idempotency keys: claimed and given back inside a commit, looked up by readers.
//!
//! Whether the key of a new order is taken is decided by the unique constraint alone.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::unreadable;
use crate::clock::Timestamp;
use crate::order::{Commit, Fingerprint, KeptAnswer, KeptKey, RequestKey, Seq};
use crate::store::StoreError;

/// Keeps an answer under its key, unless the key was claimed in the time for which keys count: then
/// is taken, and the answer is `false`. `seq` is the order that it is about.
pub(super) fn claim(
    connection: &Connection,
    (kept_at, expired_before): (Timestamp, Timestamp),
    (key, answer): (&RequestKey, &KeptAnswer),
    seq: Option<Seq>,
) -> rusqlite::Result<bool> {
    let mut claim = connection.prepare_cached(
        "INSERT INTO idempotency_keys (scope, key, fingerprint, seq, kept_at, status, content_type,
                                       location, etag, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (scope, key) DO UPDATE
            SET number = (SELECT max(number) + 1 FROM idempotency_keys), fingerprint = ?3,
                seq = ?4, kept_at = ?5, status = ?6, content_type = ?7, location = ?8,
                etag = ?9, body = ?10
          WHERE kept_at < ?11",
    )?;
    let claimed = claim.execute(params![
        key.scope,
        &*key.key,
        key.fingerprint,
        seq.map(|seq| seq.0),
        kept_at.0,
        answer.status,
        &*answer.content_type,
        answer.location.as_deref(),
        answer.etag.as_deref(),
        &*answer.body,
        expired_before.0,
    ])?;
    Ok(claimed > 0)
}

/// Keeps the answers to changes. Their keys were free when the changes were decided.
pub(super) fn claim_changes(connection: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let times = (commit.keys_kept_at, commit.keys_expired_before);
    for kept in &commit.change_keys {
        claim(connection, times, (&kept.key, &kept.answer), kept.seq)?;
    }
    Ok(())
}

/// What was sent under a key that was claimed at `expired_before` or later.
pub(super) fn sent_under(
    connection: &Connection,
    key: &RequestKey,
    expired_before: Timestamp,
) -> Result<Option<Fingerprint>, StoreError> {
    let sql = "SELECT fingerprint FROM idempotency_keys
                WHERE scope = ?1 AND key = ?2 AND kept_at >= ?3";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let values = params![key.scope, &*key.key, expired_before.0];
    let found = statement.query_row(values, |row| row.get(0)).optional();
    found.map_err(unreadable)
}

/// Gives a key back that was claimed for an order which then was not stored.
pub(super) fn give_back(connection: &Connection, key: &RequestKey) -> rusqlite::Result<()> {
    let sql = "DELETE FROM idempotency_keys WHERE scope = ?1 AND key = ?2";
    let mut delete = connection.prepare_cached(sql)?;
    delete.execute(params![key.scope, &*key.key]).map(drop)
}

/// Removes keys that are over, at most two for each new one, from the lowest number on. As long as
/// the first one still counts nothing else is looked at; one from a time when the clock was ahead
/// goes to the end, so that it holds up nobody.
pub(super) fn prune(connection: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let most = 2 * (commit.keys.len() + commit.change_keys.len());
    if most == 0 {
        return Ok(());
    }
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (now, expired_before) = (commit.keys_kept_at.0, commit.keys_expired_before.0);
    let sql = "SELECT number, kept_at FROM idempotency_keys ORDER BY number LIMIT 1";
    let mut first = connection.prepare_cached(sql)?;
    let first = first.query_row([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
    match first.optional()? {
        Some((number, kept_at)) if kept_at > now => put_last(connection, number, most, now),
        Some((_, kept_at)) if kept_at < expired_before => {
            let mut delete = connection.prepare_cached(
                "DELETE FROM idempotency_keys
                  WHERE number IN (SELECT number FROM idempotency_keys ORDER BY number LIMIT ?1)
                    AND kept_at < ?2",
            )?;
            delete.execute(params![most, expired_before]).map(drop)
        }
        _ => Ok(()),
    }
}

/// Gives the keys that were kept later than `now` the highest numbers, if they are among the `most`
/// from the number `first` on.
fn put_last(connection: &Connection, first: i64, most: i64, now: i64) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE idempotency_keys
            SET number = number - ?1 + 1 + (SELECT max(number) FROM idempotency_keys)
          WHERE number IN (SELECT number FROM idempotency_keys ORDER BY number LIMIT ?2)
            AND kept_at > ?3",
    )?;
    update.execute(params![first, most, now]).map(drop)
}

/// What is kept under a key, whether it is over or not.
pub(super) fn find(
    connection: &Connection,
    scope: &str,
    key: &str,
) -> Result<Option<KeptKey>, StoreError> {
    let sql = "SELECT fingerprint, kept_at, status, content_type, location, etag, body
                 FROM idempotency_keys WHERE scope = ?1 AND key = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(unreadable)?;
    let found = statement.query_row(params![scope, key], kept).optional();
    found.map_err(unreadable)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptKey> {
    Ok(KeptKey {
        fingerprint: row.get(0)?,
        kept_at: Timestamp(row.get(1)?),
        answer: KeptAnswer {
            status: row.get(2)?,
            content_type: row.get(3)?,
            location: row.get(4)?,
            etag: row.get(5)?,
            body: row.get::<_, Vec<u8>>(6)?.into(),
        },
    })
}
