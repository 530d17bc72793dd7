//! The shard against a small model that is obviously right: random orders, processes, times,
//! refused commits, collisions and restarts, and no difference between the two.
//!
//! Shrunk failures are kept in `shrunk.txt`. `ORDERD_CASES=n` plays n cases.

#![expect(clippy::expect_used, reason = "a failure is how a test tells")]

mod asks;
mod draw;
mod finish;
mod model;
mod regression;
mod rules;
mod sequence;
mod times;
mod undoing;
mod waits;
mod work;

use std::cell::{Cell, RefCell};

use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};
use sequence::Happened;

/// Everything that can happen to a shard today; a run in which one of these is missing has failed.
const MUST_HAPPEN: [&str; 54] = [
    "accepted",
    "ready",
    "started",
    "step_completed",
    "retried",
    "requeued",
    "dead",
    "completed",
    "expired",
    "rejected",
    "labelled",
    "refused",
    "collided",
    "restarted",
    "overloaded",
    "process overloaded",
    "lease limited",
    "cancelled",
    "held",
    "imported",
    "released",
    "replayed",
    "priority_changed",
    "asked to retry what is not dead",
    "asked too late",
    "asked of another version",
    "nothing to do",
    "kept under a key",
    "set forward",
    "set back",
    "came_late",
    "parked",
    "compensating",
    "undo_started",
    "undo_retried",
    "undone",
    "undone and cancelled",
    "undone and rejected",
    "dead while undone",
    "asked of one that is undone",
    "signalled",
    "signalled and not awaited",
    "signalled too late",
    "leased",
    "completed by a worker",
    "failed by a worker",
    "failed for good by a worker",
    "rejected by a worker",
    "handed back",
    "taken over",
    "checked",
    "not known",
    "beaten",
    "lost by a worker",
];

fn config() -> Config {
    let cases = std::env::var("ORDERD_CASES").ok();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/shrunk.txt");
    Config {
        cases: cases.and_then(|text| text.parse().ok()).unwrap_or(768),
        // What a planted bug breaks says nothing about the shard.
        failure_persistence: match cfg!(feature = "faults") {
            true => None,
            false => Some(Box::new(FileFailurePersistence::Direct(kept))),
        },
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}

#[test]
fn the_shard_does_what_the_model_does() {
    let all = RefCell::new(Happened::new());
    let cases = Cell::new(0);
    let played = TestRunner::new(config()).run(&draw::sequences(), |sequence| {
        cases.set(cases.get() + 1);
        let happened = sequence::play(&sequence).map_err(|difference| {
            println!("case {}: {difference}", cases.get());
            TestCaseError::fail(difference)
        })?;
        let mut all = all.borrow_mut();
        for (what, times) in happened {
            *all.entry(what).or_default() += times;
        }
        Ok(())
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
    let all = all.into_inner();
    println!("{all:?}");
    for what in MUST_HAPPEN {
        assert!(all.contains_key(what), "{what} never happened: {all:?}");
    }
}
