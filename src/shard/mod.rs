//! The shard: a pure, single-threaded state machine that owns the open orders and makes every
//! decision.
//!
//! It takes inputs with the time as an argument, and builds the commit that makes its decisions
//! true. It does no I/O, reads no clock and draws only from the generator it was given, so the same
//! code runs in production and in tests that play many orders from a seed.

mod accept;
mod book;
mod change;
mod decide;
mod import;
mod keys;
mod pull;
mod ready;
mod time;
mod timers;
mod transition;
mod undo;
mod wait;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;

use self::book::{Book, Slot};
pub use self::change::Effect;
pub use self::pull::{Leased, QueueLoad};
pub use self::ready::Allowances;
use self::ready::Ready;
use self::time::Leaps;
use self::timers::{TimerKind, Timers};
use self::undo::Undoing;
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{
    Commit, Facts, Hold, IdSource, Marks, Opening, Order, Position, Process, ProcessIndex,
    ProcessTally, Processes, Receipt, Seq, ShardNumber,
};

/// Most changes of orders that one turn of work adds to a commit.
pub const CHANGES_MAX: usize = 4_096;

/// What a shard is made with.
pub struct ShardSettings {
    /// Its number.
    pub shard: ShardNumber,
    /// Most orders that may be open at once, 1 to 1,000,000,000. A process may have a bound of its
    /// own.
    pub open_orders_max: u64,
    /// Head starts in the queue.
    pub allowances: Allowances,
    /// How long an idempotency key counts, in microseconds, from 1.
    pub key_retention_us: i64,
}

/// What became of a new order in a commit that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is stored.
    Stored,
    /// It is not: its id is taken.
    IdTaken,
    /// It is not: its idempotency key is taken.
    KeyTaken,
}

/// No room for another open order, or for another one of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// Durations that were measured since they were last taken, in microseconds.
#[derive(Debug, Default)]
pub struct Measured {
    /// From ready to leased, of each attempt that started.
    pub queue_waits_us: Vec<i64>,
    /// From first start to completion, of each order that completed.
    pub processing_times_us: Vec<i64>,
}

/// The open orders of one shard, and every decision about them.
///
/// A turn: inputs (`submit`, `recover`), `advance`, then the engine stores `commit()` and reports
/// with `committed` or `retract`. Nothing that rests on an unflushed decision starts before
/// `committed`.
pub struct Shard {
    settings: ShardSettings,
    processes: Arc<Processes>,
    random: StdRng,
    book: Book,
    ready: Ready,
    /// On the wall clock: start times, expiries, ends of holds.
    schedules: Timers,
    /// On the monotonic clock: retries and work.
    delays: Timers,
    /// The moment of the input that is being taken.
    now: Now,
    /// The moment of the first input of all.
    began: Option<Now>,
    leaps: Leaps,
    /// Holds of open orders; few orders have one.
    holds: BTreeMap<Seq, Box<Hold>>,
    /// What is remembered of the steps of open orders; few orders have any of it.
    marks: BTreeMap<Seq, Marks>,
    /// Of orders whose steps are being undone: how far that is.
    undoing: BTreeMap<Seq, Undoing>,
    /// Why they are.
    turned_back: BTreeMap<Seq, Box<str>>,
    /// Until when leases count that were extended, on the monotonic clock.
    beats: BTreeMap<Seq, Timestamp>,
    /// Orders whose attempt goes on at somebody who took it over: it does not count as running.
    away: BTreeSet<Seq>,
    /// Of open orders: the last lease under which somebody came too late.
    late: BTreeMap<Seq, (i64, i64)>,
    last_seq: Seq,
    last_lease: i64,
    ids: IdSource,
    /// As of the last durable commit, in the order of the registry's names.
    tallies: Vec<ProcessTally>,
    /// What the next commit will make true.
    commit: Commit,
    /// Of open orders whose process has rules: what those look at.
    facts: BTreeMap<Seq, Facts>,
    /// By process: whether its orders are in `facts`.
    has_rules: Vec<bool>,
    /// Orders that go to the queue or to a timer when the commit is durable.
    fresh: Vec<(Slot, Seq)>,
    /// By name: open orders from before the start that were not brought back yet. They take room.
    absent: Vec<u64>,
    /// By process: whether its definition is stored, or on its way in the commit.
    is_defined: Vec<bool>,
    measured: Measured,
}

impl Shard {
    /// A shard that was just opened, without its open orders: `recover` brings those.
    pub fn new(
        settings: ShardSettings,
        opening: &Opening,
        processes: Arc<Processes>,
        random: StdRng,
    ) -> Self {
        let mut shard = Self {
            is_defined: Vec::new(),
            ready: Ready::new(&processes, settings.allowances),
            book: Book::new(processes.all().len()),
            schedules: Timers::default(),
            delays: Timers::default(),
            now: Timestamp::default().into(),
            began: None,
            leaps: Leaps::default(),
            holds: BTreeMap::new(),
            marks: BTreeMap::new(),
            undoing: BTreeMap::new(),
            turned_back: BTreeMap::new(),
            beats: BTreeMap::new(),
            away: BTreeSet::new(),
            late: BTreeMap::new(),
            last_seq: Seq::default(),
            last_lease: 0,
            ids: IdSource::default(),
            absent: Vec::new(),
            tallies: Vec::new(),
            commit: Commit::default(),
            facts: BTreeMap::new(),
            has_rules: processes.all().iter().map(Process::has_rules).collect(),
            fresh: Vec::new(),
            measured: Measured::default(),
            settings,
            processes,
            random,
        };
        shard.reopen(opening);
        shard
    }

    /// Forgets everything that is not stored, as a restart does: the store was opened anew. Chance
    /// goes on, and the ids that are made go on rising.
    pub fn reopen(&mut self, opening: &Opening) {
        let processes = &self.processes;
        let is_stored = |process: &Process| {
            let same =
                |kept: &Process| kept.name == process.name && kept.version == process.version;
            opening.definitions.iter().any(same)
        };
        self.is_defined = processes.all().iter().map(is_stored).collect();
        self.ready = Ready::new(processes, self.settings.allowances);
        self.book = Book::new(processes.all().len());
        (self.schedules, self.delays) = (Timers::default(), Timers::default());
        self.holds.clear();
        self.marks.clear();
        self.undoing.clear();
        self.turned_back.clear();
        self.beats.clear();
        self.away.clear();
        self.late.clear();
        (self.last_seq, self.last_lease) = (opening.last_seq, 0);
        self.absent = absent(processes, &opening.tallies);
        self.tallies = tallies(processes, &opening.tallies);
        self.commit = Commit {
            shard: self.settings.shard,
            epoch: opening.epoch,
            position: opening.position.next(),
            tallies: tallies(processes, &[]),
            ..Commit::default()
        };
        self.facts.clear();
        self.fresh.clear();
        self.measured = Measured::default();
    }

    /// The commit that makes everything decided so far true.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The commit is durable: lets what rests on it begin, and hands back the new orders of the
    /// commit, each with what became of it.
    pub fn committed(&mut self, receipt: &Receipt, now: Now) -> Vec<(Box<Order>, Fate)> {
        let now = self.set_now(now);
        let Receipt {
            collided,
            keys_taken,
        } = receipt;
        // Both stand in the order of the registry's names.
        let changes = self.commit.tally_changes(collided);
        let tallies = self.tallies.iter_mut().zip(changes.iter());
        tallies.for_each(|(tally, change)| tally.add(change));
        for at in collided {
            self.forget(self.commit.created[*at].seq);
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        for (slot, seq) in fresh.drain(..) {
            if self.book.holds(slot, seq) {
                self.route(slot, now);
            }
        }
        self.fresh = fresh;
        let created = std::mem::take(&mut self.commit.created);
        // Not before they are durable: an order that is not there cannot expire.
        for order in &created {
            if let Some(expires_at) = order.expires_at {
                self.schedules.set(expires_at, order.seq, TimerKind::Expiry);
            }
            if let Some(until) = order.hold.as_ref().and_then(|hold| hold.until) {
                self.schedules.set(until, order.seq, TimerKind::Release);
            }
        }
        self.commit.position = self.commit.position.next();
        self.commit.tallies.iter_mut().for_each(ProcessTally::clear);
        self.commit.changed.clear();
        self.commit.keys.clear();
        self.commit.change_keys.clear();
        self.commit.events.clear();
        self.commit.outputs.clear();
        self.commit.definitions.clear();
        self.sweep_timers();
        let fate = |at: usize| {
            if collided.binary_search(&at).is_err() {
                Fate::Stored
            } else if keys_taken.binary_search(&at).is_err() {
                Fate::IdTaken
            } else {
                Fate::KeyTaken
            }
        };
        created
            .into_iter()
            .enumerate()
            .map(|(at, order)| (order, fate(at)))
            .collect()
    }

    /// The commit is definitely not stored: takes the new orders out of it and forgets them.
    /// Everything else stays in, to be tried again.
    pub fn retract(&mut self) {
        if faults::is_planted(Bug::RefusedTriedAgain) {
            return;
        }
        let created = std::mem::take(&mut self.commit.created);
        self.commit.keys.clear();
        for order in &created {
            ProcessTally::among(&mut self.commit.tallies, &order.process).count(order, -1);
            self.forget(order.seq);
        }
        let is_created = |seq| {
            created
                .binary_search_by_key(&seq, |order| order.seq)
                .is_ok()
        };
        self.commit.change_keys.retain(|kept| !kept.is_of_new);
        self.commit.events.retain(|event| !is_created(event.seq));
        self.fresh.retain(|(_, seq)| !is_created(*seq));
    }

    /// The counters of every process that is known, as of the last durable commit.
    pub fn tallies(&self) -> &[ProcessTally] {
        &self.tallies
    }

    /// The counters of one process, as of the last durable commit; zeros if it is not known.
    pub fn tally_of(&self, process: &str) -> ProcessTally {
        let known = self.tallies.iter().find(|it| &*it.process == process);
        known
            .cloned()
            .unwrap_or_else(|| ProcessTally::new(process.into()))
    }

    /// How many open orders each version of a process has, in the order of the registry.
    pub fn open_by_version(&self) -> Vec<u64> {
        let all = (0..).map(ProcessIndex).take(self.processes.all().len());
        all.map(|index| self.book.len_of(index)).collect()
    }

    /// How many orders are held back, including those on their way to the store.
    pub fn held_orders(&self) -> usize {
        self.holds.len()
    }

    /// How many orders are open, including those on their way to the store.
    pub fn open_orders(&self) -> usize {
        self.book.len()
    }

    /// Since when the order that has waited longest has been ready. `None`: nobody waits.
    pub fn oldest_ready(&mut self) -> Option<Timestamp> {
        self.oldest().into_iter().flatten().min()
    }

    /// The same for the shard itself, then for each queue.
    fn oldest(&mut self) -> Vec<Option<Timestamp>> {
        let book = &self.book;
        let waits = |ready_at, seq| {
            book.find(seq)
                .is_some_and(|slot| decide::is_startable(book.at(slot), ready_at))
        };
        self.ready.oldest(waits)
    }

    /// Its epoch.
    pub fn epoch(&self) -> i64 {
        self.commit.epoch
    }

    /// The place of its last durable commit.
    pub fn position(&self) -> Position {
        Position(self.commit.position.0 - 1)
    }

    /// What was measured since it was last taken; the caller clears it.
    pub fn measured(&mut self) -> &mut Measured {
        &mut self.measured
    }

    fn forget(&mut self, seq: Seq) {
        if let Some(slot) = self.book.find(seq) {
            self.holds.remove(&seq);
            self.close(slot);
        }
    }

    /// Takes an order out of the book, and all that goes with it.
    fn close(&mut self, slot: Slot) {
        let record = *self.book.at(slot);
        let seq = record.seq;
        if record.is_queued {
            self.ready.leave(decide::place(&record));
        }
        self.facts.remove(&seq);
        self.marks.remove(&seq);
        self.undoing.remove(&seq);
        self.turned_back.remove(&seq);
        self.beats.remove(&seq);
        self.away.remove(&seq);
        self.late.remove(&seq);
        self.book.remove(slot);
    }
}

/// How many open orders of each name in the registry were kept.
fn absent(processes: &Processes, kept: &[ProcessTally]) -> Vec<u64> {
    let open = |name: &Arc<str>| {
        let tally = kept.iter().find(|it| it.process == *name);
        tally.map_or(0, |it| it.tally.open().max(0).unsigned_abs())
    };
    processes.names().iter().map(open).collect()
}

/// Counters of all names in the registry, in its order, as they were `kept`; then any others.
fn tallies(processes: &Processes, kept: &[ProcessTally]) -> Vec<ProcessTally> {
    let names = processes.names().iter();
    let mut all: Vec<_> = names.map(|name| ProcessTally::new(name.clone())).collect();
    for tally in kept {
        ProcessTally::among(&mut all, &tally.process).add(tally);
    }
    all
}
