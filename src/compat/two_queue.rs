//! `two_queue`: `POST /order` answered with a line of text, `GET /order/{order_id}`, and
//! `GET /metrics/pending`.
//!
//! Wire structs and their translation; every rule of an order itself is elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::accept::ranks_json_first;
use super::answer::{self, JSON_LINE, JsonForm, Wording};
use super::counters::Extra;
use super::desk::{Desk, IdInPath, payload};
use super::fields::{Fields, Reading};
use super::json::Json;
use super::refusal::{Code, FieldNames, Refusal};
use super::{Wire, decimal, lines, words};
use crate::order::{Dialect, Draft, Item, KeptAnswer, NewOrder, Order};

/// What the common code knows about it.
pub const WIRE: Wire = Wire {
    dialect: Dialect::TwoQueue,
    owns: |path| path == "/order" || path.starts_with("/order/") || path == "/metrics/pending",
    routes: |_| {
        Router::new()
            .route("/order", post(create))
            .route("/order/{order_id}", get(read))
            .route("/metrics/pending", get(metrics))
    },
    wording: |_, refusal| lines::wording(refusal).unwrap_or_else(|| wording(refusal)),
    envelope: |head, _, wording| say(head.accept, wording),
};

const BAD_TOTAL: &str = "total_amount must be >= 0 with at most 2 decimals";
const FIELD_NAMES: &FieldNames = &[("customer_id", "user_id"), ("items", "item_ids")];

/// JSON in place of text.
const QUOTED: JsonForm = JsonForm {
    content_type: "application/json; charset=UTF-8",
    ..JSON_LINE
};

/// An order as it is read back.
#[derive(Serialize)]
struct OrderView<'a> {
    order_id: &'a str,
    user_id: &'a str,
    item_ids: Vec<String>,
    total_amount: Box<RawValue>,
    status: &'a str,
}

/// The order counters, under the names and the spelling that its clients know.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricsView {
    pending_count: i64,
    proccessed: i64,
    completed: i64,
    total_count: i64,
    average_processing_time: Box<RawValue>,
    #[serde(flatten)]
    extra: Extra,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let wants_json = ranks_json_first(request.headers().get(header::ACCEPT));
    let received = move |order: &Order| received(order, wants_json);
    desk.create(request, |body| Ok((order(&desk, body)?, received)))
        .await
}

fn received(order: &Order, wants_json: bool) -> KeptAnswer {
    let text = format!("Received order {}", order.id);
    let answer = if wants_json {
        QUOTED.keep(StatusCode::OK, &text)
    } else {
        answer::keep_line(StatusCode::OK, &text)
    };
    answer::located(answer, "/order/", &order.id, "")
}

async fn read(State(desk): State<Arc<Desk>>, IdInPath(id): IdInPath) -> Result<Response, Refusal> {
    let order = desk.order(&id).await?;
    let completed = &desk.settings.completed_word;
    let view = OrderView {
        order_id: order.id.as_str(),
        user_id: &order.customer_id,
        item_ids: item_ids_of(&order)?,
        total_amount: decimal::number(order.total.minor(), order.total.currency().decimals()),
        status: &words::small(order.state.status.kind(), completed),
    };
    Ok(JSON_LINE.answer(StatusCode::OK, &view))
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Result<Response, Refusal> {
    let counters = desk.counters().await?;
    let view = MetricsView {
        pending_count: counters.pending(),
        proccessed: counters.in_work(),
        completed: counters.completed(),
        total_count: counters.all(),
        average_processing_time: counters.work_seconds().number(3),
        extra: counters.extra(),
    };
    Ok(JSON_LINE.answer(StatusCode::OK, &view))
}

/// The order in a body. Types come before values, and values in the order of the fields.
fn order(desk: &Desk, body: &[u8]) -> Result<Box<NewOrder>, Refusal> {
    let fields = Fields::read(body, Reading::Loose)?;
    let user_id = fields.text("user_id")?;
    let item_ids = item_ids(&fields)?;
    let total = fields.decimal("total_amount")?;
    let user_id = user_id.filter(|id| !id.is_empty());
    let user_id = user_id.ok_or_else(|| Refusal::missing("user_id"))?;
    if item_ids.is_empty() {
        return Err(Refusal::missing("item_ids"));
    }
    let total = total.ok_or_else(|| Refusal::missing("total_amount"))?;
    let total_minor = total.amount("total_amount");
    let total_minor = total_minor.map_err(|refusal| refusal.saying(BAD_TOTAL))?;
    let items = item_ids.into_iter().map(|id| Item::Plain(id.into()));
    let draft = Draft {
        customer_id: user_id.into(),
        items: items.collect(),
        total_minor,
        ..desk.draft()
    };
    desk.check(&draft, FIELD_NAMES)
}

/// A text with commas between the ids, or a list of ids; none if the field is absent.
fn item_ids<'a>(fields: &'a Fields<'_>) -> Result<Vec<&'a str>, Refusal> {
    let mut ids = match fields.get("item_ids") {
        Some(Json::Text(text)) => text.split(',').collect(),
        _ => fields.texts("item_ids")?.unwrap_or_default(),
    };
    for id in &mut ids {
        *id = id.trim();
    }
    ids.retain(|id| !id.is_empty());
    Ok(ids)
}

/// What was ordered; of a line with a quantity, the article.
fn item_ids_of(order: &Order) -> Result<Vec<String>, Refusal> {
    #[derive(Deserialize)]
    struct Payload {
        items: Vec<OneItem>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneItem {
        Text(String),
        Line { sku: String },
    }
    let items = payload::<Payload>(order)?.items.into_iter();
    let ids = items.map(|item| match item {
        OneItem::Text(id) | OneItem::Line { sku: id } => id,
    });
    Ok(ids.collect())
}

fn wording(refusal: &Refusal) -> Wording {
    match refusal.code {
        Code::OrderNotFound => Wording::new(StatusCode::NOT_FOUND, "Order not found"),
        code => match code.server_fault() {
            Some(status) => Wording::new(status, "Service temporarily unavailable"),
            None => Wording::new(StatusCode::BAD_REQUEST, "Invalid request payload"),
        },
    }
}

/// A line of text, or a JSON string for who would rather have that.
fn say(accept: Option<&HeaderValue>, wording: &Wording) -> Response {
    if ranks_json_first(accept) && !wording.text.is_empty() {
        QUOTED.answer(wording.status, &wording.text)
    } else {
        lines::say(wording)
    }
}
