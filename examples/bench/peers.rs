//! Job queues of other people for the same database, beside orderd: the same work on the same
//! PostgreSQL in one run.
//!
//! What a peer does is in `peers/peer.mjs`; `scripts/bench` installs them. Each call carries one
//! job, or one order, and returns when that is committed; so many callers wait at the same time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::accept::{self, Turn};
use super::database::{Database, Watch};
use super::record::{Block, Record};
use super::server::{Side, Work};
use super::stage::{Stage, figures, interleaved};
use super::tables::{Table, grouped};
use super::wrk::Requests;

/// What names the folder into which npm installed the peers.
const FOLDER: &str = "ORDERD_BENCH_PEERS";

/// Callers at the same time; the connections on which orderd is sent orders.
const SENDERS: u32 = 256;

/// Orderd, and the peers by the names of their packages.
const SIDES: [&str; 3] = ["orderd", "pg-boss", "graphile-worker"];

/// What is measured of each, by its name for the record and for `peer.mjs`.
const WORK: [(&str, &str); 3] = [
    ("peers-accept", "accept"),
    ("peers-completed", "completed"),
    ("peers-batch", "batch"),
];

/// What a peer counted.
#[derive(Deserialize)]
struct Report {
    jobs: u64,
    accepted_per_second: f64,
    per_second: f64,
}

/// Accepted per second, accepted to completed per second, and accepted in batches of 100.
///
/// # Errors
///
/// The peers are not installed; a server, a peer or `wrk` failed.
pub fn measure(stage: &mut Stage, database: &dyn Database) -> anyhow::Result<()> {
    let peers = std::env::var_os(FOLDER).map(PathBuf::from);
    let peers = peers.context("the peers are not installed; scripts/bench --peers does that")?;
    let folder = stage.fresh()?;
    let single = Requests::single(folder.path())?;
    let batch = Requests::batch(folder.path())?;
    for (round, side) in interleaved(stage.plan.rounds, &SIDES) {
        for (measure, what) in WORK {
            let place = (measure, side, round);
            if side != "orderd" {
                play(stage, database, (place, what), &peers)?;
                continue;
            }
            let requests = if what == "batch" { &batch } else { &single };
            let work = match what {
                "completed" => Work::Instant,
                _ => Work::Hour,
            };
            let turn = Turn::new(place, Side::Orderd(work), requests.clone()).on(database);
            match work {
                Work::Instant => accept::play_to_the_end(stage, turn)?,
                _ => accept::play(stage, turn)?,
            }
        }
    }
    Ok(())
}

/// A block of a peer.
fn play(
    stage: &mut Stage,
    database: &dyn Database,
    ((measure, side, round), what): ((&str, &str, u32), &str),
    peers: &Path,
) -> anyhow::Result<()> {
    stage.announce(format!("{measure} {side} {round}"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bench/peers/peer.mjs");
    let url = database.fresh()?;
    let watch = Watch::begin(Some(database))?;
    let numbers = [SENDERS, stage.plan.warm_up_seconds, stage.plan.seconds];
    let output = Command::new("node")
        .arg(script)
        .arg(side)
        .arg(peers)
        .args([&url, what])
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run node")?;
    if !output.status.success() {
        bail!("{side} failed ({})", output.status);
    }
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{side} said nothing that can be read"))?;
    let mut all = figures([
        ("per_second", report.per_second),
        ("accepted_per_second", report.accepted_per_second),
        ("jobs", report.jobs as f64),
    ]);
    // The warm-up is counted, too: good enough for what a job costs.
    all.extend(watch.close(report.jobs as f64)?);
    stage.keep(Block {
        measure: measure.to_owned(),
        side: side.to_owned(),
        round,
        figures: all,
    })
}

/// Rates of all, and how many times that of each peer orderd reaches.
pub fn table(record: &Record) -> Table {
    let names = [
        ("peers-accept", "accepted, one a call"),
        ("peers-completed", "accepted to completed, one a call"),
        ("peers-batch", "accepted, 100 a call"),
    ];
    let row = |(measure, name): (&'static str, &'static str)| {
        let mut row = vec![name.to_owned()];
        row.push(grouped(record.median(measure, "orderd", "per_second")?));
        for peer in &SIDES[1..] {
            let ratio = record.ratio((measure, "orderd"), (measure, peer))?;
            row.push(grouped(record.median(measure, peer, "per_second")?));
            row.push(format!(
                "{:.1} ({:.1} .. {:.1})",
                ratio.median, ratio.min, ratio.max
            ));
        }
        Some(row)
    };
    Table {
        title: "Beside other queues on the same PostgreSQL, per second",
        head: vec![
            "figure",
            "orderd",
            "pg-boss",
            "orderd to it",
            "graphile-worker",
            "orderd to it",
        ],
        rows: names.into_iter().filter_map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{block, record};
    use super::*;

    #[test]
    fn the_table_says_how_many_times_the_rate_of_each_peer() {
        let rate = |value| [("per_second", value)];
        let one = record(vec![
            block("peers-accept", "orderd", 1, &rate(40_000.0)),
            block("peers-accept", "pg-boss", 1, &rate(2_000.0)),
            block("peers-accept", "graphile-worker", 1, &rate(4_000.0)),
        ]);
        let table = table(&one);
        assert_eq!(table.rows.len(), 1);
        assert_eq!(table.rows[0][2..4], ["2,000", "20.0 (20.0 .. 20.0)"]);
        assert_eq!(table.rows[0].len(), table.head.len());
    }
}
