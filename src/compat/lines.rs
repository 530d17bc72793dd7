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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_said_with_the_name_of_its_field() {
        let said = |refusal: Refusal| wording(&refusal).map(|wording| wording.text.into_owned());
        let field = |code, name| said(Refusal::field(code, name)).unwrap();
        assert_eq!(field(Code::MissingField, "user_id"), "user_id is required");
        assert_eq!(field(Code::InvalidLength, "notes"), "notes is too long");
        assert_eq!(field(Code::InvalidLength, "item_ids"), TOO_MANY_ITEMS);
        let element = Refusal::element(Code::InvalidLength, "item_ids", 3);
        assert_eq!(said(element).unwrap(), "item_ids is too long");
        let address = field(Code::InvalidCharacter, "address");
        assert_eq!(address, "address has an invalid character");
        assert_eq!(said(Refusal::new(Code::Overloaded, "full")), None);
    }

    #[test]
    fn a_method_that_is_not_there_has_no_body() {
        let refusal = Refusal::new(Code::MethodNotAllowed, "");
        let response = say(&wording(&refusal).unwrap());
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(response.headers().is_empty());
    }
}
