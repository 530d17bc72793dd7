//! Rows that a statement looks for in its tables: a JSON array, which `JSON_TABLE` makes rows of.
//! Of all ways to give a statement rows it is the one that MySQL and MariaDB write alike.
//!
//! Texts name their character set: without it they have that of the database. Data only; what the
//! columns mean is in the schema.

use serde::ser::{Serialize, SerializeSeq, SerializeTuple, Serializer};

use super::text::Sql;
use crate::order::{Changed, Commit, ProcessTally, RequestKey, Seq};
use crate::store::beside::{hold_text, marks_text};
use crate::store::columns::StateColumns;

/// Everything that changes, in one statement: orders to their latest state, counters, and the
/// shard's row. A priority stands for what is beside the state of an order: without one, priority,
/// hold and marks stay as they are. Sums stop at the highest number there is.
pub(super) fn write(sql: &mut Sql, commit: &Commit, tallies: &[ProcessTally], hash: &[u8; 32]) {
    let last_seq = commit.created.last().map_or(Seq::default(), |it| it.seq);
    sql.raw("UPDATE shards s LEFT JOIN JSON_TABLE(");
    sql.text(&json(&Rows { commit, tallies }));
    sql.raw(
        ", '$[*]' COLUMNS (
           seq          bigint        PATH '$[0]'  ERROR ON ERROR,
           status       smallint      PATH '$[1]'  ERROR ON ERROR,
           version      bigint        PATH '$[2]'  ERROR ON ERROR,
           step         varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
                                      PATH '$[3]'  ERROR ON ERROR,
           attempt      integer       PATH '$[4]'  ERROR ON ERROR,
           started_at   bigint        PATH '$[5]'  ERROR ON ERROR,
           updated_at   bigint        PATH '$[6]'  ERROR ON ERROR,
           due_at       bigint        PATH '$[7]'  ERROR ON ERROR,
           lease        bigint        PATH '$[8]'  ERROR ON ERROR,
           target       smallint      PATH '$[9]'  ERROR ON ERROR,
           ended_at     bigint        PATH '$[10]' ERROR ON ERROR,
           reason       mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
                                      PATH '$[11]' ERROR ON ERROR,
           position     bigint        PATH '$[12]' ERROR ON ERROR,
           keeps_reason smallint      PATH '$[13]' ERROR ON ERROR,
           priority     smallint      PATH '$[14]' ERROR ON ERROR,
           hold         mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
                                      PATH '$[15]' ERROR ON ERROR,
           marks        mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
                                      PATH '$[16]' ERROR ON ERROR,
           process      varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
                                      PATH '$[17]' ERROR ON ERROR,
           orders       bigint        PATH '$[18]' ERROR ON ERROR,
           work_us      bigint        PATH '$[19]' ERROR ON ERROR,
           turnaround_s bigint        PATH '$[20]' ERROR ON ERROR)) c ON TRUE
         LEFT JOIN orders o ON o.seq = c.seq
         LEFT JOIN tally t ON c.orders IS NOT NULL AND t.shard = s.shard
                          AND t.process = c.process
                          AND t.status = c.status AND t.priority = c.priority
         LEFT JOIN tally_times x ON c.work_us IS NOT NULL AND x.shard = s.shard
                                AND x.process = c.process
         SET o.status = c.status, o.version = c.version, o.step = c.step, o.attempt = c.attempt,
             o.started_at = c.started_at, o.updated_at = c.updated_at, o.due_at = c.due_at,
             o.lease = c.lease, o.target = c.target, o.ended_at = c.ended_at,
             o.position = c.position,
             o.reason = IF(c.keeps_reason, coalesce(c.reason, o.reason), c.reason),
             o.hold = IF(c.priority IS NULL, o.hold, c.hold),
             o.marks = IF(c.priority IS NULL, o.marks, c.marks),
             o.priority = coalesce(c.priority, o.priority),
             t.orders = t.orders + c.orders,
             x.work_us =
               least(CAST(x.work_us AS DECIMAL(20)) + c.work_us, 9223372036854775807),
             x.turnaround_s =
               least(CAST(x.turnaround_s AS DECIMAL(20)) + c.turnaround_s, 9223372036854775807),
             s.last_seq = greatest(s.last_seq, ",
    );
    sql.number(last_seq.0).raw("), s.position = ");
    sql.number(commit.position.0).raw(", s.hash = ").bytes(hash);
    sql.raw(" WHERE s.shard = ").number(commit.shard.0);
}

/// Scopes and keys as the table `n`.
pub(super) fn keys<'a>(sql: &mut Sql, keys: impl Iterator<Item = &'a RequestKey>) {
    let keys: Vec<_> = keys.map(|key| (&*key.scope, &*key.key)).collect();
    sql.raw("JSON_TABLE(").text(&json(&keys));
    sql.raw(
        ", '$[*]' COLUMNS (
           scope varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
           `key` varchar(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]')) n",
    );
}

/// Texts and numbers always have a JSON form.
fn json(rows: &impl Serialize) -> String {
    serde_json::to_string(rows).unwrap_or_default()
}

/// The rows of a statement in which everything changes.
struct Rows<'a> {
    commit: &'a Commit,
    tallies: &'a [ProcessTally],
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(None)?;
        for changed in &self.commit.changed {
            rows.serialize_element(&ChangedRow(changed))?;
        }
        for change in self.tallies {
            for (status, priority, orders) in change.tally.nonzero() {
                rows.serialize_element(&CounterRow {
                    process: &change.process,
                    counter: Some((status.number(), priority.number(), orders)),
                    times: None,
                })?;
            }
            if (change.work_us, change.turnaround_s) != (0, 0) {
                rows.serialize_element(&CounterRow {
                    process: &change.process,
                    counter: None,
                    times: Some((change.work_us, change.turnaround_s)),
                })?;
            }
        }
        rows.end()
    }
}

/// An order in its latest state.
struct ChangedRow<'a>(&'a Changed);

impl Serialize for ChangedRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(changed) = self;
        let state = &changed.state;
        let columns = StateColumns::of(state.status);
        let beside = changed.beside.as_deref();
        let hold = beside.and_then(|beside| beside.hold.as_ref());
        let mut row = serializer.serialize_tuple(17)?;
        row.serialize_element(&changed.seq.0)?;
        row.serialize_element(&columns.status)?;
        row.serialize_element(&state.version)?;
        row.serialize_element(&*state.step)?;
        row.serialize_element(&state.attempt)?;
        row.serialize_element(&state.started_at.map(|time| time.0))?;
        row.serialize_element(&state.updated_at.0)?;
        row.serialize_element(&columns.due_at)?;
        row.serialize_element(&columns.lease)?;
        row.serialize_element(&columns.target)?;
        row.serialize_element(&columns.ended_at)?;
        row.serialize_element(&state.reason.as_deref())?;
        row.serialize_element(&state.position.0)?;
        row.serialize_element(&u8::from(changed.keeps_reason))?;
        row.serialize_element(&beside.map(|beside| beside.priority.number()))?;
        row.serialize_element(&hold.map(hold_text))?;
        row.serialize_element(&beside.and_then(|beside| marks_text(&beside.marks)))?;
        row.end()
    }
}

/// How a counter changes, or the sums of times.
struct CounterRow<'a> {
    process: &'a str,
    counter: Option<(u8, u8, i64)>,
    times: Option<(i64, i64)>,
}

impl Serialize for CounterRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_tuple(21)?;
        for place in 0..17 {
            row.serialize_element(&match place {
                1 => self.counter.map(|(status, ..)| status),
                14 => self.counter.map(|(_, priority, _)| priority),
                _ => None,
            })?;
        }
        row.serialize_element(self.process)?;
        row.serialize_element(&self.counter.map(|(.., orders)| orders))?;
        row.serialize_element(&self.times.map(|(work_us, _)| work_us))?;
        row.serialize_element(&self.times.map(|(_, turnaround_s)| turnaround_s))?;
        row.end()
    }
}
