//! Reads the body of a request: what type it must have, how large it may be, how long it may take.
//!
//! Never holds more than the limit, and arms no timer for a body that has arrived already.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::code::Code;
use super::error::ApiError;

/// Largest body of one order, in bytes.
pub const ORDER_BYTES_MAX: usize = 1 << 20;
/// Largest body of a batch, in bytes.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// Bodies up to this many bytes need no room in the budget: connections are bounded, and so are
/// these.
const SMALL_BYTES: usize = 64 << 10;
/// Unit of the budget, in bytes.
const BUDGET_UNIT: usize = 1 << 10;

/// Room for all large bodies that are in memory at once.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    room: Arc<Semaphore>,
    timeout: Duration,
}

/// A body, and its room in the budget until it is dropped.
pub(super) struct WholeBody {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// Room for `bytes` in large bodies, at least one batch; each body must arrive within
    /// `timeout`.
    pub fn new(bytes: usize, timeout: Duration) -> Self {
        let units = bytes.max(BATCH_BYTES_MAX) / BUDGET_UNIT;
        Self {
            room: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            timeout,
        }
    }

    /// Reads a body of at most `limit` bytes. A large one waits for room first.
    pub(super) async fn read(&self, body: Body, limit: usize) -> Result<WholeBody, ApiError> {
        let size = body.size_hint();
        let too_large = || {
            let detail = format!("a body here may have {limit} bytes");
            ApiError::new(Code::BodyTooLarge, detail)
        };
        if size.lower() > limit as u64 {
            return Err(too_large());
        }
        let expected = size
            .upper()
            .map_or(limit, |upper| limit.min(upper as usize));
        let room = if expected > SMALL_BYTES {
            let units = u32::try_from(expected.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX);
            let room = self.room.clone().acquire_many_owned(units);
            let room = within(self.timeout, room).await;
            // The semaphore is never closed.
            Some(room.and_then(Result::ok).ok_or_else(|| {
                ApiError::new(Code::Overloaded, "too many large bodies are being read")
            })?)
        } else {
            None
        };
        let read = within(self.timeout, collect(body, limit)).await;
        match read {
            Some(Ok(Some(bytes))) => Ok(WholeBody { bytes, _room: room }),
            Some(Ok(None)) => Err(too_large()),
            Some(Err(_)) => Err(ApiError::new(
                Code::MalformedJson,
                "the body broke off before its end",
            )),
            None => {
                let seconds = self.timeout.as_secs();
                let detail = format!("the body did not arrive within {seconds} s");
                Err(ApiError::new(Code::RequestTimeout, detail))
            }
        }
    }
}

/// The body's bytes, without a copy if they came in one piece; `None` if they are more than
/// `limit`.
async fn collect(mut body: Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut first = Bytes::new();
    let mut all: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > limit {
            return Ok(None);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            if body.is_end_stream() {
                break;
            }
        } else {
            if all.is_empty() {
                let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                all.reserve(first.len() + data.len() + expected.min(limit));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(Some(if all.is_empty() { first } else { all.into() }))
}

/// Waits at most `limit`. A future that is ready at once costs no timer.
async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let at_once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(output) => Some(output),
        Poll::Pending => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/json`, or not said.
    Json,
    /// `application/x-ndjson`: one JSON value in each line.
    Lines,
}

/// The form that the headers announce. Fails for other types and for compressed bodies.
pub(super) fn media_type(headers: &HeaderMap) -> Result<MediaType, ApiError> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(ApiError::new(Code::UnsupportedEncoding, detail));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(MediaType::Json);
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(MediaType::Json)
    } else if essence.eq_ignore_ascii_case("application/x-ndjson")
        || essence.eq_ignore_ascii_case("application/ndjson")
    {
        Ok(MediaType::Lines)
    } else {
        let detail = "the body must be JSON; with curl add -H 'Content-Type: application/json'";
        Err(ApiError::new(Code::UnsupportedMediaType, detail))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::task::Context;

    use axum::http::HeaderValue;
    use hyper::body::Frame;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(50);

    /// A body that comes in pieces, does not say how long it is, and perhaps never ends.
    struct Pieces {
        left: VecDeque<&'static str>,
        ends: bool,
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            match self.left.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece))))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn pieces(left: &[&'static str], ends: bool) -> Body {
        let left = left.iter().copied().collect();
        Body::new(Pieces { left, ends })
    }

    async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Code> {
        let read = BodyBudget::new(0, TIMEOUT).read(body, limit).await;
        read.map(|body| body.bytes.to_vec())
            .map_err(|error| error.code())
    }

    #[tokio::test]
    async fn a_body_may_have_exactly_the_limit() {
        let too_large = Err(Code::BodyTooLarge);
        assert_eq!(read(Body::from("12345"), 5).await.unwrap(), b"12345");
        assert_eq!(read(Body::from("123456"), 5).await, too_large);
        assert_eq!(read(Body::empty(), 5).await.unwrap(), b"");
        let body = pieces(&["12", "", "345"], true);
        assert_eq!(read(body, 5).await.unwrap(), b"12345");
        let body = pieces(&["12", "345", "6"], true);
        assert_eq!(read(body, 5).await, too_large);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        for begun in [&[][..], &["12"]] {
            let body = pieces(begun, false);
            assert_eq!(read(body, 5).await, Err(Code::RequestTimeout));
        }
    }

    #[tokio::test]
    async fn a_large_body_waits_for_room_but_not_for_ever() {
        let bodies = BodyBudget::new(0, TIMEOUT);
        let large = || Body::from(vec![b' '; BATCH_BYTES_MAX]);
        let first = bodies.read(large(), BATCH_BYTES_MAX).await.ok().unwrap();
        let second = bodies.read(large(), BATCH_BYTES_MAX).await;
        assert_eq!(second.err().unwrap().code(), Code::Overloaded);
        let small = bodies.read(Body::from("x"), 5).await;
        assert!(small.is_ok());
        drop(first);
        assert!(bodies.read(large(), BATCH_BYTES_MAX).await.is_ok());
    }

    #[test]
    fn the_media_type_is_read_leniently() {
        let read = |value: &'static str| {
            let value = (header::CONTENT_TYPE, HeaderValue::from_static(value));
            media_type(&HeaderMap::from_iter([value])).map_err(|error| error.code())
        };
        assert_eq!(
            read("Application/JSON ; charset=utf-8"),
            Ok(MediaType::Json)
        );
        assert_eq!(read("application/x-ndjson"), Ok(MediaType::Lines));
        assert_eq!(read(""), Err(Code::UnsupportedMediaType));
        assert_eq!(read("text/json"), Err(Code::UnsupportedMediaType));
    }
}
