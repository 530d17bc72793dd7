//! Accepting with a long history: the same block on an empty store and on a full one.
//!
//! The full store is filled once and copied for each block: all begin with the same one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::load::{Amount, Sending};
use super::record::Block;
use super::server::{Server, Side, Work};
use super::stage::{Stage, interleaved};
use super::wrk::Requests;

/// How long the history may take to be worked off.
const PATIENCE: Duration = Duration::from_secs(600);

/// Accepted orders per second of both stores.
///
/// # Errors
///
/// A server or a load generator failed; the disk is too small for two copies of the history.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    let history = stage.fresh()?;
    fill(stage, history.path())?;
    let bytes_per_order = folder_bytes(history.path())? as f64 / stage.plan.stored_orders as f64;
    for (round, name) in interleaved(stage.plan.rounds, &["empty", "full"]) {
        stage.announce(format!("stored {name} {round}"));
        let folder = stage.fresh()?;
        if name == "full" {
            copy(&history.path().join("data"), &folder.path().join("data"))?;
        }
        let requests = Requests::single(folder.path())?;
        let mut server = Server::start(&stage.programs, Side::Orderd(Work::Hour), folder.path())?;
        server.wait_until(PATIENCE, |stats| !stats.recovering)?;
        requests.send(server.address, stage.plan.warm_up_seconds)?;
        let window = stage.open_window(&server)?;
        let report = requests.send(server.address, stage.plan.seconds)?;
        let mut figures = window.close(&server, report.requests as f64)?;
        figures.extend(report.figures(1));
        figures.insert("history_bytes_per_order".to_owned(), bytes_per_order);
        stage.keep(Block {
            measure: "stored".to_owned(),
            side: name.to_owned(),
            round,
            figures,
        })?;
    }
    Ok(())
}

/// Takes orders in by batches and works them off in no time.
fn fill(stage: &Stage, folder: &Path) -> anyhow::Result<()> {
    let orders = stage.plan.stored_orders;
    stage.announce(format!("stored: {orders} orders go in"));
    let mut server = Server::start(&stage.programs, Side::Orderd(Work::Instant), folder)?;
    let sending = Sending {
        address: server.address,
        amount: Amount::Orders(orders),
        connections: 8,
    };
    sending.run(stage)?;
    server.wait_until(PATIENCE, |stats| {
        stats.open == 0 && stats.completed >= orders
    })?;
    server.stop()
}

/// Copies the files of a folder, and waits until the copies are on the disk: writing them back
/// later would disturb the block.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target)?;
        fs::File::open(&target)?.sync_all()?;
    }
    Ok(())
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder.join("data"))? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
