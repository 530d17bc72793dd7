//! `GET /v1/stats`: the engine's picture of itself, for people and dashboards.
//!
//! Renames and scales what the engine measured; counts nothing of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::code::Code;
use super::error::ApiError;
use super::parameters::Parameters;
use super::pushes::{self, PushStats};
use crate::engine::{Distribution, QueueStats, Silence, Stats};
use crate::order::{Priority, ProcessTally, StatusKind, Tally};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(stats))
}

/// Microseconds in a millisecond.
const MICROS_PER_MILLI: f64 = 1_000.0;

/// The state of the whole server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StatsView {
    /// How many orders there are.
    pub orders: OrderCounts,
    /// The orders of each process, in all its versions.
    pub processes: BTreeMap<String, ProcessView>,
    /// What there is to do for workers, by queue.
    pub queues: BTreeMap<String, QueueView>,
    /// How fast orders move.
    pub rates: Rates,
    /// From first start to completion, of orders completed since the server started.
    pub processing_time_ms: Spread,
    /// From ready to started, of attempts since the server started.
    pub queue_wait_ms: Spread,
    /// How long the longest waiting order has been ready; null if none waits.
    #[schema(required)]
    pub oldest_waiting_ms: Option<u64>,
    /// Since the server started.
    pub uptime_seconds: u64,
    /// The shard.
    pub shard: ShardView,
    /// How safe an answered order is.
    pub durability: DurabilityView,
    /// The room on the disk.
    pub storage: StorageView,
    /// Steps that are sent to addresses.
    pub push: PushStats,
}

/// How many orders there are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OrderCounts {
    /// By status, all ten of them.
    pub by_status: BTreeMap<String, i64>,
    /// Open orders by priority.
    pub by_priority: BTreeMap<String, i64>,
    /// Orders that have not ended.
    pub open: i64,
    /// Of those, orders that are held back.
    pub held: i64,
    /// All orders ever accepted.
    pub total: i64,
}

/// The orders of one process, over the life of the store.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProcessView {
    /// By status, all ten of them.
    pub by_status: BTreeMap<String, i64>,
    /// Orders that have not ended.
    pub open: i64,
    /// All orders ever accepted.
    pub total: i64,
    /// Mean over its completed orders, from first start to completion; 0 if there are none.
    pub average_work_ms: f64,
    /// Mean over its completed orders of the whole seconds from accepted to completed, each rounded
    /// down; 0 if there are none.
    pub average_turnaround_seconds: f64,
}

/// What there is to do in a queue, and who asks for it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// Orders that wait in it.
    pub waiting: usize,
    /// Orders that workers have.
    pub leased: u32,
    /// Workers that wait for work.
    pub workers: usize,
    /// How long the order that has waited longest has been ready; null if none waits.
    #[schema(required)]
    pub oldest_waiting_ms: Option<u64>,
}

/// How fast orders move.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Accepted.
    pub accepted_per_second: Windows,
    /// Completed.
    pub completed_per_second: Windows,
}

/// A rate over the last second, minute and five minutes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Windows {
    /// Over the last second.
    #[serde(rename = "1s")]
    pub second: f64,
    /// Over the last minute.
    #[serde(rename = "1m")]
    pub minute: f64,
    /// Over the last five minutes.
    #[serde(rename = "5m")]
    pub five_minutes: f64,
}

/// How a time is spread, in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// How many were measured.
    pub count: u64,
    /// Mean.
    pub average: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The shard.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShardView {
    /// Its number.
    pub number: u16,
    /// Rises with each start.
    pub epoch: i64,
    /// Its last commit.
    pub position: i64,
    /// Whether open orders from before the start are still being loaded.
    pub recovering: bool,
}

/// The room on the disk.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StorageView {
    /// `ok`, or `full`: new orders are refused with `storage-full`, accepted ones go on.
    #[schema(example = "ok")]
    pub status: String,
    /// Bytes that are free; null if nobody looks.
    #[schema(required)]
    pub free_bytes: Option<u64>,
    /// Below so many free bytes new orders are refused; 0: never.
    pub free_bytes_min: u64,
    /// Bytes that are set apart, so that accepted orders go on when the disk is full.
    pub reserve_bytes: u64,
    /// Orders refused for want of room since the server started.
    pub refused: u64,
}

/// How safe an answered order is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DurabilityView {
    /// `disk`: survives power loss of the machine. `memory`: does not. `network`: is up to a
    /// network file system. `weak`: not any more, because the database's settings were changed.
    pub level: String,
    /// The settings that this follows from.
    pub detail: String,
}

/// Read statistics
///
/// One consistent picture between two turns of the engine.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "operations",
    operation_id = "readStats",
    responses((status = 200, description = "The state of the whole server.", body = StatsView))
)]
async fn stats(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<StatsView>, ApiError> {
    Parameters::none(&uri)?;
    let stats = picture(&app).await?;
    Ok(Json(view(&app, &stats)))
}

/// What the engine says of itself.
pub(super) async fn picture(app: &App) -> Result<Stats, ApiError> {
    app.engine.stats_soon().await.map_err(|silence| {
        let code = match silence {
            Silence::Ended => Code::Draining,
            Silence::HeldUp => Code::StoreUnavailable,
        };
        ApiError::new(code, silence.to_string())
    })
}

fn view(app: &App, stats: &Stats) -> StatsView {
    let durability = app.store.durability();
    StatsView {
        orders: counts(stats),
        processes: stats.processes.iter().map(process).collect(),
        queues: stats.queues.iter().map(queue).collect(),
        rates: Rates {
            accepted_per_second: windows(stats.accepted_per_second),
            completed_per_second: windows(stats.completed_per_second),
        },
        processing_time_ms: spread(&stats.processing_time),
        queue_wait_ms: spread(&stats.queue_wait),
        oldest_waiting_ms: stats.oldest_waiting_us.map(whole_millis),
        uptime_seconds: stats.uptime_us.max(0).unsigned_abs() / 1_000_000,
        shard: ShardView {
            number: stats.shard.0,
            epoch: stats.epoch,
            position: stats.position.0,
            recovering: stats.is_recovering,
        },
        durability: DurabilityView {
            level: durability.level.to_owned(),
            detail: durability.detail,
        },
        storage: storage(stats),
        push: pushes::stats(&app.push_view()),
    }
}

fn storage(stats: &Stats) -> StorageView {
    let room = &stats.room;
    StorageView {
        status: if room.is_low { "full" } else { "ok" }.to_owned(),
        free_bytes: room.free,
        free_bytes_min: room.free_min,
        reserve_bytes: room.reserve,
        refused: stats.refused_full,
    }
}

fn counts(stats: &Stats) -> OrderCounts {
    let tally = &stats.tally;
    let by_priority = Priority::ALL.map(|priority| {
        let open = tally.open_by_priority(priority);
        (priority.number().to_string(), open)
    });
    OrderCounts {
        total: tally.total(),
        by_status: by_status(tally),
        by_priority: by_priority.into(),
        open: tally.open(),
        held: i64::try_from(stats.held_orders).unwrap_or(i64::MAX),
    }
}

fn process(counters: &ProcessTally) -> (String, ProcessView) {
    let tally = &counters.tally;
    let completed = tally.by_status(StatusKind::Completed);
    let mean = |sum: i64| {
        if completed == 0 {
            0.0
        } else {
            sum as f64 / completed as f64
        }
    };
    let view = ProcessView {
        by_status: by_status(tally),
        open: tally.open(),
        total: tally.total(),
        average_work_ms: mean(counters.work_us).round() / MICROS_PER_MILLI,
        average_turnaround_seconds: (mean(counters.turnaround_s) * 1_000.0).round() / 1_000.0,
    };
    (counters.process.to_string(), view)
}

fn queue(it: &QueueStats) -> (String, QueueView) {
    let view = QueueView {
        waiting: it.waiting,
        leased: it.leased,
        workers: it.workers,
        oldest_waiting_ms: it.oldest_waiting_us.map(whole_millis),
    };
    (it.queue.to_string(), view)
}

fn whole_millis(micros: i64) -> u64 {
    micros.max(0).unsigned_abs() / 1_000
}

fn by_status(tally: &Tally) -> BTreeMap<String, i64> {
    let count = |status: StatusKind| (status.name().to_owned(), tally.by_status(status));
    StatusKind::ALL.map(count).into()
}

fn windows([second, minute, five_minutes]: [f64; 3]) -> Windows {
    let [second, minute, five_minutes] =
        [second, minute, five_minutes].map(|rate| (rate * 1_000.0).round() / 1_000.0);
    Windows {
        second,
        minute,
        five_minutes,
    }
}

pub(super) fn spread(measured: &Distribution) -> Spread {
    let millis = |micros: u64| micros as f64 / MICROS_PER_MILLI;
    Spread {
        count: measured.count,
        average: measured.average().round() / MICROS_PER_MILLI,
        p50: millis(measured.p50),
        p95: millis(measured.p95),
        p99: millis(measured.p99),
    }
}
