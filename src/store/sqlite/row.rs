//! Between SQLite's rows and errors and those of the store. What a column means is said in
//! `store::columns`, not here.

use std::io;

use rusqlite::{ErrorCode, Row, ffi};

use crate::order::{OpenOrder, Order};
pub(super) use crate::store::beside::{hold_text, marks_text};
pub(super) use crate::store::columns::StateColumns;
use crate::store::{StoreError, columns};

impl columns::Row for Row<'_> {
    fn number(&self, place: usize) -> Result<Option<i64>, String> {
        self.get(place).map_err(|error| error.to_string())
    }

    fn text(&self, place: usize) -> Result<Option<&str>, String> {
        let value = self.get_ref(place).map_err(|error| error.to_string())?;
        value.as_str_or_null().map_err(|error| error.to_string())
    }
}

/// An error of a write that is definitely not stored.
pub(super) fn refused(error: rusqlite::Error) -> StoreError {
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { detail },
        _ => StoreError::Refused { detail },
    }
}

/// An error inside a transaction, before COMMIT.
///
/// SQLite writes and flushes in the middle of a statement, too: when a commit outgrows its cache,
/// and at the head of a log that begins again. When that fails the commit is not stored, but this
/// handle may not go on any more than after a COMMIT that failed.
pub(super) fn broken_off(error: rusqlite::Error) -> StoreError {
    let detail = error.to_string();
    match error.sqlite_error_code() {
        _ if is_over_quota(&error) => StoreError::Full { detail },
        Some(ErrorCode::SystemIoFailure) if !is_of_a_read(&error) => StoreError::Unknown { detail },
        // What is stored and what is to be stored do not fit: one of them is damaged.
        Some(ErrorCode::ConstraintViolation) => StoreError::BadRow {
            table: "commit",
            column: "value",
            key: "?".into(),
            detail,
        },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => unreadable(error),
        _ => refused(error),
    }
}

/// Whether a write found no room for this user: SQLite tells only a full disk from other failures.
/// To be asked before anything else is done.
pub(super) fn is_over_quota(error: &rusqlite::Error) -> bool {
    extended_code(error) == Some(ffi::SQLITE_IOERR_WRITE)
        && io::Error::last_os_error().kind() == io::ErrorKind::QuotaExceeded
}

fn is_of_a_read(error: &rusqlite::Error) -> bool {
    let reads = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ];
    extended_code(error).is_some_and(|code| reads.contains(&code))
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

/// An error of a read.
pub(super) fn unreadable(error: rusqlite::Error) -> StoreError {
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::BadRow {
            table: "file",
            column: "page",
            key: "?".into(),
            detail,
        },
        _ => StoreError::Unreadable { detail },
    }
}

/// A whole order from a row with all columns of `whole_orders`.
pub(super) fn order(row: &Row<'_>) -> Result<Order, StoreError> {
    columns::order(row)
}

/// What the shard needs of an open order.
pub(super) fn open_order(row: &Row<'_>) -> Result<OpenOrder, StoreError> {
    columns::open_order(row)
}

#[cfg(test)]
mod tests {
    use crate::store::columns::COLUMNS;

    #[test]
    fn columns_stand_where_the_schema_has_them() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let schema = include_str!("../../../migrations/sqlite/V1__orders.sql");
        connection.execute_batch(schema).unwrap();
        let statement = connection.prepare("SELECT * FROM whole_orders").unwrap();
        assert!(statement.column_names().eq(COLUMNS));
    }
}
