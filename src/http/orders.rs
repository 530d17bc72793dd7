//! Orders: create one, read one.
//!
//! A create is answered after the flush and never before. Nothing is checked here that `wire` and
//! the domain have checked.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::code::Code;
use super::error::ApiError;
use super::idempotency::ORDER;
use super::media_type::{MediaType, media_type};
use super::parameters::Parameters;
use super::{App, idempotency, if_match, prefer, render, schema, wire};
use crate::order::{Order, OrderId, OrderState};
use crate::server::ORDER_BYTES_MAX;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(read))
}

/// The content type of every JSON answer that is not a problem.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Says which preference was honoured.
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A JSON answer with status 200.
pub(super) fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// Take in an order
///
/// Answered with 201 once the order is on disk. Under an `Idempotency-Key` it is safe to send
/// again: the same request gets the same answer, byte for byte, for 7 days. With an `order_id` of
/// the client's own the second answer is 409 `order-exists`. Nothing is doubled either way.
#[utoipa::path(
    post,
    path = "/v1/orders",
    tag = "orders",
    operation_id = "createOrder",
    params(
        (
            "Prefer" = Option<String>,
            Header,
            description = "`wait=N`: wait up to N seconds, 1 to 60, for the end of the order.",
            example = "wait=10"
        ),
        (
            "Idempotency-Key" = Option<String>,
            Header,
            description = "The same request sent again under the same key gets the same answer.",
            example = "8e03978e-40d5-43e8-bc93-6894a57f9324"
        )
    ),
    request_body(
        content = schema::NewOrder,
        description = "The order.",
        content_type = "application/json"
    ),
    responses((
        status = 201,
        description = "The order is on disk.",
        body = schema::Order,
        headers(
            ("Location" = String, description = "The order's path."),
            ("ETag" = String, description = "The order's version, for If-Match."),
            ("Preference-Applied" = String, description = "`wait=N` if the answer waited.")
        )
    ))
)]
async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    if media_type(&head.headers)? == MediaType::Lines {
        let detail = "this path takes one order; send lines of orders to /v1/orders/batch";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let wait = prefer::wait(&head.headers)?;
    let (new, key, room) = {
        let body = app.bodies.read(body, ORDER_BYTES_MAX).await?;
        match wire::order(&body.bytes, &app.processes) {
            Ok(new) => {
                let key = idempotency::of_order(&head.headers, &new, &body.bytes)?;
                // Its answer is about as large.
                (Box::new(new), key, body.room)
            }
            Err(refusal) => {
                let in_header = idempotency::of_request(&head.headers, ORDER, &body.bytes)?;
                let own = || idempotency::of_refused(ORDER, &body.bytes);
                let key = in_header.or_else(own);
                drop(body);
                return idempotency::again(&app, key.as_ref(), refusal).await;
            }
        }
    };
    let kept = key.as_ref().map(idempotency::with_answer).map(Box::new);
    let accepted = match app.engine.submit_under(kept, new, wait.is_some()).await {
        Ok(accepted) => accepted,
        Err(error) => {
            return idempotency::again(&app, key.as_ref(), error.into()).await;
        }
    };
    let mut order = accepted.order;
    let waited = match (wait, accepted.end) {
        (Some(patience), Some(end)) => {
            order = end_or_now(&app, order, end, patience).await;
            Some(patience)
        }
        _ => None,
    };
    let mut response = created(&order, waited);
    room.keep(&mut response);
    Ok(response)
}

/// The order at its end if that comes in time, otherwise as it is then.
async fn end_or_now(
    app: &App,
    mut order: Box<Order>,
    end: oneshot::Receiver<OrderState>,
    patience: Duration,
) -> Box<Order> {
    let mut draining = app.draining.subscribe();
    tokio::select! {
        biased;
        Ok(state) = end => {
            order.state = state;
            let process = app.processes.find_version(&order.process, order.process_version);
            // Where no step says anything, the state is all that has changed.
            if !process.is_some_and(|(_, process)| process.has_rules()) {
                return order;
            }
        }
        () = tokio::time::sleep(patience) => {}
        _ = draining.wait_for(|is_draining| *is_draining) => {}
        else => {}
    }
    // The order is accepted whatever this read says, so what is known of it is a true answer too.
    match app.store.order(&order.id).await {
        Ok(Some(now)) => Box::new(now),
        _ => order,
    }
}

/// The answer to a create.
pub fn created(order: &Order, waited: Option<Duration>) -> Response {
    let mut body = Vec::with_capacity(render::ORDER_SIZE_HINT + order.payload.len());
    render::order(&mut body, order);
    let mut response = json(body);
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    if let Some(etag) = if_match::etag(order.state.version) {
        headers.insert(header::ETAG, etag);
    }
    if let Some(location) = render::location(&order.id) {
        headers.insert(header::LOCATION, location);
    }
    if let Some(waited) = waited
        && let Ok(applied) = HeaderValue::try_from(format!("wait={}", waited.as_secs()))
    {
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    response
}

/// Read an order
#[utoipa::path(
    get,
    path = "/v1/orders/{id}",
    tag = "orders",
    operation_id = "readOrder",
    params(
        ("id" = String, Path, description = "The order's id.", example = "shop-2026-000017"),
        (
            "If-None-Match" = Option<String>,
            Header,
            description = "The `ETag` of an earlier answer: 304 if the order is still the same.",
            example = "\"3\""
        )
    ),
    responses(
        (
            status = 200,
            description = "The order.",
            body = schema::Order,
            headers(("ETag" = String, description = "The order's version, for If-Match."))
        ),
        (
            status = 304,
            description = "The order is the same as before.",
            headers(("ETag" = String, description = "The order's version."))
        )
    )
)]
async fn read(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    Parameters::none(&uri)?;
    let order = find(&app, &order_id(id)?).await?;
    if if_match::is_known(&headers, order.state.version) {
        return Ok(unchanged(order.state.version));
    }
    Ok(answer(&order))
}

/// The answer to a read of the order with this id.
pub(super) async fn one(app: &App, id: OrderId) -> Result<Response, ApiError> {
    find(app, &id).await.map(|order| answer(&order))
}

/// The order with this id.
pub(super) async fn find(app: &App, id: &OrderId) -> Result<Order, ApiError> {
    let order = app.store.order(id).await?;
    order.ok_or_else(ApiError::order_not_found)
}

/// The answer to a client that has the order with this version already.
fn unchanged(version: u32) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    if let Some(etag) = if_match::etag(version) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// The answer with this order.
pub(super) fn answer(order: &Order) -> Response {
    let mut body = Vec::with_capacity(render::ORDER_SIZE_HINT + order.payload.len());
    render::order(&mut body, order);
    let mut response = json(body);
    if let Some(etag) = if_match::etag(order.state.version) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// The id in a path. No order has an impossible one.
pub(super) fn order_id(path: Result<Path<String>, PathRejection>) -> Result<OrderId, ApiError> {
    let id = path.ok().and_then(|Path(id)| OrderId::parse(&id).ok());
    id.ok_or_else(ApiError::order_not_found)
}
