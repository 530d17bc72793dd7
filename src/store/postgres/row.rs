//! Between PostgreSQL's rows and those of the store. What a column means is said in
//! `store::columns`, not here.

use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::order::{OpenOrder, Order};
use crate::store::{StoreError, columns};

/// A whole number of any size.
struct Number(i64);

impl<'a> FromSql<'a> for Number {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let number = match *kind {
            Type::INT2 => i16::from_sql(kind, raw)?.into(),
            Type::INT4 => i32::from_sql(kind, raw)?.into(),
            _ => i64::from_sql(kind, raw)?,
        };
        Ok(Self(number))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT2 | Type::INT4 | Type::INT8)
    }
}

/// A text, or JSON as it was written.
struct Text<'a>(&'a str);

impl<'a> FromSql<'a> for Text<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::JSON)
    }
}

impl columns::Row for Row {
    fn number(&self, place: usize) -> Result<Option<i64>, String> {
        let number = self.try_get::<_, Option<Number>>(place);
        let number = number.map_err(|error| super::error::text(&error))?;
        Ok(number.map(|number| number.0))
    }

    fn text(&self, place: usize) -> Result<Option<&str>, String> {
        let text = self.try_get::<_, Option<Text<'_>>>(place);
        let text = text.map_err(|error| super::error::text(&error))?;
        Ok(text.map(|text| text.0))
    }
}

/// A whole order from a row with all columns of `whole_orders`.
pub(super) fn order(row: &Row) -> Result<Order, StoreError> {
    columns::order(row)
}

/// What the shard needs of an open order.
pub(super) fn open_order(row: &Row) -> Result<OpenOrder, StoreError> {
    columns::open_order(row)
}
