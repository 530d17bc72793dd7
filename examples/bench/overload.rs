//! Overload: ten times as many orders as the work allows, for a minute, and what comes after it.
//!
//! Counts must add up, and every accepted order must have ended once: otherwise the run is void.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use orderd::clock::monotonic;
use serde_json::Value;

use super::http;
use super::record::{Block, Record};
use super::server::{LIMITED_PER_SECOND, Server, Side, Work};
use super::stage::{Figures, Stage, figures};
use super::stream::{Stream, Tally, millis};
use super::tables::Table;
use super::wrk::ORDER;

/// The name in the record.
pub const NAME: &str = "overload";
const SIDE: Side = Side::Orderd(Work::Limited);
/// Orders per second while all is well: below the limit.
const CALM_RATE: u32 = LIMITED_PER_SECOND * 8 / 10;
const CALM_SECONDS: u32 = 10;
/// Orders that the store has from before: with them the caches are as full as they will be, so that
/// memory grows by the overload alone.
const HISTORY: u64 = 100_000;
/// Of these, in one request.
const IMPORTED: u64 = 1_000;
/// Orders per second in the overload.
const RATE: u32 = LIMITED_PER_SECOND * 10;
/// Reads per second, of an order and of `/livez`, meanwhile.
const READ_RATE: u32 = 50;
/// The overload fills the backlog first; then completions count.
const FILLING: Duration = Duration::from_secs(2);
/// A 99th percentile below this is as good as any other, in milliseconds.
const GOOD_MS: f64 = 10.0;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A quiet time, the overload, and the quiet time after it.
///
/// # Errors
///
/// A server failed, counts do not add up, or an accepted order did not end.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    for round in 1..=stage.plan.rounds {
        play(stage, round)?;
    }
    Ok(())
}

fn play(stage: &mut Stage, round: u32) -> anyhow::Result<()> {
    let seconds = stage.plan.overload_seconds;
    stage.announce(format!("overload {round}: {RATE}/s for {seconds} s"));
    let folder = stage.fresh()?;
    let mut server = Server::start(&stage.programs, SIDE, folder.path())?;
    import(&server)?;
    let (address, known) = (server.address, one_order(&server)?);
    let calm = || Stream::orders(address, CALM_RATE, CALM_SECONDS);

    let before = calm()?.run()?;
    let rss_before = resident_mib(&server)?;
    let window = stage.open_window(&server)?;
    let storm = Storm {
        orders: Stream::orders(address, RATE, seconds)?,
        read: Stream::reads(address, &format!("/v1/orders/{known}"), READ_RATE, seconds)?,
        livez: Stream::reads(address, "/livez", READ_RATE, seconds)?,
    };
    let weathered = storm.weather(&server)?;
    let after = calm()?.run()?;
    let rss_after = resident_mib(&server)?;

    let (before_sum, during) = (Tally::sum(&before)?, Tally::sum(&weathered.orders)?);
    let after_sum = Tally::sum(&after)?;
    let accepted = HISTORY + 1 + before_sum.accepted + during.accepted + after_sum.accepted;
    let mut all = window.close(&server, during.offered() as f64)?;
    all.extend(weathered.figures()?);
    let calm_p99_ms = millis(&before_sum.accepted_us, 99.0);
    all.extend(figures([
        ("rss_before_mib", rss_before),
        ("rss_after_mib", rss_after),
        (
            "rss_growth_percent",
            (weathered.rss_peak_mib / rss_before - 1.0) * 100.0,
        ),
        ("calm_p99_ms", calm_p99_ms),
        ("after_p99_ms", millis(&after_sum.accepted_us, 99.0)),
        ("refused_after", after_sum.refused as f64),
        ("seconds_to_normal", seconds_to_normal(&after, calm_p99_ms)),
    ]));
    ensure!(
        before_sum.failed + during.failed + after_sum.failed == 0,
        "requests failed: {} before, {} during, {} after",
        before_sum.failed,
        during.failed,
        after_sum.failed
    );
    ensure!(before_sum.refused == 0, "orders were refused before");
    ensure!(
        during.offered() == u64::from(RATE) * u64::from(seconds),
        "{} of the requests were sent",
        during.offered()
    );
    ensure!(
        during.told == during.refused,
        "only {} of {} refusals said when to come back",
        during.told,
        during.refused
    );
    all_ended(&mut server, accepted)?;
    server.stop()?;
    verified(stage, folder.path(), accepted)?;
    stage.keep(Block {
        measure: NAME.to_owned(),
        side: SIDE.name().to_owned(),
        round,
        figures: all,
    })
}

fn import(server: &Server) -> anyhow::Result<()> {
    let times = r#""created_at":"2026-01-01T00:00:00Z","ended_at":"2026-01-01T00:00:01Z""#;
    let open = ORDER.trim_end_matches('}');
    let line = format!("{open},\"status\":\"completed\",{times}}}\n");
    let lines = line.repeat(IMPORTED as usize);
    for _ in 0..HISTORY / IMPORTED {
        let (path, kind) = ("/v1/orders/import", "application/x-ndjson");
        let answer = http::post(server.address, path, kind, &lines)?;
        ensure!(answer.status == 200, "the history was not taken in");
    }
    let stats = http::stats(server.address)?;
    ensure!(
        stats.completed == HISTORY,
        "{} of the history are there",
        stats.completed
    );
    Ok(())
}

fn one_order(server: &Server) -> anyhow::Result<String> {
    let answer = http::post(server.address, "/v1/orders", "application/json", ORDER)?;
    let order: Value = serde_json::from_slice(&answer.body)?;
    let id = order["order_id"].as_str();
    Ok(id.context("the first order was not accepted")?.to_owned())
}

fn resident_mib(server: &Server) -> anyhow::Result<f64> {
    Ok(server.memory()?.resident_bytes / 1_048_576.0)
}

/// Everything that is sent at the same time.
struct Storm {
    orders: Stream,
    read: Stream,
    livez: Stream,
}

/// What became of it.
struct Weathered {
    orders: Vec<Tally>,
    read: Vec<Tally>,
    livez: Vec<Tally>,
    rss_peak_mib: f64,
    completed_per_second: f64,
}

impl Storm {
    fn weather(self, server: &Server) -> anyhow::Result<Weathered> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let orders = scope.spawn(|| {
                let sent = self.orders.run();
                is_over.store(true, Ordering::SeqCst);
                sent
            });
            let read = scope.spawn(|| self.read.run());
            let livez = scope.spawn(|| self.livez.run());
            let watched = watch(server, &is_over);
            let join = |thread: thread::ScopedJoinHandle<'_, anyhow::Result<Vec<Tally>>>| {
                let joined = thread.join();
                joined.map_err(|_| anyhow::anyhow!("a load generator panicked"))?
            };
            let (orders, read, livez) = (join(orders)?, join(read)?, join(livez)?);
            let (rss_peak_mib, completed_per_second) = watched?;
            Ok(Weathered {
                orders,
                read,
                livez,
                rss_peak_mib,
                completed_per_second,
            })
        })
    }
}

/// The largest memory, and the rate of completions once the backlog is full.
fn watch(server: &Server, is_over: &AtomicBool) -> anyhow::Result<(f64, f64)> {
    let mut peak = resident_mib(server)?;
    sleep(FILLING);
    let (began_at, first) = (monotonic(), http::stats(server.address)?.completed);
    while !is_over.load(Ordering::SeqCst) {
        peak = peak.max(resident_mib(server)?);
        sleep(LOOK_EVERY);
    }
    let took = began_at.elapsed().as_secs_f64();
    let completed = http::stats(server.address)?.completed - first;
    Ok((peak, completed as f64 / took))
}

impl Weathered {
    fn figures(&self) -> anyhow::Result<Figures> {
        let orders = Tally::sum(&self.orders)?;
        let (read, livez) = (Tally::sum(&self.read)?, Tally::sum(&self.livez)?);
        ensure!(
            read.accepted == read.offered() && livez.accepted == livez.offered(),
            "reads were not answered with success"
        );
        let share = self.completed_per_second / f64::from(LIMITED_PER_SECOND);
        Ok(figures([
            ("offered", orders.offered() as f64),
            ("accepted", orders.accepted as f64),
            ("refused", orders.refused as f64),
            ("failed", orders.failed as f64),
            ("told_when", orders.told as f64),
            ("completed_per_second", self.completed_per_second),
            ("completed_share_percent", share * 100.0),
            ("refused_p50_ms", millis(&orders.refused_us, 50.0)),
            ("refused_p99_ms", millis(&orders.refused_us, 99.0)),
            ("accepted_p50_ms", millis(&orders.accepted_us, 50.0)),
            ("accepted_p99_ms", millis(&orders.accepted_us, 99.0)),
            ("read_p99_ms", millis(&read.accepted_us, 99.0)),
            ("livez_p99_ms", millis(&livez.accepted_us, 99.0)),
            ("rss_peak_mib", self.rss_peak_mib),
            (
                "retry_after_p50_s",
                orders.retry_after.value_at_quantile(0.5) as f64,
            ),
        ]))
    }
}

/// Whole seconds after the overload until all is as before, for good: nothing is refused, and the
/// 99th percentile of a second is at most twice that of the quiet time before.
fn seconds_to_normal(after: &[Tally], calm_p99_ms: f64) -> f64 {
    let highest = (2.0 * calm_p99_ms).max(GOOD_MS);
    let is_normal =
        |second: &Tally| second.refused == 0 && millis(&second.accepted_us, 99.0) <= highest;
    let last = after.iter().rposition(|second| !is_normal(second));
    last.map_or(0.0, |last| (last + 1) as f64)
}

fn all_ended(server: &mut Server, accepted: u64) -> anyhow::Result<()> {
    server.wait_until(PATIENCE, |stats| stats.open == 0)?;
    let stats = http::stats(server.address)?;
    ensure!(
        (stats.total, stats.completed) == (accepted, accepted),
        "{accepted} orders came in, {} are there and {} completed",
        stats.total,
        stats.completed
    );
    Ok(())
}

/// The store proves that each order has ended once.
fn verified(stage: &Stage, folder: &Path, accepted: u64) -> anyhow::Result<()> {
    let mut command = Command::new(&stage.programs.orderd);
    command
        .args(["verify", "--json", "--data"])
        .arg(folder.join("data"));
    let output = command.env_clear().current_dir(folder).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let log = fs::read_to_string(folder.join("server.log")).unwrap_or_default();
        bail!("orderd verify of {accepted} orders: {said} {log}");
    }
    Ok(())
}

/// The figures with their goals.
pub fn table(record: &Record) -> Table {
    const LINES: [(&str, &str, usize, &str); 14] = [
        (
            "completed, of what the work allows (%)",
            "completed_share_percent",
            1,
            "≥ 90",
        ),
        ("accepted", "accepted", 0, ""),
        ("refused", "refused", 0, ""),
        ("of these told when to come back", "told_when", 0, "all"),
        ("refused, p50 (ms)", "refused_p50_ms", 2, ""),
        ("refused, p99 (ms)", "refused_p99_ms", 2, "≤ 50"),
        ("accepted, p99 (ms)", "accepted_p99_ms", 2, ""),
        ("read of an order, p99 (ms)", "read_p99_ms", 2, ""),
        ("/livez, p99 (ms)", "livez_p99_ms", 2, "≤ 100"),
        ("memory before (MiB)", "rss_before_mib", 1, ""),
        ("largest memory (MiB)", "rss_peak_mib", 1, ""),
        ("growth of memory (%)", "rss_growth_percent", 1, "≤ 10"),
        ("memory after (MiB)", "rss_after_mib", 1, ""),
        ("until all is as before (s)", "seconds_to_normal", 0, "≤ 5"),
    ];
    let title = "Overload: ten times as many orders as the work allows";
    lines(title, record, (NAME, SIDE), &LINES)
}

/// A table of figures of one measurement: name, figure, digits, goal.
pub fn lines(
    title: &'static str,
    record: &Record,
    (measure, side): (&str, Side),
    lines: &[(&str, &str, usize, &str)],
) -> Table {
    let row = |(name, figure, digits, goal): &(&str, &str, usize, &str)| {
        let values = record.figures(measure, side.name(), figure);
        let outermost = |it: fn(f64, f64) -> f64| values.iter().map(|(_, value)| *value).reduce(it);
        let (least, most) = (outermost(f64::min)?, outermost(f64::max)?);
        let median = record.median(measure, side.name(), figure)?;
        let [median, least, most] = [median, least, most].map(|value| format!("{value:.digits$}"));
        let range = format!("{least} .. {most}");
        Some(vec![(*name).to_owned(), median, range, (*goal).to_owned()])
    };
    Table {
        title,
        head: vec!["figure", "orderd", "of rounds", "goal"],
        rows: lines.iter().filter_map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_is_when_it_stays_so() {
        let second = |refused, us| {
            let mut tally = Tally {
                refused,
                ..Tally::default()
            };
            tally.accepted_us.saturating_record(us);
            tally
        };
        let good = || second(0, 9_000);
        assert_eq!(seconds_to_normal(&[good(), good()], 1.0), 0.0);
        let after = [second(3, 9_000), good(), second(0, 11_000), good()];
        assert_eq!(seconds_to_normal(&after, 1.0), 3.0);
        assert_eq!(seconds_to_normal(&after, 6.0), 1.0);
    }
}
