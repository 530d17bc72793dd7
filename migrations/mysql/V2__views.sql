-- What people with a SQL prompt and reports read: stable names, readable values, times in UTC.
-- Write to nothing here. Each column is explained in docs/databases.md.
--
-- A decimal number has as many decimals in each row of a column. So amounts are texts with the
-- decimals of their currency, made of whole numbers; sums are to be made of the minor units.

-- The currencies whose amounts do not have two decimals, and how many minor units make a major one.
-- Read-only, for the views.
CREATE TABLE IF NOT EXISTS currency_decimals (
  currency varchar(3) NOT NULL PRIMARY KEY,
  decimals integer    NOT NULL,
  units    integer    NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO currency_decimals (currency, decimals, units) VALUES
  ('BIF', 0, 1), ('CLP', 0, 1), ('DJF', 0, 1), ('GNF', 0, 1), ('ISK', 0, 1), ('JPY', 0, 1),
  ('KMF', 0, 1), ('KRW', 0, 1), ('PYG', 0, 1), ('RWF', 0, 1), ('UGX', 0, 1), ('UYI', 0, 1),
  ('VND', 0, 1), ('VUV', 0, 1), ('XAF', 0, 1), ('XAG', 0, 1), ('XAU', 0, 1), ('XBA', 0, 1),
  ('XBB', 0, 1), ('XBC', 0, 1), ('XBD', 0, 1), ('XDR', 0, 1), ('XOF', 0, 1), ('XPD', 0, 1),
  ('XPF', 0, 1), ('XPT', 0, 1), ('XSU', 0, 1), ('XTS', 0, 1), ('XUA', 0, 1), ('XXX', 0, 1),
  ('BHD', 3, 1000), ('IQD', 3, 1000), ('JOD', 3, 1000), ('KWD', 3, 1000), ('LYD', 3, 1000),
  ('OMR', 3, 1000), ('TND', 3, 1000), ('CLF', 4, 10000), ('UYW', 4, 10000)
  ON DUPLICATE KEY UPDATE decimals = VALUES(decimals), units = VALUES(units);

-- The orders as they are now.
CREATE OR REPLACE VIEW order_list AS
  SELECT o.seq, o.id AS order_id, o.customer_id, s.name AS status, s.is_final, o.version,
         o.priority, o.process, o.process_version, o.step, o.attempt,
         CASE c.decimals WHEN 0 THEN CAST(o.total_minor AS CHAR)
           ELSE concat(o.total_minor DIV coalesce(c.units, 100), '.',
                       lpad(o.total_minor MOD coalesce(c.units, 100), coalesce(c.decimals, 2), '0'))
           END AS total,
         o.total_minor, o.currency, o.item_count, o.reason,
         json_unquote(json_extract(o.hold, '$.reason')) AS hold_reason,
         json_unquote(json_extract(o.hold, '$.by')) AS hold_by,
         timestamp('1970-01-01')
           + INTERVAL CAST(json_extract(o.hold, '$.since') AS signed) MICROSECOND AS hold_since,
         timestamp('1970-01-01')
           + INTERVAL CAST(json_extract(o.hold, '$.until') AS signed) MICROSECOND AS hold_until,
         timestamp('1970-01-01') + INTERVAL o.created_at MICROSECOND AS created_at,
         timestamp('1970-01-01') + INTERVAL o.imported_at MICROSECOND AS imported_at,
         timestamp('1970-01-01') + INTERVAL o.start_at MICROSECOND AS start_at,
         timestamp('1970-01-01') + INTERVAL o.expires_at MICROSECOND AS expires_at,
         timestamp('1970-01-01') + INTERVAL o.due_at MICROSECOND AS due_at,
         timestamp('1970-01-01') + INTERVAL o.started_at MICROSECOND AS started_at,
         timestamp('1970-01-01') + INTERVAL o.updated_at MICROSECOND AS updated_at,
         timestamp('1970-01-01') + INTERVAL o.ended_at MICROSECOND AS ended_at,
         o.payload
    FROM orders o JOIN order_status s ON s.status = o.status
         LEFT JOIN currency_decimals c ON c.currency = o.currency;

-- What was ordered: a row for each line. A plain text counts as one piece without a price.
CREATE OR REPLACE VIEW order_item AS
  SELECT o.id AS order_id, i.line, coalesce(i.sku, i.plain) AS sku,
         coalesce(i.quantity, 1) AS quantity,
         CASE c.decimals WHEN 0 THEN CAST(i.unit_price AS CHAR)
           ELSE concat(i.unit_price DIV coalesce(c.units, 100), '.',
                       lpad(i.unit_price MOD coalesce(c.units, 100), coalesce(c.decimals, 2), '0'))
           END AS unit_price,
         i.unit_price AS unit_price_minor,
         CASE c.decimals WHEN 0 THEN CAST(i.amount AS CHAR)
           ELSE concat(i.amount DIV coalesce(c.units, 100), '.',
                       lpad(i.amount MOD coalesce(c.units, 100), coalesce(c.decimals, 2), '0'))
           END AS amount,
         i.amount AS amount_minor, o.currency
    FROM orders o
         JOIN json_table(o.payload, '$.items[*]' COLUMNS (
           line       FOR ORDINALITY,
           plain      varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$',
           sku        varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.sku',
           quantity   bigint PATH '$.quantity',
           unit_price bigint PATH '$.unit_price',
           amount     bigint PATH '$.amount')) i
         LEFT JOIN currency_decimals c ON c.currency = o.currency;

-- What happened to orders: the journal, a row for each event.
CREATE OR REPLACE VIEW order_event AS
  SELECT concat(j.position, '-', e.number - 1) AS event_id, o.id AS order_id, e.version,
         CASE WHEN e.kind = 'accepted' AND e.status = 1 THEN 'order.scheduled'
              ELSE concat('order.', e.kind) END AS type,
         s.name AS status,
         timestamp('1970-01-01') + INTERVAL (j.at + e.after_us) MICROSECOND AS at,
         e.step, nullif(e.attempt, 0) AS attempt, e.reason, e.asked_by,
         CASE WHEN e.kind <> 'priority_changed'
              THEN timestamp('1970-01-01') + INTERVAL e.detail MICROSECOND END AS hold_until,
         CASE WHEN e.kind = 'priority_changed' THEN e.detail END AS priority,
         j.position
    FROM journal j
         JOIN json_table(j.entries, '$[*]' COLUMNS (
           number   FOR ORDINALITY,
           seq      bigint       PATH '$[0]',
           version  bigint       PATH '$[1]',
           kind     varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]',
           status   smallint     PATH '$[3]',
           after_us bigint       PATH '$[4]',
           step     varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[6]',
           attempt  integer      PATH '$[7]',
           reason   mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[9]',
           asked_by varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[10]',
           detail   bigint       PATH '$[11]')) e
         JOIN orders o ON o.seq = e.seq
         JOIN order_status s ON s.status = e.status;

-- The orders that wait for a person.
CREATE OR REPLACE VIEW dead_letter AS
  SELECT o.seq, o.id AS order_id, o.customer_id, o.priority, o.process, o.process_version, o.step,
         o.attempt, o.reason,
         timestamp('1970-01-01') + INTERVAL o.due_at MICROSECOND AS dead_since,
         timestamp('1970-01-01') + INTERVAL o.created_at MICROSECOND AS created_at,
         CASE c.decimals WHEN 0 THEN CAST(o.total_minor AS CHAR)
           ELSE concat(o.total_minor DIV coalesce(c.units, 100), '.',
                       lpad(o.total_minor MOD coalesce(c.units, 100), coalesce(c.decimals, 2), '0'))
           END AS total,
         o.total_minor, o.currency
    FROM orders o LEFT JOIN currency_decimals c ON c.currency = o.currency
   -- Every open order has no end, and those stand together in an index.
   WHERE o.status = 5 AND o.ended_at IS NULL;

-- For reports that were written for the service that `order_service` stands in for: its two tables
-- as they were. Orders that do not fit their columns are left out.
CREATE OR REPLACE VIEW compat_order_service_orders AS
  SELECT left(o.id, 36) AS order_id, left(o.customer_id, 36) AS user_id,
         CAST(o.total_minor / coalesce(c.units, 100) AS decimal(10, 2)) AS total_amount,
         CASE WHEN o.status <= 2 THEN 'Pending' WHEN o.status = 5 THEN 'Failed'
              WHEN o.status = 7 THEN 'Completed' WHEN o.status = 8 THEN 'Cancelled'
              WHEN o.status = 9 THEN 'Rejected' WHEN o.status = 10 THEN 'Expired'
              ELSE 'Processing' END AS status,
         timestamp('1970-01-01') + INTERVAL o.created_at DIV 1000000 SECOND AS created_at,
         CASE o.status WHEN 7 THEN timestamp('1970-01-01') + INTERVAL o.ended_at DIV 1000000 SECOND
              END AS completed_at
    FROM orders o LEFT JOIN currency_decimals c ON c.currency = o.currency
   WHERE o.process = 'order_service' AND char_length(o.id) <= 36
     AND char_length(o.customer_id) <= 36 AND coalesce(c.decimals, 2) <= 2
     AND o.total_minor DIV coalesce(c.units, 100) < 100000000;

CREATE OR REPLACE VIEW compat_order_service_order_items AS
  SELECT DISTINCT v.order_id, left(coalesce(i.sku, i.plain), 36) AS item_id
    FROM compat_order_service_orders v JOIN orders o ON o.id = v.order_id
         JOIN json_table(o.payload, '$.items[*]' COLUMNS (
           plain varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$',
           sku   varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.sku')) i
   WHERE char_length(coalesce(i.sku, i.plain)) <= 36;
