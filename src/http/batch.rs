//! Batches: many orders in one request and one flush, each with its own result.
//!
//! A bad order never fails its neighbours; only a body that cannot be taken apart fails as a whole.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::code::Code;
use super::error::ApiError;
use super::media_type::{MediaType, media_type};
use super::parameters::Parameters;
use super::wire::{CODED, Object, OrderBody};
use super::{App, diagnosis, orders, render, schema, wire};
use crate::engine;
use crate::order::{Fault, NewOrder, OrderId, Processes};
use crate::server::BATCH_BYTES_MAX;

/// Most orders of a batch.
pub const BATCH_ORDERS_MAX: usize = 10_000;
/// Bodies above this many bytes are read on a thread of their own, so that they hold up nobody: at
/// some 300 MB/s this many take a millisecond.
const INLINE_BYTES_MAX: usize = 256 << 10;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create_batch))
        // An order may have the id "batch".
        .route("/v1/orders/batch", get(read_batch))
}

/// An order as it was read, or why it could not be.
pub type Read = Result<NewOrder, ApiError>;

/// Take in many orders
///
/// A JSON array, or one order in each line (`application/x-ndjson`). Every order has a result of
/// its own, in the order of the request; a bad one never fails its neighbours. All accepted ones
/// are flushed together. At most 10,000 orders and 16 MiB.
#[utoipa::path(
    post,
    path = "/v1/orders/batch",
    tag = "orders",
    operation_id = "createBatch",
    request_body(
        description = "The orders.",
        content(
            (Vec<schema::NewOrder> = "application/json"),
            (String = "application/x-ndjson")
        )
    ),
    responses((
        status = 200,
        description = "What became of each order.",
        body = schema::BatchResults
    ))
)]
async fn create_batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    let media_type = media_type(&head.headers)?;
    let body = app.bodies.read(body, BATCH_BYTES_MAX).await?;
    let read = if body.bytes.len() > INLINE_BYTES_MAX {
        let (bytes, processes) = (body.bytes.clone(), Arc::clone(&app.processes));
        let reading = tokio::task::spawn_blocking(move || read(media_type, &bytes, &processes));
        reading.await.map_err(|_| {
            ApiError::new(
                Code::Internal,
                "the server made a mistake; its log has the cause",
            )
        })??
    } else {
        read(media_type, &body.bytes, &app.processes)?
    };
    drop(body);
    let (good, refused) = split(read);
    let answers = if good.is_empty() {
        Vec::new()
    } else {
        app.engine.submit_batch(good).await?
    };
    Ok(orders::json(results(&answers, &refused)))
}

async fn read_batch(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let id = OrderId::parse("batch").map_err(|_| ApiError::order_not_found())?;
    orders::one(&app, id).await
}

fn read(media_type: MediaType, body: &Bytes, processes: &Processes) -> Result<Vec<Read>, ApiError> {
    match media_type {
        MediaType::Json => array(body, processes),
        MediaType::Lines => lines(body, processes),
    }
}

/// The good orders, and the others with their places.
fn split(read: Vec<Read>) -> (Vec<NewOrder>, Vec<(usize, ApiError)>) {
    let mut good = Vec::with_capacity(read.len());
    let mut refused = Vec::new();
    for (at, order) in read.into_iter().enumerate() {
        match order {
            Ok(order) => good.push(order),
            Err(error) => refused.push((at, error)),
        }
    }
    (good, refused)
}

/// Reads a JSON array of orders. Fails as a whole if it is not one, or has too many.
pub fn array(body: &[u8], processes: &Processes) -> Result<Vec<Read>, ApiError> {
    if let Ok(Bounded(drafts)) = serde_json::from_slice::<Bounded<Object<OrderBody<'_>>>>(body) {
        let check =
            |Object(draft): Object<OrderBody<'_>>| NewOrder::check(&draft.into_draft(), processes);
        let orders = drafts.into_iter();
        return Ok(orders
            .map(|draft| check(draft).map_err(ApiError::invalid_order))
            .collect());
    }
    // Some order has another form, or the whole is no array: take it apart first.
    let parts = serde_json::from_slice::<Bounded<&RawValue>>(body).map_err(|error| {
        if error.to_string().starts_with(CODED) {
            return too_many();
        }
        diagnosis::of_json(body).unwrap_or_else(|| {
            let detail = "a batch is a list of orders";
            ApiError::invalid_order(vec![Fault::new("", "wrong-type", detail)])
        })
    })?;
    let orders = parts.0.into_iter();
    Ok(orders
        .map(|part| wire::order(part.get().as_bytes(), processes))
        .collect())
}

/// Reads one order from each line; empty lines count for nothing.
pub fn lines(body: &[u8], processes: &Processes) -> Result<Vec<Read>, ApiError> {
    let filled = || {
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.filter(|line| !line.is_empty())
    };
    if filled().count() > BATCH_ORDERS_MAX {
        return Err(too_many());
    }
    Ok(filled().map(|line| wire::order(line, processes)).collect())
}

fn too_many() -> ApiError {
    let detail = format!("a batch may have {BATCH_ORDERS_MAX} orders");
    ApiError::new(Code::BatchTooLarge, detail)
}

/// The answer to a batch: the engine's answers, with the `refused` orders put back at their places.
pub fn results(answers: &[engine::Answer], refused: &[(usize, ApiError)]) -> Vec<u8> {
    let count = answers.len() + refused.len();
    let mut out = Vec::with_capacity(32 + count * render::ORDER_SIZE_HINT);
    out.extend_from_slice(b"{\"results\":[");
    let (mut answers, mut refused) = (answers.iter(), refused.iter().peekable());
    for at in 0..count {
        if at > 0 {
            out.push(b',');
        }
        if let Some((_, error)) = refused.next_if(|(place, _)| *place == at) {
            problem(&mut out, error);
            continue;
        }
        match answers.next() {
            Some(Ok(order)) => {
                out.extend_from_slice(b"{\"status\":201,\"order\":");
                render::order(&mut out, order);
                out.push(b'}');
            }
            Some(Err(error)) => problem(&mut out, &error.clone().into()),
            None => {}
        }
    }
    out.extend_from_slice(b"]}");
    out
}

fn problem(out: &mut Vec<u8>, error: &ApiError) {
    out.extend_from_slice(b"{\"status\":");
    render::number(out, error.status());
    out.extend_from_slice(b",\"problem\":");
    error.write(out, None);
    out.push(b'}');
}

/// A list that stops being read when it has too many entries.
struct Bounded<T>(Vec<T>);

struct BoundedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BoundedVisitor<T> {
    type Value = Bounded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of orders")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == BATCH_ORDERS_MAX {
                return Err(A::Error::custom(CODED));
            }
            entries.push(entry);
        }
        Ok(Bounded(entries))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}
