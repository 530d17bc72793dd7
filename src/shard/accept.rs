//! How orders come into the shard: new ones, and those that were open before the start.
//!
//! What becomes of them is decided elsewhere.

use super::book::{IS_NEW, NEVER, Record};
use super::timers::TimerKind;
use super::undo::Undoing;
use super::{Overloaded, Shard};
use crate::clock::{Now, Timestamp};
use crate::faults::{self, Bug};
use crate::order::{
    Event, EventKind, Facts, Marks, NewOrder, OpenOrder, Order, OrderState, Position, ProcessIndex,
    Seq, Status, WantedId,
};

impl Shard {
    /// Accepts an order, unless there is no room. It becomes true with the next commit.
    ///
    /// One that ended elsewhere needs no room.
    pub fn submit(&mut self, mut order: NewOrder, now: Now) -> Result<(), Overloaded> {
        let now = self.set_now(now);
        if let Some(past) = order.past.take() {
            self.import(order, *past, now);
            return Ok(());
        }
        let process = order.process;
        if self.room() == 0 || self.room_of(process) == 0 {
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
        if faults::is_planted(Bug::WorkBeforeDurable) {
            self.route(slot, now);
        }
        if let Some(hold) = order.hold.clone() {
            order.state.version = self.hold_new(slot, hold, now);
        }
        self.commit.created.push(order);
        Ok(())
    }

    /// How many more orders may be open.
    pub fn room(&self) -> u64 {
        let open = self.book.len() as u64 + self.absent.iter().sum::<u64>();
        self.settings.open_orders_max.saturating_sub(open)
    }

    /// The same as far as a process, in all its versions, has a bound of its own.
    pub fn room_of(&self, process: ProcessIndex) -> u64 {
        let max = self.processes.at(process).open_orders_max;
        if max == 0 {
            return u64::MAX;
        }
        let versions = self.processes.versions(process);
        let loaded: u64 = versions.map(|it| self.book.len_of(it)).sum();
        max.saturating_sub(loaded + self.absent[usize::from(self.processes.name_of(process).0)])
    }

    /// How many orders have made room since the shard was opened: ended, or not stored after all.
    pub fn left(&self) -> u64 {
        self.book.left()
    }

    /// The same of a process in all its versions.
    pub fn left_of(&self, process: ProcessIndex) -> u64 {
        let versions = self.processes.versions(process);
        versions.map(|it| self.book.left_of(it)).sum()
    }

    pub(super) fn accepted(&mut self, order: NewOrder, seq: Seq, now: Timestamp) -> Box<Order> {
        let process = self.processes.at(order.process);
        let status = match order.start_at {
            Some(start_at) if start_at > self.now.wall => Status::Scheduled { start_at },
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
            imported_at: None,
            hold: order.hold.map(|hold| Box::new(hold.since(now))),
            marks: Marks::default(),
            state,
            outputs: Vec::new(),
        })
    }

    /// Takes back an open order from before the start. `false`: its process or step is not known,
    /// and it stays as it is.
    ///
    /// A lease from before the start is worthless; such an order waits for its turn again, and the
    /// journal says so when it gets it.
    pub fn recover(&mut self, order: &OpenOrder, now: Now) -> bool {
        let now = self.set_now(now);
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
            self.schedules.set(expires_at, *seq, TimerKind::Expiry);
        }
        if !order.marks.is_empty() && !faults::is_planted(Bug::SignalForgotten) {
            self.marks.insert(*seq, order.marks);
        }
        if matches!(state.status, Status::Compensating { .. }) {
            self.undoing.insert(*seq, Undoing::Due(state.updated_at));
            self.remember_why(*seq, state.reason.clone());
        }
        self.recover_hold(slot, order, now);
        self.route(slot, if is_leased { state.updated_at } else { now });
        true
    }

    pub(super) fn define(&mut self, process: ProcessIndex) {
        let is_defined = &mut self.is_defined[usize::from(process.0)];
        if !std::mem::replace(is_defined, true) {
            self.commit
                .definitions
                .push(self.processes.at(process).clone());
        }
    }
}
