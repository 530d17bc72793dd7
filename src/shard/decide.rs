//! What a shard decides: accept, recover, start, finish, retry, give up, expire.
//!
//! Every function here reads the record, chooses a move and makes it. No order is moved anywhere
//! else.

use super::book::{IS_NEW, NEVER, Record, Slot};
use super::ready::{Class, Place};
use super::timers::TimerKind;
use super::transition::Move;
use super::{CHANGES_MAX, Overloaded, Shard};
use crate::clock::Timestamp;
use crate::order::OpenOrder;
use crate::order::{
    Event, EventKind, Facts, NewOrder, Order, OrderState, Outcome, Output, Position, ProcessIndex,
    Seq, Status, StepOutput, Transition, WantedId,
};

impl Shard {
    /// Accepts an order, unless there is no room. It becomes true with the next commit.
    pub fn submit(&mut self, order: NewOrder, now: Timestamp) -> Result<(), Overloaded> {
        let process = order.process;
        if !self.has_room(process) {
            return Err(Overloaded);
        }
        self.last_seq = self.last_seq.next();
        self.commit.at = now;
        let mut order = self.accepted(order, self.last_seq, now);
        let state = &order.state;
        self.define(process);
        self.remember(process, order.seq, || Facts {
            total_minor: order.total.minor(),
            item_count: order.item_count,
            priority: order.priority,
        });
        let slot = self.book.insert(Record {
            seq: order.seq,
            status: state.status.into(),
            position: state.position,
            due: Timestamp::default(),
            created_at: now,
            started_at: NEVER,
            version: state.version,
            change: IS_NEW,
            process,
            step: 0,
            attempt: 0,
            priority: order.priority,
            is_queued: false,
        });
        let name = self.processes.name_of(process);
        self.commit.tallies[usize::from(name.0)].count(&order, 1);
        self.commit.events.push(Event {
            seq: order.seq,
            version: state.version,
            kind: EventKind::Accepted,
            status: state.status.kind(),
            at: now,
            previous: Position::default(),
            step: None,
            attempt: 0,
            lease: 0,
            reason: None,
            by: None,
            detail: None,
        });
        self.fresh.push((slot, order.seq));
        if let Some(hold) = order.hold.clone() {
            order.state.version = self.hold_new(slot, hold, now);
        }
        self.commit.created.push(order);
        Ok(())
    }

    fn has_room(&self, process: ProcessIndex) -> bool {
        let all = self.book.len() as u64 + self.absent.iter().sum::<u64>();
        let max = self.processes.at(process).open_orders_max;
        if all >= self.settings.open_orders_max || max == 0 {
            return all < self.settings.open_orders_max;
        }
        let versions = self.processes.versions(process);
        let loaded: u64 = versions.map(|it| self.book.len_of(it)).sum();
        loaded + self.absent[usize::from(self.processes.name_of(process).0)] < max
    }

    fn accepted(&mut self, order: NewOrder, seq: Seq, now: Timestamp) -> Box<Order> {
        let process = self.processes.at(order.process);
        let status = match order.start_at {
            Some(start_at) if start_at > now => Status::Scheduled { start_at },
            _ => Status::Pending { ready_at: now },
        };
        let state = OrderState {
            status,
            version: 1,
            step: process.steps[0].name.clone(),
            attempt: 0,
            started_at: None,
            updated_at: now,
            reason: None,
            position: self.commit.position,
        };
        Box::new(Order {
            seq,
            id: match order.id {
                WantedId::Chosen(id) => id,
                WantedId::Made(spelling) => self.ids.next(now, &mut self.random, spelling),
            },
            customer_id: order.customer_id,
            process: process.name.clone(),
            process_version: process.version,
            priority: order.priority,
            total: order.total,
            item_count: order.item_count,
            payload: order.payload,
            start_at: order.start_at,
            expires_at: order.expires_at,
            created_at: now,
            hold: order.hold.map(|hold| Box::new(hold.since(now))),
            state,
            outputs: Vec::new(),
        })
    }

    /// Takes back an open order from before the start. `false`: its process or step is not known,
    /// and it stays as it is.
    ///
    /// A lease from before the start is worthless; such an order waits for its turn again, and the
    /// journal says so when it gets it.
    pub fn recover(&mut self, order: &OpenOrder, now: Timestamp) -> bool {
        let OpenOrder {
            seq,
            priority,
            state,
            ..
        } = order;
        let known = self
            .processes
            .find_version(&order.process, order.process_version);
        let step = known.and_then(|(_, process)| process.step_index(&state.step));
        let (Some((process, _)), Some(step)) = (known, step) else {
            return false;
        };
        let absent = &mut self.absent[usize::from(self.processes.name_of(process).0)];
        *absent = absent.saturating_sub(1);
        let is_leased = matches!(state.status, Status::Processing { .. });
        self.remember(process, *seq, || Facts {
            total_minor: order.total_minor,
            item_count: order.item_count,
            priority: order.priority,
        });
        let slot = self.book.insert(Record {
            seq: *seq,
            status: state.status.into(),
            position: state.position,
            due: Timestamp::default(),
            created_at: order.created_at,
            started_at: state.started_at.unwrap_or(NEVER),
            version: state.version,
            change: IS_NEW,
            process,
            step,
            attempt: state.attempt,
            priority: *priority,
            is_queued: false,
        });
        if let (Status::Scheduled { .. } | Status::Pending { .. }, Some(expires_at)) =
            (state.status, order.expires_at)
        {
            self.timers.set(expires_at, *seq, TimerKind::Expiry);
        }
        self.recover_hold(slot, order, now);
        self.route(slot, if is_leased { state.updated_at } else { now });
        true
    }

    /// Lets everything happen that is due: timers first, then waiting orders in the order of their
    /// rank, up to [`CHANGES_MAX`] changes.
    pub fn advance(&mut self, now: Timestamp) {
        self.commit.at = now;
        while self.commit.changed.len() < CHANGES_MAX {
            let Some((due, seq, kind)) = self.timers.pop_due(now) else {
                break;
            };
            self.fire(due, seq, kind, now);
        }
        while self.commit.changed.len() < CHANGES_MAX {
            let Some((place, ready_at, seq)) = self.ready.lease() else {
                break;
            };
            self.start(place, ready_at, seq, now);
        }
    }

    fn fire(&mut self, due: Timestamp, seq: Seq, kind: TimerKind, now: Timestamp) {
        let Some(slot) = self.book.find(seq) else {
            return;
        };
        let record = *self.book.at(slot);
        match (kind, record.status.get()) {
            (TimerKind::Expiry, Status::Scheduled { .. } | Status::Pending { .. })
                if !is_begun(&record) =>
            {
                self.make(slot, Move::to(Transition::Expire { at: now }), now);
            }
            (TimerKind::Move, _) if record.due != due => {}
            (TimerKind::Move, Status::Scheduled { .. }) => {
                self.make(slot, Move::to(Transition::Ready { ready_at: now }), now);
                self.fresh.push((slot, seq));
            }
            // What was just decided about it has to be durable first.
            (TimerKind::Move, Status::Pending { .. }) if self.is_in_commit(slot) => {
                self.fresh.push((slot, seq));
            }
            (TimerKind::Move, Status::Pending { ready_at }) => self.enqueue(slot, ready_at),
            (TimerKind::Move, Status::Processing { .. }) => self.end_work(slot, now),
            (TimerKind::Release, _) => self.hold_is_over(slot, due, now),
            _ => {}
        }
    }

    /// Starts an attempt of an order that was leased.
    fn start(&mut self, place: Place, ready_at: Timestamp, seq: Seq, now: Timestamp) {
        let slot = self
            .book
            .find(seq)
            .filter(|slot| is_startable(self.book.at(*slot), ready_at));
        let Some(slot) = slot else {
            return self.ready.release(place);
        };
        self.book.at_mut(slot).is_queued = false;
        self.requeue_lost(slot, ready_at, now);
        self.last_lease += 1;
        let record = *self.book.at(slot);
        let next = Some((record.step, record.attempt.saturating_add(1)));
        let transition = Transition::Start {
            lease: self.last_lease,
        };
        self.make(
            slot,
            Move {
                next,
                ..Move::to(transition)
            },
            now,
        );
        self.measured
            .queue_waits_us
            .push(now.micros_since(ready_at));
        self.work(slot, now);
    }

    /// Writes down that a lease from before the start is lost, if the order has one.
    pub(super) fn requeue_lost(&mut self, slot: Slot, ready_at: Timestamp, now: Timestamp) {
        let record = *self.book.at(slot);
        if !matches!(record.status.get(), Status::Processing { .. }) {
            return;
        }
        // The attempt that lost its lease does not count.
        let next = Some((record.step, record.attempt.saturating_sub(1)));
        let requeue = Move::to(Transition::Requeue { ready_at });
        self.make(slot, Move { next, ..requeue }, now);
        self.book.at_mut(slot).due = Timestamp::default();
    }

    /// Takes the outcome of the attempt that is running.
    pub(super) fn finish(&mut self, slot: Slot, outcome: Outcome, now: Timestamp) {
        let record = *self.book.at(slot);
        self.ready.release(place(&record));
        let process = self.processes.at(record.process);
        let step = &process.steps[usize::from(record.step)];
        let is_last = usize::from(record.step) + 1 == process.steps.len();
        if let Outcome::Complete {
            output: Some(output),
        } = &outcome
        {
            self.commit.outputs.push(Output {
                seq: record.seq,
                number: record.step,
                output: StepOutput {
                    step: step.name.clone(),
                    output: output.clone(),
                },
            });
        }
        let it = match outcome {
            Outcome::Complete { .. } if is_last => {
                let worked_us = now.micros_since(record.started_at);
                self.measured.processing_times_us.push(worked_us);
                Move::to(Transition::Complete { at: now })
            }
            Outcome::Complete { .. } => {
                let next = Some((record.step + 1, 0));
                Move {
                    next,
                    ..Move::to(Transition::Advance { ready_at: now })
                }
            }
            Outcome::Retry { reason } if !step.retry.is_exhausted(record.attempt) => {
                let ready_at = now.plus(step.retry.wait_us(record.attempt, &mut self.random));
                let reason = Some(reason);
                Move {
                    reason,
                    ..Move::to(Transition::Retry { ready_at })
                }
            }
            Outcome::Retry { reason } | Outcome::Fail { reason } => Move {
                reason: Some(reason),
                ..Move::to(Transition::GiveUp { at: now })
            },
            Outcome::Reject { reason } => Move {
                reason: Some(reason),
                ..Move::to(Transition::Reject { at: now })
            },
        };
        let goes_on = matches!(
            it.transition,
            Transition::Advance { .. } | Transition::Retry { .. }
        );
        self.make(slot, it, now);
        if goes_on {
            self.fresh.push((slot, record.seq));
        }
    }

    /// Sends an order to where its status waits: the queue, a timer, or nowhere.
    pub(super) fn route(&mut self, slot: Slot, now: Timestamp) {
        let record = *self.book.at(slot);
        let seq = record.seq;
        let later = match record.status.get() {
            Status::Scheduled { start_at } => start_at,
            Status::Pending { ready_at } if ready_at > now => ready_at,
            Status::Pending { ready_at } => return self.enqueue(slot, ready_at),
            // A lease from before the start.
            Status::Processing { .. } => {
                self.book.at_mut(slot).due = now;
                return self.enqueue(slot, now);
            }
            _ => return,
        };
        if record.due != later {
            self.book.at_mut(slot).due = later;
            self.timers.set(later, seq, TimerKind::Move);
        }
    }

    /// Lets an order wait for its turn, unless it does already or is held back.
    fn enqueue(&mut self, slot: Slot, ready_at: Timestamp) {
        let record = *self.book.at(slot);
        if record.is_queued || self.holds.contains_key(&record.seq) {
            return;
        }
        self.book.at_mut(slot).is_queued = true;
        let (place, class) = (place(&record), class(&record));
        self.ready.enqueue(place, class, ready_at, record.seq);
    }

    fn define(&mut self, process: ProcessIndex) {
        let is_defined = &mut self.is_defined[usize::from(process.0)];
        if !std::mem::replace(is_defined, true) {
            self.commit
                .definitions
                .push(self.processes.at(process).clone());
        }
    }
}

/// Whether an entry of the queue still means this record.
pub(super) fn is_startable(record: &Record, queued_at: Timestamp) -> bool {
    match record.status.get() {
        Status::Pending { ready_at } => record.is_queued && ready_at == queued_at,
        // Only a lease from before the start is ever in the queue.
        Status::Processing { .. } => record.is_queued,
        _ => false,
    }
}

fn is_begun(record: &Record) -> bool {
    record.started_at != NEVER
}

pub(super) fn place(record: &Record) -> Place {
    Place {
        process: record.process,
        step: record.step,
    }
}

pub(super) fn class(record: &Record) -> Class {
    Class {
        priority: record.priority,
        is_begun: is_begun(record),
    }
}
