//! Accepting in the closed loop: single orders, single orders that are worked off, batches.
//!
//! After each block orderd is killed and started again, and must still have every order that it
//! acknowledged: a figure of a server that forgets is void.

use std::time::Duration;

use anyhow::{bail, ensure};
use orderd::clock::monotonic;

use super::database::{Database, Watch};
use super::http;
use super::record::Block;
use super::server::{Home, Server, Side, Work};
use super::stage::{Stage, interleaved};
use super::wrk::Requests;

/// How long a server may take to work off, or to load, what was accepted in a block.
const PATIENCE: Duration = Duration::from_secs(300);

/// Connections that are many.
const CONNECTIONS: u32 = 5_000;

/// A block to be played.
pub struct Turn<'a> {
    measure: &'static str,
    name: &'static str,
    round: u32,
    side: Side,
    requests: Requests,
    /// Where the store is, if not in a file.
    database: Option<&'a dyn Database>,
}

/// One order per request, against the floor; orders are accepted only.
///
/// # Errors
///
/// A server or `wrk` failed, or an acknowledged order is missing.
pub fn single(stage: &mut Stage) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let requests = Requests::single(folder.path())?;
    for (round, side) in interleaved(stage.plan.rounds, &[Side::Floor, Side::Orderd(Work::Hour)]) {
        let name = side.name();
        let requests = requests.clone();
        let measure = "accept";
        play(stage, Turn::new((measure, name, round), side, requests))?;
    }
    Ok(())
}

/// A hundred orders per request, against the floor and against single orders in the same round.
///
/// # Errors
///
/// As [`single`].
pub fn batch(stage: &mut Stage) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let single = Requests::single(folder.path())?;
    let batch = Requests::batch(folder.path())?;
    let hour = Side::Orderd(Work::Hour);
    let sides = [("floor", Side::Floor), ("orderd", hour), ("single", hour)];
    for (round, (name, side)) in interleaved(stage.plan.rounds, &sides) {
        let requests = if name == "single" { &single } else { &batch };
        let requests = requests.clone();
        let measure = "batch";
        play(stage, Turn::new((measure, name, round), side, requests))?;
    }
    Ok(())
}

/// One order per request to the native API, with and without five dialects served beside it.
///
/// # Errors
///
/// As [`single`].
pub fn dialects(stage: &mut Stage) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let requests = Requests::single(folder.path())?;
    let sides = [
        ("alone", Side::Orderd(Work::Hour)),
        ("orderd", Side::OrderdWithDialects),
    ];
    for (round, (name, side)) in interleaved(stage.plan.rounds, &sides) {
        let requests = requests.clone();
        let measure = "dialects";
        play(stage, Turn::new((measure, name, round), side, requests))?;
    }
    Ok(())
}

/// One order per request, each with an idempotency key, against the same with a header that means
/// nothing.
///
/// # Errors
///
/// As [`single`].
pub fn keys(stage: &mut Stage) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let sides = [
        ("without", "X-Means-Nothing"),
        ("orderd", "Idempotency-Key"),
    ];
    for (round, (name, header)) in interleaved(stage.plan.rounds, &sides) {
        let requests = Requests::keyed(folder.path(), header)?;
        let (measure, side) = ("keys", Side::Orderd(Work::Hour));
        play(stage, Turn::new((measure, name, round), side, requests))?;
    }
    Ok(())
}

/// One order per request on 5,000 connections, against 256.
///
/// # Errors
///
/// As [`single`].
pub fn connections(stage: &mut Stage) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let sides = [("256", 256), ("orderd", CONNECTIONS)];
    for (round, (name, connections)) in interleaved(stage.plan.rounds, &sides) {
        let mut requests = Requests::single(folder.path())?;
        requests.connections = connections;
        let (measure, side) = ("connections", Side::Orderd(Work::Hour));
        play(stage, Turn::new((measure, name, round), side, requests))?;
    }
    Ok(())
}

/// One order per request, with this build of orderd and with another one.
///
/// # Errors
///
/// As [`single`].
pub fn against(stage: &mut Stage) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let requests = Requests::single(folder.path())?;
    for (round, side) in interleaved(
        stage.plan.rounds,
        &[Side::Another, Side::Orderd(Work::Hour)],
    ) {
        let (measure, name, requests) = ("against", side.name(), requests.clone());
        play(stage, Turn::new((measure, name, round), side, requests))?;
    }
    Ok(())
}

/// One order per request, done as soon as it begins; the block ends when nothing is open any more.
///
/// # Errors
///
/// As [`single`]; or orders stay open.
pub fn completed(stage: &mut Stage) -> anyhow::Result<()> {
    let folder = stage.fresh()?;
    let requests = Requests::single(folder.path())?;
    let sides = [Side::Floor, Side::Orderd(Work::Instant)];
    for (round, side) in interleaved(stage.plan.rounds, &sides) {
        let requests = requests.clone();
        let (measure, name) = ("completed", side.name());
        let turn = Turn::new((measure, name, round), side, requests);
        match side {
            Side::Floor => play(stage, turn)?,
            _ => play_to_the_end(stage, turn)?,
        }
    }
    Ok(())
}

/// Plays a block in which orders are accepted, or answered by the floor.
///
/// # Errors
///
/// As [`single`].
pub fn play(stage: &mut Stage, turn: Turn<'_>) -> anyhow::Result<()> {
    stage.announce(format!("{} {} {}", turn.measure, turn.name, turn.round));
    let folder = stage.fresh()?;
    let store = turn.store()?;
    let home = Home::new(folder.path(), store.as_deref());
    let server = Server::start(&stage.programs, turn.side, home)?;
    let requests = &turn.requests;
    let before = requests.send(server.address, stage.plan.warm_up_seconds)?;
    let watch = turn.watch()?;
    let window = stage.open_window(&server)?;
    let report = requests.send(server.address, stage.plan.seconds)?;
    let orders = report.requests * u64::from(requests.orders);
    let mut figures = window.close(&server, orders as f64)?;
    figures.extend(watch.close(orders as f64)?);
    figures.extend(report.figures(requests.orders));
    let acknowledged = orders + before.requests * u64::from(requests.orders);
    if turn.side != Side::Floor {
        prove(stage, (server, turn.side), home, acknowledged)?;
    }
    stage.keep(turn.into_block(figures))
}

/// Kills the server, starts it on the same store, and counts.
fn prove(
    stage: &Stage,
    (server, side): (Server, Side),
    home: Home<'_>,
    acknowledged: u64,
) -> anyhow::Result<()> {
    server.crash()?;
    let mut again = Server::start(&stage.programs, side, home)?;
    again.wait_until(PATIENCE, |stats| !stats.recovering)?;
    let found = http::stats(again.address)?.total;
    if found < acknowledged {
        bail!("{acknowledged} orders were acknowledged, {found} are there after kill -9");
    }
    Ok(())
}

/// Plays a block that ends when nothing is open any more.
///
/// # Errors
///
/// As [`completed`].
pub fn play_to_the_end(stage: &mut Stage, turn: Turn<'_>) -> anyhow::Result<()> {
    stage.announce(format!("{} {} {}", turn.measure, turn.name, turn.round));
    let folder = stage.fresh()?;
    let store = turn.store()?;
    let home = Home::new(folder.path(), store.as_deref());
    let mut server = Server::start(&stage.programs, turn.side, home)?;
    turn.requests
        .send(server.address, stage.plan.warm_up_seconds)?;
    server.wait_until(PATIENCE, |stats| stats.open == 0)?;
    let before = http::stats(server.address)?.completed;
    let watch = turn.watch()?;
    let window = stage.open_window(&server)?;
    let began_at = monotonic();
    let report = turn.requests.send(server.address, stage.plan.seconds)?;
    let sent_after = began_at.elapsed();
    server.wait_until(PATIENCE, |stats| stats.open == 0)?;
    let took = began_at.elapsed();
    let completed = http::stats(server.address)?.completed - before;
    ensure!(
        completed >= report.requests,
        "only {completed} of {} ended",
        report.requests
    );
    let mut figures = window.close(&server, completed as f64)?;
    figures.extend(watch.close(completed as f64)?);
    figures.extend(report.figures(1));
    let accepted = report.requests_per_second();
    figures.insert("accepted_per_second".to_owned(), accepted);
    figures.insert(
        "per_second".to_owned(),
        completed as f64 / took.as_secs_f64(),
    );
    figures.insert(
        "drain_seconds".to_owned(),
        (took - sent_after).as_secs_f64(),
    );
    let acknowledged = before + report.requests;
    prove(stage, (server, turn.side), home, acknowledged)?;
    stage.keep(turn.into_block(figures))
}

impl<'a> Turn<'a> {
    /// A block: its measurement, the name of its side and its round; what runs; what is sent.
    pub fn new(
        (measure, name, round): (&'static str, &'static str, u32),
        side: Side,
        requests: Requests,
    ) -> Self {
        Self {
            measure,
            name,
            round,
            side,
            requests,
            database: None,
        }
    }

    /// The same with the store in a database.
    pub fn on(self, database: &'a dyn Database) -> Self {
        Self {
            database: Some(database),
            ..self
        }
    }

    /// The URL of a fresh database, if the store is in one.
    fn store(&self) -> anyhow::Result<Option<String>> {
        self.database.map(Database::fresh).transpose()
    }

    /// Begins to count what the database uses.
    fn watch(&self) -> anyhow::Result<Watch<'a>> {
        Watch::begin(self.database)
    }

    fn into_block(self, figures: super::stage::Figures) -> Block {
        Block {
            measure: self.measure.to_owned(),
            side: self.name.to_owned(),
            round: self.round,
            figures,
        }
    }
}
