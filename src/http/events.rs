//! Events: the history of one order, and the feed of all.
//!
//! Reads only, from the journal; pages are bounded, and a cursor says where the next one begins.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::parameters::{Parameters, bad};
use super::{App, cursor, orders, render, schema};
use crate::order::{OrderId, Position};
use crate::store::{EventPlace, EventView};
use crate::telling::Filter;

/// Room that an event's answer needs, in bytes.
const EVENT_SIZE_HINT: usize = 256;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(feed))
        .routes(routes!(history))
}

/// Something that happened to an order.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its place in the feed; unique, and good as a cursor.
    #[schema(example = "17-3")]
    pub event_id: String,
    /// What happened.
    #[schema(example = "order.accepted")]
    pub r#type: EventType,
    /// Whose history.
    #[schema(example = "019aa3f0-6c3b-7d52-8a55-2f3c1d9e0b7a")]
    pub order_id: String,
    /// The order's version after it.
    #[schema(minimum = 1, example = 1)]
    pub version: u32,
    /// Where the order was afterwards.
    pub status: schema::Status,
    /// When.
    #[schema(format = DateTime, example = "2026-11-21T03:24:10.123456Z")]
    pub at: String,
    /// The step it is about.
    pub step: Option<String>,
    /// The attempt it is about, from 1.
    pub attempt: Option<u16>,
    /// Why, for people.
    pub reason: Option<String>,
    /// Who asked for it, if somebody did and said so.
    pub by: Option<String>,
    /// Of a hold: when it will be over by itself. Of a failure: when the step is tried again, if it
    /// wished for a time.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// The priority that the order has from now on.
    #[schema(minimum = 1, maximum = 3)]
    pub priority: Option<u8>,
}

/// What can happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    /// It was taken in and queued.
    #[serde(rename = "order.accepted")]
    Accepted,
    /// It was taken in and starts later.
    #[serde(rename = "order.scheduled")]
    Scheduled,
    /// Its start time came.
    #[serde(rename = "order.ready")]
    Ready,
    /// An attempt of a step began.
    #[serde(rename = "order.started")]
    Started,
    /// A step is done, the next one is queued.
    #[serde(rename = "order.step_completed")]
    StepCompleted,
    /// An attempt failed and will be made again.
    #[serde(rename = "order.retried")]
    Retried,
    /// The lease was lost or handed back.
    #[serde(rename = "order.requeued")]
    Requeued,
    /// A step waits for an outside event.
    #[serde(rename = "order.parked")]
    Parked,
    /// Attempts are used up.
    #[serde(rename = "order.dead")]
    Dead,
    /// A person let it try again.
    #[serde(rename = "order.replayed")]
    Replayed,
    /// Its steps are being undone.
    #[serde(rename = "order.compensating")]
    Compensating,
    /// All steps are done.
    #[serde(rename = "order.completed")]
    Completed,
    /// It was stopped.
    #[serde(rename = "order.cancelled")]
    Cancelled,
    /// A step refused it.
    #[serde(rename = "order.rejected")]
    Rejected,
    /// It was not begun in time.
    #[serde(rename = "order.expired")]
    Expired,
    /// It is held back: no further step starts.
    #[serde(rename = "order.held")]
    Held,
    /// Its hold is over.
    #[serde(rename = "order.released")]
    Released,
    /// It has another priority.
    #[serde(rename = "order.priority_changed")]
    PriorityChanged,
    /// A worker said something under a lease that was over; it was refused.
    #[serde(rename = "order.came_late")]
    CameLate,
    /// What a step waits for, now or later, has happened.
    #[serde(rename = "order.signalled")]
    Signalled,
    /// An attempt to undo a step began.
    #[serde(rename = "order.undo_started")]
    UndoStarted,
    /// An attempt to undo a step failed, or was given back, and will be made again.
    #[serde(rename = "order.undo_retried")]
    UndoRetried,
    /// What a step did is undone.
    #[serde(rename = "order.undone")]
    Undone,
}

/// A page of events, oldest first.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventPage {
    /// The events.
    pub data: Vec<Event>,
    /// Whether there are more now.
    pub has_more: bool,
    /// Where to go on, now or later; null only if there is no event yet.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Follow all orders
///
/// Every event of every order, oldest first, each exactly once. `next_cursor` is there even at the
/// end of the feed: ask again with it to go on from there. With filters a page may be short, even
/// empty, while `has_more` is true.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    operation_id = "listEvents",
    params(schema::EventParameters, schema::EventFilters),
    responses((status = 200, description = "A page of events.", body = EventPage))
)]
async fn feed(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::of(&uri)?;
    let (after, limit) = (parameters.after()?, parameters.limit()?);
    let filter = filter(&mut parameters)?;
    parameters.end()?;
    let after = after.map(|text| place(&app, &text)).transpose()?;
    let page = app.feed.page(&filter, after.unwrap_or_default(), limit);
    let page = page.await?;
    let mut last = page.events.last().map(|event| event.place).or(after);
    if !filter.is_open() && page.end.position > Position::default() {
        last = Some(page.end);
    }
    let mut out = Vec::with_capacity(64 + page.events.len() * EVENT_SIZE_HINT);
    render::page(&mut out, &page.events, render::event);
    let next = last.map(cursor::of_events);
    render::page_end(&mut out, page.has_more, next.as_deref());
    Ok(orders::json(out))
}

/// The place that a cursor, an event's id or `latest` names.
pub(super) fn place(app: &App, text: &str) -> Result<EventPlace, ApiError> {
    match text {
        "latest" => Ok(app.feed.latest()),
        text => cursor::events(text),
    }
}

/// Takes the parameters that say which events are wanted.
pub(super) fn filter(parameters: &mut Parameters) -> Result<Filter, ApiError> {
    let types = parameters.take("type")?.map(|text| {
        let types = Filter::read_types(&text);
        types.map_err(|unknown| {
            bad(
                "type",
                &format!("has {unknown:?}, which is no type of event"),
            )
        })
    });
    let must = "must be an order id";
    Ok(Filter {
        types: types.transpose()?.unwrap_or_default(),
        order_id: parameters.read("order_id", must, |text| OrderId::parse(text).ok())?,
        customer_id: parameters.take("customer_id")?.map(Box::from),
        process: parameters.take("process")?.map(Box::from),
    })
}

/// Read an order's history
///
/// Everything that happened to the order, oldest first.
#[utoipa::path(
    get,
    path = "/v1/orders/{id}/events",
    tag = "events",
    operation_id = "listOrderEvents",
    params(("id" = String, Path, description = "The order's id."), schema::EventParameters),
    responses((status = 200, description = "A page of the order's events.", body = EventPage))
)]
async fn history(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let id = orders::order_id(id)?;
    let (after, limit) = page(&uri)?;
    let behind = after.unwrap_or_default();
    let events = app.store.history(&id, behind, limit + 1).await?;
    let events = events.ok_or_else(ApiError::order_not_found)?;
    Ok(orders::json(answer(&events, after, limit)))
}

fn page(uri: &Uri) -> Result<(Option<EventPlace>, usize), ApiError> {
    let mut parameters = Parameters::of(uri)?;
    let (after, limit) = (parameters.after()?, parameters.limit()?);
    parameters.end()?;
    let after = after.map(|text| cursor::events(&text)).transpose()?;
    Ok((after, limit))
}

/// A page of at most `limit` of the events, and where to go on.
fn answer(events: &[EventView], after: Option<EventPlace>, limit: usize) -> Vec<u8> {
    let shown = &events[..events.len().min(limit)];
    let mut out = Vec::with_capacity(64 + shown.len() * EVENT_SIZE_HINT);
    render::page(&mut out, shown, render::event);
    let last = shown.last().map(|event| event.place).or(after);
    let next = last.map(cursor::of_events);
    render::page_end(&mut out, events.len() > limit, next.as_deref());
    out
}
