//! Random sequences of inputs, and how they are played to the shard and to the model side by side.
//!
//! A turn is what the engine makes of it: recover, submit, advance, commit. After each turn the two
//! are compared in everything that can be seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use orderd::clock::{MICROS_PER_SECOND, Timestamp};
use orderd::order::{
    Currency, LabelRule, Limits, Money, NewOrder, Opening, Position, Priority, Process,
    ProcessIndex, ProcessTally, Processes, Receipt, RetryPolicy, Rules, Seq, ShardNumber, Simulate,
    Spelling, Status, Step, StepKind, WantedId, When,
};
use orderd::shard::{Allowances, Overloaded, Shard, ShardSettings};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::model::{Difference, Entry, Model, Place, is_at_rest};

const START: Timestamp = Timestamp(1_800_000_000 * MICROS_PER_SECOND);

/// An order to submit; times are relative to the moment.
#[derive(Clone, Debug)]
pub struct Submit {
    pub priority: usize,
    pub process: usize,
    pub start_in_us: Option<i64>,
    pub expires_in_us: Option<i64>,
    pub total_minor: i64,
    pub item_count: u16,
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
    /// How many open orders from before the restart come back.
    pub recovers: usize,
    pub submits: Vec<Submit>,
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

fn kind() -> impl Strategy<Value = (StepKind, u32, RetryPolicy)> {
    let simulated = step().prop_map(|(work, concurrency, retry)| {
        let kind = StepKind::Simulate(work);
        (kind, concurrency, retry)
    });
    let ruled = rules().prop_map(|kind| (kind, u32::MAX, RetryPolicy::default()));
    prop_oneof![3 => simulated, 1 => ruled]
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
    vec((vec(kind(), 1..4), concurrency, open_orders_max), 1..3).prop_map(|all| {
        let process = |(at, (steps, concurrency, max)): (usize, (Vec<_>, u32, u64))| Process {
            name: format!("process-{at}").into(),
            version: 1,
            concurrency,
            open_orders_max: max,
            steps: steps
                .into_iter()
                .enumerate()
                .map(|(at, (kind, concurrency, retry))| Step {
                    name: format!("step-{at}").into(),
                    kind,
                    concurrency,
                    retry,
                })
                .collect(),
        };
        all.into_iter().enumerate().map(process).collect()
    })
}

fn submit() -> impl Strategy<Value = Submit> {
    let soon = || prop::option::weighted(0.25, -5_000_000..30_000_000_i64);
    let facts = (0..20_i64, 0..6_u16);
    (0..3_usize, 0..2_usize, soon(), soon(), facts).prop_map(
        |(priority, process, start_in_us, expires_in_us, (total_minor, item_count))| Submit {
            priority,
            process,
            total_minor,
            item_count,
            start_in_us,
            // The door refuses an order that expires before it starts.
            expires_in_us: expires_in_us
                .map(|at| at.max(start_in_us.map_or(at, |start| start + 1))),
        },
    )
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
        passes_us,
        0..6_usize,
        vec(submit(), 0..5),
        prop::bool::weighted(0.95),
        fate,
    )
        .prop_map(|(passes_us, recovers, submits, advances, fate)| Turn {
            passes_us,
            recovers,
            submits,
            advances,
            fate,
        })
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

/// The two side by side.
struct Pair<'a> {
    sequence: &'a Sequence,
    model: Model,
    shard: Shard,
    registry: Arc<Processes>,
    defined: Vec<Process>,
    now: Timestamp,
    starts: u64,
    happened: Happened,
}

/// What happened in a sequence, by name: a run in which nothing happened proves nothing.
pub type Happened = BTreeMap<&'static str, u64>;

/// Plays a sequence, then lets everything come to rest. Counts what happened.
pub fn play(sequence: &Sequence) -> Result<Happened, Difference> {
    let mut pair = Pair::new(sequence);
    for (number, turn) in sequence.turns.iter().enumerate() {
        pair.turn(turn)
            .map_err(|it| format!("turn {number}: {it}"))?;
    }
    pair.come_to_rest()?;
    Ok(pair.happened)
}

/// Plays the turns, then counts the changes of each further turn until there are none. The model is
/// left out: it would take all day.
pub fn changes_by_turn(sequence: &Sequence) -> Vec<usize> {
    let mut pair = Pair::new(sequence);
    for turn in &sequence.turns {
        for submit in &turn.submits {
            let order = pair.order(submit);
            assert_eq!(pair.shard.submit(order, pair.now), Ok(()));
        }
        match turn.fate {
            Fate::Stored { .. } => drop(pair.shard.committed(&Receipt::default(), pair.now)),
            _ => pair.shard.retract(),
        }
    }
    let mut changes = Vec::new();
    while pair.shard.next_deadline(pair.now) == Some(pair.now) {
        pair.shard.advance(pair.now);
        changes.push(pair.shard.commit().changed.len());
        pair.shard.committed(&Receipt::default(), pair.now);
    }
    assert_eq!(pair.shard.open_orders(), 0);
    changes
}

impl<'a> Pair<'a> {
    fn new(sequence: &'a Sequence) -> Self {
        let registry = Processes::new(sequence.processes.clone(), Vec::new());
        let registry = Arc::new(registry.expect("nothing is kept yet"));
        let model = Model::new(sequence.processes.clone(), Allowances::default());
        let shard = shard(sequence, &opening(&model, &[]), &registry);
        Self {
            sequence,
            model,
            shard,
            registry,
            defined: Vec::new(),
            now: START,
            starts: 0,
            happened: Happened::new(),
        }
    }

    fn count(&mut self, what: &'static str, times: usize) {
        *self.happened.entry(what).or_default() += times as u64;
    }

    fn turn(&mut self, turn: &Turn) -> Result<(), Difference> {
        self.now = self.now.plus(turn.passes_us);
        self.recover(turn.recovers)?;
        for submit in &turn.submits {
            self.submit(submit)?;
        }
        if turn.advances {
            self.advance()?;
        }
        self.compare_commit()?;
        match turn.fate {
            Fate::Lost => self.restart(),
            _ if self.shard.commit().is_empty() => {}
            Fate::Refused => {
                self.count("refused", 1);
                self.shard.retract();
                self.model.retract();
                self.compare_commit()?;
            }
            Fate::Stored { collided } => self.store(collided)?,
        }
        self.compare()
    }

    fn recover(&mut self, count: usize) -> Result<(), Difference> {
        for _ in 0..count {
            let absent = self
                .model
                .orders
                .iter()
                .find(|it| it.place == Place::Absent);
            let Some(entry) = absent else { break };
            let order = self.model.open_order(entry);
            self.model.recover(order.seq, self.now);
            same("recovered", true, self.shard.recover(&order, self.now))?;
        }
        Ok(())
    }

    fn order(&self, submit: &Submit) -> NewOrder {
        let later = |us: Option<i64>| us.map(|us| self.now.plus(us));
        NewOrder {
            id: WantedId::Made(Spelling::Uuid),
            idempotency_key: None,
            customer_id: "c".into(),
            item_count: submit.item_count,
            total: Money::new(
                submit.total_minor,
                Currency::from_code("EUR").expect("a code"),
            )
            .expect("money"),
            priority: Priority::ALL[submit.priority],
            process: ProcessIndex((submit.process % self.sequence.processes.len()) as u16),
            payload: "{}".into(),
            start_at: later(submit.start_in_us),
            expires_at: later(submit.expires_in_us),
        }
    }

    fn submit(&mut self, submit: &Submit) -> Result<(), Difference> {
        let order = self.order(submit);
        let (process, priority) = (usize::from(order.process.0), order.priority);
        let (start_at, expires_at) = (order.start_at, order.expires_at);
        let has_room = self.model.open_orders_of(None) < self.sequence.open_orders_max;
        let own_max = self.sequence.processes[process].open_orders_max;
        let is_full = own_max > 0 && self.model.open_orders_of(Some(process)) >= own_max;
        if has_room && is_full {
            self.count("process overloaded", 1);
        }
        let has_room = has_room && !is_full;
        let submitted = self.shard.submit(order, self.now);
        let expected = has_room.then_some(()).ok_or(Overloaded);
        same("submitted", expected, submitted)?;
        if !has_room {
            self.count("overloaded", 1);
        } else {
            let entry = Entry {
                seq: Seq(0),
                priority,
                total_minor: submit.total_minor,
                item_count: submit.item_count,
                process,
                step: 0,
                attempt: 0,
                status: Status::Pending { ready_at: self.now },
                version: 1,
                updated_at: self.now,
                created_at: self.now,
                started_at: None,
                expires_at,
                reason: None,
                position: Position(0),
                place: Place::Commit,
                is_stored: false,
            };
            self.model.submit(entry, start_at, self.now);
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), Difference> {
        let before = self.shard.commit().events.len();
        self.shard.advance(self.now);
        let commit = self.shard.commit();
        let events = &commit.events[before..];
        self.model.advance(self.now, events, &commit.changed)?;
        let is_start = |kind| kind == orderd::order::EventKind::Started;
        self.starts += events.iter().filter(|event| is_start(event.kind)).count() as u64;
        let measured = self.shard.measured();
        same(
            "queue waits",
            self.starts,
            measured.queue_waits_us.len() as u64,
        )
    }

    /// The commit being built says what the model says.
    fn compare_commit(&self) -> Result<(), Difference> {
        let (commit, model) = (self.shard.commit(), &self.model);
        same("position", model.position.next(), commit.position)?;
        same("epoch", model.epoch, commit.epoch)?;
        same("events", &model.events, &commit.events)?;
        same("outputs", &model.outputs, &commit.outputs)?;
        let mut after = model.tallies_of(&model.durable);
        for change in &commit.tallies {
            ProcessTally::among(&mut after, &change.process).add(change);
        }
        same(
            "counters after the commit",
            model.tallies_of(&model.orders),
            after,
        )?;
        let is_new = |entry: &&Entry| !entry.is_stored;
        let new: Vec<_> = model.orders.iter().filter(is_new).collect();
        same("new orders", new.len(), commit.created.len())?;
        for (entry, order) in new.into_iter().zip(&commit.created) {
            same(
                "new order",
                (entry.seq, model.state(entry)),
                (order.seq, order.state.clone()),
            )?;
        }
        let touched = |entry: &&Entry| entry.is_stored && entry.position == commit.position;
        let touched: Vec<_> = model.orders.iter().filter(touched).collect();
        same("changed orders", touched.len(), commit.changed.len())?;
        for entry in touched {
            let changed = commit.changed.iter().find(|it| it.seq == entry.seq);
            let state = changed.map(|it| it.state.clone());
            same("changed order", Some(model.state(entry)), state)?;
        }
        Ok(())
    }

    fn store(&mut self, collided: u16) -> Result<(), Difference> {
        let commit = self.shard.commit();
        let hits = |at: &usize| collided >> (at % 16) & 1 == 1;
        let collided: Vec<_> = (0..commit.created.len()).filter(hits).collect();
        let seqs: Vec<_> = collided.iter().map(|at| commit.created[*at].seq).collect();
        let expected: Vec<_> = commit
            .created
            .iter()
            .map(|order| (order.seq, !seqs.contains(&order.seq)))
            .collect();
        self.defined.extend(commit.definitions.iter().cloned());
        let receipt = Receipt {
            collided,
            ..Receipt::default()
        };
        for event in commit.surviving_events(&receipt.collided) {
            *self.happened.entry(event.kind.name()).or_default() += 1;
        }
        self.count("collided", receipt.collided.len());
        self.count("labelled", self.model.outputs.len());
        let created = self.shard.committed(&receipt, self.now);
        self.model.committed(&seqs, self.now);
        let created: Vec<_> = created
            .iter()
            .map(|(order, fate)| (order.seq, *fate == orderd::shard::Fate::Stored))
            .collect();
        same("handed back", expected, created)
    }

    fn restart(&mut self) {
        self.count("restarted", 1);
        self.model.restart();
        let opening = opening(&self.model, &self.defined);
        self.shard = shard(self.sequence, &opening, &self.registry);
        self.starts = 0;
    }

    /// Everything else that can be seen of a shard.
    fn compare(&mut self) -> Result<(), Difference> {
        let (model, shard, now) = (&self.model, &mut self.shard, self.now);
        same("open orders", model.open_orders(), shard.open_orders())?;
        let tallies = model.tallies_of(&model.durable);
        same("counters", &tallies[..], shard.tallies())?;
        for tally in &tallies {
            same("one process", tally, &shard.tally_of(&tally.process))?;
        }
        same("last position", model.position, shard.position())?;
        same("oldest", model.oldest_ready(), shard.oldest_ready())?;
        let waits = model.oldest_ready().is_some();
        if waits && model.next_to_start().is_none() {
            *self.happened.entry("lease limited").or_default() += 1;
        }
        let deadline = shard.next_deadline(now);
        let expected = if model.next_to_start().is_some() {
            Some(now)
        } else {
            model.deadline()
        };
        match (expected, deadline) {
            (Some(expected), Some(deadline)) if deadline <= expected.max(now) => Ok(()),
            (None, _) => Ok(()),
            _ => Err(format!(
                "must wake at {expected:?}, but will at {deadline:?}"
            )),
        }
    }

    /// Without new orders and faults everything ends, driven by the shard's own deadlines.
    fn come_to_rest(&mut self) -> Result<(), Difference> {
        let quiet = |passes_us| Turn {
            passes_us,
            recovers: usize::MAX,
            submits: Vec::new(),
            advances: true,
            fate: Fate::Stored { collided: 0 },
        };
        self.turn(&quiet(0))?;
        for _ in 0..2_000 {
            let Some(deadline) = self.shard.next_deadline(self.now) else {
                break;
            };
            let passes_us = deadline.micros_since(self.now).max(0);
            self.turn(&quiet(passes_us))
                .map_err(|it| format!("at rest: {it}"))?;
        }
        let is_done = self.model.is_recovered() && self.model.orders.iter().all(is_at_rest);
        same("everything came to rest", true, is_done)
    }
}

fn opening(model: &Model, defined: &[Process]) -> Opening {
    Opening {
        epoch: model.epoch,
        last_seq: model.durable_seq,
        position: model.position,
        tallies: model.tallies_of(&model.durable),
        definitions: defined.to_vec(),
    }
}

fn shard(sequence: &Sequence, opening: &Opening, registry: &Arc<Processes>) -> Shard {
    let settings = ShardSettings {
        shard: ShardNumber(0),
        open_orders_max: sequence.open_orders_max,
        allowances: Allowances::default(),
        key_retention_us: 1,
    };
    let seed = sequence.seed ^ opening.epoch.unsigned_abs();
    let random = StdRng::seed_from_u64(seed);
    Shard::new(settings, opening, Arc::clone(registry), random)
}

/// Fails with both if they differ.
pub fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: T,
    got: T,
) -> Result<(), Difference> {
    if expected == got {
        Ok(())
    } else {
        Err(format!("{what}:\nexpected {expected:?}\n     got {got:?}"))
    }
}
