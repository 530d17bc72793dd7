//! In whose words a server answers when no handler does: refusals that are the same for every
//! route, and the last touch of every error.
//!
//! The native API and the dialects each have a voice of their own; nothing here knows their forms.

use axum::http::{HeaderValue, Method};
use axum::response::Response;

use super::requests::Route;

/// Why a request gets no answer from a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Path and query have this many bytes, more than [`super::URI_BYTES_MAX`].
    UriTooLong(usize),
    /// A browser sends it for a page of another site.
    ForeignOrigin,
    /// It has more than one `Idempotency-Key`, or one that is none.
    IdempotencyKey,
    /// Its answer is large, and too many others have not been read yet.
    Unread,
    /// The handler panicked.
    Panic,
}

/// What a voice may look at to find the right words.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Where the request went.
    pub route: Route,
    /// Its method.
    pub method: &'a Method,
    /// Its path, without the query. Empty once a handler has had a request to a native route:
    /// keeping it would cost every request something.
    pub path: &'a str,
    /// Its `Accept` header; not there then either.
    pub accept: Option<&'a HeaderValue>,
}

/// How a door talks.
pub trait Voice: Send + Sync {
    /// The answer to a request that is refused; it goes through `finish` too.
    fn refuse(&self, request: &RequestHead<'_>, refusal: Refusal) -> Response;

    /// The last touch of an answer with a status from 400: it may tell the request's id.
    fn finish(&self, response: Response, request_id: &HeaderValue) -> Response;

    /// The route of a request that goes to none of the native API.
    fn route(&self, method: &Method, path: &str) -> Route;

    /// Whether the native API is served behind this door too. Asked once.
    fn has_native_api(&self) -> bool;
}
