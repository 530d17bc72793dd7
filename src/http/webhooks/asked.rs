//! How requests about webhooks are read and answered: under an idempotency key the answer is kept,
//! and a repetition gets the first one.
//!
//! What is asked for is not looked at here.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::code::Code;
use super::super::error::ApiError;
use super::super::media_type::{MediaType, media_type};
use super::super::parameters::Parameters;
use super::super::{App, idempotency};
use crate::engine::KeyOfChanges;
use crate::order::{KeptAnswer, RequestKey};
use crate::server::idempotency::sent;
use crate::server::{ORDER_BYTES_MAX, WholeBody};
use crate::telling::{Answering, Changed, Under, WebhookError, Webhooks};

/// What was sent, and under which key.
pub(super) struct Received {
    pub(super) body: WholeBody,
    pub(super) key: Option<RequestKey>,
}

/// Reads a request whose body is one JSON object, or nothing. `scope` is what its key counts for.
pub(super) async fn received(
    app: &App,
    scope: String,
    request: Request,
) -> Result<Received, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    let body = app.bodies.read(body, ORDER_BYTES_MAX).await?;
    if !body.bytes.is_empty() {
        json_only(&head.headers)?;
    }
    let key = idempotency::of_request(&head.headers, scope, &body.bytes)?;
    Ok(Received { body, key })
}

/// Has a change made, and answers. A repetition gets the first answer.
pub(super) async fn answered<F>(
    app: &Arc<App>,
    key: Option<RequestKey>,
    answer: Answering,
    change: impl FnOnce(Arc<Webhooks>, Option<Under>) -> F,
) -> Result<Response, ApiError>
where
    F: Future<Output = Result<Changed, WebhookError>> + Send + 'static,
{
    let under = key.clone().map(|key| Under {
        key,
        // The engine may have been at rest for a while.
        kept_at: app.engine.keys_kept_at().max(app.clock.now()),
        expired_before: app.engine.keys_expired_before(),
        answer,
    });
    match to_the_end(change(Arc::clone(&app.webhooks), under)).await {
        Ok(changed) => Ok(sent(answer(&changed))),
        Err(refusal) => idempotency::again(app, key.as_ref(), refusal).await,
    }
}

/// Has a change made to its end, whether the client waits or not: what is stored and what couriers
/// know must not part.
pub(super) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, WebhookError>> + Send + 'static,
) -> Result<T, ApiError> {
    let mistake = |_| ApiError::new(Code::Internal, "the server made a mistake");
    Ok(tokio::spawn(change).await.map_err(mistake)??)
}

fn json_only(headers: &HeaderMap) -> Result<(), ApiError> {
    match media_type(headers)? {
        MediaType::Json => Ok(()),
        MediaType::Lines => {
            let detail = "a webhook is one JSON object";
            Err(ApiError::new(Code::UnsupportedMediaType, detail))
        }
    }
}

/// Keeps an answer under a key and gives it back, or looks whether the key is free.
pub(super) async fn keep_answer(
    app: &App,
    key: &RequestKey,
    answer: Option<KeptAnswer>,
) -> Result<Option<KeptAnswer>, ApiError> {
    let under = KeyOfChanges {
        key: key.clone(),
        answer_bytes: 0,
        answer: Box::new(|_, _| answer),
    };
    let decided = app.engine.change_under(under, Vec::new()).await;
    let decided = decided.map_err(ApiError::change_failed)?;
    Ok(decided.kept)
}
