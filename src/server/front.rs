//! What stands before every route: request ids, the checks that are the same for all, the counters,
//! the log, and the answer when a handler panics.
//!
//! One plain future around the router's own: no boxes, no layers, nothing to pay when logging is
//! off. What is said in an answer is the voice's.

use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, Ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::Response;
use axum::routing::future::RouteFuture;
use hyper::Request;
use hyper::body::Incoming;
use tower::Service;

use super::idempotency::{IDEMPOTENCY_KEY, request_key};
use super::requests::{Requests, Route, X_REQUEST_ID};
use super::room::{Room, SMALL_BYTES};
use super::voice::{Refusal, RequestHead, Voice};
use crate::clock;

/// Longest path and query, in bytes.
pub const URI_BYTES_MAX: usize = 8_192;

/// Everything behind one door, as a service for a connection. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    router: Router,
    shared: Arc<Shared>,
}

struct Shared {
    voice: Arc<dyn Voice>,
    has_native_api: bool,
    requests: Arc<Requests>,
}

impl Front {
    /// These routes, with refusals in this voice. `requests` is the same for all doors.
    pub fn new(router: Router, voice: Arc<dyn Voice>, requests: Arc<Requests>) -> Self {
        let shared = Shared {
            has_native_api: voice.has_native_api(),
            voice,
            requests,
        };
        Self {
            router,
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    fn route(&self, method: &Method, path: &str) -> Route {
        let native = self.has_native_api.then(|| Route::native(method, path));
        match native {
            Some(route) if route != Route::Other => route,
            _ => self.voice.route(method, path),
        }
    }
}

/// What is refused before any route sees it. Dialects do not answer pages of other sites at all;
/// the native API lets them read, which browsers then keep from them.
fn refusal(route: Route, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Refusal> {
    let length = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if length > URI_BYTES_MAX {
        return Some(Refusal::UriTooLong(length));
    }
    let is_post = method == Method::POST;
    if let Some(origin) = headers.get(header::ORIGIN)
        && (is_post || matches!(route, Route::Compat(_)))
        && is_foreign(origin, headers.get(header::HOST))
    {
        return Some(Refusal::ForeignOrigin);
    }
    let has_key = is_post && headers.contains_key(IDEMPOTENCY_KEY);
    (has_key && request_key(headers, "", &[]).is_err()).then_some(Refusal::IdempotencyKey)
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
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let shared = Arc::clone(&self.shared);
        let route = shared.route(method, uri.path());
        let accept = || headers.get(header::ACCEPT);
        let is_logged = tracing::enabled!(tracing::Level::DEBUG);
        let kept = (is_logged || matches!(route, Route::Compat(_))).then(|| {
            Box::new(Kept {
                logged_since: is_logged.then(clock::monotonic),
                uri: uri.clone(),
                accept: accept().cloned(),
            })
        });
        let (request_id, method) = (shared.requests.id(headers), method.clone());
        let progress = match refusal(route, &method, uri, headers) {
            None => Progress::Routed(self.router.clone().call(request)),
            Some(refusal) => {
                let head = RequestHead {
                    route,
                    method: &method,
                    path: uri.path(),
                    accept: accept(),
                };
                let answer = shared.voice.refuse(&head, refusal);
                Progress::Refused(std::future::ready(answer))
            }
        };
        Answer {
            progress,
            request_id,
            route,
            method,
            kept,
            shared,
        }
    }
}

/// The answer to one request, in the making.
pub struct Answer {
    progress: Progress,
    request_id: HeaderValue,
    route: Route,
    method: Method,
    kept: Option<Box<Kept>>,
    shared: Arc<Shared>,
}

enum Progress {
    /// The route is at work.
    Routed(RouteFuture<Infallible>),
    /// No route gets the request.
    Refused(Ready<Response>),
}

/// What the log wants to know of a request, or a dialect that has to answer for a panic.
struct Kept {
    /// Since when the request is under way, if it is logged.
    logged_since: Option<Instant>,
    /// Only the path is told: the query may name customers.
    uri: Uri,
    accept: Option<HeaderValue>,
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = match &mut self.progress {
            Progress::Refused(answer) => Ok(Pin::new(answer).poll(context)),
            Progress::Routed(route) => {
                // A future that has panicked is never polled again, so nobody sees its broken
                // state.
                catch_unwind(AssertUnwindSafe(|| {
                    let Ok(response) = ready!(Pin::new(route).poll(context));
                    Poll::Ready(response)
                }))
            }
        };
        let mut response = match polled {
            Ok(polled) => ready!(polled),
            Err(panic) => self.panicked(panic.as_ref()),
        };
        response = self.with_room(response);
        if response.status().as_u16() >= 400 {
            response = self.shared.voice.finish(response, &self.request_id);
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, self.request_id.clone());
        let status = response.status().as_u16();
        self.shared.requests.count(self.route, status);
        self.log(status);
        Poll::Ready(Ok(response))
    }
}

impl Answer {
    /// Gives a large answer its room. Without any left a read is refused, which changes nothing;
    /// whatever changes something took its room before.
    fn with_room(&self, mut response: Response) -> Response {
        let size = response.body().size_hint().exact().unwrap_or(0);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size <= SMALL_BYTES {
            return response;
        }
        let room = response.extensions_mut().remove::<Room>();
        match room.or_else(|| self.shared.requests.room.take(size)) {
            Some(room) => room.hold(response),
            None if self.method == Method::POST => response,
            None => self.refused(Refusal::Unread),
        }
    }

    fn log(&self, status: u16) {
        let Some(kept) = &self.kept else { return };
        let Some(since) = kept.logged_since else {
            return;
        };
        tracing::debug!(
            request_id = ?self.request_id,
            method = %self.method,
            path = kept.uri.path(),
            status,
            elapsed_us = clock::monotonic().duration_since(since).as_micros() as u64,
            "answered"
        );
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> Response {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(
            request_id = ?self.request_id,
            panic = text.unwrap_or("of an unknown kind"),
            "a handler panicked"
        );
        self.refused(Refusal::Panic)
    }

    fn refused(&self, refusal: Refusal) -> Response {
        let kept = self.kept.as_ref();
        let head = RequestHead {
            route: self.route,
            method: &self.method,
            path: kept.map_or("", |kept| kept.uri.path()),
            accept: kept.and_then(|kept| kept.accept.as_ref()),
        };
        self.shared.voice.refuse(&head, refusal)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::IntoResponse;
    use axum::routing::get;

    use super::super::room::AnswerBudget;
    use super::*;
    use crate::order::Dialect;

    /// Answers in its own words, and writes the id behind them.
    struct Plain;

    impl Voice for Plain {
        fn refuse(&self, request: &RequestHead<'_>, refusal: Refusal) -> Response {
            let text = format!("{refusal:?} {} {}", request.method, request.path);
            let mut response = text.into_response();
            *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }

        fn finish(&self, mut response: Response, request_id: &HeaderValue) -> Response {
            response
                .headers_mut()
                .insert("finished-for", request_id.clone());
            response
        }

        fn route(&self, _: &Method, _: &str) -> Route {
            Route::Compat(Dialect::ApiV1)
        }

        fn has_native_api(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn a_panic_is_answered_in_the_voice_of_the_door_and_counted() {
        async fn broken() -> &'static str {
            panic!("broken")
        }
        let requests = Arc::new(Requests::new(1, Vec::new()));
        let mut router: Router = Router::new().route("/a", get(broken));
        let front = Front::new(router.clone(), Arc::new(Plain), Arc::clone(&requests));
        let request = Request::get("/a?secret").body(Body::empty()).unwrap();
        let answer = Answer {
            kept: Some(Box::new(Kept {
                logged_since: None,
                uri: request.uri().clone(),
                accept: None,
            })),
            progress: Progress::Routed(router.call(request)),
            request_id: requests.id(&HeaderMap::new()),
            route: front.shared.route(&Method::GET, "/a"),
            method: Method::GET,
            shared: front.shared,
        };
        let response = answer.await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        assert_eq!(response.headers()[X_REQUEST_ID], "00000001000000000001");
        assert_eq!(response.headers()["finished-for"], "00000001000000000001");
        let body = axum::body::to_bytes(response.into_body(), 4_096).await;
        assert_eq!(body.unwrap(), "Panic GET /a");
        assert_eq!(requests.of(Route::Compat(Dialect::ApiV1)), [0, 0, 0, 1]);
    }

    #[tokio::test]
    async fn a_large_answer_needs_room_until_it_is_read() {
        let large = || Response::new(Body::from(vec![b'x'; 2 * SMALL_BYTES]));
        let mut requests = Requests::new(1, Vec::new());
        requests.room = AnswerBudget::new(3 * SMALL_BYTES);
        let requests = Arc::new(requests);
        let front = Front::new(Router::new(), Arc::new(Plain), Arc::clone(&requests));
        let answer = |method, response| Answer {
            kept: None,
            progress: Progress::Refused(std::future::ready(response)),
            request_id: requests.id(&HeaderMap::new()),
            route: Route::List,
            method,
            shared: Arc::clone(&front.shared),
        };
        let first = answer(Method::GET, large()).await.unwrap();
        assert_eq!(first.status(), 200);
        let second = answer(Method::GET, large()).await.unwrap();
        assert_eq!(
            second.status(),
            500,
            "the status that this voice refuses with"
        );
        let text = axum::body::to_bytes(second.into_body(), 4_096).await;
        assert_eq!(text.unwrap(), "Unread GET ");
        // It is made, and took its room before.
        let changed = answer(Method::POST, large()).await.unwrap();
        assert_eq!(changed.status(), 200);
        let small = Response::new(Body::from("x"));
        assert_eq!(answer(Method::GET, small).await.unwrap().status(), 200);
        drop(first);
        let third = answer(Method::GET, large()).await.unwrap();
        assert_eq!(third.status(), 200);
    }

    #[test]
    fn only_doors_with_the_native_api_know_its_routes() {
        let shared = |has_native_api| Shared {
            voice: Arc::new(Plain),
            has_native_api,
            requests: Arc::new(Requests::new(1, Vec::new())),
        };
        let dialect = Route::Compat(Dialect::ApiV1);
        assert_eq!(
            shared(true).route(&Method::POST, "/v1/orders"),
            Route::Create
        );
        assert_eq!(shared(true).route(&Method::POST, "/order"), dialect);
        assert_eq!(shared(false).route(&Method::POST, "/v1/orders"), dialect);
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
