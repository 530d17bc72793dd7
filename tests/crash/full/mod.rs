//! The real server on a small disk that fills up to the last byte and drains again, watched by a
//! checker outside that writes down what it asked for and what it was told.
//!
//! `ORDERD_FULL_CYCLES=n` makes n cycles; `scripts/disk-full` runs a campaign. Needs the right to
//! mount a file system in memory, and says so where it lacks it.

mod campaign;
mod disk;
mod ledger;
mod server;

use std::io::Write;

/// Cycles of an ordinary run: every way to begin anew on a full disk is among them.
const CYCLES: u32 = 3;

#[test]
fn a_disk_that_fills_up_and_drains_loses_nothing() {
    let cycles = std::env::var("ORDERD_FULL_CYCLES").ok();
    let cycles = cycles.map_or(CYCLES, |cycles| cycles.parse().unwrap());
    let disk = match disk::SmallDisk::mount() {
        Ok(disk) => disk,
        Err(why) => {
            let told = format!("LEFT OUT: no small disk can be mounted here: {why}\n");
            // Not `eprintln!`, which is shown only if a test fails.
            std::io::stderr().write_all(told.as_bytes()).unwrap();
            return;
        }
    };
    let figures = campaign::run(cycles, &disk);
    println!("{figures}");
    let reckoning = &figures.reckoning;
    assert!(reckoning.is_clean(), "{:#?}", reckoning.complaints);
    assert_eq!(figures.survived, cycles);
    assert!(figures.reserve_used > 0, "the disk was never full enough");
}
