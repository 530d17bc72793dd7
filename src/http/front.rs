//! What stands before every route: request ids, the checks that are the same for all, the counters,
//! the log, and the answer when a handler panics.
//!
//! One plain future around the router's own: no boxes, no layers, nothing to pay when logging is
//! off.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use hyper::Request;
use hyper::body::Incoming;
use tower::Service;

use super::App;
use super::code::Code;
use super::error::ApiError;
use super::request_count::{RequestCount, Route};
use crate::clock;

/// Longest path and query, in bytes.
const URI_LENGTH_MAX: usize = 8_192;
/// Longest request id that is taken over from a client, in bytes.
const REQUEST_ID_LENGTH_MAX: usize = 64;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The whole API as a service for a connection. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    router: Router,
    shared: Arc<Shared>,
}

struct Shared {
    request_id_prefix: u32,
    requests: Arc<RequestCount>,
    last_request: AtomicU64,
}

impl Front {
    /// The API over this app.
    pub fn new(app: Arc<App>) -> Self {
        let shared = Shared {
            request_id_prefix: app.request_id_prefix,
            requests: Arc::clone(&app.requests),
            last_request: AtomicU64::new(0),
        };
        Self {
            router: super::router(app),
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    /// The client's id if it is fit to be repeated, otherwise a new one.
    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(id) = headers.get(X_REQUEST_ID) {
            let bytes = id.as_bytes();
            let fits = !bytes.is_empty() && bytes.len() <= REQUEST_ID_LENGTH_MAX;
            if fits && bytes.iter().all(u8::is_ascii_graphic) {
                return id.clone();
            }
        }
        let number = self.last_request.fetch_add(1, Ordering::Relaxed) + 1;
        let bits = (u128::from(self.request_id_prefix) << 48) | u128::from(number & MASK_48);
        let text: Vec<u8> = (0..20)
            .map(|at| b"0123456789abcdef"[(bits >> (76 - 4 * at)) as usize & 15])
            .collect();
        HeaderValue::from_maybe_shared(Bytes::from(text))
            .unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

const MASK_48: u64 = (1 << 48) - 1;

/// What is refused before any route sees it.
fn refusal(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<ApiError> {
    let length = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if length > URI_LENGTH_MAX {
        let detail = format!("path and query may have {URI_LENGTH_MAX} bytes, these have {length}");
        return Some(ApiError::new(Code::UriTooLong, detail));
    }
    if method != Method::POST {
        return None;
    }
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "send an order_id instead: it makes a create safe to repeat";
        return Some(ApiError::new(Code::IdempotencyKeyUnsupported, detail));
    }
    let origin = headers.get(header::ORIGIN)?;
    let host = headers.get(header::HOST);
    is_foreign(origin, host).then(|| {
        let detail = "a page of another site may not change anything here";
        ApiError::new(Code::ForeignOrigin, detail)
    })
}

/// Whether a browser sends this for a page that did not come from this server.
fn is_foreign(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let host = host.and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, own)| own);
    !matches!((own, host), (Some(own), Some(host)) if own.eq_ignore_ascii_case(host))
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let (method, uri) = (request.method(), request.uri());
        let route = Route::of(method, uri.path());
        let log = tracing::enabled!(tracing::Level::DEBUG).then(|| {
            Box::new(Log {
                started: clock::monotonic(),
                method: method.clone(),
                // Never the query: it may name customers.
                path: uri.path().into(),
            })
        });
        let request_id = self.shared.request_id(request.headers());
        let refused = refusal(method, uri, request.headers());
        let progress = match refused {
            Some(error) => Err(error),
            None => Ok(self.router.clone().call(request)),
        };
        Answer {
            progress,
            request_id,
            route,
            log,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// The answer to one request, in the making.
pub struct Answer {
    progress: Progress,
    request_id: HeaderValue,
    route: Route,
    log: Option<Box<Log>>,
    shared: Arc<Shared>,
}

/// The route at work, or why no route gets the request.
type Progress = Result<RouteFuture<Infallible>, ApiError>;

struct Log {
    started: Instant,
    method: Method,
    path: Box<str>,
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = match &mut self.progress {
            Err(error) => error.clone().into_response(),
            Ok(route) => {
                // A future that has panicked is never polled again, so nobody sees its broken
                // state.
                let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(route).poll(context)));
                match polled {
                    Ok(polled) => match ready!(polled) {
                        Ok(response) => response,
                        Err(never) => match never {},
                    },
                    Err(panic) => self.panicked(panic.as_ref()),
                }
            }
        };
        if response.status().as_u16() >= 400 {
            response = self.finished(response);
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, self.request_id.clone());
        let status = response.status();
        self.shared.requests.count(self.route, status.as_u16());
        if let Some(log) = &self.log {
            tracing::debug!(
                request_id = ?self.request_id,
                method = %log.method,
                path = &*log.path,
                status = status.as_u16(),
                elapsed_us = clock::monotonic().duration_since(log.started).as_micros() as u64,
                "answered"
            );
        }
        Poll::Ready(Ok(response))
    }
}

impl Answer {
    /// Writes the request's id into a problem document; every other answer stays as it is.
    fn finished(&self, mut response: Response) -> Response {
        let Some(error) = response.extensions_mut().remove::<ApiError>() else {
            return response;
        };
        let mut answer = error.answer(self.request_id.to_str().ok());
        // What the router knows and the error does not.
        if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
            answer.headers_mut().insert(header::ALLOW, allow);
        }
        answer
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> Response {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(
            request_id = ?self.request_id,
            panic = text.unwrap_or("of an unknown kind"),
            "a handler panicked"
        );
        let detail = "the server made a mistake; its log has the cause";
        ApiError::new(Code::Internal, detail).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_and_counted() {
        async fn broken() -> &'static str {
            panic!("broken")
        }
        let shared = Arc::new(Shared {
            request_id_prefix: 1,
            requests: Arc::default(),
            last_request: AtomicU64::new(0),
        });
        let mut router: Router = Router::new().route("/", get(broken));
        let answer = Answer {
            progress: Ok(router.call(Request::new(Body::empty()))),
            request_id: shared.request_id(&HeaderMap::new()),
            route: Route::Other,
            log: None,
            shared: Arc::clone(&shared),
        };
        let response = answer.await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        assert_eq!(response.headers()[X_REQUEST_ID], "00000001000000000001");
        let body = axum::body::to_bytes(response.into_body(), 4_096)
            .await
            .unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "internal");
        assert_eq!(problem["request_id"], "00000001000000000001");
        assert_eq!(shared.requests.of(Route::Other), [0, 0, 0, 1]);
    }

    #[test]
    fn only_the_own_host_is_not_foreign() {
        let foreign = |origin, host: Option<&'static str>| {
            let host = host.map(HeaderValue::from_static);
            is_foreign(&HeaderValue::from_static(origin), host.as_ref())
        };
        assert!(!foreign("http://localhost:7070", Some("localhost:7070")));
        assert!(!foreign("https://Orders.example", Some("orders.example")));
        assert!(foreign("http://localhost:8080", Some("localhost:7070")));
        assert!(foreign("null", Some("localhost:7070")));
        assert!(foreign("http://localhost:7070", None));
    }
}
