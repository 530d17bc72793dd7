//! Whether a table is the same in two databases: row by row, value by value.
//!
//! Both are read in the order of the key at the same time, each by a thread of its own.

use std::sync::mpsc::{self, Receiver};
use std::thread::ScopedJoinHandle;

use super::conduct::{CopyError, stopped};
use crate::store::transfer::{Cell, Destination, Page, Source, Table};

/// Pages that are read ahead on each side.
const AHEAD: usize = 4;

/// Compares a table in two databases; says how many rows were equal as it goes.
pub(super) fn tables(
    source: &mut dyn Source,
    target: &mut dyn Destination,
    table: &Table,
    equal: &mut dyn FnMut(u64),
) -> Result<(), CopyError> {
    std::thread::scope(|scope| {
        let (to_left, left) = mpsc::sync_channel::<Page>(AHEAD);
        let (to_right, right) = mpsc::sync_channel::<Page>(AHEAD);
        let reading_left = scope.spawn(move || {
            source.read(table, None, &mut |page| {
                to_left.send(page).map_err(|_| stopped())
            })
        });
        let reading_right = scope.spawn(move || {
            target.read(table, None, &mut |page| {
                to_right.send(page).map_err(|_| stopped())
            })
        });
        let difference = pages(table, &left, &right, equal);
        // A reading that is still under way finds nobody to give its page to.
        drop((left, right));
        let (read_left, read_right) = (joined(reading_left), joined(reading_right));
        match difference {
            // A side that could not be read to its end is no difference.
            Some(Difference::End(what)) => {
                read_left.map_err(CopyError::Source)?;
                read_right.map_err(CopyError::Target)?;
                Err(CopyError::Differs(what))
            }
            Some(Difference::Row(what)) => Err(CopyError::Differs(what)),
            None => {
                read_left.map_err(CopyError::Source)?;
                read_right.map_err(CopyError::Target)
            }
        }
    })
}

/// What a thread answered.
pub(super) fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

enum Difference {
    /// One side has more rows.
    End(String),
    /// A row is not the same.
    Row(String),
}

fn pages(
    table: &Table,
    left: &Receiver<Page>,
    right: &Receiver<Page>,
    equal: &mut dyn FnMut(u64),
) -> Option<Difference> {
    loop {
        match (left.recv(), right.recv()) {
            (Ok(left), Ok(right)) if left == right => equal(left.rows() as u64),
            (Ok(left), Ok(right)) => return Some(difference(table, &left, &right)),
            (Err(_), Err(_)) => return None,
            (Ok(_), Err(_)) => return Some(end(table, "rows are missing at the end")),
            (Err(_), Ok(_)) => return Some(end(table, "there are more rows than in the source")),
        }
    }
}

fn end(table: &Table, what: &str) -> Difference {
    Difference::End(format!("table {}: {what}", table.name))
}

/// Names the first value that is not the same.
fn difference(table: &Table, left: &Page, right: &Page) -> Difference {
    let width = table.columns.len().max(1);
    let mut key = String::new();
    for (at, (ours, theirs)) in left.cells().zip(right.cells()).enumerate() {
        let column = &table.columns[at % width];
        if at % width == 0 {
            key = word(ours);
        }
        if ours != theirs {
            let (name, ours, theirs) = (&table.name, word(ours), word(theirs));
            let what = format!("table {name}, row {key}: {column} is {theirs} and not {ours}");
            return Difference::Row(what);
        }
    }
    end(table, "rows are missing or too many")
}

/// A value for people: of long ones only the length, because orders are nobody's business.
fn word(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => "NULL".into(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) if text.len() <= 40 => format!("{text:?}"),
        Cell::Text(text) => format!("a text of {} bytes", text.len()),
        Cell::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}
