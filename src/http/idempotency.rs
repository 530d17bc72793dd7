//! Idempotency keys of the native API: under which key an order came, what is kept under it, and
//! what a request gets that was not accepted because it was before.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use serde::Deserialize;

use super::code::Code;
use super::error::ApiError;
use super::media_type::MediaType;
use super::{App, if_match, orders, render};
use crate::engine::SubmitError;
use crate::order::{KeptAnswer, NewKey, NewOrder, Order, OrderId, RequestKey};
use crate::server::idempotency::{self, NoAnswer, Refused};

/// Scope of the keys of single orders.
pub(super) const ORDER: &str = "POST /v1/orders";
/// Scope of the keys of whole batches.
pub(super) const BATCH: &str = "POST /v1/orders/batch";
/// Scope of the keys that orders in a batch have of their own.
pub(super) const BATCH_ITEM: &str = "POST /v1/orders/batch item";

/// Scope of the keys of replays.
pub(super) const REPLAY: &str = "POST /v1/dead-letters/replay";

/// Scope of the keys of whole imports.
pub(super) const IMPORT: &str = "POST /v1/orders/import";
/// Scope of the keys that orders in an import have of their own.
pub(super) const IMPORT_ITEM: &str = "POST /v1/orders/import item";

/// Scope of the keys of one kind of change of one order.
pub(super) fn of_change(id: &OrderId, verb: &str) -> String {
    format!("POST /v1/orders/{id}/{verb}")
}

/// Scope of the keys of new webhooks.
pub(super) const WEBHOOK: &str = "POST /v1/webhooks";

/// Scope of the keys of one kind of change of one webhook.
pub(super) fn of_webhook(id: &str, verb: &str) -> String {
    format!("POST /v1/webhooks/{id}/{verb}")
}

/// Scope of the keys of what workers say about orders of a queue.
pub(super) fn of_reports(queue: &str, verb: &str) -> String {
    format!("POST /v1/queues/{queue}/{verb}")
}

/// The key in the header of a request to `scope` that sent these bytes.
pub(super) fn of_request(
    headers: &HeaderMap,
    scope: impl Into<Cow<'static, str>>,
    sent: &[u8],
) -> Result<Option<RequestKey>, ApiError> {
    idempotency::request_key(headers, scope, sent)
        .map_err(|error| ApiError::new(Code::BadIdempotencyKey, error.to_string()))
}

/// The key of a single order: in the header, or in the order itself.
pub(super) fn of_order(
    headers: &HeaderMap,
    order: &NewOrder,
    sent: &[u8],
) -> Result<Option<RequestKey>, ApiError> {
    let in_header = of_request(headers, ORDER, sent)?;
    let own = of_item(order, ORDER, sent);
    if let (Some(header), Some(own)) = (&in_header, &own)
        && header != own
    {
        let detail = "the header and idempotency_key name different keys; send one";
        return Err(ApiError::new(Code::BadIdempotencyKey, detail));
    }
    Ok(in_header.or(own))
}

/// The key that an order has of its own.
pub(super) fn of_item(order: &NewOrder, scope: &'static str, sent: &[u8]) -> Option<RequestKey> {
    let key = order.idempotency_key.as_deref()?;
    // The order was checked, and its key with it.
    RequestKey::new(scope, key.as_bytes(), idempotency::fingerprint(sent)).ok()
}

/// The key that an order has of its own which is not accepted now, if it can be read: it may have
/// been accepted under it before, by a server with other settings.
pub(super) fn of_refused(scope: &'static str, sent: &[u8]) -> Option<RequestKey> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        idempotency_key: Cow<'a, str>,
    }
    let Named { idempotency_key } = serde_json::from_slice(sent).ok()?;
    RequestKey::new(
        scope,
        idempotency_key.as_bytes(),
        idempotency::fingerprint(sent),
    )
    .ok()
}

/// The key of a whole batch that was sent in one of two forms. The same bytes may be other orders
/// in the other form, so that is another request.
pub(super) fn of_batch(
    headers: &HeaderMap,
    scope: &'static str,
    form: MediaType,
    sent: &[u8],
) -> Result<Option<RequestKey>, ApiError> {
    let mut key = of_request(headers, scope, sent)?;
    if let (MediaType::Lines, Some(key)) = (form, &mut key) {
        key.fingerprint = idempotency::fingerprint(&[&key.fingerprint[..], b"lines"].concat());
    }
    Ok(key)
}

/// The key with what will be kept under it.
pub(super) fn with_answer(key: &RequestKey) -> NewKey {
    NewKey {
        key: key.clone(),
        answer: Box::new(|order| answer(StatusCode::CREATED, render::location(&order.id), order)),
    }
}

/// An answer with an order, to be kept.
pub(super) fn answer(
    status: StatusCode,
    location: Option<HeaderValue>,
    order: &Order,
) -> KeptAnswer {
    let mut body = Vec::with_capacity(render::ORDER_SIZE_HINT + order.payload.len());
    render::order(&mut body, order);
    let text = |value: HeaderValue| value.to_str().ok().map(Box::from);
    KeptAnswer {
        status: status.as_u16(),
        location: location.and_then(text),
        etag: if_match::etag(order.state.version).and_then(text),
        ..json(body)
    }
}

/// A JSON answer with status 200, to be kept.
pub(super) fn json(body: Vec<u8>) -> KeptAnswer {
    KeptAnswer {
        status: StatusCode::OK.as_u16(),
        content_type: String::from_utf8_lossy(orders::JSON.as_bytes()).into(),
        location: None,
        etag: None,
        body: body.into(),
    }
}

/// What to answer to a request that is refused now, with room for it.
pub(super) async fn again(
    app: &App,
    key: Option<&RequestKey>,
    refusal: ApiError,
) -> Result<Response, ApiError> {
    let first = resolve(app, key, refusal).await?;
    let room = app.room(first.body.len()).await?;
    let mut response = idempotency::replayed(first);
    room.keep(&mut response);
    Ok(response)
}

/// Whether a request came before under this key and was answered. Another request under it is an
/// error.
pub(super) async fn is_again(app: &App, key: &RequestKey) -> Result<bool, ApiError> {
    let expired_before = app.engine.keys_expired_before();
    match idempotency::first_answer(&*app.store, key, expired_before, false).await {
        Ok(_) => Ok(true),
        Err(NoAnswer::Unknown) => Ok(false),
        Err(NoAnswer::OtherRequest) => Err(ApiError::key_reused()),
        Err(NoAnswer::Damaged(error)) => Err(error.into()),
        Err(NoAnswer::Unreadable) => {
            let detail = "what is kept under the key cannot be read now".into();
            Err(SubmitError::StoreUnavailable { detail }.into())
        }
    }
}

/// What to answer to a request that is refused now: what was answered the first time, if this is a
/// repetition. That also resolves answers that were lost, whatever the engine says now.
pub(super) async fn resolve(
    app: &App,
    key: Option<&RequestKey>,
    refusal: ApiError,
) -> Result<KeptAnswer, ApiError> {
    let expired_before = app.engine.keys_expired_before();
    idempotency::first_answer_or(&*app.store, key, expired_before, refusal).await
}

impl Refused for ApiError {
    fn is_id_taken(&self) -> bool {
        self.code() == Code::OrderExists
    }

    fn is_key_in_use(&self) -> bool {
        self.code() == Code::IdempotencyKeyInUse
    }

    fn key_reused() -> Self {
        let detail =
            "another request was accepted under this key; take a new key for a new request";
        Self::new(Code::IdempotencyKeyReused, detail)
    }

    fn outcome_unknown() -> Self {
        let detail = "a request came under this key before; its answer cannot be read now";
        Self::new(Code::OutcomeUnknown, detail)
    }
}
