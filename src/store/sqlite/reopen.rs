//! After a commit whose fate is unknown: the handle is given up, and another one finds out.
//!
//! The failed connection writes and flushes nothing more: a flush that failed once may say "done"
//! the second time although pages are lost. Nothing here repairs anything.

use std::path::Path;

use rusqlite::{Connection, params};

use super::renew::Renew;
use super::write::{Head, Writer};
use super::{read, row};
use crate::faults;
use crate::order::{Commit, KeyRecord, Position, Receipt};
use crate::store::{StoreError, journal};

impl Writer {
    /// Closes the connection without flushing anything. Answers with where the journal ended before
    /// the commit that failed.
    pub(super) fn give_up(self) -> Option<Head> {
        let head = self.head;
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "a failed connection could not be closed in order");
        }
        head
    }

    /// Writes the log once more, moves all of it into the database and flushes both, before
    /// anything rests on it: what a failed flush of an earlier connection, or of an earlier
    /// process, may have lost although it can still be read is written again, and what cannot be
    /// shows now. A reader that stays in the way leaves some of it in the log, which is flushed all
    /// the same.
    pub(super) fn rewrite(&self, path: &Path, renew: &Renew) -> Result<(), StoreError> {
        // Nobody else writes to the log meanwhile: it is written once more as it stands.
        let say = |sql| self.connection.execute_batch(sql).map_err(row::refused);
        say("BEGIN IMMEDIATE")?;
        let renewed = renew();
        say("ROLLBACK")?;
        renewed.map_err(|error| StoreError::NotWritable {
            path: path.into(),
            detail: error.to_string(),
        })?;
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let copied = self
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        if copied.map_err(row::refused)? != 0 {
            tracing::warn!("a reader is in the way: the log was not copied to its end");
        }
        Ok(())
    }

    /// Tells whether the commit is part of what is stored. `known` is where the journal ended
    /// before.
    ///
    /// Fails unless the journal ends there, or with this commit and nothing behind it.
    pub(super) fn find_out(
        &self,
        commit: &Commit,
        known: Option<Head>,
    ) -> Result<Option<Receipt>, StoreError> {
        let known = known.filter(|known| known.0 == commit.shard);
        let (_, position, hash) = known.ok_or(StoreError::Fenced)?;
        faults::point("reopening-flushed");
        let head = read::head(&self.connection, commit.shard)?.ok_or(StoreError::Fenced)?;
        if head.epoch != commit.epoch {
            return Err(StoreError::Fenced);
        }
        if (head.position, head.hash) == (position, hash) && position != commit.position {
            return Ok(None);
        }
        let rows = read::journal(&self.connection, Position(commit.position.0 - 2), 3)?;
        journal::check_end(&rows, commit, &head)?;
        receipt(&self.connection, commit).map(Some)
    }
}

/// The receipt of a commit that is stored.
fn receipt(connection: &Connection, commit: &Commit) -> Result<Receipt, StoreError> {
    let mut receipt = Receipt::default();
    let mut records = commit.keys.iter().peekable();
    let sql = "SELECT 1 FROM orders WHERE seq = ?1";
    let mut find = connection.prepare_cached(sql).map_err(row::unreadable)?;
    for (at, order) in commit.created.iter().enumerate() {
        let record = records.next_if(|record| record.created == at);
        if find.exists(params![order.seq.0]).map_err(row::unreadable)? {
            continue;
        }
        receipt.collided.push(at);
        if let Some(record) = record
            && was_taken(connection, commit, record)?
        {
            receipt.keys_taken.push(at);
        }
    }
    Ok(receipt)
}

/// Whether a key counted for another order when its own was looked at. An order that is left out
/// because of its id gives its key back, and one behind it may have got it.
fn was_taken(
    connection: &Connection,
    commit: &Commit,
    record: &KeyRecord,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM idempotency_keys
                WHERE scope = ?1 AND key = ?2 AND kept_at >= ?3
                  AND (seq BETWEEN ?4 AND ?5) IS NOT TRUE";
    let mut find = connection.prepare_cached(sql).map_err(row::unreadable)?;
    let (own, last) = commit.seqs_from(record.created);
    let (key, expired_before) = (&record.key, commit.keys_expired_before.0);
    let found = find.exists(params![key.scope, &*key.key, expired_before, own.0, last.0]);
    found.map_err(row::unreadable)
}

#[cfg(test)]
impl super::Sqlite {
    /// Does something to what is stored that no commit does.
    pub(crate) fn run(&self, sql: &str) {
        let pen = self.pen();
        let writer = &pen.as_ref().unwrap().writer;
        writer.connection.execute_batch(sql).unwrap();
    }

    /// Lets the commits of this connection end with an unknown fate.
    pub(crate) fn fail_commits(&self) {
        let mut pen = self.pen();
        let writer = &mut pen.as_mut().unwrap().writer;
        writer.connection.commit_hook(Some(|| true)).unwrap();
    }
}
