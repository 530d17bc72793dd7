//! `orders_api`: `POST /orders`, which is answered with the order as it was sent,
//! `GET /orders/{order_id}/status`, and `GET /metrics`.
//!
//! Wire structs and their translation; every rule of an order itself is elsewhere.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Wire;
use super::answer::{self, JSON_UTF8, Wording};
use super::counters::Extra;
use super::decimal::{self, Decimal};
use super::desk::{Desk, IdInPath};
use super::fields::{Fields, Reading};
use super::json::Json;
use super::media_type;
use super::refusal::{Code, FieldNames, Refusal};
use super::words;
use crate::order::{Dialect, Draft, Item, KeptAnswer, NewOrder, Order, Spelling};
use crate::server::RequestHead;

/// What the common code knows about it.
pub const WIRE: Wire = Wire {
    dialect: Dialect::OrdersApi,
    owns: |_| true,
    routes: |_| {
        let paths = [
            ("/orders", post(create)),
            ("/orders/{order_id}/status", get(status)),
            ("/metrics", get(metrics)),
        ];
        paths
            .into_iter()
            .fold(Router::new(), |router, (path, handlers)| {
                let with_slash = format!("{path}/");
                router
                    .route(path, handlers.clone())
                    .route(&with_slash, handlers)
            })
    },
    wording,
    envelope: |_, _, wording| {
        let error = &*wording.text;
        JSON_UTF8.answer(wording.status, &ErrorText { error })
    },
};

const FIELD_NAMES: &FieldNames = &[("customer_id", "user_id"), ("items", "item_ids")];

#[derive(Serialize)]
struct ErrorText<'a> {
    error: &'a str,
}

/// The answer to a create.
#[derive(Serialize)]
struct Created<'a> {
    order_id: &'a str,
    user_id: &'a RawValue,
    item_ids: &'a RawValue,
    total_amount: Box<RawValue>,
    status: &'static str,
    item_ids_string: &'a str,
}

/// What is answered as it was sent.
#[derive(Clone)]
struct Echo {
    user_id: Box<RawValue>,
    item_ids: Box<RawValue>,
}

#[derive(Serialize)]
struct StatusView {
    status: &'static str,
}

#[derive(Serialize)]
struct MetricsView {
    total_orders: i64,
    average_processing_time: Box<RawValue>,
    order_counts: Extra,
}

/// What may be a string or an integer. It is answered as it was sent, and kept as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Name<'a> {
    Text(&'a str),
    Integer(Box<RawValue>),
}

impl<'a> Name<'a> {
    /// Reads one. An integer may be written with zeros behind the point or an exponent.
    fn of(value: &'a Json<'_>) -> Result<Self, Code> {
        match value {
            Json::Text(text) => Ok(Self::Text(text)),
            Json::Number(text) => {
                let number = Decimal::parse(text).ok_or(Code::WrongType)?;
                let is_plain = text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'-');
                if is_plain && !number.is_zero() {
                    // Perhaps longer than 64 bits, and never reckoned with.
                    let integer = RawValue::from_string((*text).to_owned());
                    return integer.map(Self::Integer).map_err(|_| Code::WrongType);
                }
                let whole = number.whole().map_err(|_| Code::WrongType)?;
                Ok(Self::Integer(decimal::number(whole, 0)))
            }
            _ => Err(Code::WrongType),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Integer(integer) => integer.get(),
        }
    }
}

/// An order as it was sent.
struct Sent<'a> {
    user_id: Name<'a>,
    item_ids: Vec<Name<'a>>,
    total_minor: i64,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    media_type::must_be_json(request.headers())?;
    desk.create(request, |body| {
        if body.is_empty() {
            return Err(Refusal::new(Code::MissingField, "the body is empty"));
        }
        let fields = Fields::read(body, Reading::Exact)?;
        let sent = Sent::read(&fields)?;
        let (order, echo) = (sent.order(&desk)?, sent.echo());
        Ok((order, move |order: &Order| created(order, &echo)))
    })
    .await
}

fn created(order: &Order, echo: &Echo) -> KeptAnswer {
    let created = Created {
        order_id: order.id.as_str(),
        user_id: &echo.user_id,
        item_ids: &echo.item_ids,
        total_amount: decimal::number(order.total.minor(), decimal::MINOR_PLACES),
        status: "Pending",
        item_ids_string: echo.item_ids.get(),
    };
    let answer = JSON_UTF8.keep(StatusCode::CREATED, &created);
    answer::located(answer, "/orders/", &order.id, "/status")
}

impl<'a> Sent<'a> {
    fn read(fields: &'a Fields<'_>) -> Result<Self, Refusal> {
        let missing = |name| move || Refusal::missing(name);
        let user_id = fields.get("user_id").ok_or_else(missing("user_id"))?;
        let user_id = Name::of(user_id).map_err(|code| Refusal::field(code, "user_id"))?;
        let item_ids = fields.list("item_ids")?.ok_or_else(missing("item_ids"))?;
        let item_ids = item_ids
            .iter()
            .enumerate()
            .map(|(at, id)| Name::of(id).map_err(|code| Refusal::element(code, "item_ids", at)));
        let item_ids = item_ids.collect::<Result<_, _>>()?;
        let total = fields.amount("total_amount")?;
        let total = total.ok_or_else(missing("total_amount"))?;
        let total_minor = total.amount("total_amount")?;
        Ok(Self {
            user_id,
            item_ids,
            total_minor,
        })
    }

    fn echo(&self) -> Echo {
        // Texts and numbers always have a JSON form.
        Echo {
            user_id: to_raw_value(&self.user_id).unwrap_or_default(),
            item_ids: to_raw_value(&self.item_ids).unwrap_or_default(),
        }
    }

    fn order(&self, desk: &Desk) -> Result<Box<NewOrder>, Refusal> {
        let items = self
            .item_ids
            .iter()
            .map(|id| Item::Plain(id.as_str().into()));
        let draft = Draft {
            customer_id: Cow::Borrowed(self.user_id.as_str()),
            items: items.collect(),
            total_minor: self.total_minor,
            spelling: Spelling::Ord,
            ..desk.draft()
        };
        desk.check(&draft, FIELD_NAMES)
    }
}

async fn status(
    State(desk): State<Arc<Desk>>,
    IdInPath(id): IdInPath,
) -> Result<Response, Refusal> {
    if id.is_empty() {
        return Err(Refusal::new(Code::RouteNotFound, "there is no id"));
    }
    let order = desk.order(&id).await?;
    let status = words::capital(order.state.status.kind());
    Ok(JSON_UTF8.answer(StatusCode::OK, &StatusView { status }))
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Result<Response, Refusal> {
    let counters = desk.counters().await?;
    let view = MetricsView {
        total_orders: counters.all(),
        average_processing_time: counters.turnaround_seconds().number(4),
        order_counts: counters.by_word(),
    };
    Ok(JSON_UTF8.answer(StatusCode::OK, &view))
}

fn wording(head: &RequestHead<'_>, refusal: &Refusal) -> Wording {
    let bad = StatusCode::BAD_REQUEST;
    match refusal.code {
        Code::MalformedJson | Code::TooDeep => Wording::new(bad, "Invalid JSON"),
        Code::WrongType if refusal.name().is_empty() => Wording::new(bad, "Invalid JSON"),
        Code::OrderNotFound => Wording::new(StatusCode::NOT_FOUND, "Order not found"),
        Code::RouteNotFound | Code::MethodNotAllowed => {
            let text = format!("Cannot {} {}", head.method, head.path);
            Wording::new(StatusCode::NOT_FOUND, text)
        }
        code => match code.server_fault() {
            None => Wording::new(bad, "Error creating order"),
            Some(status) if head.method == Method::POST => {
                Wording::new(status, "Error creating order")
            }
            Some(status) if head.path.starts_with("/metrics") => {
                Wording::new(status, "Error fetching metrics")
            }
            Some(status) => Wording::new(status, "Error retrieving order status"),
        },
    }
}
