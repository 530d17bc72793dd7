//! An offline look at a database in one consistent state, for `orderd verify`. Reads only, beside a
//! running server or without one.

use std::path::Path;

use rusqlite::Connection;

use super::{open, read, row};
use crate::order::{Order, Position, Process, ProcessTally, Seq, ShardNumber};
use crate::store::{JournalRow, ShardHead, StoreError};

/// Where the database is, for an offline look at it by `orderd verify`: read-only, beside a running
/// server.
pub struct Snapshot(Connection);

impl Snapshot {
    /// Opens the database at `path` for reading, in one consistent state. Only the copying itself
    /// wants to see what is `half_copied`.
    pub fn open(path: &Path, half_copied: bool) -> Result<Self, StoreError> {
        open::check_there(path)?;
        let connection = open::reader(path)?;
        open::check_version(&connection)?;
        if !half_copied {
            open::check_whole(&connection)?;
        }
        connection.execute_batch("BEGIN").map_err(row::unreadable)?;
        Ok(Self(connection))
    }
}

impl crate::store::Snapshot for Snapshot {
    fn tallies(&self, shard: ShardNumber) -> Result<Vec<ProcessTally>, StoreError> {
        read::tallies(&self.0, shard)
    }

    fn definitions(&self) -> Result<Vec<Process>, StoreError> {
        read::definitions(&self.0)
    }

    fn journal(&self, after: Position, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        read::journal(&self.0, after, limit)
    }

    fn orders(&self, after: Seq, limit: usize) -> Result<Vec<Order>, StoreError> {
        read::orders_ascending(&self.0, after, limit)
    }

    fn stray_outputs(&self, limit: usize) -> Result<Vec<(Seq, String)>, StoreError> {
        read::stray_outputs(&self.0, limit)
    }

    fn head(&self, shard: ShardNumber) -> Result<Option<ShardHead>, StoreError> {
        read::head(&self.0, shard)
    }

    fn integrity(&self) -> Result<Vec<String>, StoreError> {
        read::integrity(&self.0)
    }
}
