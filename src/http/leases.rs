//! Leases: workers take waiting orders from a queue.
//!
//! Leases come from the engine's memory, what was ordered from the store. What does not reach its
//! worker goes back into the queue.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::aside;
use super::changes::object;
use super::code::Code;
use super::error::ApiError;
use super::outcome;
use super::parameters::Parameters;
use super::queues::{self, Name};
use super::wire::{Count, Fields, Text};
use super::{App, orders, schema, work};
use crate::engine::{Lease, SubmitError, Wanted, read_leased};
use crate::order::{Action, Change, Fault, Outcome, QueueIndex, Report, Seq, Signature, Verdict};
use crate::server::{Hangup, ORDER_BYTES_MAX};
use crate::shard::Leased;

/// Most orders of one lease.
const LEASE_MAX: i64 = 1_000;
/// Longest wait for work.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The answer when there is nothing.
const EMPTY: &[u8] = b"{\"data\":[]}";

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(lease))
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseBody<'a> {
    #[serde(default)]
    max: Option<Count>,
    #[serde(borrow, default)]
    wait: Option<Text<'a>>,
    #[serde(borrow, default)]
    worker: Option<Text<'a>>,
}

impl Fields for LeaseBody<'_> {
    const EXPECTING: &'static str = "an object with max, wait and worker";
}

/// Lease work
///
/// Up to `max` waiting orders of the queue, started ones first, then by rank. Each is the worker's
/// until its deadline; a beat extends it. If none waits, the answer comes with the first one, or
/// empty after `wait`. A worker that is not heard of in time loses the work to another one, and the
/// attempt counts. A lease is not kept under an `Idempotency-Key`.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/lease",
    tag = "queues",
    operation_id = "leaseWork",
    params(("queue" = String, Path, description = "The queue.", example = "warehouse")),
    request_body(
        content = Option<schema::LeaseRequest>,
        description = "How much, and how long to wait; may be left out.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "The work.", body = schema::LeasePage))
)]
async fn lease(
    State(app): State<Arc<App>>,
    queue: Name,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    let (name, queue) = queues::find(&app, queue)?;
    if app.processes.queues().push(queue).is_some() {
        let detail = "orders of this queue are sent to the address of their step";
        return Err(ApiError::new(Code::QueueNotFound, detail));
    }
    queues::only_json(&head.headers)?;
    queues::without_key(&head.headers)?;
    let (wanted, patience) = {
        let body = app.bodies.read(body, ORDER_BYTES_MAX).await?;
        wanted(&body.bytes, queue)?
    };
    let is_patient = !patience.is_zero();
    let mut draining = app.draining.subscribe();
    let lease = tokio::select! {
        biased;
        lease = app.engine.lease(wanted, patience) => lease?,
        // The ask is withdrawn. A client that closed only its half can still read this.
        () = hung_up(head.extensions.get()), if is_patient => {
            return Ok(orders::json(EMPTY.to_vec()));
        }
        _ = draining.wait_for(|is_draining| *is_draining) => {
            return Err(SubmitError::Draining.into());
        }
    };
    answer(&app, &name, lease).await
}

/// Waits until the client that waits for work has hung up.
async fn hung_up(hangup: Option<&Hangup>) {
    match hangup {
        Some(hangup) => hangup.wait().await,
        None => std::future::pending().await,
    }
}

/// The answer with what was leased. What does not fit into it goes back into the queue.
async fn answer(app: &App, queue: &str, lease: Lease) -> Result<Response, ApiError> {
    let seqs: Vec<Seq> = lease.orders().iter().map(|it| it.fence.seq).collect();
    let (mut found, asked) = match &*seqs {
        [] => Default::default(),
        _ => {
            let store = Arc::clone(&app.store);
            aside::ask(move || read_leased(&*store, &seqs)).await?
        }
    };
    let (mut out, mut lost) = (b"{\"data\":[".to_vec(), Vec::new());
    for leased in &lease.orders()[..asked] {
        match found.remove(&leased.fence.seq) {
            Some(order) => {
                if !out.ends_with(b"[") {
                    out.push(b',');
                }
                work::write(&mut out, queue, leased, order);
            }
            None => lost.push(damaged(leased)),
        }
    }
    out.extend_from_slice(b"]}");
    let room = app.room(out.len()).await?;
    if !lost.is_empty() {
        // Nobody can do it: a person must look. If even that fails, their leases run out.
        let _ = app.engine.ask_later(lost);
    }
    lease.keep(asked);
    let mut response = orders::json(out);
    room.keep(&mut response);
    Ok(response)
}

/// What is said of an order whose row cannot be read.
fn damaged(leased: &Leased) -> Change {
    let reason = "what is stored of the order is damaged".into();
    let report = Report {
        verdict: Verdict::Ended(Outcome::Fail { reason }),
        ..leased.hand_back()
    };
    Change {
        seq: leased.fence.seq,
        versions: None,
        action: Action::Report(Box::new(report)),
    }
}

/// What a worker asks for, and how long it waits.
fn wanted(body: &[u8], queue: QueueIndex) -> Result<(Wanted, Duration), ApiError> {
    let body = match body.trim_ascii() {
        b"" | b"null" => LeaseBody::default(),
        body => object(body)?,
    };
    let mut faults = Vec::new();
    let max = body.max.map_or(1, |count| count.0);
    if !(1..=LEASE_MAX).contains(&max) {
        let detail = format!("must be 1 to {LEASE_MAX}, is {max}");
        faults.push(Fault::new("/max", "out-of-range", detail));
    }
    let wait = body.wait.map_or(Some(Duration::ZERO), |text| {
        outcome::time(&text.0, WAIT_MAX)
    });
    if wait.is_none() {
        let detail = "must be a time such as \"10s\", at most 30s";
        faults.push(Fault::new("/wait", "out-of-range", detail));
    }
    let worker = body.worker.map(|text| Cow::into_owned(text.0));
    if let Err(found) = Signature::check(None, worker.as_deref()) {
        let renamed = found
            .into_iter()
            .map(|it| Fault::new("/worker", it.code, it.detail));
        faults.extend(renamed);
    }
    let (Some(wait), true) = (wait, faults.is_empty()) else {
        return Err(ApiError::invalid_change(faults));
    };
    let wanted = Wanted {
        queue,
        max: usize::try_from(max).unwrap_or(1),
        worker: worker.map(String::into_boxed_str),
    };
    Ok((wanted, wait))
}
