//! Idempotency keys over HTTP: reads the header, and sends a kept answer again.
//!
//! Whether a key is taken is never decided here: the store decides that when an order is committed,
//! and only then is looked up what was answered.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::faults::{self, Bug};
use crate::order::{BadKey, KeptAnswer, RequestKey};
use crate::store::{Store, StoreError};

/// The request header with the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The answer header that says: this was answered before.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Why a request that was not accepted has no first answer either.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nothing was accepted under its key.
    Unknown,
    /// Something else was accepted under its key.
    OtherRequest,
    /// What is kept under its key is damaged.
    Damaged(StoreError),
    /// The store cannot be read: whatever was not known before is not known now either.
    Unreadable,
}

/// The key of a request to the route `scope` that sent these bytes, if it has one.
///
/// # Errors
///
/// [`BadKey`] if it is none, or if there are several.
pub fn request_key(
    headers: &HeaderMap,
    scope: impl Into<Cow<'static, str>>,
    sent: &[u8],
) -> Result<Option<RequestKey>, BadKey> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => RequestKey::new(scope, key.as_bytes(), fingerprint(sent)).map(Some),
        _ => Err(BadKey),
    }
}

/// SHA-256 of what was sent.
pub fn fingerprint(sent: &[u8]) -> [u8; 32] {
    Sha256::digest(sent).into()
}

/// What a door says to a request that is not accepted, as far as its key matters.
pub trait Refused: From<StoreError> {
    /// The id of its order is taken, so its key was free, or over.
    fn is_id_taken(&self) -> bool;

    /// Its key is taken.
    fn is_key_in_use(&self) -> bool;

    /// Another request was accepted under its key.
    fn key_reused() -> Self;

    /// Something came under its key, and what was answered cannot be read.
    fn outcome_unknown() -> Self;
}

/// What was answered the first time to a request that is refused now, if this is a repetition of
/// it.
///
/// # Errors
///
/// The refusal, or what is known better: see [`Refused`].
pub async fn first_answer_or<R: Refused>(
    store: &dyn Store,
    key: Option<&RequestKey>,
    expired_before: Timestamp,
    refusal: R,
) -> Result<KeptAnswer, R> {
    let Some(key) = key else {
        return Err(refusal);
    };
    let first = first_answer(store, key, expired_before, refusal.is_id_taken()).await;
    first.map_err(|none| match none {
        NoAnswer::OtherRequest => R::key_reused(),
        NoAnswer::Damaged(error) => error.into(),
        NoAnswer::Unreadable if refusal.is_key_in_use() => R::outcome_unknown(),
        NoAnswer::Unknown | NoAnswer::Unreadable => refusal,
    })
}

/// What was answered the first time to a request that is not accepted now, if it is a repetition.
/// That also resolves answers that were lost, whatever the engine says now. What was kept before
/// `expired_before` is over. `is_id_taken`: the engine says that the id is taken, so the key was
/// free, or over.
///
/// # Errors
///
/// [`NoAnswer`].
pub async fn first_answer(
    store: &dyn Store,
    key: &RequestKey,
    expired_before: Timestamp,
    is_id_taken: bool,
) -> Result<KeptAnswer, NoAnswer> {
    match store.kept_key(&key.scope, &key.key).await {
        Ok(Some(kept)) if kept.kept_at < expired_before => Err(NoAnswer::Unknown),
        Ok(Some(kept)) if kept.fingerprint == key.fingerprint => {
            faults::point("answers-kept-found");
            Ok(kept.answer)
        }
        Ok(Some(_)) if !is_id_taken => Err(NoAnswer::OtherRequest),
        Err(error) if !is_id_taken => Err(unreadable(error)),
        _ => Err(NoAnswer::Unknown),
    }
}

fn unreadable(error: StoreError) -> NoAnswer {
    let is_damaged = matches!(error, StoreError::BadRow { .. });
    if is_damaged || faults::is_planted(Bug::UnknownCalledUnavailable) {
        return NoAnswer::Damaged(error);
    }
    tracing::error!(%error, "what is kept under an idempotency key cannot be read");
    NoAnswer::Unreadable
}

/// An answer from before, byte for byte, marked as such.
pub fn replayed(answer: KeptAnswer) -> Response {
    let mut response = sent(answer);
    let marked = HeaderValue::from_static("true");
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, marked);
    response
}

/// An answer that can be kept, as it leaves the first time.
pub fn sent(answer: KeptAnswer) -> Response {
    let KeptAnswer {
        status,
        content_type,
        location,
        etag,
        body,
    } = answer;
    let mut response = Response::new(Body::from(Vec::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    let mut text = |name: HeaderName, value: &str| {
        // What left as a header once can leave as one again.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    text(header::CONTENT_TYPE, &content_type);
    if let Some(location) = &location {
        text(header::LOCATION, location);
    }
    if let Some(etag) = &etag {
        text(header::ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_no_key_or_one_good_one() {
        let headers = |keys: &[&'static str]| {
            let named = |key| (IDEMPOTENCY_KEY, HeaderValue::from_static(key));
            keys.iter().copied().map(named).collect::<HeaderMap>()
        };
        let read = |keys: &[&'static str]| request_key(&headers(keys), "test", b"body");
        assert_eq!(read(&[]), Ok(None));
        let key = read(&["k-1"]).unwrap().unwrap();
        assert_eq!((&*key.scope, &*key.key), ("test", "k-1"));
        assert_eq!(key.fingerprint, fingerprint(b"body"));
        for bad in [&[""][..], &["a b"], &["a", "a"]] {
            assert_eq!(read(bad), Err(BadKey), "{bad:?}");
        }
    }

    #[test]
    fn an_answer_leaves_again_as_it_was() {
        let response = replayed(KeptAnswer {
            status: 201,
            content_type: "application/json".into(),
            location: Some("/v1/orders/a".into()),
            etag: Some("\"1\"".into()),
            body: (*b"{}").into(),
        });
        assert_eq!(response.status(), 201);
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(headers[header::LOCATION], "/v1/orders/a");
        assert_eq!(headers[header::ETAG], "\"1\"");
        assert_eq!(headers[IDEMPOTENCY_REPLAYED], "true");
    }
}
