//! Rows in the binary form of COPY, out of a page and into one.
//!
//! What a row means is not known here, only the types of its columns.

use std::error::Error;

use tokio_postgres::types::{FromSql, Type};

use crate::store::StoreError;
use crate::store::transfer::{Cell, Page, Table, cannot_move};

/// What stands before the first row.
pub(super) const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind the last one.
pub(super) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// The rows of a page, each value as its column takes it.
pub(super) fn rows(table: &Table, types: &[Type], page: &Page) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(page.bytes().len() + page.bytes().len() / 4);
    let mut cells = page.cells();
    let width = i16::try_from(types.len()).unwrap_or(i16::MAX);
    for _ in 0..page.rows() {
        bytes.extend_from_slice(&width.to_be_bytes());
        let mut key = String::from("?");
        for (place, kind) in types.iter().enumerate() {
            let cell = cells.next().unwrap_or(Cell::Null);
            if let (0, Cell::Number(number)) = (place, cell) {
                key = number.to_string();
            }
            value(&mut bytes, kind, cell).map_err(|why| cannot_move(table, place, &key, &why))?;
        }
    }
    Ok(bytes)
}

fn value(bytes: &mut Vec<u8>, kind: &Type, cell: Cell<'_>) -> Result<(), String> {
    let mut put = |value: &[u8]| {
        let length = i32::try_from(value.len()).map_err(|_| "it is too long")?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(value);
        Ok(())
    };
    match (cell, kind) {
        (Cell::Null, _) => {
            bytes.extend_from_slice(&(-1_i32).to_be_bytes());
            Ok(())
        }
        (Cell::Number(number), &Type::INT8) => put(&number.to_be_bytes()),
        (Cell::Number(number), &Type::INT4) => put(&fits::<i32>(number)?.to_be_bytes()),
        (Cell::Number(number), &Type::INT2) => put(&fits::<i16>(number)?.to_be_bytes()),
        (Cell::Number(number @ (0 | 1)), &Type::BOOL) => put(&[u8::from(number == 1)]),
        (Cell::Text(text), &Type::TEXT | &Type::JSON) => {
            if text.contains('\0') {
                return Err("it holds U+0000, which PostgreSQL cannot keep".into());
            }
            put(text.as_bytes())
        }
        (Cell::Blob(blob), &Type::BYTEA) => put(blob),
        (cell, kind) => Err(format!("{cell:?} is not of the type {kind}")),
    }
}

fn fits<T: TryFrom<i64>>(number: i64) -> Result<T, String> {
    T::try_from(number).map_err(|_| format!("{number} is too large"))
}

/// A value of any column that moves.
pub(super) struct Value<'a>(pub(super) Cell<'a>);

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::BOOL => Cell::Number(bool::from_sql(kind, raw)?.into()),
            Type::INT2 => Cell::Number(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Cell::Number(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Cell::Number(i64::from_sql(kind, raw)?),
            Type::BYTEA => Cell::Blob(raw),
            _ => Cell::Text(std::str::from_utf8(raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Cell::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::BYTEA
                | Type::TEXT
                | Type::JSON
        )
    }
}
