//! `realtime`: `POST /orders`, `GET /stats`, `GET /health`, and a profile of the server if it is
//! allowed.
//!
//! Wire structs and their translation, and the two limits that the format states; every rule of an
//! order itself is elsewhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{self, JSON_LINE, Wording};
use super::decimal::{Decimal, Misfit};
use super::desk::{Desk, payload};
use super::fields::{Fields, Reading};
use super::refusal::{Code, FieldNames, Refusal};
use super::{Wire, decimal, lines, profile};
use crate::clock::{self, MICROS_PER_SECOND, Timestamp};
use crate::order::{
    Dialect, Draft, Item, KeptAnswer, NewOrder, Order, OrderId, OrderIdError, Spelling, StatusKind,
};

/// Most items of an order.
const ITEMS_MAX: usize = 50;
/// Highest amount, in minor units.
const AMOUNT_MAX_MINOR: i64 = 1_000_000;
/// What an order may say about its own business; it is kept and steers nothing.
const STATUSES: [&str; 5] = ["pending", "paid", "shipped", "delivered", "cancelled"];

/// What the common code knows about it.
pub const WIRE: Wire = Wire {
    dialect: Dialect::Realtime,
    owns: |path| {
        matches!(path, "/orders" | "/stats" | "/health")
            || profile::PREFIXES
                .iter()
                .any(|prefix| path.starts_with(prefix))
    },
    routes,
    wording: |_, refusal| lines::wording(refusal).unwrap_or_else(|| wording(refusal)),
    envelope: |_, _, wording| lines::say(wording),
};

const FIELDS: [&str; 9] = [
    "id",
    "amount",
    "items",
    "customer",
    "status",
    "created_at",
    "address",
    "priority",
    "notes",
];
const FIELD_NAMES: &FieldNames = &[("order_id", "id"), ("customer_id", "customer")];

/// An order as it is sent back, made of what is kept of it.
#[derive(Serialize)]
struct OrderView<'a> {
    id: &'a str,
    amount: Box<RawValue>,
    items: &'a RawValue,
    customer: &'a str,
    status: &'a RawValue,
    created_at: String,
    address: &'a RawValue,
    priority: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a RawValue>,
}

/// The kept part, as far as it is sent back.
#[derive(Deserialize)]
struct Kept<'a> {
    #[serde(borrow)]
    items: &'a RawValue,
    #[serde(borrow)]
    address: &'a RawValue,
    #[serde(borrow)]
    notes: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: KeptMetadata<'a>,
}

#[derive(Deserialize)]
struct KeptMetadata<'a> {
    #[serde(borrow)]
    status: &'a RawValue,
}

#[derive(Serialize)]
struct StatsView {
    total_processed: i64,
    success_count: i64,
    error_count: i64,
    average_process_time_ms: Box<RawValue>,
    active_workers: u32,
    queue_length: i64,
    uptime_seconds: u64,
}

#[derive(Serialize)]
struct HealthView {
    status: &'static str,
    timestamp: i64,
    pool: PoolView,
}

#[derive(Serialize)]
struct PoolView {
    healthy: bool,
    queue_length: i64,
    workers: u32,
}

fn routes(desk: &Desk) -> Router<Arc<Desk>> {
    let routes = Router::new()
        .route("/orders", post(create))
        .route("/stats", get(stats))
        .route("/health", get(health));
    if desk.settings.is_profiling {
        routes.merge(profile::routes())
    } else {
        routes
    }
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    desk.create(request, |body| Ok((order(&desk, body)?, created)))
        .await
}

fn created(order: &Order) -> KeptAnswer {
    let view = payload::<Kept<'_>>(order).map(|kept| OrderView {
        id: order.id.as_str(),
        amount: decimal::number(order.total.minor(), order.total.currency().decimals()),
        items: kept.items,
        customer: &order.customer_id,
        status: kept.metadata.status,
        created_at: brief(order.created_at),
        address: kept.address,
        priority: i64::from(order.priority.number()),
        notes: kept.notes,
    });
    // What was just accepted has the form in which it was read; `null` stands for nothing.
    let answer = JSON_LINE.keep(StatusCode::CREATED, &view.ok());
    answer::located(answer, "/v1/orders/", &order.id, "")
}

async fn stats(State(desk): State<Arc<Desk>>) -> Result<Response, Refusal> {
    let counters = desk.counters().await?;
    let success_count = counters.completed();
    let error_count = counters.of(StatusKind::Dead) + counters.of(StatusKind::Rejected);
    let view = StatsView {
        total_processed: success_count + error_count,
        success_count,
        error_count,
        average_process_time_ms: counters.work_millis().number(3),
        active_workers: workers(&desk),
        queue_length: counters.of(StatusKind::Pending),
        uptime_seconds: clock::monotonic()
            .duration_since(desk.parts.started)
            .as_secs(),
    };
    Ok(JSON_LINE.answer(StatusCode::OK, &view))
}

/// Says no in the same form: whoever watches the pool reads its numbers then above all.
async fn health(State(desk): State<Arc<Desk>>) -> Response {
    let is_healthy = desk.is_open().await;
    let counters = desk.counters().await;
    let (code, status) = if is_healthy {
        (StatusCode::OK, "healthy")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
    };
    let view = HealthView {
        status,
        timestamp: desk.parts.clock.now().0 / MICROS_PER_SECOND,
        pool: PoolView {
            healthy: is_healthy,
            queue_length: counters.map_or(0, |counters| counters.of(StatusKind::Pending)),
            workers: workers(&desk),
        },
    };
    JSON_LINE.answer(code, &view)
}

fn workers(desk: &Desk) -> u32 {
    desk.process().map_or(0, |process| process.concurrency)
}

/// RFC 3339 in UTC with up to six decimals.
fn brief(time: Timestamp) -> String {
    let text = time.to_string();
    let digits = text.trim_end_matches('Z').trim_end_matches('0');
    format!("{}Z", digits.trim_end_matches('.'))
}

/// An order as it is written, of the right types but not checked.
struct Written<'a> {
    id: Option<&'a str>,
    amount: Option<Decimal<'a>>,
    items: Vec<&'a str>,
    customer: &'a str,
    status: &'a str,
    address: &'a str,
    priority: i64,
    notes: &'a str,
}

/// The order in a body. Types come before values, and values in the order of the rules below.
fn order(desk: &Desk, body: &[u8]) -> Result<Box<NewOrder>, Refusal> {
    let fields = Fields::read(body, Reading::Loose)?;
    let written = Written::read(&fields)?;
    let total_minor = written.check()?;
    let draft = Draft {
        order_id: written.id.map(Cow::Borrowed),
        customer_id: written.customer.into(),
        items: written
            .items
            .iter()
            .map(|item| Item::Plain((*item).into()))
            .collect(),
        total_minor,
        priority: (written.priority != 0).then_some(written.priority),
        address: Some(written.address.into()),
        notes: (!written.notes.is_empty()).then_some(written.notes.into()),
        metadata: Some(BTreeMap::from([("status".into(), written.status.into())])),
        spelling: Spelling::Hex,
        ..desk.draft()
    };
    let limited = |code, name, text| Err(Refusal::field(code, name).saying(text));
    match desk.check(&draft, FIELD_NAMES) {
        // How many items there are is judged last.
        Err(refusal) if refusal.at != "/items" => Err(refusal),
        _ if total_minor > AMOUNT_MAX_MINOR => {
            limited(Code::OutOfRange, "amount", "order amount exceeds limit")
        }
        _ if written.items.len() > ITEMS_MAX => {
            limited(Code::InvalidLength, "items", lines::TOO_MANY_ITEMS)
        }
        checked => checked,
    }
}

impl<'a> Written<'a> {
    fn read(fields: &'a Fields<'_>) -> Result<Self, Refusal> {
        fields.only(&FIELDS)?;
        let text = |name| Ok::<_, Refusal>(fields.text(name)?.unwrap_or_default());
        let is_time = fields.text("created_at")?.is_none_or(clock::is_rfc3339);
        if !is_time {
            return Err(Refusal::field(Code::InvalidTime, "created_at"));
        }
        Ok(Self {
            id: fields.text("id")?.filter(|id| !id.is_empty()),
            amount: fields.decimal("amount")?,
            items: fields.texts("items")?.unwrap_or_default(),
            customer: text("customer")?,
            status: fields
                .text("status")?
                .filter(|status| !status.is_empty())
                .unwrap_or("pending"),
            address: text("address")?,
            priority: fields.integer("priority")?.unwrap_or_default(),
            notes: text("notes")?,
        })
    }

    /// The amount in minor units, if everything else may be as it is. What is more than any limit
    /// is the largest amount.
    fn check(&self) -> Result<i64, Refusal> {
        let refused = |code, name, text| Err(Refusal::field(code, name).saying(text));
        if self.customer.is_empty() {
            return Err(Refusal::missing("customer"));
        }
        if !STATUSES.contains(&self.status) {
            return refused(Code::OutOfRange, "status", "invalid status");
        }
        if self.address.is_empty() {
            return Err(Refusal::missing("address"));
        }
        let amount = self
            .amount
            .filter(|amount| !amount.is_negative() && !amount.is_zero());
        let Some(amount) = amount else {
            return refused(Code::OutOfRange, "amount", "amount must be > 0");
        };
        if self.items.is_empty() {
            return refused(Code::InvalidLength, "items", "items must not be empty");
        }
        if !(0..=3).contains(&self.priority) {
            let text = "invalid priority (must be 1, 2, or 3)";
            return refused(Code::OutOfRange, "priority", text);
        }
        if let Some(Err(error)) = self.id.map(OrderId::parse) {
            let text = "invalid id (must be 1 to 64 visible ASCII characters)";
            let code = match error {
                OrderIdError::Length => Code::InvalidLength,
                OrderIdError::Character | OrderIdError::Dots => Code::InvalidCharacter,
            };
            return refused(code, "id", text);
        }
        match amount.minor() {
            Ok(minor) => Ok(minor),
            Err(Misfit::TooLarge) => Ok(i64::MAX),
            Err(Misfit::TooPrecise) => {
                let text = "amount must have at most 2 decimals";
                refused(Code::InvalidMoney, "amount", text)
            }
        }
    }
}

fn wording(refusal: &Refusal) -> Wording {
    match refusal.code {
        Code::OrderExists => {
            let text = "order with this id already exists";
            Wording::new(StatusCode::CONFLICT, text)
        }
        code => match code.server_fault() {
            Some(status) => Wording::new(status, "service temporarily unavailable"),
            None => Wording::new(StatusCode::BAD_REQUEST, "invalid JSON"),
        },
    }
}
