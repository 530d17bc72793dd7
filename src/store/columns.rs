//! Between rows and domain types, the same for every backend that keeps orders in columns. A row
//! that breaks an invariant is a named error, never a default.
//!
//! The column lists here and in a backend's statements go together; nothing else knows the columns.

use super::{StoreError, beside};
use crate::clock::Timestamp;
use crate::order::{
    Currency, Hold, Marks, Money, OpenOrder, Order, OrderId, OrderState, Position, Priority, Seq,
    Status, StatusKind, StepOutput, Target,
};

/// A row as a driver gives it: its values by their place. The errors say what the driver said.
pub(super) trait Row {
    /// A whole number, or nothing.
    fn number(&self, place: usize) -> Result<Option<i64>, String>;

    /// A text, or nothing.
    fn text(&self, place: usize) -> Result<Option<&str>, String>;
}

/// The columns of `whole_orders` by their place in a row, because looking each up by its name takes
/// as long as reading the row from disk. The last two are left out where only the shard reads.
pub(super) const COLUMNS: [&str; 29] = [
    "seq",
    "id",
    "customer_id",
    "process",
    "process_version",
    "priority",
    "total_minor",
    "currency",
    "item_count",
    "created_at",
    "start_at",
    "expires_at",
    "imported_at",
    "status",
    "version",
    "step",
    "attempt",
    "started_at",
    "updated_at",
    "due_at",
    "lease",
    "target",
    "ended_at",
    "reason",
    "position",
    "hold",
    "marks",
    "payload",
    "outputs",
];

const SEQ: usize = 0;
const ID: usize = 1;
const CUSTOMER_ID: usize = 2;
const PROCESS: usize = 3;
const PROCESS_VERSION: usize = 4;
const PRIORITY: usize = 5;
const TOTAL_MINOR: usize = 6;
const CURRENCY: usize = 7;
const ITEM_COUNT: usize = 8;
const CREATED_AT: usize = 9;
const START_AT: usize = 10;
const EXPIRES_AT: usize = 11;
const IMPORTED_AT: usize = 12;
const STATUS: usize = 13;
const VERSION: usize = 14;
const STEP: usize = 15;
const ATTEMPT: usize = 16;
const STARTED_AT: usize = 17;
const UPDATED_AT: usize = 18;
const DUE_AT: usize = 19;
const LEASE: usize = 20;
const TARGET: usize = 21;
const ENDED_AT: usize = 22;
const REASON: usize = 23;
const POSITION: usize = 24;
const HOLD: usize = 25;
const MARKS: usize = 26;
const PAYLOAD: usize = 27;
const OUTPUTS: usize = 28;

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

/// Number of a step, its name, and what it said.
type OutputRow = (u8, Box<str>, Box<str>);

/// Reads one row of `orders`, and names the column if it is bad.
struct OrderRow<'a, R> {
    row: &'a R,
    seq: i64,
}

impl<R: Row> OrderRow<'_, R> {
    /// A number that must be there, and fit.
    fn number<T: TryFrom<i64>>(&self, place: usize) -> Result<T, StoreError> {
        let number = self.optional_number(place)?;
        let number = number.ok_or_else(|| self.bad(place, "is missing"))?;
        T::try_from(number).map_err(|_| self.bad(place, number.to_string()))
    }

    fn optional_number(&self, place: usize) -> Result<Option<i64>, StoreError> {
        self.row
            .number(place)
            .map_err(|detail| self.bad(place, detail))
    }

    /// A text that must be there.
    fn text(&self, place: usize) -> Result<&str, StoreError> {
        let text = self.optional_text(place)?;
        text.ok_or_else(|| self.bad(place, "is missing"))
    }

    fn optional_text(&self, place: usize) -> Result<Option<&str>, StoreError> {
        self.row
            .text(place)
            .map_err(|detail| self.bad(place, detail))
    }

    fn time(&self, place: usize) -> Result<Timestamp, StoreError> {
        self.number(place).map(Timestamp)
    }

    fn optional_time(&self, place: usize) -> Result<Option<Timestamp>, StoreError> {
        let time = self.optional_number(place)?;
        Ok(time.map(Timestamp))
    }

    fn bad(&self, place: usize, detail: impl Into<String>) -> StoreError {
        let (key, detail) = (self.seq.to_string(), detail.into());
        StoreError::BadRow {
            table: "orders",
            column: COLUMNS[place],
            key,
            detail,
        }
    }

    fn status(&self) -> Result<Status, StoreError> {
        let number: i64 = self.number(STATUS)?;
        let kind = StatusKind::from_number(number);
        Ok(
            match kind.ok_or_else(|| self.bad(STATUS, number.to_string()))? {
                StatusKind::Scheduled => Status::Scheduled {
                    start_at: self.time(DUE_AT)?,
                },
                StatusKind::Pending => Status::Pending {
                    ready_at: self.time(DUE_AT)?,
                },
                StatusKind::Processing => Status::Processing {
                    lease: self.number(LEASE)?,
                },
                StatusKind::Waiting => Status::Waiting {
                    until: self.time(DUE_AT)?,
                },
                StatusKind::Dead => Status::Dead {
                    since: self.time(DUE_AT)?,
                },
                StatusKind::Compensating => Status::Compensating {
                    target: self.target()?,
                },
                StatusKind::Completed => Status::Completed {
                    ended_at: self.time(ENDED_AT)?,
                },
                StatusKind::Cancelled => Status::Cancelled {
                    ended_at: self.time(ENDED_AT)?,
                },
                StatusKind::Rejected => Status::Rejected {
                    ended_at: self.time(ENDED_AT)?,
                },
                StatusKind::Expired => Status::Expired {
                    ended_at: self.time(ENDED_AT)?,
                },
            },
        )
    }

    fn target(&self) -> Result<Target, StoreError> {
        let number: i64 = self.number(TARGET)?;
        let targets = [Target::Cancelled, Target::Rejected, Target::Expired];
        let target = targets
            .into_iter()
            .find(|t| i64::from(t.kind().number()) == number);
        target.ok_or_else(|| self.bad(TARGET, number.to_string()))
    }

    fn state(&self, reason: Option<Box<str>>) -> Result<OrderState, StoreError> {
        Ok(OrderState {
            status: self.status()?,
            version: self.number(VERSION)?,
            step: self.text(STEP)?.into(),
            attempt: self.number(ATTEMPT)?,
            started_at: self.optional_time(STARTED_AT)?,
            updated_at: self.time(UPDATED_AT)?,
            reason,
            position: Position(self.number(POSITION)?),
        })
    }

    /// The shard has to know only why an order is being undone.
    fn reason_to_remember(&self) -> Result<Option<Box<str>>, StoreError> {
        let is_undoing = matches!(self.status()?, Status::Compensating { .. });
        let reason = is_undoing.then(|| self.optional_text(REASON)).transpose()?;
        Ok(reason.flatten().map(Into::into))
    }

    fn hold(&self) -> Result<Option<Box<Hold>>, StoreError> {
        let Some(text) = self.optional_text(HOLD)? else {
            return Ok(None);
        };
        let hold = beside::hold(text).map_err(|error| self.bad(HOLD, error.to_string()))?;
        Ok(Some(Box::new(hold)))
    }

    fn marks(&self) -> Result<Marks, StoreError> {
        let Some(text) = self.optional_text(MARKS)? else {
            return Ok(Marks::default());
        };
        beside::marks(text).map_err(|error| self.bad(MARKS, error.to_string()))
    }

    fn priority(&self) -> Result<Priority, StoreError> {
        let number: i64 = self.number(PRIORITY)?;
        Priority::from_number(number).ok_or_else(|| self.bad(PRIORITY, number.to_string()))
    }

    fn total(&self) -> Result<Money, StoreError> {
        let code = self.text(CURRENCY)?;
        let currency = Currency::from_code(code).ok_or_else(|| self.bad(CURRENCY, code))?;
        let money = Money::new(self.number(TOTAL_MINOR)?, currency);
        money.map_err(|error| self.bad(TOTAL_MINOR, error.to_string()))
    }

    fn outputs(&self) -> Result<Vec<StepOutput>, StoreError> {
        let Some(text) = self.optional_text(OUTPUTS)? else {
            return Ok(Vec::new());
        };
        let outputs = serde_json::from_str::<Vec<OutputRow>>(text);
        let mut outputs = outputs.map_err(|error| self.bad(OUTPUTS, error.to_string()))?;
        outputs.sort_by_key(|(number, ..)| *number);
        let output = |(_, step, output): OutputRow| StepOutput {
            step: step.into(),
            output,
        };
        Ok(outputs.into_iter().map(output).collect())
    }

    fn id(&self) -> Result<OrderId, StoreError> {
        let text = self.text(ID)?;
        OrderId::parse(text).map_err(|error| self.bad(ID, error.to_string()))
    }
}

fn order_row<R: Row>(row: &R) -> Result<OrderRow<'_, R>, StoreError> {
    let unreadable = |detail| StoreError::Unreadable { detail };
    let seq = row.number(SEQ).map_err(unreadable)?;
    let seq = seq.ok_or_else(|| unreadable("an order without a number".into()))?;
    Ok(OrderRow { row, seq })
}

/// A whole order from a row with all columns of `orders`.
pub(super) fn order(row: &impl Row) -> Result<Order, StoreError> {
    let row = order_row(row)?;
    Ok(Order {
        seq: Seq(row.seq),
        id: row.id()?,
        customer_id: row.text(CUSTOMER_ID)?.into(),
        process: row.text(PROCESS)?.into(),
        process_version: row.number(PROCESS_VERSION)?,
        priority: row.priority()?,
        total: row.total()?,
        item_count: row.number(ITEM_COUNT)?,
        payload: row.text(PAYLOAD)?.into(),
        start_at: row.optional_time(START_AT)?,
        expires_at: row.optional_time(EXPIRES_AT)?,
        created_at: row.time(CREATED_AT)?,
        imported_at: row.optional_time(IMPORTED_AT)?,
        hold: row.hold()?,
        marks: row.marks()?,
        state: row.state(row.optional_text(REASON)?.map(Into::into))?,
        outputs: row.outputs()?,
    })
}

/// What the shard needs of an open order.
pub(super) fn open_order(row: &impl Row) -> Result<OpenOrder, StoreError> {
    let row = order_row(row)?;
    Ok(OpenOrder {
        seq: Seq(row.seq),
        process: row.text(PROCESS)?.into(),
        process_version: row.number(PROCESS_VERSION)?,
        priority: row.priority()?,
        // One that is damaged must not come into a commit: MySQL checks the whole row again.
        total_minor: row.total()?.minor(),
        item_count: row.number(ITEM_COUNT)?,
        expires_at: row.optional_time(EXPIRES_AT)?,
        created_at: row.time(CREATED_AT)?,
        hold: row.hold()?,
        marks: row.marks()?,
        state: row.state(row.reason_to_remember()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_that_of_its_name() {
        let places = [
            (SEQ, "seq"),
            (PRIORITY, "priority"),
            (EXPIRES_AT, "expires_at"),
            (IMPORTED_AT, "imported_at"),
            (STATUS, "status"),
            (STARTED_AT, "started_at"),
            (ENDED_AT, "ended_at"),
            (HOLD, "hold"),
            (MARKS, "marks"),
            (PAYLOAD, "payload"),
            (OUTPUTS, "outputs"),
        ];
        assert!(places.iter().all(|(place, name)| COLUMNS[*place] == *name));
    }
}
