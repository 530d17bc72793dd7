//! Deterministic simulation: the real engine loop and shard over a store in memory that crashes,
//! refuses, fills up and forgets to answer, with a clock that only moves by hand.
//!
//! One seed is one run. `ORDERD_SEED=n` replays it, `ORDERD_SEEDS=n` plays n of them, from
//! `ORDERD_FROM=n`; `scripts/simulate` does so in an optimized build. A failure is told as the
//! shortest trace that can be found in `ORDERD_SHRINK_SECONDS=n`, 20 without it.

#![expect(clippy::unwrap_used, reason = "a failure is how a test tells")]

mod asks;
mod campaign;
mod client;
mod computer;
mod cuts;
mod disk;
mod files;
mod plan;
mod platter;
mod power;
mod proof;
mod shrink;
mod spill;
mod steps;
mod stored;
mod trace;
mod trouble;
mod work;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use campaign::Progress;
use disk::{Disk, Planted};
use orderd::clock::ManualClock;
use proof::Broken;
use shrink::{class, explain, shortest};
use stored::Medium;
use world::{End, World};

/// Seeds of an ordinary run.
const SEEDS: u64 = 10_000;

/// The test of the first tier.
const FIRST: &str = "promises_hold_whatever_fails";

/// How often something happened, by name.
pub type Happened = BTreeMap<&'static str, u64>;

/// Everything that a run must have met at least once; otherwise it has proved nothing about it.
const MUST_HAPPEN: [&str; 60] = [
    "refused",
    "full",
    "unknown, stored",
    "unknown, not stored",
    "opened anew",
    "not opened anew",
    "crash while opening anew",
    "crash before a commit",
    "crash after a commit",
    "crash between turns",
    "crash while opening",
    "crash while recovering",
    "unreadable while recovering",
    "fenced",
    "slow",
    "collided",
    "overloaded",
    "refused at once",
    "drained",
    "clock went back",
    "clock jumped",
    "sent again, found",
    "sent again, replayed",
    "sent again, accepted",
    "end told",
    "parked",
    "compensating",
    "undo_started",
    "undo_retried",
    "undone",
    "signalled",
    "completed",
    "dead",
    "expired",
    "requeued",
    "retried",
    "rejected",
    "labelled",
    "cancelled",
    "held",
    "imported",
    "released",
    "replayed",
    "priority_changed",
    "change made",
    "change too late",
    "change of another version",
    "change unknown",
    "change deferred",
    "change asked again, made",
    "change asked again, replayed",
    "leased",
    "lease beaten",
    "word taken",
    "word too late",
    "word unknown",
    "word refused",
    "work refused",
    "worker gone while it asked",
    "came_late",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The world of a seed over the store in memory.
fn world(seed: u64, planted: Option<Planted>) -> World<Disk> {
    World::new(seed, |clock: &ManualClock| {
        Disk::new(clock.clone(), planted)
    })
}

/// Plays one seed; a broken promise is an error that tells how to see it again.
fn play(seed: u64, planted: Option<Planted>) -> Result<End, String> {
    replayed(seed, FIRST, || world(seed, planted))
}

/// What came of a run, with the command that plays it again.
fn replayed<M: Medium>(
    seed: u64,
    test: &str,
    world: impl FnOnce() -> World<M>,
) -> Result<End, String> {
    outcome(|| world().play()).map_err(|broken| {
        let or = match test {
            FIRST => format!(", or scripts/simulate --seed {seed}"),
            _ => String::new(),
        };
        format!(
            "seed {seed}: {broken}\nreplay with: \
             ORDERD_SEED={seed} cargo test --test simulation {test}{or}"
        )
    })
}

/// What came of a run, panics included.
fn outcome(run: impl FnOnce() -> Result<End, Broken>) -> Result<End, Broken> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(end) => end,
        Err(panic) => Err(match panic.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => format!("panicked: {:?}", panic.downcast_ref::<&str>()),
        }),
    }
}

#[test]
fn promises_hold_whatever_fails() {
    let (from, seeds) = match number("ORDERD_SEED") {
        Some(seed) => (seed, 1),
        None => {
            let (from, seeds) = (number("ORDERD_FROM"), number("ORDERD_SEEDS"));
            (from.unwrap_or(0), seeds.unwrap_or(SEEDS))
        }
    };
    let progress = match number("ORDERD_PROGRESS") {
        Some(_) => Progress::Shown,
        None => Progress::Silent,
    };
    let summary = campaign::play_all(from..from + seeds, progress, |seed| play(seed, None));
    println!("{summary}");
    if let Some((seed, broken)) = summary.broken.first_key_value() {
        panic!("{}", explain(broken, &|| world(*seed, None)));
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

/// Of a failing run only a few steps are left, none of which can be spared, and they are told.
#[test]
fn a_failure_is_told_in_few_steps() {
    for planted in [
        Planted::AnswersWithoutStoring,
        Planted::StoresWhatItRefuses,
        Planted::TakesAKeyTwice,
        Planted::HidesAnOpenOrder,
        Planted::LosesWhatIsStored,
    ] {
        let fails = |seed: &u64| play(*seed, Some(planted)).is_err();
        let seed = (0..200).find(fails).unwrap();
        let fresh = || world(seed, Some(planted));
        let (shrunk, trace) = shortest(&fresh, Duration::from_secs(60)).unwrap();
        let (steps, text) = (&shrunk.steps, trace.text());
        let told = format!(
            "{planted:?}, seed {seed}: {steps:#?}\n{text}\n{}",
            shrunk.broken
        );
        println!("{told}");
        assert!(steps.len() <= 12, "{told}");
        assert!(text.contains("client  sends order 0"), "{told}");
        for left_out in 0..steps.len() {
            let mut fewer = steps.clone();
            fewer.remove(left_out);
            let broken = outcome(|| fresh().play_steps(&fewer, None)).err();
            let is_same = broken.is_some_and(|it| class(&it) == class(&shrunk.broken));
            assert!(!is_same, "{told}\ncould spare {:?}", steps[left_out]);
        }
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in 0..5 {
        let [one, other] = [(); 2].map(|()| play(seed, None).unwrap());
        assert_eq!(one.hash, other.hash);
        assert_eq!(one.happened, other.happened);
    }
    assert_ne!(play(1, None).unwrap().hash, play(2, None).unwrap().hash);
}

/// A store with a planted mistake breaks a promise, and the simulation says which.
#[test]
fn planted_mistakes_are_caught() {
    for (planted, broken) in [
        (Planted::AnswersWithoutStoring, "(1)"),
        (Planted::StoresWhatItRefuses, "(7)"),
        (Planted::HasNoFence, "fence"),
        (Planted::TakesAnIdTwice, "(3)"),
        (Planted::TakesAKeyTwice, "(3)"),
        (Planted::ForgetsAChangeKey, "(3)"),
        (Planted::ForgetsAChange, "(5)"),
        (Planted::CountsCollisions, "(8)"),
        (Planted::HidesAnOpenOrder, "forgotten"),
        (Planted::ForgetsAnOutput, "(5)"),
        (Planted::LosesWhatIsStored, "(7)"),
        (Planted::FindsWhatIsLost, "(1)"),
    ] {
        let seen: Vec<_> = (0..60)
            .filter_map(|seed| play(seed, Some(planted)).err())
            .collect();
        let named = seen.iter().filter(|text| text.contains(broken)).count();
        assert!(named > 0, "{planted:?} should break {broken}: {seen:#?}");
    }
}
