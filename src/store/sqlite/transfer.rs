//! A SQLite database that is moved elsewhere, or into which a store is moved.
//!
//! Rows are written in large transactions that do not each wait for the disk; the last one does.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};

use super::row::{refused, unreadable};
use super::{open, witness};
use crate::store::StoreError;
use crate::store::transfer::{
    Cell, Destination, Ground, Page, Source, Table, Take, cannot_move, quoted,
};

/// Page cache while rows are taken in, in KiB: ids that clients chose go to all places of their
/// index.
const CACHE_KIB: i64 = 131_072;
/// Bytes of rows in one transaction.
const TRANSACTION_BYTES: usize = 16 << 20;

/// A database with its lock.
pub struct Moving {
    path: PathBuf,
    connection: Connection,
    /// Bytes of the transaction that is open; 0: none is.
    pending: usize,
    _lock: Option<File>,
}

impl Moving {
    /// Opens a store for being read.
    pub fn source(path: &Path) -> Result<Self, StoreError> {
        open::check_there(path)?;
        let lock = open::lock_folder(path)?;
        let connection = open::reader(path)?;
        open::check_version(&connection)?;
        open::check_whole(&connection)?;
        open::check_migrated(&connection)?;
        connection.execute_batch("BEGIN").map_err(unreadable)?;
        Ok(Self::new(path, connection, lock))
    }

    /// Opens or creates a database for taking a store in.
    pub fn destination(path: &Path) -> Result<Self, StoreError> {
        let lock = open::lock_folder(path)?;
        let connection = open::for_rows(path, CACHE_KIB)?;
        open::check_version(&connection)?;
        Ok(Self::new(path, connection, lock))
    }

    fn new(path: &Path, connection: Connection, lock: Option<File>) -> Self {
        Self {
            path: path.into(),
            connection,
            pending: 0,
            _lock: lock,
        }
    }

    fn number(&self, sql: &str) -> Result<Option<i64>, StoreError> {
        let read = self.connection.query_row(sql, [], |row| row.get(0));
        read.map_err(unreadable)
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(refused)
    }

    fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        let exists = self.connection.table_exists(None, name);
        exists.map_err(unreadable)
    }
}

impl Source for Moving {
    fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        let sql = "SELECT t.name, c.name, c.pk, c.type = 'INTEGER'
                     FROM sqlite_schema t, pragma_table_info(t.name) c
                    WHERE t.type = 'table' ORDER BY t.name, c.cid";
        let mut statement = self.connection.prepare(sql).map_err(unreadable)?;
        let mut rows = statement.query([]).map_err(unreadable)?;
        let mut tables: Vec<Table> = Vec::new();
        let mut keys: Vec<(i64, String, bool)> = Vec::new();
        while let Some(row) = rows.next().map_err(unreadable)? {
            let (name, column) = (row.get::<_, String>(0), row.get::<_, String>(1));
            let (name, column) = (name.map_err(unreadable)?, column.map_err(unreadable)?);
            if !Table::moves(&name) {
                continue;
            }
            if tables.last().is_none_or(|table| table.name != name) {
                tables.push(Table::named(&name));
                keys.clear();
            }
            let Some(table) = tables.last_mut() else {
                continue;
            };
            let place: i64 = row.get(2).map_err(unreadable)?;
            if place > 0 {
                keys.push((place, column.clone(), row.get(3).map_err(unreadable)?));
                keys.sort();
                table.key = keys.iter().map(|(_, name, _)| name.clone()).collect();
                table.is_numbered = keys[0].2;
            }
            table.columns.push(column);
        }
        Ok(tables)
    }

    fn count(&mut self, table: &Table) -> Result<u64, StoreError> {
        let count = self.number(&format!("SELECT count(*) FROM \"{}\"", table.name))?;
        Ok(count.unwrap_or_default().unsigned_abs())
    }

    fn read(&mut self, table: &Table, from: Option<i64>, take: Take<'_>) -> Result<(), StoreError> {
        let select = table.select('"', from);
        let mut statement = self.connection.prepare(&select).map_err(unreadable)?;
        let mut rows = statement.query([]).map_err(unreadable)?;
        let mut page = Page::default();
        while let Some(row) = rows.next().map_err(unreadable)? {
            for place in 0..table.columns.len() {
                let value = row.get_ref(place).map_err(unreadable)?;
                let cell = cell(value).map_err(|why| {
                    let key = row.get_ref(0).ok().and_then(|key| key.as_i64().ok());
                    let key = key.map_or_else(|| "?".into(), |key| key.to_string());
                    cannot_move(table, place, &key, why)
                })?;
                page.push(cell);
            }
            page.end_row();
            if page.is_full() {
                take(std::mem::take(&mut page))?;
            }
        }
        if page.rows() > 0 { take(page) } else { Ok(()) }
    }
}

fn cell(value: ValueRef<'_>) -> Result<Cell<'_>, &'static str> {
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(number) => Ok(Cell::Number(number)),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
            Ok(Cell::Text(text))
        }
        ValueRef::Blob(bytes) => Ok(Cell::Blob(bytes)),
        ValueRef::Real(_) => Err("it is not a whole number"),
    }
}

impl Destination for Moving {
    fn ground(&mut self) -> Result<Ground, StoreError> {
        if self.has_table("copying")? {
            let sql = "SELECT text FROM copying WHERE number = 0";
            let mark = self.connection.query_row(sql, [], |row| row.get(0));
            return mark.map(Ground::Begun).map_err(unreadable);
        }
        if !self.has_table("orders")? {
            return Ok(Ground::Free);
        }
        if !self.has_table("refinery_schema_history")? {
            return Ok(Ground::Taken);
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM orders) OR EXISTS (SELECT 1 FROM journal)";
        let is_taken = self.number(sql)? != Some(0);
        Ok(if is_taken {
            Ground::Taken
        } else {
            Ground::Free
        })
    }

    fn begin(&mut self, mark: &str) -> Result<(), StoreError> {
        // What was there before has nothing to say about what comes.
        witness::forget(&self.path)?;
        self.execute(
            "BEGIN;
             CREATE TABLE IF NOT EXISTS copying
               (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
             DELETE FROM copying",
        )?;
        let insert = "INSERT INTO copying VALUES (0, ?1), (1, 'to be emptied')";
        let inserted = self.connection.execute(insert, [mark]);
        inserted.map_err(refused)?;
        self.execute("COMMIT")
    }

    fn prepare(&mut self, tables: &[Table]) -> Result<(), StoreError> {
        open::migrate(&mut self.connection)?;
        let sql = "SELECT count(*) FROM copying WHERE number = 1";
        if self.number(sql)? == Some(0) {
            return Ok(());
        }
        let mut sql = String::from("BEGIN;");
        let own = self.tables()?;
        for table in own.iter().filter(|own| own.is_emptied(tables)) {
            sql.push_str(&format!("DELETE FROM \"{}\";", table.name));
        }
        sql.push_str("DELETE FROM copying WHERE number = 1; COMMIT");
        self.execute(&sql)
    }

    fn resume(&mut self, table: &Table) -> Result<Option<i64>, StoreError> {
        let (name, lead) = (&table.name, table.key.first());
        let Some(lead) = lead.filter(|_| table.is_numbered) else {
            self.execute(&format!("DELETE FROM \"{name}\""))?;
            return Ok(None);
        };
        let last = self.number(&format!("SELECT max(\"{lead}\") FROM \"{name}\""))?;
        if let Some(last) = last {
            let delete = format!("DELETE FROM \"{name}\" WHERE \"{lead}\" >= {last}");
            self.execute(&delete)?;
        }
        Ok(last)
    }

    fn write(&mut self, table: &Table, page: &Page) -> Result<(), StoreError> {
        if page.rows() == 0 {
            return Ok(());
        }
        if self.pending == 0 {
            self.execute("BEGIN")?;
        }
        self.pending += page.bytes().len();
        let columns = quoted(&table.columns, '"');
        let places = vec!["?"; table.columns.len()].join(", ");
        let insert = format!(
            "INSERT INTO \"{}\" ({columns}) VALUES ({places})",
            table.name
        );
        let mut insert = self.connection.prepare_cached(&insert).map_err(refused)?;
        let mut cells = page.cells();
        for _ in 0..page.rows() {
            insert_row(&mut insert, table, &mut cells)?;
        }
        drop(insert);
        if self.pending >= TRANSACTION_BYTES {
            self.end_table()?;
        }
        Ok(())
    }

    fn end_table(&mut self) -> Result<(), StoreError> {
        if self.pending > 0 {
            self.execute("COMMIT")?;
            self.pending = 0;
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<(), StoreError> {
        open::flush(&self.connection)
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(refused)?;
        self.execute("DROP TABLE IF EXISTS copying")?;
        open::flush(&self.connection)
    }
}

fn insert_row<'a>(
    insert: &mut Statement<'_>,
    table: &Table,
    cells: &mut impl Iterator<Item = Cell<'a>>,
) -> Result<(), StoreError> {
    let mut key = String::new();
    for place in 0..table.columns.len() {
        let value = Bound(cells.next().unwrap_or(Cell::Null));
        if let (0, Cell::Number(number)) = (place, value.0) {
            key = number.to_string();
        }
        let bound = insert.raw_bind_parameter(place + 1, value);
        bound.map_err(refused)?;
    }
    let inserted = insert.raw_execute();
    inserted.map(drop).map_err(|error| {
        let why = error.to_string();
        cannot_move(table, 0, &key, &why)
    })
}

/// A value as SQLite takes it, without a copy.
struct Bound<'a>(Cell<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Number(number) => ValueRef::Integer(number),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Blob(bytes) => ValueRef::Blob(bytes),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}
