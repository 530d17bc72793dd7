-- What people with a SQL prompt and reports read: stable names, readable values, times in UTC.
-- Write to nothing here. Each column is explained in docs/databases.md.
--
-- SQLite has neither decimal numbers nor times. So amounts are texts with the decimals of their
-- currency, made of whole numbers, and times are texts that sort like times.

-- The currencies whose amounts do not have two decimals, and how many minor units make a major one.
-- Read-only, for the views.
CREATE TABLE currency_decimals (
  currency TEXT    NOT NULL PRIMARY KEY,
  decimals INTEGER NOT NULL,
  units    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO currency_decimals (currency, decimals, units) VALUES
  ('BIF', 0, 1), ('CLP', 0, 1), ('DJF', 0, 1), ('GNF', 0, 1), ('ISK', 0, 1), ('JPY', 0, 1),
  ('KMF', 0, 1), ('KRW', 0, 1), ('PYG', 0, 1), ('RWF', 0, 1), ('UGX', 0, 1), ('UYI', 0, 1),
  ('VND', 0, 1), ('VUV', 0, 1), ('XAF', 0, 1), ('XAG', 0, 1), ('XAU', 0, 1), ('XBA', 0, 1),
  ('XBB', 0, 1), ('XBC', 0, 1), ('XBD', 0, 1), ('XDR', 0, 1), ('XOF', 0, 1), ('XPD', 0, 1),
  ('XPF', 0, 1), ('XPT', 0, 1), ('XSU', 0, 1), ('XTS', 0, 1), ('XUA', 0, 1), ('XXX', 0, 1),
  ('BHD', 3, 1000), ('IQD', 3, 1000), ('JOD', 3, 1000), ('KWD', 3, 1000), ('LYD', 3, 1000),
  ('OMR', 3, 1000), ('TND', 3, 1000), ('CLF', 4, 10000), ('UYW', 4, 10000);

-- The orders as they are now.
CREATE VIEW order_list AS
  SELECT o.seq, o.id AS order_id, o.customer_id, s.name AS status, s.is_final, o.version,
         o.priority, o.process, o.process_version, o.step, o.attempt,
         CASE c.decimals WHEN 0 THEN CAST(o.total_minor AS TEXT)
           ELSE printf('%d.%0*d', o.total_minor / coalesce(c.units, 100), coalesce(c.decimals, 2),
                       o.total_minor % coalesce(c.units, 100)) END AS total,
         o.total_minor, o.currency, o.item_count, o.reason,
         o.hold ->> 'reason' AS hold_reason, o.hold ->> 'by' AS hold_by,
         strftime('%Y-%m-%dT%H:%M:%S', (o.hold ->> 'since') / 1000000, 'unixepoch')
           || printf('.%06dZ', (o.hold ->> 'since') % 1000000) AS hold_since,
         strftime('%Y-%m-%dT%H:%M:%S', (o.hold ->> 'until') / 1000000, 'unixepoch')
           || printf('.%06dZ', (o.hold ->> 'until') % 1000000) AS hold_until,
         strftime('%Y-%m-%dT%H:%M:%S', o.created_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.created_at % 1000000) AS created_at,
         strftime('%Y-%m-%dT%H:%M:%S', o.imported_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.imported_at % 1000000) AS imported_at,
         strftime('%Y-%m-%dT%H:%M:%S', o.start_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.start_at % 1000000) AS start_at,
         strftime('%Y-%m-%dT%H:%M:%S', o.expires_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.expires_at % 1000000) AS expires_at,
         strftime('%Y-%m-%dT%H:%M:%S', o.due_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.due_at % 1000000) AS due_at,
         strftime('%Y-%m-%dT%H:%M:%S', o.started_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.started_at % 1000000) AS started_at,
         strftime('%Y-%m-%dT%H:%M:%S', o.updated_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.updated_at % 1000000) AS updated_at,
         strftime('%Y-%m-%dT%H:%M:%S', o.ended_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.ended_at % 1000000) AS ended_at,
         o.payload
    FROM orders o JOIN order_status s USING (status) LEFT JOIN currency_decimals c USING (currency);

-- What was ordered: a row for each line. A plain text counts as one piece without a price.
CREATE VIEW order_item AS
  SELECT l.order_id, l.line, coalesce(l.plain, l.goods ->> 'sku') AS sku,
         CASE WHEN l.plain IS NULL THEN l.goods ->> 'quantity' ELSE 1 END AS quantity,
         CASE WHEN c.decimals = 0 OR l.unit_price IS NULL THEN CAST(l.unit_price AS TEXT)
           ELSE printf('%d.%0*d', l.unit_price / coalesce(c.units, 100), coalesce(c.decimals, 2),
                       l.unit_price % coalesce(c.units, 100)) END AS unit_price,
         l.unit_price AS unit_price_minor,
         CASE WHEN c.decimals = 0 OR l.amount IS NULL THEN CAST(l.amount AS TEXT)
           ELSE printf('%d.%0*d', l.amount / coalesce(c.units, 100), coalesce(c.decimals, 2),
                       l.amount % coalesce(c.units, 100)) END AS amount,
         l.amount AS amount_minor, l.currency
    FROM (SELECT g.*, g.goods ->> 'unit_price' AS unit_price, g.goods ->> 'amount' AS amount
            FROM (SELECT o.id AS order_id, i.key + 1 AS line, o.currency,
                         CASE i.type WHEN 'text' THEN i.value END AS plain,
                         CASE i.type WHEN 'object' THEN i.value END AS goods
                    FROM orders o, json_each(o.payload, '$.items') i) g) l
         LEFT JOIN currency_decimals c USING (currency);

-- What happened to orders: the journal, a row for each event.
CREATE VIEW order_event AS
  SELECT j.position || '-' || e.key AS event_id, o.id AS order_id, e.value ->> 1 AS version,
         CASE WHEN e.value ->> 2 = 'accepted' AND e.value ->> 3 = 1 THEN 'order.scheduled'
              ELSE 'order.' || (e.value ->> 2) END AS type,
         s.name AS status,
         strftime('%Y-%m-%dT%H:%M:%S', (j.at + (e.value ->> 4)) / 1000000, 'unixepoch')
           || printf('.%06dZ', (j.at + (e.value ->> 4)) % 1000000) AS at,
         e.value ->> 6 AS step, nullif(e.value ->> 7, 0) AS attempt, e.value ->> 9 AS reason,
         e.value ->> 10 AS asked_by,
         CASE WHEN e.value ->> 2 <> 'priority_changed'
           THEN strftime('%Y-%m-%dT%H:%M:%S', (e.value ->> 11) / 1000000, 'unixepoch')
                || printf('.%06dZ', (e.value ->> 11) % 1000000) END AS hold_until,
         CASE WHEN e.value ->> 2 = 'priority_changed' THEN e.value ->> 11 END AS priority,
         j.position
    FROM journal j, json_each(j.entries) e
    JOIN orders o ON o.seq = e.value ->> 0
    JOIN order_status s ON s.status = e.value ->> 3;

-- The orders that wait for a person.
CREATE VIEW dead_letter AS
  SELECT o.seq, o.id AS order_id, o.customer_id, o.priority, o.process, o.process_version, o.step,
         o.attempt, o.reason,
         strftime('%Y-%m-%dT%H:%M:%S', o.due_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.due_at % 1000000) AS dead_since,
         strftime('%Y-%m-%dT%H:%M:%S', o.created_at / 1000000, 'unixepoch')
           || printf('.%06dZ', o.created_at % 1000000) AS created_at,
         CASE c.decimals WHEN 0 THEN CAST(o.total_minor AS TEXT)
           ELSE printf('%d.%0*d', o.total_minor / coalesce(c.units, 100), coalesce(c.decimals, 2),
                       o.total_minor % coalesce(c.units, 100)) END AS total,
         o.total_minor, o.currency
    FROM orders o LEFT JOIN currency_decimals c USING (currency)
   WHERE o.status = 5;

-- For reports that were written for the service that `orders_api` stands in for: its table as it
-- was, with the exact amount behind it. `total_amount` is a floating point number as it was there;
-- orderd never reads it.
CREATE VIEW compat_orders_api_orders AS
  SELECT o.id AS order_id, o.customer_id AS user_id,
         (SELECT json_group_array(CASE i.type WHEN 'text' THEN i.value ELSE i.value ->> 'sku' END)
            FROM json_each(o.payload, '$.items') i) AS item_ids,
         CAST(o.total_minor AS REAL) / coalesce(c.units, 100) AS total_amount,
         CASE WHEN o.status <= 2 THEN 'Pending' WHEN o.status = 5 THEN 'Failed'
              WHEN o.status = 7 THEN 'Completed' WHEN o.status = 8 THEN 'Cancelled'
              WHEN o.status = 9 THEN 'Rejected' WHEN o.status = 10 THEN 'Expired'
              ELSE 'Processing' END AS status,
         datetime(o.created_at / 1000000, 'unixepoch') AS created_at,
         CASE o.status WHEN 7 THEN datetime(o.ended_at / 1000000, 'unixepoch') END AS completed_at,
         o.total_minor
    FROM orders o LEFT JOIN currency_decimals c USING (currency)
   WHERE o.process = 'orders_api';
