//! Between rows of MySQL and those of the store. What a column means is said in
//! `store::columns`, not here.

use mysql_async::{Row, Value};

use crate::order::{OpenOrder, Order};
use crate::store::{StoreError, columns};

/// A row as the driver gives it.
struct Columns<'a>(&'a Row);

impl columns::Row for Columns<'_> {
    fn number(&self, place: usize) -> Result<Option<i64>, String> {
        match self.0.as_ref(place) {
            Some(Value::NULL) => Ok(None),
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(Value::UInt(number)) => {
                let number = i64::try_from(*number);
                number.map(Some).map_err(|error| error.to_string())
            }
            Some(_) => Err("is no number".into()),
            None => Err("is not there".into()),
        }
    }

    fn text(&self, place: usize) -> Result<Option<&str>, String> {
        match self.0.as_ref(place) {
            Some(Value::NULL) => Ok(None),
            Some(Value::Bytes(bytes)) => {
                let text = std::str::from_utf8(bytes);
                text.map(Some).map_err(|error| error.to_string())
            }
            Some(_) => Err("is no text".into()),
            None => Err("is not there".into()),
        }
    }
}

/// A whole order from a row with all columns.
pub(super) fn order(row: &Row) -> Result<Order, StoreError> {
    columns::order(&Columns(row))
}

/// What the shard needs of an open order.
pub(super) fn open_order(row: &Row) -> Result<OpenOrder, StoreError> {
    columns::open_order(&Columns(row))
}
