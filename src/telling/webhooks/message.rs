//! One message to a receiver: what it says, how it is signed, what came of it.
//!
//! The form is that of Standard Webhooks 1.0. An id belongs to one event for one receiver, however
//! often it is sent.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::Desk;
use super::endpoint::Endpoint;
use crate::clock::{self, MICROS_PER_SECOND, Timestamp};
use crate::outbound::{Call, signatures};
use crate::store::EventView;
use crate::telling::type_of;

/// Longest error that is kept.
const ERROR_CHARS_MAX: usize = 300;

/// What came of one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The event, if it is about one.
    pub event_id: Option<String>,
    /// Its type.
    pub r#type: &'static str,
    /// Its order.
    pub order_id: Option<String>,
    /// Which try of this delivery it was, from 1, since the server started.
    pub attempt: u32,
    /// When, RFC 3339.
    pub at: String,
    /// The status that the receiver answered with.
    pub status: Option<u16>,
    /// Why it did not go through.
    pub error: Option<String>,
    /// How long it took.
    pub took_ms: u64,
}

impl Report {
    /// Whether it went through.
    pub fn is_delivered(&self) -> bool {
        self.error.is_none()
    }
}

/// A delivery that was tried.
pub(super) struct Tried {
    pub(super) report: Report,
    pub(super) began: Instant,
    /// The receiver asks for patience.
    pub(super) retry_after: Option<Duration>,
    /// The receiver says that it is gone for good.
    pub(super) is_gone: bool,
}

/// Sends an event.
pub(super) async fn event(
    desk: &Desk,
    endpoint: &Endpoint,
    event: &EventView,
    attempt: u32,
) -> Tried {
    let kind = type_of(event);
    let place = format!("{}-{}", event.place.position.0, event.place.index);
    let mut data = Vec::with_capacity(256);
    (desk.feed.render)(&mut data, event);
    let id = format!("{}_{place}", endpoint.id);
    let mut tried = send(desk, endpoint, &id, body(kind, event.at, &data)).await;
    tried.report.r#type = kind;
    tried.report.attempt = attempt;
    tried.report.event_id = Some(place);
    tried.report.order_id = Some(event.order_id.as_str().into());
    tried
}

/// Sends a message that says nothing but that it is a test.
pub(super) async fn test(desk: &Desk, endpoint: &Endpoint) -> Report {
    let now = desk.clock.now();
    let data = format!("{{\"webhook_id\":\"{}\"}}", endpoint.id);
    let id = format!("{}_test_{}", endpoint.id, now.0);
    let body = body("webhook.test", now, data.as_bytes());
    send(desk, endpoint, &id, body).await.report
}

fn body(kind: &str, at: Timestamp, data: &[u8]) -> Vec<u8> {
    let mut body = format!("{{\"type\":\"{kind}\",\"timestamp\":\"{at}\",\"data\":").into_bytes();
    body.extend_from_slice(data);
    body.push(b'}');
    body
}

async fn send(desk: &Desk, endpoint: &Endpoint, id: &str, body: Vec<u8>) -> Tried {
    let (now, began) = (desk.clock.now(), clock::monotonic());
    let settings = endpoint.settings();
    let answered = match settings.target() {
        None => Err("the address cannot be read".to_owned()),
        Some(target) => {
            let seconds = now.0 / MICROS_PER_SECOND;
            let signed = signatures(&settings.secrets(now), id, seconds, &body);
            let call = Call::post(&target, body)
                .header("webhook-id", id)
                .header("webhook-timestamp", &seconds.to_string())
                .header("webhook-signature", &signed);
            let answered = desk.client.notify(call, desk.settings.timeout).await;
            answered.map_err(|error| error.to_string())
        }
    };
    let status = answered.as_ref().ok().map(|answer| answer.status);
    let retry_after = answered.as_ref().ok().and_then(|it| it.retry_after_seconds);
    let error = match answered {
        Ok(answer) if (200..300).contains(&answer.status) => None,
        Ok(answer) => Some(format!("answered {}", answer.status)),
        Err(error) => Some(error.chars().take(ERROR_CHARS_MAX).collect()),
    };
    let took = began.elapsed().as_millis();
    Tried {
        report: Report {
            event_id: None,
            r#type: "webhook.test",
            order_id: None,
            attempt: 1,
            at: now.to_string(),
            status,
            error,
            took_ms: u64::try_from(took).unwrap_or(u64::MAX),
        },
        began,
        retry_after: retry_after.map(|seconds| Duration::from_secs(seconds.into())),
        is_gone: status == Some(410),
    }
}
