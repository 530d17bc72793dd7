//! The promises, checked against what is on disk and what clients were told.
//!
//! Numbers in the messages: (1) acknowledged orders are there, (2) nothing else is, (3) one id, one
//! order, (4) one end, (5) legal histories, chained, (6) fences, (7) refused means not there,
//! (8) counters, (9) what was done is undone before an order ends that turned back.

use std::collections::BTreeMap;
use std::sync::Arc;

use orderd::clock::Timestamp;
use orderd::order::{
    Detail, Event, EventKind, Facts, NewOrder, Order, Outcome, Past, PastEnd, Position, Priority,
    ProcessTally, Processes, Seq, Status, StatusKind, Step, StepKind, StepOutput, Tally,
};
use orderd::store::journal;

use super::Happened;
use super::asks::{Asked, Made};
use super::client::{Attempt, Fate, attempt_of};
use super::stored::Stored;
use super::work;

/// A broken promise.
pub type Broken = String;

/// What became of an order's steps so far.
#[derive(Clone, Default)]
struct Passed {
    /// Those that are done, each with the priority that the order had then, and under which fence.
    done: Vec<(Arc<str>, Priority, (i64, i64))>,
    /// Those whose signal has come.
    signalled: Vec<Arc<str>>,
    /// Those of which an attempt was begun, each once.
    begun: Vec<Arc<str>>,
    /// Those that are undone.
    undone: Vec<Arc<str>>,
    /// It has turned back.
    is_undoing: bool,
}

impl Passed {
    fn follow(
        &mut self,
        event: &Event,
        priority: Priority,
        epoch: i64,
    ) -> Result<(), &'static str> {
        let (step, fence) = (event.step.clone(), (epoch, event.lease));
        match event.kind {
            EventKind::Started if self.is_undoing => return Err("began after it turned back"),
            EventKind::Started => {
                let step = step.filter(|step| !self.begun.contains(step));
                self.begun.extend(step);
            }
            EventKind::Compensating => self.is_undoing = true,
            EventKind::UndoStarted => {
                let step = step.unwrap_or_default();
                let Some(at) = self.begun.iter().position(|it| *it == step) else {
                    return Err("undoes what never began");
                };
                if self.undone.contains(&step) {
                    return Err("undoes what is undone");
                }
                let later = &self.begun[..at];
                if self.undone.iter().any(|it| later.contains(it)) {
                    return Err("undoes in the wrong order");
                }
            }
            EventKind::Undone => self.undone.extend(step),
            EventKind::StepCompleted | EventKind::Completed => {
                self.done.extend(step.map(|step| (step, priority, fence)));
            }
            EventKind::Signalled => self.signalled.extend(step),
            _ => {}
        }
        Ok(())
    }

    /// A step of an order that turned back was done, can be undone, and is not.
    fn is_left(&self, order: &Order, processes: &Processes) -> bool {
        let process = processes.find_version(&order.process, order.process_version);
        let mut steps = process.iter().flat_map(|(_, process)| &process.steps);
        let has_ended = !order.state.status.is_open();
        let is_done = |name: &Arc<str>| self.done.iter().any(|(it, ..)| it == name);
        let is_left = |step: &Step| {
            step.undo.is_some() && is_done(&step.name) && !self.undone.contains(&step.name)
        };
        let is_turned_back = matches!(
            order.state.status,
            Status::Cancelled { .. } | Status::Rejected { .. }
        );
        has_ended && is_turned_back && steps.any(is_left)
    }
}

/// An order's life so far, as the journal tells it.
struct Life {
    status: StatusKind,
    version: u32,
    position: Position,
    /// The fence of the attempt that runs.
    fence: (i64, i64),
    at: Timestamp,
    accepted_at: Timestamp,
    /// When a step was started first.
    started_at: Option<Timestamp>,
    steps: Passed,
    priority: Priority,
    is_held: bool,
}

impl Life {
    /// Counts the order, and how long it took if it is completed.
    fn count(&self, order: &Order, tallies: &mut Vec<ProcessTally>) {
        let tally = ProcessTally::among(tallies, &order.process);
        tally.tally.count(self.status, order.priority, 1);
        if let (StatusKind::Completed, Some(started_at)) = (self.status, self.started_at) {
            // The clock is set back now and then.
            tally.work_us += (self.at.0 - started_at.0).max(0);
            tally.turnaround_s += (self.at.0 - self.accepted_at.0).max(0) / 1_000_000;
        }
    }
}

impl Life {
    /// What the steps that are done must have said of the order.
    fn said(&self, order: &Order, processes: &Processes) -> Result<Vec<StepOutput>, Broken> {
        let process = processes.find_version(&order.process, order.process_version);
        let steps = process.map_or(&[][..], |(_, process)| &process.steps);
        let mut said = Vec::new();
        for (name, priority, fence) in &self.steps.done {
            let facts = Facts {
                total_minor: order.total.minor(),
                item_count: order.item_count,
                priority: *priority,
            };
            let step = steps.iter().find(|step| step.name == *name);
            let output = match step.map(|step| &step.kind) {
                Some(StepKind::Rules(rules)) => match rules.outcome(facts) {
                    Outcome::Complete { output } => output,
                    outcome => return Err(format!("(5) {name} said {outcome:?} of {order:?}")),
                },
                Some(StepKind::Pull(_)) => Some(work::output(*fence).into()),
                _ => None,
            };
            said.extend(output.map(|output| StepOutput {
                step: name.clone(),
                output,
            }));
        }
        Ok(said)
    }
}

/// Follows the journal.
#[derive(Default)]
pub struct Proof {
    rows: usize,
    hash: [u8; 32],
    at: Timestamp,
    epoch: i64,
    lease: i64,
    lives: BTreeMap<Seq, Life>,
    attempts: BTreeMap<usize, Seq>,
    keys: BTreeMap<Box<str>, Seq>,
    /// The changes that were made.
    pub made: Made,
}

impl Proof {
    /// Checks everything that is new on disk since the last time.
    pub fn follow(
        &mut self,
        data: &mut Stored,
        (sent, asked): (&[Attempt], &[Asked]),
        processes: &Processes,
    ) -> Result<(), Broken> {
        if self.rows == data.journal.len() {
            return Ok(());
        }
        if self.rows > data.journal.len() {
            let (before, now) = (self.rows, data.journal.len());
            return Err(format!(
                "(1) of {before} rows of the journal {now} are left"
            ));
        }
        let mut happened = Happened::new();
        while self.rows < data.journal.len() {
            for event in self.row(data)? {
                *happened.entry(event.kind.name()).or_default() += 1;
                self.event(&event, data, sent, processes)?;
                self.made.follow(&event, asked, data)?;
            }
        }
        if (data.position, data.hash) != (Position(self.rows as i64), self.hash) {
            return Err("(5) the head is not the last row".into());
        }
        for (what, times) in happened {
            data.count(what, times);
        }
        let labelled = self.rows_agree(data, processes)?;
        data.count("labelled", labelled);
        Ok(())
    }

    fn row(&mut self, data: &Stored) -> Result<Vec<Event>, Broken> {
        let row = &data.journal[self.rows];
        self.rows += 1;
        let expected = journal::hash(&self.hash, row.position, row.epoch, row.at, &row.entries);
        if row.position.0 != self.rows as i64 || row.hash != expected {
            return Err(format!("(5) row {} breaks the chain", row.position.0));
        }
        if row.at < self.at {
            return Err(format!("(5) the time falls in row {}", row.position.0));
        }
        self.at = row.at;
        if row.epoch < self.epoch {
            return Err(format!(
                "(6) the epoch falls in row {}: the fence",
                row.position.0
            ));
        }
        if row.epoch > self.epoch {
            self.lease = 0;
        }
        (self.hash, self.epoch) = (row.hash, row.epoch);
        journal::decode(row).map_err(|error| format!("(5) {error}"))
    }

    fn event(
        &mut self,
        event: &Event,
        data: &Stored,
        sent: &[Attempt],
        processes: &Processes,
    ) -> Result<(), Broken> {
        let position = Position(self.rows as i64);
        let before = self.lives.get(&event.seq);
        let status = before.map(|life| life.status);
        let tell =
            |number, what: &str| Err(format!("({number}) {what}: {event:?} at {position:?}"));
        if status.is_some_and(StatusKind::is_final) {
            return tell(4, "something after the end");
        }
        if !event.kind.allows(status, event.status) {
            return tell(5, "illegal");
        }
        let version = before.map_or(0, |life| life.version);
        let previous = before.map_or(Position(0), |life| life.position);
        if event.version != version + 1 || event.previous != previous {
            return tell(5, "does not follow the event before");
        }
        let mut fence = before.map_or((0, 0), |life| life.fence);
        let accepted_at = before.map_or(event.at, |life| life.accepted_at);
        let priority = priority_after(event, before, data);
        let mut steps = before.map_or_else(Passed::default, |life| life.steps.clone());
        let followed = steps.follow(event, priority, self.epoch);
        followed.map_err(|what| format!("(9) {what}: {event:?}"))?;
        let first = (event.kind == EventKind::Started).then_some(event.at);
        let started_at = before.and_then(|life| life.started_at).or(first);
        let is_held = hold_after(event, before.is_some_and(|life| life.is_held));
        let is_held = is_held.map_err(|what| format!("(5) {what}: {event:?}"))?;
        match event.kind {
            EventKind::Accepted => self.accepted(event.seq, data, sent, processes)?,
            EventKind::Started | EventKind::UndoStarted if event.lease <= self.lease => {
                return tell(6, "a fence fell");
            }
            EventKind::Started | EventKind::UndoStarted => {
                self.lease = event.lease;
                fence = (self.epoch, event.lease);
            }
            _ => {
                let own = (status, fence, self.epoch);
                let is_leased = || is_leased(event, data, processes);
                let fenced = is_under_its_fence(event, own, is_leased);
                fenced.or_else(|what| tell(6, what))?;
            }
        }
        let life = Life {
            is_held,
            status: event.status,
            version: event.version,
            position,
            fence,
            at: event.at,
            accepted_at,
            started_at,
            steps,
            priority,
        };
        self.lives.insert(event.seq, life);
        Ok(())
    }

    /// A new order is one that somebody sent, once, under a free id.
    fn accepted(
        &mut self,
        seq: Seq,
        data: &Stored,
        sent: &[Attempt],
        processes: &Processes,
    ) -> Result<(), Broken> {
        let Some(order) = data.orders.get(&seq) else {
            return Err(format!(
                "(1) order {} has a history and is not there",
                seq.0
            ));
        };
        let number = attempt_of(order).filter(|number| *number < sent.len());
        let Some(number) = number else {
            return Err(format!("(2) nobody sent {order:?}"));
        };
        if !is_as_sent(order, &sent[number].order, processes) {
            return Err(format!(
                "(1) {order:?} is not what was sent: {:?}",
                sent[number].order
            ));
        }
        if self.attempts.insert(number, seq).is_some() {
            return Err(format!("(3) attempt {number} became two orders"));
        }
        if let Some(key) = &sent[number].order.idempotency_key
            && self.keys.insert(key.clone(), seq).is_some()
        {
            return Err(format!("(3) two orders under {key}"));
        }
        let others = data.orders.values().filter(|other| other.id == order.id);
        if others.count() != 1 {
            return Err(format!("(3) two orders with the id {}", order.id));
        }
        Ok(())
    }

    /// Each row of an order says what its last event says, and the counters count them.
    /// Answers how many labels there are.
    fn rows_agree(&self, data: &Stored, processes: &Processes) -> Result<u64, Broken> {
        let mut happened = 0;
        if self.lives.len() != data.orders.len() {
            let (lives, orders) = (self.lives.len(), data.orders.len());
            return Err(format!("(2) {orders} orders, but {lives} histories"));
        }
        let mut tallies = Vec::new();
        for (order, life) in data.orders.values().zip(self.lives.values()) {
            let state = &order.state;
            let row = (
                state.status.kind(),
                state.version,
                state.position,
                state.updated_at,
            );
            if row != (life.status, life.version, life.position, life.at) {
                return Err(format!("(5) the row is not the last event: {order:?}"));
            }
            if order.priority != life.priority {
                return Err(format!("(5) its history knows another priority: {order:?}"));
            }
            if order.hold.is_some() != life.is_held {
                return Err(format!("(5) its history knows another hold: {order:?}"));
            }
            if (order.created_at, state.started_at) != (life.accepted_at, life.started_at) {
                return Err(format!("(5) the row has another start: {order:?}"));
            }
            if order.imported_at.is_none() && life.steps.is_left(order, processes) {
                return Err(format!("(9) ended with its steps not undone: {order:?}"));
            }
            life.count(order, &mut tallies);
            let said = match order.imported_at {
                // No step ran here.
                Some(_) => Vec::new(),
                None => life.said(order, processes)?,
            };
            happened += said.len() as u64;
            let is_told = |it: &&StepOutput| life.steps.signalled.contains(&it.step);
            let (told, ruled): (Vec<_>, Vec<_>) = order.outputs.iter().partition(is_told);
            if !ruled.into_iter().eq(&said) || told.len() != life.steps.signalled.len() {
                return Err(format!("(5) steps said {said:?}, stored is {order:?}"));
            }
        }
        for counted in &tallies {
            let kept = data.tallies.iter().find(|it| it.process == counted.process);
            if kept != Some(counted) {
                return Err(format!("(8) counted {counted:?}, kept {kept:?}"));
            }
        }
        let (all, kept) = (Tally::of_all(&tallies), Tally::of_all(&data.tallies));
        if all != kept {
            return Err(format!("(8) counted {all:?}, kept {kept:?}"));
        }
        Ok(happened)
    }

    /// What a client was told is true. To be asked at any time after.
    pub fn told(&self, number: usize, attempt: &Attempt, data: &Stored) -> Result<(), Broken> {
        let stored = self
            .attempts
            .get(&number)
            .and_then(|seq| data.orders.get(seq));
        match (&attempt.fate, stored) {
            (Fate::Accepted(told), None) => {
                Err(format!("(1) acknowledged and not there: {told:?}"))
            }
            (Fate::Accepted(told), Some(stored)) => {
                let is_same = told.id == stored.id
                    && told.seq == stored.seq
                    && told.payload == stored.payload
                    && told.total == stored.total
                    && told.created_at == stored.created_at
                    && told.state.version <= stored.state.version;
                let both = || format!("(1) acknowledged {told:?}, stored {stored:?}");
                is_same.then_some(()).ok_or_else(both)
            }
            (Fate::Refused(error), Some(stored)) => Err(format!(
                "(7) refused with {error:?}, but stored: {stored:?}"
            )),
            _ => Ok(()),
        }
    }
}

fn is_as_sent(order: &Order, sent: &NewOrder, processes: &Processes) -> bool {
    let process = processes.at(sent.process);
    sent.id.chosen().is_none_or(|id| *id == order.id)
        && order.customer_id == sent.customer_id
        && order.total == sent.total
        && order.priority == sent.priority
        && order.payload == sent.payload
        && (order.start_at, order.expires_at) == (sent.start_at, sent.expires_at)
        && is_held_as_sent(order, sent)
        && sent.past.as_ref().is_none_or(|past| has_past(order, past))
        && (&*order.process, order.process_version) == (&*process.name, process.version)
}

/// Whether what happened to an attempt happened under the fence that it has.
fn is_under_its_fence(
    event: &Event,
    (status, fence, epoch): (Option<StatusKind>, (i64, i64), i64),
    is_leased: impl Fn() -> bool,
) -> Result<(), &'static str> {
    use EventKind as E;
    match event.kind {
        // A worker may give back what it has under a fence that is still good.
        E::Requeued if event.lease != fence.1 || (epoch <= fence.0 && !is_leased()) => {
            Err("a fence was given up that is still good")
        }
        E::Requeued | E::Held | E::Released | E::PriorityChanged | E::Signalled | E::CameLate => {
            Ok(())
        }
        // A lease that was lost at the restart may still be written there.
        E::Cancelled | E::Compensating if event.lease == fence.1 => Ok(()),
        E::UndoRetried | E::Undone if fence != (epoch, event.lease) => {
            Err("undone under another fence")
        }
        _ if status == Some(StatusKind::Processing) && fence != (epoch, event.lease) => {
            Err("not under the current fence")
        }
        _ => Ok(()),
    }
}

/// Whether workers lease the step of an event.
fn is_leased(event: &Event, data: &Stored, processes: &Processes) -> bool {
    let order = data.orders.get(&event.seq);
    let process = order.and_then(|it| processes.find_version(&it.process, it.process_version));
    let mut steps = process.iter().flat_map(|(_, process)| &process.steps);
    let step = steps.find(|step| event.step.as_deref() == Some(&*step.name));
    step.is_some_and(|step| matches!(step.kind, StepKind::Pull(_)))
}

/// The priority after the event; at first that which it came with.
fn priority_after(event: &Event, before: Option<&Life>, data: &Stored) -> Priority {
    match (event.detail, before) {
        (Some(Detail::Priority(priority)), _) => priority,
        (_, Some(life)) => life.priority,
        (_, None) => data
            .orders
            .get(&event.seq)
            .map_or(Priority::Medium, |order| order.priority),
    }
}

/// Whether the order is held back after the event; fails if its hold does not allow it.
fn hold_after(event: &Event, was_held: bool) -> Result<bool, &'static str> {
    match event.kind {
        EventKind::Held => Ok(true),
        EventKind::Released if !was_held => Err("released without a hold"),
        EventKind::Released => Ok(false),
        EventKind::Started if was_held => Err("started while it is held"),
        _ => Ok(was_held && !event.status.is_final()),
    }
}

/// A hold may be over by now, or another one.
fn is_held_as_sent(order: &Order, sent: &NewOrder) -> bool {
    let Some(hold) = &sent.hold else {
        return order.hold.is_none() || order.state.version > 1;
    };
    let held = order.hold.as_ref().filter(|_| order.state.version == 2);
    order.state.version > 2 || held.is_some_and(|held| **held == (**hold).clone().since(held.since))
}

/// It ended elsewhere, and nothing happened to it since.
fn has_past(order: &Order, past: &Past) -> bool {
    let ended_at = past.ended_at;
    let status = match past.end {
        PastEnd::Completed => Status::Completed { ended_at },
        PastEnd::Cancelled => Status::Cancelled { ended_at },
    };
    let times = (order.created_at, order.state.started_at);
    order.state.status == status
        && times == (past.created_at, past.started_at)
        && order.imported_at.is_some_and(|at| at >= ended_at)
}
