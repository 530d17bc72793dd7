//! Sends a scenario: its stages one after the other, with its pauses, and prints what its load tool
//! would have printed. Interrupted, it leaves the stages out that are still to come.

use std::io;

use tokio::sync::watch;

use super::arguments::Settings;
use super::conduct::{Run, Sent};
use super::display::{Display, Heading};
use super::facts::Facts;
use super::report::Outcome;
use super::{readback, told};
use crate::cli::client::{Connection, Target};
use crate::cli::exit::{self, Failure};
use crate::cli::output;
use crate::cli::scenario::{Scenario, Stage};

/// Finds the server that orders will be sent to.
///
/// # Errors
///
/// [`Failure`] with the code for servers that cannot be reached.
pub async fn reach(settings: &mut Settings) -> Result<(), Failure> {
    let way_out = "start one with `orderd serve --compat`, or name another with --url";
    let reached = settings.target.reach().await;
    reached.map_err(|error| settings.target.unreachable_but(&error, way_out))
}

/// Asks the native API how many orders go on, before anything is sent in vain.
///
/// # Errors
///
/// [`Failure`] with the code for servers that cannot be reached, or what answers is no orderd.
pub async fn probe(native: &Target) -> anyhow::Result<u64> {
    let way_out = "name orderd's native API with --native-url, or do without the verification \
                   with --no-verify";
    let unreachable = |error: io::Error| native.unreachable_but(&error, way_out);
    let mut connection = Connection::open(native).await.map_err(unreachable)?;
    let mut request = Vec::new();
    native.write_get("/v1/stats", &mut request);
    let active = match connection.exchange(&request).await {
        Ok(response) => readback::read_active(&response.body).ok(),
        Err(_) => None,
    };
    match active {
        Some(active) => Ok(active),
        None => {
            let what = format!("http://{} is no orderd", native.authority());
            Err(Failure::new(exit::FAILURE, what, way_out).into())
        }
    }
}

/// Sends all stages.
///
/// # Errors
///
/// No thread to be had, or stdout is closed.
pub async fn send(
    settings: &Settings,
    scenario: &Scenario,
    label: &str,
    interrupts: &watch::Sender<u32>,
) -> anyhow::Result<Outcome> {
    let mut lines = Vec::new();
    let mut tell = |line: String| {
        if !settings.arguments.json {
            output::line(&line)?;
        }
        lines.push(line);
        io::Result::Ok(())
    };
    eprintln!("{}  (run {label})", Facts::heading(settings, label));
    let mut all: Option<Sent> = None;
    for stage in &*scenario.stages {
        if let Some(all) = &mut all
            && !pause(scenario, interrupts).await
        {
            all.interrupted = true;
            break;
        }
        let sent = send_stage(settings, scenario, stage, (label, interrupts)).await?;
        let line = told::after_stage(scenario, stage, sent.tally.orders_sent);
        line.map_or(Ok(()), &mut tell)?;
        match &mut all {
            Some(all) => all.absorb(sent),
            None => all = Some(sent),
        }
    }
    let Some(sent) = all else {
        let what = format!("the scenario {} has no stages", scenario.name);
        return Err(Failure::new(exit::FAILURE, what, exit::OF_OURS).into());
    };
    let (last, comparison) = told::at_end(scenario, &sent);
    last.into_iter().try_for_each(&mut tell)?;
    Ok(Outcome {
        sent,
        told: lines,
        comparison,
        verification: None,
    })
}

async fn send_stage(
    settings: &Settings,
    scenario: &Scenario,
    stage: &Stage,
    (label, interrupts): (&str, &watch::Sender<u32>),
) -> anyhow::Result<Sent> {
    let suffix = match settings.arguments.exact_ids {
        true => String::new(),
        false => format!("-{label}"),
    };
    let run = Run::staged(settings, scenario.door, *stage, &suffix);
    let heading = Heading {
        text: format!("orderd load  {}", Facts::heading(settings, label)),
        duration: None,
        orders: Some(stage.orders.into()),
    };
    let mut display = Display::new(settings, heading);
    run.conduct(&mut display, interrupts).await
}

/// Waits between two stages; `false` if somebody has wanted to stop by then.
async fn pause(scenario: &Scenario, interrupts: &watch::Sender<u32>) -> bool {
    let mut changes = interrupts.subscribe();
    if *changes.borrow_and_update() > 0 {
        return false;
    }
    tokio::select! {
        () = tokio::time::sleep(scenario.pause) => true,
        _ = changes.changed() => false,
    }
}
