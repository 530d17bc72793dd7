-- What orderd keeps, on SQLite. The schema is the first document to read: it says what an order is.
--
-- Money is in whole minor units (cents), time in whole microseconds since 1970 UTC. Numbers of
-- statuses are in `order_status`. Everything is written by one writer, in one kind of transaction:
-- the commit of a shard.

-- The ten statuses, and whether an order can still leave them. Read-only, for people and for joins.
CREATE TABLE order_status (
  status   INTEGER PRIMARY KEY,
  name     TEXT    NOT NULL UNIQUE,
  is_final INTEGER NOT NULL CHECK (is_final IN (0, 1))
) STRICT;

INSERT INTO order_status (status, name, is_final) VALUES
  (1, 'scheduled', 0), (2, 'pending', 0), (3, 'processing', 0), (4, 'waiting', 0), (5, 'dead', 0),
  (6, 'compensating', 0), (7, 'completed', 1), (8, 'cancelled', 1), (9, 'rejected', 1), (10, 'expired', 1);

-- One row for each shard: a single-writer engine. A small installation has exactly one, number 0.
CREATE TABLE shards (
  shard    INTEGER PRIMARY KEY CHECK (shard BETWEEN 0 AND 1023),
  -- Rises each time the shard is opened. A commit under another epoch is refused: its writer was
  -- taken over.
  epoch    INTEGER NOT NULL CHECK (epoch >= 1),
  -- The last commit, and the hash of its journal row.
  position INTEGER NOT NULL,
  hash     BLOB    NOT NULL CHECK (length(hash) = 32),
  -- The highest sequence number that was ever stored.
  last_seq INTEGER NOT NULL
) STRICT;

-- Every process version that an order pins, so that an open order can be finished by the steps it
-- began with.
CREATE TABLE processes (
  name       TEXT    NOT NULL,
  version    INTEGER NOT NULL CHECK (version >= 0),
  definition TEXT    NOT NULL CHECK (json_valid(definition)),
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- The orders. The key rises with each order, so that new rows always go to the end of the table:
-- that is what keeps accepting orders as fast with many millions of rows as with none.
CREATE TABLE orders (
  seq             INTEGER PRIMARY KEY,
  -- The id that clients use: theirs, or a UUIDv7 of ours. The only opinion of the store about new
  -- orders.
  id              TEXT    NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 64),

  -- What was ordered. These columns never change.
  customer_id     TEXT    NOT NULL CHECK (customer_id <> ''),
  process         TEXT    NOT NULL,
  process_version INTEGER NOT NULL,
  priority        INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 3),
  total_minor     INTEGER NOT NULL CHECK (total_minor >= 0),
  currency        TEXT    NOT NULL CHECK (length(currency) = 3),
  item_count      INTEGER NOT NULL CHECK (item_count >= 0),
  created_at      INTEGER NOT NULL,
  start_at        INTEGER,
  expires_at      INTEGER,
  -- When it came here, if another service had finished it before: then created_at is a time in its
  -- past, and does not rise with seq.
  imported_at     INTEGER CHECK (imported_at IS NULL OR (status >= 7 AND created_at <= imported_at)),

  -- Where it is in its life. A status carries its data, and only its own. The rules compare and never
  -- say IN: for that, SQLite would build a small table for each row it writes.
  status          INTEGER NOT NULL CHECK (status BETWEEN 1 AND 10),
  version         INTEGER NOT NULL CHECK (version >= 1),
  step            TEXT    NOT NULL,
  attempt         INTEGER NOT NULL CHECK (attempt >= 0),
  -- When its first step was started first; kept through retries and restarts.
  started_at      INTEGER CHECK (started_at IS NOT NULL OR (status <> 3 AND status <> 7)),
  updated_at      INTEGER NOT NULL,
  -- scheduled: when it starts; pending: when it may start; waiting: until when; dead: since when.
  due_at          INTEGER CHECK ((due_at IS NOT NULL) = (status <> 3 AND status < 6)),
  -- processing: number of the lease; with the epoch of its journal row it is the fence.
  lease           INTEGER CHECK ((lease IS NOT NULL) = (status = 3)),
  -- compensating: the final status it is on its way to.
  target          INTEGER CHECK ((target IS NOT NULL) = (status = 6) AND target BETWEEN 8 AND 10),
  -- final: when it ended.
  ended_at        INTEGER CHECK ((ended_at IS NOT NULL) = (status >= 7)),
  -- Why it is where it is, for people.
  reason          TEXT,
  -- The journal row that holds its last event: from there its history goes backwards.
  position        INTEGER NOT NULL,
  -- The hold that is open: a JSON object with reason, by, since and until. While it is there no
  -- further step starts; an order that has ended has none.
  hold            TEXT    CHECK (hold IS NULL OR (status < 7 AND json_valid(hold))),
  -- What is to be remembered of its steps: a JSON object with `signalled`, the places of steps that wait
  -- for a signal which has come; `begun`, those that may have had an effect which can be undone; and
  -- `undoing`, the number of the status that the order will have when that is undone. Few have any.
  marks           TEXT    CHECK (marks IS NULL OR json_valid(marks)),

  -- A JSON object with its items and, if given, address, notes and metadata.
  payload         TEXT    NOT NULL
) STRICT;

-- The open orders, for the restart and for lists of them. It holds nothing about the final ones, so
-- it stays as small as the backlog; its cost is in docs/decisions/0002.
CREATE INDEX orders_open ON orders (ended_at) WHERE ended_at IS NULL;

-- The orders that wait for a person, and those that are held back: few among many open ones. Others
-- pay one comparison each time they are written; figures are in docs/decisions/0003.
CREATE INDEX orders_dead ON orders (seq) WHERE status = 5;
CREATE INDEX orders_held ON orders (seq) WHERE hold IS NOT NULL;

-- The orders that were finished elsewhere, for lists by time. It costs the others nothing.
CREATE INDEX orders_imported ON orders (seq) WHERE imported_at IS NOT NULL;

-- What steps said about an order when they were done: labels and the like, for later steps and for
-- people. Most steps say nothing. A table of rows with numbers of their own: in one that is laid out by
-- its key, a bad page under one large output would hide its neighbours, too, whose keys are compared
-- with the whole of it.
CREATE TABLE step_outputs (
  seq    INTEGER NOT NULL,
  -- Place of the step in its process, from 0.
  number INTEGER NOT NULL CHECK (number >= 0),
  step   TEXT    NOT NULL,
  output TEXT    NOT NULL CHECK (json_valid(output)),
  PRIMARY KEY (seq, number)
) STRICT;

-- The orders, and with each what its steps said: a JSON array of [number, step, output], or NULL.
CREATE VIEW whole_orders AS
  SELECT o.*,
         CASE WHEN EXISTS (SELECT 1 FROM step_outputs WHERE seq = o.seq)
              THEN (SELECT json_group_array(json_array(number, step, output))
                      FROM step_outputs WHERE seq = o.seq)
         END AS outputs
    FROM orders o;

-- The journal: one row for each commit, with every transition in it, in order. Never changed.
-- `entries` is a JSON array of [seq, version, kind, status, microseconds after the row's time,
-- previous position, step, attempt, lease, reason, who asked, end of the hold or priority]; `hash` is
-- SHA-256 over the row before and this one.
CREATE TABLE journal (
  position INTEGER PRIMARY KEY,
  epoch    INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  entries  TEXT    NOT NULL,
  hash     BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- What was answered to requests that came with an idempotency key, so that the same request sent again
-- gets the same answer and makes nothing twice. Written in the transaction of the order or the change,
-- and removed some days later. Scopes are routes, with the order's id if it is in the path: a key counts
-- for one of them.
CREATE TABLE idempotency_keys (
  -- In this order they are looked at whether they are over: the oldest first, without an index.
  number       INTEGER PRIMARY KEY,
  scope        TEXT    NOT NULL,
  -- The client's; before it, in a batch, the order's place and a #.
  key          TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 300),
  -- SHA-256 of what was sent.
  fingerprint  BLOB    NOT NULL CHECK (length(fingerprint) = 32),
  -- The order that was made or changed; none if it was not exactly one.
  seq          INTEGER,
  kept_at      INTEGER NOT NULL,
  -- The answer as it left.
  status       INTEGER NOT NULL,
  content_type TEXT    NOT NULL,
  location     TEXT,
  etag         TEXT,
  body         BLOB    NOT NULL,
  UNIQUE (scope, key)
) STRICT;

-- How many orders of each process there are by status and priority; kept with each commit, equal to
-- a recount.
CREATE TABLE tally (
  shard    INTEGER NOT NULL,
  process  TEXT    NOT NULL,
  status   INTEGER NOT NULL CHECK (status BETWEEN 1 AND 10),
  priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 3),
  orders   INTEGER NOT NULL CHECK (orders >= 0),
  PRIMARY KEY (shard, process, status, priority)
) STRICT, WITHOUT ROWID;

-- How long the completed orders of each process took, summed up; kept with each commit, equal to a
-- recount.
CREATE TABLE tally_times (
  shard        INTEGER NOT NULL,
  process      TEXT    NOT NULL,
  -- From first start to completion, in microseconds.
  work_us      INTEGER NOT NULL CHECK (work_us >= 0),
  -- From accepted to completed, in whole seconds, each order rounded down.
  turnaround_s INTEGER NOT NULL CHECK (turnaround_s >= 0),
  PRIMARY KEY (shard, process)
) STRICT, WITHOUT ROWID;

-- Who is told what happens: receivers of webhooks. Written beside the commits of orders, never in
-- one: a receiver that is written twice or late is told something twice, and nothing is lost.
CREATE TABLE webhooks (
  id       TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
  -- What somebody asked for, a JSON object: url, filter, secrets, why it is paused.
  settings TEXT NOT NULL CHECK (json_valid(settings)),
  -- How far it is, a JSON object: the place in the journal up to which it was told everything.
  progress TEXT NOT NULL CHECK (json_valid(progress))
) STRICT, WITHOUT ROWID;

-- What became of deliveries to receivers: the newest thousand or so of each.
CREATE TABLE webhook_deliveries (
  number  INTEGER PRIMARY KEY,
  webhook TEXT    NOT NULL,
  -- A JSON object: event, try, time, status or error.
  report  TEXT    NOT NULL CHECK (json_valid(report))
) STRICT;

CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (webhook, number);
