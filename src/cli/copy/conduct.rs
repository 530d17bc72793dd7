//! The order of a copy: what the target is, its rows, its indexes, the comparison, the proof, and
//! only then the end of its mark.
//!
//! Keeps nothing in memory but a few pages: while one is written the next ones are read.

use std::sync::mpsc::{self, Receiver};

use sha2::{Digest, Sha256};

use super::{compare, show};
use crate::cli::verify;
use crate::order::ShardNumber;
use crate::store::transfer::{self, Destination, Ground, Page, Source, Table};
use crate::store::{self, ShardHead, StoreError};

/// Pages that are read ahead.
const AHEAD: usize = 4;

/// The hash over no rows.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a copy is at, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rows of a table are copied: so many of so many.
    Rows(String, u64, u64),
    /// Indexes are built.
    Indexes,
    /// Rows of a table are compared: so many of so many.
    Comparing(String, u64, u64),
    /// The copy is proved.
    Proving(verify::Stage),
}

/// A copy that equals its source.
#[derive(Clone, Debug)]
pub struct Report {
    /// Each table with its rows, in both.
    pub tables: Vec<(String, u64)>,
    /// Where the journals end, in both.
    pub heads: Vec<(ShardNumber, ShardHead)>,
    /// Rows that were there already, from a copy that was broken off.
    pub rows_before: u64,
    /// What the proof of the copy found.
    pub proof: verify::Report,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("{0}")]
    Source(StoreError),
    /// The target cannot be written or read.
    #[error("{0}")]
    Target(StoreError),
    /// The target is a store of its own.
    #[error("it has orders of its own")]
    Taken,
    /// The target was begun with something else.
    #[error("it has a part of another store, or the source was served since that was copied")]
    Other,
    /// The target is not equal to the source.
    #[error("the copy differs: {0}")]
    Differs(String),
}

/// Copies the store at `from` into the database at `to`, compares and proves it.
///
/// # Errors
///
/// Nothing was released: the target is as it was, or an unfinished copy.
pub fn copy(
    from: &str,
    to: &str,
    wants_restart: bool,
    watch: &mut dyn FnMut(Stage),
) -> Result<Report, CopyError> {
    let mut source = transfer::source(from).map_err(CopyError::Source)?;
    let mut target = transfer::destination(to).map_err(CopyError::Target)?;
    let tables = source.tables().map_err(CopyError::Source)?;
    let mark = mark(&mut *source).map_err(CopyError::Source)?;
    let mut copying = Copying {
        source: &mut *source,
        target: &mut *target,
        watch,
        rows_before: 0,
    };
    let is_whole = copying.take_ground(&tables, &mark, wants_restart)?;
    let tables = copying.common(&tables)?;
    let mut counts = Vec::new();
    for table in &tables {
        let count = copying.source.count(table).map_err(CopyError::Source)?;
        counts.push((table.name.clone(), count));
    }
    if !is_whole {
        for (table, (_, count)) in tables.iter().zip(&counts) {
            copying.rows(table, *count)?;
        }
        (copying.watch)(Stage::Indexes);
        copying.target.complete().map_err(CopyError::Target)?;
    }
    for (table, (_, count)) in tables.iter().zip(&counts) {
        copying.compare(table, *count)?;
    }
    let (proof, heads) = copying.prove(to).map_err(CopyError::Target)?;
    if !is_whole && proof.findings.are_none() {
        copying.target.release().map_err(CopyError::Target)?;
    }
    Ok(Report {
        tables: counts,
        heads,
        rows_before: copying.rows_before,
        proof,
    })
}

/// Says which store this is, and in which state: where its shards stand. Each commit and each start
/// of a server changes it.
fn mark(source: &mut dyn Source) -> Result<String, StoreError> {
    let columns = ["shard", "epoch", "position", "hash", "last_seq"];
    let shards = Table {
        name: "shards".into(),
        columns: columns.map(String::from).to_vec(),
        key: vec!["shard".into()],
        is_numbered: true,
    };
    let mut hash = Sha256::new();
    source.read(&shards, None, &mut |page| {
        hash.update(page.bytes());
        Ok(())
    })?;
    Ok(show::hex(&hash.finalize()))
}

struct Copying<'a> {
    source: &'a mut dyn Source,
    target: &'a mut dyn Destination,
    watch: &'a mut dyn FnMut(Stage),
    rows_before: u64,
}

impl Copying<'_> {
    /// Makes the target ready, if it may be. `true`: it is a whole copy already.
    fn take_ground(
        &mut self,
        tables: &[Table],
        mark_of_source: &str,
        wants_restart: bool,
    ) -> Result<bool, CopyError> {
        let ground = self.target.ground().map_err(CopyError::Target)?;
        let begins = match ground {
            Ground::Free => true,
            Ground::Begun(_) if wants_restart => true,
            Ground::Begun(mark) if mark == mark_of_source => false,
            Ground::Begun(_) => return Err(CopyError::Other),
            Ground::Taken => {
                // A store that nobody has opened yet has no shard, and says nothing.
                let is_empty = mark_of_source == EMPTY;
                // What cannot be read so is another store, whatever it is.
                let its = self.target.tables().and_then(|_| mark(self.target));
                let its = its.unwrap_or_default();
                let is_whole = !is_empty && its == mark_of_source;
                return is_whole.then_some(true).ok_or(CopyError::Taken);
            }
        };
        if begins {
            let begun = self.target.begin(mark_of_source);
            begun.map_err(CopyError::Target)?;
        }
        self.target.prepare(tables).map_err(CopyError::Target)?;
        Ok(false)
    }

    /// What both sides have of these tables.
    fn common(&mut self, tables: &[Table]) -> Result<Vec<Table>, CopyError> {
        let theirs = self.target.tables().map_err(CopyError::Target)?;
        Ok(tables
            .iter()
            .filter_map(|table| table.common(&theirs))
            .collect())
    }

    /// Copies the rows of a table that are missing.
    fn rows(&mut self, table: &Table, count: u64) -> Result<(), CopyError> {
        let from = self.target.resume(table).map_err(CopyError::Target)?;
        let mut done = match from {
            Some(_) => self.target.count(table).map_err(CopyError::Target)?,
            None => 0,
        };
        self.rows_before += done;
        (self.watch)(Stage::Rows(table.name.clone(), done, count));
        let Self {
            source,
            target,
            watch,
            ..
        } = self;
        let written = std::thread::scope(|scope| {
            let (sender, pages) = mpsc::sync_channel::<Page>(AHEAD);
            let reading = scope.spawn(move || {
                source.read(table, from, &mut |page| {
                    sender.send(page).map_err(|_| stopped())
                })
            });
            let written = write(*target, table, pages, &mut |rows| {
                done += rows;
                watch(Stage::Rows(table.name.clone(), done, count));
            });
            // If the writing failed, the reading was stopped and has nothing to say.
            let read = compare::joined(reading);
            written.map_err(CopyError::Target)?;
            read.map_err(CopyError::Source)
        });
        written?;
        self.target.end_table().map_err(CopyError::Target)
    }

    fn compare(&mut self, table: &Table, count: u64) -> Result<(), CopyError> {
        let name = &table.name;
        let watch = &mut *self.watch;
        let mut done = 0;
        watch(Stage::Comparing(name.clone(), 0, count));
        compare::tables(self.source, self.target, table, &mut |rows| {
            done += rows;
            watch(Stage::Comparing(name.clone(), done, count));
        })
    }

    fn prove(
        &mut self,
        to: &str,
    ) -> Result<(verify::Report, Vec<(ShardNumber, ShardHead)>), StoreError> {
        let heads = verify::heads(&*store::snapshot_of_copy(to)?)?;
        let watch = &mut *self.watch;
        let proof = verify::prove_snapshot(store::snapshot_of_copy(to)?, None, &mut |stage| {
            watch(Stage::Proving(stage));
        })?;
        Ok((proof, heads))
    }
}

fn write(
    target: &mut dyn Destination,
    table: &Table,
    pages: Receiver<Page>,
    written: &mut dyn FnMut(u64),
) -> Result<(), StoreError> {
    for page in pages {
        target.write(table, &page)?;
        written(page.rows() as u64);
    }
    Ok(())
}

/// Ends a reading that nobody wants any more.
pub(super) fn stopped() -> StoreError {
    StoreError::Unreadable {
        detail: "the reading was stopped".into(),
    }
}
