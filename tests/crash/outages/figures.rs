//! What a campaign of outages has shown, as a table for people and as JSON for programs.
//! Counts and sorts; judges nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::super::figures::Times;
use super::super::load::Counts;
use super::super::reckoning::Reckoning;

#[derive(Debug, Default, Serialize)]
pub struct Figures {
    pub store: String,
    pub seed: u64,
    pub seconds: u64,
    /// How often each kind of trouble came.
    pub outages: BTreeMap<&'static str, u32>,
    /// Cuts that met no COMMIT.
    pub missed: u32,
    /// Orders that a client was answered for, each counted once, each line flushed.
    pub acknowledged: u64,
    /// Orders that were there in the end.
    pub orders: u64,
    pub requests: Counts,
    pub reckoning: Reckoning,
    /// From the end of the trouble to the next order that was taken.
    pub resumed: Times,
    /// From a request to the refusal of it, of those that create orders.
    pub refused_within: Times,
    /// Most sessions of the server after an outage.
    pub sessions_max: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<30} {value}");
        let (counts, wrong) = (&self.requests, &self.reckoning);
        row("store", &self.store)?;
        row("outages", &self.outages.values().sum::<u32>())?;
        row("seconds", &self.seconds)?;
        row("acknowledged orders", &self.acknowledged)?;
        row("lost", &wrong.lost)?;
        row("doubled", &wrong.doubled)?;
        row("ended twice", &wrong.ended_twice)?;
        row("refused and there", &wrong.refused_and_there)?;
        row("changes lost or doubled", &wrong.changes_lost)?;
        row("work lost or taken twice", &wrong.work_lost)?;
        row("other complaints", &wrong.complaints.len())?;
        row("orders in the end", &self.orders)?;
        row("requests", &counts.requests)?;
        row("  sent again", &counts.retries)?;
        row("  outcome unknown", &counts.unheard)?;
        row("  orders refused", &counts.refused)?;
        row("changes", &counts.changes)?;
        row("orders taken again after", &self.resumed)?;
        row("refused within", &self.refused_within)?;
        row("most sessions after an outage", &self.sessions_max)?;
        row("cuts that met no COMMIT", &self.missed)?;
        for (name, count) in &self.outages {
            writeln!(f, "outage    {name:<30} {count:>4}")?;
        }
        Ok(())
    }
}
