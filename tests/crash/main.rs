//! The real server under load, killed with `kill -9` at random moments and started again, watched
//! by a checker outside that writes down what it asked for and what it was told.
//!
//! `ORDERD_CRASH_CYCLES=n` makes n cycles; `scripts/crash` runs a campaign in release mode.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is how a test tells"
)]

mod campaign;
#[cfg(target_os = "linux")]
mod full;
mod http;
mod ledger;
mod load;
mod points;
mod server;

/// Cycles of an ordinary run.
const CYCLES: u32 = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_that_was_answered_for_is_lost_or_doubled() {
    let cycles = number("ORDERD_CRASH_CYCLES").map_or(CYCLES, |cycles| cycles as u32);
    let clock = orderd::clock::SystemClock::default();
    let time = orderd::clock::Clock::now(&clock).0.unsigned_abs();
    let seed = number("ORDERD_SEED").unwrap_or(time);
    println!("seed {seed}: chooses when to kill; the system decides the rest");
    let figures = campaign::run(cycles, seed);
    println!("{figures}");
    let reckoning = &figures.reckoning;
    assert!(reckoning.is_clean(), "{:#?}", reckoning.complaints);
    assert!(figures.acknowledged > 0, "nothing was acknowledged");
    assert!(figures.busy_kills > 0, "no kill hit a busy server");
    assert!(figures.verified > 0, "nothing was verified");
}
