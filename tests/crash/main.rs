//! The real server under load, killed with `kill -9` at random moments and at named points, and
//! started again, watched by a checker outside that writes down what it asked for and was told.
//!
//! `ORDERD_CRASH_CYCLES=n` makes n cycles; `scripts/crash` runs a campaign in release mode;
//! `ORDERD_TEST_STORE` says on which backend.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is how a test tells"
)]

mod campaign;
mod changes;
#[path = "../databases/chosen.rs"]
mod chosen;
#[path = "../databases/mod.rs"]
mod databases;
mod drain;
mod feed;
mod figures;
#[cfg(target_os = "linux")]
mod full;
mod http;
mod journal;
mod load;
#[path = "../databases/machines.rs"]
mod machines;
mod outages;
mod plan;
mod points;
#[expect(dead_code, reason = "outages are played on PostgreSQL only")]
#[path = "../it/proxy.rs"]
mod proxy;
mod reckoning;
mod request;
mod rest;
mod second;
mod server;
mod workers;

use std::time::Duration;

use campaign::Settings;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A short campaign, unless `ORDERD_CRASH_CYCLES` asks for a long one.
fn settings(seed: u64) -> Settings {
    match number("ORDERD_CRASH_CYCLES") {
        Some(cycles) => Settings {
            cycles: cycles as u32,
            epoch: 50,
            seed,
            enough: 400..800,
        },
        None => Settings {
            cycles: 20,
            epoch: 10,
            seed,
            enough: 50..300,
        },
    }
}

#[test]
fn nothing_that_was_answered_for_is_lost_or_doubled() {
    let clock = orderd::clock::SystemClock::default();
    let time = orderd::clock::Clock::now(&clock).0.unsigned_abs();
    let seed = number("ORDERD_SEED").unwrap_or(time);
    println!("seed {seed}: chooses how runs end; the system decides the rest");
    let settings = settings(seed);
    let cycles = settings.cycles;
    let figures = campaign::run(settings);
    println!("{figures}");
    if let Ok(path) = std::env::var("ORDERD_CRASH_REPORT") {
        std::fs::write(path, serde_json::to_string_pretty(&figures).unwrap()).unwrap();
    }
    let again = format!("again: scripts/crash --cycles {cycles} --seed {seed}");
    let wrong = &figures.reckoning;
    assert!(wrong.is_clean(), "{:#?}\n{again}", wrong.complaints);
    assert!(figures.acknowledged > 0, "nothing was acknowledged");
    assert_eq!(
        figures.empty_cycles, 0,
        "a cycle in which nothing was acknowledged; {again}"
    );
    assert!(figures.busy_ends > 0, "no end hit a busy server");
    assert!(figures.verified > 0);
    assert!(figures.second_opinions > 0 || figures.store != "sqlite");
    if cycles >= 250 {
        assert!(figures.ready.percentile(99) <= Duration::from_secs(2).as_millis() as u64);
        all_took_effect(&figures);
    }
}

/// A long campaign in which something never happened has not shown much.
fn all_took_effect(figures: &figures::Figures) {
    let it = &figures.requests;
    for (what, count) in [
        ("duplicates", it.duplicates),
        ("retries", it.retries),
        ("changes", it.changes),
        ("replays", it.dead_letters_replayed),
        ("imports", it.imported),
        ("reads", it.reads),
        ("leases", it.work),
        ("refusals", it.refused),
        ("lost answers", it.unheard),
    ] {
        assert!(count > 0, "no {what}");
    }
    if cfg!(feature = "faults") {
        let is_file = figures.store == "sqlite";
        let passed = |point: &&str| orderd::faults::comes_past(point, is_file);
        for point in orderd::faults::POINTS.into_iter().filter(passed) {
            assert!(figures.points.contains_key(point), "nobody died at {point}");
        }
    }
}
