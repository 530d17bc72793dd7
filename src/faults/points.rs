//! The names of all points at which a test build can be made to die, and of all failures that it
//! can be made to believe in.
//!
//! `tests/crash` goes through both lists, and holds the code to having each name once.

/// Every point, roughly in the order in which a server comes past: opening, a commit, its answers,
/// a failed commit, the end. A test goes through this list and holds the code to it.
pub const POINTS: [&str; 45] = [
    "opening-locked",
    "opening-migrates",
    "opening-migrated",
    "opening-epoch-raised",
    "opening-epoch-stored",
    "opening-server-ready",
    "opening-server-owned",
    "recovery-page-taken",
    "recovery-done",
    "batch-read",
    "import-read",
    "dead-letters-read",
    "change-decided",
    "lease-given",
    "outcome-taken",
    "commit-decided",
    "commit-begins",
    "commit-begun",
    "commit-key-claimed",
    "commit-orders-written",
    "commit-changes-written",
    "commit-tallies-written",
    "commit-journal-written",
    "commit-ends",
    "commit-flushed",
    "commit-server-asked",
    "commit-server-answered",
    "commit-receipt-taken",
    "answers-held",
    "answers-begun",
    "answers-batch-held",
    "answers-changes-begun",
    "answers-released",
    "answers-kept-found",
    "checkpoint-begins",
    "checkpoint-copied",
    "checkpoint-finished",
    "reopening-begins",
    "reopening-flushed",
    "reopening-server-found",
    "reopening-known",
    "reopening-answered",
    "drain-begins",
    "drain-doors-closed",
    "drain-engine-ended",
];

/// Every failure that [`super::fails`] can pretend.
pub const FAILURES: [&str; 4] = [
    "commit-lost",
    "commit-unheard",
    "commit-server-lost",
    "commit-server-unheard",
];

/// What only a store in a file comes past. Only a store on a database server comes past names with
/// `-server-`, and every store past all others.
const IN_FILES: [&str; 20] = [
    "opening-locked",
    "opening-migrates",
    "opening-migrated",
    "opening-epoch-raised",
    "opening-epoch-stored",
    "commit-begins",
    "commit-begun",
    "commit-key-claimed",
    "commit-orders-written",
    "commit-changes-written",
    "commit-tallies-written",
    "commit-journal-written",
    "commit-ends",
    "commit-flushed",
    "checkpoint-begins",
    "checkpoint-copied",
    "checkpoint-finished",
    "reopening-flushed",
    "commit-lost",
    "commit-unheard",
];

/// Whether a server whose store is in a file, or is not, comes past a point or a failure.
pub fn comes_past(name: &str, is_file: bool) -> bool {
    if name.contains("-server-") {
        !is_file
    } else {
        is_file || !IN_FILES.contains(&name)
    }
}
