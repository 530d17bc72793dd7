//! Steps that are sent to addresses, as statistics show them: their calls, and the services that
//! are called.
//!
//! Renames and scales what was measured; counts nothing of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::stats::{Spread, spread};
use crate::engine::{ENDS, LineView, PushView, ServiceView};

/// Steps that are sent to addresses.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PushStats {
    /// By the queue of the step, which is named after process and step.
    pub steps: BTreeMap<String, PushedStep>,
    /// Those who are called, by address.
    pub services: BTreeMap<String, ServiceStats>,
    /// How long calls took since the server started.
    pub call_time_ms: Spread,
}

/// The calls of one step.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PushedStep {
    /// Calls that are under way.
    pub under_way: usize,
    /// How calls ended since the server started: `done`, `later`, `retried`, `rejected`, `failed`,
    /// `unknown`, `not_counted`.
    pub ended: BTreeMap<String, u64>,
}

/// Somebody who is called.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceStats {
    /// `called`; or `resting`: it did not answer, its orders wait, and single calls try whether it
    /// is back.
    #[schema(example = "called")]
    pub state: String,
    /// Calls that failed in a row.
    pub failures: u32,
    /// When it is tried again; null unless it rests.
    #[schema(required)]
    pub rests_for_ms: Option<u64>,
    /// What the last failed call said; null after one that did not.
    #[schema(required)]
    pub error: Option<String>,
}

impl App {
    /// What is known of calls.
    pub(super) fn push_view(&self) -> PushView {
        let view = self.pushes.as_ref().map(|pushes| pushes.view());
        view.unwrap_or_default()
    }
}

pub(super) fn stats(view: &PushView) -> PushStats {
    PushStats {
        steps: view.lines.iter().map(step).collect(),
        services: view.services.iter().map(service).collect(),
        call_time_ms: spread(&view.call_time),
    }
}

fn step(line: &LineView) -> (String, PushedStep) {
    let ended = ENDS.into_iter().map(str::to_owned).zip(line.ended);
    let step = PushedStep {
        under_way: line.under_way,
        ended: ended.collect(),
    };
    (line.queue.to_string(), step)
}

fn service(view: &ServiceView) -> (String, ServiceStats) {
    let rest = view
        .rests_for
        .map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
    let stats = ServiceStats {
        state: if view.is_closed { "called" } else { "resting" }.to_owned(),
        failures: view.failures,
        rests_for_ms: rest,
        error: view.error.as_deref().map(str::to_owned),
    };
    (view.target.clone(), stats)
}
