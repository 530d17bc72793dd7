//! The second opinion: the file itself, read with SQL by this program and proved by `orderd
//! verify`, while no server runs.
//!
//! Shares no code with the way in which the server reads it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::journal::Book;
use super::reckoning::Reckoning;

/// Compares what the journal says with the rows of the file.
pub fn opinion(path: &Path, book: &Book) -> Reckoning {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut reckoning = Reckoning::default();
    for (wrong, sql) in MUST_BE_EMPTY {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0));
        for row in rows.unwrap().take(3) {
            reckoning.complain(format!("{wrong}: {}", row.unwrap()));
        }
    }
    let stored = rows(&connection);
    let kept = keys(&connection);
    for (number, entry) in &book.orders {
        let ids = stored.get(number).map_or(&[] as &[_], Vec::as_slice);
        if ids.len() > 1 {
            reckoning.doubled += 1;
            reckoning.complain(format!("in the file {number} is there as {ids:?}"));
        }
        let Some(id) = entry.ids.first() else {
            continue;
        };
        if !ids.contains(id) {
            reckoning.lost += 1;
            reckoning.complain(format!("{number} is not in the file: {entry:?}"));
        }
        if let Some(key) = entry.request.kept_key(*number)
            && kept.get(&key) != Some(id)
        {
            reckoning.complain(format!(
                "in the file {key} has {:?}, not {id}",
                kept.get(&key)
            ));
        }
    }
    reckoning
}

/// Questions that must have no answer.
const MUST_BE_EMPTY: [(&str, &str); 5] = [
    (
        "the file is damaged",
        "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ),
    ("not ended", "SELECT id FROM orders WHERE ended_at IS NULL"),
    (
        "a key without its order",
        "SELECT key FROM idempotency_keys LEFT JOIN orders USING (seq)
          WHERE seq IS NOT NULL AND id IS NULL",
    ),
    (
        "a wrong counter",
        "SELECT status || ' ' || counted || ' ' || total(orders) FROM
           (SELECT status, count(*) AS counted FROM orders GROUP BY status)
           LEFT JOIN tally USING (status) GROUP BY status HAVING counted <> total(orders)",
    ),
    (
        "a gap in the journal",
        "SELECT position FROM (SELECT position, position - lag(position) OVER (ORDER BY position)
           AS step FROM journal) WHERE step <> 1",
    ),
];

/// The ids of all orders by their number, where all columns say the same number.
fn rows(connection: &Connection) -> BTreeMap<u64, Vec<String>> {
    let sql = "SELECT customer_id, id FROM orders
                WHERE total_minor = CAST(customer_id AS INTEGER) AND currency = 'EUR'
                  AND payload ->> '$.notes' = 'number ' || customer_id
                  AND payload ->> '$.items[0]' = 'article-' || customer_id";
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    let mut rows: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (number, id) in found.unwrap().map(Result::unwrap) {
        rows.entry(number.parse().unwrap()).or_default().push(id);
    }
    rows
}

/// The id of the order that is kept under each key.
fn keys(connection: &Connection) -> BTreeMap<String, String> {
    let sql = "SELECT key, id FROM idempotency_keys JOIN orders USING (seq)";
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    found.unwrap().map(Result::unwrap).collect()
}
