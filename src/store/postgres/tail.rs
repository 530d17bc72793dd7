//! The last statement of a commit: counters, journal row and the shard's head, and what most
//! commits have not.
//!
//! Everything here depends on which orders are stored; the hash is made here, not in SQL.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Statement;

use super::arrays::{Keys, Values};
use super::statements::Statements;
use crate::order::{Commit, Receipt, Seq, ShardNumber};
use crate::store::{StoreError, journal};

/// The values of the last statement.
pub(super) struct Tail<'a> {
    position: i64,
    at: i64,
    entries: String,
    pub(super) hash: [u8; 32],
    hash_bytes: Vec<u8>,
    last_seq: i64,
    counts: Counts,
    times: Times,
    /// `None` in most commits.
    beside: Option<Beside<'a>>,
}

#[derive(Default)]
struct Counts {
    process: Vec<String>,
    status: Vec<i16>,
    priority: Vec<i16>,
    orders: Vec<i64>,
}

#[derive(Default)]
struct Times {
    process: Vec<String>,
    work_us: Vec<i64>,
    turnaround_s: Vec<i64>,
}

#[derive(Default)]
struct Beside<'a> {
    names: Vec<&'a str>,
    versions: Vec<i64>,
    definitions: Vec<String>,
    output_seqs: Vec<i64>,
    output_numbers: Vec<i16>,
    output_steps: Vec<&'a str>,
    outputs: Vec<&'a str>,
    keys: Keys<'a>,
    change_keys: Keys<'a>,
    expired_before: i64,
    pruned_max: i64,
    kept_at: i64,
}

impl<'a> Tail<'a> {
    /// What to write if the orders of the receipt are left out. `before` is the hash of the journal
    /// row before.
    pub(super) fn new(
        commit: &'a Commit,
        receipt: &Receipt,
        before: &[u8; 32],
    ) -> Result<Self, StoreError> {
        let collided = &receipt.collided;
        let entries = journal::encode(commit.at, commit.surviving_events(collided));
        let hash = journal::hash(before, commit.position, commit.epoch, commit.at, &entries);
        let (mut counts, mut times) = (Counts::default(), Times::default());
        for change in commit.tally_changes(collided).iter() {
            for (status, priority, orders) in change.tally.nonzero() {
                counts.process.push(change.process.to_string());
                counts.status.push(status.number().into());
                counts.priority.push(priority.number().into());
                counts.orders.push(orders);
            }
            if (change.work_us, change.turnaround_s) != (0, 0) {
                times.process.push(change.process.to_string());
                times.work_us.push(change.work_us);
                times.turnaround_s.push(change.turnaround_s);
            }
        }
        let last_seq = commit.created.last().map_or(Seq::default(), |it| it.seq);
        Ok(Self {
            position: commit.position.0,
            at: commit.at.0,
            entries,
            hash,
            hash_bytes: hash.to_vec(),
            last_seq: last_seq.0,
            counts,
            times,
            beside: Beside::of(commit, receipt)?,
        })
    }

    /// The statement that takes the values.
    pub(super) fn statement<'s>(&self, statements: &'s Statements) -> &'s Statement {
        match self.beside {
            None => &statements.journal,
            Some(_) => &statements.journal_and_more,
        }
    }

    /// The values from `$4` on.
    pub(super) fn values(&self) -> Values<'_> {
        let mut values: Values<'_> = vec![
            &self.position,
            &self.at,
            &self.entries,
            &self.hash_bytes,
            &self.last_seq,
            &self.counts.process,
            &self.counts.status,
            &self.counts.priority,
            &self.counts.orders,
            &self.times.process,
            &self.times.work_us,
            &self.times.turnaround_s,
        ];
        if let Some(beside) = &self.beside {
            values.extend(beside.values());
        }
        values
    }
}

impl<'a> Beside<'a> {
    fn of(commit: &'a Commit, receipt: &Receipt) -> Result<Option<Self>, StoreError> {
        let keys = commit.keys.len() + commit.change_keys.len();
        if commit.definitions.is_empty() && commit.outputs.is_empty() && keys == 0 {
            return Ok(None);
        }
        let mut beside = Self {
            expired_before: commit.keys_expired_before.0,
            pruned_max: i64::try_from(2 * keys).unwrap_or(i64::MAX),
            kept_at: commit.keys_kept_at.0,
            ..Self::default()
        };
        for process in &commit.definitions {
            let definition = serde_json::to_string(process);
            let definition = definition.map_err(|error| StoreError::Refused {
                detail: error.to_string(),
            })?;
            beside.names.push(&process.name);
            beside.versions.push(process.version.into());
            beside.definitions.push(definition);
        }
        // One statement writes a row once: of two outputs of a step the later one counts.
        let latest = commit.outputs.iter().map(|it| ((it.seq, it.number), it));
        for ((seq, number), it) in latest.collect::<BTreeMap<_, _>>() {
            beside.output_seqs.push(seq.0);
            beside.output_numbers.push(number.into());
            beside.output_steps.push(&it.output.step);
            beside.outputs.push(&it.output.output);
        }
        for record in &commit.keys {
            if receipt.collided.binary_search(&record.created).is_err() {
                let seq = commit.created[record.created].seq;
                beside.keys.push(Some(seq), &record.key, &record.answer);
            }
        }
        let mut known = BTreeSet::new();
        for kept in &commit.change_keys {
            if known.insert((&*kept.key.scope, &*kept.key.key)) {
                beside.change_keys.push(kept.seq, &kept.key, &kept.answer);
            }
        }
        Ok(Some(beside))
    }

    fn values(&self) -> Values<'_> {
        let mut values: Values<'_> = vec![
            &self.names,
            &self.versions,
            &self.definitions,
            &self.output_seqs,
            &self.output_numbers,
            &self.output_steps,
            &self.outputs,
        ];
        values.extend(self.keys.values());
        let expiry: Values<'_> = vec![&self.expired_before, &self.pruned_max];
        values.extend(expiry);
        values.extend(self.change_keys.values());
        values.push(&self.kept_at);
        values
    }
}

/// The number of a shard as its column has it.
pub(super) fn small(shard: ShardNumber) -> Result<i16, StoreError> {
    i16::try_from(shard.0).map_err(|_| StoreError::Refused {
        detail: format!("there can be no shard {}", shard.0),
    })
}
