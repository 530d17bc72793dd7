//! Batches: many orders in one request and one flush, each with its own result.
//!
//! A bad order never fails its neighbours; only a body that cannot be taken apart fails as a whole.

mod submit;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::Response;
use axum::routing::get;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::submit::submit;
use super::code::Code;
use super::error::ApiError;
use super::media_type::{MediaType, media_type};
use super::parameters::Parameters;
use super::wire::{CODED, Object, OrderBody};
use super::{App, aside, diagnosis, idempotency, orders, render, schema, wire};
use crate::engine::SubmitError;
use crate::faults;
use crate::order::{Fault, KeptAnswer, NewOrder, Order, OrderId, Processes, RequestKey};
use crate::server::BATCH_BYTES_MAX;
use crate::server::idempotency::IDEMPOTENCY_REPLAYED;

/// Most orders of a batch.
pub const BATCH_ORDERS_MAX: usize = 10_000;
/// About how large a fault is in an answer, in bytes.
const FAULT_SIZE_HINT: usize = 128;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create_batch))
        // An order may have the id "batch".
        .route("/v1/orders/batch", get(read_batch))
}

/// An order of a batch, with the key that it has of its own.
#[derive(Debug)]
pub struct Item {
    /// The order.
    pub order: NewOrder,
    /// Its key.
    pub key: Option<RequestKey>,
}

/// Something in a batch that is not accepted now, with the key that it has of its own.
#[derive(Debug)]
pub struct Unfit {
    /// Why.
    pub error: ApiError,
    /// Its key.
    pub key: Option<RequestKey>,
}

/// An order as it was read, or why it could not be.
pub type Read = Result<Item, Unfit>;

/// What became of an order of a batch.
pub enum ItemResult {
    /// It was accepted now.
    Accepted(Box<Order>),
    /// It was accepted before, and answered like this.
    Replayed(KeptAnswer),
    /// It was not accepted.
    Refused(ApiError),
    /// Nobody has said yet.
    Pending,
}

/// Take in many orders
///
/// A JSON array, or one order in each line (`application/x-ndjson`). Every order has a result of
/// its own, in the order of the request; a bad one never fails its neighbours. All accepted ones
/// are flushed together. At most 10,000 orders and 16 MiB.
///
/// Under an `Idempotency-Key` each order is accepted once: sent again, the same bytes get the first
/// answer for every order that was accepted, and the others get another try. Other bytes under the
/// same key are refused whole.
#[utoipa::path(
    post,
    path = "/v1/orders/batch",
    tag = "orders",
    operation_id = "createBatch",
    params(schema::KeyHeader),
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
    let processes = Arc::clone(&app.processes);
    let read = move |media_type, body: &[u8]| match media_type {
        MediaType::Json => array(body, &processes),
        MediaType::Lines => lines(body, &processes),
    };
    take_in(&app, request, idempotency::BATCH, read).await
}

/// Takes in a batch whose orders `read` finds in its bytes, and answers it. `scope` is that of its
/// idempotency key.
pub(super) async fn take_in(
    app: &App,
    request: Request,
    scope: &'static str,
    read: impl FnOnce(MediaType, &[u8]) -> Result<Vec<Read>, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    let media_type = media_type(&head.headers)?;
    let body = app.bodies.read(body, BATCH_BYTES_MAX).await?;
    let read = move |bytes: &[u8]| {
        let key = idempotency::of_batch(&head.headers, scope, media_type, bytes)?;
        Ok((read(media_type, bytes)?, key))
    };
    let (read, key) = aside::read(&body.bytes, read).await?;
    let room = app.room(answer_bytes(&read)).await?;
    drop(body);
    faults::point("batch-read");
    let (items, is_replayed) = submit(app, read, key).await?;
    let mut response = orders::json(results(&items));
    if is_replayed {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, yes);
    }
    room.keep(&mut response);
    Ok(response)
}

/// About how large the answer to these orders will be.
fn answer_bytes(read: &[Read]) -> usize {
    let one = |read: &Read| match read {
        Ok(item) => item.order.payload.len(),
        Err(unfit) => unfit.error.faults().len() * FAULT_SIZE_HINT,
    };
    let own: usize = read.iter().map(one).sum();
    own + read.len() * render::ORDER_SIZE_HINT
}

async fn read_batch(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let id = OrderId::parse("batch").map_err(|_| ApiError::order_not_found())?;
    orders::one(&app, id).await
}

/// Reads a batch order by order: `item` is given the bytes of each.
pub(super) fn each(
    media_type: MediaType,
    body: &[u8],
    item: impl Fn(&[u8]) -> Read,
) -> Result<Vec<Read>, ApiError> {
    match media_type {
        MediaType::Json => parts(body, item),
        MediaType::Lines => lines_of(body, item),
    }
}

/// Reads a JSON array of orders. Fails as a whole if it is not one, or has too many.
pub fn array(body: &[u8], processes: &Processes) -> Result<Vec<Read>, ApiError> {
    let check = |Object(draft): Object<OrderBody<'_>>| {
        // Its fingerprint is of the bytes, which are not known here.
        if draft.idempotency_key.is_some() {
            return None;
        }
        let checked = NewOrder::check(&draft.into_draft(), processes);
        let checked = checked.map_err(ApiError::invalid_order);
        let unfit = |error| Unfit { error, key: None };
        Some(
            checked
                .map(|order| Item { order, key: None })
                .map_err(unfit),
        )
    };
    if let Ok(read) = list(body, check) {
        return Ok(read);
    }
    // Some order has another form or a key of its own, or the whole is no array: take it apart
    // first.
    parts(body, |sent| item(sent, processes))
}

fn parts(body: &[u8], item: impl Fn(&[u8]) -> Read) -> Result<Vec<Read>, ApiError> {
    let parts = list(body, Some::<&RawValue>).map_err(|error| {
        if error.to_string().starts_with(CODED) {
            return too_many();
        }
        diagnosis::of_json(body).unwrap_or_else(|| {
            let detail = "a batch is a list of orders";
            ApiError::invalid_order(vec![Fault::new("", "wrong-type", detail)])
        })
    })?;
    let orders = parts.into_iter();
    Ok(orders.map(|part| item(part.get().as_bytes())).collect())
}

fn item(sent: &[u8], processes: &Processes) -> Read {
    keyed(wire::order(sent, processes), idempotency::BATCH_ITEM, sent)
}

/// What was read from these bytes, with the key that is in them.
pub(super) fn keyed(read: Result<NewOrder, ApiError>, scope: &'static str, sent: &[u8]) -> Read {
    match read {
        Ok(order) => {
            let key = idempotency::of_item(&order, scope, sent);
            Ok(Item { order, key })
        }
        Err(error) => {
            let key = idempotency::of_refused(scope, sent);
            Err(Unfit { error, key })
        }
    }
}

/// Reads one order from each line; empty lines count for nothing.
pub fn lines(body: &[u8], processes: &Processes) -> Result<Vec<Read>, ApiError> {
    lines_of(body, |sent| item(sent, processes))
}

fn lines_of(body: &[u8], item: impl Fn(&[u8]) -> Read) -> Result<Vec<Read>, ApiError> {
    let filled = || {
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.filter(|line| !line.is_empty())
    };
    if filled().count() > BATCH_ORDERS_MAX {
        return Err(too_many());
    }
    Ok(filled().map(item).collect())
}

fn too_many() -> ApiError {
    let detail = format!("a batch may have {BATCH_ORDERS_MAX} orders");
    ApiError::new(Code::BatchTooLarge, detail)
}

/// The body of the answer to a batch.
pub fn results(results: &[ItemResult]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + results.len() * render::ORDER_SIZE_HINT);
    out.extend_from_slice(b"{\"results\":[");
    for (at, result) in results.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match result {
            ItemResult::Accepted(order) => accepted(&mut out, |out| render::order(out, order)),
            ItemResult::Replayed(answer) => {
                accepted(&mut out, |out| out.extend_from_slice(&answer.body));
            }
            ItemResult::Refused(error) => problem(&mut out, error),
            ItemResult::Pending => problem(&mut out, &SubmitError::OutcomeUnknown.into()),
        }
    }
    out.extend_from_slice(b"]}");
    out
}

fn accepted(out: &mut Vec<u8>, order: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"status\":201,\"order\":");
    order(out);
    out.push(b'}');
}

fn problem(out: &mut Vec<u8>, error: &ApiError) {
    out.extend_from_slice(b"{\"status\":");
    render::number(out, error.status());
    out.extend_from_slice(b",\"problem\":");
    error.write(out, None);
    out.push(b'}');
}

/// Reads a JSON array and makes something of each entry at once, so that an entry takes no memory
/// for longer. Fails if there are too many, or nothing can be made of one.
fn list<'a, T: Deserialize<'a>, M>(
    body: &'a [u8],
    make: impl FnMut(T) -> Option<M>,
) -> serde_json::Result<Vec<M>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let made = reader.deserialize_seq(ListVisitor(make, PhantomData))?;
    reader.end()?;
    Ok(made)
}

struct ListVisitor<T, F>(F, PhantomData<T>);

impl<'de, T: Deserialize<'de>, M, F: FnMut(T) -> Option<M>> Visitor<'de> for ListVisitor<T, F> {
    type Value = Vec<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of orders")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Vec<M>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == BATCH_ORDERS_MAX {
                return Err(A::Error::custom(CODED));
            }
            let made = (self.0)(entry);
            entries.push(made.ok_or_else(|| A::Error::custom("an entry of another kind"))?);
        }
        Ok(entries)
    }
}
