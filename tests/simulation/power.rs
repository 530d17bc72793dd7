//! The second tier: the same world over the real SQLite store, on files that lose, tear and refuse.
//!
//! Seeds work as in the first tier, and mean other runs.

use super::campaign::{self, Progress};
use super::files::OnFiles;
use super::shrink::explain;
use super::world::{End, World};
use super::{number, replayed};

/// Seeds of an ordinary run: each is some hundred times as much work as one in memory.
const SEEDS: u64 = 200;

/// Everything that a run must have met at least once.
const MUST_HAPPEN: [&str; 29] = [
    "power cut in a call",
    "power cut",
    "power cut after the end",
    "killed in a call",
    "process gone",
    "ended in order",
    "opened after a crash",
    "crash while recovering",
    "write kept without a flush",
    "write dropped",
    "write torn",
    "write left a hole",
    "call failed",
    "flush lost what is still seen",
    "flush lost what was written",
    "no room",
    "short write",
    "log copied",
    "flush failed while the log was copied",
    "full",
    "unknown",
    "unknown, not stored",
    "not opened",
    "unreadable while recovering",
    "fenced",
    "collided",
    "completed",
    "dead",
    "change made",
];

/// Plays one seed on the real store; a broken promise is an error that tells how to see it again.
pub fn play(seed: u64) -> Result<End, String> {
    play_on(seed, OnFiles::new)
}

fn play_on(seed: u64, medium: impl FnOnce(u64) -> OnFiles) -> Result<End, String> {
    replayed(seed, "promises_hold_on_the_real_store", || {
        World::new(seed, |_| medium(seed))
    })
}

#[test]
fn promises_hold_on_the_real_store_whatever_its_files_lose() {
    if let Some(seed) = number("ORDERD_SEED") {
        let end = play_on(seed, OnFiles::telling).unwrap_or_else(|broken| panic!("{broken}"));
        println!("seed {seed} holds: {:?}", end.happened);
        return;
    }
    let (from, seeds) = (number("ORDERD_FROM"), number("ORDERD_SEEDS"));
    let (from, seeds) = (from.unwrap_or(0), seeds.unwrap_or(SEEDS));
    let summary = campaign::play_all(from..from + seeds, Progress::Silent, play);
    println!("{summary}");
    if let Some((seed, broken)) = summary.broken.first_key_value() {
        panic!(
            "{}",
            explain(broken, &|| World::new(*seed, |_| OnFiles::new(*seed)))
        );
    }
    let never = MUST_HAPPEN.into_iter();
    let never: Vec<_> = never
        .filter(|what| !summary.happened.contains_key(what))
        .collect();
    // A few seeds need not meet everything.
    assert!(
        never.is_empty() || seeds < SEEDS,
        "never happened: {never:?}"
    );
}

#[test]
fn a_seed_is_one_run_on_the_real_store() {
    for seed in 0..3 {
        let [one, other] = [(); 2].map(|()| play(seed).unwrap());
        assert_eq!(one.hash, other.hash);
        assert_eq!(one.happened, other.happened);
    }
}

/// A disk that says of what it has not written that it lasts is noticed.
#[test]
fn without_flushes_acknowledged_orders_are_lost_and_missed() {
    let seen: Vec<_> = (0..12)
        .filter_map(|seed| play_on(seed, OnFiles::ignoring_flushes).err())
        .collect();
    let lost = seen.iter().filter(|text| text.contains("(1)")).count();
    // Of some runs the disk is left in such a state that nothing is opened at all.
    assert!(seen.len() > 9 && lost > 2, "{seen:#?}");
}
