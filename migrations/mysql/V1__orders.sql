-- What orderd keeps, on MySQL and MariaDB. The schema is the first document to read: it says what an
-- order is.
--
-- Money is in whole minor units (cents), time in whole microseconds since 1970 UTC. Numbers of
-- statuses are in `order_status`. Everything is written by one writer, in one kind of transaction:
-- the commit of a shard. Texts are compared byte for byte (utf8mb4_bin).
--
-- Neither server can take back the making of a table, so each statement may be run again: a start
-- that breaks off is gone on with by the next one.

-- The ten statuses, and whether an order can still leave them. Read-only, for people and for joins.
CREATE TABLE IF NOT EXISTS order_status (
  status   smallint    NOT NULL PRIMARY KEY,
  name     varchar(64) NOT NULL UNIQUE,
  is_final boolean     NOT NULL,
  CONSTRAINT order_status_status CHECK (status BETWEEN 1 AND 10),
  CONSTRAINT order_status_is_final CHECK (is_final IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO order_status (status, name, is_final) VALUES
  (1, 'scheduled', 0), (2, 'pending', 0), (3, 'processing', 0), (4, 'waiting', 0), (5, 'dead', 0),
  (6, 'compensating', 0), (7, 'completed', 1), (8, 'cancelled', 1), (9, 'rejected', 1),
  (10, 'expired', 1)
  ON DUPLICATE KEY UPDATE is_final = VALUES(is_final);

-- One row for each shard: a single-writer engine. A small installation has exactly one, number 0.
CREATE TABLE IF NOT EXISTS shards (
  shard    smallint      NOT NULL PRIMARY KEY,
  -- Rises each time the shard is opened. A commit under another epoch is refused: its writer was
  -- taken over.
  epoch    bigint        NOT NULL,
  -- The last commit, and the hash of its journal row.
  position bigint        NOT NULL,
  hash     varbinary(32) NOT NULL,
  -- The highest sequence number that was ever stored.
  last_seq bigint        NOT NULL,
  CONSTRAINT shards_shard CHECK (shard BETWEEN 0 AND 1023),
  CONSTRAINT shards_epoch CHECK (epoch >= 1),
  CONSTRAINT shards_hash CHECK (length(hash) = 32)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Every process version that an order pins, so that an open order can be finished by the steps it
-- began with. JSON is kept as text, here and below: a column of the type JSON would change how it is
-- written.
CREATE TABLE IF NOT EXISTS processes (
  name       varchar(255) NOT NULL,
  version    bigint       NOT NULL,
  definition longtext     NOT NULL,
  PRIMARY KEY (name, version),
  CONSTRAINT processes_version CHECK (version >= 0),
  CONSTRAINT processes_definition CHECK (json_valid(definition))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The orders. The key rises with each order, so that new rows always go to the end of the table: that
-- is what keeps accepting orders as fast with many millions of rows as with none.
CREATE TABLE IF NOT EXISTS orders (
  seq             bigint       NOT NULL PRIMARY KEY,
  -- The id that clients use: theirs, or a UUIDv7 of ours. The only opinion of the store about new
  -- orders.
  id              varchar(64)  NOT NULL,

  -- What was ordered. These columns never change.
  customer_id     varchar(255) NOT NULL,
  process         varchar(255) NOT NULL,
  process_version bigint       NOT NULL,
  priority        smallint     NOT NULL,
  total_minor     bigint       NOT NULL,
  currency        varchar(3)   NOT NULL,
  item_count      integer      NOT NULL,
  created_at      bigint       NOT NULL,
  start_at        bigint,
  expires_at      bigint,
  -- When it came here, if another service had finished it before: then created_at is a time in its
  -- past, and does not rise with seq.
  imported_at     bigint,

  -- Where it is in its life. A status carries its data, and only its own.
  status          smallint     NOT NULL,
  version         bigint       NOT NULL,
  step            varchar(255) NOT NULL,
  attempt         integer      NOT NULL,
  -- When its first step was started first; kept through retries and restarts.
  started_at      bigint,
  updated_at      bigint       NOT NULL,
  -- scheduled: when it starts; pending: when it may start; waiting: until when; dead: since when.
  due_at          bigint,
  -- processing: number of the lease; with the epoch of its journal row it is the fence.
  lease           bigint,
  -- compensating: the final status it is on its way to.
  target          smallint,
  -- final: when it ended.
  ended_at        bigint,
  -- Why it is where it is, for people.
  reason          mediumtext,
  -- The journal row that holds its last event: from there its history goes backwards.
  position        bigint       NOT NULL,
  -- The hold that is open: a JSON object with reason, by, since and until. While it is there no
  -- further step starts; an order that has ended has none.
  hold            mediumtext,
  -- What is to be remembered of its steps: a JSON object with `signalled`, the places of steps that wait
  -- for a signal which has come; `begun`, those that may have had an effect which can be undone; and
  -- `undoing`, the number of the status that the order will have when that is undone. Few have any.
  marks           mediumtext,

  -- A JSON object with its items and, if given, address, notes and metadata.
  payload         longtext     NOT NULL,

  CONSTRAINT orders_id UNIQUE (id),
  CONSTRAINT orders_id_length CHECK (char_length(id) BETWEEN 1 AND 64),
  -- By its length, because a text of blanks is equal to none.
  CONSTRAINT orders_customer_id CHECK (char_length(customer_id) > 0),
  CONSTRAINT orders_priority CHECK (priority BETWEEN 1 AND 3),
  CONSTRAINT orders_total CHECK (total_minor >= 0 AND char_length(currency) = 3),
  CONSTRAINT orders_item_count CHECK (item_count >= 0),
  CONSTRAINT orders_imported_at
    CHECK (imported_at IS NULL OR (status >= 7 AND created_at <= imported_at)),
  CONSTRAINT orders_status CHECK (status BETWEEN 1 AND 10),
  CONSTRAINT orders_version CHECK (version >= 1),
  CONSTRAINT orders_attempt CHECK (attempt >= 0),
  CONSTRAINT orders_started_at
    CHECK (started_at IS NOT NULL OR (status <> 3 AND status <> 7)),
  CONSTRAINT orders_due_at CHECK ((due_at IS NOT NULL) = (status <> 3 AND status < 6)),
  CONSTRAINT orders_lease CHECK ((lease IS NOT NULL) = (status = 3)),
  CONSTRAINT orders_target
    CHECK ((target IS NOT NULL) = (status = 6) AND (target IS NULL OR target BETWEEN 8 AND 10)),
  CONSTRAINT orders_ended_at CHECK ((ended_at IS NOT NULL) = (status >= 7)),
  CONSTRAINT orders_hold CHECK (hold IS NULL OR (status < 7 AND json_valid(hold))),
  CONSTRAINT orders_marks CHECK (marks IS NULL OR json_valid(marks)),
  -- The open orders stand together at its beginning, by their numbers: for the restart and for lists
  -- of them. There are no indexes of some rows only, so the ended ones are in it, too, at its end.
  KEY orders_open (ended_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The orders that were finished elsewhere, for lists by time. A table of its own, so that it costs the
-- others nothing.
CREATE TABLE IF NOT EXISTS imported_orders (
  seq bigint NOT NULL PRIMARY KEY
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What steps said about an order when they were done: labels and the like, for later steps and for
-- people. Most steps say nothing.
CREATE TABLE IF NOT EXISTS step_outputs (
  seq    bigint       NOT NULL,
  -- Place of the step in its process, from 0.
  number smallint     NOT NULL,
  step   varchar(255) NOT NULL,
  output longtext     NOT NULL,
  PRIMARY KEY (seq, number),
  CONSTRAINT step_outputs_number CHECK (number >= 0),
  CONSTRAINT step_outputs_output CHECK (json_valid(output))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The journal: one row for each commit, with every transition in it, in order. Never changed.
-- `entries` is a JSON array of [seq, version, kind, status, microseconds after the row's time,
-- previous position, step, attempt, lease, reason, who asked, end of the hold or priority]; `hash` is
-- SHA-256 over the row before and this one.
CREATE TABLE IF NOT EXISTS journal (
  position bigint        NOT NULL PRIMARY KEY,
  epoch    bigint        NOT NULL,
  at       bigint        NOT NULL,
  entries  longtext      NOT NULL,
  hash     varbinary(32) NOT NULL,
  CONSTRAINT journal_hash CHECK (length(hash) = 32)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was answered to requests that came with an idempotency key, so that the same request sent again
-- gets the same answer and makes nothing twice. Written in the transaction of the order or the change,
-- and removed some days later. Scopes are routes, with the order's id if it is in the path: a key counts
-- for one of them.
CREATE TABLE IF NOT EXISTS idempotency_keys (
  number       bigint        NOT NULL AUTO_INCREMENT PRIMARY KEY,
  scope        varchar(255)  NOT NULL,
  -- The client's; before it, in a batch, the order's place and a #.
  `key`        varchar(300)  NOT NULL,
  -- SHA-256 of what was sent.
  fingerprint  varbinary(32) NOT NULL,
  -- The order that was made or changed; none if it was not exactly one.
  seq          bigint,
  kept_at      bigint        NOT NULL,
  -- The answer as it left.
  status       integer       NOT NULL,
  content_type varchar(255)  NOT NULL,
  location     text,
  etag         text,
  body         longblob      NOT NULL,
  -- The oldest are removed first. Grows at its end, unless a clock was ahead.
  KEY idempotency_keys_kept_at (kept_at),
  CONSTRAINT idempotency_keys_key UNIQUE (scope, `key`),
  CONSTRAINT idempotency_keys_key_length CHECK (char_length(`key`) BETWEEN 1 AND 300),
  CONSTRAINT idempotency_keys_fingerprint CHECK (length(fingerprint) = 32)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How many orders of each process there are by status and priority; kept with each commit, equal to
-- a recount.
CREATE TABLE IF NOT EXISTS tally (
  shard    smallint     NOT NULL,
  process  varchar(255) NOT NULL,
  status   smallint     NOT NULL,
  priority smallint     NOT NULL,
  orders   bigint       NOT NULL,
  PRIMARY KEY (shard, process, status, priority),
  CONSTRAINT tally_status CHECK (status BETWEEN 1 AND 10),
  CONSTRAINT tally_priority CHECK (priority BETWEEN 1 AND 3),
  CONSTRAINT tally_orders CHECK (orders >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How long the completed orders of each process took, summed up; kept with each commit, equal to a
-- recount.
CREATE TABLE IF NOT EXISTS tally_times (
  shard        smallint     NOT NULL,
  process      varchar(255) NOT NULL,
  -- From first start to completion, in microseconds.
  work_us      bigint       NOT NULL,
  -- From accepted to completed, in whole seconds, each order rounded down.
  turnaround_s bigint       NOT NULL,
  PRIMARY KEY (shard, process),
  CONSTRAINT tally_times_work CHECK (work_us >= 0),
  CONSTRAINT tally_times_turnaround CHECK (turnaround_s >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who is told what happens: receivers of webhooks. Written beside the commits of orders, never in
-- one: a receiver that is written twice or late is told something twice, and nothing is lost.
CREATE TABLE IF NOT EXISTS webhooks (
  id       varchar(64) NOT NULL PRIMARY KEY,
  -- What somebody asked for, a JSON object: url, filter, secrets, why it is paused.
  settings mediumtext  NOT NULL,
  -- How far it is, a JSON object: the place in the journal up to which it was told everything.
  progress mediumtext  NOT NULL,
  CONSTRAINT webhooks_id CHECK (char_length(id) BETWEEN 1 AND 64),
  CONSTRAINT webhooks_settings CHECK (json_valid(settings)),
  CONSTRAINT webhooks_progress CHECK (json_valid(progress))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What became of deliveries to receivers: the newest thousand or so of each.
CREATE TABLE IF NOT EXISTS webhook_deliveries (
  number  bigint      NOT NULL AUTO_INCREMENT PRIMARY KEY,
  webhook varchar(64) NOT NULL,
  -- A JSON object: event, try, time, status or error.
  report  mediumtext  NOT NULL,
  CONSTRAINT webhook_deliveries_report CHECK (json_valid(report)),
  KEY webhook_deliveries_newest (webhook, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
