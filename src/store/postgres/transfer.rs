//! A PostgreSQL database that is moved elsewhere, or into which a store is moved.
//!
//! Rows go in and out in the binary form of COPY. Indexes are taken away first and built when all
//! rows are there; how they are built is read from the database, not said here.

use std::collections::HashMap;
use std::future::Future;
use std::io::Cursor;
use std::pin::Pin;

use futures_util::{SinkExt, StreamExt};
use tokio_postgres::binary_copy::BinaryCopyOutStream;
use tokio_postgres::types::Type;
use tokio_postgres::{CopyInSink, Error};

use super::binary::{self, Value};
use super::connect::{Link, Role, Target};
use super::error::{refused, unreadable};
use super::{error, open};
use crate::store::motor::Motor;
use crate::store::transfer::{
    Cell, Destination, Ground, Page, Source, Table, Take, cannot_move, quoted,
};
use crate::store::{StoreError, Timeouts};

/// Bytes of rows in one COPY, which is one transaction.
const COPY_BYTES: usize = 16 << 20;

type Sink = Pin<Box<CopyInSink<Cursor<Vec<u8>>>>>;

/// A database with its lock.
pub struct Moving {
    link: Link,
    motor: Motor,
    /// The types of columns, by table and name.
    types: HashMap<(String, String), Type>,
    /// The tables that move, once they are known.
    tables: Vec<Table>,
    /// The COPY that is open, and how many bytes it has taken.
    open: Option<(Sink, usize)>,
}

impl Moving {
    /// Opens a store for being read.
    pub fn source(url: &str) -> Result<Self, StoreError> {
        let mut moving = Self::open(url)?;
        moving.run(|link| async move {
            open::check_whole(&link.client).await?;
            open::check_migrated(&link.client).await?;
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            link.client.batch_execute(begin).await.map_err(unreadable)
        })?;
        Ok(moving)
    }

    /// Opens a database for taking a store in.
    pub fn destination(url: &str) -> Result<Self, StoreError> {
        Self::open(url)
    }

    fn open(url: &str) -> Result<Self, StoreError> {
        let target = Target::of_url(url, Timeouts::default())?;
        // Rows are on their way while the next ones are fetched.
        let motor = Motor::at_any_time("postgres")?;
        let link = motor.run(async {
            let link = target.connect(Role::Moving).await?;
            open::lock(&link, &target).await?;
            open::check_version(&link.client).await?;
            Ok(link)
        })?;
        Ok(Self {
            link,
            motor,
            types: HashMap::new(),
            tables: Vec::new(),
            open: None,
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
        self.run(|link| async move { link.client.batch_execute(sql).await.map_err(refused) })
    }

    /// The texts of the rows that a statement gives.
    fn texts(&mut self, sql: &str) -> Result<Vec<Vec<String>>, StoreError> {
        self.run(|link| async move {
            let rows = link.client.query(sql, &[]).await.map_err(unreadable)?;
            let row =
                |row: &tokio_postgres::Row| (0..row.len()).map(|at| row.try_get(at)).collect();
            let rows = rows.iter().map(row).collect::<Result<_, _>>();
            rows.map_err(unreadable)
        })
    }

    fn number(&mut self, sql: &str) -> Result<Option<i64>, StoreError> {
        self.run(|link| async move {
            let row = link.client.query_one(sql, &[]).await;
            row.and_then(|row| row.try_get(0)).map_err(unreadable)
        })
    }

    fn types_of(&self, table: &Table) -> Vec<Type> {
        let kind = |column: &String| {
            let kind = self.types.get(&(table.name.clone(), column.clone()));
            kind.cloned().unwrap_or(Type::TEXT)
        };
        table.columns.iter().map(kind).collect()
    }

    /// Takes the indexes away, and writes down how they are built.
    fn put_indexes_off(&mut self, tables: &[Table]) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT CASE WHEN k.oid IS NULL THEN pg_get_indexdef(x.indexrelid)
                         ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.oid::regclass,
                                     k.conname, pg_get_constraintdef(k.oid)) END,
                    CASE WHEN k.oid IS NULL THEN format('DROP INDEX %s', x.indexrelid::regclass)
                         ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', c.oid::regclass,
                                     k.conname) END
               FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
               LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u')
              WHERE c.relnamespace = current_schema()::regnamespace AND c.relname IN ({})
              ORDER BY x.indexrelid",
            names(tables)
        );
        let indexes = self.texts(&sql)?;
        let mut put_off = String::new();
        for (number, index) in indexes.iter().enumerate() {
            let [build, drop] = index.as_slice() else {
                continue;
            };
            let (number, build) = (number + 2, build.replace('\'', "''"));
            put_off.push_str(&format!(
                "INSERT INTO copying VALUES ({number}, '{build}'); {drop};"
            ));
        }
        self.execute(&put_off)
    }

    /// Builds one index that was put off. `false`: there is none left.
    fn build_index(&mut self) -> Result<bool, StoreError> {
        let next = "SELECT number::text, text FROM copying WHERE number >= 2
                     ORDER BY number LIMIT 1";
        let Some(row) = self.texts(next)?.pop() else {
            return Ok(false);
        };
        let [number, build] = row.as_slice() else {
            return Ok(false);
        };
        let delete = format!("DELETE FROM copying WHERE number = {number}");
        self.execute(&format!("BEGIN; {build}; {delete}; COMMIT"))?;
        Ok(true)
    }

    /// Lets numbers that the database gives go on behind those that are there.
    fn raise_sequences(&mut self) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT format('SELECT setval(%L, coalesce(max(%I), 0) + 1, false) FROM %s',
                           pg_get_serial_sequence(c.oid::regclass::text, a.attname), a.attname,
                           c.oid::regclass)
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
              WHERE c.relnamespace = current_schema()::regnamespace AND a.attidentity <> ''
                AND c.relname IN ({})",
            names(&self.tables)
        );
        for raise in self.texts(&sql)?.into_iter().flatten() {
            self.execute(&raise)?;
        }
        Ok(())
    }
}

/// The names of tables as SQL texts.
fn names(tables: &[Table]) -> String {
    let names = tables.iter().map(|table| format!("'{}'", table.name));
    let names: Vec<_> = names.chain(["''".into()]).collect();
    names.join(", ")
}

impl Source for Moving {
    fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        let sql = "SELECT c.relname::text, a.attname::text, a.atttypid::text,
                          coalesce(array_position(i.indkey::int2[], a.attnum)::text, '')
                     FROM pg_class c
                     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                                        AND NOT a.attisdropped AND a.attgenerated = ''
                     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
                    WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
                    ORDER BY c.relname COLLATE \"C\", a.attnum";
        let mut tables: Vec<Table> = Vec::new();
        let mut keys: Vec<(String, String, bool)> = Vec::new();
        for row in self.texts(sql)? {
            let [name, column, oid, place] = row.as_slice() else {
                continue;
            };
            if !Table::moves(name) {
                continue;
            }
            if tables.last().is_none_or(|table| table.name != *name) {
                tables.push(Table::named(name));
                keys.clear();
            }
            let Some(table) = tables.last_mut() else {
                continue;
            };
            let kind = oid.parse().ok().and_then(Type::from_oid);
            let kind = kind.unwrap_or(Type::UNKNOWN);
            let is_number = [Type::INT2, Type::INT4, Type::INT8].contains(&kind);
            let of = (name.clone(), column.clone());
            self.types.insert(of, kind);
            if !place.is_empty() {
                keys.push((place.clone(), column.clone(), is_number));
                keys.sort();
                table.key = keys.iter().map(|(_, name, _)| name.clone()).collect();
                table.is_numbered = keys[0].2;
            }
            table.columns.push(column.clone());
        }
        Ok(tables)
    }

    fn count(&mut self, table: &Table) -> Result<u64, StoreError> {
        let count = self.number(&format!("SELECT count(*) FROM \"{}\"", table.name))?;
        Ok(count.unwrap_or_default().unsigned_abs())
    }

    fn read(&mut self, table: &Table, from: Option<i64>, take: Take<'_>) -> Result<(), StoreError> {
        let types = self.types_of(table);
        let copy = table.select('"', from);
        let copy = format!("COPY ({copy}) TO STDOUT (FORMAT binary)");
        self.run(|link| async move {
            let bytes = link.client.copy_out(&copy).await.map_err(unreadable)?;
            let mut rows = std::pin::pin!(BinaryCopyOutStream::new(bytes, &types));
            let mut page = Page::default();
            while let Some(row) = rows.next().await {
                let row = row.map_err(unreadable)?;
                for place in 0..types.len() {
                    let value = row.try_get::<Value<'_>>(place).map_err(|error| {
                        let key = row.try_get::<Value<'_>>(0);
                        let key = match key.map(|key| key.0) {
                            Ok(Cell::Number(number)) => number.to_string(),
                            _ => "?".into(),
                        };
                        cannot_move(table, place, &key, &error::text(&error))
                    })?;
                    page.push(value.0);
                }
                page.end_row();
                if page.is_full() {
                    take(std::mem::take(&mut page))?;
                }
            }
            if page.rows() > 0 { take(page) } else { Ok(()) }
        })
    }
}

impl Destination for Moving {
    fn ground(&mut self) -> Result<Ground, StoreError> {
        let there = "SELECT coalesce(to_regclass('copying')::text, ''),
                            coalesce(to_regclass('orders')::text, ''),
                            coalesce(to_regclass('refinery_schema_history')::text, '')";
        let there = self.texts(there)?.into_iter().flatten();
        let there: Vec<bool> = there.map(|name| !name.is_empty()).collect();
        match there.as_slice() {
            [true, ..] => {
                let mark = self.texts("SELECT text FROM copying WHERE number = 0")?;
                let mark = mark.into_iter().flatten().next();
                Ok(Ground::Begun(mark.unwrap_or_default()))
            }
            [_, true, false] => Ok(Ground::Taken),
            [_, true, true] => {
                let sql = "SELECT (EXISTS (SELECT 1 FROM orders)
                                   OR EXISTS (SELECT 1 FROM journal))::int::int8";
                let is_taken = self.number(sql)? != Some(0);
                Ok(if is_taken {
                    Ground::Taken
                } else {
                    Ground::Free
                })
            }
            _ => Ok(Ground::Free),
        }
    }

    fn begin(&mut self, mark: &str) -> Result<(), StoreError> {
        let mark = mark.replace('\'', "''");
        self.execute(&format!(
            "BEGIN;
             CREATE TABLE IF NOT EXISTS copying (number integer PRIMARY KEY, text text NOT NULL);
             DELETE FROM copying WHERE number < 2;
             INSERT INTO copying VALUES (0, '{mark}'), (1, 'to be emptied');
             COMMIT"
        ))
    }

    fn prepare(&mut self, tables: &[Table]) -> Result<(), StoreError> {
        self.run(|link| open::bring_up_to_date(&mut link.client))?;
        let mut own = self.tables()?;
        own.retain(|own| own.is_emptied(tables));
        self.tables = own.clone();
        let sql = "SELECT count(*) FROM copying WHERE number = 1";
        if self.number(sql)? == Some(0) {
            return Ok(());
        }
        let names = own.iter().map(|table| table.name.clone());
        let names = quoted(&names.collect::<Vec<_>>(), '"');
        self.execute(&format!(
            "BEGIN; TRUNCATE {names}; DELETE FROM copying WHERE number = 1"
        ))?;
        self.put_indexes_off(&own)?;
        self.execute("COMMIT")
    }

    fn resume(&mut self, table: &Table) -> Result<Option<i64>, StoreError> {
        let (name, lead) = (&table.name, table.key.first());
        let Some(lead) = lead.filter(|_| table.is_numbered) else {
            self.execute(&format!("DELETE FROM \"{name}\""))?;
            return Ok(None);
        };
        let last = format!("SELECT max(\"{lead}\")::int8 FROM \"{name}\"");
        let last = self.number(&last)?;
        if let Some(last) = last {
            let delete = format!("DELETE FROM \"{name}\" WHERE \"{lead}\" >= {last}");
            self.execute(&delete)?;
        }
        Ok(last)
    }

    fn write(&mut self, table: &Table, page: &Page) -> Result<(), StoreError> {
        let rows = binary::rows(table, &self.types_of(table), page)?;
        let open = self.open.take();
        let (name, columns) = (&table.name, quoted(&table.columns, '"'));
        let copy = format!("COPY \"{name}\" ({columns}) FROM STDIN (FORMAT binary)");
        let open = self.run(|link| async move {
            let (mut sink, before) = match open {
                Some(open) => open,
                None => {
                    let sink = link.client.copy_in(&copy).await.map_err(refused)?;
                    let mut sink: Sink = Box::pin(sink);
                    let header = Cursor::new(binary::HEADER.to_vec());
                    sink.feed(header).await.map_err(refused)?;
                    (sink, 0)
                }
            };
            let bytes = before + rows.len();
            match sink.feed(Cursor::new(rows)).await {
                Ok(()) => Ok((sink, bytes)),
                // What the database has to say about it comes with the end.
                Err(error) => Err(finish(sink).await.err().unwrap_or_else(|| refused(error))),
            }
        })?;
        let is_large = open.1 >= COPY_BYTES;
        self.open = Some(open);
        if is_large { self.end_table() } else { Ok(()) }
    }

    fn end_table(&mut self) -> Result<(), StoreError> {
        match self.open.take() {
            Some((sink, _)) => self.run(|_| finish(sink)),
            None => Ok(()),
        }
    }

    fn complete(&mut self) -> Result<(), StoreError> {
        while self.build_index()? {}
        self.raise_sequences()?;
        for table in self.tables.clone() {
            self.execute(&format!("ANALYZE \"{}\"", table.name))?;
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), StoreError> {
        // This commit waits for the disk, and so for all that came before.
        self.execute("SET synchronous_commit = on; DROP TABLE IF EXISTS copying")
    }
}

async fn finish(mut sink: Sink) -> Result<(), StoreError> {
    let said = |error: Error| {
        let place = error.as_db_error().and_then(|said| said.where_());
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        let detail = error::text(&error) + &place;
        StoreError::Refused { detail }
    };
    let trailer = Cursor::new(binary::TRAILER.to_vec());
    // If it cannot be sent, the end says why.
    drop(sink.feed(trailer).await);
    sink.as_mut().finish().await.map(drop).map_err(said)
}
