//! The one error of the HTTP floor. It alone turns what went wrong into a status and a problem
//! document.
//!
//! Answers are `application/problem+json` (RFC 9457). Nothing internal is told to clients: causes
//! go to the log, once, here.

mod refusal;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::code::Code;
use super::render;
use crate::engine::SubmitError;
use crate::order::{Fault, OrderId, StatusKind};
use crate::server::BodyError;
use crate::store::StoreError;
use crate::telling::WebhookError;

/// Most faults that are kept of one order and listed; the rest is counted. A batch can have 10,000
/// orders, and a thousand faults in each.
const FAULTS_MAX: usize = 20;
/// Seconds after which a client may try again where nobody knows better.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Stops a page from being taken for something else by a browser.
pub(super) const NOSNIFF: (HeaderName, HeaderValue) = (
    header::X_CONTENT_TYPE_OPTIONS,
    HeaderValue::from_static("nosniff"),
);

/// Why a request is refused. Cheap to clone: it travels in the extensions of a response until the
/// request's id is known.
#[derive(Clone, Debug)]
pub struct ApiError(Arc<Problem>);

#[derive(Clone, Debug)]
struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    faults_left_out: usize,
    holder: Option<OrderId>,
    found: Option<Found>,
    retry_after_seconds: Option<u32>,
}

/// How an order was found that a change was asked of.
#[derive(Clone, Copy, Debug)]
struct Found {
    status: Option<StatusKind>,
    version: Option<u32>,
}

impl Problem {
    fn new(code: Code, detail: Cow<'static, str>) -> Self {
        Self {
            code,
            detail,
            faults: Vec::new(),
            faults_left_out: 0,
            holder: None,
            found: None,
            retry_after_seconds: None,
        }
    }
}

impl ApiError {
    /// An error with a sentence about this very request.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Problem::new(code, detail.into())))
    }

    /// The order breaks rules; `faults` is not empty.
    pub fn invalid_order(faults: Vec<Fault>) -> Self {
        Self::invalid(Code::InvalidOrder, faults)
    }

    /// What is asked of an order breaks rules; `faults` is not empty.
    pub fn invalid_change(faults: Vec<Fault>) -> Self {
        Self::invalid(Code::InvalidChange, faults)
    }

    /// What is asked of a webhook breaks rules; `faults` is not empty.
    pub fn invalid_webhook(faults: Vec<Fault>) -> Self {
        Self::invalid(Code::InvalidWebhook, faults)
    }

    /// A change came too late: the order has this status for good.
    pub fn not_open(status: StatusKind, version: u32) -> Self {
        if !status.is_final() {
            let detail = "this server does not know the order's process; its log has more";
            return Self::new(Code::Internal, detail);
        }
        let detail = format!("the order has ended: it is {}", status.name());
        let found = Found {
            status: Some(status),
            version: Some(version),
        };
        Self::found(Code::OrderEnded, detail, found)
    }

    /// A change was not decided, or it is not known whether it is made.
    pub fn change_failed(error: SubmitError) -> Self {
        match error {
            SubmitError::OutcomeUnknown => {
                let detail = "the change is not on disk yet, and may still be made";
                Self::new(Code::OutcomeUnknown, detail)
            }
            SubmitError::StorageFull { .. } => {
                let detail = "nothing is changed; the server's disk is full";
                Self::new(Code::StorageFull, detail)
            }
            SubmitError::StoreUnavailable { .. } => {
                let detail = "nothing is changed; the server's log has the cause";
                Self::new(Code::StoreUnavailable, detail)
            }
            error => error.into(),
        }
    }

    /// There is no room for a large answer; nothing was done.
    pub fn unread() -> Self {
        let detail = "too many large answers are not read yet";
        Self::new(Code::Overloaded, detail)
    }

    /// A change is made and on disk, but the order cannot be shown.
    pub fn change_made() -> Self {
        let detail = "the change is made and on disk; the order could not be read again";
        Self::new(Code::OutcomeUnknown, detail)
    }

    /// An order changed again and again while a change of it was asked for.
    pub fn busy_order() -> Self {
        let detail = "the order changes too fast; nothing is changed";
        Self::new(Code::Overloaded, detail)
    }

    fn found(code: Code, detail: String, found: Found) -> Self {
        Self(Arc::new(Problem {
            found: Some(found),
            ..Problem::new(code, detail.into())
        }))
    }

    fn invalid(code: Code, mut faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [fault] if fault.pointer.is_empty() => fault.detail.clone(),
            [fault] => format!("{}: {}", fault.pointer, fault.detail),
            [first, ..] => {
                let count = faults.len();
                format!("{count} faults; first {}: {}", first.pointer, first.detail)
            }
            [] => String::new(),
        };
        let faults_left_out = faults.len().saturating_sub(FAULTS_MAX);
        faults.truncate(FAULTS_MAX);
        faults.shrink_to_fit();
        Self(Arc::new(Problem {
            faults,
            faults_left_out,
            ..Problem::new(code, detail.into())
        }))
    }

    /// No order has this id.
    pub fn order_not_found() -> Self {
        Self::new(Code::OrderNotFound, "no order has this id")
    }

    /// Which code it has.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The status it is answered with.
    pub fn status(&self) -> u16 {
        self.0.code.entry().status
    }

    /// Seconds after which the same request may succeed, if the server is in its way.
    fn retry_after_seconds(&self) -> Option<u32> {
        let is_for_now = matches!(self.status(), 429 | 503);
        is_for_now.then(|| self.0.retry_after_seconds.unwrap_or(RETRY_AFTER_SECONDS))
    }

    /// What is wrong, for people.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong, field by field, as far as it is listed; empty if it is not about fields.
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// Appends the problem document.
    pub fn write(&self, out: &mut Vec<u8>, request_id: Option<&str>) {
        let entry = self.0.code.entry();
        out.extend_from_slice(b"{\"type\":\"/errors/");
        out.extend_from_slice(entry.name.as_bytes());
        out.extend_from_slice(b"\",\"title\":");
        render::text(out, entry.title);
        out.extend_from_slice(b",\"status\":");
        render::number(out, entry.status);
        out.extend_from_slice(b",\"detail\":");
        render::text(out, &self.0.detail);
        out.extend_from_slice(b",\"code\":");
        render::text(out, entry.name);
        if let Some(holder) = &self.0.holder {
            out.extend_from_slice(b",\"order_id\":");
            render::text(out, holder.as_str());
        }
        if let Some(status) = self.0.found.and_then(|found| found.status) {
            out.extend_from_slice(b",\"order_status\":");
            render::text(out, status.name());
        }
        if let Some(version) = self.0.found.and_then(|found| found.version) {
            out.extend_from_slice(b",\"order_version\":");
            render::number(out, version);
        }
        if let Some(seconds) = self.retry_after_seconds() {
            out.extend_from_slice(b",\"retry_after\":");
            render::number(out, seconds);
        }
        if !self.0.faults.is_empty() {
            write_faults(out, &self.0.faults, self.0.faults_left_out);
        }
        if let Some(id) = request_id {
            out.extend_from_slice(b",\"request_id\":");
            render::text(out, id);
        }
        out.push(b'}');
    }

    fn headers(&self, headers: &mut HeaderMap) {
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(NOSNIFF.0, NOSNIFF.1);
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(location) = self.0.holder.as_ref().and_then(render::location) {
            headers.insert(header::LOCATION, location);
        }
    }

    /// The finished answer to a request with this id.
    pub(super) fn answer(&self, request_id: Option<&str>) -> Response {
        let mut body = Vec::with_capacity(256);
        self.write(&mut body, request_id);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.headers(response.headers_mut());
        response
    }
}

fn write_faults(out: &mut Vec<u8>, faults: &[Fault], left_out: usize) {
    out.extend_from_slice(b",\"errors\":[");
    for (at, fault) in faults.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"pointer\":");
        render::text(out, &fault.pointer);
        out.extend_from_slice(b",\"code\":");
        render::text(out, fault.code);
        out.extend_from_slice(b",\"detail\":");
        render::text(out, &fault.detail);
        out.push(b'}');
    }
    out.push(b']');
    if left_out > 0 {
        out.extend_from_slice(b",\"errors_left_out\":");
        render::number(out, left_out);
    }
}

/// The answer without a request id, and the error in its extensions: `front` finishes it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.answer(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge { .. } => Code::BodyTooLarge,
            BodyError::NoRoom { .. } => Code::Overloaded,
            BodyError::Broken => Code::MalformedJson,
            BodyError::TooSlow { .. } => Code::RequestTimeout,
        };
        let mut problem = Problem::new(code, error.to_string().into());
        if let BodyError::NoRoom { waited_seconds } = error {
            problem.retry_after_seconds = Some(waited_seconds);
        }
        Self(Arc::new(problem))
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let code = match &error {
            SubmitError::Exists { .. } => Code::OrderExists,
            SubmitError::KeyTaken => Code::IdempotencyKeyInUse,
            SubmitError::Overloaded { .. } => Code::Overloaded,
            SubmitError::Draining => Code::Draining,
            SubmitError::StoreUnavailable { .. } => Code::StoreUnavailable,
            SubmitError::StorageFull { .. } => Code::StorageFull,
            SubmitError::OutcomeUnknown => Code::OutcomeUnknown,
        };
        if code == Code::StorageFull {
            let detail = "too little is free on the server's disk; the order is not stored";
            return Self::new(code, detail);
        }
        if code == Code::StoreUnavailable {
            // The engine logs the cause; what a store says may name files of the machine.
            let detail = "the order is not stored; the server's log has the cause";
            return Self::new(code, detail);
        }
        let mut problem = Problem::new(code, error.to_string().into());
        match error {
            SubmitError::Exists { id } => problem.holder = Some(id),
            SubmitError::Overloaded {
                retry_after_seconds,
            } => problem.retry_after_seconds = Some(retry_after_seconds),
            _ => {}
        }
        Self(Arc::new(problem))
    }
}

/// A change that the order does not allow.
impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        let code = match &error {
            WebhookError::NotFound => Code::WebhookNotFound,
            WebhookError::TooMany => Code::WebhookBusy,
            WebhookError::KeyTaken => Code::IdempotencyKeyInUse,
            WebhookError::Store(cause) => {
                tracing::error!(error = %cause, "a webhook is not kept");
                let detail = cause.to_string().into();
                let refused = SubmitError::StoreUnavailable { detail };
                let told = error.is_definite().then_some(refused);
                return Self::change_failed(told.unwrap_or(SubmitError::OutcomeUnknown));
            }
        };
        Self::new(code, error.to_string())
    }
}

/// An error of a read.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a read failed");
        match error {
            StoreError::BadRow {
                table: table @ "journal",
                key,
                ..
            } => {
                let detail = format!("row {key} of the {table} is damaged; it is shown to nobody");
                Self::new(Code::Corruption, detail)
            }
            StoreError::BadRow { .. } => {
                let detail = "what is stored of it is damaged; it is shown to nobody";
                Self::new(Code::Corruption, detail)
            }
            _ => Self::new(Code::StoreUnavailable, "the store could not be read"),
        }
    }
}
