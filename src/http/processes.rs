//! `GET /v1/processes`: which processes there are, what their steps do, and how many orders are
//! open in each version.
//!
//! Shows what was set when the server started; changes nothing, and shows no secret.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::code::Code;
use super::error::ApiError;
use super::parameters::Parameters;
use super::schema::{ProcessDetail, ProcessPage, ProcessStep, ProcessSummary, ProcessVersion};
use super::{App, stats};
use crate::config::steps;
use crate::engine::Stats;
use crate::order::{Process, ProcessIndex, Processes, Step};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
}

/// List processes
///
/// Those that new orders may name, and those from before that open orders still go through.
#[utoipa::path(
    get,
    path = "/v1/processes",
    tag = "operations",
    operation_id = "listProcesses",
    responses((status = 200, description = "All processes.", body = ProcessPage))
)]
async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<ProcessPage>, ApiError> {
    Parameters::none(&uri)?;
    let stats = stats::picture(&app).await?;
    let names = app.processes.names().iter();
    let data = names.filter_map(|name| summary(&app.processes, &stats, name));
    Ok(Json(ProcessPage {
        data: data.collect(),
    }))
}

/// Read a process
///
/// In the version that new orders get, or in another one that open orders began with.
#[utoipa::path(
    get,
    path = "/v1/processes/{name}",
    tag = "operations",
    operation_id = "readProcess",
    params(
        ("name" = String, Path, description = "The process's name.", example = "default"),
        ("version" = Option<u32>, Query, description = "Its version; that of new orders if absent.")
    ),
    responses((status = 200, description = "The process.", body = ProcessDetail))
)]
async fn read(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<ProcessDetail>, ApiError> {
    let mut parameters = Parameters::of(&uri)?;
    let number = |text: &str| text.parse::<u32>().ok();
    let version = parameters.read("version", "must be a whole number", number)?;
    parameters.end()?;
    let processes = &app.processes;
    let found = name.ok().and_then(|Path(name)| match version {
        Some(version) => processes
            .find_version(&name, version)
            .map(|(index, _)| index),
        None => newest(processes, &name),
    });
    let index = found.ok_or_else(|| {
        let detail = match version {
            Some(_) => "no process has this name and this version",
            None => "no process has this name",
        };
        ApiError::new(Code::ProcessNotFound, detail)
    })?;
    let stats = stats::picture(&app).await?;
    Ok(Json(detail(processes, &stats, index)))
}

/// The version of a process that new orders get, or the newest one from before.
fn newest(processes: &Processes, name: &str) -> Option<ProcessIndex> {
    let known = (0..).map(ProcessIndex).zip(processes.all());
    let before = known.filter(|(_, process)| &*process.name == name);
    let before = before.max_by_key(|(_, process)| process.version);
    processes.find(name).or(before.map(|(index, _)| index))
}

fn summary(processes: &Processes, stats: &Stats, name: &str) -> Option<ProcessSummary> {
    let newest = newest(processes, name)?;
    let process = processes.at(newest);
    let versions = versions(processes, stats, newest);
    Some(ProcessSummary {
        name: name.to_owned(),
        version: processes.find(name).map(|_| process.version),
        steps: process
            .steps
            .iter()
            .map(|step| step.name.to_string())
            .collect(),
        open: versions.iter().map(|version| version.open).sum(),
        versions,
    })
}

fn detail(processes: &Processes, stats: &Stats, index: ProcessIndex) -> ProcessDetail {
    let process = processes.at(index);
    let own = version(processes, stats, index);
    ProcessDetail {
        name: process.name.to_string(),
        version: process.version,
        takes_new_orders: own.takes_new_orders,
        open: own.open,
        concurrency: process.concurrency,
        max_open_orders: process.open_orders_max,
        steps: process.steps.iter().filter_map(step).collect(),
        versions: versions(processes, stats, index),
    }
}

/// All versions of a process, the newest first.
fn versions(processes: &Processes, stats: &Stats, index: ProcessIndex) -> Vec<ProcessVersion> {
    let all = processes.versions(index);
    let mut all: Vec<_> = all.map(|index| version(processes, stats, index)).collect();
    all.sort_by_key(|version| std::cmp::Reverse((version.takes_new_orders, version.version)));
    all
}

fn version(processes: &Processes, stats: &Stats, index: ProcessIndex) -> ProcessVersion {
    let process: &Process = processes.at(index);
    ProcessVersion {
        version: process.version,
        takes_new_orders: processes.find(&process.name) == Some(index),
        open: stats
            .open_by_version
            .get(usize::from(index.0))
            .copied()
            .unwrap_or(0),
    }
}

fn step(step: &Step) -> Option<ProcessStep> {
    let Value::Object(mut settings) = steps::as_json(step) else {
        return None;
    };
    settings.remove("name");
    let kind = settings.remove("kind");
    Some(ProcessStep {
        name: step.name.to_string(),
        kind: kind.as_ref().and_then(Value::as_str)?.to_owned(),
        settings: settings.into_iter().collect(),
    })
}
