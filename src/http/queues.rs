//! Queues: workers say what became of the work that they have leased from them.
//!
//! One thing or many in a request, and one flush for all. Nothing here decides whose result counts.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::code::Code;
use super::error::ApiError;
use super::media_type::{MediaType, media_type};
use super::parameters::Parameters;
use super::reports::{self, Verb};
use super::{App, aside, idempotency, orders, schema};
use crate::engine::{ChangeAnswer, Decided, KeyOfChanges};
use crate::order::{Push, QueueIndex, Refusal};
use crate::server::BATCH_BYTES_MAX;
use crate::server::idempotency::{IDEMPOTENCY_KEY, sent};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(complete))
        .routes(routes!(beat))
        .routes(routes!(fail))
        .routes(routes!(release))
}

pub(super) type Name = Result<Path<String>, PathRejection>;

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
    report(&app, Verb::Complete, queue, request).await
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
    report(&app, Verb::Beat, queue, request).await
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
    report(&app, Verb::Fail, queue, request).await
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
    report(&app, Verb::Release, queue, request).await
}

/// Takes what a worker says, and answers it.
async fn report(
    app: &App,
    verb: Verb,
    queue: Name,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    let (name, queue) = find(app, queue)?;
    only_json(&head.headers)?;
    if matches!(verb, Verb::Beat) {
        without_key(&head.headers)?;
    }
    let push = app.processes.queues().push(queue);
    if matches!(verb, Verb::Release) && push.is_some_and(Push::has_effect) {
        // Its next attempt would look like the first one, before which nobody is asked.
        let detail = "what has an effect is not given back; say complete or fail";
        return Err(ApiError::new(Code::QueueNotFound, detail));
    }
    let body = app.bodies.read(body, BATCH_BYTES_MAX).await?;
    let read = move |bytes: &[u8]| {
        let scope = idempotency::of_reports(&name, verb.name());
        let key = idempotency::of_request(&head.headers, scope, bytes)?;
        Ok((verb.read(bytes, queue)?, key))
    };
    let (mut all, key) = aside::read(&body.bytes, read).await?;
    let room = app.room(all.answer_bytes()).await?;
    drop(body);
    let changes = std::mem::take(&mut all.changes);
    let Some(key) = key else {
        let answers = app.engine.change(changes).await;
        let answers = answers.map_err(ApiError::change_failed)?;
        let mut response = orders::json(reports::answer(&all, &answers)?);
        room.keep(&mut response);
        return Ok(response);
    };
    let under = KeyOfChanges {
        key: key.clone(),
        answer_bytes: all.answer_bytes(),
        answer: Box::new(move |answers: &[ChangeAnswer], _| {
            reports::answer(&all, answers).ok().map(idempotency::json)
        }),
    };
    let refusal = match app.engine.change_under(under, changes).await {
        Ok(Decided {
            kept: Some(answer), ..
        }) => {
            let mut response = sent(answer);
            room.keep(&mut response);
            return Ok(response);
        }
        // It was one thing, and it is refused.
        Ok(_) => Refusal::StaleFence.into(),
        Err(error) => ApiError::change_failed(error),
    };
    drop(room);
    idempotency::again(app, Some(&key), refusal).await
}

/// The queue in a path.
pub(super) fn find(app: &App, name: Name) -> Result<(String, QueueIndex), ApiError> {
    let found = name.ok().and_then(|Path(name)| {
        let queue = app.processes.queues().find(&name)?;
        Some((name, queue))
    });
    found.ok_or_else(|| ApiError::new(Code::QueueNotFound, "no step of a process names this queue"))
}

pub(super) fn only_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if media_type(headers)? == MediaType::Lines {
        let detail = "this path takes an object or an array";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    Ok(())
}

pub(super) fn without_key(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "nothing is kept of leases and beats; ask again without a key";
        return Err(ApiError::new(Code::BadIdempotencyKey, detail));
    }
    Ok(())
}
