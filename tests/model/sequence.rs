//! How a sequence of inputs is played to the shard and to the model side by side.
//!
//! A turn is what the engine makes of it: recover, submit, advance, commit. After each turn the two
//! are compared in everything that can be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orderd::clock::{MICROS_PER_SECOND, ManualClock, Now, Timestamp};
use orderd::order::EventKind as E;
use orderd::order::{
    ChangeKey, Changed, Currency, KeptAnswer, Money, NewHold, NewOrder, Opening, Past, PastEnd,
    Position, Priority, Process, ProcessIndex, ProcessTally, Processes, Receipt, Refusal,
    RequestKey, Seq, ShardNumber, Spelling, Status, WantedId,
};
use orderd::shard::{Allowances, Effect, Overloaded, Shard, ShardSettings};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::asks::{Ask, Asked};
use super::draw::{Fate, Sequence, Submit, Turn};
use super::model::{Difference, Entry, Model, Place, is_at_rest};
use super::work::QUEUES;

const START: Timestamp = Timestamp(1_800_000_000 * MICROS_PER_SECOND);

/// The two side by side.
pub struct Pair<'a> {
    sequence: &'a Sequence,
    pub model: Model,
    pub shard: Shard,
    pub registry: Arc<Processes>,
    defined: Vec<Process>,
    clock: ManualClock,
    pub now: Now,
    /// What was written down last.
    last_at: Timestamp,
    pub starts: u64,
    happened: Happened,
    /// The keys of changes in the commit that is being built.
    kept: Vec<RequestKey>,
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
    while pair.shard.next_deadline(pair.now) == Some(pair.now.wall) {
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
        let clock = ManualClock::new(START);
        Self {
            sequence,
            model,
            shard,
            registry,
            defined: Vec::new(),
            now: Now::first(&clock, Timestamp::default()),
            clock,
            last_at: Timestamp::default(),
            starts: 0,
            happened: Happened::new(),
            kept: Vec::new(),
        }
    }

    pub fn count(&mut self, what: &'static str, times: usize) {
        *self.happened.entry(what).or_default() += times as u64;
    }

    fn turn(&mut self, turn: &Turn) -> Result<(), Difference> {
        self.clock.advance(turn.passes_us);
        self.clock.jump(turn.jumps_us);
        self.count("set forward", usize::from(turn.jumps_us > 0));
        self.count("set back", usize::from(turn.jumps_us < 0));
        self.tell_time(self.now.next(&self.clock));
        self.recover(turn.recovers)?;
        for submit in &turn.submits {
            self.submit(submit)?;
        }
        for ask in &turn.asks {
            self.ask(ask)?;
        }
        for say in &turn.says {
            self.say(say)?;
        }
        if turn.advances {
            self.advance()?;
            for (queue, max) in &turn.leases {
                self.lease(QUEUES[*queue], *max)?;
            }
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

    fn tell_time(&mut self, now: Now) {
        self.now = now;
        self.model.now = now;
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
            self.model.recover(order.seq, self.now.at);
            same("recovered", true, self.shard.recover(&order, self.now))?;
        }
        Ok(())
    }

    fn order(&self, submit: &Submit) -> NewOrder {
        let later = |us: Option<i64>| us.map(|us| self.now.wall.plus(us));
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
            hold: submit.hold_in_us.map(|until| {
                Box::new(NewHold {
                    reason: "new".into(),
                    by: None,
                    until: later(until),
                })
            }),
            past: self.past(submit).map(Box::new),
        }
    }

    fn past(&self, submit: &Submit) -> Option<Past> {
        let (end, [created, started, ended]) = submit.past?;
        let ago = |us: i64| self.now.at.plus(-us);
        // A cancelled order need not have begun.
        let is_begun = end == PastEnd::Completed || started % 2 == 0;
        Some(Past {
            end,
            created_at: ago(created),
            started_at: is_begun.then(|| ago(started)),
            ended_at: ago(ended),
            reason: (ended % 2 == 0).then(|| "past".into()),
        })
    }

    fn submit(&mut self, submit: &Submit) -> Result<(), Difference> {
        let order = self.order(submit);
        let past = order.past.clone();
        let (process, priority) = (usize::from(order.process.0), order.priority);
        let (start_at, expires_at) = (order.start_at, order.expires_at);
        let hold = order.hold.clone();
        let has_room = self.model.open_orders_of(None) < self.sequence.open_orders_max;
        let own_max = self.sequence.processes[process].open_orders_max;
        let is_full = own_max > 0 && self.model.open_orders_of(Some(process)) >= own_max;
        if has_room && is_full {
            self.count("process overloaded", 1);
        }
        let has_room = (has_room && !is_full) || past.is_some();
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
                status: Status::Pending {
                    ready_at: self.now.at,
                },
                version: 1,
                updated_at: self.now.at,
                created_at: self.now.at,
                started_at: None,
                expires_at,
                reason: None,
                hold: None,
                signalled: BTreeSet::new(),
                begun: BTreeSet::new(),
                undoing: None,
                undo_due: self.now.at,
                undo_lease: 0,
                position: Position(0),
                place: Place::Commit,
                is_stored: false,
                late: (0, 0),
                is_away: false,
            };
            if let Some(past) = past {
                self.count("imported", 1);
                self.model.import(entry, &past);
                return Ok(());
            }
            self.model.submit(entry, start_at, self.now.at);
            if let Some(hold) = hold {
                let newest = self.model.orders.len() - 1;
                self.model.hold(newest, &hold, self.now.at);
            }
        }
        Ok(())
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), Difference> {
        let count = self.model.orders.len();
        let Some(entry) = self.model.orders.get(ask.which % count.max(1)) else {
            return Ok(());
        };
        let change = ask.change(entry.seq, entry.version, self.now.wall);
        let expected = self.model.ask(&change, self.now.at);
        match expected {
            Err(Refusal::NotOpen) => self.count("asked too late", 1),
            Err(Refusal::OtherVersion { .. }) => self.count("asked of another version", 1),
            Err(Refusal::NotDead { .. }) => self.count("asked to retry what is not dead", 1),
            Err(Refusal::Undoing { .. }) => self.count("asked of one that is undone", 1),
            Err(Refusal::NotAwaited) => self.count("signalled and not awaited", 1),
            Err(Refusal::SignalTooLate) => self.count("signalled too late", 1),
            Ok(Effect::Nothing) => self.count("nothing to do", 1),
            _ => {}
        }
        let answer = self.shard.change(change, self.now);
        same("answer", expected, answer)?;
        if ask.is_signed && answer.is_ok() {
            self.keep(ask.which % 5)?;
        }
        Ok(())
    }

    /// Lets the answer to the last change be kept under a key.
    fn keep(&mut self, number: usize) -> Result<(), Difference> {
        let key = RequestKey::new("changes", format!("{number}").as_bytes(), [0; 32]);
        let key = key.map_err(|error| error.to_string())?;
        let is_kept = self.kept.contains(&key);
        same("kept", is_kept, self.shard.sent_under(&key).is_some())?;
        if is_kept {
            return Ok(());
        }
        self.kept.push(key.clone());
        let answer = KeptAnswer {
            status: 200,
            content_type: "text/plain".into(),
            location: None,
            etag: None,
            body: [].into(),
        };
        let kept = ChangeKey {
            seq: None,
            is_of_new: false,
            key,
            answer,
        };
        self.shard.keep_change_answer(kept, self.now);
        self.count("kept under a key", 1);
        Ok(())
    }

    fn advance(&mut self) -> Result<(), Difference> {
        let before = self.shard.commit().events.len();
        self.shard.advance(self.now);
        let commit = self.shard.commit();
        let events = &commit.events[before..];
        self.model.advance(self.now.at, events, &commit.changed)?;
        let is_start = |kind| matches!(kind, E::Started | E::UndoStarted);
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
        let keys = commit.change_keys.iter().map(|kept| &kept.key);
        same(
            "keys of changes",
            self.kept.iter().collect(),
            keys.collect::<Vec<_>>(),
        )?;
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
                (entry.seq, model.state(entry), &entry.hold),
                (
                    order.seq,
                    order.state.clone(),
                    &order.hold.as_deref().cloned(),
                ),
            )?;
        }
        let touched = |entry: &&Entry| entry.is_stored && entry.position == commit.position;
        let touched: Vec<_> = model.orders.iter().filter(touched).collect();
        same("changed orders", touched.len(), commit.changed.len())?;
        for entry in touched {
            let changed = commit.changed.iter().find(|it| it.seq == entry.seq);
            let changed = changed.ok_or_else(|| format!("{entry:?} is not written"))?;
            self.compare_changed(entry, changed)?;
        }
        Ok(())
    }

    /// What will be stored of a changed order is what the model has.
    fn compare_changed(&self, entry: &Entry, changed: &Changed) -> Result<(), Difference> {
        let stored = self.model.durable.iter().find(|it| it.seq == entry.seq);
        let stored = stored.ok_or_else(|| format!("{entry:?} is not stored"))?;
        let mut state = changed.state.clone();
        if changed.keeps_reason && state.reason.is_none() {
            state.reason.clone_from(&stored.reason);
        }
        same("changed order", self.model.state(entry), state)?;
        let beside = changed.beside.as_deref();
        let unchanged = (&stored.hold, stored.priority, stored.marks());
        let beside = beside.map_or(unchanged, |it| (&it.hold, it.priority, it.marks));
        same(
            "beside",
            (&entry.hold, entry.priority, entry.marks()),
            beside,
        )
    }

    fn store(&mut self, collided: u16) -> Result<(), Difference> {
        let commit = self.shard.commit();
        same("the written time falls", false, commit.at < self.last_at)?;
        self.last_at = commit.at;
        let hits = |at: &usize| collided >> (at % 16) & 1 == 1;
        let collided: Vec<_> = (0..commit.created.len()).filter(hits).collect();
        let seqs: Vec<_> = collided.iter().map(|at| commit.created[*at].seq).collect();
        let expected: Vec<_> = commit
            .created
            .iter()
            .map(|order| (order.seq, !seqs.contains(&order.seq)))
            .collect();
        self.defined.extend(commit.definitions.iter().cloned());
        self.kept.clear();
        let receipt = Receipt {
            collided,
            ..Receipt::default()
        };
        let mut last = None;
        for event in commit.surviving_events(&receipt.collided) {
            *self.happened.entry(event.kind.name()).or_default() += 1;
            let before = last.replace((event.seq, event.kind));
            let what = match (before, event.kind) {
                (Some((seq, E::Undone)), E::Cancelled) if seq == event.seq => {
                    "undone and cancelled"
                }
                (Some((seq, E::Undone)), E::Rejected) if seq == event.seq => "undone and rejected",
                _ => continue,
            };
            *self.happened.entry(what).or_default() += 1;
        }
        let is_stuck = |it: &&Entry| it.undoing.is_some() && !it.is_undoing();
        let stuck = self.model.orders.iter().filter(is_stuck).count();
        if stuck > 0 {
            *self.happened.entry("dead while undone").or_default() += stuck as u64;
        }
        self.count("collided", receipt.collided.len());
        self.count("labelled", self.model.outputs.len());
        let created = self.shard.committed(&receipt, self.now);
        self.model.committed(&seqs, self.now.at);
        let created: Vec<_> = created
            .iter()
            .map(|(order, fate)| (order.seq, *fate == orderd::shard::Fate::Stored))
            .collect();
        same("handed back", expected, created)
    }

    fn restart(&mut self) {
        self.count("restarted", 1);
        self.model.restart();
        self.tell_time(Now::first(&self.clock, self.last_at));
        let opening = opening(&self.model, &self.defined);
        self.shard = shard(self.sequence, &opening, &self.registry);
        self.starts = 0;
        self.kept.clear();
    }

    /// Everything else that can be seen of a shard.
    fn compare(&mut self) -> Result<(), Difference> {
        let (model, shard, now) = (&self.model, &mut self.shard, self.now);
        same("open orders", model.open_orders(), shard.open_orders())?;
        let held = model
            .orders
            .iter()
            .filter(|it| it.is_present() && it.hold.is_some());
        same("held orders", held.count(), shard.held_orders())?;
        let tallies = model.tallies_of(&model.durable);
        same("counters", &tallies[..], shard.tallies())?;
        for tally in &tallies {
            same("one process", tally, &shard.tally_of(&tally.process))?;
        }
        same("last position", model.position, shard.position())?;
        same("oldest", model.oldest_ready(), shard.oldest_ready())?;
        same("queues", model.queues(), shard.queues())?;
        let waits = |it: &Entry| matches!(it.place, Place::Turn(_)) && model.queue(it).is_none();
        let waits = model.orders.iter().any(waits);
        if waits && model.next_to_start(None).is_none() {
            *self.happened.entry("lease limited").or_default() += 1;
        }
        let deadline = shard.next_deadline(now);
        let expected = if model.next_to_start(None).is_some() {
            Some(now.wall)
        } else {
            model.deadline()
        };
        match (expected, deadline) {
            (Some(expected), Some(deadline)) if deadline <= expected.max(now.wall) => Ok(()),
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
            jumps_us: 0,
            recovers: usize::MAX,
            submits: Vec::new(),
            asks: Vec::new(),
            says: Vec::new(),
            leases: vec![(0, 100), (1, 100)],
            advances: true,
            fate: Fate::Stored { collided: 0 },
        };
        self.turn(&quiet(0))?;
        for which in 0..self.model.orders.len() {
            self.ask(&Ask {
                which,
                action: Asked::Release,
                version_off: None,
                is_signed: false,
            })?;
        }
        self.turn(&quiet(0))?;
        for _ in 0..2_000 {
            self.complete_all()?;
            let is_leasable = QUEUES
                .iter()
                .any(|it| self.model.next_to_start(Some(it)).is_some());
            let due = is_leasable || !self.shard.commit().is_empty();
            let due = due.then_some(self.now.wall);
            let Some(deadline) = due.or_else(|| self.shard.next_deadline(self.now)) else {
                break;
            };
            let passes_us = deadline.micros_since(self.now.wall).max(0);
            self.turn(&quiet(passes_us))
                .map_err(|it| format!("at rest: {it}"))?;
        }
        let is_done = self.model.is_recovered() && self.model.orders.iter().all(is_at_rest);
        same("everything came to rest", true, is_done)
    }
}

fn opening(model: &Model, defined: &[Process]) -> Opening {
    Opening {
        last_at: Timestamp::default(),
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
