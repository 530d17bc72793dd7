//! Events as readers of the journal see them, made from its rows. Pure, and the same for every
//! backend; how rows and ids are read is the backend's matter.

use std::collections::VecDeque;
use std::sync::Arc;

use super::journal;
use super::{EventPlace, EventView, JournalRow, StoreError};
use crate::order::{Event, Order, OrderId, Position, Seq};

/// A page of one order's history while it is read: a list that goes backwards through the journal,
/// of which only the oldest events behind a place are wanted. No more of them are kept than that.
pub(super) struct History {
    seq: Seq,
    subject: Subject,
    after: EventPlace,
    limit: usize,
    /// The row that is read next.
    position: Position,
    /// Oldest first.
    page: VecDeque<EventView>,
}

impl History {
    /// At most `limit` events behind a place, of this order.
    pub(super) fn of(order: &Order, after: EventPlace, limit: usize) -> Self {
        Self {
            seq: order.seq,
            subject: Subject::of(order),
            after,
            limit,
            position: order.state.position,
            page: VecDeque::new(),
        }
    }

    /// Which row of the journal is read next. `None`: the page is there.
    pub(super) fn next(&self) -> Option<Position> {
        let is_wanted = self.position >= self.after.position;
        (is_wanted && self.position != Position::default()).then_some(self.position)
    }

    /// Takes the order's events of the row that was asked for, if it is there. `before` is the hash
    /// of the row before.
    pub(super) fn take(
        &mut self,
        row: Option<&JournalRow>,
        before: &[u8; 32],
    ) -> Result<(), StoreError> {
        let position = self.position;
        let row = row.filter(|row| row.position == position);
        let row = row.ok_or_else(|| bad_position(&self.seq, position))?;
        let mut events = decode(row)?;
        check_hash(before, row)?;
        events.retain(|(_, event)| event.seq == self.seq);
        let first = events.first().map(|(_, event)| event.previous);
        // It leads back, so it comes to an end.
        let earlier = first.filter(|earlier| *earlier < position);
        self.position = earlier.ok_or_else(|| bad_position(&self.seq, position))?;
        for (index, event) in events.into_iter().rev() {
            let view = view(row, index, event, &self.subject);
            if view.place > self.after {
                self.page.push_front(view);
            }
        }
        self.page.truncate(self.limit);
        Ok(())
    }

    /// The page, oldest first.
    pub(super) fn page(self) -> Vec<EventView> {
        self.page.into()
    }
}

/// An order names a journal row in which there is nothing of it.
fn bad_position(seq: &Seq, position: Position) -> StoreError {
    let detail = format!("journal row {} has no event of this order", position.0);
    StoreError::BadRow {
        table: "orders",
        column: "position",
        key: seq.0.to_string(),
        detail,
    }
}

/// A journal row names an order that is not there.
pub(super) fn no_order(row: &JournalRow, seq: Seq) -> StoreError {
    let (key, detail) = (
        row.position.0.to_string(),
        format!("there is no order {}", seq.0),
    );
    StoreError::BadRow {
        table: "journal",
        column: "entries",
        key,
        detail,
    }
}

/// A journal row is what it was when it was written, if `before` is the hash of the row before.
pub(super) fn check_hash(before: &[u8; 32], row: &JournalRow) -> Result<(), StoreError> {
    let hash = journal::hash(before, row.position, row.epoch, row.at, &row.entries);
    if hash == row.hash {
        return Ok(());
    }
    Err(StoreError::BadRow {
        table: "journal",
        column: "hash",
        key: row.position.0.to_string(),
        detail: "it does not follow from the row before and its own contents".into(),
    })
}

/// The events of a row, with their places in it.
pub(super) fn decode(row: &JournalRow) -> Result<Vec<(u32, Event)>, StoreError> {
    let events = journal::decode(row).map_err(|error| {
        let (key, detail) = (error.position.to_string(), error.detail);
        StoreError::BadRow {
            table: "journal",
            column: "entries",
            key,
            detail,
        }
    })?;
    Ok((0..).zip(events).collect())
}

/// What the journal does not say about the order that an event is about.
pub(super) struct Subject {
    pub(super) id: OrderId,
    pub(super) customer_id: Arc<str>,
    pub(super) process: Arc<str>,
}

impl Subject {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            id: order.id.clone(),
            customer_id: Arc::from(&*order.customer_id),
            process: Arc::clone(&order.process),
        }
    }

    /// From the columns of an order; `None` if its id is none.
    pub(super) fn read(id: &str, customer_id: &str, process: &str) -> Option<Self> {
        let id = OrderId::parse(id).ok()?;
        let (customer_id, process) = (Arc::from(customer_id), Arc::from(process));
        Some(Self {
            id,
            customer_id,
            process,
        })
    }
}

/// One event of a row, with what its order is.
pub(super) fn view(row: &JournalRow, index: u32, event: Event, subject: &Subject) -> EventView {
    EventView {
        place: EventPlace {
            position: row.position,
            index,
        },
        order_id: subject.id.clone(),
        customer_id: Arc::clone(&subject.customer_id),
        process: Arc::clone(&subject.process),
        kind: event.kind,
        status: event.status,
        version: event.version,
        at: event.at,
        step: event.step,
        attempt: event.attempt,
        fence: (row.epoch, event.lease),
        reason: event.reason,
        by: event.by,
        detail: event.detail,
    }
}
