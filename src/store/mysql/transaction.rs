//! A commit as one text: BEGIN, what is written, and COMMIT, to be sent in one go.
//!
//! Three statements write, whatever the size: the journal row, which is the fence as well, the new
//! orders, and everything that changes. What most commits have not takes statements of its own:
//! idempotency keys, what steps said, processes, imported orders, counters that are new.

use std::collections::{BTreeMap, BTreeSet};

use super::changes;
use super::text::Sql;
use crate::order::{Commit, KeptAnswer, Order, ProcessTally, Receipt, RequestKey, Seq};
use crate::store::beside::hold_text;
use crate::store::columns::StateColumns;
use crate::store::{StoreError, journal};

/// Counters by process, status and priority.
pub(super) type Counters = BTreeSet<(Box<str>, u8, u8)>;

/// A commit, ready to be sent.
pub(super) struct Transaction {
    pub(super) sql: Vec<u8>,
    /// How many statements it has.
    pub(super) count: usize,
    /// The hash of its journal row.
    pub(super) hash: [u8; 32],
    /// Counters that it makes.
    pub(super) made: Counters,
}

/// What a transaction is made from.
pub(super) struct Plan<'a> {
    pub(super) commit: &'a Commit,
    /// The orders to leave out.
    pub(super) receipt: &'a Receipt,
    /// The hash of the journal row before.
    pub(super) before: &'a [u8; 32],
    /// Counters that have a row.
    pub(super) known: &'a Counters,
    /// BEGIN has been sent, and the keys that are over have been looked for.
    pub(super) is_begun: bool,
}

impl Plan<'_> {
    /// The whole text.
    pub(super) fn transaction(&self) -> Result<Transaction, StoreError> {
        let commit = self.commit;
        let created = self.created();
        let tallies = commit.tally_changes(&self.receipt.collided);
        let mut text = Statements::with_capacity(256 + 512 * commit.len());
        if !self.is_begun {
            text.next().raw("BEGIN");
        }
        let hash = self.journal(text.next());
        if !created.is_empty() {
            orders(text.next(), &created);
        }
        imported(&mut text, &created);
        self.definitions(&mut text)?;
        self.outputs(&mut text);
        self.keys(&mut text);
        let made = self.counters(&mut text, &tallies);
        changes::write(text.next(), commit, &tallies, &hash);
        text.next().raw("COMMIT");
        Ok(Transaction {
            sql: text.sql.into_bytes(),
            count: text.count,
            hash,
            made,
        })
    }

    /// The orders that are not left out. Indexes ascend.
    fn created(&self) -> Vec<&Order> {
        let collided = &self.receipt.collided;
        let orders = self.commit.created.iter().enumerate();
        let stored = orders.filter(|(at, _)| collided.binary_search(at).is_err());
        stored.map(|(_, order)| &**order).collect()
    }

    /// The journal row. Its epoch is that of the shard's row, which is locked: if that has moved
    /// on, there is no epoch, the statement fails, and nothing behind it is looked at.
    fn journal(&self, sql: &mut Sql) -> [u8; 32] {
        let commit = self.commit;
        let entries = journal::encode(commit.at, commit.surviving_events(&self.receipt.collided));
        let (position, epoch) = (commit.position, commit.epoch);
        let hash = journal::hash(self.before, position, epoch, commit.at, &entries);
        sql.raw("INSERT INTO journal (position, epoch, at, entries, hash) VALUES (")
            .number(position.0)
            .raw(", (SELECT epoch FROM shards WHERE shard = ")
            .number(commit.shard.0)
            .raw(" AND epoch = ")
            .number(epoch)
            .raw(" AND position = ")
            .number(position.0 - 1)
            .raw(" FOR UPDATE), ")
            .number(commit.at.0)
            .raw(", ")
            .text(&entries)
            .raw(", ")
            .bytes(&hash)
            .raw(")");
        hash
    }

    fn definitions(&self, text: &mut Statements) -> Result<(), StoreError> {
        if self.commit.definitions.is_empty() {
            return Ok(());
        }
        let sql = text.next();
        sql.raw("INSERT INTO processes (name, version, definition) VALUES ");
        for (at, process) in self.commit.definitions.iter().enumerate() {
            let definition = serde_json::to_string(process);
            let definition = definition.map_err(|error| StoreError::Refused {
                detail: error.to_string(),
            })?;
            sql.row(at == 0).text(&process.name);
            sql.raw(",").number(process.version);
            sql.raw(",").text(&definition).raw(")");
        }
        // Another definition than the first one is never written.
        sql.raw(" ON DUPLICATE KEY UPDATE definition = processes.definition");
        Ok(())
    }

    fn outputs(&self, text: &mut Statements) {
        if self.commit.outputs.is_empty() {
            return;
        }
        // Of two outputs of a step the later one counts.
        let latest = self.commit.outputs.iter();
        let latest = latest.map(|it| ((it.seq, it.number), it));
        let latest = latest.collect::<BTreeMap<_, _>>();
        let sql = text.next();
        sql.raw("INSERT INTO step_outputs (seq, number, step, output) VALUES ");
        for (at, it) in latest.into_values().enumerate() {
            sql.row(at == 0).number(it.seq.0);
            sql.raw(",").number(it.number);
            sql.raw(",").text(&it.output.step);
            sql.raw(",").text(&it.output.output).raw(")");
        }
        sql.raw(" ON DUPLICATE KEY UPDATE step = VALUES(step), output = VALUES(output)");
    }

    /// Keys with their answers. A taken key of an order ends the transaction; that of a change was
    /// free when it was decided, or is over. With keys go old ones: at most twice as many of those
    /// that are over, from the oldest on, so that nothing else is looked at.
    fn keys(&self, text: &mut Statements) {
        let commit = self.commit;
        let count = commit.keys.len() + commit.change_keys.len();
        if count == 0 {
            return;
        }
        let collided = &self.receipt.collided;
        let orders = commit
            .keys
            .iter()
            .filter(|record| collided.binary_search(&record.created).is_err());
        let mut known = BTreeSet::new();
        let changes = commit.change_keys.iter();
        let changes = changes.filter(|kept| known.insert((&*kept.key.scope, &*kept.key.key)));
        let changes: Vec<_> = changes.collect();
        let over = commit.keys_expired_before.0;
        if !changes.is_empty() {
            forget(text.next(), changes.iter().map(|kept| &kept.key), over);
        }
        let orders = orders.map(|record| {
            let seq = commit.created[record.created].seq;
            (Some(seq), &record.key, &record.answer)
        });
        let kept_at = commit.keys_kept_at.0;
        keys(text, orders, kept_at, "");
        let changes = changes
            .iter()
            .map(|kept| (kept.seq, &kept.key, &kept.answer));
        // Of a key that is taken all the same, the answer that is kept stays.
        keys(
            text,
            changes,
            kept_at,
            " ON DUPLICATE KEY UPDATE kept_at = idempotency_keys.kept_at",
        );
        text.next()
            .raw("DELETE FROM idempotency_keys WHERE kept_at < ")
            .number(over)
            .raw(" ORDER BY kept_at LIMIT ")
            .number(i64::try_from(2 * count).unwrap_or(i64::MAX));
    }

    /// Makes rows for counters that have none. Answers which.
    fn counters(&self, text: &mut Statements, tallies: &[ProcessTally]) -> Counters {
        let mut made = Counters::new();
        let mut times = Vec::new();
        for change in tallies {
            for (status, priority, _) in change.tally.nonzero() {
                let counter = (
                    Box::from(&*change.process),
                    status.number(),
                    priority.number(),
                );
                if !self.known.contains(&counter) {
                    made.insert(counter);
                }
            }
            // Counted from 1 on, so that 0 is free.
            let counter = (Box::from(&*change.process), 0, 0);
            if (change.work_us, change.turnaround_s) != (0, 0) && !self.known.contains(&counter) {
                times.push(counter);
            }
        }
        let shard = self.commit.shard.0;
        if !made.is_empty() {
            let sql = text.next();
            sql.raw("INSERT INTO tally (shard, process, status, priority, orders) VALUES ");
            for (at, (process, status, priority)) in made.iter().enumerate() {
                sql.row(at == 0).number(shard).raw(",").text(process);
                sql.raw(",").number(*status).raw(",").number(*priority);
                sql.raw(",0)");
            }
            sql.raw(" ON DUPLICATE KEY UPDATE orders = tally.orders");
        }
        if !times.is_empty() {
            let sql = text.next();
            sql.raw("INSERT INTO tally_times (shard, process, work_us, turnaround_s) VALUES ");
            for (at, (process, ..)) in times.iter().enumerate() {
                sql.row(at == 0).number(shard).raw(",").text(process);
                sql.raw(",0,0)");
            }
            sql.raw(" ON DUPLICATE KEY UPDATE work_us = tally_times.work_us");
        }
        made.extend(times);
        made
    }
}

/// Statements, one behind the other.
pub(super) struct Statements {
    sql: Sql,
    count: usize,
}

impl Statements {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            sql: Sql::with_capacity(bytes),
            count: 0,
        }
    }

    /// Where the next one is to be written.
    fn next(&mut self) -> &mut Sql {
        self.count += 1;
        self.sql.raw(if self.count == 1 { "" } else { ";\n" })
    }
}

/// New orders. A taken id ends the transaction.
fn orders(sql: &mut Sql, created: &[&Order]) {
    sql.raw(
        "INSERT INTO orders (seq, id, customer_id, process, process_version, priority, total_minor,
                             currency, item_count, created_at, start_at, expires_at, imported_at,
                             status, version, step, attempt, started_at, updated_at, due_at, lease,
                             target, ended_at, reason, position, hold, payload)
         VALUES ",
    );
    for (at, order) in created.iter().enumerate() {
        let state = &order.state;
        let columns = StateColumns::of(state.status);
        sql.row(at == 0).number(order.seq.0);
        sql.raw(",").text(order.id.as_str());
        sql.raw(",").text(&order.customer_id);
        sql.raw(",").text(&order.process);
        sql.raw(",").number(order.process_version);
        sql.raw(",").number(order.priority.number());
        sql.raw(",").number(order.total.minor());
        sql.raw(",").text(order.total.currency().code());
        sql.raw(",").number(order.item_count);
        sql.raw(",").number(order.created_at.0);
        sql.raw(",")
            .optional_number(order.start_at.map(|time| time.0));
        sql.raw(",")
            .optional_number(order.expires_at.map(|time| time.0));
        sql.raw(",")
            .optional_number(order.imported_at.map(|time| time.0));
        sql.raw(",").number(columns.status);
        sql.raw(",").number(state.version);
        sql.raw(",").text(&state.step);
        sql.raw(",").number(state.attempt);
        sql.raw(",")
            .optional_number(state.started_at.map(|time| time.0));
        sql.raw(",").number(state.updated_at.0);
        sql.raw(",").optional_number(columns.due_at);
        sql.raw(",").optional_number(columns.lease);
        sql.raw(",").optional_number(columns.target.map(Into::into));
        sql.raw(",").optional_number(columns.ended_at);
        sql.raw(",").optional_text(state.reason.as_deref());
        sql.raw(",").number(state.position.0);
        sql.raw(",")
            .optional_text(order.hold.as_deref().map(hold_text).as_deref());
        sql.raw(",").text(&order.payload).raw(")");
    }
}

/// Orders that were finished elsewhere, for the lists of them.
fn imported(text: &mut Statements, created: &[&Order]) {
    let imported = created.iter().filter(|order| order.imported_at.is_some());
    let imported: Vec<_> = imported.collect();
    if imported.is_empty() {
        return;
    }
    let sql = text.next();
    sql.raw("INSERT INTO imported_orders (seq) VALUES ");
    for (at, order) in imported.into_iter().enumerate() {
        sql.row(at == 0).number(order.seq.0).raw(")");
    }
}

/// Removes those of some keys that are over, so that they may be claimed again.
pub(super) fn forget<'a>(sql: &mut Sql, keys: impl Iterator<Item = &'a RequestKey>, over: i64) {
    sql.raw("DELETE k FROM ");
    changes::keys(sql, keys);
    sql.raw(
        " STRAIGHT_JOIN idempotency_keys k
             ON k.scope = n.scope AND k.`key` = n.`key`
          WHERE k.kept_at < ",
    );
    sql.number(over);
}

pub(super) type Kept<'a> = (Option<Seq>, &'a RequestKey, &'a KeptAnswer);

fn keys<'a>(text: &mut Statements, kept: impl Iterator<Item = Kept<'a>>, at: i64, end: &str) {
    let mut kept = kept.peekable();
    if kept.peek().is_some() {
        keep_answers(text.next(), kept, at);
        text.sql.raw(end);
    }
}

/// Keeps answers under their keys, which are free.
pub(super) fn keep_answers<'a>(sql: &mut Sql, kept: impl Iterator<Item = Kept<'a>>, at: i64) {
    sql.raw(
        "INSERT INTO idempotency_keys (seq, scope, `key`, fingerprint, kept_at, status,
                                       content_type, location, etag, body)
         VALUES ",
    );
    for (place, (seq, key, answer)) in kept.enumerate() {
        sql.row(place == 0).optional_number(seq.map(|seq| seq.0));
        sql.raw(",").text(&key.scope).raw(",").text(&key.key);
        sql.raw(",").bytes(&key.fingerprint).raw(",").number(at);
        sql.raw(",").number(answer.status);
        sql.raw(",").text(&answer.content_type);
        sql.raw(",").optional_text(answer.location.as_deref());
        sql.raw(",").optional_text(answer.etag.as_deref());
        sql.raw(",").bytes(&answer.body).raw(")");
    }
}
