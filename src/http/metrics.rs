//! `GET /metrics`: everything the engine and the HTTP floor count, as Prometheus text (format
//! 0.0.4).
//!
//! Written by hand from one snapshot. The names are a promise: `docs/metrics.md` lists them, and a
//! test compares.

use std::fmt::{Display, Write};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::NOSNIFF;
use crate::engine::{BUCKETS_US, Distribution, ENDS, PushView, QueueStats, Stats};
use crate::order::{Priority, StatusKind};
use crate::server::{CLASSES, Requests};
use crate::telling::Feed;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Microseconds in a second.
const MICROS: f64 = 1_000_000.0;
const WINDOWS: [&str; 3] = ["1s", "1m", "5m"];

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Read metrics
///
/// Prometheus text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "readMetrics",
    responses((
        status = 200,
        description = "Prometheus text.",
        body = String,
        content_type = "text/plain"
    ))
)]
async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut page = Page::default();
    page.one(
        "orderd_build_info",
        "gauge",
        "Which orderd this is; always 1.",
        |page| {
            let version = ("version", env!("CARGO_PKG_VERSION"));
            page.sample("orderd_build_info", &[version], 1);
        },
    );
    requests(&mut page, &app.requests);
    page.number(
        "orderd_accepting",
        "gauge",
        "1 while new orders are taken.",
        u8::from(app.is_accepting()),
    );
    page.number(
        "orderd_bad_rows_total",
        "counter",
        "Damaged rows that reads have met.",
        app.store.bad_rows(),
    );
    feed(&mut page, &app.feed);
    push(&mut page, &app.push_view());
    if let Ok(stats) = app.engine.stats_soon().await {
        engine(&mut page, &stats);
        page.number(
            "orderd_uptime_seconds",
            "gauge",
            "Since the engine started.",
            stats.uptime_us as f64 / MICROS,
        );
    }
    ([(header::CONTENT_TYPE, TEXT), NOSNIFF], page.0).into_response()
}

/// Prometheus text in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    /// One metric: what it is, and its samples.
    fn one(&mut self, name: &str, kind: &str, help: &str, samples: impl FnOnce(&mut Self)) {
        // Writing to memory does not fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        samples(self);
    }

    /// Labels are ours and need no escapes.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = self.0.write_str(name);
        for (at, (key, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{key}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// A metric with one sample and no labels.
    fn number(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.one(name, kind, help, |page| page.sample(name, &[], value));
    }

    /// A histogram; `unit` is how many of the measured units are one of the shown.
    fn histogram(&mut self, name: &str, help: &str, unit: f64, measured: &Distribution) {
        self.one(name, "histogram", help, |page| {
            let bucket = format!("{name}_bucket");
            for (end, count) in BUCKETS_US.iter().zip(&measured.buckets) {
                let end = (*end as f64 / unit).to_string();
                page.sample(&bucket, &[("le", &end)], count);
            }
            page.sample(&bucket, &[("le", "+Inf")], measured.count);
            page.sample(&format!("{name}_sum"), &[], measured.sum as f64 / unit);
            page.sample(&format!("{name}_count"), &[], measured.count);
        });
    }
}

fn requests(page: &mut Page, requests: &Requests) {
    let (name, help) = (
        "orderd_http_requests_total",
        "Answered requests by route and status class.",
    );
    page.one(name, "counter", help, |page| {
        for route in requests.routes() {
            for (class, count) in CLASSES.into_iter().zip(requests.of(route)) {
                page.sample(name, &[("route", route.name()), ("class", class)], count);
            }
        }
    });
}

fn feed(page: &mut Page, feed: &Feed) {
    let (name, help) = (
        "orderd_event_readers",
        "Clients that follow the event stream.",
    );
    page.number(name, "gauge", help, feed.readers());
    let (name, help) = (
        "orderd_event_readers_behind_total",
        "How often a client of the event stream fell behind and went on from the store.",
    );
    page.number(name, "counter", help, feed.fallbacks());
}

fn push(page: &mut Page, view: &PushView) {
    let (name, help) = (
        "orderd_push_calls_total",
        "Calls of steps that are sent to addresses, by how they ended.",
    );
    page.one(name, "counter", help, |page| {
        for line in &view.lines {
            for (end, count) in ENDS.into_iter().zip(line.ended) {
                page.sample(name, &[("queue", &line.queue), ("end", end)], count);
            }
        }
    });
    let (name, help) = ("orderd_push_calls", "Calls that are under way.");
    page.one(name, "gauge", help, |page| {
        for line in &view.lines {
            page.sample(name, &[("queue", &line.queue)], line.under_way);
        }
    });
    let help = "How long calls took.";
    page.histogram("orderd_push_call_seconds", help, MICROS, &view.call_time);
    let (name, help) = (
        "orderd_push_resting",
        "1 while a service is not called because it did not answer.",
    );
    page.one(name, "gauge", help, |page| {
        for service in &view.services {
            // A URL may have quotation marks in it.
            let target = service.target.replace('\\', "%5C").replace('"', "%22");
            let is_resting = u8::from(!service.is_closed);
            page.sample(name, &[("target", &target)], is_resting);
        }
    });
}

fn engine(page: &mut Page, stats: &Stats) {
    page.one(
        "orderd_orders",
        "gauge",
        "Orders by status and priority.",
        |page| {
            for status in StatusKind::ALL {
                for priority in Priority::ALL {
                    let number = priority.number().to_string();
                    let labels = [("status", status.name()), ("priority", number.as_str())];
                    page.sample("orderd_orders", &labels, stats.tally.of(status, priority));
                }
            }
        },
    );
    let (name, help) = ("orderd_held_orders", "Open orders that are held back.");
    page.number(name, "gauge", help, stats.held_orders);
    let (name, help) = (
        "orderd_open_orders_max",
        "Most orders that may be open at once.",
    );
    page.number(name, "gauge", help, stats.open_orders_max);
    let (name, help) = (
        "orderd_refused_overloaded_total",
        "Orders refused because there was no room, and requests that the inbox had no room for.",
    );
    page.number(name, "counter", help, stats.refused_overloaded);
    storage(page, stats);
    rates(
        page,
        "orderd_accepted_per_second",
        "Orders accepted per second.",
        stats.accepted_per_second,
    );
    rates(
        page,
        "orderd_completed_per_second",
        "Orders completed per second.",
        stats.completed_per_second,
    );
    times(page, stats);
    let oldest = stats.oldest_waiting_us.unwrap_or(0) as f64 / MICROS;
    let (name, help) = (
        "orderd_oldest_waiting_seconds",
        "How long the longest waiting order has been ready.",
    );
    page.number(name, "gauge", help, oldest);
    queues(page, &stats.queues);
    shard(page, stats);
}

fn queues(page: &mut Page, all: &[QueueStats]) {
    let mut gauge = |name, help, value: fn(&QueueStats) -> f64| {
        page.one(name, "gauge", help, |page| {
            for it in all {
                page.sample(name, &[("queue", &it.queue)], value(it));
            }
        });
    };
    let help = "Orders that wait for a worker.";
    gauge("orderd_queue_waiting", help, |it| it.waiting as f64);
    let help = "Orders that workers have.";
    gauge("orderd_queue_leased", help, |it| it.leased.into());
    let help = "Workers that wait for work.";
    gauge("orderd_queue_workers", help, |it| it.workers as f64);
    let help = "How long the order that has waited longest for a worker has been ready.";
    gauge("orderd_queue_oldest_waiting_seconds", help, |it| {
        it.oldest_waiting_us.unwrap_or(0) as f64 / MICROS
    });
}

fn storage(page: &mut Page, stats: &Stats) {
    let room = &stats.room;
    let (name, help) = (
        "orderd_refused_storage_full_total",
        "Orders refused because too little was free on the disk.",
    );
    page.number(name, "counter", help, stats.refused_full);
    let (name, help) = (
        "orderd_storage_full",
        "1 while new orders are refused because too little is free on the disk.",
    );
    page.number(name, "gauge", help, u8::from(room.is_low));
    let (name, help) = (
        "orderd_storage_refusing",
        "1 while a commit that the store refused is tried again.",
    );
    page.number(name, "gauge", help, u8::from(stats.is_refused));
    let (name, help) = ("orderd_storage_free_bytes", "Free on the disk.");
    page.one(name, "gauge", help, |page| {
        if let Some(free) = room.free {
            page.sample(name, &[], free);
        }
    });
    let (name, help) = (
        "orderd_storage_free_bytes_min",
        "Below so many free bytes new orders are refused.",
    );
    page.number(name, "gauge", help, room.free_min);
    let (name, help) = (
        "orderd_storage_reserve_bytes",
        "Set apart on the disk for accepted orders.",
    );
    page.number(name, "gauge", help, room.reserve);
}

fn shard(page: &mut Page, stats: &Stats) {
    let number = stats.shard.0.to_string();
    let shard = [("shard", number.as_str())];
    page.one(
        "orderd_shard_epoch",
        "gauge",
        "Rises with each start.",
        |page| {
            page.sample("orderd_shard_epoch", &shard, stats.epoch);
        },
    );
    page.one(
        "orderd_shard_position",
        "gauge",
        "The last commit.",
        |page| {
            page.sample("orderd_shard_position", &shard, stats.position.0);
        },
    );
    let (name, help) = (
        "orderd_recovering",
        "1 while open orders from before the start are being loaded.",
    );
    page.number(name, "gauge", help, u8::from(stats.is_recovering));
    let (name, help) = (
        "orderd_store_reopened_total",
        "How often the store was opened anew after a commit of unknown fate.",
    );
    page.number(name, "counter", help, stats.reopenings);
    let (name, help) = (
        "orderd_clock_jumps_total",
        "How often the wall clock jumped by more than 30 s.",
    );
    page.number(name, "counter", help, stats.clock_jumps);
}

fn rates(page: &mut Page, name: &str, help: &str, rates: [f64; 3]) {
    page.one(name, "gauge", help, |page| {
        for (window, rate) in WINDOWS.into_iter().zip(rates) {
            page.sample(name, &[("window", window)], rate);
        }
    });
}

fn times(page: &mut Page, stats: &Stats) {
    let times = [
        (
            "orderd_accept_seconds",
            "From arrival in the inbox to the answer.",
            &stats.accept_time,
        ),
        (
            "orderd_commit_seconds",
            "How long commits took.",
            &stats.commit_time,
        ),
        (
            "orderd_queue_wait_seconds",
            "From ready to started, of attempts.",
            &stats.queue_wait,
        ),
        (
            "orderd_processing_seconds",
            "From first start to completion.",
            &stats.processing_time,
        ),
    ];
    for (name, help, measured) in times {
        page.histogram(name, help, MICROS, measured);
    }
    let help = "How many orders commits touched.";
    page.histogram("orderd_commit_orders", help, 1.0, &stats.commit_orders);
}
