//! Reading single orders while others are written at a fixed rate, against the floor.
//!
//! The orders that are read are known and recent; the writer is the same on both sides.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::http;
use super::load::{Amount, Sending};
use super::record::Block;
use super::server::{Server, Side, Work};
use super::stage::{Stage, interleaved};
use super::wrk::{self, Requests};

/// Orders per second that are written meanwhile.
pub const WRITES_PER_SECOND: u32 = 5_000;
/// Requests with a hundred orders each: so many orders are read.
const BATCHES: u32 = 10;

/// Reads per second of both sides, and what became of the writes.
///
/// # Errors
///
/// A server or a load generator failed; a side cannot be read from.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    for (round, side) in interleaved(stage.plan.rounds, &[Side::Floor, Side::Orderd(Work::Hour)]) {
        play(stage, round, side)?;
    }
    Ok(())
}

fn play(stage: &mut Stage, round: u32, side: Side) -> anyhow::Result<()> {
    stage.announce(format!("reads {} {round}", side.name()));
    let folder = stage.fresh()?;
    let server = Server::start(&stage.programs, side, folder.path())?;
    let ids = seed(&server)?;
    // Not the first one: that is being worked on, and its answer is shorter.
    let path = format!("/v1/orders/{}", ids[ids.len() - 1]);
    let answer = http::fetch(server.address, &path)?;
    ensure!(
        answer.status == 200,
        "{} answers {} to GET {path}",
        side.name(),
        answer.status
    );
    let requests = Requests::reads(folder.path(), &ids)?;
    let (warm_up, seconds) = (stage.plan.warm_up_seconds, stage.plan.seconds);
    let writing = Sending {
        address: server.address,
        amount: Amount::Rate(WRITES_PER_SECOND.into(), warm_up + seconds + 2),
        connections: 64,
    };
    let writer = writing.start(stage)?;
    requests.send(server.address, warm_up)?;
    let window = stage.open_window(&server)?;
    let report = requests.send(server.address, seconds)?;
    let writes = f64::from(WRITES_PER_SECOND * seconds);
    let mut figures = window.close(&server, report.requests as f64 + writes)?;
    figures.extend(report.figures(1));
    let written = writer.finish(stage)?;
    figures.insert("written_per_second".to_owned(), written.per_second);
    figures.insert("answer_bytes".to_owned(), answer.body.len() as f64);
    stage.keep(Block {
        measure: "reads".to_owned(),
        side: side.name().to_owned(),
        round,
        figures,
    })
}

/// Puts orders in, and answers their ids.
fn seed(server: &Server) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for _ in 0..BATCHES {
        let kind = "application/x-ndjson";
        let body = wrk::lines(100);
        let answer = http::post(server.address, "/v1/orders/batch", kind, &body)?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        let results = answer["results"]
            .as_array()
            .context("the batch has no results")?;
        let found = results
            .iter()
            .filter_map(|result| result["order"]["order_id"].as_str());
        ids.extend(found.map(str::to_owned));
    }
    ensure!(!ids.is_empty(), "no order of the batches was accepted");
    Ok(ids)
}
