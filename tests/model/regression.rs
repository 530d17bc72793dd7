//! Cases that once went wrong, each by hand and as small as it can be.
//!
//! The random sequences find them too; these say what the trouble was.

use orderd::clock::MICROS_PER_SECOND;
use orderd::order::{Limits, Process, RetryPolicy, Rules, Simulate, Step, StepKind};

use super::asks::{Ask, Asked};
use super::draw::{Fate, Sequence, Submit, Turn};
use super::sequence::play;

fn process(shortest_us: i64, concurrency: u32) -> Process {
    let mut process = Process::built_in();
    process.concurrency = concurrency;
    process.steps[0].kind = StepKind::Simulate(Simulate {
        shortest_us,
        longest_us: shortest_us,
        ..Simulate::default()
    });
    process.steps[0].retry = RetryPolicy::default();
    process
}

fn order(expires_in_us: Option<i64>) -> Submit {
    Submit {
        priority: 1,
        process: 0,
        start_in_us: None,
        expires_in_us,
        total_minor: 5,
        item_count: 1,
        hold_in_us: None,
        past: None,
    }
}

fn turn(passes_us: i64, submits: Vec<Submit>, fate: Fate) -> Turn {
    Turn {
        passes_us,
        jumps_us: 0,
        recovers: 9,
        submits,
        asks: Vec::new(),
        says: Vec::new(),
        leases: Vec::new(),
        advances: true,
        fate,
    }
}

fn check(process: Process, turns: Vec<Turn>) {
    let sequence = Sequence {
        seed: 1,
        open_orders_max: 100,
        processes: vec![process],
        turns,
    };
    if let Err(difference) = play(&sequence) {
        panic!("{difference}");
    }
}

const STORED: Fate = Fate::Stored { collided: 0 };

#[test]
fn an_order_that_collides_after_its_expiry_leaves_the_counters_alone() {
    let collides = Fate::Stored { collided: 1 };
    let late = vec![order(Some(-1))];
    check(process(0, 1), vec![turn(0, late, collides)]);
}

#[test]
fn an_order_that_is_retracted_after_its_expiry_leaves_nothing_behind() {
    let late = vec![order(Some(-1))];
    let turns = vec![
        turn(0, late, Fate::Refused),
        turn(0, vec![order(None)], STORED),
    ];
    check(process(0, 1), turns);
}

#[test]
fn an_expired_order_does_not_count_as_the_oldest_that_waits() {
    let turns = vec![
        turn(0, vec![order(None)], STORED),
        turn(0, vec![order(Some(5 * MICROS_PER_SECOND))], STORED),
        turn(6 * MICROS_PER_SECOND, vec![], STORED),
    ];
    check(process(60 * MICROS_PER_SECOND, 1), turns);
}

#[test]
fn a_lost_lease_is_named_with_its_attempt_and_keeps_its_place() {
    let turns = vec![
        turn(0, vec![order(None)], STORED),
        turn(0, vec![], STORED),
        turn(0, vec![], Fate::Lost),
        turn(0, vec![order(None)], STORED),
    ];
    check(process(60 * MICROS_PER_SECOND, 1), turns);
}

#[test]
fn an_order_keeps_its_first_start_through_a_restart() {
    let minute = 60 * MICROS_PER_SECOND;
    let turns = vec![
        turn(0, vec![order(None)], STORED),
        turn(1, vec![], STORED),
        turn(minute / 2, vec![], Fate::Lost),
        turn(1, vec![], STORED),
        turn(minute, vec![], STORED),
    ];
    // The model adds up from the first start: a minute and a half.
    check(process(minute, 1), turns);
}

#[test]
fn rules_know_after_a_restart_what_they_look_at() {
    let minute = 60 * MICROS_PER_SECOND;
    for (total_max_minor, items_max) in [(Some(4), None), (None, Some(0)), (Some(5), Some(1))] {
        let mut process = process(minute, 1);
        let rules = Rules {
            limits: Limits {
                total_max_minor,
                items_max,
                ..Limits::default()
            },
            labels: Vec::new(),
        };
        process.steps.push(Step {
            name: "check".into(),
            kind: StepKind::Rules(rules),
            ..process.steps[0].clone()
        });
        let turns = vec![
            turn(0, vec![order(None)], STORED),
            turn(1, vec![], STORED),
            turn(1, vec![], Fate::Lost),
            turn(1, vec![], STORED),
        ];
        check(process, turns);
    }
}

/// Set back, the clock lets the time of a retry seem farther away to whoever looks again.
#[test]
fn a_timer_that_was_set_anew_does_not_fire_at_its_old_time() {
    let second = MICROS_PER_SECOND;
    let mut process = process(0, 1);
    process.steps[0].kind = StepKind::Simulate(Simulate {
        failures_ppm: 1_000_000,
        ..Simulate::default()
    });
    process.steps[0].retry.base_us = 60 * second;
    let ask = |passes_us, action| Turn {
        asks: vec![Ask {
            which: 0,
            action,
            version_off: None,
            is_signed: false,
        }],
        ..turn(passes_us, vec![], STORED)
    };
    let turns = vec![
        turn(0, vec![order(None)], STORED),
        turn(1, vec![], STORED),
        Turn {
            jumps_us: -9 * second,
            ..ask(0, Asked::Hold(None))
        },
        ask(second, Asked::Release),
    ];
    check(process, turns);
}

/// More than one turn may change: the rest goes on at once, and nothing is left behind.
#[test]
fn a_turn_is_bounded_and_the_next_one_goes_on() {
    let many = |_| (0..3_000).map(|_| order(None)).collect();
    let turns = (0..3).map(|at| turn(0, many(at), Fate::Refused));
    let mut turns: Vec<_> = turns.collect();
    turns.extend((0..3).map(|at| Turn {
        advances: false,
        ..turn(0, many(at), STORED)
    }));
    let sequence = Sequence {
        seed: 1,
        open_orders_max: 1_000_000,
        processes: vec![process(0, u32::MAX)],
        turns,
    };
    let changes = super::sequence::changes_by_turn(&sequence);
    let max = orderd::shard::CHANGES_MAX;
    assert_eq!(changes, [max, max, 9_000 - 2 * max]);
}
