//! What the two dialects of port 8080 say alike: refusals as lines of text.
//!
//! The texts that only one of them has are in its file.

use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{self, Wording};
use super::refusal::{Code, Refusal};

/// Said to more items than an order may have.
pub const TOO_MANY_ITEMS: &str = "too many items in order";

/// What both say to this refusal. `None`: each says it in its own way.
pub fn wording(refusal: &Refusal) -> Option<Wording> {
    let name = refusal.name();
    let bad = StatusCode::BAD_REQUEST;
    Some(match (refusal.code, &*refusal.at) {
        (Code::InvalidLength, "/items" | "/item_ids") => Wording::new(bad, TOO_MANY_ITEMS),
        (Code::InvalidLength, _) => Wording::new(bad, format!("{name} is too long")),
        (Code::InvalidCharacter, _) => {
            Wording::new(bad, format!("{name} has an invalid character"))
        }
        (Code::MissingField, _) => Wording::new(bad, format!("{name} is required")),
        (Code::BadIdempotencyKey, _) => Wording::new(bad, "Invalid Idempotency-Key"),
        (Code::RouteNotFound, _) => Wording::new(StatusCode::NOT_FOUND, "404 page not found"),
        (Code::MethodNotAllowed, _) => Wording::new(StatusCode::METHOD_NOT_ALLOWED, ""),
        _ => return None,
    })
}

/// A line of text; no text is no body.
pub fn say(wording: &Wording) -> Response {
    if wording.text.is_empty() {
        answer::empty(wording.status)
    } else {
        answer::line(wording.status, &wording.text)
    }
}
