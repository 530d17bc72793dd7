//! Accepting, and accepting to completed, with the store in a database server of the run's own,
//! against the floor: all in each round.
//!
//! The server runs on the same machine with the settings it comes with, which are durable.

use super::accept::{self, Turn};
use super::database::Database;
use super::record::Record;
use super::server::{Side, Work};
use super::stage::{Stage, interleaved};
use super::tables::{Table, grouped};
use super::wrk::Requests;

/// One order per request; then the same, done as soon as it begins; then a hundred per request.
///
/// # Errors
///
/// A server or `wrk` failed, an acknowledged order is missing, or orders stay open.
pub fn measure(
    stage: &mut Stage,
    name: &'static str,
    database: &dyn Database,
) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let single = Requests::single(folder.path())?;
    let batch = Requests::batch(folder.path())?;
    let sides = ["floor", "accept", "completed", "batch"];
    for (round, side) in interleaved(stage.plan.rounds, &sides) {
        let place = (name, side, round);
        let accepting = Side::Orderd(Work::Hour);
        match side {
            "floor" => accept::play(stage, Turn::new(place, Side::Floor, single.clone()))?,
            "accept" => {
                let turn = Turn::new(place, accepting, single.clone());
                accept::play(stage, turn.on(database))?;
            }
            "batch" => {
                let turn = Turn::new(place, accepting, batch.clone());
                accept::play(stage, turn.on(database))?;
            }
            _ => {
                let turn = Turn::new(place, Side::Orderd(Work::Instant), single.clone());
                accept::play_to_the_end(stage, turn.on(database))?;
            }
        }
    }
    Ok(())
}

/// What an order costs, by measurement and side: the row's name comes first.
const ROWS: [(&str, &str, &str); 6] = [
    ("PostgreSQL: accept", "postgres", "accept"),
    ("PostgreSQL: accept to completed", "postgres", "completed"),
    ("PostgreSQL: batch of 100", "postgres", "batch"),
    ("MariaDB: accept", "mysql", "accept"),
    ("MariaDB: accept to completed", "mysql", "completed"),
    ("MariaDB: batch of 100", "mysql", "batch"),
];

/// What the database does for an order.
pub fn table(record: &Record) -> Table {
    let row = |(name, measure, side): (&str, &str, &str)| {
        let of = |figure: &str| record.median(measure, side, figure);
        let bytes = |figure| of(figure).map_or_else(String::new, grouped);
        let seconds = |value: f64| format!("{value:.4}");
        let updates = of("updates_per_order").unwrap_or_default();
        // Only PostgreSQL knows this.
        let light = of("hot_updates_per_order");
        let share = light.filter(|_| updates > 0.01);
        let share = share.map(|light| format!("{:.0} %", light * 100.0 / updates));
        Some(vec![
            name.to_owned(),
            seconds(of("database_cpu_seconds_per_1000")?),
            of("cpu_seconds_per_1000").map_or_else(String::new, seconds),
            bytes("wal_bytes_per_order"),
            bytes("bytes_on_disk_per_order"),
            share.unwrap_or_default(),
        ])
    };
    Table {
        title: "What an order costs a database",
        head: vec![
            "figure",
            "database, s per 1,000",
            "orderd, s per 1,000",
            "bytes of log",
            "bytes of tables",
            "changed beside itself",
        ],
        rows: ROWS.into_iter().filter_map(row).collect(),
    }
}
