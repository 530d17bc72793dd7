//! Changes of an accepted order: cancel, hold, release, try again, prioritize.
//!
//! Reads what is asked for; `changing` asks for it. Who comes too late is told how the order ended.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde::de::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changing::{self, Asked};
use super::code::Code;
use super::error::ApiError;
use super::media_type::{MediaType, media_type};
use super::parameters::Parameters;
use super::wire::{Count, Fields, HoldBody, Object, Text};
use super::{App, diagnosis, idempotency, if_match, orders, schema};
use crate::order::{Action, Fault, NewHold, Priority, Signature};
use crate::server::ORDER_BYTES_MAX;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(cancel))
        .routes(routes!(hold))
        .routes(routes!(release))
        .routes(routes!(retry))
        .routes(routes!(prioritize))
}

type PathId = Result<Path<String>, PathRejection>;

/// Who asks, and why: the body of most changes.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureBody<'a> {
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    by: Option<Text<'a>>,
}

impl Fields for SignatureBody<'_> {
    const EXPECTING: &'static str = "an object with reason and by";
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PriorityBody<'a> {
    priority: Count,
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    by: Option<Text<'a>>,
}

impl Fields for PriorityBody<'_> {
    const EXPECTING: &'static str = "an object with priority and perhaps reason and by";
}

/// Stop an order
///
/// An open order is cancelled for good, whatever it is doing; what a running attempt answers
/// afterwards counts for nothing. Cancelling a cancelled order again changes nothing. An order that
/// has ended otherwise is answered 409 `order-ended` with its status.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/cancel",
    tag = "orders",
    operation_id = "cancelOrder",
    params(
        ("id" = String, Path, description = "The order's id.", example = "shop-2026-000017"),
        schema::ChangeHeaders
    ),
    request_body(
        content = Option<schema::Signature>,
        description = "Who asks, and why; may be left out.",
        content_type = "application/json"
    ),
    responses((
        status = 200,
        description = "The order, cancelled, on disk.",
        body = schema::Order,
        headers(
            ("ETag" = String, description = "The order's version.")
        )
    ))
)]
async fn cancel(
    State(app): State<Arc<App>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    change(&app, ("cancel", id), request, |body| {
        signature(body).map(Action::Cancel)
    })
    .await
}

/// Hold an order back
///
/// No further step starts until the order is released; an attempt that runs is finished. A second
/// hold replaces the first. With `until` the order is released by itself.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/hold",
    tag = "orders",
    operation_id = "holdOrder",
    params(
        ("id" = String, Path, description = "The order's id.", example = "shop-2026-000017"),
        schema::ChangeHeaders
    ),
    request_body(
        content = schema::NewHold,
        description = "Why, who asks, and until when.",
        content_type = "application/json"
    ),
    responses((
        status = 200,
        description = "The order, held back, on disk.",
        body = schema::Order,
        headers(
            ("ETag" = String, description = "The order's version.")
        )
    ))
)]
async fn hold(
    State(app): State<Arc<App>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    change(&app, ("hold", id), request, |body| {
        new_hold(body).map(Action::Hold)
    })
    .await
}

/// Release an order
///
/// Ends the hold of an open order: it goes on where it was. Releasing an order that is not held
/// changes nothing.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/release",
    tag = "orders",
    operation_id = "releaseOrder",
    params(
        ("id" = String, Path, description = "The order's id.", example = "shop-2026-000017"),
        schema::ChangeHeaders
    ),
    request_body(
        content = Option<schema::Signature>,
        description = "Who asks, and why; may be left out.",
        content_type = "application/json"
    ),
    responses((
        status = 200,
        description = "The order, without a hold, on disk.",
        body = schema::Order,
        headers(
            ("ETag" = String, description = "The order's version.")
        )
    ))
)]
async fn release(
    State(app): State<Arc<App>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    change(&app, ("release", id), request, |body| {
        signature(body).map(Action::Release)
    })
    .await
}

/// Try a dead order again
///
/// It is queued at the step that it died at, with as many attempts as at first.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/retry",
    tag = "orders",
    operation_id = "retryOrder",
    params(
        ("id" = String, Path, description = "The order's id.", example = "shop-2026-000017"),
        schema::ChangeHeaders
    ),
    request_body(
        content = Option<schema::Signature>,
        description = "Who asks, and why; may be left out.",
        content_type = "application/json"
    ),
    responses((
        status = 200,
        description = "The order, queued again, on disk.",
        body = schema::Order,
        headers(
            ("ETag" = String, description = "The order's version.")
        )
    ))
)]
async fn retry(
    State(app): State<Arc<App>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    change(&app, ("retry", id), request, |body| {
        signature(body).map(Action::Retry)
    })
    .await
}

/// Let an order run sooner or later
///
/// Gives an open order another priority. It keeps the time since which it has waited; an attempt
/// that runs is not touched. The priority it has already changes nothing.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/priority",
    tag = "orders",
    operation_id = "prioritizeOrder",
    params(
        ("id" = String, Path, description = "The order's id.", example = "shop-2026-000017"),
        schema::ChangeHeaders
    ),
    request_body(
        content = schema::NewPriority,
        description = "The priority, and who asks, and why.",
        content_type = "application/json"
    ),
    responses((
        status = 200,
        description = "The order with its priority, on disk.",
        body = schema::Order,
        headers(
            ("ETag" = String, description = "The order's version.")
        )
    ))
)]
async fn prioritize(
    State(app): State<Arc<App>>,
    id: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    change(&app, ("priority", id), request, new_priority).await
}

/// Asks for one change, and answers with the order as it is then. `verb` is the end of the path.
pub(super) async fn change(
    app: &App,
    (verb, id): (&str, PathId),
    request: Request,
    read: impl FnOnce(&[u8]) -> Result<Action, ApiError>,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    let id = orders::order_id(id)?;
    let versions = if_match::versions(&head.headers)?;
    if media_type(&head.headers)? == MediaType::Lines {
        let detail = "a change is one JSON object";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let (action, key) = {
        let body = app.bodies.read(body, ORDER_BYTES_MAX).await?;
        let scope = idempotency::of_change(&id, verb);
        let key = idempotency::of_request(&head.headers, scope, &body.bytes)?;
        (read(&body.bytes)?, key)
    };
    let asked = Asked {
        id,
        versions,
        action,
    };
    changing::ask(app, &asked, key).await
}

/// Reads the body of a change.
pub(super) fn object<'a, T: Deserialize<'a> + Fields>(body: &'a [u8]) -> Result<T, ApiError> {
    let read = serde_json::from_slice::<Object<T>>(body);
    let Object(value) =
        read.map_err(|_| diagnosis::of::<Object<T>>(body, ApiError::invalid_change))?;
    Ok(value)
}

/// Who asks, and why. A body is not needed to say nothing.
fn signature(body: &[u8]) -> Result<Signature, ApiError> {
    if matches!(body.trim_ascii(), b"" | b"null") {
        return Ok(Signature::default());
    }
    let SignatureBody { reason, by } = object(body)?;
    checked(reason.as_ref(), by.as_ref()).map_err(ApiError::invalid_change)
}

/// Checks who asks, and why.
pub(super) fn checked(
    reason: Option<&Text<'_>>,
    by: Option<&Text<'_>>,
) -> Result<Signature, Vec<Fault>> {
    Signature::check(reason.map(|text| &*text.0), by.map(|text| &*text.0))
}

fn new_priority(body: &[u8]) -> Result<Action, ApiError> {
    let PriorityBody {
        priority,
        reason,
        by,
    } = object(body)?;
    let signature = checked(reason.as_ref(), by.as_ref());
    let mut faults = signature.as_ref().err().cloned().unwrap_or_default();
    let Some(priority) = Priority::from_number(priority.0) else {
        let detail = format!("must be 1 (high), 2 (medium) or 3 (low), is {}", priority.0);
        faults.insert(0, Fault::new("/priority", "out-of-range", detail));
        return Err(ApiError::invalid_change(faults));
    };
    let signature = signature.map_err(ApiError::invalid_change)?;
    Ok(Action::Prioritize(priority, signature))
}

fn new_hold(body: &[u8]) -> Result<NewHold, ApiError> {
    let draft = object::<HoldBody<'_>>(body)?.into_draft();
    NewHold::check(&draft).map_err(ApiError::invalid_change)
}
