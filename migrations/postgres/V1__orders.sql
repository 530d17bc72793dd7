-- What orderd keeps, on PostgreSQL. The schema is the first document to read: it says what an order
-- is.
--
-- Money is in whole minor units (cents), time in whole microseconds since 1970 UTC. Numbers of
-- statuses are in `order_status`. Everything is written by one writer, in one kind of transaction:
-- the commit of a shard. Texts that are looked up are compared byte for byte (COLLATE "C").

-- The ten statuses, and whether an order can still leave them. Read-only, for people and for joins.
CREATE TABLE order_status (
  status   smallint PRIMARY KEY CHECK (status BETWEEN 1 AND 10),
  name     text     NOT NULL UNIQUE,
  is_final boolean  NOT NULL
);

INSERT INTO order_status (status, name, is_final) VALUES
  (1, 'scheduled', false), (2, 'pending', false), (3, 'processing', false), (4, 'waiting', false),
  (5, 'dead', false), (6, 'compensating', false), (7, 'completed', true), (8, 'cancelled', true),
  (9, 'rejected', true), (10, 'expired', true);

-- One row for each shard: a single-writer engine. A small installation has exactly one, number 0.
-- Its row is written by every commit, so its page is kept nearly empty: then the old versions of the
-- row are cleared away on the spot.
CREATE TABLE shards (
  shard    smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 1023),
  -- Rises each time the shard is opened. A commit under another epoch is refused: its writer was
  -- taken over.
  epoch    bigint   NOT NULL CHECK (epoch >= 1),
  -- The last commit, and the hash of its journal row.
  position bigint   NOT NULL,
  hash     bytea    NOT NULL CHECK (length(hash) = 32),
  -- The highest sequence number that was ever stored.
  last_seq bigint   NOT NULL,
  -- Open orders up to this one are in `lingering`. It follows last_seq at a distance of 16384.
  lingering_to bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

-- Every process version that an order pins, so that an open order can be finished by the steps it
-- began with.
CREATE TABLE processes (
  name       text   COLLATE "C" NOT NULL,
  version    bigint NOT NULL CHECK (version >= 0),
  definition json   NOT NULL,
  PRIMARY KEY (name, version)
);

-- The orders. The key rises with each order, so that new rows always go to the end of the table and
-- of its index: that is what keeps accepting orders as fast with many millions of rows as with none.
--
-- A page is filled by half only. The rest is for the next state of its orders: as long as that fits
-- beside the one before, and no index has to know of it, a change of status costs one page and no
-- index (a "heap-only tuple"). That is why no index is over a column that usual changes touch: not
-- even a condition may name one. An order is half as costly this way, and the table no larger, because
-- every page would otherwise hold dead states that only vacuum removes.
CREATE TABLE orders (
  seq             bigint   PRIMARY KEY,
  -- The id that clients use: theirs, or a UUIDv7 of ours. The only opinion of the store about new
  -- orders.
  id              text     COLLATE "C" NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 64),

  -- What was ordered. These columns never change.
  customer_id     text     NOT NULL CHECK (customer_id <> ''),
  process         text     NOT NULL,
  process_version bigint   NOT NULL,
  priority        smallint NOT NULL CHECK (priority BETWEEN 1 AND 3),
  total_minor     bigint   NOT NULL CHECK (total_minor >= 0),
  currency        text     NOT NULL CHECK (length(currency) = 3),
  item_count      integer  NOT NULL CHECK (item_count >= 0),
  created_at      bigint   NOT NULL,
  start_at        bigint,
  expires_at      bigint,
  -- When it came here, if another service had finished it before: then created_at is a time in its
  -- past, and does not rise with seq.
  imported_at     bigint   CHECK (imported_at IS NULL OR (status >= 7 AND created_at <= imported_at)),

  -- Where it is in its life. A status carries its data, and only its own.
  status          smallint NOT NULL CHECK (status BETWEEN 1 AND 10),
  version         bigint   NOT NULL CHECK (version >= 1),
  step            text     NOT NULL,
  attempt         integer  NOT NULL CHECK (attempt >= 0),
  -- When its first step was started first; kept through retries and restarts.
  started_at      bigint   CHECK (started_at IS NOT NULL OR (status <> 3 AND status <> 7)),
  updated_at      bigint   NOT NULL,
  -- scheduled: when it starts; pending: when it may start; waiting: until when; dead: since when.
  due_at          bigint   CHECK ((due_at IS NOT NULL) = (status <> 3 AND status < 6)),
  -- processing: number of the lease; with the epoch of its journal row it is the fence.
  lease           bigint   CHECK ((lease IS NOT NULL) = (status = 3)),
  -- compensating: the final status it is on its way to.
  target          smallint CHECK ((target IS NOT NULL) = (status = 6) AND target BETWEEN 8 AND 10),
  -- final: when it ended.
  ended_at        bigint   CHECK ((ended_at IS NOT NULL) = (status >= 7)),
  -- Why it is where it is, for people.
  reason          text,
  -- The journal row that holds its last event: from there its history goes backwards.
  position        bigint   NOT NULL,
  -- The hold that is open: a JSON object with reason, by, since and until. While it is there no
  -- further step starts; an order that has ended has none.
  hold            json     CHECK (hold IS NULL OR status < 7),
  -- What is to be remembered of its steps: a JSON object with `signalled`, the places of steps that wait
  -- for a signal which has come; `begun`, those that may have had an effect which can be undone; and
  -- `undoing`, the number of the status that the order will have when that is undone. Few have any.
  marks           json,

  -- For the indexes below. Nothing unless it is so: most changes leave that as it is.
  is_dead         boolean  GENERATED ALWAYS AS (nullif(status = 5, false)) STORED,
  is_held         boolean  GENERATED ALWAYS AS (nullif(hold IS NOT NULL, false)) STORED,

  -- A JSON object with its items and, if given, address, notes and metadata. Last, so that a change
  -- writes only what stands before it to the log.
  payload         text     NOT NULL
) WITH (fillfactor = 50);

-- The dead and the held orders, for lists of them: few among many, and wanted when there is trouble.
CREATE INDEX orders_dead ON orders (seq) WHERE is_dead;
CREATE INDEX orders_held ON orders (seq) WHERE is_held;

-- The orders that were finished elsewhere, for lists by time. It costs the others nothing.
CREATE INDEX orders_imported ON orders (seq) WHERE imported_at IS NOT NULL;

-- The open orders that are old: behind them at least 16384 further ones were stored. A restart and
-- lists of open orders find them here, and the younger ones by looking at the last 16384 orders. So
-- an order that is done soon is in no list of open orders at all, and costs nobody anything.
CREATE TABLE lingering (
  seq bigint PRIMARY KEY
);

-- What steps said about an order when they were done: labels and the like, for later steps and for
-- people. Most steps say nothing.
CREATE TABLE step_outputs (
  seq    bigint   NOT NULL,
  -- Place of the step in its process, from 0.
  number smallint NOT NULL CHECK (number >= 0),
  step   text     NOT NULL,
  output json     NOT NULL,
  PRIMARY KEY (seq, number)
);

-- The orders, and with each what its steps said: a JSON array of [number, step, output], or NULL.
CREATE VIEW whole_orders AS
  SELECT o.seq, o.id, o.customer_id, o.process, o.process_version, o.priority, o.total_minor,
         o.currency, o.item_count, o.created_at, o.start_at, o.expires_at, o.imported_at, o.status,
         o.version, o.step, o.attempt, o.started_at, o.updated_at, o.due_at, o.lease, o.target,
         o.ended_at, o.reason, o.position, o.hold, o.marks, o.payload,
         (SELECT json_agg(json_build_array(s.number, s.step, s.output::text))
            FROM step_outputs s WHERE s.seq = o.seq) AS outputs,
         o.is_dead, o.is_held
    FROM orders o;

-- The journal: one row for each commit, with every transition in it, in order. Never changed.
-- `entries` is a JSON array of [seq, version, kind, status, microseconds after the row's time,
-- previous position, step, attempt, lease, reason, who asked, end of the hold or priority]; `hash` is
-- SHA-256 over the row before and this one.
CREATE TABLE journal (
  position bigint PRIMARY KEY,
  epoch    bigint NOT NULL,
  at       bigint NOT NULL,
  entries  text   NOT NULL,
  hash     bytea  NOT NULL CHECK (length(hash) = 32)
);

-- A long row is stored as it is: packing it would keep every answer waiting.
ALTER TABLE journal ALTER COLUMN entries SET STORAGE EXTERNAL;

-- What was answered to requests that came with an idempotency key, so that the same request sent again
-- gets the same answer and makes nothing twice. Written in the transaction of the order or the change,
-- and removed some days later. Scopes are routes, with the order's id if it is in the path: a key counts
-- for one of them.
CREATE TABLE idempotency_keys (
  -- In this order they are looked at whether they are over: the oldest first, without another index.
  number       bigint   GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  scope        text     COLLATE "C" NOT NULL,
  -- The client's; before it, in a batch, the order's place and a #.
  key          text     COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 300),
  -- SHA-256 of what was sent.
  fingerprint  bytea    NOT NULL CHECK (length(fingerprint) = 32),
  -- The order that was made or changed; none if it was not exactly one.
  seq          bigint,
  kept_at      bigint   NOT NULL,
  -- The answer as it left.
  status       integer  NOT NULL,
  content_type text     NOT NULL,
  location     text,
  etag         text,
  body         bytea    NOT NULL,
  UNIQUE (scope, key)
);

-- How many orders of each process there are by status and priority; kept with each commit, equal to
-- a recount.
CREATE TABLE tally (
  shard    smallint NOT NULL,
  process  text     COLLATE "C" NOT NULL,
  status   smallint NOT NULL CHECK (status BETWEEN 1 AND 10),
  priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 3),
  orders   bigint   NOT NULL CHECK (orders >= 0),
  PRIMARY KEY (shard, process, status, priority)
) WITH (fillfactor = 10);

-- How long the completed orders of each process took, summed up; kept with each commit, equal to a
-- recount.
CREATE TABLE tally_times (
  shard        smallint NOT NULL,
  process      text     COLLATE "C" NOT NULL,
  -- From first start to completion, in microseconds.
  work_us      bigint   NOT NULL CHECK (work_us >= 0),
  -- From accepted to completed, in whole seconds, each order rounded down.
  turnaround_s bigint   NOT NULL CHECK (turnaround_s >= 0),
  PRIMARY KEY (shard, process)
) WITH (fillfactor = 10);

-- Who is told what happens: receivers of webhooks. Written beside the commits of orders, never in
-- one: a receiver that is written twice or late is told something twice, and nothing is lost.
CREATE TABLE webhooks (
  id       text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
  -- What somebody asked for, a JSON object: url, filter, secrets, why it is paused.
  settings json NOT NULL,
  -- How far it is, a JSON object: the place in the journal up to which it was told everything.
  progress json NOT NULL
) WITH (fillfactor = 10);

-- What became of deliveries to receivers: the newest thousand or so of each.
CREATE TABLE webhook_deliveries (
  number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  webhook text COLLATE "C" NOT NULL,
  -- A JSON object: event, try, time, status or error.
  report  json NOT NULL
);

CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (webhook, number);
