//! Dead letters: orders that used up their attempts and wait for a person. Listed, and tried again
//! one page after the other.
//!
//! One request looks at no more than a page; whoever wants all of them follows the cursor. A dry
//! run counts and changes nothing.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::code::Code;
use super::error::ApiError;
use super::media_type::{MediaType, media_type};
use super::parameters::{LIMIT_DEFAULT, LIMIT_MAX, Parameters};
use super::wire::{Count, Fields, Object, Text};
use super::{App, changes, cursor, idempotency, list, orders, schema};
use crate::clock::Timestamp;
use crate::engine::{ChangeAnswer, Decided, KeyOfChanges, SubmitError};
use crate::faults;
use crate::order::{Action, Change, Fault, KeptAnswer, Order, Priority, Signature, StatusKind};
use crate::server::ORDER_BYTES_MAX;
use crate::server::idempotency::sent;
use crate::shard::Effect;
use crate::store::ListQuery;

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(dead_letters))
        .routes(routes!(replay))
}

/// The body of a replay.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody<'a> {
    #[serde(borrow, default)]
    filter: Option<Object<FilterBody<'a>>>,
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(default)]
    limit: Option<Count>,
    #[serde(borrow, default)]
    after: Option<Text<'a>>,
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    by: Option<Text<'a>>,
}

impl Fields for ReplayBody<'_> {
    const EXPECTING: &'static str = "an object with filter, dry_run, limit, after, reason and by";
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterBody<'a> {
    #[serde(borrow, default)]
    process: Option<Text<'a>>,
    #[serde(borrow, default)]
    step: Option<Text<'a>>,
    #[serde(borrow, default)]
    customer_id: Option<Text<'a>>,
    #[serde(default)]
    priority: Option<Count>,
    #[serde(borrow, default)]
    failure: Option<Text<'a>>,
    #[serde(borrow, default)]
    created_after: Option<Text<'a>>,
    #[serde(borrow, default)]
    created_before: Option<Text<'a>>,
}

impl Fields for FilterBody<'_> {
    const EXPECTING: &'static str = "an object with process, step, customer_id, priority, failure, \
                                     created_after and created_before";
}

/// List dead letters
///
/// Orders whose attempts are used up, newest first. `reason` of each is its last failure;
/// `/v1/orders/{id}/events` has all of them.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "dead letters",
    operation_id = "listDeadLetters",
    params(schema::DeadParameters),
    responses((status = 200, description = "A page of orders.", body = schema::OrderPage))
)]
async fn dead_letters(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::of(&uri)?;
    let priority = |text: &str| Priority::from_number(text.parse().ok()?);
    let mut query = ListQuery {
        status: Some(StatusKind::Dead),
        process: parameters.take("process")?.map(Into::into),
        step: parameters.take("step")?.map(Into::into),
        customer_id: parameters.take("customer_id")?.map(Into::into),
        priority: parameters.read("priority", "must be 1, 2 or 3", priority)?,
        reason: parameters.take("failure")?.map(Into::into),
        created_after: parameters.time("created_after")?,
        created_before: parameters.time("created_before")?,
        limit: parameters.limit()?,
        ..ListQuery::default()
    };
    let after = parameters.after()?;
    parameters.end()?;
    let filters = list::fingerprint(&query);
    query.before = after.map(|text| cursor::list(&text, filters)).transpose()?;
    let page = app.store.orders(query).await?;
    Ok(orders::json(list::answer(&page, filters)))
}

/// What a replay asks for.
struct Asked {
    query: ListQuery,
    filters: u32,
    is_dry_run: bool,
    signature: Signature,
}

/// Try dead letters again
///
/// One page of those that the filter finds; follow `next_cursor` until `has_more` is false. Each
/// that is replayed is queued again at the step that it died at, with as many attempts as at first.
/// With `dry_run` they are only counted.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/replay",
    tag = "dead letters",
    operation_id = "replayDeadLetters",
    params(schema::KeyHeader),
    request_body(
        content = schema::ReplayRequest,
        description = "Which, and who asks, and why.",
        content_type = "application/json"
    ),
    responses((status = 200, description = "What became of the page.", body = schema::ReplayResult))
)]
async fn replay(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    Parameters::none(&head.uri)?;
    if media_type(&head.headers)? == MediaType::Lines {
        let detail = "a replay is one JSON object";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let (asked, key) = {
        let body = app.bodies.read(body, ORDER_BYTES_MAX).await?;
        let key = idempotency::of_request(&head.headers, idempotency::REPLAY, &body.bytes)?;
        (asked(changes::object(&body.bytes)?)?, key)
    };
    let page = app.store.orders(asked.query).await?;
    faults::point("dead-letters-read");
    let told = schema::ReplayResult {
        dry_run: asked.is_dry_run,
        matched: page.orders.len(),
        replayed: 0,
        skipped: 0,
        has_more: page.next.is_some(),
        next_cursor: page.next.map(|last| cursor::of_list(last, asked.filters)),
    };
    let retry = |order: &Order| Change {
        seq: order.seq,
        // If it is still the same.
        versions: Some([order.state.version].into()),
        action: Action::Retry(asked.signature.clone()),
    };
    let changes = match asked.is_dry_run {
        true => Vec::new(),
        false => page.orders.iter().map(retry).collect(),
    };
    let Some(key) = key else {
        // Nobody has to decide about nothing.
        let answers = match changes.is_empty() {
            true => Ok(Vec::new()),
            false => app.engine.change(changes).await,
        };
        let answers = answers.map_err(ApiError::change_failed)?;
        return Ok(sent(result(told, &answers)));
    };
    let under = KeyOfChanges {
        key: key.clone(),
        answer_bytes: 0,
        answer: Box::new(|answers, _| Some(result(told, answers))),
    };
    let refusal = match app.engine.change_under(under, changes).await {
        Ok(Decided {
            kept: Some(answer), ..
        }) => return Ok(sent(answer)),
        Ok(Decided { kept: None, .. }) => SubmitError::OutcomeUnknown,
        Err(error) => error,
    };
    let refusal = ApiError::change_failed(refusal);
    idempotency::again(&app, Some(&key), refusal).await
}

/// The answer to a replay, in which these changes were decided.
fn result(mut told: schema::ReplayResult, answers: &[ChangeAnswer]) -> KeptAnswer {
    let is_made = |answer: &&ChangeAnswer| matches!(answer, Ok(Effect::Made { .. }));
    told.replayed = answers.iter().filter(is_made).count();
    told.skipped = answers.len() - told.replayed;
    // Numbers, truth values and a text always have a JSON form.
    idempotency::json(serde_json::to_vec(&told).unwrap_or_default())
}

/// Reads a time.
fn time(pointer: &str, text: Option<Text<'_>>, faults: &mut Vec<Fault>) -> Option<Timestamp> {
    let read = Timestamp::parse_rfc3339(&text?.0);
    if read.is_none() {
        faults.push(Fault::new(pointer, "invalid-time", Timestamp::FORM));
    }
    read
}

/// Checks what was sent, all of it.
fn asked(body: ReplayBody<'_>) -> Result<Asked, ApiError> {
    let mut faults = Vec::new();
    let Object(filter) = body.filter.unwrap_or(Object(FilterBody::default()));
    let text = |text: Option<Text<'_>>| text.map(|Text(text)| Cow::into_owned(text).into());
    let mut query = ListQuery {
        status: Some(StatusKind::Dead),
        process: text(filter.process),
        step: text(filter.step),
        customer_id: text(filter.customer_id),
        priority: filter.priority.and_then(|count| {
            let priority = Priority::from_number(count.0);
            if priority.is_none() {
                let detail = format!("must be 1, 2 or 3, is {}", count.0);
                faults.push(Fault::new("/filter/priority", "out-of-range", detail));
            }
            priority
        }),
        reason: text(filter.failure),
        created_after: time("/filter/created_after", filter.created_after, &mut faults),
        created_before: time("/filter/created_before", filter.created_before, &mut faults),
        limit: LIMIT_DEFAULT,
        ..ListQuery::default()
    };
    match body.limit.map(|count| usize::try_from(count.0)) {
        None => {}
        Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => query.limit = limit,
        Some(_) => {
            let detail = format!("must be 1 to {LIMIT_MAX}");
            faults.push(Fault::new("/limit", "out-of-range", detail));
        }
    }
    let signature = changes::checked(body.reason.as_ref(), body.by.as_ref());
    let signature = signature.unwrap_or_else(|found| {
        faults.extend(found);
        Signature::default()
    });
    if !faults.is_empty() {
        return Err(ApiError::invalid_change(faults));
    }
    let filters = list::fingerprint(&query);
    let after = body.after.filter(|text| !text.0.is_empty());
    query.before = after
        .map(|text| cursor::list(&text.0, filters))
        .transpose()?;
    Ok(Asked {
        query,
        filters,
        is_dry_run: body.dry_run.unwrap_or(false),
        signature,
    })
}
