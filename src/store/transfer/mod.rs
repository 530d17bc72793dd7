//! Moving a whole store into another database: every row of every table, as it lies there.
//!
//! What there is to move is what the schema has: a table or a column that is added later moves too.
//! Nothing here knows what a row means, and nothing is made anew on the way: numbers, hashes and
//! epochs stay as they are.

mod page;

pub use page::{Cell, Page};

use super::{StoreError, mysql, postgres, sqlite, unknown};

/// Tables that do not move: the schema brings them along, or they are about the move itself.
const STAY: [&str; 4] = [
    "order_status",
    "currency_decimals",
    "refinery_schema_history",
    "copying",
];

/// Tables that one database has for its own sake, and fills by itself. Between two of a kind they
/// move.
const OWN: [&str; 2] = ["lingering", "imported_orders"];

/// A table, as its database describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns that can be written. Both sides move them in this order.
    pub columns: Vec<String>,
    /// The columns of its primary key, in their order. Empty where it has none at the moment.
    pub key: Vec<String>,
    /// The first column of the key is a whole number, so that the way through the table can begin
    /// in its middle.
    pub is_numbered: bool,
}

impl Table {
    /// Whether rows of a table with this name move.
    pub(super) fn moves(name: &str) -> bool {
        !STAY.contains(&name) && !name.starts_with("sqlite_")
    }

    /// What two databases have in common of a table: generated columns and those that one has for
    /// its own sake are left to it.
    pub fn common(&self, other: &[Self]) -> Option<Self> {
        let other = other.iter().find(|other| other.name == self.name)?;
        let mut common = self.clone();
        common
            .columns
            .retain(|column| other.columns.contains(column));
        Some(common)
    }

    /// Whether a table of a database is emptied when these are moved into it.
    pub(super) fn is_emptied(&self, tables: &[Self]) -> bool {
        OWN.contains(&&*self.name) || tables.iter().any(|table| table.name == self.name)
    }

    /// An empty table with this name.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            columns: Vec::new(),
            key: Vec::new(),
            is_numbered: false,
        }
    }

    /// The statement that reads it in the order of its key, from a number on.
    pub(super) fn select(&self, quote: char, from: Option<i64>) -> String {
        let quoted = |names: &[String]| quoted(names, quote);
        let (columns, key) = (quoted(&self.columns), quoted(&self.key));
        let name = quoted(std::slice::from_ref(&self.name));
        let start = match (from, self.key.first()) {
            (Some(from), Some(lead)) => format!(" WHERE {quote}{lead}{quote} >= {from}"),
            _ => String::new(),
        };
        [
            "SELECT ",
            &columns,
            " FROM ",
            &name,
            &start,
            " ORDER BY ",
            &key,
        ]
        .concat()
    }
}

/// Names as identifiers, separated by commas. They come from a schema of ours, which has no quotes.
pub(super) fn quoted(names: &[String], quote: char) -> String {
    let names = names.iter().map(|name| format!("{quote}{name}{quote}"));
    names.collect::<Vec<_>>().join(", ")
}

/// Takes a page of rows. An error ends the reading.
pub type Take<'a> = &'a mut (dyn FnMut(Page) -> Result<(), StoreError> + Send);

/// A store that is read from end to end, in one state, while nobody writes to it: it is locked.
pub trait Source: Send {
    /// The tables that move, by name.
    fn tables(&mut self) -> Result<Vec<Table>, StoreError>;

    /// How many rows a table has.
    fn count(&mut self, table: &Table) -> Result<u64, StoreError>;

    /// Goes through a table in the order of its key, from the number `from` in the key's first
    /// column on. Pages end where their rows say, so equal tables give equal pages.
    fn read(&mut self, table: &Table, from: Option<i64>, take: Take<'_>) -> Result<(), StoreError>;
}

/// What a database is, before anything is moved into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// It has no order and no commit.
    Free,
    /// A copy was begun and not completed: of the store with this mark.
    Begun(String),
    /// It is a store.
    Taken,
}

/// A database into which a store is moved. It is locked, too. From `begin` to `release` no server
/// opens it.
pub trait Destination: Source {
    /// What is there.
    fn ground(&mut self) -> Result<Ground, StoreError>;

    /// Marks the database as a copy of the store with this mark, durably, and empties it: only for
    /// one that is free, or on which a copy was begun.
    fn begin(&mut self, mark: &str) -> Result<(), StoreError>;

    /// Makes it ready to take rows of these tables, the first time or again: the schema is brought
    /// up to date, and what would only slow the rows down is put off.
    fn prepare(&mut self, tables: &[Table]) -> Result<(), StoreError>;

    /// Where a table is to be gone on with: the number from which rows are missing. `None`: from
    /// its beginning. Rows from there on are removed.
    fn resume(&mut self, table: &Table) -> Result<Option<i64>, StoreError>;

    /// Takes a page of rows. They may be gone after a crash until `end_table` has returned, but
    /// never without all that came later.
    fn write(&mut self, table: &Table, page: &Page) -> Result<(), StoreError>;

    /// Completes a table.
    fn end_table(&mut self) -> Result<(), StoreError>;

    /// Makes up for what `prepare` put off, when all rows are there.
    fn complete(&mut self) -> Result<(), StoreError>;

    /// Takes the mark away: from now on, and durably, it is a store like any other.
    fn release(&mut self) -> Result<(), StoreError>;
}

/// Opens the store that a URL names, to be read from end to end.
///
/// # Errors
///
/// There is none, it is in use, of another version than this binary, or itself an incomplete copy.
pub fn source(url: &str) -> Result<Box<dyn Source>, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Box::new(sqlite::Moving::source(path.as_ref())?)),
        Some(("postgres" | "postgresql", _)) => Ok(Box::new(postgres::Moving::source(url)?)),
        Some(("mysql", _)) => Ok(Box::new(mysql::Moving::source(url)?)),
        _ => Err(unknown(url)),
    }
}

/// Opens the database that a URL names, to take a store in.
///
/// # Errors
///
/// It is in use, newer than this binary, or cannot be reached or written.
pub fn destination(url: &str) -> Result<Box<dyn Destination>, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Box::new(sqlite::Moving::destination(path.as_ref())?)),
        Some(("postgres" | "postgresql", _)) => Ok(Box::new(postgres::Moving::destination(url)?)),
        Some(("mysql", _)) => Ok(Box::new(mysql::Moving::destination(url)?)),
        _ => Err(unknown(url)),
    }
}

/// A value that cannot move, named by its row.
pub(super) fn cannot_move(table: &Table, column: usize, key: &str, why: &str) -> StoreError {
    let column = table.columns.get(column).map_or("?", String::as_str);
    let (name, lead) = (&table.name, table.key.first().map_or("?", String::as_str));
    StoreError::Unreadable {
        detail: format!("{name} row {lead} {key} has a bad {column}: {why}"),
    }
}
