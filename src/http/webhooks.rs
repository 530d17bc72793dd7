//! Webhooks: receivers of events, made, looked at, tested, paused and forgotten.
//!
//! Reads and checks what is asked for; what becomes of deliveries is decided in `telling`.

mod asked;
mod form;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::asked::{Received, answered, keep_answer, received, to_the_end};
use self::form::shown;
use super::code::Code;
use super::error::ApiError;
use super::parameters::Parameters;
use super::{App, idempotency, orders, schema};
use crate::server::idempotency::sent;
use crate::telling::WebhookError;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, delete))
        .routes(routes!(test))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(rotate))
        .routes(routes!(replay))
        .routes(routes!(deliveries))
}

type PathId = Result<Path<String>, PathRejection>;

fn id(path: PathId) -> Result<String, ApiError> {
    path.map(|Path(id)| id)
        .map_err(|_| ApiError::from(WebhookError::NotFound))
}

/// Make a webhook
///
/// Events that happen from now on, or behind `after`, are sent to the address, signed, in the order
/// of each order, at least once. The answer has the secret with which signatures are checked.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    tag = "webhooks",
    operation_id = "createWebhook",
    params(schema::KeyHeader),
    request_body(
        content = schema::NewWebhook,
        description = "Where to send what.",
        content_type = "application/json"
    ),
    responses((status = 201, description = "The webhook, on disk.", body = schema::Webhook))
)]
async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let Received { body, key } = received(&app, idempotency::WEBHOOK.into(), request).await?;
    let (new, after) = form::new_webhook(&body.bytes)?;
    answered(&app, key, form::made, |it, under| async move {
        it.create(new, after, under).await
    })
    .await
}

/// List webhooks
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    operation_id = "listWebhooks",
    responses((status = 200, description = "All webhooks.", body = schema::WebhookList))
)]
async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    Parameters::none(&uri)?;
    let data = app.webhooks.list().into_iter().map(shown).collect();
    Ok(json(&schema::WebhookList { data }))
}

/// Read a webhook
#[utoipa::path(
    get,
    path = "/v1/webhooks/{id}",
    tag = "webhooks",
    operation_id = "readWebhook",
    params(("id" = String, Path, description = "The webhook's id.")),
    responses((status = 200, description = "The webhook.", body = schema::Webhook))
)]
async fn read(State(app): State<Arc<App>>, path: PathId, uri: Uri) -> Result<Response, ApiError> {
    Parameters::none(&uri)?;
    Ok(json(&shown(app.webhooks.get(&id(path)?)?)))
}

/// Forget a webhook
///
/// Nothing more is sent; what is under way may still arrive.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{id}",
    tag = "webhooks",
    operation_id = "deleteWebhook",
    params(("id" = String, Path, description = "The webhook's id.")),
    responses((status = 204, description = "It is gone."))
)]
async fn delete(
    State(app): State<Arc<App>>,
    path: PathId,
    uri: Uri,
) -> Result<StatusCode, ApiError> {
    Parameters::none(&uri)?;
    let (webhooks, id) = (Arc::clone(&app.webhooks), id(path)?);
    to_the_end(async move { webhooks.delete(&id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test a webhook
///
/// A signed message of type `webhook.test` is sent at once, paused or not; the answer tells what
/// came of it.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/test",
    tag = "webhooks",
    operation_id = "testWebhook",
    params(
        ("id" = String, Path, description = "The webhook's id."),
        schema::KeyHeader
    ),
    responses((status = 200, description = "What came of it.", body = schema::Delivery))
)]
async fn test(
    State(app): State<Arc<App>>,
    path: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id(path)?;
    let scope = idempotency::of_webhook(&id, "test");
    let Received { key, .. } = received(&app, scope, request).await?;
    let Some(key) = key else {
        return Ok(json(&app.webhooks.test(&id).await?));
    };
    // A repetition sends nothing: the key is looked at before, and kept with what came of it.
    let mut told = keep_answer(&app, &key, None).await;
    if told.is_ok() {
        let report = app.webhooks.test(&id).await?;
        // Texts, numbers and truth values always have a JSON form.
        let answer = idempotency::json(serde_json::to_vec(&report).unwrap_or_default());
        told = keep_answer(&app, &key, Some(answer)).await;
    }
    match told {
        Ok(answer) => Ok(answer.map_or_else(|| StatusCode::OK.into_response(), sent)),
        Err(refusal) => idempotency::again(&app, Some(&key), refusal).await,
    }
}

/// Pause a webhook
///
/// Nothing is sent until it is resumed; then everything that happened meanwhile.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/pause",
    tag = "webhooks",
    operation_id = "pauseWebhook",
    params(
        ("id" = String, Path, description = "The webhook's id."),
        schema::KeyHeader
    ),
    request_body(
        content = Option<schema::PauseRequest>,
        description = "Why; may be left out.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "The webhook.", body = schema::Webhook))
)]
async fn pause(
    State(app): State<Arc<App>>,
    path: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id(path)?;
    let scope = idempotency::of_webhook(&id, "pause");
    let Received { body, key } = received(&app, scope, request).await?;
    let reason = form::pause(&body.bytes)?;
    answered(&app, key, form::changed, |it, under| async move {
        it.pause(&id, &reason, under).await
    })
    .await
}

/// Resume a webhook
///
/// Goes on where it stopped, at once.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/resume",
    tag = "webhooks",
    operation_id = "resumeWebhook",
    params(
        ("id" = String, Path, description = "The webhook's id."),
        schema::KeyHeader
    ),
    responses((status = 200, description = "The webhook.", body = schema::Webhook))
)]
async fn resume(
    State(app): State<Arc<App>>,
    path: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id(path)?;
    let scope = idempotency::of_webhook(&id, "resume");
    let Received { key, .. } = received(&app, scope, request).await?;
    answered(&app, key, form::changed, |it, under| async move {
        it.resume(&id, under).await
    })
    .await
}

/// Change a webhook's secret
///
/// From now on the new secret signs; the one before signs too for a while, so that receivers can
/// change over without a gap.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/rotate-secret",
    tag = "webhooks",
    operation_id = "rotateWebhookSecret",
    params(
        ("id" = String, Path, description = "The webhook's id."),
        schema::KeyHeader
    ),
    request_body(
        content = Option<schema::RotateRequest>,
        description = "How long the one before signs too; may be left out.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "The webhook, with its secret.", body = schema::Webhook))
)]
async fn rotate(
    State(app): State<Arc<App>>,
    path: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id(path)?;
    let scope = idempotency::of_webhook(&id, "rotate-secret");
    let Received { body, key } = received(&app, scope, request).await?;
    let overlap = form::overlap(&body.bytes)?;
    answered(&app, key, form::changed, move |it, under| async move {
        it.rotate(&id, overlap, under).await
    })
    .await
}

/// Deliver a part of the feed again
///
/// Everything the webhook wants behind `after`, up to `until`, under the same ids as the first
/// time. It and new events take turns, some hundred each: an event that is not taken holds up both.
/// Another replay takes the place of one that is under way; one whose `until` is its `after` ends
/// it.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/replay",
    tag = "webhooks",
    operation_id = "replayWebhook",
    params(
        ("id" = String, Path, description = "The webhook's id."),
        schema::KeyHeader
    ),
    request_body(
        content = schema::WebhookReplay,
        description = "From where to where.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "The webhook.", body = schema::Webhook))
)]
async fn replay(
    State(app): State<Arc<App>>,
    path: PathId,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id(path)?;
    let scope = idempotency::of_webhook(&id, "replay");
    let Received { body, key } = received(&app, scope, request).await?;
    let part = form::replay(&body.bytes)?;
    answered(&app, key, form::changed, move |it, under| async move {
        it.replay(&id, part, under).await
    })
    .await
}

/// Read what became of deliveries
///
/// The newest first; some hundred are kept of each webhook.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{id}/deliveries",
    tag = "webhooks",
    operation_id = "listDeliveries",
    params(("id" = String, Path, description = "The webhook's id."), schema::DeliveryParameters),
    responses((status = 200, description = "A page of deliveries.", body = schema::DeliveryPage))
)]
async fn deliveries(
    State(app): State<Arc<App>>,
    path: PathId,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut parameters = Parameters::of(&uri)?;
    let (after, limit) = (parameters.after()?, parameters.limit()?);
    parameters.end()?;
    let before = after.map(|text| text.parse::<i64>().ok().filter(|number| *number > 0));
    let bad = || ApiError::new(Code::BadCursor, "the cursor is not one of deliveries");
    let before = before.map(|number| number.ok_or_else(bad)).transpose()?;
    let kept = app
        .webhooks
        .deliveries(&id(path)?, before, limit + 1)
        .await?;
    let page = &kept[..kept.len().min(limit)];
    let has_more = kept.len() > limit;
    let mut out = Vec::with_capacity(64 + page.len() * 200);
    super::render::page(&mut out, page, |out, (_, report)| {
        out.extend_from_slice(report.as_bytes());
    });
    let last = page.last().filter(|_| has_more);
    let next = last.map(|(number, _)| number.to_string());
    super::render::page_end(&mut out, has_more, next.as_deref());
    Ok(orders::json(out))
}

fn json(value: &impl serde::Serialize) -> Response {
    // Texts, numbers and truth values always have a JSON form.
    orders::json(serde_json::to_vec(value).unwrap_or_default())
}
