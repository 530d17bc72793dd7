-- What people with a SQL prompt and reports read: stable names, readable values, times in UTC.
-- Write to nothing here. Each column is explained in docs/databases.md.

-- The currencies whose amounts do not have two decimals, and how many minor units make a major one.
-- Read-only, for the views.
CREATE TABLE currency_decimals (
  currency text    PRIMARY KEY,
  decimals integer NOT NULL,
  units    integer NOT NULL
);

INSERT INTO currency_decimals (currency, decimals, units) VALUES
  ('BIF', 0, 1), ('CLP', 0, 1), ('DJF', 0, 1), ('GNF', 0, 1), ('ISK', 0, 1), ('JPY', 0, 1),
  ('KMF', 0, 1), ('KRW', 0, 1), ('PYG', 0, 1), ('RWF', 0, 1), ('UGX', 0, 1), ('UYI', 0, 1),
  ('VND', 0, 1), ('VUV', 0, 1), ('XAF', 0, 1), ('XAG', 0, 1), ('XAU', 0, 1), ('XBA', 0, 1),
  ('XBB', 0, 1), ('XBC', 0, 1), ('XBD', 0, 1), ('XDR', 0, 1), ('XOF', 0, 1), ('XPD', 0, 1),
  ('XPF', 0, 1), ('XPT', 0, 1), ('XSU', 0, 1), ('XTS', 0, 1), ('XUA', 0, 1), ('XXX', 0, 1),
  ('BHD', 3, 1000), ('IQD', 3, 1000), ('JOD', 3, 1000), ('KWD', 3, 1000), ('LYD', 3, 1000),
  ('OMR', 3, 1000), ('TND', 3, 1000), ('CLF', 4, 10000), ('UYW', 4, 10000);

-- A time as people write it, in UTC, exact in the year 9999, too: no float has a fraction here.
CREATE FUNCTION utc_time(micros bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
  SELECT to_timestamp(micros / 1000000) AT TIME ZONE 'UTC'
         + (micros % 1000000) * interval '1 microsecond'
$$;

-- An amount in major units, with the decimals of its currency.
CREATE FUNCTION major_units(minor bigint, decimals integer) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
  SELECT minor * ('1e-' || coalesce(decimals, 2))::numeric
$$;

-- The orders as they are now.
CREATE VIEW order_list AS
  SELECT o.seq, o.id AS order_id, o.customer_id, s.name AS status, s.is_final, o.version,
         o.priority, o.process, o.process_version, o.step, o.attempt,
         major_units(o.total_minor, c.decimals) AS total, o.total_minor, o.currency, o.item_count,
         o.reason, o.hold ->> 'reason' AS hold_reason, o.hold ->> 'by' AS hold_by,
         utc_time((o.hold ->> 'since')::bigint) AS hold_since,
         utc_time((o.hold ->> 'until')::bigint) AS hold_until,
         utc_time(o.created_at) AS created_at, utc_time(o.imported_at) AS imported_at,
         utc_time(o.start_at) AS start_at, utc_time(o.expires_at) AS expires_at,
         utc_time(o.due_at) AS due_at, utc_time(o.started_at) AS started_at,
         utc_time(o.updated_at) AS updated_at, utc_time(o.ended_at) AS ended_at, o.payload
    FROM orders o JOIN order_status s USING (status) LEFT JOIN currency_decimals c USING (currency);

-- What was ordered: a row for each line. A plain text counts as one piece without a price.
CREATE VIEW order_item AS
  SELECT l.order_id, l.line, coalesce(l.plain, l.goods ->> 'sku') AS sku,
         CASE WHEN l.plain IS NULL THEN (l.goods ->> 'quantity')::bigint ELSE 1 END AS quantity,
         major_units((l.goods ->> 'unit_price')::bigint, c.decimals) AS unit_price,
         (l.goods ->> 'unit_price')::bigint AS unit_price_minor,
         major_units((l.goods ->> 'amount')::bigint, c.decimals) AS amount,
         (l.goods ->> 'amount')::bigint AS amount_minor, l.currency
    FROM (SELECT o.id AS order_id, i.line, o.currency,
                 CASE json_typeof(i.item) WHEN 'string' THEN i.item #>> '{}' END AS plain,
                 CASE json_typeof(i.item) WHEN 'object' THEN i.item END AS goods
            FROM orders o CROSS JOIN LATERAL json_array_elements(o.payload::json -> 'items')
                 WITH ORDINALITY AS i (item, line)) l
         LEFT JOIN currency_decimals c USING (currency);

-- What happened to orders: the journal, a row for each event.
CREATE VIEW order_event AS
  SELECT j.position || '-' || e.number - 1 AS event_id, o.id AS order_id,
         (e.entry ->> 1)::bigint AS version,
         CASE WHEN e.entry ->> 2 = 'accepted' AND e.entry ->> 3 = '1' THEN 'order.scheduled'
              ELSE 'order.' || (e.entry ->> 2) END AS type,
         s.name AS status, utc_time(j.at + (e.entry ->> 4)::bigint) AS at, e.entry ->> 6 AS step,
         nullif((e.entry ->> 7)::integer, 0) AS attempt, e.entry ->> 9 AS reason,
         e.entry ->> 10 AS asked_by,
         CASE WHEN e.entry ->> 2 <> 'priority_changed'
              THEN utc_time((e.entry ->> 11)::bigint) END AS hold_until,
         CASE WHEN e.entry ->> 2 = 'priority_changed'
              THEN (e.entry ->> 11)::smallint END AS priority,
         j.position
    FROM journal j
         CROSS JOIN LATERAL json_array_elements(j.entries::json)
                    WITH ORDINALITY AS e (entry, number)
         JOIN orders o ON o.seq = (e.entry ->> 0)::bigint
         JOIN order_status s ON s.status = (e.entry ->> 3)::smallint;

-- The orders that wait for a person.
CREATE VIEW dead_letter AS
  SELECT o.seq, o.id AS order_id, o.customer_id, o.priority, o.process, o.process_version, o.step,
         o.attempt, o.reason, utc_time(o.due_at) AS dead_since,
         utc_time(o.created_at) AS created_at, major_units(o.total_minor, c.decimals) AS total,
         o.total_minor, o.currency
    FROM orders o LEFT JOIN currency_decimals c USING (currency)
   WHERE o.is_dead;

-- A text as an integer, NULL if it is none. Whoever filters by the result may have it looked at
-- before any other condition, so it never fails.
CREATE FUNCTION compat_integer(word text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN word !~ '^(0|-?[1-9][0-9]{0,9})$' THEN NULL
              WHEN word::bigint BETWEEN -2147483648 AND 2147483647 THEN word::integer END
$$;

-- For reports that were written for the service that `api_v1` stands in for: its table as it was,
-- but with exact amounts and times. Orders that do not fit its columns are left out.
CREATE VIEW compat_api_v1_orders AS
  SELECT o.id AS order_id, compat_integer(o.customer_id) AS user_id, i.item_ids,
         (CASE WHEN o.total_minor < 1e17 * coalesce(c.units, 100)
               THEN major_units(o.total_minor, c.decimals) END)::numeric(19, 2) AS total_amount,
         CASE WHEN o.status <= 2 THEN 'Pending' WHEN o.status = 5 THEN 'Failed'
              WHEN o.status = 7 THEN 'Completed' WHEN o.status = 8 THEN 'Cancelled'
              WHEN o.status = 9 THEN 'Rejected' WHEN o.status = 10 THEN 'Expired'
              ELSE 'Processing' END AS status,
         (CASE o.status WHEN 7 THEN (o.ended_at - o.started_at) * 0.000001
               END)::numeric(16, 6) AS processing_time,
         utc_time(o.created_at) AS created_at
    FROM orders o LEFT JOIN currency_decimals c USING (currency)
         CROSS JOIN LATERAL (
           SELECT coalesce(array_agg(compat_integer(coalesce(e.item ->> 'sku', e.item #>> '{}'))
                                     ORDER BY e.line), '{}') AS item_ids
             FROM json_array_elements(o.payload::json -> 'items')
                  WITH ORDINALITY AS e (item, line)) i
   WHERE o.process = 'api_v1' AND coalesce(c.decimals, 2) <= 2
     AND o.total_minor < 1e17 * coalesce(c.units, 100)
     AND compat_integer(o.customer_id) IS NOT NULL AND array_position(i.item_ids, NULL) IS NULL;
