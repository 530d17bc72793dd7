//! Random sequences of inputs: processes, and turns in which orders come and changes are asked for.
//!
//! Only drawn here; `sequence` plays them.

use orderd::clock::MICROS_PER_SECOND;
use orderd::order::{
    LabelRule, Limits, PastEnd, Priority, Process, Pull, Push, RetryPolicy, Rules, Simulate, Step,
    StepKind, TimeUp, Wait, When,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::asks::{Ask, ask};
use super::work::{QUEUES, Say, say};

/// An order to submit; times are relative to the moment.
#[derive(Clone, Debug)]
pub struct Submit {
    pub priority: usize,
    pub process: usize,
    pub start_in_us: Option<i64>,
    pub expires_in_us: Option<i64>,
    pub total_minor: i64,
    pub item_count: u16,
    /// Held back from the start; until then, if that is said.
    pub hold_in_us: Option<Option<i64>>,
    /// It was finished elsewhere: how, and how long ago it was accepted, started and ended.
    pub past: Option<(PastEnd, [i64; 3])>,
}

/// What becomes of the commit of a turn.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Stored; new orders whose bit is set collide.
    Stored {
        collided: u16,
    },
    Refused,
    /// Nothing of it is stored, and the shard is gone.
    Lost,
}

/// One turn.
#[derive(Clone, Debug)]
pub struct Turn {
    pub passes_us: i64,
    /// By how much the wall clock is set.
    pub jumps_us: i64,
    /// How many open orders from before the restart come back.
    pub recovers: usize,
    pub submits: Vec<Submit>,
    pub asks: Vec<Ask>,
    /// What workers say.
    pub says: Vec<Say>,
    /// What workers ask for: the place of the queue, and how many orders.
    pub leases: Vec<(usize, usize)>,
    /// A draining engine does not advance its shard.
    pub advances: bool,
    pub fate: Fate,
}

#[derive(Clone, Debug)]
pub struct Sequence {
    pub seed: u64,
    pub open_orders_max: u64,
    pub processes: Vec<Process>,
    pub turns: Vec<Turn>,
}

fn rules() -> impl Strategy<Value = StepKind> {
    let limit = prop::option::weighted(0.3, 8..20_i64);
    let items = prop::option::weighted(0.3, 2..5_u16);
    let label = (
        prop::option::of(0..20_i64),
        prop::option::of(prop::sample::select(Priority::ALL.to_vec())),
    );
    (limit, items, vec(label, 0..3)).prop_map(|(total_max_minor, items_max, labels)| {
        let labels = labels.into_iter().enumerate();
        let label = |(at, (total_above_minor, priority)): (usize, _)| LabelRule {
            label: format!("label-{at}").into(),
            text: format!("fits {at}").into(),
            when: When {
                total_above_minor,
                priority,
            },
        };
        StepKind::Rules(Rules {
            limits: Limits {
                total_max_minor,
                items_max,
                ..Limits::default()
            },
            labels: labels.map(label).collect(),
        })
    })
}

type Work = (StepKind, u32, RetryPolicy);

fn work(name: &str, (kind, concurrency, retry): Work) -> Step {
    Step {
        concurrency,
        retry,
        ..Step::new(name, kind)
    }
}

fn simulated() -> impl Strategy<Value = Work> {
    step().prop_map(|(work, concurrency, retry)| {
        let kind = StepKind::Simulate(work);
        (kind, concurrency, retry)
    })
}

fn kind() -> impl Strategy<Value = Work> {
    let ruled = rules().prop_map(|kind| (kind, u32::MAX, RetryPolicy::default()));
    prop_oneof![
        6 => simulated(), 2 => ruled, 2 => pulled(false), 1 => pulled(true), 2 => waited()
    ]
}

/// A step of workers; or one that is sent, with or without an effect.
fn pulled(is_pushed: bool) -> impl Strategy<Value = (StepKind, u32, RetryPolicy)> {
    let queue = prop::sample::select(QUEUES.to_vec());
    let lease_us = prop::sample::select(vec![MICROS_PER_SECOND, 7 * MICROS_PER_SECOND]);
    let concurrency = prop::sample::select(vec![1, 3, u32::MAX]);
    (queue, lease_us, concurrency, 1..4_u16, any::<bool>()).prop_map(
        move |(queue, lease_us, concurrency, attempts_max, has_effect)| {
            let queue = queue.into();
            let kind = match is_pushed {
                false => StepKind::Pull(Pull { queue, lease_us }),
                true => StepKind::Push(Push {
                    queue,
                    url: "http://x".into(),
                    lookup: has_effect.then(|| "http://y".into()),
                    timeout_us: lease_us,
                    callback_us: lease_us * 3,
                    secrets: Vec::new(),
                }),
            };
            let retry = RetryPolicy {
                attempts_max,
                ..RetryPolicy::default()
            };
            (kind, concurrency, retry)
        },
    )
}

fn waited() -> impl Strategy<Value = (StepKind, u32, RetryPolicy)> {
    let timeout_us = prop::sample::select(vec![1, MICROS_PER_SECOND, 20 * MICROS_PER_SECOND]);
    let then = prop::sample::select(TimeUp::ALL.to_vec());
    (timeout_us, then, 1..4_u16).prop_map(|(timeout_us, (then, _), attempts_max)| {
        let kind = StepKind::Wait(Wait { timeout_us, then });
        let retry = RetryPolicy {
            attempts_max,
            ..RetryPolicy::default()
        };
        (kind, u32::MAX, retry)
    })
}

fn step() -> impl Strategy<Value = (Simulate, u32, RetryPolicy)> {
    let second = MICROS_PER_SECOND;
    let durations = [
        (0, 0),
        (0, 0),
        (0, 2 * second),
        (second, second),
        (second, 9 * second),
    ];
    let duration = prop::sample::select(durations.to_vec());
    let failures_ppm = prop::sample::select(vec![0, 0, 300_000, 1_000_000]);
    let concurrency = prop::sample::select(vec![1, 2, 3, u32::MAX, u32::MAX]);
    let base_us = prop::sample::select(vec![0, second, 20 * second]);
    (duration, failures_ppm, concurrency, 1..4_u16, base_us).prop_map(
        move |(duration, failures_ppm, concurrency, attempts_max, base_us)| {
            let work = Simulate {
                shortest_us: duration.0,
                longest_us: duration.1,
                // No draw of its own, so that the shrunk cases stay what they were.
                is_per_priority: base_us > 0,
                failures_ppm,
                permanent_ppm: if attempts_max == 3 {
                    failures_ppm / 2
                } else {
                    0
                },
                retry_after_us: (duration.0 == second).then_some(4 * second),
            };
            let retry = RetryPolicy {
                attempts_max,
                base_us,
                cap_us: 30 * second,
            };
            (work, concurrency, retry)
        },
    )
}

fn processes() -> impl Strategy<Value = Vec<Process>> {
    let concurrency = prop::sample::select(vec![1, 2, 4, u32::MAX, u32::MAX]);
    let open_orders_max = prop::sample::select(vec![0, 0, 0, 2, 5]);
    let undo = prop::option::weighted(0.4, prop_oneof![3 => simulated(), 1 => pulled(false)]);
    vec(
        (vec((kind(), undo), 1..4), concurrency, open_orders_max),
        1..3,
    )
    .prop_map(|all| {
        let process = |(at, (steps, concurrency, max)): (usize, (Vec<_>, u32, u64))| Process {
            name: format!("process-{at}").into(),
            version: 1,
            concurrency,
            open_orders_max: max,
            steps: steps
                .into_iter()
                .enumerate()
                .map(|(at, (done, undone)): (usize, (Work, Option<Work>))| {
                    let name = format!("step-{at}");
                    let can_be_undone = !matches!(done.0, StepKind::Rules(_) | StepKind::Wait(_));
                    let undo = undone.filter(|_| can_be_undone);
                    Step {
                        undo: undo.map(|undo| Box::new(work(&name, undo))),
                        ..work(&name, done)
                    }
                })
                .collect(),
        };
        all.into_iter().enumerate().map(process).collect()
    })
}

fn submit() -> impl Strategy<Value = Submit> {
    let soon = || prop::option::weighted(0.25, -5_000_000..30_000_000_i64);
    let facts = (0..20_i64, 0..6_u16);
    let hold = prop::option::weighted(0.15, soon());
    let times = (soon(), soon(), hold);
    let end = prop::sample::select(vec![PastEnd::Completed, PastEnd::Cancelled]);
    let ago = [0..9_000_000_i64, 0..9_000_000_i64, 0..9_000_000_i64];
    let past = prop::option::weighted(0.1, (end, ago));
    (0..3_usize, 0..2_usize, times, facts, past).prop_map(
        |(priority, process, times, (total_minor, item_count), past)| {
            let (start_in_us, expires_in_us, hold_in_us) = times;
            Submit {
                priority,
                process,
                total_minor,
                item_count,
                start_in_us,
                // The door refuses an order that expires before it starts.
                expires_in_us: expires_in_us
                    .map(|at| at.max(start_in_us.map_or(at, |start| start + 1))),
                hold_in_us: hold_in_us.filter(|_| past.is_none()),
                past: past.map(|(end, mut ago)| {
                    ago.sort_unstable();
                    ago.reverse();
                    (end, ago)
                }),
            }
        },
    )
}

/// By how much the wall clock is set: mostly not; else microseconds to decades, forward or back.
fn jump() -> impl Strategy<Value = i64> {
    let size = (0..16_u32, -1_000..1_000_i64);
    let any = size.prop_map(|(magnitude, part)| 10_i64.pow(magnitude) / 1_000 * part + part);
    prop_oneof![6 => Just(0), 1 => any]
}

fn turn() -> impl Strategy<Value = Turn> {
    let passes_us = prop_oneof![3 => 0..3_000_000_i64, 1 => Just(0), 1 => 0..90_000_000_i64];
    let fate = prop_oneof![
        8 => Just(Fate::Stored { collided: 0 }),
        2 => any::<u16>().prop_map(|collided| Fate::Stored { collided }),
        2 => Just(Fate::Refused),
        1 => Just(Fate::Lost),
    ];
    (
        (passes_us, jump()),
        0..6_usize,
        vec(submit(), 0..5),
        (vec(ask(), 0..4), vec(say(), 0..4)),
        vec((0..QUEUES.len(), 1..4_usize), 0..3),
        prop::bool::weighted(0.95),
        fate,
    )
        .prop_map(
            |((passes_us, jumps_us), recovers, submits, (asks, says), leases, advances, fate)| {
                Turn {
                    passes_us,
                    jumps_us,
                    recovers,
                    submits,
                    asks,
                    says,
                    leases,
                    advances,
                    fate,
                }
            },
        )
}

pub fn sequences() -> impl Strategy<Value = Sequence> {
    let max = prop::sample::select(vec![3, 12, 1_000_000]);
    (any::<u64>(), max, processes(), vec(turn(), 1..60)).prop_map(
        |(seed, open_orders_max, processes, turns)| Sequence {
            seed,
            open_orders_max,
            processes,
            turns,
        },
    )
}
