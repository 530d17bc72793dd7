//! The statements of a commit, each whole and prepared once for a connection.
//!
//! Every one of them first locks the shard's row under the commit's epoch and position, the fence:
//! if it is not there, nothing is written. Rows come as an array for each column, so that a commit
//! of any size takes the same statements.

use tokio_postgres::{Client, Error, Statement};

/// The fence: shard, epoch, and the position before the commit.
const HEAD: &str = "WITH head AS MATERIALIZED
  (SELECT lingering_to FROM shards WHERE shard = $1 AND epoch = $2 AND position = $3 FOR UPDATE)";

/// New orders to which nothing has happened yet. A taken id ends the transaction.
const INSERT_ACCEPTED: &str = "
INSERT INTO orders (seq, id, customer_id, process, process_version, priority, total_minor, currency,
                    item_count, created_at, start_at, expires_at, status, step, due_at, position,
                    hold, payload, version, attempt, updated_at)
SELECT n.seq, n.id, n.customer_id, n.process, n.process_version, n.priority, n.total_minor,
       n.currency, n.item_count, n.created_at, n.start_at, n.expires_at, n.status, n.step, n.due_at,
       n.position, n.hold::json, n.payload, 1, 0, n.created_at
  FROM head, unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::smallint[],
                    $10::bigint[], $11::text[], $12::integer[], $13::bigint[], $14::bigint[],
                    $15::bigint[], $16::smallint[], $17::text[], $18::bigint[], $19::bigint[],
                    $20::text[], $21::text[])
    AS n (seq, id, customer_id, process, process_version, priority, total_minor, currency,
          item_count, created_at, start_at, expires_at, status, step, due_at, position, hold,
          payload)";

/// New orders with all their columns. A taken id ends the transaction.
const INSERT_WHOLE: &str = "
INSERT INTO orders (seq, id, customer_id, process, process_version, priority, total_minor, currency,
                    item_count, created_at, start_at, expires_at, status, step, due_at, position,
                    hold, payload, imported_at, version, attempt, started_at, updated_at, lease,
                    target, ended_at, reason)
SELECT n.seq, n.id, n.customer_id, n.process, n.process_version, n.priority, n.total_minor,
       n.currency, n.item_count, n.created_at, n.start_at, n.expires_at, n.status, n.step, n.due_at,
       n.position, n.hold::json, n.payload, n.imported_at, n.version, n.attempt, n.started_at,
       n.updated_at, n.lease, n.target, n.ended_at, n.reason
  FROM head, unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::smallint[],
                    $10::bigint[], $11::text[], $12::integer[], $13::bigint[], $14::bigint[],
                    $15::bigint[], $16::smallint[], $17::text[], $18::bigint[], $19::bigint[],
                    $20::text[], $21::text[], $22::bigint[], $23::bigint[], $24::integer[],
                    $25::bigint[], $26::bigint[], $27::bigint[], $28::smallint[], $29::bigint[],
                    $30::text[])
    AS n (seq, id, customer_id, process, process_version, priority, total_minor, currency,
          item_count, created_at, start_at, expires_at, status, step, due_at, position, hold,
          payload, imported_at, version, attempt, started_at, updated_at, lease, target, ended_at,
          reason)";

/// New orders of which some may be left out: those whose key counts for another order ($31 to $33:
/// scopes, keys, the time before which a key is over), and those whose id is taken. Answers with
/// those that are stored, and with those whose key is taken. Keys that are over are removed.
const INSERT_FREE: &str = "
, n AS MATERIALIZED (
  SELECT * FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[],
                       $9::smallint[], $10::bigint[], $11::text[], $12::integer[], $13::bigint[],
                       $14::bigint[], $15::bigint[], $16::smallint[], $17::text[], $18::bigint[],
                       $19::bigint[], $20::text[], $21::text[], $22::bigint[], $23::bigint[],
                       $24::integer[], $25::bigint[], $26::bigint[], $27::bigint[],
                       $28::smallint[], $29::bigint[], $30::text[], $31::text[], $32::text[])
    AS n (seq, id, customer_id, process, process_version, priority, total_minor, currency,
          item_count, created_at, start_at, expires_at, status, step, due_at, position, hold,
          payload, imported_at, version, attempt, started_at, updated_at, lease, target, ended_at,
          reason, scope, key)
), taken AS MATERIALIZED (
  SELECT n.seq FROM n JOIN idempotency_keys k ON k.scope = n.scope AND k.key = n.key
   WHERE k.kept_at >= $33
), freed AS (
  DELETE FROM idempotency_keys k USING head, n
   WHERE k.scope = n.scope AND k.key = n.key AND k.kept_at < $33
), stored AS (
  INSERT INTO orders (seq, id, customer_id, process, process_version, priority, total_minor,
                      currency, item_count, created_at, start_at, expires_at, status, step, due_at,
                      position, hold, payload, imported_at, version, attempt, started_at,
                      updated_at, lease, target, ended_at, reason)
  SELECT n.seq, n.id, n.customer_id, n.process, n.process_version, n.priority, n.total_minor,
         n.currency, n.item_count, n.created_at, n.start_at, n.expires_at, n.status, n.step,
         n.due_at, n.position, n.hold::json, n.payload, n.imported_at, n.version, n.attempt,
         n.started_at, n.updated_at, n.lease, n.target, n.ended_at, n.reason
    FROM head, n WHERE n.seq NOT IN (SELECT seq FROM taken)
  ON CONFLICT (id) DO NOTHING
  RETURNING seq
)
SELECT seq, false FROM stored UNION ALL SELECT seq, true FROM taken";

/// Orders that changed, each to its latest state. A priority stands for what is beside the state:
/// without one, priority, hold and marks stay as they are. Those that ended linger no more.
const UPDATE: &str = "
, gone AS (
  DELETE FROM lingering l
   USING head, unnest($4::bigint[], $14::bigint[]) AS e (seq, ended_at)
   WHERE e.ended_at IS NOT NULL AND e.seq <= head.lingering_to AND l.seq = e.seq
)
UPDATE orders o
   SET status = c.status, version = c.version, step = c.step, attempt = c.attempt,
       started_at = c.started_at, updated_at = c.updated_at, due_at = c.due_at, lease = c.lease,
       target = c.target, ended_at = c.ended_at, position = c.position,
       reason = CASE WHEN c.keeps_reason THEN coalesce(c.reason, o.reason) ELSE c.reason END,
       priority = coalesce(c.priority, o.priority),
       hold = CASE WHEN c.priority IS NULL THEN o.hold ELSE c.hold::json END,
       marks = CASE WHEN c.priority IS NULL THEN o.marks ELSE c.marks::json END
  FROM head, unnest($4::bigint[], $5::smallint[], $6::bigint[], $7::text[], $8::integer[],
                    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::smallint[],
                    $14::bigint[], $15::text[], $16::bigint[], $17::boolean[], $18::smallint[],
                    $19::text[], $20::text[])
    AS c (seq, status, version, step, attempt, started_at, updated_at, due_at, lease, target,
          ended_at, reason, position, keeps_reason, priority, hold, marks)
 WHERE o.seq = c.seq";

/// What most commits have not: processes that are defined ($16 to $18), what steps said ($19 to
/// $22), and idempotency keys, of new orders ($23 to $31) and of changes ($34 to $42), kept at $43.
/// A taken key of an order ends the transaction; that of a change was free when it was decided, or
/// is over. With keys go old ones: of the $33 with the lowest numbers those that are over at $32.
/// Those from a time when the clock was ahead go to the end, so that they hold up nobody.
const BESIDE: &str = "
, defined AS (
  INSERT INTO processes (name, version, definition)
  SELECT p.name, p.version, p.definition::json
    FROM head, unnest($16::text[], $17::bigint[], $18::text[]) AS p (name, version, definition)
  ON CONFLICT DO NOTHING
), said AS (
  INSERT INTO step_outputs (seq, number, step, output)
  SELECT s.seq, s.number, s.step, s.output::json
    FROM head, unnest($19::bigint[], $20::smallint[], $21::text[], $22::text[])
      AS s (seq, number, step, output)
  ON CONFLICT (seq, number) DO UPDATE SET step = excluded.step, output = excluded.output
), kept AS (
  INSERT INTO idempotency_keys (seq, scope, key, fingerprint, kept_at, status, content_type,
                                location, etag, body)
  SELECT k.seq, k.scope, k.key, k.fingerprint, $43, k.status, k.content_type, k.location, k.etag,
         k.body
    FROM head, unnest($23::bigint[], $24::text[], $25::text[], $26::bytea[], $27::integer[],
                      $28::text[], $29::text[], $30::text[], $31::bytea[])
      AS k (seq, scope, key, fingerprint, status, content_type, location, etag, body)
), kept_of_changes AS (
  INSERT INTO idempotency_keys AS o (seq, scope, key, fingerprint, kept_at, status, content_type,
                                     location, etag, body)
  SELECT k.seq, k.scope, k.key, k.fingerprint, $43, k.status, k.content_type, k.location, k.etag,
         k.body
    FROM head, unnest($34::bigint[], $35::text[], $36::text[], $37::bytea[], $38::integer[],
                      $39::text[], $40::text[], $41::text[], $42::bytea[])
      AS k (seq, scope, key, fingerprint, status, content_type, location, etag, body)
  ON CONFLICT (scope, key) DO UPDATE
     SET number = DEFAULT, seq = excluded.seq, fingerprint = excluded.fingerprint,
         kept_at = excluded.kept_at, status = excluded.status,
         content_type = excluded.content_type, location = excluded.location,
         etag = excluded.etag, body = excluded.body
   WHERE o.kept_at < $32
), oldest AS MATERIALIZED (
  SELECT k.number, k.kept_at FROM head, idempotency_keys k ORDER BY k.number LIMIT $33
), pruned AS (
  DELETE FROM idempotency_keys
   WHERE number = ANY (ARRAY(SELECT number FROM oldest WHERE kept_at < $32))
), put_last AS (
  UPDATE idempotency_keys SET number = DEFAULT
   WHERE number = ANY (ARRAY(SELECT number FROM oldest WHERE kept_at > $43))
)";

/// The counters, the orders that have become old and are still open, the journal row and the
/// shard's head. Counters stop at the highest number there is. An order is old when 16384 further
/// ones were stored. Touches one row exactly if the fence was there.
const JOURNAL: &str = "
, d AS MATERIALIZED (
  SELECT * FROM unnest($9::text[], $10::smallint[], $11::smallint[], $12::bigint[])
    AS d (process, status, priority, orders)
), counted AS (
  UPDATE tally t SET orders = t.orders + d.orders
    FROM head, d
   WHERE t.shard = $1 AND t.process = d.process AND t.status = d.status
     AND t.priority = d.priority
  RETURNING t.process, t.status, t.priority
), counted_first AS (
  INSERT INTO tally (shard, process, status, priority, orders)
  SELECT $1, d.process, d.status, d.priority, greatest(d.orders, 0)
    FROM head, d
   WHERE (d.process, d.status, d.priority) NOT IN (SELECT process, status, priority FROM counted)
), x AS MATERIALIZED (
  SELECT * FROM unnest($13::text[], $14::bigint[], $15::bigint[])
    AS x (process, work_us, turnaround_s)
), timed AS (
  UPDATE tally_times t
     SET work_us = least(t.work_us::numeric + x.work_us, 9223372036854775807),
         turnaround_s = least(t.turnaround_s::numeric + x.turnaround_s, 9223372036854775807)
    FROM head, x
   WHERE t.shard = $1 AND t.process = x.process
  RETURNING t.process
), timed_first AS (
  INSERT INTO tally_times (shard, process, work_us, turnaround_s)
  SELECT $1, x.process, greatest(x.work_us, 0), greatest(x.turnaround_s, 0)
    FROM head, x
   WHERE x.process NOT IN (SELECT process FROM timed)
), lingered AS (
  INSERT INTO lingering (seq)
  SELECT o.seq FROM head, orders o
   WHERE o.seq > head.lingering_to AND o.seq <= $8::bigint - 16384 AND o.ended_at IS NULL
), written AS (
  INSERT INTO journal (position, epoch, at, entries, hash)
  SELECT $4, $2, $5, $6, $7 FROM head
)
UPDATE shards s SET position = $4, hash = $7, last_seq = greatest(s.last_seq, $8),
                    lingering_to = greatest(s.lingering_to, $8::bigint - 16384)
  FROM head WHERE shard = $1";

/// The statements of a commit on one connection.
pub(super) struct Statements {
    pub(super) insert_accepted: Statement,
    pub(super) insert_whole: Statement,
    pub(super) insert_free: Statement,
    pub(super) update: Statement,
    pub(super) journal: Statement,
    /// The same with what most commits have not.
    pub(super) journal_and_more: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let prepare = async |parts: &[&str]| client.prepare(&parts.concat()).await;
        Ok(Self {
            insert_accepted: prepare(&[HEAD, INSERT_ACCEPTED]).await?,
            insert_whole: prepare(&[HEAD, INSERT_WHOLE]).await?,
            insert_free: prepare(&[HEAD, INSERT_FREE]).await?,
            update: prepare(&[HEAD, UPDATE]).await?,
            journal: prepare(&[HEAD, JOURNAL]).await?,
            journal_and_more: prepare(&[HEAD, BESIDE, JOURNAL]).await?,
        })
    }
}
