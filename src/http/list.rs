//! Lists of orders: filters, pages, cursors.
//!
//! One request looks at a bounded number of orders, and never counts them all.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::parameters::Parameters;
use super::{App, cursor, orders, render, schema};
use crate::order::{Priority, StatusKind};
use crate::store::{ListQuery, Page};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List orders
///
/// Newest first. A page may be shorter than `limit`, even empty, while `has_more` is true: one
/// request looks at a bounded number of orders. Follow `next_cursor` until `has_more` is false.
#[utoipa::path(
    get,
    path = "/v1/orders",
    tag = "orders",
    operation_id = "listOrders",
    params(schema::ListParameters),
    responses((status = 200, description = "A page of orders.", body = schema::OrderPage))
)]
async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let (query, filters) = query(Parameters::of(&uri)?)?;
    let page = app.store.orders(query).await?;
    Ok(orders::json(answer(&page, filters)))
}

/// The question to the store, and the fingerprint of its filters.
fn query(mut parameters: Parameters) -> Result<(ListQuery, u32), ApiError> {
    let priority = |text: &str| Priority::from_number(text.parse().ok()?);
    let mut query = ListQuery {
        status: parameters.read("status", &statuses(), StatusKind::from_name)?,
        customer_id: parameters.take("customer_id")?.map(Into::into),
        priority: parameters.read("priority", "must be 1, 2 or 3", priority)?,
        process: parameters.take("process")?.map(Into::into),
        step: None,
        reason: None,
        is_held: parameters.read("held", "must be true or false", |text| text.parse().ok())?,
        created_after: parameters.time("created_after")?,
        created_before: parameters.time("created_before")?,
        before: None,
        limit: parameters.limit()?,
    };
    let after = parameters.after()?;
    parameters.end()?;
    let filters = fingerprint(&query);
    query.before = after.map(|text| cursor::list(&text, filters)).transpose()?;
    Ok((query, filters))
}

fn statuses() -> String {
    format!(
        "must be one of {}",
        StatusKind::ALL.map(StatusKind::name).join(", ")
    )
}

pub(super) fn fingerprint(query: &ListQuery) -> u32 {
    let filters = (
        query.status.map(StatusKind::name),
        query.customer_id.as_deref(),
        query.priority.map(Priority::number),
        query.process.as_deref(),
        query.created_after.map(|time| time.0),
        query.created_before.map(|time| time.0),
        query.is_held,
        query.step.as_deref(),
        query.reason.as_deref(),
    );
    cursor::fingerprint(&format!("{filters:?}"))
}

pub(super) fn answer(page: &Page, filters: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + page.orders.len() * render::ORDER_SIZE_HINT);
    render::page(&mut out, &page.orders, render::order);
    let next = page.next.map(|last| cursor::of_list(last, filters));
    render::page_end(&mut out, next.is_some(), next.as_deref());
    if page.left_out > 0 {
        out.pop();
        out.extend_from_slice(b",\"left_out\":");
        render::number(&mut out, page.left_out);
        out.push(b'}');
    }
    out
}
