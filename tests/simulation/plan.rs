//! Random processes: a few steps each, of every kind.
//!
//! Everything follows from the seed.

use orderd::order::{
    LabelRule, Limits, Priority, Process, Pull, RetryPolicy, Rules, Simulate, Step, StepKind,
    TimeUp, Wait, When,
};
use rand::RngExt;
use rand::rngs::StdRng;

use super::disk::Fault;

const SECOND: i64 = 1_000_000;
/// How long workers have.
pub const LEASE_US: i64 = 6 * SECOND;

/// What goes wrong next.
pub fn fault(random: &mut StdRng) -> Fault {
    let faults = [
        Fault::Refused,
        Fault::Full,
        Fault::UnknownStored,
        Fault::UnknownLost,
        Fault::UnknownForGood,
        Fault::UnknownCrash,
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::Slow(random.random_range(1..5_000_000)),
    ];
    faults[random.random_range(0..faults.len())]
}

/// By how much the wall clock is set: microseconds to decades, forward or back.
pub fn jump(random: &mut StdRng) -> i64 {
    let most = 10_i64.pow(random.random_range(1..16));
    random.random_range(-most..most)
}

pub fn processes(random: &mut StdRng) -> Vec<Process> {
    let count = random.random_range(1..3);
    (0..count).map(|at| process(at, random)).collect()
}

fn process(at: usize, random: &mut StdRng) -> Process {
    let steps = random.random_range(1..4);
    Process {
        name: format!("process-{at}").into(),
        version: 1,
        concurrency: [2, 5, u32::MAX][random.random_range(0..3)],
        open_orders_max: [0, 0, 4][random.random_range(0..3)],
        steps: (0..steps).map(|at| step(at, random)).collect(),
    }
}

fn step(at: usize, random: &mut StdRng) -> Step {
    let kind = match random.random_range(0..8) {
        0..2 => StepKind::Rules(rules(random)),
        2 => StepKind::Wait(Wait {
            timeout_us: [SECOND, 30 * SECOND][random.random_range(0..2)],
            then: TimeUp::ALL[random.random_range(0..4)].0,
        }),
        3..5 => StepKind::Pull(Pull {
            queue: ["one", "other"][random.random_range(0..2)].into(),
            lease_us: LEASE_US,
        }),
        _ => StepKind::Simulate(simulate(random)),
    };
    let name = format!("step-{at}");
    let can_be_undone = matches!(kind, StepKind::Simulate(_));
    let undo = (can_be_undone && random.random_ratio(1, 2)).then(|| {
        let kind = StepKind::Simulate(simulate(random));
        Box::new(limited(Step::new(&name, kind), random))
    });
    Step {
        undo,
        ..limited(Step::new(&name, kind), random)
    }
}

fn limited(step: Step, random: &mut StdRng) -> Step {
    Step {
        concurrency: [1, 3, u32::MAX][random.random_range(0..3)],
        retry: RetryPolicy {
            attempts_max: random.random_range(1..4),
            base_us: SECOND,
            cap_us: 20 * SECOND,
        },
        ..step
    }
}

fn simulate(random: &mut StdRng) -> Simulate {
    let times = [(0, 0), (0, 0), (0, 3 * SECOND), (SECOND, 9 * SECOND)];
    let (shortest_us, longest_us) = times[random.random_range(0..times.len())];
    Simulate {
        shortest_us,
        longest_us,
        failures_ppm: [0, 0, 200_000, 1_000_000][random.random_range(0..4)],
        permanent_ppm: [0, 300_000][random.random_range(0..2)],
        retry_after_us: random.random_ratio(1, 3).then_some(7 * SECOND),
        ..Simulate::default()
    }
}

/// Orders cost their number, and have 0 to 4 items.
fn rules(random: &mut StdRng) -> Rules {
    let label = |label: &str, total_above_minor, priority| LabelRule {
        label: label.into(),
        text: label.to_uppercase().into(),
        when: When {
            total_above_minor,
            priority,
        },
    };
    Rules {
        limits: Limits {
            total_max_minor: [None, None, Some(50)][random.random_range(0..3)],
            items_max: [None, None, Some(3)][random.random_range(0..3)],
            ..Limits::default()
        },
        labels: vec![
            label("late", Some(random.random_range(0..60)), None),
            label("fast", None, Some(Priority::High)),
        ],
    }
}
