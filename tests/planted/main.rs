//! Is the suite honest? Every planted bug is switched on, and the check that must notice it has to
//! fail because of the promise that is broken; without the bug the same check has to pass.
//!
//! `cargo test --features faults --test planted -- --nocapture` prints which check caught what.

#![expect(clippy::unwrap_used, reason = "a failure is how a test tells")]

mod check;

use std::collections::BTreeMap;

use check::{
    Built, Check, DELIVERIES, MODEL, REAL_STORE, REGRESSION, Run, SERVER, SIMULATION, STORE,
};
use orderd::faults::Bug;

/// A bug, the check that must catch it, and what that must say then: one of these.
struct Case {
    bug: Bug,
    check: &'static Check,
    because: &'static [&'static str],
}

const fn case(bug: Bug, check: &'static Check, because: &'static [&'static str]) -> Case {
    Case {
        bug,
        check,
        because,
    }
}

/// Every bug of the list is here.
const CASES: [Case; 31] = [
    case(
        Bug::AnswerBeforeFlush,
        &SIMULATION,
        &["(1) acknowledged and not there"],
    ),
    case(
        Bug::UnknownCalledRefused,
        &SIMULATION,
        &["(7) refused with StoreUnavailable"],
    ),
    case(Bug::RefusedTriedAgain, &SIMULATION, &["(7) refused with"]),
    case(
        Bug::ChangeLostAtReopening,
        &SIMULATION,
        &[
            "(7) Asked",
            "but the journal says None",
            "told that this is done, and it is not",
        ],
    ),
    case(
        Bug::OrdersForgottenAtRestart,
        &SIMULATION,
        &["forgotten:", "Refused(NotOpen)"],
    ),
    case(
        Bug::OrdersDoubledAtRestart,
        &SIMULATION,
        &["(4) something after the end", "(5) illegal", "forgotten: "],
    ),
    case(
        Bug::UnknownCalledUnavailable,
        &SERVER,
        &["called refused: store-unavailable"],
    ),
    case(
        Bug::LostLeaseGoesOn,
        &SIMULATION,
        &["(6) not under the current fence"],
    ),
    case(
        Bug::FenceStandsStill,
        &SIMULATION,
        &["(6) a fence fell", "(6) a fence was given twice"],
    ),
    case(
        Bug::WorkBeforeDurable,
        &MODEL,
        &["nothing more should have happened"],
    ),
    case(
        Bug::StaleTimerTaken,
        &REGRESSION,
        &["does_not_fire_at_its_old_time ... FAILED"],
    ),
    case(
        Bug::DurationsByWallClock,
        &MODEL,
        &[
            "must wake at",
            "missed its time",
            "at the wrong time",
            "should have happened",
        ],
    ),
    case(
        Bug::SchedulesByTicks,
        &MODEL,
        &["at the wrong time", "missed its date", "must wake at"],
    ),
    case(Bug::WrittenTimeFalls, &SIMULATION, &["(5) the time falls"]),
    case(
        Bug::JournalMissesRetry,
        &SIMULATION,
        &["(5) the row is not the last event", "(5) does not follow"],
    ),
    case(Bug::CounterMissesDead, &SIMULATION, &["(8) counted"]),
    case(
        Bug::KeyOverAtOnce,
        &SIMULATION,
        &[
            "(3) two orders under",
            "(3) another change under",
            "was answered anew",
        ],
    ),
    case(
        Bug::ChangeMadeAgain,
        &SIMULATION,
        &[
            "was made twice",
            "(3) another change under",
            "was answered anew",
        ],
    ),
    case(
        Bug::CancelAfterTheEnd,
        &SIMULATION,
        &["(7) Asked", "told that this is done, and it is not"],
    ),
    case(Bug::VersionNotChecked, &MODEL, &["answer:"]),
    case(
        Bug::HoldIgnored,
        &SIMULATION,
        &["(5) started while it is held"],
    ),
    case(Bug::LowPriorityStarves, &MODEL, &["kind: Started"]),
    case(Bug::StaleResultTaken, &MODEL, &["answer:"]),
    case(
        Bug::EffectForgotten,
        &SIMULATION,
        &["(9) ended with its steps not undone"],
    ),
    case(
        Bug::SignalForgotten,
        &MODEL,
        &["answer:", "expected", "must wake at"],
    ),
    case(
        Bug::PlaceNotedBeforeDelivery,
        &DELIVERIES,
        &["never delivered: "],
    ),
    case(
        Bug::NoFenceInStore,
        &STORE,
        &["an_old_epoch_is_fenced ... FAILED"],
    ),
    case(
        Bug::KeyInAnotherTransaction,
        &STORE,
        &["a_refused_commit_keeps_no_key ... FAILED"],
    ),
    case(
        Bug::JournalInAnotherTransaction,
        &REAL_STORE,
        &[
            "(2) ",
            "(5) the row is not the last event",
            "(8) ",
            "histories",
        ],
    ),
    case(
        Bug::FlushErrorIgnored,
        &REAL_STORE,
        &["(1) acknowledged and not there", "(1) stored until"],
    ),
    case(
        Bug::SynchronousNormal,
        &REAL_STORE,
        &[
            "(1) of",
            "(1) stored until",
            "(1) acknowledged and not there",
        ],
    ),
];

/// What a check said, or why it does not count as having caught the bug.
fn verdict(case: &Case, run: &Run) -> Result<String, String> {
    if run.is_passed {
        return Err("noticed nothing".into());
    }
    let is_told = |line: &&str| case.because.iter().any(|because| line.contains(because));
    let line = run.output.lines().find(is_told);
    let line = line.ok_or_else(|| {
        let because = case.because;
        format!("failed, but not because of {because:?}:\n{}", run.output)
    })?;
    Ok(line.trim().chars().take(72).collect())
}

#[test]
fn every_planted_bug_is_caught() {
    let built = Built::all();
    let mut wrong = Vec::new();
    let mut clean = BTreeMap::new();
    println!("{:<30} {:<11} {:>5}  what it said", "bug", "check", "s");
    for case in &CASES {
        let (bug, check) = (case.bug.name(), case.check);
        let run = built.run(check, Some(bug));
        let said = verdict(case, &run);
        let text = said.as_ref().map_or("NOT CAUGHT", |line| line);
        println!("{bug:<30} {:<11} {:>5.1}  {text}", check.name, run.seconds);
        wrong.extend(said.err().map(|why| format!("{bug}: {} {why}", check.name)));
        clean.entry(check.name).or_insert(check);
    }
    for check in clean.into_values() {
        let run = built.run(check, None);
        let text = if run.is_passed { "passes" } else { "FAILS" };
        println!(
            "{:<30} {:<11} {:>5.1}  {text}",
            "none", check.name, run.seconds
        );
        if !run.is_passed {
            wrong.push(format!(
                "{} fails without a bug:\n{}",
                check.name, run.output
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_bug_of_the_list_has_a_case() {
    let missing: Vec<_> = Bug::ALL
        .into_iter()
        .filter(|(bug, _)| !CASES.iter().any(|case| case.bug == *bug))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(missing, [""; 0]);
}
