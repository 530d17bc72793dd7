//! Why a request is refused, in orderd's own words: a native code, and the field or the reason.
//!
//! The same for all dialects. How a dialect says it (status, text, envelope) is in the dialect's
//! file and in `answer`. Never holds what a client sent.

use std::borrow::Cow;

use axum::http::StatusCode;

use crate::engine::SubmitError;
use crate::order::Fault;
use crate::server::BodyError;
use crate::store::StoreError;

/// What went wrong: the codes of the native API that can come up here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "docs/errors.md explains each; a test compares them"
)]
pub enum Code {
    MalformedJson,
    TooDeep,
    WrongType,
    MissingField,
    UnknownField,
    OutOfRange,
    InvalidLength,
    InvalidCharacter,
    InvalidMoney,
    InvalidTime,
    UnsupportedMediaType,
    BadQuery,
    BadIdempotencyKey,
    ForeignOrigin,
    OrderNotFound,
    RouteNotFound,
    MethodNotAllowed,
    RequestTimeout,
    OrderExists,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    BodyTooLarge,
    UriTooLong,
    Internal,
    Corruption,
    Overloaded,
    Draining,
    StoreUnavailable,
    StorageFull,
    OutcomeUnknown,
}

/// Each code and its native name.
const NAMES: [(Code, &str); 30] = [
    (Code::MalformedJson, "malformed-json"),
    (Code::TooDeep, "too-deep"),
    (Code::WrongType, "wrong-type"),
    (Code::MissingField, "missing-field"),
    (Code::UnknownField, "unknown-field"),
    (Code::OutOfRange, "out-of-range"),
    (Code::InvalidLength, "invalid-length"),
    (Code::InvalidCharacter, "invalid-character"),
    (Code::InvalidMoney, "invalid-money"),
    (Code::InvalidTime, "invalid-time"),
    (Code::UnsupportedMediaType, "unsupported-media-type"),
    (Code::BadQuery, "bad-query"),
    (Code::BadIdempotencyKey, "bad-idempotency-key"),
    (Code::ForeignOrigin, "foreign-origin"),
    (Code::OrderNotFound, "order-not-found"),
    (Code::RouteNotFound, "route-not-found"),
    (Code::MethodNotAllowed, "method-not-allowed"),
    (Code::RequestTimeout, "request-timeout"),
    (Code::OrderExists, "order-exists"),
    (Code::IdempotencyKeyInUse, "idempotency-key-in-use"),
    (Code::IdempotencyKeyReused, "idempotency-key-reused"),
    (Code::BodyTooLarge, "body-too-large"),
    (Code::UriTooLong, "uri-too-long"),
    (Code::Internal, "internal"),
    (Code::Corruption, "corruption"),
    (Code::Overloaded, "overloaded"),
    (Code::Draining, "draining"),
    (Code::StoreUnavailable, "store-unavailable"),
    (Code::StorageFull, "storage-full"),
    (Code::OutcomeUnknown, "outcome-unknown"),
];

impl Code {
    /// The native name, which is also the first word of the `Orderd-Error` header.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// The code of a fault of a draft.
    fn of_fault(fault: &Fault) -> Self {
        let found = NAMES.iter().find(|(_, name)| *name == fault.code);
        found.map_or(Self::OutOfRange, |(code, _)| *code)
    }

    /// The status if the server is at fault, not the request: 503 where it would be fine at another
    /// time, else 500.
    pub fn server_fault(self) -> Option<StatusCode> {
        match self {
            Self::Overloaded
            | Self::Draining
            | Self::StoreUnavailable
            | Self::StorageFull
            | Self::OutcomeUnknown => Some(StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal | Self::Corruption => Some(StatusCode::INTERNAL_SERVER_ERROR),
            _ => None,
        }
    }
}

/// A refused request. Nothing of it is stored, except perhaps with `OutcomeUnknown`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What went wrong.
    pub code: Code,
    /// A JSON pointer into the body (RFC 6901), or a few words; ASCII.
    pub at: Cow<'static, str>,
    /// What the dialect says to it, where its rule has a text of its own.
    pub says: Option<(StatusCode, &'static str)>,
    /// When there is likely to be room, in seconds, if that is known.
    pub retry_after_seconds: Option<u32>,
}

/// How a dialect calls the fields of a draft: pairs of the draft's name and its own. What is not
/// listed has the same name.
pub type FieldNames = [(&'static str, &'static str)];

impl Refusal {
    /// A refusal of a whole request.
    pub fn new(code: Code, reason: &'static str) -> Self {
        Self {
            code,
            at: Cow::Borrowed(reason),
            says: None,
            retry_after_seconds: None,
        }
    }

    /// A refusal of one field, by the name it has in the body.
    pub fn field(code: Code, name: &str) -> Self {
        Self::at(code, format!("/{name}"))
    }

    /// A field that must be there is not.
    pub fn missing(name: &str) -> Self {
        Self::field(Code::MissingField, name)
    }

    /// A refusal of one element of a field that is a list.
    pub fn element(code: Code, name: &str, index: usize) -> Self {
        Self::at(code, format!("/{name}/{index}"))
    }

    fn at(code: Code, pointer: String) -> Self {
        Self {
            code,
            at: Cow::Owned(pointer),
            says: None,
            retry_after_seconds: None,
        }
    }

    /// The same, with the text that the dialect has for just this rule; the status is 400.
    pub fn saying(self, text: &'static str) -> Self {
        self.answering(StatusCode::BAD_REQUEST, text)
    }

    /// The same, with the status and text that the dialect has for just this rule.
    pub fn answering(self, status: StatusCode, text: &'static str) -> Self {
        Self {
            says: Some((status, text)),
            ..self
        }
    }

    /// The field that is wrong; empty if it is not about one.
    pub fn name(&self) -> &str {
        let pointer = self.at.strip_prefix('/').unwrap_or_default();
        pointer.split('/').next().unwrap_or_default()
    }

    /// What is said first of all that is wrong with a draft: its id, then texts that are too long,
    /// then characters, then the number of items.
    pub fn of_faults(faults: &[Fault], names: &FieldNames) -> Self {
        let rank = |fault: &&Fault| match (&*fault.pointer, fault.code) {
            ("/order_id", _) => 0,
            ("/items", _) => 3,
            (_, "invalid-length") => 1,
            _ => 2,
        };
        let Some(fault) = faults.iter().min_by_key(rank) else {
            return Self::new(Code::Internal, "refused without a fault");
        };
        let pointer = fault.pointer.trim_start_matches('/');
        let (own, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
        let name = names.iter().find(|(draft, _)| *draft == own);
        let name = name.map_or(own, |(_, name)| name);
        Self::at(Code::of_fault(fault), format!("/{name}{rest}"))
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => {
                Self::new(Code::BodyTooLarge, "a body here may have 1 MiB")
            }
            BodyError::NoRoom { waited_seconds } => Self {
                retry_after_seconds: Some(waited_seconds),
                ..Self::new(Code::Overloaded, "too many large bodies are being read")
            },
            BodyError::Broken => {
                Self::new(Code::MalformedJson, "the body broke off before its end")
            }
            BodyError::TooSlow { .. } => {
                Self::new(Code::RequestTimeout, "the body did not arrive in time")
            }
        }
    }
}

impl From<SubmitError> for Refusal {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Exists { .. } => Self::new(Code::OrderExists, "another order has this id"),
            SubmitError::KeyTaken => Self::new(Code::IdempotencyKeyInUse, "the key is being used"),
            SubmitError::Overloaded {
                retry_after_seconds,
            } => Self {
                retry_after_seconds: Some(retry_after_seconds),
                ..Self::new(Code::Overloaded, "too many open orders")
            },
            SubmitError::Draining => Self::new(Code::Draining, "the server is shutting down"),
            SubmitError::StoreUnavailable { .. } => {
                Self::new(Code::StoreUnavailable, "the order is not stored")
            }
            SubmitError::StorageFull { .. } => {
                Self::new(Code::StorageFull, "the order is not stored")
            }
            SubmitError::OutcomeUnknown => Self::new(
                Code::OutcomeUnknown,
                "it is not known whether the order is stored",
            ),
        }
    }
}

/// An error of a read.
impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a read failed");
        match error {
            StoreError::BadRow { .. } => Self::new(Code::Corruption, "what is stored is damaged"),
            _ => Self::new(Code::StoreUnavailable, "the store could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::OrderId;

    #[test]
    fn every_code_is_a_documented_one() {
        let document = include_str!("../../docs/errors.md");
        for (at, (code, name)) in NAMES.iter().enumerate() {
            assert_eq!(*code as usize, at, "{name}");
            assert!(document.contains(&format!("| `{name}` |")), "{name}");
        }
        assert_eq!(NAMES.len(), Code::OutcomeUnknown as usize + 1);
    }

    #[test]
    fn a_fault_keeps_its_place_under_the_name_of_the_dialect() {
        let names = [("customer_id", "user_id"), ("items", "item_ids")];
        let of = |pointer: &str, code| {
            let fault = Fault::new(pointer, code, "");
            Refusal::of_faults(&[fault], &names)
        };
        let item = of("/items/3", "invalid-character");
        assert_eq!(
            (item.code, &*item.at),
            (Code::InvalidCharacter, "/item_ids/3")
        );
        assert_eq!(item.name(), "item_ids");
        assert_eq!(of("/items", "invalid-length").at, "/item_ids");
        assert_eq!(of("/notes", "invalid-length").at, "/notes");
        assert_eq!(of("/items_extra", "invalid-length").at, "/items_extra");
        assert_eq!(Refusal::new(Code::TooDeep, "deep").name(), "");
    }

    #[test]
    fn faults_are_said_in_the_order_of_the_tables() {
        let faults = [
            Fault::new("/items", "invalid-length", ""),
            Fault::new("/address", "invalid-character", ""),
            Fault::new("/items/7", "invalid-length", ""),
            Fault::new("/order_id", "invalid-character", ""),
        ];
        let said = |faults: &[Fault]| Refusal::of_faults(faults, &[]).at.into_owned();
        assert_eq!(said(&faults), "/order_id");
        assert_eq!(said(&faults[..3]), "/items/7");
        assert_eq!(said(&faults[..2]), "/address");
        assert_eq!(said(&faults[..1]), "/items");
    }

    #[test]
    fn an_order_that_was_not_accepted_has_its_native_code_and_503() {
        let detail = || "disk I/O error".into();
        for (error, name) in [
            (
                SubmitError::Overloaded {
                    retry_after_seconds: 7,
                },
                "overloaded",
            ),
            (SubmitError::Draining, "draining"),
            (
                SubmitError::StoreUnavailable { detail: detail() },
                "store-unavailable",
            ),
            (
                SubmitError::StorageFull { detail: detail() },
                "storage-full",
            ),
            (SubmitError::OutcomeUnknown, "outcome-unknown"),
        ] {
            let refusal = Refusal::from(error);
            assert_eq!(refusal.code.name(), name);
            assert_eq!(
                refusal.code.server_fault(),
                Some(StatusCode::SERVICE_UNAVAILABLE)
            );
            assert!(!refusal.at.contains("disk"), "{refusal:?}");
        }
        let id = OrderId::parse("taken").unwrap();
        let taken = Refusal::from(SubmitError::Exists { id });
        assert_eq!(
            (taken.code, taken.code.server_fault()),
            (Code::OrderExists, None)
        );
        assert!(!taken.at.contains("taken"));
    }

    #[test]
    fn a_read_that_failed_tells_nothing_of_the_inside() {
        let detail = "disk I/O error".to_owned();
        let refusal = Refusal::from(StoreError::Unreadable { detail });
        assert_eq!(refusal.code, Code::StoreUnavailable);
        assert!(!refusal.at.contains("disk"));
    }
}
