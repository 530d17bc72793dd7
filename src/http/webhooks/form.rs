//! What is asked of webhooks, read and checked, and how one is shown.
//!
//! Every fault is named with its place; nothing is asked of anybody here.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;

use super::super::error::ApiError;
use super::super::wire::{Count, Fields, Object, Text};
use super::super::{cursor, diagnosis, idempotency, schema};
use crate::order::{Fault, KeptAnswer, OrderId};
use crate::outbound::Secret;
use crate::store::EventPlace;
use crate::telling::{Changed, Filter, NewWebhook, WebhookStatus, WebhookView, is_receiver};

/// Longest description or reason, in characters.
const TEXT_CHARS_MAX: usize = 1_024;
/// How long the secret before signs too, in seconds: if nobody says, and at most.
const OVERLAP_SECONDS: (u32, u32) = (86_400, 604_800);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    types: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    order_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    customer_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    process: Option<Text<'a>>,
    #[serde(borrow, default)]
    after: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody<'a> {
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    #[serde(default)]
    overlap_seconds: Option<Count>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody<'a> {
    #[serde(borrow)]
    after: Text<'a>,
    #[serde(borrow, default)]
    until: Option<Text<'a>>,
}

impl Fields for NewBody<'_> {
    const EXPECTING: &'static str = "a webhook: an object with url and perhaps types";
}

impl Fields for PauseBody<'_> {
    const EXPECTING: &'static str = "an object with reason";
}

impl Fields for RotateBody {
    const EXPECTING: &'static str = "an object with overlap_seconds";
}

impl Fields for ReplayBody<'_> {
    const EXPECTING: &'static str = "an object with after and perhaps until";
}

/// Reads a JSON object.
fn object<'a, T: Deserialize<'a> + Fields>(body: &'a [u8]) -> Result<T, ApiError> {
    let read = serde_json::from_slice::<Object<T>>(body);
    let wrong = |_| diagnosis::of::<Object<T>>(body, ApiError::invalid_webhook);
    read.map(|Object(value)| value).map_err(wrong)
}

/// The same where nothing has to be said.
fn object_or_none<'a, T: Deserialize<'a> + Fields + Default>(
    body: &'a [u8],
) -> Result<T, ApiError> {
    match body.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        body => object(body),
    }
}

/// Why somebody pauses.
pub(super) fn pause(body: &[u8]) -> Result<Box<str>, ApiError> {
    let PauseBody { reason } = object_or_none(body)?;
    let mut faults = Vec::new();
    let reason = bounded(reason, "/reason", &mut faults);
    invalid(faults)?;
    Ok(reason.unwrap_or_else(|| "paused by a person".into()))
}

/// How long the secret before signs too.
pub(super) fn overlap(body: &[u8]) -> Result<Duration, ApiError> {
    let asked: RotateBody = object_or_none(body)?;
    let (usual, most) = OVERLAP_SECONDS;
    let seconds = match asked.overlap_seconds.map(|count| u32::try_from(count.0)) {
        None => usual,
        Some(Ok(seconds)) if seconds <= most => seconds,
        Some(_) => {
            let detail = format!("must be 0 to {most}");
            let fault = Fault::new("/overlap_seconds", "out-of-range", detail);
            return Err(ApiError::invalid_webhook(vec![fault]));
        }
    };
    Ok(Duration::from_secs(seconds.into()))
}

/// From where to where something is delivered again.
pub(super) fn replay(body: &[u8]) -> Result<(EventPlace, Option<EventPlace>), ApiError> {
    let ReplayBody { after, until } = object(body)?;
    let until = until.map(|until| cursor::events(&until.0)).transpose()?;
    Ok((cursor::events(&after.0)?, until))
}

fn invalid(faults: Vec<Fault>) -> Result<(), ApiError> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_webhook(faults))
}

/// A text for people, or for a filter.
fn bounded(text: Option<Text<'_>>, pointer: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let text: Box<str> = text?.0.into();
    if !(1..=TEXT_CHARS_MAX).contains(&text.chars().count()) {
        let detail = format!("must have 1 to {TEXT_CHARS_MAX} characters");
        faults.push(Fault::new(pointer, "invalid-length", detail));
    }
    Some(text)
}

/// What a create asks for, and behind which place it begins.
pub(super) fn new_webhook(body: &[u8]) -> Result<(NewWebhook, Option<EventPlace>), ApiError> {
    let body: NewBody<'_> = object(body)?;
    let mut faults = Vec::new();
    if let Err(bad) = is_receiver(&body.url.0) {
        faults.push(Fault::new("/url", "invalid-url", bad.to_string()));
    }
    let mut types = Vec::new();
    for (at, text) in body.types.unwrap_or_default().into_iter().enumerate() {
        match Filter::read_types(&text.0).as_deref() {
            Ok([one]) if !types.contains(one) => types.push(one.clone()),
            Ok([_]) => {}
            _ => {
                let detail = format!("is {:?}, which is no type of event", text.0);
                faults.push(Fault::new(format!("/types/{at}"), "unknown-type", detail));
            }
        }
    }
    let order_id = body.order_id.map(|text| OrderId::parse(&text.0));
    if let Some(Err(error)) = &order_id {
        faults.push(Fault::new(
            "/order_id",
            "invalid-character",
            error.to_string(),
        ));
    }
    let filter = Filter {
        types,
        order_id: order_id.and_then(Result::ok),
        customer_id: bounded(body.customer_id, "/customer_id", &mut faults),
        process: bounded(body.process, "/process", &mut faults),
    };
    let new = NewWebhook {
        url: body.url.0.into(),
        description: bounded(body.description, "/description", &mut faults),
        filter,
    };
    invalid(faults)?;
    let after = body.after.map(|text| cursor::events(&text.0)).transpose()?;
    Ok((new, after))
}

fn place(place: EventPlace) -> String {
    format!("{}-{}", place.position.0, place.index)
}

/// The answer to a webhook that was made.
pub(super) fn made(changed: &Changed) -> KeptAnswer {
    KeptAnswer {
        status: StatusCode::CREATED.as_u16(),
        ..self::changed(changed)
    }
}

/// The answer to a webhook that was changed. A secret is in it only if the change has made it.
pub(super) fn changed(changed: &Changed) -> KeptAnswer {
    let mut shown = shown(changed.view.clone());
    shown.secret = changed.secret.as_ref().map(Secret::text);
    // Texts, numbers and truth values always have a JSON form.
    idempotency::json(serde_json::to_vec(&shown).unwrap_or_default())
}

/// A webhook as it is answered.
pub(super) fn shown(view: WebhookView) -> schema::Webhook {
    let failing = view.failing.map(|(since, error)| (error, since));
    let (is_paused_by_server, reason) = match view.pause {
        Some(pause) => (pause.is_automatic, Some((pause.reason, pause.since))),
        None => (false, failing),
    };
    let (reason, since) = reason.unzip();
    schema::Webhook {
        webhook_id: view.id.into(),
        url: view.url.into(),
        description: view.description.map(Into::into),
        types: view.filter.types.into_iter().map(Into::into).collect(),
        order_id: view.filter.order_id.map(|id| id.as_str().into()),
        customer_id: view.filter.customer_id.map(Into::into),
        process: view.filter.process.map(Into::into),
        status: match view.status {
            WebhookStatus::Active => schema::WebhookStatus::Active,
            WebhookStatus::Failing => schema::WebhookStatus::Failing,
            WebhookStatus::Paused => schema::WebhookStatus::Paused,
        },
        reason: reason.map(Into::into),
        since: since.map(|since| since.to_string()),
        is_paused_by_server,
        delivered_up_to: place(view.at),
        replayed_up_to: view.replay.map(|replay| place(replay.at.into())),
        delivered: view.delivered,
        created_at: view.created_at.to_string(),
        secret: None,
    }
}
