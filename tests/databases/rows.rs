//! What somebody with a SQL prompt gets, as texts by their column: of any of the databases, in a
//! session whose clock is far from UTC.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Value, from_value};
use rusqlite::types::ValueRef;
use tokio_postgres::SimpleQueryMessage;

use crate::databases::{mysql, postgres};

/// A row: its values by their column. What is nothing is left out.
pub type Row = BTreeMap<String, String>;

/// Asks the database of a URL.
pub fn ask(url: &str, sql: &str) -> Vec<Row> {
    match url.split_once(':').unwrap() {
        ("sqlite", path) => sqlite(path, sql),
        ("mysql", _) => {
            let asked = mysql::on(url, async |conn| {
                conn.query_drop("SET time_zone = '+09:00'").await?;
                conn.query(sql).await
            });
            asked.unwrap().into_iter().map(texts).collect()
        }
        _ => {
            let said = postgres::ask(url, &format!("SET timezone = 'Asia/Tokyo'; {sql}"));
            said.unwrap().iter().filter_map(row).collect()
        }
    }
}

fn row(message: &SimpleQueryMessage) -> Option<Row> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let columns = row.columns().iter().enumerate();
    let values =
        columns.filter_map(|(at, column)| Some((column.name().into(), row.get(at)?.into())));
    Some(values.collect())
}

fn texts(row: mysql_async::Row) -> Row {
    let columns = row.columns();
    let names = columns.iter().map(|column| column.name_str().into_owned());
    let values = names.zip(row.unwrap());
    let values = values.filter(|(_, value)| *value != Value::NULL);
    values
        .map(|(name, value)| (name, from_value(value)))
        .collect()
}

fn sqlite(path: &str, sql: &str) -> Vec<Row> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let names: Vec<String> = statement.column_names().map(Into::into).collect();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let values = names.iter().enumerate().filter_map(|(at, name)| {
            let value = match row.get_ref(at).unwrap() {
                ValueRef::Null => return None,
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8(text.into()).unwrap(),
                ValueRef::Blob(_) => panic!("{name} holds bytes"),
            };
            Some((name.clone(), value))
        });
        found.push(values.collect());
    }
    found
}
