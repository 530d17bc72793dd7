//! Walks once through a store: the journal from its first row, then every order.
//!
//! Reads a consistent snapshot page by page and changes nothing. What cannot be read is a finding;
//! the walk goes on behind it.

use super::findings::{Check, Findings, NAMED_MAX};
use super::histories::Histories;
use crate::order::{Position, Seq, ShardNumber};
use crate::store::{self, ShardHead, Snapshot, StoreError, sqlite};

/// Journal rows on a page. A row may be as large as a commit, so there are few.
const ROWS: usize = 64;
/// Orders on a page. An order may be 1 MiB, so there are few.
const ORDERS: usize = 128;
/// Shards that there can be.
const SHARDS: u16 = 1_024;

/// What the walk is at, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The database looks at its own file.
    File,
    /// Journal rows read, and how many there should be.
    Journal(u64, u64),
    /// Orders read, and at most how many there should be.
    Orders(u64, u64),
}

/// What a store is and what was found in it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Shards.
    pub shards: u64,
    /// Journal rows.
    pub rows: u64,
    /// Events in them.
    pub events: u64,
    /// Orders.
    pub orders: u64,
    /// Of those, open ones.
    pub open: u64,
    /// Bytes of memory that the proof took for what it remembers of all orders.
    pub memory_bytes: usize,
    /// Everything that was found.
    pub findings: Findings,
}

struct Walk<'a> {
    snapshot: Box<dyn Snapshot>,
    heads: Vec<(ShardNumber, ShardHead)>,
    histories: Histories,
    rows: u64,
    orders: u64,
    is_journal_whole: bool,
    watch: &'a mut dyn FnMut(Stage),
}

/// Orders that a store will have at most, as its shards say: for telling the memory beforehand.
///
/// # Errors
///
/// The store cannot be opened.
pub fn orders_expected(url: &str) -> Result<u64, StoreError> {
    Ok(expected(&heads(&*store::snapshot(url)?)?).1)
}

/// Proves the invariants of the store that `url` names, as far as they hold.
///
/// # Errors
///
/// The store cannot be opened, is newer than this binary, or is none. Everything else is a finding.
pub fn prove(url: &str, watch: &mut dyn FnMut(Stage)) -> Result<Report, StoreError> {
    let flushed = url.strip_prefix("sqlite:").and_then(sqlite::flushed);
    prove_snapshot(store::snapshot(url)?, flushed, watch)
}

/// The same for a store that is open already, of whose journal so much was `flushed`.
///
/// # Errors
///
/// It cannot be read.
pub fn prove_snapshot(
    snapshot: Box<dyn Snapshot>,
    flushed: Option<(ShardNumber, Position)>,
    watch: &mut dyn FnMut(Stage),
) -> Result<Report, StoreError> {
    let heads = heads(&*snapshot)?;
    let mut walk = Walk {
        snapshot,
        heads,
        histories: Histories::default(),
        rows: 0,
        orders: 0,
        is_journal_whole: true,
        watch,
    };
    walk.file();
    walk.journal();
    walk.definitions();
    walk.orders();
    walk.outputs();
    walk.shards();
    if let Some((shard, position)) = flushed {
        walk.flushed(shard, position);
    }
    Ok(walk.report())
}

/// Where the journal of each shard ends.
///
/// # Errors
///
/// They cannot be read.
pub fn heads(snapshot: &dyn Snapshot) -> Result<Vec<(ShardNumber, ShardHead)>, StoreError> {
    let mut heads = Vec::new();
    for shard in (0..SHARDS).map(ShardNumber) {
        if let Some(head) = snapshot.head(shard)? {
            heads.push((shard, head));
        }
    }
    Ok(heads)
}

/// How many journal rows and, at most, orders there should be.
fn expected(heads: &[(ShardNumber, ShardHead)]) -> (u64, u64) {
    let count = |shard: &ShardNumber, last: i64| u64::try_from(last - shard.base()).unwrap_or(0);
    let rows = heads
        .iter()
        .map(|(shard, head)| count(shard, head.position.0));
    let orders = heads
        .iter()
        .map(|(shard, head)| count(shard, head.last_seq.0));
    (rows.sum(), orders.sum())
}

impl Walk<'_> {
    fn file(&mut self) {
        (self.watch)(Stage::File);
        let findings = &mut self.histories.findings;
        findings.examine(&[Check::File]);
        match self.snapshot.integrity() {
            Ok(lines) => lines
                .into_iter()
                .for_each(|line| findings.add(Check::File, "file", "integrity_check", line)),
            Err(error) => findings.add(Check::File, "file", "integrity_check", error.to_string()),
        }
    }

    fn journal(&mut self) {
        let (expected, _) = expected(&self.heads);
        let mut after = Position(i64::MIN);
        loop {
            (self.watch)(Stage::Journal(self.rows, expected));
            let page = match self.snapshot.journal(after, ROWS) {
                Ok(page) => page,
                Err(error) => {
                    self.is_journal_whole = false;
                    let what = format!("cannot be read from here on: {error}");
                    let findings = &mut self.histories.findings;
                    return findings.add(Check::HashChain, "journal", after.0, what);
                }
            };
            page.iter().for_each(|row| self.histories.row(row));
            self.rows += page.len() as u64;
            match page.last() {
                Some(row) => after = row.position,
                None => return,
            }
        }
    }

    fn definitions(&mut self) {
        match self.snapshot.definitions() {
            Ok(processes) => self.histories.define(&processes),
            Err(error) => {
                let findings = &mut self.histories.findings;
                findings.add(Check::Processes, "processes", "all", error.to_string());
            }
        }
    }

    fn orders(&mut self) {
        let (_, expected) = expected(&self.heads);
        let mut after = Seq(i64::MIN);
        let mut page_size = ORDERS;
        loop {
            (self.watch)(Stage::Orders(self.orders, expected));
            match self.snapshot.orders(after, page_size) {
                Ok(page) => {
                    page.iter().for_each(|order| self.histories.order(order));
                    self.orders += page.len() as u64;
                    page_size = ORDERS;
                    match page.last() {
                        Some(order) => after = order.seq,
                        None => return,
                    }
                }
                // Some row of the page is bad: come to it one by one.
                Err(StoreError::BadRow { .. }) if page_size > 1 => page_size = 1,
                Err(StoreError::BadRow {
                    column,
                    key,
                    detail,
                    ..
                }) => {
                    // The key of an order is its sequence number.
                    let seq = Seq(key.parse().unwrap_or(after.0.saturating_add(1)));
                    let what = format!("{column}: {detail}");
                    self.histories.unreadable(seq, what);
                    self.orders += 1;
                    after = seq;
                }
                Err(error) => {
                    let findings = &mut self.histories.findings;
                    let what = format!("cannot be read from here on: {error}");
                    return findings.add(Check::Contents, "orders", after.0, what);
                }
            }
        }
    }

    /// What steps said about orders that are not there.
    fn outputs(&mut self) {
        let findings = &mut self.histories.findings;
        match self.snapshot.stray_outputs(NAMED_MAX) {
            Ok(strays) => strays.into_iter().for_each(|(seq, step)| {
                let what = format!("step {step} said something about it, but it is not there");
                findings.add(Check::Contents, "step_outputs", seq.0, what);
            }),
            Err(error) => findings.add(Check::Contents, "step_outputs", "all", error.to_string()),
        }
    }

    fn shards(&mut self) {
        for (shard, head) in &self.heads {
            self.histories.head(*shard, head);
            match self.snapshot.tallies(*shard) {
                Ok(tallies) => self.histories.tallies(*shard, &tallies),
                Err(error) => {
                    let findings = &mut self.histories.findings;
                    findings.add(Check::Counters, "tally", shard.0, error.to_string());
                }
            }
        }
        let known = |shard: &ShardNumber| self.heads.iter().any(|(known, _)| known == shard);
        let unknown: Vec<_> = self.histories.shards().filter(|it| !known(it)).collect();
        for shard in unknown {
            let what = "has a journal or orders, but no row";
            let findings = &mut self.histories.findings;
            findings.add(Check::Heads, "shards", shard.0, what);
        }
        if self.is_journal_whole {
            self.histories.end();
        }
    }

    /// Everything that was flushed is there.
    fn flushed(&mut self, shard: ShardNumber, position: Position) {
        let head = self.heads.iter().find(|(known, _)| *known == shard);
        let end = head.map_or(shard.base(), |(_, head)| head.position.0);
        if end < position.0 {
            let what = format!(
                "ends at commit {end}, but commit {} was flushed",
                position.0
            );
            let findings = &mut self.histories.findings;
            findings.add(Check::Heads, "shards", shard.0, what);
        }
    }

    fn report(self) -> Report {
        let findings = self.histories.findings.clone();
        Report {
            shards: self.heads.len() as u64,
            rows: self.rows,
            events: findings.of(Check::Events).examined,
            orders: self.orders,
            open: findings.of(Check::OpenOrders).examined,
            memory_bytes: self.histories.bytes(),
            findings,
        }
    }
}
