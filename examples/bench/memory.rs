//! Memory per open order, and the restart with all of them after `kill -9`.
//!
//! The memory that counts is the one after the restart, when every order is loaded: what a server
//! needs to hold them, without the leftovers of taking them in.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{bail, ensure};

use super::http;
use super::load::{Amount, Sending};
use super::record::Block;
use super::server::{Memory, Server, Side, Work};
use super::stage::{Stage, figures};
use super::wrk::ORDER;

const SIDE: Side = Side::Orderd(Work::Hour);
const PATIENCE: Duration = Duration::from_secs(300);
/// Between the last event and a look at the memory.
const CALM: Duration = Duration::from_secs(1);

/// Bytes per open order, and the times of the restart.
///
/// # Errors
///
/// A server or the load generator failed, or an order is missing after the restart.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    for round in 1..=stage.plan.rounds {
        play(stage, round)?;
    }
    Ok(())
}

fn play(stage: &mut Stage, round: u32) -> anyhow::Result<()> {
    let orders = stage.plan.open_orders;
    let empty = memory_when_empty(stage)?;
    stage.announce(format!("memory {round}: {orders} orders go in"));
    let folder = stage.fresh()?;
    let mut server = Server::start(&stage.programs, SIDE, folder.path())?;
    let window = stage.open_window(&server)?;
    let sending = Sending {
        address: server.address,
        amount: Amount::Orders(orders),
        connections: 8,
    };
    let report = sending.run(stage)?;
    let mut all = window.close(&server, report.accepted)?;
    let accepted = report.accepted as u64;
    server.wait_until(PATIENCE, |stats| stats.open >= accepted)?;
    sleep(CALM);
    let filled = server.memory()?;
    server.crash()?;

    stage.announce(format!("memory {round}: restart with {orders} open orders"));
    let mut server = Server::spawn(&stage.programs, SIDE, folder.path())?;
    let first_accept = first_accept(&mut server)?;
    let all_scheduled = server.wait_until(PATIENCE, |stats| !stats.recovering)?;
    let open = http::stats(server.address)?.open;
    ensure!(
        open > accepted,
        "{accepted} orders and one more were accepted, {open} are open"
    );
    sleep(CALM);
    let loaded = server.memory()?;
    let resident = |memory: Memory| (memory.resident_bytes - empty.resident_bytes) / orders as f64;
    let anonymous = (loaded.anonymous_bytes - empty.anonymous_bytes) / orders as f64;
    all.extend(figures([
        ("bytes_per_order", resident(loaded)),
        ("anonymous_bytes_per_order", anonymous),
        ("bytes_per_order_before_restart", resident(filled)),
        ("empty_mib", empty.resident_bytes / 1_048_576.0),
        ("filled_per_second", report.per_second),
        ("first_accept_seconds", first_accept.as_secs_f64()),
        ("all_scheduled_seconds", all_scheduled.as_secs_f64()),
    ]));
    stage.keep(Block {
        measure: "memory".to_owned(),
        side: "orderd".to_owned(),
        round,
        figures: all,
    })
}

fn memory_when_empty(stage: &Stage) -> anyhow::Result<Memory> {
    stage.announce("memory: an empty server".to_owned());
    let folder = stage.fresh()?;
    let mut server = Server::start(&stage.programs, SIDE, folder.path())?;
    server.wait_until(PATIENCE, |stats| !stats.recovering)?;
    sleep(CALM);
    server.memory()
}

/// The time from the start of the program to its first 201.
fn first_accept(server: &mut Server) -> anyhow::Result<Duration> {
    loop {
        let answer = http::post(server.address, "/v1/orders", "application/json", ORDER);
        if answer.is_ok_and(|answer| answer.status == 201) {
            return Ok(server.started_at.elapsed());
        }
        server.must_be_alive()?;
        if server.started_at.elapsed() > PATIENCE {
            bail!(
                "no order is accepted after the restart; {}",
                server.last_words()
            );
        }
        sleep(Duration::from_millis(1));
    }
}
