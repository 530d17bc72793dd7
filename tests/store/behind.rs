//! What a test does behind a store's back, with the means of each database: it plants rows, breaks
//! rules, and looks for places where no store can be. Knows no case.

use std::path::Path;

use super::databases::{mysql, postgres};

/// One database, by its URL.
#[derive(Clone, Copy)]
pub enum Behind<'a> {
    /// The file.
    Sqlite(&'a Path),
    /// The URL.
    Postgres(&'a str),
    /// The URL.
    Mysql(&'a str),
}

impl<'a> Behind<'a> {
    pub fn of(url: &'a str) -> Self {
        match url.split_once(':').unwrap() {
            ("sqlite", path) => Self::Sqlite(Path::new(path)),
            ("postgres", _) => Self::Postgres(url),
            ("mysql", _) => Self::Mysql(url),
            _ => panic!("no tests know {url}"),
        }
    }

    /// Runs SQL. Answers how many rows it touched, or why it was refused.
    pub fn sql(self, sql: &str) -> Result<u64, String> {
        match self {
            Self::Sqlite(path) => sqlite(path, sql),
            Self::Postgres(url) => postgres::run(url, sql),
            Self::Mysql(url) => mysql::run(url, sql),
        }
    }

    /// A URL where no store can be, and the part of it that a message must name.
    pub fn nowhere(self) -> (String, String) {
        match self {
            // Below a file: rights would not stop root.
            Self::Sqlite(path) => {
                let file = path.with_file_name("file");
                std::fs::write(&file, "in the way").unwrap();
                let file = file.display().to_string();
                (format!("sqlite:{file}/orders.db"), file)
            }
            Self::Postgres(url) | Self::Mysql(url) => {
                let (before, after) = url.split_once("/test_").unwrap();
                let (_, parameters) = after.split_once('?').unwrap();
                let name = "no_such_database";
                (format!("{before}/{name}?{parameters}"), name.into())
            }
        }
    }

    /// So many zero bytes in SQL.
    pub fn zeros(self, count: usize) -> String {
        match self {
            Self::Sqlite(_) => format!("zeroblob({count})"),
            Self::Mysql(_) => format!("x'{}'", "00".repeat(count)),
            Self::Postgres(_) => format!("decode('{}', 'hex')", "00".repeat(count)),
        }
    }
}

fn sqlite(path: &Path, sql: &str) -> Result<u64, String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let changed = connection.execute(sql, []);
    changed
        .map(|rows| rows as u64)
        .map_err(|error| error.to_string())
}
