//! What was run, as data: server, pace, connections. The first line of every report.
//! It gathers what was asked for, and no figures.

use serde::Serialize;

use super::arguments::{Settings, Tempo};
use crate::cli::scenario;

/// The mode of a run in which nothing has a planned time.
pub const CLOSED: &str = "closed";
const OPEN: &str = "open";

/// What was run.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The label in the ids of this run.
    pub label: String,
    /// The scenario.
    pub scenario: Option<&'static str>,
    /// The server.
    pub url: String,
    /// Where orders are read back.
    pub native_url: String,
    /// `closed`, `open`, or `paced`.
    pub mode: &'static str,
    /// Connections.
    pub connections: u32,
    /// Sending threads.
    pub threads: u32,
    /// Orders per request.
    pub batch: u32,
    /// Planned orders per second.
    pub rate: Option<u64>,
    /// How many times as fast as the file's own pace.
    pub pace: Option<f64>,
    /// Seed of the generated orders.
    pub seed: u64,
    /// The file the orders came from.
    pub file: Option<String>,
    /// Whether somebody ended the sending early.
    pub interrupted: bool,
}

impl Facts {
    /// Of a run with this label.
    pub fn of(settings: &Settings, label: &str, interrupted: bool) -> Self {
        let arguments = &settings.arguments;
        let (mode, rate, pace) = match (&settings.scenario, settings.tempo) {
            (Some(scenario), _) => match *scenario.stages {
                [stage] if stage.rate.is_none() => (CLOSED, None, None),
                [stage] => (OPEN, stage.rate, None),
                _ => (OPEN, None, None),
            },
            (None, Tempo::Closed) => (CLOSED, None, None),
            (None, Tempo::Rate(rate)) => (OPEN, Some(rate), None),
            (None, Tempo::Pace(factor)) => ("paced", None, Some(factor)),
        };
        let stages = settings
            .scenario
            .iter()
            .flat_map(|scenario| &*scenario.stages);
        let connections = stages.map(|stage| stage.connections).max();
        Self {
            label: label.to_owned(),
            scenario: settings.scenario.as_ref().map(|scenario| scenario.name),
            url: format!("http://{}", settings.target.authority()),
            native_url: format!("http://{}", settings.native.authority()),
            mode,
            connections: connections.unwrap_or(arguments.connections),
            threads: arguments.threads,
            batch: arguments.batch,
            rate,
            pace,
            seed: arguments.seed,
            file: settings
                .file
                .as_ref()
                .map(|path| path.display().to_string()),
            interrupted,
        }
    }

    /// What runs, in one line.
    pub fn line(&self) -> String {
        if let Some(scenario) = self.scenario.and_then(scenario::named) {
            return format!("{}  {}: {}", self.url, scenario.name, scenario.about);
        }
        let how = match (self.rate, self.pace) {
            (Some(rate), _) => format!("open loop at {rate} orders/s"),
            (_, Some(pace)) => format!("at {pace} times its own pace"),
            (None, None) => "closed loop".to_owned(),
        };
        let batch = match self.batch {
            1 => String::new(),
            batch => format!(", {batch} orders a request"),
        };
        let file = self
            .file
            .as_ref()
            .map(|file| format!(", {file}"))
            .unwrap_or_default();
        format!(
            "{}  {how}, {} connections{batch}{file}",
            self.url, self.connections
        )
    }

    /// What will run, in one line.
    pub fn heading(settings: &Settings, label: &str) -> String {
        Self::of(settings, label, false).line()
    }
}
