//! The client: one call, one answer, both bounded. Connections are kept and used again, a few for
//! each host.
//!
//! An error says whether the call may have reached the other side. Nothing is tried again here, and
//! no redirect is followed: it would lead around what was checked and signed.

use std::error::Error as _;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use thiserror::Error;

use super::address::Allowed;
use super::connect::{ConnectError, Connector};
use super::target::Target;

/// How long a connection is kept without a call.
const IDLE: Duration = Duration::from_secs(30);
/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most headers of an answer.
const HEADERS_MAX: usize = 100;

/// What a client may do.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Private networks and hosts that may be called.
    pub allowed: Allowed,
    /// How long a connection may take to be made, TLS and the look-up of the name included.
    pub connect_timeout: Duration,
    /// Connections to one host that are kept while nothing is called.
    pub idle_per_host_max: usize,
    /// Largest body of an answer, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for ClientSettings {
    /// Public addresses only, 5 s to connect, 32 connections kept, answers up to 64 KiB.
    fn default() -> Self {
        Self {
            allowed: Allowed::default(),
            connect_timeout: Duration::from_secs(5),
            idle_per_host_max: 32,
            answer_bytes_max: 64 << 10,
        }
    }
}

/// Calls others. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    answer_bytes_max: usize,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Call {
    request: Request<Full<Bytes>>,
    bad_header: Option<&'static str>,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, if it was given as a number.
    pub retry_after_seconds: Option<u32>,
    /// The body as it came; empty if nobody asked for it.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// The other side does not know of the call: no connection was made, or none is allowed.
    #[error("{detail}")]
    NotSent {
        /// What is in the way, for people.
        detail: String,
        /// The address belongs to a private network that nobody has named.
        is_private: bool,
    },
    /// No whole answer came in time. The call may have been taken.
    #[error("no answer within {} ms", limit.as_millis())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The connection broke before the answer was whole. The call may have been taken.
    #[error("the connection broke: {detail}")]
    Broken {
        /// What the connection said.
        detail: String,
    },
    /// The answer is larger than it may be. The call was taken.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl CallError {
    /// Whether the other side may have taken the call.
    pub fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::NotSent { .. })
    }
}

impl Call {
    /// A POST with a JSON body.
    pub fn post(target: &Target, body: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self::of(Method::POST, target, body.into()).with(CONTENT_TYPE, json)
    }

    /// A GET.
    pub fn get(target: &Target) -> Self {
        Self::of(Method::GET, target, Bytes::new())
    }

    fn of(method: Method, target: &Target, body: Bytes) -> Self {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.uri.clone();
        let agent = HeaderValue::from_static(concat!("orderd/", env!("CARGO_PKG_VERSION")));
        let bad_header = None;
        Self {
            request,
            bad_header,
        }
        .with(USER_AGENT, agent)
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.headers_mut().insert(name, value);
        self
    }

    /// The call with a header; its name is lower case. A value that no header can have fails the
    /// call.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.with(HeaderName::from_static(name), value),
            Err(_) => {
                self.bad_header = Some(name);
                self
            }
        }
    }
}

impl Client {
    /// A client that may do so much. Makes no connection yet.
    pub fn new(settings: ClientSettings) -> Self {
        let connector = Connector::new(settings.allowed, settings.connect_timeout);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(settings.idle_per_host_max)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX);
        Self {
            http: builder.build(connector),
            answer_bytes_max: settings.answer_bytes_max,
        }
    }

    /// Makes a call; the whole answer must be there within `timeout`.
    ///
    /// # Errors
    ///
    /// There is no whole answer; each says whether the call may have arrived.
    pub async fn call(&self, call: Call, timeout: Duration) -> Result<Answer, CallError> {
        let answered = self.within(call, timeout, |mut answer, body| async move {
            answer.body = self.whole(body).await?;
            Ok(answer)
        });
        answered.await
    }

    /// Makes a call of whose answer only status and `Retry-After` matter: they must be there within
    /// `timeout`. What follows them is not waited for, whatever its size.
    ///
    /// # Errors
    ///
    /// There is no answer; each says whether the call may have arrived.
    pub async fn notify(&self, call: Call, timeout: Duration) -> Result<Answer, CallError> {
        self.within(call, timeout, |answer, _| async move { Ok(answer) })
            .await
    }

    /// Makes a call, and does the rest with the answer, all in time.
    async fn within<F>(
        &self,
        call: Call,
        timeout: Duration,
        rest: impl FnOnce(Answer, Incoming) -> F,
    ) -> Result<Answer, CallError>
    where
        F: Future<Output = Result<Answer, CallError>>,
    {
        if let Some(name) = call.bad_header {
            return Err(CallError::NotSent {
                detail: format!("the header {name} cannot have that value"),
                is_private: false,
            });
        }
        let exchange = async {
            let response = self.http.request(call.request).await;
            let (head, body) = response.map_err(|error| not_answered(&error))?.into_parts();
            let retry_after = head
                .headers
                .get(RETRY_AFTER)
                .and_then(|it| it.to_str().ok());
            let answer = Answer {
                status: head.status.as_u16(),
                retry_after_seconds: retry_after.and_then(|it| it.trim().parse().ok()),
                body: Bytes::new(),
            };
            rest(answer, body).await
        };
        let answered = tokio::time::timeout(timeout, exchange).await;
        answered.unwrap_or(Err(CallError::TimedOut { limit: timeout }))
    }

    async fn whole(&self, body: Incoming) -> Result<Bytes, CallError> {
        let limit = self.answer_bytes_max;
        let collected = Limited::new(body, limit).collect().await;
        let body = collected.map_err(|error| match error.downcast_ref() {
            Some(LengthLimitError { .. }) => CallError::TooLarge { limit },
            None => CallError::Broken {
                detail: error.to_string(),
            },
        })?;
        Ok(body.to_bytes())
    }
}

fn not_answered(error: &legacy::Error) -> CallError {
    let cause = error.source();
    if error.is_connect() {
        let known = cause.and_then(|cause| cause.downcast_ref::<ConnectError>());
        return CallError::NotSent {
            detail: known.map_or_else(|| error.to_string(), ToString::to_string),
            is_private: matches!(known, Some(ConnectError::Private { .. })),
        };
    }
    let detail = cause.map_or_else(|| error.to_string(), ToString::to_string);
    CallError::Broken { detail }
}
