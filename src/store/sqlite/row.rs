//! Between rows and domain types. A row that breaks an invariant is a named error, never a default.
//!
//! The column lists here and in `read` go together; nothing else knows the columns.

use std::sync::Arc;

use rusqlite::types::FromSql;
use rusqlite::{ErrorCode, Row};

use crate::clock::Timestamp;
use crate::order::{
    Currency, Money, OpenOrder, Order, OrderId, OrderState, Position, Priority, Seq, Status,
    StatusKind, Target,
};
use crate::store::StoreError;

/// The columns that hold a status and its data.
#[derive(Default)]
pub(super) struct StateColumns {
    pub(super) status: u8,
    pub(super) due_at: Option<i64>,
    pub(super) lease: Option<i64>,
    pub(super) target: Option<u8>,
    pub(super) ended_at: Option<i64>,
}

impl StateColumns {
    pub(super) fn of(status: Status) -> Self {
        let mut columns = Self {
            status: status.kind().number(),
            ..Self::default()
        };
        match status {
            Status::Scheduled { start_at: at }
            | Status::Pending { ready_at: at }
            | Status::Waiting { until: at }
            | Status::Dead { since: at } => columns.due_at = Some(at.0),
            Status::Processing { lease } => columns.lease = Some(lease),
            Status::Compensating { target } => columns.target = Some(target.kind().number()),
            Status::Completed { ended_at }
            | Status::Cancelled { ended_at }
            | Status::Rejected { ended_at }
            | Status::Expired { ended_at } => columns.ended_at = Some(ended_at.0),
        }
        columns
    }
}

/// An error of a write that is definitely not stored.
pub(super) fn refused(error: rusqlite::Error) -> StoreError {
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { detail },
        _ => StoreError::Refused { detail },
    }
}

/// An error of a read.
pub(super) fn unreadable(error: rusqlite::Error) -> StoreError {
    StoreError::Unreadable {
        detail: error.to_string(),
    }
}

/// Reads one row of `orders`, and names the column if it is bad.
struct OrderRow<'a, 'r> {
    row: &'a Row<'r>,
    seq: i64,
}

impl OrderRow<'_, '_> {
    fn column<T: FromSql>(&self, name: &'static str) -> Result<T, StoreError> {
        self.row
            .get(name)
            .map_err(|error| self.bad(name, error.to_string()))
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.column(name).map(Timestamp)
    }

    fn bad(&self, column: &'static str, detail: impl Into<String>) -> StoreError {
        let (key, detail) = (self.seq.to_string(), detail.into());
        StoreError::BadRow {
            table: "orders",
            column,
            key,
            detail,
        }
    }

    fn status(&self) -> Result<Status, StoreError> {
        let number: i64 = self.column("status")?;
        let kind = StatusKind::from_number(number);
        Ok(
            match kind.ok_or_else(|| self.bad("status", number.to_string()))? {
                StatusKind::Scheduled => Status::Scheduled {
                    start_at: self.time("due_at")?,
                },
                StatusKind::Pending => Status::Pending {
                    ready_at: self.time("due_at")?,
                },
                StatusKind::Processing => Status::Processing {
                    lease: self.column("lease")?,
                },
                StatusKind::Waiting => Status::Waiting {
                    until: self.time("due_at")?,
                },
                StatusKind::Dead => Status::Dead {
                    since: self.time("due_at")?,
                },
                StatusKind::Compensating => Status::Compensating {
                    target: self.target()?,
                },
                StatusKind::Completed => Status::Completed {
                    ended_at: self.time("ended_at")?,
                },
                StatusKind::Cancelled => Status::Cancelled {
                    ended_at: self.time("ended_at")?,
                },
                StatusKind::Rejected => Status::Rejected {
                    ended_at: self.time("ended_at")?,
                },
                StatusKind::Expired => Status::Expired {
                    ended_at: self.time("ended_at")?,
                },
            },
        )
    }

    fn target(&self) -> Result<Target, StoreError> {
        let number: i64 = self.column("target")?;
        let targets = [Target::Cancelled, Target::Rejected, Target::Expired];
        let target = targets
            .into_iter()
            .find(|t| i64::from(t.kind().number()) == number);
        target.ok_or_else(|| self.bad("target", number.to_string()))
    }

    fn state(&self, reason: Option<Box<str>>) -> Result<OrderState, StoreError> {
        Ok(OrderState {
            status: self.status()?,
            version: self.column("version")?,
            step: self.column::<Arc<str>>("step")?,
            attempt: self.column("attempt")?,
            updated_at: self.time("updated_at")?,
            reason,
            position: Position(self.column("position")?),
        })
    }

    fn priority(&self) -> Result<Priority, StoreError> {
        let number: i64 = self.column("priority")?;
        Priority::from_number(number).ok_or_else(|| self.bad("priority", number.to_string()))
    }

    fn total(&self) -> Result<Money, StoreError> {
        let code: Box<str> = self.column("currency")?;
        let currency = Currency::from_code(&code).ok_or_else(|| self.bad("currency", &*code))?;
        let money = Money::new(self.column("total_minor")?, currency);
        money.map_err(|error| self.bad("total_minor", error.to_string()))
    }

    fn id(&self) -> Result<OrderId, StoreError> {
        let text: Box<str> = self.column("id")?;
        OrderId::parse(&text).map_err(|error| self.bad("id", error.to_string()))
    }
}

fn order_row<'a, 'r>(row: &'a Row<'r>) -> Result<OrderRow<'a, 'r>, StoreError> {
    Ok(OrderRow {
        row,
        seq: row.get("seq").map_err(unreadable)?,
    })
}

/// A whole order from a row with all columns of `orders`.
pub(super) fn order(row: &Row<'_>) -> Result<Order, StoreError> {
    let row = order_row(row)?;
    Ok(Order {
        seq: Seq(row.seq),
        id: row.id()?,
        customer_id: row.column("customer_id")?,
        process: row.column::<Arc<str>>("process")?,
        process_version: row.column("process_version")?,
        priority: row.priority()?,
        total: row.total()?,
        payload: row.column("payload")?,
        start_at: row.column::<Option<i64>>("start_at")?.map(Timestamp),
        expires_at: row.column::<Option<i64>>("expires_at")?.map(Timestamp),
        created_at: row.time("created_at")?,
        state: row.state(row.column("reason")?)?,
    })
}

/// What the shard needs of an open order.
pub(super) fn open_order(row: &Row<'_>) -> Result<OpenOrder, StoreError> {
    let row = order_row(row)?;
    Ok(OpenOrder {
        seq: Seq(row.seq),
        process: row.column::<Arc<str>>("process")?,
        process_version: row.column("process_version")?,
        priority: row.priority()?,
        expires_at: row.column::<Option<i64>>("expires_at")?.map(Timestamp),
        created_at: row.time("created_at")?,
        state: row.state(None)?,
    })
}
