//! Between SQLite's rows and errors and those of the store. What a column means is said in
//! `store::columns`, not here.

use rusqlite::{ErrorCode, Row};

use crate::order::{OpenOrder, Order};
pub(super) use crate::store::columns::{StateColumns, hold_text};
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
