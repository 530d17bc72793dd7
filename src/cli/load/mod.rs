//! `orderd load`: sends orders at a server, measures it, and proves what was acknowledged.
//!
//! `arguments` says what may be asked for; `source` hands out requests (made by `plan`, by `script`
//! for a scenario, or read by `file` and `feed`), `worker` sends them, `record` writes down what
//! came back, `conduct` starts and ends it, `stages` does so for each part of a scenario, `verify`
//! reads everything back, `report` and `text` say how it went.

mod answers;
mod apache;
mod arguments;
mod conduct;
mod display;
mod facts;
mod feed;
pub mod file;
mod ids;
pub mod notation;
mod open;
mod plan;
mod progress;
mod readback;
mod receipt;
mod reconcile;
mod record;
mod report;
mod schedule;
mod screen;
mod script;
mod source;
mod stages;
mod sweep;
mod tally;
mod text;
mod thresholds;
mod told;
mod verify;
mod view;
mod worker;

use std::io::{IsTerminal, Write, stderr, stdout};

use tokio::sync::watch;
use tokio::task::LocalSet;

pub use arguments::{Arguments, Settings};
pub use plan::mix;
pub use report::Report;

use self::conduct::{Run, Sent};
use self::display::{Display, Heading};
use self::facts::Facts;
use self::progress::Meter;
use self::record::Haul;
use self::report::Outcome;
use self::verify::{Setup, Verification};
use super::client::{Connection, ExchangeError, Target};
use super::exit::{OF_THE_SYSTEM, OrFail};
use super::{handles, output};
use crate::clock::{Clock, SystemClock};

/// Connections that read orders back at most.
const VERIFY_CONNECTIONS_MAX: usize = 16;

/// Runs the load and answers the exit code.
///
/// # Errors
///
/// Bad usage, a file that cannot be opened, no server at the address, no thread to be had. What
/// goes wrong later is in the report and in the exit code.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let settings = Settings::check(arguments)?;
    handles::raise_limit();
    let label = base36(SystemClock::default().now().0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_fail("cannot start the runtime", OF_THE_SYSTEM)?;
    let (interrupts, _) = watch::channel(0);
    let report = LocalSet::new().block_on(&runtime, async {
        let by_signal = interrupts.clone();
        tokio::task::spawn_local(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                by_signal.send_modify(|count| *count += 1);
            }
        });
        load(settings.clone(), &label, &interrupts).await
    })?;
    print(&settings, &report)?;
    Ok(report.exit_code)
}

/// Sends, verifies and reports. Runs inside a `LocalSet`. `label` tells this run from others;
/// `interrupts` counts how often somebody wanted it to stop.
///
/// # Errors
///
/// As [`run`], without those of the arguments.
pub async fn load(
    mut settings: Settings,
    label: &str,
    interrupts: &watch::Sender<u32>,
) -> anyhow::Result<Report> {
    let is_verified = !settings.arguments.no_verify;
    let (mut outcome, active_before) = if let Some(scenario) = settings.scenario.clone() {
        stages::reach(&mut settings).await?;
        let active_before = match is_verified {
            true => Some(stages::probe(&settings.native).await?),
            false => None,
        };
        let outcome = stages::send(&settings, &scenario, label, interrupts).await?;
        (outcome, active_before)
    } else {
        let run = Run::new(&settings, &format!("load-{label}-"))?;
        let active_before = probe(&settings.target).await?;
        let sent = send(&settings, label, run, interrupts).await?;
        (Outcome::plain(sent), active_before)
    };
    if is_verified {
        let (sent, interrupts) = (&mut outcome.sent, interrupts.subscribe());
        outcome.verification = Some(prove(&settings, active_before, sent, interrupts).await);
    }
    Ok(Report::new(&settings, label, outcome))
}

/// Asks the server how many orders go on; `None` if it has no such statistics.
async fn probe(target: &Target) -> anyhow::Result<Option<u64>> {
    let mut connection = Connection::open(target)
        .await
        .map_err(|error| target.unreachable(&error))?;
    let mut request = Vec::new();
    target.write_get("/v1/stats", &mut request);
    match connection.exchange(&request).await {
        Ok(response) => Ok(readback::read_active(&response.body).ok()),
        Err(ExchangeError::Io(error)) => Err(target.unreachable(&error).into()),
        Err(error @ ExchangeError::Malformed(_)) => Err(target.is_no_orderd(&error).into()),
    }
}

async fn send(
    settings: &Settings,
    label: &str,
    run: Run,
    interrupts: &watch::Sender<u32>,
) -> anyhow::Result<Sent> {
    let heading = Heading {
        text: format!("orderd load  {}", Facts::heading(settings, label)),
        duration: settings.duration,
        orders: settings.arguments.orders,
    };
    eprintln!(
        "{}  (run {label}, seed {})",
        heading.text, settings.arguments.seed
    );
    let mut display = Display::new(settings, heading);
    run.conduct(&mut display, interrupts).await
}

async fn prove(
    settings: &Settings,
    active_before: Option<u64>,
    sent: &mut Sent,
    interrupts: watch::Receiver<u32>,
) -> Verification {
    let arguments = &settings.arguments;
    let reconciliation = std::mem::take(&mut sent.haul.reconciliation);
    let haul = std::mem::replace(
        &mut sent.haul,
        Haul {
            reconciliation,
            ..Haul::default()
        },
    );
    let meter = Meter::new(arguments.no_tui);
    let setup = Setup {
        target: settings.native.clone(),
        connections: (arguments.connections as usize).min(VERIFY_CONNECTIONS_MAX),
        patience: settings.patience,
        seed: arguments.seed,
        active_before,
        meter: &meter,
        interrupts,
    };
    let verification = verify::verify(setup, haul).await;
    meter.clear();
    verification
}

fn print(settings: &Settings, report: &Report) -> anyhow::Result<()> {
    let text = if settings.arguments.json {
        serde_json::to_string_pretty(report)? + "\n"
    } else {
        text::render(
            report,
            !settings.arguments.no_color && stdout().is_terminal(),
        )
    };
    if settings.arguments.json || !stdout().is_terminal() {
        for problem in &report.problems {
            writeln!(stderr(), "error: {problem}")?;
        }
    }
    if !settings.arguments.json && !report.told.is_empty() {
        writeln!(stdout())?;
    }
    Ok(output::text(&text)?)
}

/// A number in digits and lower-case letters; it sorts like the number as long as it is as long.
fn base36(number: i64) -> String {
    let mut rest = number.unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        digits.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
        rest /= 36;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod tests;
