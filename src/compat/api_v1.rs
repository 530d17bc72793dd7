//! `api_v1`: orders and metrics under `/api/v1`, and the documents of its port.
//!
//! Wire structs and their translation; every rule of an order itself is elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Wire;
use super::answer::{self, JSON, Wording};
use super::counters::Extra;
use super::decimal::Decimal;
use super::desk::{Desk, IdInPath};
use super::fields::{Fields, Reading};
use super::json::Json;
use super::refusal::{Code, FieldNames, Refusal};
use super::words;
use super::{openapi, page};
use crate::order::{Dialect, Draft, Item, KeptAnswer, NewOrder, Order};
use crate::server::RequestHead;

/// What the common code knows about it.
pub const WIRE: Wire = Wire {
    dialect: Dialect::ApiV1,
    // Whatever nobody else on its port answers for.
    owns: |_| true,
    routes: |_| {
        let paths = [
            (ORDERS, post(create)),
            ("/api/v1/orders/{order_id}", get(status)),
            ("/api/v1/metrics", get(metrics)),
            (DOCUMENT, get(document)),
            ("/openapi.json", get(document)),
            ("/docs", get(documentation)),
            ("/redoc", get(documentation)),
        ];
        paths
            .into_iter()
            .fold(Router::new(), |router, (path, handlers)| {
                let with_slash = format!("{path}/");
                router
                    .route(path, handlers)
                    .route(&with_slash, any(without_slash))
            })
    },
    wording,
    envelope: |_, refusal, wording| envelope(refusal, wording),
};

const ORDERS: &str = "/api/v1/orders";
const DOCUMENT: &str = "/api/v1/openapi.json";
/// The page has a style of its own and nothing else, and nobody may frame it.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
const FIELDS: [&str; 5] = ["order_id", "user_id", "item_ids", "total_amount", "status"];
const FIELD_NAMES: &FieldNames = &[("customer_id", "user_id"), ("items", "item_ids")];
/// What a client may say that the status is.
const STATUSES: [&str; 3] = ["Pending", "Processing", "Completed"];

#[derive(Serialize)]
struct Message<'a> {
    status_code: u16,
    message: &'a str,
}

#[derive(Serialize)]
struct Detail<'a> {
    detail: &'a str,
}

#[derive(Serialize)]
struct StatusView<'a> {
    order_id: &'a str,
    status: &'static str,
}

#[derive(Serialize)]
struct MetricsView {
    status_code: u16,
    message: &'static str,
    data: Metrics,
}

#[derive(Serialize)]
struct Metrics {
    total_orders_processed: i64,
    total_processing_time: Box<RawValue>,
    status_counts: Extra,
}

async fn create(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refusal> {
    let mut id = None;
    let created = desk.create(request, |body| {
        let order = order(&desk, body)?;
        id = order.id.chosen().cloned();
        Ok((order, accepted))
    });
    match (created.await, id) {
        (Err(refusal), Some(id)) if refusal.code == Code::OrderExists => {
            let text = format!("Order with order_id {id} already exists.");
            let said = say(&Wording::new(StatusCode::BAD_REQUEST, text));
            Ok(answer::refused(said, &refusal))
        }
        (answered, _) => answered,
    }
}

fn accepted(order: &Order) -> KeptAnswer {
    let text = "Order successfully processed. Please check status for order id:";
    let message = Message {
        status_code: StatusCode::ACCEPTED.as_u16(),
        message: &format!("{text} {}", order.id),
    };
    let answer = JSON.keep(StatusCode::ACCEPTED, &message);
    answer::located(answer, "/api/v1/orders/", &order.id, "")
}

/// The order in a body.
fn order(desk: &Desk, body: &[u8]) -> Result<Box<NewOrder>, Refusal> {
    let fields = Fields::read(body, Reading::Exact)?;
    fields.only(&FIELDS)?;
    let missing = |name| move || Refusal::missing(name);
    let order_id = fields.text("order_id")?.ok_or_else(missing("order_id"))?;
    let user_id = fields.get("user_id").ok_or_else(missing("user_id"))?;
    let user_id = integer(user_id).map_err(|code| Refusal::field(code, "user_id"))?;
    let item_ids = fields.list("item_ids")?.ok_or_else(missing("item_ids"))?;
    let items = item_ids
        .iter()
        .enumerate()
        .map(|(at, id)| match integer(id) {
            Ok(id) => Ok(Item::Plain(id.to_string().into())),
            Err(code) => Err(Refusal::element(code, "item_ids", at)),
        });
    let items = items.collect::<Result<Vec<_>, _>>()?;
    let total = fields
        .amount("total_amount")?
        .ok_or_else(missing("total_amount"))?;
    let total_minor = total.amount("total_amount")?;
    let status = fields.text("status")?;
    if status.is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(Refusal::field(Code::OutOfRange, "status"));
    }
    let draft = Draft {
        order_id: Some(order_id.into()),
        customer_id: user_id.to_string().into(),
        items,
        total_minor,
        ..desk.draft()
    };
    desk.check(&draft, FIELD_NAMES)
}

/// A whole number of 32 bits, or its digits as text. Zeros behind the point do not matter.
fn integer(value: &Json<'_>) -> Result<i32, Code> {
    match value {
        Json::Number(text) => {
            let number = Decimal::parse(text).ok_or(Code::WrongType)?;
            let whole = number.whole().map_err(|_| Code::OutOfRange)?;
            i32::try_from(whole).map_err(|_| Code::OutOfRange)
        }
        Json::Text(text) => text.parse().map_err(|_| Code::OutOfRange),
        _ => Err(Code::WrongType),
    }
}

async fn status(
    State(desk): State<Arc<Desk>>,
    IdInPath(id): IdInPath,
) -> Result<Response, Refusal> {
    let order = desk.order(&id).await?;
    let view = StatusView {
        order_id: order.id.as_str(),
        status: words::capital(order.state.status.kind()),
    };
    Ok(JSON.answer(StatusCode::OK, &view))
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Result<Response, Refusal> {
    let counters = desk.counters().await?;
    let view = MetricsView {
        status_code: StatusCode::OK.as_u16(),
        // Clients know these words as they are spelt here.
        message: "Succesfully fetched metrics Ddta",
        data: Metrics {
            total_orders_processed: counters.all(),
            total_processing_time: counters.work_seconds().number(6),
            status_counts: counters.by_word(),
        },
    };
    Ok(JSON.answer(StatusCode::OK, &view))
}

/// The OpenAPI document of all dialects behind this door.
async fn document(State(desk): State<Arc<Desk>>) -> Result<Response, Refusal> {
    let document = openapi::document(&desk.neighbours)?;
    let mut text = String::new();
    openapi::write(&mut text, &document);
    Ok(answer::answer(StatusCode::OK, "application/json", text))
}

/// The same for people.
async fn documentation(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let document = openapi::document(&desk.neighbours)?;
    let html = page::page(&document, host.unwrap_or("localhost:8000"), DOCUMENT);
    let mut response = answer::answer(StatusCode::OK, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}

/// The same address without the slash at the end of its path.
async fn without_slash(uri: Uri) -> Response {
    let path = uri.path().trim_end_matches('/');
    let place = match uri.query() {
        Some(query) => HeaderValue::try_from(format!("{path}?{query}")),
        None => HeaderValue::try_from(path),
    };
    let mut response = answer::empty(StatusCode::TEMPORARY_REDIRECT);
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

fn wording(head: &RequestHead<'_>, refusal: &Refusal) -> Wording {
    let is_read = head.method != Method::POST && head.path.starts_with("/api/v1/orders/");
    match refusal.code {
        Code::OrderNotFound => Wording::new(StatusCode::NOT_FOUND, "Order not found"),
        Code::RouteNotFound => Wording::new(StatusCode::NOT_FOUND, "Not Found"),
        Code::MethodNotAllowed => {
            Wording::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        }
        code => match code.server_fault() {
            Some(StatusCode::INTERNAL_SERVER_ERROR) if is_read => {
                Wording::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            Some(StatusCode::INTERNAL_SERVER_ERROR) => {
                Wording::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error!")
            }
            Some(status) => Wording::new(status, "Service Unavailable"),
            None => Wording::new(StatusCode::BAD_REQUEST, "Validation Error"),
        },
    }
}

/// What no handler was found for is told in the words of the framework that once served it.
fn envelope(refusal: &Refusal, wording: &Wording) -> Response {
    match refusal.code {
        Code::RouteNotFound | Code::MethodNotAllowed => JSON.answer(
            wording.status,
            &Detail {
                detail: &wording.text,
            },
        ),
        _ => say(wording),
    }
}

fn say(wording: &Wording) -> Response {
    let message = Message {
        status_code: wording.status.as_u16(),
        message: &wording.text,
    };
    JSON.answer(wording.status, &message)
}
