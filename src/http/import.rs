//! Orders that another service has finished: taken in as they ended, for those who move over.
//!
//! Read and answered like a batch of new orders; nothing is done with them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use serde::de::value::{CowStrDeserializer, MapAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::batch::{self, Read};
use super::error::ApiError;
use super::wire::{OrderBody, Text};
use super::{App, diagnosis, idempotency, orders, schema};
use crate::clock::Timestamp;
use crate::faults;
use crate::order::{NewOrder, OrderId, Past, PastDraft, Processes};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(import))
        // An order may have the id "import".
        .route("/v1/orders/import", get(read_import))
}

/// Take in orders that another service has finished
///
/// They come in as `completed` or `cancelled`, with the times that they had there; nothing is done
/// with them, and they need no room among the open orders. A JSON array, or one order in each line
/// (`application/x-ndjson`); answered like a batch. With `order_id`s it is safe to send again.
#[utoipa::path(
    post,
    path = "/v1/orders/import",
    tag = "orders",
    operation_id = "importOrders",
    params(schema::KeyHeader),
    request_body(
        description = "The orders.",
        content(
            (Vec<schema::FinishedOrder> = "application/json"),
            (String = "application/x-ndjson")
        )
    ),
    responses((
        status = 200,
        description = "What became of each order.",
        body = schema::BatchResults
    ))
)]
async fn import(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let processes = Arc::clone(&app.processes);
    let now = app.clock.now();
    let read = move |media_type, body: &[u8]| {
        let read = batch::each(media_type, body, |sent| item(sent, &processes, now));
        faults::point("import-read");
        read
    };
    batch::take_in(&app, request, idempotency::IMPORT, read).await
}

async fn read_import(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let id = OrderId::parse("import").map_err(|_| ApiError::order_not_found())?;
    orders::one(&app, id).await
}

fn item(sent: &[u8], processes: &Processes, now: Timestamp) -> Read {
    batch::keyed(order(sent, processes, now), idempotency::IMPORT_ITEM, sent)
}

/// Reads one order with its past; nothing in that may be later than `now`.
pub fn order(body: &[u8], processes: &Processes, now: Timestamp) -> Result<NewOrder, ApiError> {
    let read = serde_json::from_slice::<FinishedBody<'_>>(body);
    let FinishedBody { order, past } =
        read.map_err(|_| diagnosis::of::<FinishedBody<'_>>(body, ApiError::invalid_order))?;
    let draft = past.into_draft(now).unwrap_or_default();
    let checked = NewOrder::check(&order.into_draft(), processes);
    Past::of(checked, &draft).map_err(ApiError::invalid_order)
}

/// An order's own fields, and beside them what became of it.
struct FinishedBody<'a> {
    order: OrderBody<'a>,
    past: PastBody<'a>,
}

#[derive(Default)]
struct PastBody<'a> {
    status: Option<Text<'a>>,
    created_at: Option<Text<'a>>,
    started_at: Option<Text<'a>>,
    ended_at: Option<Text<'a>>,
    reason: Option<Text<'a>>,
}

impl<'a> PastBody<'a> {
    /// The name and the place of a field, if it is one of these.
    fn field(&mut self, key: &str) -> Option<(&'static str, &mut Option<Text<'a>>)> {
        Some(match key {
            "status" => ("status", &mut self.status),
            "created_at" => ("created_at", &mut self.created_at),
            "started_at" => ("started_at", &mut self.started_at),
            "ended_at" => ("ended_at", &mut self.ended_at),
            "reason" => ("reason", &mut self.reason),
            _ => return None,
        })
    }

    /// The same in domain terms, not checked. `None` if a field is missing.
    fn into_draft(self, now: Timestamp) -> Option<PastDraft<'a>> {
        let text = |text: Text<'a>| text.0;
        Some(PastDraft {
            status: self.status?.0,
            created_at: self.created_at?.0,
            started_at: self.started_at.map(text),
            ended_at: self.ended_at?.0,
            reason: self.reason.map(text),
            now,
        })
    }

    fn missing(&self) -> Option<&'static str> {
        let fields = [
            ("status", &self.status),
            ("created_at", &self.created_at),
            ("ended_at", &self.ended_at),
        ];
        let missing = fields.iter().find(|(_, field)| field.is_none());
        missing.map(|(name, _)| *name)
    }
}

struct FinishedVisitor;

impl<'de> Visitor<'de> for FinishedVisitor {
    type Value = FinishedBody<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "an order: an object with customer_id, items, total, status, created_at and ended_at",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FinishedBody<'de>, A::Error> {
        let mut past = PastBody::default();
        let past_of = Sieve {
            map,
            past: &mut past,
        };
        let order = OrderBody::deserialize(MapAccessDeserializer::new(past_of))?;
        match past.missing() {
            Some(name) => Err(A::Error::missing_field(name)),
            None => Ok(FinishedBody { order, past }),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for FinishedBody<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FinishedVisitor)
    }
}

/// The fields of an object without those of the past, which it keeps.
struct Sieve<'p, 'de, A> {
    map: A,
    past: &'p mut PastBody<'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Sieve<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(Text(key)) = self.map.next_key::<Text<'de>>()? {
            let Some((name, place)) = self.past.field(&key) else {
                return seed.deserialize(CowStrDeserializer::new(key)).map(Some);
            };
            if place.is_some() {
                return Err(A::Error::duplicate_field(name));
            }
            *place = self.map.next_value()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
