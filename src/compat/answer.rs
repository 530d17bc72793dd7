//! Answers: the forms in which the dialects send JSON and texts, what all of them say alike, and
//! the headers that every refusal carries.
//!
//! Bodies are exact to the byte, so a developer learns what was wrong from the header
//! `Orderd-Error`. Nothing here chooses what one dialect alone says.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::refusal::{Code, Refusal};
use crate::order::{KeptAnswer, OrderId};

/// Tells what was wrong: `<native code>; <JSON pointer or reason>`.
pub const ORDERD_ERROR: HeaderName = HeaderName::from_static("orderd-error");
/// Seconds after which a client may try again where nobody knows better.
const RETRY_AFTER_SECONDS: u32 = 1;

/// How a JSON value travels.
#[derive(Clone, Copy, Debug)]
pub struct JsonForm {
    /// The content type.
    pub content_type: &'static str,
    /// What follows the value.
    pub end: &'static str,
}

/// `application/json`, nothing after the value.
pub const JSON: JsonForm = JsonForm {
    content_type: "application/json",
    end: "",
};

/// `application/json`, a line feed after the value.
pub const JSON_LINE: JsonForm = JsonForm { end: "\n", ..JSON };

/// `application/json; charset=utf-8`, nothing after the value.
pub const JSON_UTF8: JsonForm = JsonForm {
    content_type: "application/json; charset=utf-8",
    ..JSON
};

impl JsonForm {
    /// An answer with this value.
    pub fn answer(self, status: StatusCode, value: &impl Serialize) -> Response {
        answer(status, self.content_type, self.body(value))
    }

    /// The same, to be kept.
    pub fn keep(self, status: StatusCode, value: &impl Serialize) -> KeptAnswer {
        keep(status, self.content_type, self.body(value))
    }

    fn body(self, value: &impl Serialize) -> Vec<u8> {
        // Wire structs always have a JSON form.
        let mut body = serde_json::to_vec(value).unwrap_or_default();
        body.extend_from_slice(self.end.as_bytes());
        body
    }
}

/// The content type of a line of text.
const LINE: &str = "text/plain; charset=utf-8";

/// A text on a line of its own, which no browser takes for anything else.
pub fn line(status: StatusCode, text: &str) -> Response {
    let mut response = answer(status, LINE, format!("{text}\n"));
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// A text on a line of its own, to be kept.
pub fn keep_line(status: StatusCode, text: &str) -> KeptAnswer {
    keep(status, LINE, format!("{text}\n").into_bytes())
}

fn keep(status: StatusCode, content_type: &str, body: Vec<u8>) -> KeptAnswer {
    KeptAnswer {
        status: status.as_u16(),
        content_type: content_type.into(),
        location: None,
        etag: None,
        body: body.into(),
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer with this body.
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// What is said to a refused request: a status, and a text for the dialect's envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    /// The status.
    pub status: StatusCode,
    /// The text.
    pub text: Cow<'static, str>,
}

impl Wording {
    /// This status with this text.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// What every dialect says alike. `None`: that is for the dialect.
    pub fn common(code: Code) -> Option<Self> {
        let (status, text) = match code {
            Code::ForeignOrigin => (StatusCode::FORBIDDEN, "Forbidden"),
            Code::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "Request timeout"),
            Code::IdempotencyKeyInUse => {
                let text = "Request with this Idempotency-Key is in progress";
                (StatusCode::CONFLICT, text)
            }
            Code::IdempotencyKeyReused => {
                let text = "Idempotency-Key was used with another request";
                (StatusCode::UNPROCESSABLE_ENTITY, text)
            }
            Code::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"),
            Code::UriTooLong => (StatusCode::URI_TOO_LONG, "Request URI too long"),
            _ => return None,
        };
        Some(Self::new(status, text))
    }
}

/// Puts the headers on an answer that every refusal carries.
pub fn refused(mut response: Response, refusal: &Refusal) -> Response {
    let is_plain = |c: &char| (' '..='~').contains(c);
    let at: String = refusal.at.chars().filter(is_plain).collect();
    let error = HeaderValue::try_from(format!("{}; {at}", refusal.code.name()));
    let status = response.status();
    let headers = response.headers_mut();
    if let Ok(error) = error {
        headers.insert(ORDERD_ERROR, error);
    }
    if matches!(status.as_u16(), 429 | 503) {
        let seconds = refusal.retry_after_seconds.unwrap_or(RETRY_AFTER_SECONDS);
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Tells where the order is: `before`, its id, `after`.
pub fn located(answer: KeptAnswer, before: &str, id: &OrderId, after: &str) -> KeptAnswer {
    let mut address = before.as_bytes().to_vec();
    id.escape_into(&mut address);
    address.extend_from_slice(after.as_bytes());
    let address = String::from_utf8_lossy(&address);
    KeptAnswer {
        location: Some(address.into()),
        ..answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parts(response: Response) -> (u16, Option<String>, String) {
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1_024).await.unwrap();
        let kind = head.headers.get(header::CONTENT_TYPE);
        (
            head.status.as_u16(),
            kind.map(|kind| kind.to_str().unwrap().to_owned()),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn each_form_has_its_type_and_its_end() {
        for (form, kind, body) in [
            (JSON, "application/json", "{\"a\":\"<>&\u{e9}\"}"),
            (JSON_LINE, "application/json", "{\"a\":\"<>&\u{e9}\"}\n"),
            (
                JSON_UTF8,
                "application/json; charset=utf-8",
                "{\"a\":\"<>&\u{e9}\"}",
            ),
        ] {
            let value = serde_json::json!({ "a": "<>&\u{e9}" });
            let answer = parts(form.answer(StatusCode::CREATED, &value)).await;
            assert_eq!(answer, (201, Some(kind.to_owned()), body.to_owned()));
        }
        let answer = line(StatusCode::NOT_FOUND, "gone");
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let kind = "text/plain; charset=utf-8".to_owned();
        assert_eq!(parts(answer).await, (404, Some(kind), "gone\n".to_owned()));
        let nothing = empty(StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(parts(nothing).await, (405, None, String::new()));
    }

    #[test]
    fn a_refusal_tells_its_code_and_place_in_one_ascii_line() {
        let refusal = Refusal::field(Code::WrongType, "a\r\nSet-Cookie: b\u{e9}");
        let answer = refused(empty(StatusCode::BAD_REQUEST), &refusal);
        assert_eq!(
            answer.headers()[ORDERD_ERROR],
            "wrong-type; /aSet-Cookie: b"
        );
        assert!(!answer.headers().contains_key(header::RETRY_AFTER));
        let refusal = Refusal::new(Code::Draining, "the server is shutting down");
        let answer = refused(empty(StatusCode::SERVICE_UNAVAILABLE), &refusal);
        assert_eq!(
            answer.headers()[ORDERD_ERROR],
            "draining; the server is shutting down"
        );
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        let full = Refusal {
            retry_after_seconds: Some(7),
            ..Refusal::new(Code::Overloaded, "too many open orders")
        };
        let answer = refused(empty(StatusCode::SERVICE_UNAVAILABLE), &full);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
    }

    #[test]
    fn an_address_holds_any_id() {
        let id = OrderId::parse("a/b?c#%~").unwrap();
        let answer = located(
            keep_line(StatusCode::CREATED, ""),
            "/orders/",
            &id,
            "/status",
        );
        let location = answer.location.unwrap();
        assert_eq!(&*location, "/orders/a%2Fb%3Fc%23%25~/status");
    }

    #[test]
    fn what_all_say_alike_has_one_text() {
        for (code, status, text) in [
            (Code::ForeignOrigin, 403, "Forbidden"),
            (
                Code::IdempotencyKeyInUse,
                409,
                "Request with this Idempotency-Key is in progress",
            ),
            (Code::BodyTooLarge, 413, "Request body too large"),
            (
                Code::IdempotencyKeyReused,
                422,
                "Idempotency-Key was used with another request",
            ),
        ] {
            let wording = Wording::common(code).unwrap();
            assert_eq!((wording.status.as_u16(), &*wording.text), (status, text));
        }
        assert_eq!(Wording::common(Code::OrderExists), None);
        assert_eq!(Wording::common(Code::Overloaded), None);
    }
}
