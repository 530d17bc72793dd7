//! The shard, written down a second time in the plainest way: a list of orders, searched from end
//! to end. No heaps, no index, no slots.
//!
//! It predicts every event. Where chance decides (how long, whether it fails, how long until the
//! next attempt) it reads what the shard drew, and checks that it was allowed to.

use std::collections::BTreeSet;
use std::sync::Arc;

use orderd::clock::{Now, Timestamp};
use orderd::order::{
    Changed, Event, EventKind, Hold, OpenOrder, OrderState, Output, Position, Priority, Process,
    ProcessTally, Queues, RetryPolicy, Seq, Simulate, Status, StatusKind, StepKind, Target,
};
use orderd::shard::{Allowances, QueueLoad};

/// A difference between the model and the shard.
pub type Difference = String;

/// Where an open order waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// From before the restart, and not brought back yet.
    Absent,
    /// For the commit that makes its last move true.
    Commit,
    /// For the wall clock to show this.
    Date(Timestamp),
    /// For a time on the monotonic clock, which is only known to lie between these two.
    Time(Timestamp, Timestamp),
    /// For its turn, since then.
    Turn(Timestamp),
    /// For the end of its hold.
    Held,
    /// For nothing: it is dead, or has ended.
    Nothing,
}

/// An order.
#[derive(Clone, Debug)]
pub struct Entry {
    pub seq: Seq,
    pub priority: Priority,
    pub total_minor: i64,
    pub item_count: u16,
    pub process: usize,
    pub step: usize,
    pub attempt: u16,
    pub status: Status,
    pub version: u32,
    pub updated_at: Timestamp,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub reason: Option<Box<str>>,
    pub hold: Option<Hold>,
    /// The steps whose signal has come.
    pub signalled: BTreeSet<u8>,
    /// The steps that may have had an effect which can be undone.
    pub begun: BTreeSet<u8>,
    /// What it will be when they are.
    pub undoing: Option<Target>,
    /// Since or until when the next attempt to undo waits, and the lease of the one that runs.
    pub undo_due: Timestamp,
    pub undo_lease: i64,
    pub position: Position,
    pub place: Place,
    pub is_stored: bool,
    /// The last lease under which somebody came too late.
    pub late: (i64, i64),
    /// Its attempt goes on at somebody who took it over.
    pub is_away: bool,
}

impl Entry {
    fn is_begun(&self) -> bool {
        self.started_at.is_some()
    }

    pub fn is_present(&self) -> bool {
        self.status.is_open() && self.place != Place::Absent
    }

    /// Whether its hold must be over now.
    pub fn is_released(&self, now: Timestamp) -> bool {
        let until = self.hold.as_ref().and_then(|hold| hold.until);
        self.is_stored && self.is_present() && until.is_some_and(|until| until <= now)
    }

    /// Whether it must end now because it was not begun in time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let waits = matches!(
            self.status,
            Status::Scheduled { .. } | Status::Pending { .. }
        );
        let is_late = self.expires_at.is_some_and(|at| at <= now);
        self.is_stored && self.is_present() && waits && !self.is_begun() && is_late
    }
}

pub struct Model {
    pub processes: Vec<Process>,
    pub allowances: Allowances,
    /// Every order that was ever accepted, as the shard should have it now.
    pub orders: Vec<Entry>,
    /// The same as of the last commit.
    pub durable: Vec<Entry>,
    /// Events of the commit that is being built.
    pub events: Vec<Event>,
    /// What steps said in it.
    pub outputs: Vec<Output>,
    pub epoch: i64,
    pub position: Position,
    pub last_seq: Seq,
    pub durable_seq: Seq,
    pub last_lease: i64,
    /// The moment of the input that is being taken.
    pub now: Now,
    /// Leases that ran out.
    pub lost: usize,
    /// What the shard said last, until when.
    pub until: Option<Timestamp>,
}

impl Model {
    pub fn new(processes: Vec<Process>, allowances: Allowances) -> Self {
        Self {
            processes,
            allowances,
            orders: Vec::new(),
            durable: Vec::new(),
            events: Vec::new(),
            outputs: Vec::new(),
            epoch: 1,
            position: Position(0),
            last_seq: Seq(0),
            durable_seq: Seq(0),
            last_lease: 0,
            now: Timestamp(0).into(),
            lost: 0,
            until: None,
        }
    }

    pub fn open_orders(&self) -> usize {
        self.orders.iter().filter(|it| it.is_present()).count()
    }

    /// Open orders that take room, of all processes or of one: also those that are not back yet.
    pub fn open_orders_of(&self, process: Option<usize>) -> u64 {
        let open = self.orders.iter().filter(|it| it.status.is_open());
        let is_of = |it: &&Entry| process.is_none_or(|process| it.process == process);
        open.filter(is_of).count() as u64
    }

    /// Whether every order from before the restart is back.
    pub fn is_recovered(&self) -> bool {
        self.orders.iter().all(|it| it.place != Place::Absent)
    }

    pub fn at(&self, seq: Seq) -> usize {
        let at = self.orders.iter().position(|it| it.seq == seq);
        at.unwrap_or_else(|| panic!("an event of order {}, which there is not", seq.0))
    }

    /// The state of an order as it would be written.
    pub fn state(&self, entry: &Entry) -> OrderState {
        OrderState {
            status: entry.status,
            version: entry.version,
            step: self.processes[entry.process].steps[entry.step].name.clone(),
            attempt: entry.attempt,
            started_at: entry.started_at,
            updated_at: entry.updated_at,
            reason: entry.reason.clone(),
            position: entry.position,
        }
    }

    /// The counters of each process, counted from end to end.
    pub fn tallies_of(&self, orders: &[Entry]) -> Vec<ProcessTally> {
        let count = |(at, process): (usize, &Process)| {
            let mut counters = ProcessTally::new(process.name.clone());
            for entry in orders.iter().filter(|it| it.process == at) {
                let tally = &mut counters.tally;
                tally.count(entry.status.kind(), entry.priority, 1);
                if let (Status::Completed { ended_at }, Some(started_at)) =
                    (entry.status, entry.started_at)
                {
                    counters.work_us += ended_at.0 - started_at.0;
                    counters.turnaround_s += (ended_at.0 - entry.created_at.0) / 1_000_000;
                }
            }
            counters
        };
        self.processes.iter().enumerate().map(count).collect()
    }

    /// The step that an order is at.
    pub fn work(&self, at: usize) -> (Simulate, RetryPolicy, bool) {
        let entry = &self.orders[at];
        let steps = &self.processes[entry.process].steps;
        let step = self.task(entry);
        let work = match &step.kind {
            StepKind::Simulate(work) => *work,
            // They take no time and never fail.
            _ => Simulate::default(),
        };
        (work, step.retry, entry.step + 1 == steps.len())
    }

    pub fn submit(&mut self, mut entry: Entry, start_at: Option<Timestamp>, now: Timestamp) {
        self.last_seq = self.last_seq.next();
        entry.seq = self.last_seq;
        entry.position = self.position.next();
        entry.status = match start_at {
            Some(start_at) if start_at > self.now.wall => Status::Scheduled { start_at },
            _ => Status::Pending { ready_at: now },
        };
        self.events.push(Event {
            seq: entry.seq,
            version: 1,
            kind: EventKind::Accepted,
            status: entry.status.kind(),
            at: now,
            previous: Position(0),
            step: None,
            attempt: 0,
            lease: 0,
            reason: None,
            by: None,
            detail: None,
        });
        self.orders.push(entry);
    }

    /// What the shard is told about an order after a restart.
    pub fn open_order(&self, entry: &Entry) -> OpenOrder {
        let process = &self.processes[entry.process];
        OpenOrder {
            seq: entry.seq,
            process: process.name.clone(),
            process_version: process.version,
            priority: entry.priority,
            total_minor: entry.total_minor,
            item_count: entry.item_count,
            expires_at: entry.expires_at,
            created_at: entry.created_at,
            hold: entry.hold.clone().map(Box::new),
            marks: entry.marks(),
            state: self.state(entry),
        }
    }

    /// Sends an order to where it waits.
    fn route(&mut self, at: usize, now: Timestamp) {
        let ticks = self.ticks();
        let entry = &mut self.orders[at];
        entry.place = match entry.status {
            Status::Scheduled { start_at } => Place::Date(start_at),
            Status::Waiting { until } => Place::Date(until),
            Status::Pending { ready_at } if ready_at > now => {
                let due = ticks.plus(ready_at.micros_since(now));
                Place::Time(due, due)
            }
            Status::Pending { .. } if entry.hold.is_some() => Place::Held,
            Status::Pending { ready_at } => Place::Turn(ready_at),
            Status::Compensating { .. } if entry.undo_due > now => {
                let due = ticks.plus(entry.undo_due.micros_since(now));
                Place::Time(due, due)
            }
            Status::Compensating { .. } => Place::Turn(entry.undo_due),
            // A lease from before the restart.
            Status::Processing { .. } => Place::Turn(entry.updated_at),
            _ => Place::Nothing,
        };
    }

    pub fn recover(&mut self, seq: Seq, now: Timestamp) {
        let at = self.at(seq);
        let entry = &mut self.orders[at];
        (entry.undo_due, entry.undo_lease) = (entry.updated_at, 0);
        if self.orders[at].hold.is_some() {
            self.lose_lease(at, self.orders[at].updated_at, now);
        }
        self.route(at, now);
    }

    pub fn committed(&mut self, collided: &[Seq], now: Timestamp) {
        let newest = self.orders.iter().map(|it| it.seq).max();
        self.durable_seq = self.durable_seq.max(newest.unwrap_or_default());
        self.orders.retain(|it| !collided.contains(&it.seq));
        self.events.clear();
        self.outputs.clear();
        self.position = self.position.next();
        for at in 0..self.orders.len() {
            self.orders[at].is_stored = true;
            if self.orders[at].place == Place::Commit {
                self.route(at, now);
            }
        }
        self.durable = self.orders.clone();
    }

    pub fn retract(&mut self) {
        let stored = |seq| self.durable.iter().any(|it| it.seq == seq);
        self.events.retain(|event| stored(event.seq));
        self.orders.retain(|it| stored(it.seq));
    }

    /// Everything that was not committed is gone.
    pub fn restart(&mut self) {
        self.orders = self.durable.clone();
        self.orders
            .iter_mut()
            .filter(|it| it.status.is_open())
            .for_each(|it| (it.place, it.late) = (Place::Absent, (0, 0)));
        self.events.clear();
        self.outputs.clear();
        self.epoch += 1;
        self.last_seq = self.durable_seq;
        self.last_lease = 0;
    }

    /// The order that runs next, or is leased next from a queue: the smallest rank among those that
    /// may run, or nobody.
    pub fn next_to_start(&self, queue: Option<&str>) -> Option<Seq> {
        let running = |process: usize, place: Option<(usize, bool)>| {
            let leased = self.orders.iter().filter(|it| {
                let runs = matches!(it.place, Place::Time(..) | Place::Commit);
                let is_leased = matches!(it.status, Status::Processing { .. });
                let is_running = (runs && is_leased) || (it.is_present() && it.undo_lease > 0);
                let is_there = |there| (it.step, it.is_undoing()) == there;
                let is_of = it.process == process && place.is_none_or(is_there);
                is_running && !it.is_away && is_of
            });
            leased.count() as u64
        };
        let may_run = |it: &&Entry| {
            let place = (it.step, it.is_undoing());
            let limits = (
                self.processes[it.process].concurrency,
                self.task(it).concurrency,
            );
            running(it.process, None) < limits.0.into()
                && running(it.process, Some(place)) < limits.1.into()
        };
        let rank = |it: &Entry| {
            let Place::Turn(since) = it.place else {
                return None;
            };
            let allowance = match it.priority {
                Priority::High => 0,
                Priority::Medium => self.allowances.medium_us,
                Priority::Low => self.allowances.low_us,
            };
            let head_start = i64::from(it.is_begun()) * self.allowances.begun_head_start_us;
            Some((since.0 + allowance - head_start, it.seq))
        };
        let own = self.orders.iter().filter(|it| self.queue(it) == queue);
        let waiting = own.filter(may_run);
        waiting.filter_map(rank).min().map(|(_, seq)| seq)
    }

    /// What there is to do in each queue.
    pub fn queues(&self) -> Vec<QueueLoad> {
        let load = |queue: &Arc<str>| {
            let own = || {
                self.orders
                    .iter()
                    .filter(|it| self.queue(it) == Some(queue))
            };
            let since = |it: &Entry| match it.place {
                Place::Turn(since) => Some(since),
                _ => None,
            };
            let is_leased = |it: &&Entry| {
                let runs = matches!(it.place, Place::Time(..) | Place::Commit);
                let is_leased = matches!(it.status, Status::Processing { .. });
                runs && !it.is_away && (is_leased || it.undo_lease > 0)
            };
            QueueLoad {
                queue: Arc::clone(queue),
                waiting: own().filter_map(since).count(),
                leased: own().filter(is_leased).count() as u32,
                oldest: own().filter_map(since).min(),
            }
        };
        let queues = Queues::of(&self.processes);
        queues.names().iter().map(load).collect()
    }

    pub fn oldest_ready(&self) -> Option<Timestamp> {
        let waiting = self.orders.iter().filter_map(|it| match it.place {
            Place::Turn(since) => Some(since),
            _ => None,
        });
        waiting.min()
    }

    /// Follows the shard through `advance`: `events` are those it made, `changed` the states it
    /// will write.
    pub fn advance(
        &mut self,
        now: Timestamp,
        events: &[Event],
        changed: &[Changed],
    ) -> Result<(), Difference> {
        let timed = events.iter().position(is_start).unwrap_or(events.len());
        let (mut timed, mut started) = events.split_at(timed);
        let mut floor = Timestamp(i64::MIN);
        while let Some(event) = timed.first() {
            let before = self.events.len();
            floor = self.timed(event, floor, changed)?;
            timed = &timed[self.expect_all(before, timed)?..];
        }
        self.nobody_is_late()?;
        while let Some(seq) = self.next_to_start(None) {
            let used = self.start(seq, now, started, changed)?;
            started = &started[used..];
        }
        match started.first() {
            None => Ok(()),
            Some(event) => Err(format!("nothing more should have happened: {event:?}")),
        }
    }

    /// The next order starts, and with luck ends at once. Answers how many events that took.
    pub fn start(
        &mut self,
        seq: Seq,
        now: Timestamp,
        events: &[Event],
        changed: &[Changed],
    ) -> Result<usize, Difference> {
        let nothing = || format!("order {} should have started at {now:?}", seq.0);
        let mut used = 0;
        let at = self.at(seq);
        if matches!(self.orders[at].status, Status::Processing { .. }) {
            let Place::Turn(since) = self.orders[at].place else {
                return Err(nothing());
            };
            self.lose_lease(at, since, now);
            self.expect(events.get(used).ok_or_else(nothing)?)?;
            used += 1;
        }
        self.last_lease += 1;
        self.orders[at].is_away = false;
        if self.orders[at].is_undoing() {
            self.undo_started(at, now);
        } else {
            self.orders[at].attempt += 1;
            self.orders[at].started_at.get_or_insert(now);
            let lease = self.last_lease;
            self.apply(at, EventKind::Started, Status::Processing { lease }, now);
        }
        self.expect(events.get(used).ok_or_else(nothing)?)?;
        used += 1;
        if let Some(due) = self.lease_end(at) {
            self.orders[at].place = Place::Time(due, due);
            return Ok(used);
        }
        if let Some(wait) = self.wait(at) {
            self.parked(at, wait, events.get(used).ok_or_else(nothing)?)?;
            return Ok(used + 1);
        }
        let (work, _, _) = self.work(at);
        let ended = events.get(used);
        let ended = ended.filter(|event| event.seq == seq && !is_start(event));
        let times = match work.is_per_priority {
            true => i64::from(self.orders[at].priority.number()),
            false => 1,
        };
        let after = |micros: i64| self.ticks().plus(micros * times);
        let place = Place::Time(after(work.shortest_us), after(work.longest_us));
        self.orders[at].place = place;
        match ended {
            Some(event) if work.shortest_us == 0 => {
                let before = self.events.len();
                self.finish(at, event, changed)?;
                Ok(used + self.expect_all(before, &events[used..])?)
            }
            Some(event) => Err(format!("{event:?} of work that takes longer")),
            None if work.longest_us == 0 => Err(format!("order {} takes no time", seq.0)),
            None => Ok(used),
        }
    }

    /// Moves an order, and notes the event.
    pub fn apply(&mut self, at: usize, kind: EventKind, status: Status, now: Timestamp) {
        let position = self.position.next();
        let entry = &mut self.orders[at];
        let lease = match (entry.status, status) {
            (Status::Processing { lease }, _) | (_, Status::Processing { lease }) => lease,
            (Status::Compensating { .. }, _) => entry.undo_lease,
            _ => 0,
        };
        let step = &self.processes[entry.process].steps[entry.step];
        let is_of_attempt = lease > 0 || matches!(entry.status, Status::Waiting { .. });
        entry.version += 1;
        self.events.push(Event {
            seq: entry.seq,
            version: entry.version,
            kind,
            status: status.kind(),
            at: now,
            previous: entry.position,
            step: is_of_attempt.then(|| step.name.clone()),
            attempt: if is_of_attempt { entry.attempt } else { 0 },
            lease,
            reason: None,
            by: None,
            detail: None,
        });
        entry.status = status;
        entry.updated_at = now;
        entry.reason = None;
        entry.position = position;
        if !status.is_open() {
            entry.hold = None;
        }
    }

    /// What happened in the model since `before` happened in the shard. Answers how much that is.
    fn expect_all(&self, before: usize, events: &[Event]) -> Result<usize, Difference> {
        let expected = &self.events[before..];
        match events.get(..expected.len()) {
            Some(got) if got == expected => Ok(expected.len()),
            _ => Err(format!("expected {expected:?}\n     got {events:?}")),
        }
    }

    pub fn expect(&self, event: &Event) -> Result<(), Difference> {
        match self.events.last() {
            Some(expected) if expected == event => Ok(()),
            expected => Err(format!("expected {expected:?}\n     got {event:?}")),
        }
    }
}

/// Whether an attempt begins with this event, or one from before a restart is given up for it.
fn is_start(event: &Event) -> bool {
    use EventKind as E;
    matches!(event.kind, E::Started | E::UndoStarted | E::Requeued)
}

/// Whether nothing is left to do for an order, without a person.
pub fn is_at_rest(entry: &Entry) -> bool {
    !entry.status.is_open() || entry.status.kind() == StatusKind::Dead
}
