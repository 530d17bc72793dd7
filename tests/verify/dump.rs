//! All rows of a store as text, by asking the database directly: a second opinion about copies that
//! shares nothing with the code that makes them.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};

use super::databases::{mysql, postgres};

/// The tables of a store, their columns that every database has, and what they are sorted by.
const TABLES: [(&str, &str, &str); 8] = [
    ("idempotency_keys", "*", "number"),
    ("journal", "*", "position"),
    (
        "orders",
        "seq, id, customer_id, process, process_version, priority, total_minor, currency,
         item_count, created_at, start_at, expires_at, imported_at, status, version, step, attempt,
         started_at, updated_at, due_at, lease, target, ended_at, reason, position, hold, payload",
        "seq",
    ),
    ("processes", "*", "name, version"),
    ("shards", "shard, epoch, position, hash, last_seq", "shard"),
    ("step_outputs", "*", "seq, number"),
    ("tally", "*", "shard, process, status, priority"),
    ("tally_times", "*", "shard, process"),
];

/// Every row of every table, a line each; the names of columns first.
pub fn all(url: &str) -> String {
    let tables = TABLES.iter().map(|(table, columns, order)| {
        let select = format!("SELECT {columns} FROM {table} ORDER BY {order}");
        let rows = rows(url, &select);
        format!("{table}\n{}\n", rows.join("\n"))
    });
    tables.collect()
}

/// The orders that were finished elsewhere, as each database finds them.
pub fn imported(url: &str) -> Vec<String> {
    let sql = if url.starts_with("mysql:") {
        "SELECT seq FROM imported_orders ORDER BY seq"
    } else {
        "SELECT seq FROM orders WHERE imported_at IS NOT NULL ORDER BY seq"
    };
    let found = rows(url, sql);
    assert!(!found.is_empty(), "nothing was imported");
    found
}

/// What there is beside rows: tables, columns, indexes, rules, in words of the database.
pub fn schema(url: &str) -> String {
    let asked: &[&str] = if url.starts_with("sqlite:") {
        &["SELECT type, name, sql FROM sqlite_schema WHERE name <> 'sqlite_stat1'"]
    } else if url.starts_with("mysql:") {
        &[
            "SELECT table_name, index_name, seq_in_index, column_name, non_unique
               FROM information_schema.statistics WHERE table_schema = DATABASE()",
            "SELECT table_name, column_name, column_type, is_nullable, extra
               FROM information_schema.columns WHERE table_schema = DATABASE()",
        ]
    } else {
        &[
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
              WHERE relnamespace = 'public'::regnamespace",
            "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
              WHERE connamespace = 'public'::regnamespace",
            "SELECT attrelid::regclass, attname, atttypid::regtype, attnotnull, attidentity
               FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
              WHERE relnamespace = 'public'::regnamespace AND attnum > 0",
        ]
    };
    let lines: BTreeSet<String> = asked.iter().flat_map(|sql| rows(url, sql)).collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// Runs a statement.
pub fn run(url: &str, sql: &str) {
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection.execute(sql, []).unwrap();
        }
        None if url.starts_with("mysql:") => drop(mysql::run(url, sql).unwrap()),
        None => drop(postgres::run(url, sql).unwrap()),
    }
}

fn rows(url: &str, sql: &str) -> Vec<String> {
    match url.strip_prefix("sqlite:") {
        Some(path) => sqlite_rows(path, sql),
        None if url.starts_with("mysql:") => mysql_rows(url, sql),
        None => postgres_rows(url, sql),
    }
}

/// As PostgreSQL writes values.
fn mysql_rows(url: &str, sql: &str) -> Vec<String> {
    let asked = mysql::on(url, async |conn| conn.exec::<Row, _, _>(sql, ()).await);
    let row = |row: Row| {
        let columns = row.columns();
        let values = columns
            .iter()
            .zip(row.unwrap())
            .map(|(column, value)| match value {
                Value::NULL => "NULL".into(),
                Value::Bytes(bytes) if column.character_set() == 63 => hexadecimal(&bytes),
                Value::Bytes(text) => String::from_utf8(text).unwrap(),
                number => mysql_async::from_value::<i64>(number).to_string(),
            });
        values.collect::<Vec<_>>().join(" | ")
    };
    asked.unwrap().into_iter().map(row).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\x{hex}")
}

/// As PostgreSQL writes values.
fn sqlite_rows(path: &str, sql: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..width).map(|place| match row.get_ref(place).unwrap() {
            ValueRef::Null => "NULL".into(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8(text.into()).unwrap(),
            ValueRef::Blob(bytes) => hexadecimal(bytes),
            ValueRef::Real(number) => panic!("{number}"),
        });
        Ok(values.collect::<Vec<_>>().join(" | "))
    };
    let rows = statement.query_map([], row).unwrap();
    rows.map(Result::unwrap).collect()
}

fn postgres_rows(url: &str, sql: &str) -> Vec<String> {
    let said = postgres::ask(url, sql).unwrap();
    let rows = said.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => {
            let values = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
            Some(values.collect::<Vec<_>>().join(" | "))
        }
        _ => None,
    });
    rows.collect()
}
