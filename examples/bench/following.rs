//! Readers of the stream of events: how late they are told, what accepting orders notices of them,
//! and what they take of memory while nothing happens.
//!
//! A reader that is not told every event, in order, makes the run void.

use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, ensure};
use orderd::cli::handles;

use super::overload::lines;
use super::readers::Readers;
use super::record::{Block, Record};
use super::server::{Server, Side, Work};
use super::stage::{Figures, Stage, figures};
use super::stream::{Stream, Tally, histogram, millis};
use super::tables::Table;
use super::wrk::Requests;

/// The name in the record.
pub const NAME: &str = "stream";
const SIDE: Side = Side::Orderd(Work::Hour);
/// Readers that are told something.
const READERS: u32 = 100;
/// Events per second for them.
const RATE: u32 = 1_000;
/// Readers to whom nothing happens: as many as there may be.
const IDLE: u32 = 1_000;
/// Between the last reader and a look at the memory.
const CALM: Duration = Duration::from_secs(1);
/// The customer whose orders are followed beside those of others.
const FOLLOWED: &str = "customer-followed";

/// What readers are told, what it costs, and what they hold.
///
/// # Errors
///
/// A server failed, or a reader was not told everything.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    handles::raise_limit();
    for round in 1..=stage.plan.rounds {
        let mut all = told(stage, round)?;
        let mut sides = [
            (0, "accept_without_per_second"),
            (READERS, "accept_beside_per_second"),
        ];
        if round % 2 == 0 {
            sides.reverse();
        }
        for (readers, name) in sides {
            all.insert(name.to_owned(), accepted_beside(stage, round, readers)?);
        }
        let ratio = all["accept_beside_per_second"] / all["accept_without_per_second"];
        all.insert("accept_ratio".to_owned(), ratio);
        all.extend(idle(stage, round)?);
        stage.keep(Block {
            measure: NAME.to_owned(),
            side: SIDE.name().to_owned(),
            round,
            figures: all,
        })?;
    }
    Ok(())
}

/// Everything that happens, at a steady rate, to many.
fn told(stage: &Stage, round: u32) -> anyhow::Result<Figures> {
    stage.announce(format!(
        "stream {round}: {READERS} readers, {RATE} events/s"
    ));
    let folder = stage.fresh()?;
    let server = Server::start(&stage.programs, SIDE, folder.path())?;
    let readers = Readers::open(server.address, READERS, "&type=order.accepted")?;
    let window = stage.open_window(&server)?;
    let sent = Tally::sum(&Stream::orders(server.address, RATE, stage.plan.seconds)?.run()?)?;
    ensure!(sent.accepted == sent.offered(), "orders were not accepted");
    let told = readers.finish(sent.accepted)?;
    let mut late = histogram();
    for one in &told {
        let is_whole = one.events == sent.accepted && one.is_in_order;
        ensure!(is_whole, "a reader was told {} events", one.events);
        late.add(&one.late_us)?;
    }
    let mut all = window.close(&server, (sent.accepted * u64::from(READERS)) as f64)?;
    all.extend(figures([
        ("readers", f64::from(READERS)),
        ("events", sent.accepted as f64),
        ("late_p50_ms", millis(&late, 50.0)),
        ("late_p99_ms", millis(&late, 99.0)),
        ("late_max_ms", millis(&late, 100.0)),
    ]));
    Ok(all)
}

/// Orders accepted per second, as fast as it goes, while others come in at a steady rate and so
/// many readers are told of those.
fn accepted_beside(stage: &Stage, round: u32, readers: u32) -> anyhow::Result<f64> {
    stage.announce(format!("stream {round}: accept beside {readers} readers"));
    let folder = stage.fresh()?;
    let requests = Requests::single(folder.path())?;
    let server = Server::start(&stage.programs, SIDE, folder.path())?;
    let filter = format!("&type=order.accepted&customer_id={FOLLOWED}");
    let following = Readers::open(server.address, readers, &filter)?;
    let (warm_up, seconds) = (stage.plan.warm_up_seconds, stage.plan.seconds);
    let followed = Stream::orders(server.address, RATE, warm_up + seconds)?.by(FOLLOWED);
    let (accepted, told) = thread::scope(|scope| {
        let followed = scope.spawn(|| Tally::sum(&followed.run()?));
        let sent = requests
            .send(server.address, warm_up)
            .and_then(|_| requests.send(server.address, seconds));
        let joined = followed.join();
        let joined = joined.map_err(|_| anyhow::anyhow!("a load generator panicked"))?;
        anyhow::Ok((sent?, joined?))
    })?;
    ensure!(told.accepted == told.offered(), "orders were not accepted");
    let is_whole = |events| events == told.accepted;
    let told = following.finish(told.accepted)?;
    ensure!(
        told.iter()
            .all(|one| is_whole(one.events) && one.is_in_order),
        "a reader was not told everything"
    );
    let figures = accepted.figures(requests.orders);
    figures
        .get("per_second")
        .copied()
        .context("wrk counted nothing")
}

/// What a reader takes of memory to whom nothing happens.
fn idle(stage: &Stage, round: u32) -> anyhow::Result<Figures> {
    stage.announce(format!("stream {round}: {IDLE} idle readers"));
    let folder = stage.fresh()?;
    let server = Server::start(&stage.programs, SIDE, folder.path())?;
    sleep(CALM);
    let before = server.memory()?.resident_bytes;
    let readers = Readers::open(server.address, IDLE, "")?;
    sleep(CALM);
    let each = (server.memory()?.resident_bytes - before) / f64::from(IDLE);
    readers.finish(0)?;
    Ok(figures([
        ("idle_readers", f64::from(IDLE)),
        ("kib_per_reader", each / 1_024.0),
    ]))
}

/// The figures with their goals.
pub fn table(record: &Record) -> Table {
    const LINES: [(&str, &str, usize, &str); 10] = [
        ("readers", "readers", 0, ""),
        ("events for each, in order", "events", 0, ""),
        ("told late, p50 (ms)", "late_p50_ms", 1, ""),
        ("told late, p99 (ms)", "late_p99_ms", 1, ""),
        (
            "told late, the latest of all (ms)",
            "late_max_ms",
            1,
            "≤ 1,000",
        ),
        (
            "accept without readers (1/s)",
            "accept_without_per_second",
            0,
            "",
        ),
        (
            "accept beside them (1/s)",
            "accept_beside_per_second",
            0,
            "",
        ),
        (
            "accept beside them, to without",
            "accept_ratio",
            2,
            "≥ 0.80",
        ),
        ("idle readers", "idle_readers", 0, ""),
        ("memory of each (KiB)", "kib_per_reader", 1, "≤ 32"),
    ];
    let title = "Stream of events: 100 readers at 1,000 events/s";
    lines(title, record, (NAME, SIDE), &LINES)
}
