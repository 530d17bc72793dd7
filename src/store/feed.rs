//! Events as readers of the journal see them, made from its rows. Pure, and the same for every
//! backend; how rows and ids are read is the backend's matter.

use std::sync::Arc;

use super::journal;
use super::{EventPlace, EventView, JournalRow, StoreError};
use crate::order::{Event, Order, OrderId, Position, Seq};

/// Most journal rows that one history goes through: more than attempts and steps can make.
pub(super) const HISTORY_ROWS_MAX: usize = 1_000_000;

/// An order names a journal row in which there is nothing of it.
pub(super) fn bad_position(seq: &Seq, position: Position) -> StoreError {
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
