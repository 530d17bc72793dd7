//! New orders go into the table, each with its idempotency key if it came with one.
//!
//! Whether an id or a key is taken is decided by the unique constraints alone.

use rusqlite::{CachedStatement, Connection, params};

use super::keys;
use super::row::{self, StateColumns};
use crate::faults::{self, Bug};
use crate::order::{Commit, Order, OrderState, Receipt, Status};

/// Inserts the new orders with their keys; answers with those that were left out.
pub(super) fn orders(connection: &Connection, commit: &Commit) -> rusqlite::Result<Receipt> {
    let mut receipt = Receipt::default();
    if commit.created.is_empty() {
        return Ok(receipt);
    }
    let mut records = commit.keys.iter().peekable();
    let mut insert = connection.prepare_cached(
        "INSERT INTO orders (seq, id, customer_id, process, process_version, priority, total_minor,
                             currency, item_count, created_at, start_at, expires_at, status,
                             version, step, attempt, updated_at, due_at, position, hold, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?14, 0, ?10, ?15, ?16,
                 ?17, ?18)
         ON CONFLICT (id) DO NOTHING",
    )?;
    for (at, order) in commit.created.iter().enumerate() {
        let record = records.next_if(|record| record.created == at);
        if let Some(record) = record {
            let kept = (&record.key, &record.answer);
            let times = (commit.keys_kept_at, commit.keys_expired_before);
            if !keys::claim(connection, times, kept, Some(order.seq))? {
                receipt.collided.push(at);
                receipt.keys_taken.push(at);
                continue;
            }
            if faults::is_planted(Bug::KeyInAnotherTransaction) {
                connection.execute_batch("COMMIT; BEGIN")?;
            }
            faults::point("commit-key-claimed");
        }
        let inserted = if is_as_accepted(order) {
            accepted(&mut insert, order)?
        } else {
            whole(connection, order)?
        };
        if inserted == 0 {
            receipt.collided.push(at);
            if let Some(record) = record {
                keys::give_back(connection, &record.key)?;
            }
        }
    }
    Ok(receipt)
}

/// Whether nothing has happened to a new order yet: so it is with all but imported ones, and fewer
/// values have to be bound.
fn is_as_accepted(order: &Order) -> bool {
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

fn accepted(insert: &mut CachedStatement<'_>, order: &Order) -> rusqlite::Result<usize> {
    let state = &order.state;
    let columns = StateColumns::of(state.status);
    insert.execute(params![
        order.seq.0,
        order.id.as_str(),
        &*order.customer_id,
        &*order.process,
        order.process_version,
        order.priority.number(),
        order.total.minor(),
        order.total.currency().code(),
        order.item_count,
        order.created_at.0,
        order.start_at.map(|time| time.0),
        order.expires_at.map(|time| time.0),
        columns.status,
        &*state.step,
        columns.due_at,
        state.position.0,
        order.hold.as_deref().map(row::hold_text),
        &*order.payload,
    ])
}

fn whole(connection: &Connection, order: &Order) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO orders (seq, id, customer_id, process, process_version, priority, total_minor,
                             currency, item_count, created_at, start_at, expires_at, imported_at,
                             status, version, step, attempt, started_at, updated_at, due_at, lease,
                             target, ended_at, reason, position, hold, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
                 ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)
         ON CONFLICT (id) DO NOTHING",
    )?;
    let state = &order.state;
    let columns = StateColumns::of(state.status);
    insert.execute(params![
        order.seq.0,
        order.id.as_str(),
        &*order.customer_id,
        &*order.process,
        order.process_version,
        order.priority.number(),
        order.total.minor(),
        order.total.currency().code(),
        order.item_count,
        order.created_at.0,
        order.start_at.map(|time| time.0),
        order.expires_at.map(|time| time.0),
        order.imported_at.map(|time| time.0),
        columns.status,
        state.version,
        &*state.step,
        state.attempt,
        state.started_at.map(|time| time.0),
        state.updated_at.0,
        columns.due_at,
        columns.lease,
        columns.target,
        columns.ended_at,
        state.reason.as_deref(),
        state.position.0,
        order.hold.as_deref().map(row::hold_text),
        &*order.payload,
    ])
}
