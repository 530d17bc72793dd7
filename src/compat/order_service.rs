//! `order_service`: everything under `/order-service/order`. Creates are answered with a message,
//! reads with a word.
//!
//! Wire structs and their translation; every rule of an order itself is elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Wire;
use super::answer::{self, JSON_LINE, Wording};
use super::desk::Desk;
use super::fields::{Fields, Reading};
use super::media_type;
use super::refusal::{Code, FieldNames, Refusal};
use super::words;
use crate::order::{Dialect, Draft, Item, KeptAnswer, NewOrder, Order};
use crate::server::RequestHead;

/// What the common code knows about it.
pub const WIRE: Wire = Wire {
    dialect: Dialect::OrderService,
    owns: |path| path == PREFIX || path.starts_with("/order-service/"),
    routes: |_| {
        Router::new()
            .route("/order-service/order/create", post(create))
            .route("/order-service/order/order-status", get(status))
            .route("/order-service/order/order-metric", get(metrics))
    },
    wording,
    envelope: |_, refusal, wording| envelope(refusal, wording),
};

const PREFIX: &str = "/order-service";
const FIELD_NAMES: &FieldNames = &[("customer_id", "user_id"), ("items", "items_ids")];

/// Longest order id, user id and item, in characters: they are columns of that width elsewhere.
const ID_CHARS_MAX: usize = 36;
/// Largest amount, in minor units: 99999999.99.
const AMOUNT_MINOR_MAX: i64 = 9_999_999_999;

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct StatusView {
    order_status: &'static str,
}

#[derive(Serialize)]
struct MetricsView {
    order_metrics: Metrics,
}

#[derive(Serialize)]
struct Metrics {
    total_orders: i64,
    avg_processing_time: Box<RawValue>,
    orders_by_status: Vec<StatusCount>,
}

#[derive(Serialize)]
struct StatusCount {
    status: &'static str,
    count: i64,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    media_type::must_be_json(request.headers())?;
    desk.create(request, |body| Ok((order(&desk, body)?, created)))
        .await
}

fn created(order: &Order) -> KeptAnswer {
    let message = "Order created successfully";
    let answer = JSON_LINE.keep(StatusCode::OK, &Message { message });
    let place = "/order-service/order/order-status?order_id=";
    answer::located(answer, place, &order.id, "")
}

/// The order in a body.
fn order(desk: &Desk, body: &[u8]) -> Result<Box<NewOrder>, Refusal> {
    let fields = Fields::read(body, Reading::Loose)?;
    let missing = |name| move || Refusal::missing(name);
    let order_id = fields.text("order_id")?;
    let user_id = fields.text("user_id")?;
    let items_ids = fields.texts("items_ids")?;
    let total = fields.decimal("total_amount")?;
    fields.text("status")?;
    let order_id = id(order_id.ok_or_else(missing("order_id"))?, "order_id")?;
    let user_id = id(user_id.ok_or_else(missing("user_id"))?, "user_id")?;
    let items_ids = items_ids.ok_or_else(missing("items_ids"))?;
    check_items(&items_ids)?;
    let total = total.ok_or_else(missing("total_amount"))?;
    let total_minor = total.amount("total_amount")?;
    if total_minor > AMOUNT_MINOR_MAX {
        return Err(Refusal::field(Code::OutOfRange, "total_amount"));
    }
    let items = items_ids.into_iter().map(|id| Item::Plain(id.into()));
    let draft = Draft {
        order_id: Some(order_id.into()),
        customer_id: user_id.into(),
        items: items.collect(),
        total_minor,
        ..desk.draft()
    };
    desk.check(&draft, FIELD_NAMES)
}

/// A text of 1 to 36 characters.
fn id<'a>(text: &'a str, name: &'static str) -> Result<&'a str, Refusal> {
    if (1..=ID_CHARS_MAX).contains(&text.chars().count()) {
        Ok(text)
    } else {
        Err(Refusal::field(Code::InvalidLength, name))
    }
}

/// At least one item, each with an id, none twice.
fn check_items(ids: &[&str]) -> Result<(), Refusal> {
    if ids.is_empty() {
        return Err(Refusal::field(Code::InvalidLength, "items_ids"));
    }
    let mut seen = BTreeSet::new();
    for (at, item) in ids.iter().enumerate() {
        let refuse = |code| Err(Refusal::element(code, "items_ids", at));
        if id(item, "items_ids").is_err() {
            return refuse(Code::InvalidLength);
        }
        if !seen.insert(*item) {
            return refuse(Code::OutOfRange);
        }
    }
    Ok(())
}

async fn status(
    State(desk): State<Arc<Desk>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let id = query.iter().find(|(name, _)| name == "order_id");
    let id = id.map(|(_, id)| id.as_str()).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Refusal::new(Code::BadQuery, "order_id is missing"))?;
    let order = desk.order(id).await?;
    let order_status = words::capital(order.state.status.kind());
    Ok(JSON_LINE.answer(StatusCode::OK, &StatusView { order_status }))
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Result<Response, Refusal> {
    let counters = desk.counters().await?;
    let by_word = counters.by_word().0.into_iter();
    let by_word = by_word.map(|(status, count)| StatusCount { status, count });
    let order_metrics = Metrics {
        total_orders: counters.all(),
        avg_processing_time: counters.turnaround_seconds().number(4),
        orders_by_status: by_word.filter(|word| word.count > 0).collect(),
    };
    Ok(JSON_LINE.answer(StatusCode::OK, &MetricsView { order_metrics }))
}

fn wording(head: &RequestHead<'_>, refusal: &Refusal) -> Wording {
    match refusal.code {
        Code::OrderNotFound => Wording::new(StatusCode::NOT_FOUND, "Order not found"),
        Code::OrderExists => Wording::new(StatusCode::CONFLICT, "Order already exists"),
        Code::RouteNotFound => Wording::new(StatusCode::NOT_FOUND, "Not Found"),
        Code::MethodNotAllowed => {
            Wording::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        }
        code => match code.server_fault() {
            Some(status) if head.path.ends_with("/create") => {
                Wording::new(status, "Could not create order")
            }
            Some(status) => Wording::new(status, "Could not get order status"),
            None => Wording::new(StatusCode::BAD_REQUEST, "Invalid request payload"),
        },
    }
}

/// What no handler was found for is told in the words of the framework that once served it.
fn envelope(refusal: &Refusal, wording: &Wording) -> Response {
    let text = &*wording.text;
    match refusal.code {
        Code::RouteNotFound | Code::MethodNotAllowed => {
            JSON_LINE.answer(wording.status, &Message { message: text })
        }
        _ => JSON_LINE.answer(wording.status, &ErrorText { error: text }),
    }
}
