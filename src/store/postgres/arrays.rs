//! The rows of a commit turned on their side: an array for each column, because one statement takes
//! any number of rows that way.
//!
//! Data only; what the columns mean is in the schema.

use tokio_postgres::types::ToSql;

use crate::order::{Changed, KeptAnswer, Order, OrderState, RequestKey, Seq, Status};
use crate::store::beside::{hold_text, marks_text};
use crate::store::columns::StateColumns;

/// The values of a statement, by their numbers.
pub(super) type Values<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// New orders.
#[derive(Default)]
pub(super) struct Created<'a> {
    seq: Vec<i64>,
    id: Vec<&'a str>,
    customer_id: Vec<&'a str>,
    process: Vec<&'a str>,
    process_version: Vec<i64>,
    priority: Vec<i16>,
    total_minor: Vec<i64>,
    currency: Vec<&'a str>,
    item_count: Vec<i32>,
    created_at: Vec<i64>,
    start_at: Vec<Option<i64>>,
    expires_at: Vec<Option<i64>>,
    status: Vec<i16>,
    step: Vec<&'a str>,
    due_at: Vec<Option<i64>>,
    position: Vec<i64>,
    hold: Vec<Option<String>>,
    payload: Vec<&'a str>,
    past: Past<'a>,
}

/// What only orders have to which something has happened already: imported ones.
#[derive(Default)]
struct Past<'a> {
    imported_at: Vec<Option<i64>>,
    version: Vec<i64>,
    attempt: Vec<i32>,
    started_at: Vec<Option<i64>>,
    updated_at: Vec<i64>,
    lease: Vec<Option<i64>>,
    target: Vec<Option<i16>>,
    ended_at: Vec<Option<i64>>,
    reason: Vec<Option<&'a str>>,
}

impl<'a> Created<'a> {
    /// Those columns in which newly accepted orders differ.
    pub(super) fn accepted(orders: impl Iterator<Item = &'a Order>) -> Self {
        let mut created = Self::default();
        orders.for_each(|order| created.push(order));
        created
    }

    /// All columns.
    pub(super) fn whole(orders: impl Iterator<Item = &'a Order>) -> Self {
        let mut created = Self::default();
        orders.for_each(|order| {
            created.push(order);
            created.past.push(order);
        });
        created
    }

    fn push(&mut self, order: &'a Order) {
        let state = &order.state;
        let columns = StateColumns::of(state.status);
        self.seq.push(order.seq.0);
        self.id.push(order.id.as_str());
        self.customer_id.push(&order.customer_id);
        self.process.push(&order.process);
        self.process_version.push(order.process_version.into());
        self.priority.push(order.priority.number().into());
        self.total_minor.push(order.total.minor());
        self.currency.push(order.total.currency().code());
        self.item_count.push(order.item_count.into());
        self.created_at.push(order.created_at.0);
        self.start_at.push(order.start_at.map(|time| time.0));
        self.expires_at.push(order.expires_at.map(|time| time.0));
        self.status.push(columns.status.into());
        self.step.push(&state.step);
        self.due_at.push(columns.due_at);
        self.position.push(state.position.0);
        self.hold.push(order.hold.as_deref().map(hold_text));
        self.payload.push(&order.payload);
    }

    /// The values from `$4` on, as `INSERT_ACCEPTED` takes them.
    pub(super) fn values(&self) -> Values<'_> {
        vec![
            &self.seq,
            &self.id,
            &self.customer_id,
            &self.process,
            &self.process_version,
            &self.priority,
            &self.total_minor,
            &self.currency,
            &self.item_count,
            &self.created_at,
            &self.start_at,
            &self.expires_at,
            &self.status,
            &self.step,
            &self.due_at,
            &self.position,
            &self.hold,
            &self.payload,
        ]
    }

    /// The same with the columns that follow in `INSERT_WHOLE` and `INSERT_FREE`.
    pub(super) fn all_values(&self) -> Values<'_> {
        let mut values = self.values();
        let past = &self.past;
        let more: [&(dyn ToSql + Sync); 9] = [
            &past.imported_at,
            &past.version,
            &past.attempt,
            &past.started_at,
            &past.updated_at,
            &past.lease,
            &past.target,
            &past.ended_at,
            &past.reason,
        ];
        values.extend(more);
        values
    }
}

impl<'a> Past<'a> {
    fn push(&mut self, order: &'a Order) {
        let state = &order.state;
        let columns = StateColumns::of(state.status);
        self.imported_at.push(order.imported_at.map(|time| time.0));
        self.version.push(state.version.into());
        self.attempt.push(state.attempt.into());
        self.started_at.push(state.started_at.map(|time| time.0));
        self.updated_at.push(state.updated_at.0);
        self.lease.push(columns.lease);
        self.target.push(columns.target.map(Into::into));
        self.ended_at.push(columns.ended_at);
        self.reason.push(state.reason.as_deref());
    }
}

/// Whether nothing has happened to a new order yet: so it is with all but imported ones.
pub(super) fn is_as_accepted(order: &Order) -> bool {
    let OrderState {
        status,
        version: 1,
        attempt: 0,
        started_at: None,
        reason: None,
        updated_at,
        ..
    } = &order.state
    else {
        return false;
    };
    let is_waiting = matches!(status, Status::Pending { .. } | Status::Scheduled { .. });
    is_waiting && *updated_at == order.created_at
}

/// Orders that changed.
#[derive(Default)]
pub(super) struct Changes<'a> {
    seq: Vec<i64>,
    status: Vec<i16>,
    version: Vec<i64>,
    step: Vec<&'a str>,
    attempt: Vec<i32>,
    started_at: Vec<Option<i64>>,
    updated_at: Vec<i64>,
    due_at: Vec<Option<i64>>,
    lease: Vec<Option<i64>>,
    target: Vec<Option<i16>>,
    ended_at: Vec<Option<i64>>,
    reason: Vec<Option<&'a str>>,
    position: Vec<i64>,
    keeps_reason: Vec<bool>,
    /// Empty texts and zeros where nothing stands beside the state.
    priority: Vec<Option<i16>>,
    hold: Vec<Option<String>>,
    marks: Vec<Option<String>>,
}

impl<'a> Changes<'a> {
    pub(super) fn of(changed: &'a [Changed]) -> Self {
        let mut changes = Self::default();
        changed.iter().for_each(|it| changes.push(it));
        changes
    }

    fn push(&mut self, changed: &'a Changed) {
        let state = &changed.state;
        let columns = StateColumns::of(state.status);
        self.seq.push(changed.seq.0);
        self.status.push(columns.status.into());
        self.version.push(state.version.into());
        self.step.push(&state.step);
        self.attempt.push(state.attempt.into());
        self.started_at.push(state.started_at.map(|time| time.0));
        self.updated_at.push(state.updated_at.0);
        self.due_at.push(columns.due_at);
        self.lease.push(columns.lease);
        self.target.push(columns.target.map(Into::into));
        self.ended_at.push(columns.ended_at);
        self.reason.push(state.reason.as_deref());
        self.position.push(state.position.0);
        self.keeps_reason.push(changed.keeps_reason);
        let beside = changed.beside.as_deref();
        let priority = beside.map(|beside| beside.priority.number().into());
        self.priority.push(priority);
        let hold = beside.and_then(|beside| beside.hold.as_ref());
        self.hold.push(hold.map(hold_text));
        let marks = beside.and_then(|beside| marks_text(&beside.marks));
        self.marks.push(marks);
    }

    /// The values from `$4` on, as `UPDATE` takes them.
    pub(super) fn values(&self) -> Values<'_> {
        vec![
            &self.seq,
            &self.status,
            &self.version,
            &self.step,
            &self.attempt,
            &self.started_at,
            &self.updated_at,
            &self.due_at,
            &self.lease,
            &self.target,
            &self.ended_at,
            &self.reason,
            &self.position,
            &self.keeps_reason,
            &self.priority,
            &self.hold,
            &self.marks,
        ]
    }
}

/// Idempotency keys with their answers.
#[derive(Default)]
pub(super) struct Keys<'a> {
    seq: Vec<Option<i64>>,
    scope: Vec<&'a str>,
    key: Vec<&'a str>,
    fingerprint: Vec<&'a [u8]>,
    status: Vec<i32>,
    content_type: Vec<&'a str>,
    location: Vec<Option<&'a str>>,
    etag: Vec<Option<&'a str>>,
    body: Vec<&'a [u8]>,
}

impl<'a> Keys<'a> {
    pub(super) fn push(&mut self, seq: Option<Seq>, key: &'a RequestKey, answer: &'a KeptAnswer) {
        self.seq.push(seq.map(|seq| seq.0));
        self.scope.push(&key.scope);
        self.key.push(&key.key);
        self.fingerprint.push(&key.fingerprint);
        self.status.push(answer.status.into());
        self.content_type.push(&answer.content_type);
        self.location.push(answer.location.as_deref());
        self.etag.push(answer.etag.as_deref());
        self.body.push(&answer.body);
    }

    pub(super) fn values(&self) -> Values<'_> {
        vec![
            &self.seq,
            &self.scope,
            &self.key,
            &self.fingerprint,
            &self.status,
            &self.content_type,
            &self.location,
            &self.etag,
            &self.body,
        ]
    }
}
