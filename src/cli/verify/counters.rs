//! Whether the counters of a process equal a recount.
//!
//! Pure: what is kept and what was counted go in, findings come out.

use super::findings::{Check, Findings};
use crate::order::{Priority, ProcessTally, ShardNumber, StatusKind};

/// Compares what is kept of a process with what was counted of its orders.
pub(super) fn compare(
    shard: ShardNumber,
    kept: &ProcessTally,
    counted: &ProcessTally,
    findings: &mut Findings,
) {
    let (shard, process) = (shard.0, &counted.process);
    let places = StatusKind::ALL
        .into_iter()
        .flat_map(|status| Priority::ALL.map(|priority| (status, priority)));
    for (status, priority) in places {
        findings.examine(&[Check::Counters]);
        let (kept, counted) = (
            kept.tally.of(status, priority),
            counted.tally.of(status, priority),
        );
        if kept != counted {
            let number = priority.number();
            let key = format!("{shard}/{process}/{}/{number}", status.number());
            let what = format!(
                "says {kept} {} orders of priority {number}, there are {counted}",
                status.name()
            );
            findings.add(Check::Counters, "tally", key, what);
        }
    }
    for (column, kept, counted) in [
        ("work_us", kept.work_us, counted.work_us),
        ("turnaround_s", kept.turnaround_s, counted.turnaround_s),
    ] {
        findings.examine(&[Check::Counters]);
        if kept != counted {
            let key = format!("{shard}/{process}");
            let what = format!("{column} is {kept}, its completed orders took {counted}");
            findings.add(Check::Counters, "tally_times", key, what);
        }
    }
}
