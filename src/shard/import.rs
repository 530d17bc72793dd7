//! Orders that another service has finished: they come in with their whole history in one commit,
//! and never into the book.
//!
//! The history is made of ordinary events with their own times in the past, so that whoever reads
//! or proves a journal needs to know nothing of imports.

use super::Shard;
use crate::clock::Timestamp;
use crate::order::{
    Event, EventKind, NewOrder, Order, Past, PastEnd, Position, Status, Transition,
};

impl Shard {
    /// Takes in an order with its past. It becomes true with the next commit.
    pub(super) fn import(&mut self, order: NewOrder, past: Past, now: Timestamp) {
        let process = order.process;
        self.last_seq = self.last_seq.next();
        self.commit.at = now;
        self.define(process);
        let mut order = self.accepted(order, self.last_seq, now);
        order.created_at = past.created_at;
        // The door lets no hold through here; a row that has ended must have none.
        order.hold = None;
        // A clock that was set back does not make it come before its end.
        order.imported_at = Some(now.max(past.ended_at));
        let ready_at = past.created_at;
        order.state.status = Status::Pending { ready_at };
        self.relate(&order, EventKind::Accepted, ready_at);
        if let Some(started_at) = past.started_at {
            self.begin(&mut order, started_at);
        }
        let at = past.ended_at;
        let end = match past.end {
            PastEnd::Completed => Transition::Complete { at },
            PastEnd::Cancelled => Transition::Cancel { at },
        };
        order.state.reason = past.reason;
        self.pass(&mut order, end, at);
        let name = self.processes.name_of(process);
        self.commit.tallies[usize::from(name.0)].count(&order, 1);
        self.commit.created.push(order);
    }

    /// Its work began: at the last step, which is the one that it ended at.
    fn begin(&mut self, order: &mut Order, started_at: Timestamp) {
        let process = self
            .processes
            .find_version(&order.process, order.process_version);
        if let Some(step) = process.and_then(|(_, process)| process.steps.last()) {
            order.state.step = step.name.clone();
        }
        order.state.attempt = 1;
        order.state.started_at = Some(started_at);
        self.last_lease += 1;
        let lease = self.last_lease;
        self.pass(order, Transition::Start { lease }, started_at);
    }

    /// One move of its history.
    fn pass(&mut self, order: &mut Order, transition: Transition, at: Timestamp) {
        let before = order.state.status;
        let Ok(after) = before.apply(transition) else {
            // A past is checked to begin, perhaps to start, and to end.
            debug_assert!(false, "{transition:?} of {order:?}");
            return;
        };
        order.state.status = after;
        order.state.version += 1;
        order.state.updated_at = at;
        self.relate(order, EventKind::from(transition), at);
        if let (Status::Processing { lease }, Some(event)) = (before, self.commit.events.last_mut())
        {
            event.step = Some(order.state.step.clone());
            (event.attempt, event.lease) = (order.state.attempt, lease);
        }
    }

    /// The event of where it is now.
    fn relate(&mut self, order: &Order, kind: EventKind, at: Timestamp) {
        let state = &order.state;
        let is_first = state.version == 1;
        let lease = match state.status {
            Status::Processing { lease } => lease,
            _ => 0,
        };
        self.commit.events.push(Event {
            seq: order.seq,
            version: state.version,
            kind,
            status: state.status.kind(),
            at,
            previous: if is_first {
                Position::default()
            } else {
                state.position
            },
            step: (lease > 0).then(|| state.step.clone()),
            attempt: if lease > 0 { state.attempt } else { 0 },
            lease,
            reason: state.reason.clone(),
            by: None,
            detail: None,
        });
    }
}
