//! The native API's words where no handler speaks: refusals, panics, and the id of a request in its
//! problem document.
//!
//! Chooses no status codes of its own; those are `error`'s.

use std::sync::Arc;

use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};

use super::code::Code;
use super::error::ApiError;
use crate::server::{Refusal, RequestHead, Route, URI_BYTES_MAX, Voice};

/// How the native API talks.
pub fn voice() -> Arc<dyn Voice> {
    Arc::new(Native)
}

struct Native;

impl Voice for Native {
    fn refuse(&self, _: &RequestHead<'_>, refusal: Refusal) -> Response {
        let error = match refusal {
            Refusal::UriTooLong(length) => {
                let detail =
                    format!("path and query may have {URI_BYTES_MAX} bytes, these have {length}");
                ApiError::new(Code::UriTooLong, detail)
            }
            Refusal::ForeignOrigin => ApiError::new(
                Code::ForeignOrigin,
                "a page of another site may not change anything here",
            ),
            Refusal::IdempotencyKey => ApiError::new(
                Code::BadIdempotencyKey,
                "a request has one key, of 1 to 255 visible ASCII characters",
            ),
            Refusal::Unread => ApiError::unread(),
            Refusal::Panic => ApiError::new(
                Code::Internal,
                "the server made a mistake; its log has the cause",
            ),
        };
        error.into_response()
    }

    /// Writes the request's id into a problem document; every other answer stays as it is.
    fn finish(&self, mut response: Response, request_id: &HeaderValue) -> Response {
        let Some(error) = response.extensions_mut().remove::<ApiError>() else {
            return response;
        };
        let mut answer = error.answer(request_id.to_str().ok());
        // What the router knows and the error does not.
        if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
            answer.headers_mut().insert(header::ALLOW, allow);
        }
        answer
    }

    fn route(&self, _: &Method, _: &str) -> Route {
        Route::Other
    }

    fn has_native_api(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_a_problem_with_the_id_of_its_request() {
        let head = RequestHead {
            route: Route::Other,
            method: &Method::POST,
            path: "/",
            accept: None,
        };
        for (refusal, status, code) in [
            (Refusal::UriTooLong(9_000), 414, "uri-too-long"),
            (Refusal::ForeignOrigin, 403, "foreign-origin"),
            (Refusal::IdempotencyKey, 400, "bad-idempotency-key"),
            (Refusal::Unread, 503, "overloaded"),
            (Refusal::Panic, 500, "internal"),
        ] {
            let refused = voice().refuse(&head, refusal);
            let answer = voice().finish(refused, &HeaderValue::from_static("r1"));
            assert_eq!(answer.status().as_u16(), status);
            let body = axum::body::to_bytes(answer.into_body(), 4_096).await;
            let problem: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
            assert_eq!(problem["code"], code);
            assert_eq!(problem["request_id"], "r1");
        }
    }
}
