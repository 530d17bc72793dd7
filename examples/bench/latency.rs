//! Latency against load: the open loop at fixed parts of what orderd accepts at most.
//!
//! Both sides get the same rates, so their curves can be laid over each other.

use super::load::{Amount, Report, Sending};
use super::record::Block;
use super::server::{Server, Side, Work};
use super::stage::{Stage, interleaved};
use super::wrk::Requests;

/// Parts of the ceiling, in percent.
pub const PERCENTS: [u32; 5] = [10, 25, 50, 75, 90];
/// The part that the goal is about.
pub const HALF: u32 = 50;

/// The name of the measurement at a part of the ceiling.
pub fn name(percent: u32) -> String {
    format!("latency-{percent}")
}

/// Percentiles of both sides at all parts of the ceiling.
///
/// # Errors
///
/// A server or a load generator failed, or an order was refused.
pub fn measure(stage: &mut Stage) -> anyhow::Result<()> {
    let measured = stage.record().median("accept", "orderd", "per_second");
    let ceiling = match measured {
        Some(ceiling) => ceiling,
        None => find_ceiling(stage)?,
    };
    let sides = [Side::Floor, Side::Orderd(Work::Hour)];
    let mut all = Vec::new();
    for percent in PERCENTS {
        all.extend(sides.map(|side| (percent, side)));
    }
    for (round, (percent, side)) in interleaved(stage.plan.rounds, &all) {
        // Whole hundreds, so that rates read well.
        let rate = (ceiling * f64::from(percent) / 10_000.0).round().max(1.0) as u64 * 100;
        let report = play(stage, side, (percent, rate, round))?;
        let (report, mut figures) = report;
        figures.extend(report.figures());
        figures.insert("rate".to_owned(), rate as f64);
        stage.keep(Block {
            measure: name(percent),
            side: side.name().to_owned(),
            round,
            figures,
        })?;
    }
    Ok(())
}

fn find_ceiling(stage: &Stage) -> anyhow::Result<f64> {
    stage.announce("latency: finding the ceiling".to_owned());
    let folder = stage.fresh()?;
    let requests = Requests::single(folder.path())?;
    let server = Server::start(&stage.programs, Side::Orderd(Work::Hour), folder.path())?;
    requests.send(server.address, stage.plan.warm_up_seconds)?;
    let report = requests.send(server.address, stage.plan.seconds)?;
    Ok(report.requests_per_second())
}

fn play(
    stage: &Stage,
    side: Side,
    (percent, rate, round): (u32, u64, u32),
) -> anyhow::Result<(Report, super::stage::Figures)> {
    let name = side.name();
    stage.announce(format!("latency {name} {round}: {rate}/s, {percent} %"));
    let folder = stage.fresh()?;
    let server = Server::start(&stage.programs, side, folder.path())?;
    let seconds = match percent {
        HALF => stage.plan.latency_seconds,
        _ => stage.plan.seconds,
    };
    let sending = |seconds| Sending {
        address: server.address,
        amount: Amount::Rate(rate, seconds),
        connections: 256,
    };
    sending(stage.plan.warm_up_seconds).run(stage)?;
    let window = stage.open_window(&server)?;
    let report = sending(seconds).run(stage)?;
    let figures = window.close(&server, report.accepted)?;
    Ok((report, figures))
}
