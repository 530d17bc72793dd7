//! The real server under load while its database is stopped, killed, filled, locked, slowed down
//! and cut off, again and again, watched by the checker outside.
//!
//! `ORDERD_OUTAGE_CYCLES=n` makes n outages; `scripts/outages` runs a campaign.

mod campaign;
mod figures;
mod trouble;

use std::time::Duration;

use self::campaign::Settings;
use super::machines::machines;
use super::number;

/// Longest until orders are taken again.
const RESUMES: Duration = Duration::from_secs(5);
/// Longest wait for a refusal: a commit that is not answered, and a try to reach the database.
const REFUSED: Duration = Duration::from_secs(8);

fn settings(seed: u64) -> Settings {
    match number("ORDERD_OUTAGE_CYCLES") {
        Some(cycles) => Settings {
            cycles: cycles as u32,
            seed,
            enough: 200..600,
            lasting_ms: 100..8_000,
        },
        None => Settings {
            cycles: 4,
            seed,
            enough: 20..100,
            lasting_ms: 100..1_000,
        },
    }
}

#[test]
fn no_outage_of_a_database_loses_or_doubles_what_was_answered_for() {
    let clock = orderd::clock::SystemClock::default();
    let time = orderd::clock::Clock::now(&clock).0.unsigned_abs();
    let seed = number("ORDERD_SEED").unwrap_or(time);
    println!("seed {seed}: chooses the outages; the system decides the rest");
    for machine in machines(30) {
        let settings = settings(seed);
        let cycles = settings.cycles;
        let figures = campaign::run(settings, &*machine);
        println!("{figures}");
        if let Ok(path) = std::env::var("ORDERD_OUTAGE_REPORT") {
            std::fs::write(path, serde_json::to_string_pretty(&figures).unwrap()).unwrap();
        }
        let again = format!("again: scripts/outages --cycles {cycles} --seed {seed}");
        let wrong = &figures.reckoning;
        assert!(wrong.is_clean(), "{:#?}\n{again}", wrong.complaints);
        assert_eq!(figures.outages.values().sum::<u32>(), cycles);
        assert!(figures.acknowledged > 0, "nothing was acknowledged");
        if cycles >= 12 {
            // Each kind of trouble had its turn.
            assert!(!figures.refused_within.is_empty(), "nobody was refused");
            let missed = figures.missed;
            assert!(missed <= cycles / 4, "{missed} cuts met no COMMIT");
        }
        let resumed = figures.resumed.percentile(100);
        assert!(u128::from(resumed) <= RESUMES.as_millis(), "{resumed} ms");
        let refused = figures.refused_within.percentile(100);
        assert!(u128::from(refused) <= REFUSED.as_millis(), "{refused} ms");
    }
}
