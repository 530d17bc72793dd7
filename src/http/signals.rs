//! Signals: somebody outside says that what an order waits for has happened.
//!
//! The body is what goes with it, any JSON. Whether it is waited for is decided by the shard.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::change;
use super::error::ApiError;
use super::{App, diagnosis, outcome, schema};
use crate::order::{Action, Signal, compact};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(signal))
}

/// Tell that what an order waits for has happened
///
/// The order goes on if it is at the step of this name. If it has not come there yet, the signal is
/// kept, and it does not wait there. The body becomes the output of the step. A signal that has
/// come before changes nothing and is answered 200.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/signals/{name}",
    tag = "orders",
    operation_id = "signalOrder",
    params(
        ("id" = String, Path, description = "The order's id.", example = "shop-2026-000017"),
        (
            "name" = String, Path,
            description = "Name of the step that waits.", example = "delivered"
        ),
        schema::ChangeHeaders
    ),
    request_body(
        content = Option<serde_json::Value>,
        description = "What goes with it: any JSON of at most 64 KiB; `null` if it is left out.",
        content_type = "application/json"
    ),
    responses(
        (
            status = 201,
            description = "The order, with the signal, on disk.",
            body = schema::Order,
            headers(("ETag" = String, description = "The order's version."))
        ),
        (
            status = 200,
            description = "The order as it is: this signal has come before.",
            body = schema::Order,
            headers(("ETag" = String, description = "The order's version."))
        )
    )
)]
async fn signal(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Path((id, name)) = path.map_err(|_| ApiError::order_not_found())?;
    let verb = format!("signals/{name}");
    change(&app, (&verb, Ok(Path(id))), request, |body| {
        Ok(Action::Signal(Box::new(Signal {
            name: name.into(),
            output: event(body)?,
        })))
    })
    .await
}

/// What goes with a signal, on one line. A body is not needed to say that it has happened.
fn event(body: &[u8]) -> Result<Box<str>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok("null".into());
    }
    if let Some(error) = diagnosis::of_json(body) {
        return Err(error);
    }
    let json = String::from_utf8_lossy(body);
    match outcome::output_fault("", &json) {
        Some(fault) => Err(ApiError::invalid_change(vec![fault])),
        None => Ok(compact(&json)),
    }
}
