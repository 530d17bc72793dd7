//! In whose words a request is refused: the one place where a refusal becomes an answer.
//!
//! Finds the dialect that owns a path, or the native API; what they say is theirs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::{self, Wording};
use super::refusal::{Code, Refusal};
use super::{Wire, spoken};
use crate::config::DialectSettings;
use crate::server::{self, RequestHead, Route, Voice};

/// Who speaks behind one door.
#[derive(Clone)]
pub(super) struct Speaker {
    wires: Arc<[&'static Wire]>,
    native: Option<Arc<dyn Voice>>,
}

impl Speaker {
    pub(super) fn new(dialects: &[DialectSettings], native: Option<Arc<dyn Voice>>) -> Self {
        Self {
            wires: spoken(dialects).map(|(wire, _)| wire).collect(),
            native,
        }
    }

    /// The dialect that owns a path.
    fn owner(&self, path: &str) -> Option<&'static Wire> {
        self.wires.iter().copied().find(|wire| (wire.owns)(path))
    }

    /// Refuses a request that went to nobody: the owner of the path speaks, or the first dialect.
    pub(super) fn say_to(&self, request: &Request, refusal: &Refusal) -> Response {
        let head = Head::of(request, Route::Other);
        self.say(&head.borrow(), refusal)
    }

    fn say(&self, head: &RequestHead<'_>, refusal: &Refusal) -> Response {
        let wire = self.owner(head.path).or(self.wires.first().copied());
        match wire {
            Some(wire) => say(wire, head, refusal),
            None => answer::refused(answer::empty(StatusCode::NOT_FOUND), refusal),
        }
    }
}

impl Voice for Speaker {
    fn refuse(&self, head: &RequestHead<'_>, refusal: server::Refusal) -> Response {
        let is_native = match head.route {
            Route::Compat(_) => false,
            Route::Other => is_native(head.path),
            _ => true,
        };
        match &self.native {
            Some(native) if is_native => native.refuse(head, refusal),
            _ => self.say(head, &Refusal::from(refusal)),
        }
    }

    fn finish(&self, response: Response, request_id: &HeaderValue) -> Response {
        match &self.native {
            Some(native) => native.finish(response, request_id),
            None => response,
        }
    }

    fn route(&self, _: &Method, path: &str) -> Route {
        let owner = self.owner(path);
        owner.map_or(Route::Other, |wire| Route::Compat(wire.dialect))
    }

    fn has_native_api(&self) -> bool {
        self.native.is_some()
    }
}

/// Whether the native API answers for a path, even if only to say that nothing is there.
pub(super) fn is_native(path: &str) -> bool {
    path.starts_with("/v1/") || Route::native(&Method::GET, path) != Route::Other
}

/// Words the refusal that a handler of this dialect ended with; other answers stay as they are.
pub(super) async fn word(
    State(wire): State<&'static Wire>,
    request: Request,
    next: Next,
) -> Response {
    let head = Head::of(&request, Route::Compat(wire.dialect));
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => say(wire, &head.borrow(), &refusal),
        None => response,
    }
}

fn say(wire: &Wire, head: &RequestHead<'_>, refusal: &Refusal) -> Response {
    let own = refusal
        .says
        .map(|(status, text)| Wording::new(status, text));
    let wording = own.or_else(|| Wording::common(refusal.code));
    let wording = wording.unwrap_or_else(|| (wire.wording)(head, refusal));
    let response = (wire.envelope)(head, refusal, &wording);
    answer::refused(response, refusal)
}

/// Not worded yet: `word` does that.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = answer::empty(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// What stands before every route refuses in its own terms.
impl From<server::Refusal> for Refusal {
    fn from(refusal: server::Refusal) -> Self {
        match refusal {
            server::Refusal::UriTooLong(_) => {
                Self::new(Code::UriTooLong, "path and query are too long")
            }
            server::Refusal::ForeignOrigin => {
                Self::new(Code::ForeignOrigin, "sent by a page of another site")
            }
            server::Refusal::IdempotencyKey => Self::new(
                Code::BadIdempotencyKey,
                "a key has 1 to 255 visible ASCII characters",
            ),
            server::Refusal::Unread => {
                Self::new(Code::Overloaded, "too many large answers are not read yet")
            }
            server::Refusal::Panic => Self::new(Code::Internal, "the log has the cause"),
        }
    }
}

/// What is kept of a request while its handler has it.
struct Head {
    route: Route,
    method: Method,
    uri: Uri,
    accept: Option<HeaderValue>,
}

impl Head {
    fn of(request: &Request, route: Route) -> Self {
        Self {
            route,
            method: request.method().clone(),
            uri: request.uri().clone(),
            accept: request.headers().get(header::ACCEPT).cloned(),
        }
    }

    fn borrow(&self) -> RequestHead<'_> {
        RequestHead {
            route: self.route,
            method: &self.method,
            path: self.uri.path(),
            accept: self.accept.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Currency, Dialect};

    /// The native API, as far as it can be told apart.
    struct Native;

    impl Voice for Native {
        fn refuse(&self, _: &RequestHead<'_>, _: server::Refusal) -> Response {
            answer::line(StatusCode::IM_A_TEAPOT, "native")
        }

        fn finish(&self, mut response: Response, request_id: &HeaderValue) -> Response {
            response
                .headers_mut()
                .insert("finished", request_id.clone());
            response
        }

        fn route(&self, _: &Method, _: &str) -> Route {
            Route::Other
        }

        fn has_native_api(&self) -> bool {
            true
        }
    }

    fn speaker(native: Option<Arc<dyn Voice>>) -> Speaker {
        let settings = DialectSettings {
            dialect: Dialect::TwoQueue,
            listen: Vec::new(),
            currency: Currency::USD,
            completed_word: "processed".into(),
            is_profiling: false,
        };
        Speaker::new(&[settings], native)
    }

    fn refused(speaker: &Speaker, path: &str, refusal: server::Refusal) -> Response {
        let head = RequestHead {
            route: speaker.route(&Method::POST, path),
            method: &Method::POST,
            path,
            accept: None,
        };
        speaker.refuse(&head, refusal)
    }

    #[test]
    fn the_owner_of_a_path_refuses_what_is_sent_to_it() {
        let speaker = speaker(Some(Arc::new(Native)));
        assert!(speaker.has_native_api());
        for (path, status) in [
            ("/order", 403),
            ("/order/x", 403),
            ("/metrics/pending", 403),
            ("/nothing", 403),
            ("/v1/orders", 418),
            ("/v1/nothing", 418),
            ("/metrics", 418),
        ] {
            let answer = refused(&speaker, path, server::Refusal::ForeignOrigin);
            assert_eq!(answer.status().as_u16(), status, "{path}");
            let error = answer.headers().get(answer::ORDERD_ERROR);
            assert_eq!(error.is_some(), status == 403, "{path}");
        }
        let route = |path| speaker.route(&Method::GET, path);
        assert_eq!(route("/order/x"), Route::Compat(Dialect::TwoQueue));
        assert_eq!(route("/orders"), Route::Other);
        let finished = speaker.finish(
            answer::empty(StatusCode::OK),
            &HeaderValue::from_static("r"),
        );
        assert_eq!(finished.headers()["finished"], "r");
    }

    #[test]
    fn without_the_native_api_a_dialect_speaks_everywhere() {
        let speaker = speaker(None);
        for (refusal, status, error) in [
            (server::Refusal::UriTooLong(9_000), 414, "uri-too-long; "),
            (server::Refusal::ForeignOrigin, 403, "foreign-origin; "),
            (
                server::Refusal::IdempotencyKey,
                400,
                "bad-idempotency-key; ",
            ),
            (server::Refusal::Unread, 503, "overloaded; "),
            (server::Refusal::Panic, 500, "internal; "),
        ] {
            let answer = refused(&speaker, "/v1/orders", refusal);
            assert_eq!(answer.status().as_u16(), status);
            let told = answer.headers()[answer::ORDERD_ERROR].to_str().unwrap();
            assert!(told.starts_with(error), "{told}");
        }
    }

    #[test]
    fn nobody_to_speak_is_still_an_answer() {
        let nobody = Speaker::new(&[], None);
        let answer = refused(&nobody, "/", server::Refusal::Panic);
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
}
