//! Stored values that orderd never wrote: each line of an input puts one into a row, as
//! `table.column row kind value`. Whatever they are, they are read, or named as what they are.

use axum::body::Body;
use axum::http::Request;
use orderd::cli::verify::prove;
use orderd::order::{Opening, Process, Processes, Seq, ShardNumber};
use orderd::shard::{Allowances, Shard, ShardSettings};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use std::sync::Arc;

use super::Bench;
use super::door::{Doors, NATIVE};
use super::place::Place;
use super::way::NOW;

/// Tables that can be changed, and the columns that say which row is meant by a number.
const TABLES: [&str; 7] = [
    "orders",
    "journal",
    "step_outputs",
    "shards",
    "processes",
    "tally",
    "idempotency_keys",
];

const ORDERS: [&str; 5] = [
    r#"{"order_id":"a","customer_id":"c","items":["x"],"total":{"amount":1,"currency":"USD"}}"#,
    r#"{"order_id":"b","customer_id":"c","items":["x"],"total":{"amount":1,"currency":"USD"},
        "process":"failing"}"#,
    r#"{"order_id":"c","customer_id":"c","items":["x"],"total":{"amount":1,"currency":"USD"},
        "hold":{"reason":"fraud?","by":"ada","until":"2027-01-01T00:00:00Z"}}"#,
    r#"{"order_id":"d","customer_id":"c","items":["x"],"total":{"amount":1,"currency":"USD"},
        "start_at":"2027-01-01T00:00:00Z","expires_at":"2028-01-01T00:00:00Z",
        "idempotency_key":"k"}"#,
    r#"{"order_id":"e","customer_id":"c","items":["x"],"total":{"amount":1,"currency":"USD"},
        "process":"order_service"}"#,
];

const READS: [&str; 11] = [
    "/v1/orders/a",
    "/v1/orders/b",
    "/v1/orders/c",
    "/v1/orders/d",
    "/v1/orders/e",
    "/v1/orders",
    "/v1/orders?status=pending&held=true",
    "/v1/dead-letters",
    "/v1/events",
    "/v1/orders/a/events",
    "/v1/orders/c/events",
];

/// A store with some orders, and a hand that writes into it behind its back.
pub struct Rows {
    doors: Doors,
    hand: Connection,
}

impl Rows {
    pub fn new(place: &Place) -> Self {
        let mut doors = Doors::new();
        for order in ORDERS {
            let request = Request::post("/v1/orders").body(Body::from(order));
            let answer = doors.send(place, NATIVE, request.expect("a request"));
            assert_eq!(answer.expect("an answer").status, 201);
        }
        let hand = Connection::open(doors.path()).expect("the same file");
        hand.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON;
             ATTACH ':memory:' AS kept;",
        )
        .expect("settings");
        for table in TABLES {
            let sql = format!("CREATE TABLE kept.{table} AS SELECT * FROM main.{table}");
            hand.execute_batch(&sql).expect("a copy");
        }
        Self { doors, hand }
    }

    fn restore(&self) {
        let mut sql = String::from("BEGIN;");
        for table in TABLES {
            let table = format!(
                "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM kept.{table};"
            );
            sql.push_str(&table);
        }
        sql.push_str("COMMIT;");
        self.hand.execute_batch(&sql).expect("the rows of the copy");
    }

    /// Does what a line says, if there is such a place and it can hold such a value.
    fn damage(&self, line: &[u8]) -> Option<()> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let text = |part: Option<&[u8]>| String::from_utf8(part?.to_vec()).ok();
        let place = text(parts.next())?;
        let (table, column) = place.split_once('.')?;
        let table = TABLES.into_iter().find(|known| *known == table)?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if column.is_empty() || !column.bytes().all(is_name) {
            return None;
        }
        let row: i64 = text(parts.next())?.parse().ok()?;
        let kind = text(parts.next())?;
        let value = parts.next().unwrap_or_default();
        let value = match &*kind {
            "null" => Value::Null,
            "number" => Value::Integer(text(Some(value))?.parse().ok()?),
            "text" => Value::Text(String::from_utf8_lossy(value).into_owned()),
            "bytes" => Value::Blob(value.to_vec()),
            _ => return None,
        };
        let order = match table {
            "journal" => "position",
            "orders" => "seq",
            _ => "1",
        };
        let sql = format!(
            "UPDATE {table} SET {column} = ?1 WHERE ({order}) IN (
               SELECT {order} FROM {table} ORDER BY 1 LIMIT 1 OFFSET ?2)"
        );
        let sql = match order {
            "1" => format!("UPDATE {table} SET {column} = ?1 WHERE ?2 = ?2"),
            _ => sql,
        };
        self.hand.execute(&sql, params![value, row]).ok().map(drop)
    }
}

/// Damages rows, and reads everything.
pub fn all(bench: &mut Bench, bytes: &[u8]) {
    let (rows, place) = bench.rows();
    rows.restore();
    for line in bytes.split(|byte| *byte == b'\n').take(16) {
        rows.damage(line);
    }
    for path in READS {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = rows.doors.send(place, NATIVE, request).expect("an answer");
        let status = answer.status.as_u16();
        assert!(
            matches!(status, 200 | 404 | 500 | 503),
            "{path}: {answer:?}"
        );
    }
    recover(&rows.doors);
    let url = format!("sqlite:{}", rows.doors.path().display());
    let report = prove(&url, &mut |_| ());
    if bytes.is_empty() {
        assert!(report.expect("a report").findings.are_none());
    }
}

/// What a restart would do with the open orders.
fn recover(doors: &Doors) {
    let processes = Processes::new(vec![Process::built_in()], Vec::new()).expect("one process");
    let settings = ShardSettings {
        shard: ShardNumber(0),
        open_orders_max: 1_000,
        allowances: Allowances::default(),
        key_retention_us: 1,
    };
    let (processes, random) = (Arc::new(processes), StdRng::seed_from_u64(1));
    let mut shard = Shard::new(settings, &Opening::default(), processes, random);
    let open = doors.store().open_orders(Seq(0), Seq(i64::MAX), 100);
    for order in open.unwrap_or_default() {
        shard.recover(&order, NOW.into());
    }
    shard.advance(NOW.into());
}
