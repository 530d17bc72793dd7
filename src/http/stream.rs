//! `GET /v1/events/stream`: the feed as server-sent events.
//!
//! The same events in the same order as `GET /v1/events`, and the same places in it. What a reader
//! gets and how it keeps up is decided in `telling`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::code::Code;
use super::error::{ApiError, NOSNIFF};
use super::parameters::Parameters;
use super::{App, cursor, events, schema};
use crate::server;
use crate::telling::Reader;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Follow all orders as they happen
///
/// Server-sent events: every event of every order, oldest first, each exactly once, and then those
/// that happen, without an end. A client that comes again with `Last-Event-ID` goes on where it
/// was.
#[utoipa::path(
    get,
    path = "/v1/events/stream",
    tag = "events",
    operation_id = "streamEvents",
    params(
        schema::StreamParameters,
        schema::EventFilters,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event seen.")
    ),
    responses((
        status = 200,
        description = "Events; the `data` of each is an `Event`.",
        body = String,
        content_type = "text/event-stream"
    ))
)]
async fn stream(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut parameters = Parameters::of(&uri)?;
    let after = parameters.after()?;
    let filter = events::filter(&mut parameters)?;
    parameters.end()?;
    let after = match headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        Some(id) => cursor::events(id.to_str().unwrap_or_default())?,
        None => match after {
            Some(text) => events::place(&app, &text)?,
            None => Default::default(),
        },
    };
    let reader = app.feed.reader(filter, after);
    let mut reader = reader.map_err(|full| ApiError::new(Code::Overloaded, full.to_string()))?;
    reader.begin().await?;
    let mut response = server::streamed(reader, next);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    Ok(response)
}

async fn next(mut reader: Reader) -> Option<(Bytes, Reader)> {
    let piece = reader.next().await?;
    Some((Bytes::from_owner(piece), reader))
}
