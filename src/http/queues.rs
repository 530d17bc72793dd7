//! Queues: workers lease orders from them, and say what became of the work.
//!
//! Leases come from the engine's memory, what was ordered from the store, in one read. Nothing here
//! decides whose result counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::object;
use super::code::Code;
use super::error::ApiError;
use super::media_type::{MediaType, media_type};
use super::parameters::Parameters;
use super::reports::{self, BeatBody, CompleteBody, FailBody, ReleaseBody};
use super::wire::{Count, Fields, Text};
use super::{App, idempotency, orders, render, schema};
use crate::engine::{ChangeAnswer, Decided, KeyOfChanges, SubmitError, Wanted};
use crate::order::{
    Action, Change, Fault, Order, Outcome, QueueIndex, Report, Seq, Signature, Verdict, effect_key,
};
use crate::server::idempotency::{IDEMPOTENCY_KEY, replayed, sent};
use crate::server::{BATCH_BYTES_MAX, ORDER_BYTES_MAX};
use crate::shard::Leased;

/// Most orders of one lease.
const LEASE_MAX: i64 = 1_000;
/// Longest wait for work.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(lease))
        .routes(routes!(complete))
        .routes(routes!(beat))
        .routes(routes!(fail))
        .routes(routes!(release))
}

type Name = Result<Path<String>, PathRejection>;

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
    let (_, queue) = find(&app, queue)?;
    only_json(&head.headers)?;
    without_key(&head.headers)?;
    let (wanted, patience) = {
        let body = app.bodies.read(body, ORDER_BYTES_MAX).await?;
        wanted(&body.bytes, queue)?
    };
    let mut draining = app.draining.subscribe();
    let lease = tokio::select! {
        biased;
        lease = app.engine.lease(wanted, patience) => lease?,
        _ = draining.wait_for(|is_draining| *is_draining) => {
            return Err(SubmitError::Draining.into());
        }
    };
    let seqs: Vec<Seq> = lease.orders().iter().map(|it| it.fence.seq).collect();
    let read = if seqs.is_empty() {
        Vec::new()
    } else {
        let store = Arc::clone(&app.store);
        let read = tokio::task::spawn_blocking(move || store.orders_at(&seqs)).await;
        read.map_err(|_| ApiError::new(Code::Internal, "the server made a mistake"))??
    };
    let mut found: HashMap<Seq, Order> = read.into_iter().map(|it| (it.seq, it)).collect();
    let (mut out, mut lost) = (b"{\"data\":[".to_vec(), Vec::new());
    for leased in lease.keep() {
        match found.remove(&leased.fence.seq) {
            Some(order) => {
                if !out.ends_with(b"[") {
                    out.push(b',');
                }
                write(&mut out, &leased, order);
            }
            None => lost.push(damaged(&leased)),
        }
    }
    out.extend_from_slice(b"]}");
    if !lost.is_empty() {
        // Nobody can do it: a person must look.
        app.engine
            .change(lost)
            .await
            .map_err(ApiError::change_failed)?;
    }
    Ok(orders::json(out))
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

fn write(out: &mut Vec<u8>, leased: &Leased, mut order: Order) {
    let (id, step) = (order.id.clone(), Arc::clone(&leased.state.step));
    out.extend_from_slice(b"{\"order_id\":");
    render::text(out, id.as_str());
    out.extend_from_slice(b",\"step\":");
    render::text(out, &step);
    out.extend_from_slice(b",\"attempt\":");
    render::number(out, leased.state.attempt);
    out.extend_from_slice(b",\"fence\":");
    render::text(out, &leased.fence.text(&id, &step));
    out.extend_from_slice(b",\"effect_key\":");
    render::text(out, &effect_key(&id, &step));
    out.extend_from_slice(b",\"deadline\":");
    render::time(out, leased.until);
    // The row may be older than the lease.
    order.state = leased.state.clone();
    let outputs = std::mem::take(&mut order.outputs);
    out.extend_from_slice(b",\"order\":");
    render::order(out, &order);
    out.extend_from_slice(b",\"outputs\":{");
    for (at, it) in outputs.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        render::text(out, &it.step);
        out.push(b':');
        out.extend_from_slice(it.output.as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// Say that work is done
///
/// One object, or an array of up to 1,000 of them; an array is answered with a result for each.
/// The answer comes when it is on disk. What is said under a lease that is over is refused with
/// `stale-fence`; the order's history has that.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/complete",
    tag = "queues",
    operation_id = "completeWork",
    params(
        ("queue" = String, Path, description = "The queue.", example = "warehouse"),
        schema::KeyHeader
    ),
    request_body(
        content = schema::Completion,
        description = "What is done; or an array of that.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "It counts.", body = schema::Reported))
)]
async fn complete(
    State(app): State<Arc<App>>,
    queue: Name,
    request: Request,
) -> Result<Response, ApiError> {
    let read = |body: &[u8], queue| reports::read::<CompleteBody<'_>>(body, queue);
    report(&app, ("complete", queue), request, read).await
}

/// Say that work goes on
///
/// The lease counts anew from now. One object, or an array of up to 1,000. Nothing is written, so
/// an `Idempotency-Key` is not taken.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/beat",
    tag = "queues",
    operation_id = "beatWork",
    params(("queue" = String, Path, description = "The queue.", example = "warehouse")),
    request_body(
        content = schema::Mention,
        description = "What goes on; or an array of that.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "The lease goes on.", body = schema::Reported))
)]
async fn beat(
    State(app): State<Arc<App>>,
    queue: Name,
    request: Request,
) -> Result<Response, ApiError> {
    without_key(request.headers())?;
    let read = |body: &[u8], queue| reports::read::<BeatBody<'_>>(body, queue);
    report(&app, ("beat", queue), request, read).await
}

/// Say that work failed
///
/// It is tried again by the step's policy, not before `retry_after`; or, without `retry`, the order
/// is dead; or, with `reject`, it ends as rejected. One object, or an array of up to 1,000.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/fail",
    tag = "queues",
    operation_id = "failWork",
    params(
        ("queue" = String, Path, description = "The queue.", example = "warehouse"),
        schema::KeyHeader
    ),
    request_body(
        content = schema::Failure,
        description = "What failed; or an array of that.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "It counts.", body = schema::Reported))
)]
async fn fail(
    State(app): State<Arc<App>>,
    queue: Name,
    request: Request,
) -> Result<Response, ApiError> {
    let read = |body: &[u8], queue| reports::read::<FailBody<'_>>(body, queue);
    report(&app, ("fail", queue), request, read).await
}

/// Give work back
///
/// For a worker that leaves: the work goes back into its queue at once, and the attempt does not
/// count. One object, or an array of up to 1,000.
#[utoipa::path(
    post,
    path = "/v1/queues/{queue}/release",
    tag = "queues",
    operation_id = "releaseWork",
    params(
        ("queue" = String, Path, description = "The queue.", example = "warehouse"),
        schema::KeyHeader
    ),
    request_body(
        content = schema::Mention,
        description = "What is given back; or an array of that.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "It is back.", body = schema::Reported))
)]
async fn release(
    State(app): State<Arc<App>>,
    queue: Name,
    request: Request,
) -> Result<Response, ApiError> {
    let read = |body: &[u8], queue| reports::read::<ReleaseBody<'_>>(body, queue);
    report(&app, ("release", queue), request, read).await
}

/// Takes what a worker says, and answers it. `verb` is the end of the path.
async fn report(
    app: &App,
    (verb, queue): (&str, Name),
    request: Request,
    read: impl FnOnce(&[u8], QueueIndex) -> Result<reports::All, ApiError>,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    let (name, queue) = find(app, queue)?;
    only_json(&head.headers)?;
    let (all, key) = {
        let body = app.bodies.read(body, BATCH_BYTES_MAX).await?;
        let scope = idempotency::of_reports(&name, verb);
        let key = idempotency::of_request(&head.headers, scope, &body.bytes)?;
        (read(&body.bytes, queue)?, key)
    };
    let changes = all.said.iter().map(reports::Said::change).collect();
    let Some(key) = key else {
        let answers = app.engine.change(changes).await;
        let answers = answers.map_err(ApiError::change_failed)?;
        return Ok(orders::json(reports::answer(&all, &answers)?));
    };
    let under = KeyOfChanges {
        key: key.clone(),
        answer_bytes: 0,
        answer: Box::new(move |answers: &[ChangeAnswer], _| {
            reports::answer(&all, answers).ok().map(idempotency::json)
        }),
    };
    let refusal = match app.engine.change_under(under, changes).await {
        Ok(Decided {
            kept: Some(answer), ..
        }) => return Ok(sent(answer)),
        // It was one thing, and it is refused.
        Ok(_) => crate::order::Refusal::StaleFence.into(),
        Err(error) => ApiError::change_failed(error),
    };
    let first = idempotency::resolve(app, Some(&key), refusal).await;
    first.map(replayed)
}

/// The queue in a path.
fn find(app: &App, name: Name) -> Result<(String, QueueIndex), ApiError> {
    let found = name.ok().and_then(|Path(name)| {
        let queue = app.processes.queues().find(&name)?;
        Some((name, queue))
    });
    found.ok_or_else(|| ApiError::new(Code::QueueNotFound, "no step of a process names this queue"))
}

fn only_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if media_type(headers)? == MediaType::Lines {
        let detail = "this path takes an object or an array";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    Ok(())
}

fn without_key(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "nothing is kept of leases and beats; ask again without a key";
        return Err(ApiError::new(Code::BadIdempotencyKey, detail));
    }
    Ok(())
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
        reports::time(&text.0, WAIT_MAX)
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
