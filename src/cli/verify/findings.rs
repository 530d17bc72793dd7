//! What is checked, how much of it was looked at, and what was found wrong.
//!
//! Data only. Of each kind the first violations are kept and the others counted, so that a store in
//! which everything is wrong takes no more memory than a sound one.

use std::fmt::Display;

use serde::Serialize;

/// Violations of one kind that are named; more are only counted.
pub const NAMED_MAX: usize = 20;

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// The database file is sound, as the database itself sees it.
    File,
    /// Every journal row carries the hash of the row before, and none is missing.
    HashChain,
    /// Epochs never fall.
    Epochs,
    /// Each shard's row names the end of its journal.
    Heads,
    /// Every event is one that the order could have at that moment.
    Events,
    /// Versions rise by one.
    Versions,
    /// Each event names the journal row of the one before.
    Pointers,
    /// Every order was accepted, once, and first of all.
    AcceptedOnce,
    /// No order has anything after its end.
    EndedOnce,
    /// Leases rise within an epoch, and outcomes carry the current one.
    Leases,
    /// Every order has a history, and every history an order.
    Histories,
    /// Each order says what its last event says.
    LastEvents,
    /// Exactly the orders without an end are open, so that none is forgotten at a restart.
    OpenOrders,
    /// The counters equal a recount.
    Counters,
    /// Every process that an order pins is defined.
    Processes,
    /// What was ordered is a JSON object, and every column can be read.
    Contents,
}

impl Check {
    /// All checks, in the order in which they are shown.
    pub const ALL: [Self; 16] = [
        Self::File,
        Self::HashChain,
        Self::Epochs,
        Self::Heads,
        Self::Events,
        Self::Versions,
        Self::Pointers,
        Self::AcceptedOnce,
        Self::EndedOnce,
        Self::Leases,
        Self::Histories,
        Self::LastEvents,
        Self::OpenOrders,
        Self::Counters,
        Self::Processes,
        Self::Contents,
    ];

    /// A stable word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::HashChain => "hash-chain",
            Self::Epochs => "epochs",
            Self::Heads => "heads",
            Self::Events => "events",
            Self::Versions => "versions",
            Self::Pointers => "pointers",
            Self::AcceptedOnce => "accepted-once",
            Self::EndedOnce => "ended-once",
            Self::Leases => "leases",
            Self::Histories => "histories",
            Self::LastEvents => "last-events",
            Self::OpenOrders => "open-orders",
            Self::Counters => "counters",
            Self::Processes => "processes",
            Self::Contents => "contents",
        }
    }

    /// What holds if nothing was found, for people, and what was counted.
    pub fn promise(self) -> (&'static str, &'static str) {
        match self {
            Self::File => ("the database file is sound", "file"),
            Self::HashChain => ("hashes are chained, no row is missing", "rows"),
            Self::Epochs => ("epochs never fall", "rows"),
            Self::Heads => ("shards name the end of their journal", "shards"),
            Self::Events => ("every event is legal", "events"),
            Self::Versions => ("versions rise by one", "events"),
            Self::Pointers => ("events name the row before", "events"),
            Self::AcceptedOnce => ("accepted once, and first of all", "events"),
            Self::EndedOnce => ("nothing after the end", "events"),
            Self::Leases => ("outcomes carry the current lease", "leases"),
            Self::Histories => ("orders have histories, and the reverse", "orders"),
            Self::LastEvents => ("orders say what their last event says", "orders"),
            Self::OpenOrders => ("no open order is forgotten", "open"),
            Self::Counters => ("counters equal a recount", "counters"),
            Self::Processes => ("pinned processes are defined", "orders"),
            Self::Contents => ("contents can be read", "orders"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The table.
    pub table: &'static str,
    /// The row's key.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// One check: how much was looked at, and what was wrong.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// How many things were looked at.
    pub examined: u64,
    /// How many of them are wrong.
    pub violations: u64,
    /// The first of those, `NAMED_MAX` at most.
    pub named: Vec<Violation>,
}

/// All checks.
#[derive(Clone, Debug, Default)]
pub struct Findings([Finding; 16]);

impl Findings {
    /// What was found by one check.
    pub fn of(&self, check: Check) -> &Finding {
        &self.0[check as usize]
    }

    /// Whether nothing is wrong.
    pub fn are_none(&self) -> bool {
        self.0.iter().all(|finding| finding.violations == 0)
    }

    /// One more thing was looked at by each of these checks.
    pub fn examine(&mut self, checks: &[Check]) {
        for check in checks {
            self.0[*check as usize].examined += 1;
        }
    }

    /// Something is wrong.
    pub fn add(
        &mut self,
        check: Check,
        table: &'static str,
        key: impl Display,
        what: impl Into<String>,
    ) {
        let finding = &mut self.0[check as usize];
        finding.violations += 1;
        if finding.named.len() < NAMED_MAX {
            finding.named.push(Violation {
                table,
                key: key.to_string(),
                what: what.into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_violations_the_first_are_named_and_all_counted() {
        let mut findings = Findings::default();
        for seq in 0..100 {
            findings.add(Check::LastEvents, "orders", seq, "wrong");
        }
        let finding = findings.of(Check::LastEvents);
        assert_eq!((finding.violations, finding.named.len()), (100, NAMED_MAX));
        assert!(!findings.are_none());
        assert_eq!(findings.of(Check::File).violations, 0);
    }

    #[test]
    fn every_check_has_its_place_and_its_name() {
        let mut names: Vec<_> = Check::ALL.map(Check::name).into();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Check::ALL.len());
        for (at, check) in Check::ALL.into_iter().enumerate() {
            assert_eq!(check as usize, at);
        }
    }
}
