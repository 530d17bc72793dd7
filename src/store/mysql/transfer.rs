//! A MySQL or MariaDB database that is moved elsewhere, or into which a store is moved.
//!
//! Rows go in as texts of many rows, in large transactions. Indexes stay: a table is laid out by
//! one of them, and the others are what keeps ids and keys apart.

use std::future::Future;

use mysql_async::{Row, Value};

use super::connect::{Link, Role, Target};
use super::error::{refused, unreadable};
use super::open;
use super::read::column;
use super::text::Sql;
use crate::store::motor::Motor;
use crate::store::transfer::{
    Cell, Destination, Ground, Page, Source, Table, Take, cannot_move, quoted,
};
use crate::store::{StoreError, Timeouts};

/// Bytes of rows in one transaction. One that is broken off is undone before others get its locks.
const TRANSACTION_BYTES: usize = 4 << 20;
/// Seconds to wait for the lock: what a copy that was killed has not committed is undone first.
const LOCK_PATIENCE_S: i64 = 3;
/// The character set of what is no text.
const BINARY: u16 = 63;

/// A database with its lock.
pub struct Moving {
    link: Link,
    motor: Motor,
    /// The tables that move, once they are known.
    tables: Vec<Table>,
    /// Bytes of the transaction that is open; 0: none is.
    pending: usize,
}

impl Moving {
    /// Opens a store for being read.
    pub fn source(url: &str) -> Result<Self, StoreError> {
        let mut moving = Self::open(url)?;
        moving.run(|link| async move {
            open::check_whole(link).await?;
            open::check_migrated(link).await?;
            let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
            link.batch(begin).await.map_err(unreadable)
        })?;
        Ok(moving)
    }

    /// Opens a database for taking a store in.
    pub fn destination(url: &str) -> Result<Self, StoreError> {
        Self::open(url)
    }

    fn open(url: &str) -> Result<Self, StoreError> {
        let target = Target::of_url(url, Timeouts::default())?;
        let motor = Motor::while_waiting()?;
        let link = motor.run(async {
            let mut link = target.connect(Role::Moving).await?;
            open::lock(&mut link, &target, LOCK_PATIENCE_S).await?;
            open::check_version(&mut link).await?;
            Ok(link)
        })?;
        Ok(Self {
            link,
            motor,
            tables: Vec::new(),
            pending: 0,
        })
    }

    fn run<'a, T, F>(&'a mut self, work: impl FnOnce(&'a mut Link) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'a,
        T: Send,
    {
        self.motor.run(work(&mut self.link))
    }

    fn execute(&mut self, sql: &str) -> Result<(), StoreError> {
        self.run(|link| async move { link.batch(sql).await.map_err(refused) })
    }

    fn ask(&mut self, sql: &str) -> Result<Vec<Row>, StoreError> {
        self.run(|link| link.ask(sql.into()))
    }

    /// The number in the first row, if it has one.
    fn number(&mut self, sql: &str) -> Result<Option<i64>, StoreError> {
        let rows = self.ask(sql)?;
        let number = rows.first().map(|row| column(row, 0));
        Ok(number.transpose()?.flatten())
    }

    fn has_table(&mut self, name: &str) -> Result<bool, StoreError> {
        self.run(|link| open::has_table(link, name))
    }
}

impl Source for Moving {
    fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        let sql = "SELECT c.table_name, c.column_name, coalesce(k.ordinal_position, 0),
                          c.data_type IN ('smallint', 'int', 'bigint')
                     FROM information_schema.tables t
                     JOIN information_schema.columns c
                       ON c.table_schema = t.table_schema AND c.table_name = t.table_name
                     LEFT JOIN information_schema.key_column_usage k
                       ON k.table_schema = c.table_schema AND k.table_name = c.table_name
                      AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY'
                    WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'
                      AND coalesce(c.generation_expression, '') = ''
                    ORDER BY BINARY c.table_name, c.ordinal_position";
        let mut tables: Vec<Table> = Vec::new();
        let mut keys: Vec<(i64, String, bool)> = Vec::new();
        for row in self.ask(sql)? {
            let (name, of): (String, String) = (column(&row, 0)?, column(&row, 1)?);
            let (place, is_number): (i64, i64) = (column(&row, 2)?, column(&row, 3)?);
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
            if place > 0 {
                keys.push((place, of.clone(), is_number == 1));
                keys.sort();
                table.key = keys.iter().map(|(_, name, _)| name.clone()).collect();
                table.is_numbered = keys[0].2;
            }
            table.columns.push(of);
        }
        Ok(tables)
    }

    fn count(&mut self, table: &Table) -> Result<u64, StoreError> {
        let count = self.number(&format!("SELECT count(*) FROM `{}`", table.name))?;
        Ok(count.unwrap_or_default().unsigned_abs())
    }

    fn read(&mut self, table: &Table, from: Option<i64>, take: Take<'_>) -> Result<(), StoreError> {
        let select = table.select('`', from);
        self.run(|link| async move {
            let mut page = Page::default();
            let each = link.each_of(select, |row| {
                push(&mut page, table, row)?;
                if page.is_full() {
                    take(std::mem::take(&mut page))?;
                }
                Ok(())
            });
            each.await?;
            if page.rows() > 0 { take(page) } else { Ok(()) }
        })
    }
}

/// Adds a row to a page.
fn push(page: &mut Page, table: &Table, row: &Row) -> Result<(), StoreError> {
    for (place, about) in row.columns_ref().iter().enumerate() {
        let cell = match row.as_ref(place) {
            None | Some(Value::NULL) => Ok(Cell::Null),
            Some(Value::Int(number)) => Ok(Cell::Number(*number)),
            Some(Value::Bytes(bytes)) if about.character_set() == BINARY => Ok(Cell::Blob(bytes)),
            Some(Value::Bytes(bytes)) => std::str::from_utf8(bytes)
                .map(Cell::Text)
                .map_err(|_| "it is not UTF-8"),
            Some(_) => Err("it is neither a text nor a number"),
        };
        page.push(cell.map_err(|why| cannot_move(table, place, &key(row), why))?);
    }
    page.end_row();
    Ok(())
}

/// The number that a row begins with, for people.
fn key(row: &Row) -> String {
    match row.as_ref(0) {
        Some(Value::Int(number)) => number.to_string(),
        _ => "?".into(),
    }
}

impl Destination for Moving {
    fn ground(&mut self) -> Result<Ground, StoreError> {
        if self.has_table("copying")? {
            let mark = self.ask("SELECT text FROM copying WHERE number = 0")?;
            // Neither server makes a table and a row at once: without the row nothing was begun.
            if let Some(row) = mark.first() {
                return Ok(Ground::Begun(column(row, 0)?));
            }
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
        let mark = mark.replace('\'', "''");
        self.execute(&format!(
            "CREATE TABLE IF NOT EXISTS copying (number int PRIMARY KEY, text longtext NOT NULL)
               ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
             BEGIN;
             DELETE FROM copying;
             INSERT INTO copying VALUES (0, '{mark}'), (1, 'to be emptied');
             COMMIT"
        ))
    }

    fn prepare(&mut self, tables: &[Table]) -> Result<(), StoreError> {
        self.run(open::bring_up_to_date)?;
        let mut own = self.tables()?;
        own.retain(|own| own.is_emptied(tables));
        self.tables = own;
        let sql = "SELECT count(*) FROM copying WHERE number = 1";
        if self.number(sql)? == Some(0) {
            return Ok(());
        }
        // Each by itself; if this breaks off it is done again.
        let names = self.tables.iter();
        let empty: String = names
            .map(|own| format!("TRUNCATE `{}`;", own.name))
            .collect();
        self.execute(&(empty + "DELETE FROM copying WHERE number = 1"))
    }

    fn resume(&mut self, table: &Table) -> Result<Option<i64>, StoreError> {
        let (name, lead) = (&table.name, table.key.first());
        let Some(lead) = lead.filter(|_| table.is_numbered) else {
            self.execute(&format!("DELETE FROM `{name}`"))?;
            return Ok(None);
        };
        let last = self.number(&format!("SELECT max(`{lead}`) FROM `{name}`"))?;
        if let Some(last) = last {
            self.execute(&format!("DELETE FROM `{name}` WHERE `{lead}` >= {last}"))?;
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
        let insert = insert(table, page);
        let mut cells = page.cells();
        let first = match cells.next() {
            Some(Cell::Number(number)) => number.to_string(),
            _ => "?".into(),
        };
        self.run(|link| async move {
            if !link.takes(insert.len()) {
                let why = "it does not fit into one request: raise max_allowed_packet";
                return Err(cannot_move(table, 0, &first, why));
            }
            link.batch(insert).await.map_err(refused)
        })?;
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
        // Other databases have an index for this.
        self.execute(
            "INSERT IGNORE INTO imported_orders
             SELECT seq FROM orders WHERE imported_at IS NOT NULL",
        )?;
        for table in self.tables.clone() {
            self.ask(&format!("ANALYZE TABLE `{}`", table.name))?;
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.execute("DROP TABLE IF EXISTS copying")
    }
}

/// The statement that writes the rows of a page.
fn insert(table: &Table, page: &Page) -> Vec<u8> {
    let mut sql = Sql::with_capacity(page.bytes().len() + page.bytes().len() / 4);
    sql.raw("INSERT INTO `").raw(&table.name).raw("` (");
    sql.raw(&quoted(&table.columns, '`')).raw(") VALUES ");
    for (at, cell) in page.cells().enumerate() {
        match at % table.columns.len() {
            0 if at == 0 => sql.raw("("),
            0 => sql.raw("),("),
            _ => sql.raw(","),
        };
        match cell {
            Cell::Null => sql.raw("NULL"),
            Cell::Number(number) => sql.number(number),
            Cell::Text(text) => sql.text(text),
            Cell::Blob(bytes) => sql.bytes(bytes),
        };
    }
    sql.raw(")");
    sql.into_bytes()
}
