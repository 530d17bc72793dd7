//! Reads the body of a request: how large it may be, how long it may take.
//!
//! Never holds more than the limit, and arms no timer for a body that has arrived already. What is
//! in a body is not looked at.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::room::{BUDGET_UNIT, Room, SMALL_BYTES};

/// Largest body of one order, in bytes.
pub const ORDER_BYTES_MAX: usize = 1 << 20;
/// Largest body of a batch, in bytes.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// How long the whole body of a request may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Room for all bodies above 64 KiB that are in memory at once, in bytes.
pub const BODY_BUDGET_BYTES: usize = 256 << 20;

/// Room for all large bodies that are in memory at once.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    room: Arc<Semaphore>,
    timeout: Duration,
}

/// A body, and its room in the budget until that is dropped.
#[derive(Debug)]
pub struct WholeBody {
    /// All of it.
    pub bytes: Bytes,
    /// Its room.
    pub room: Room,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It has more bytes than it may have here.
    #[error("a body here may have {limit} bytes")]
    TooLarge {
        /// As many as it may have.
        limit: usize,
    },
    /// Too many large bodies are being read.
    #[error("too many large bodies are being read")]
    NoRoom {
        /// How long it waited for room in vain; those who are still before it need longer.
        waited_seconds: u32,
    },
    /// The connection ended first.
    #[error("the body broke off before its end")]
    Broken,
    /// It took longer than this.
    #[error("the body did not arrive within {seconds} s")]
    TooSlow {
        /// As long as it may take.
        seconds: u64,
    },
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
    ///
    /// # Errors
    ///
    /// [`BodyError`]: there is no whole body of that size in time.
    pub async fn read(&self, body: Body, limit: usize) -> Result<WholeBody, BodyError> {
        let size = body.size_hint();
        if size.lower() > limit as u64 {
            return Err(BodyError::TooLarge { limit });
        }
        let expected = size
            .upper()
            .map_or(limit, |upper| limit.min(upper as usize));
        let room = if expected > SMALL_BYTES {
            let units = u32::try_from(expected.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX);
            let room = self.room.clone().acquire_many_owned(units);
            let room = within(self.timeout, room).await;
            // The semaphore is never closed.
            let waited_seconds = u32::try_from(self.timeout.as_secs()).unwrap_or(u32::MAX);
            let no_room = BodyError::NoRoom {
                waited_seconds: waited_seconds.max(1),
            };
            Room::of(room.and_then(Result::ok).ok_or(no_room)?)
        } else {
            Room::default()
        };
        match within(self.timeout, collect(body, limit)).await {
            Some(Ok(Some(bytes))) => Ok(WholeBody { bytes, room }),
            Some(Ok(None)) => Err(BodyError::TooLarge { limit }),
            Some(Err(_)) => Err(BodyError::Broken),
            None => Err(BodyError::TooSlow {
                seconds: self.timeout.as_secs(),
            }),
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::task::Context;

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

    async fn read(body: Body, limit: usize) -> Result<Vec<u8>, BodyError> {
        let read = BodyBudget::new(0, TIMEOUT).read(body, limit).await;
        read.map(|body| body.bytes.to_vec())
    }

    #[tokio::test]
    async fn a_body_may_have_exactly_the_limit() {
        let too_large = Err(BodyError::TooLarge { limit: 5 });
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
            assert_eq!(read(body, 5).await, Err(BodyError::TooSlow { seconds: 0 }));
        }
    }

    #[tokio::test]
    async fn a_large_body_waits_for_room_but_not_for_ever() {
        let bodies = BodyBudget::new(0, TIMEOUT);
        let large = || Body::from(vec![b' '; BATCH_BYTES_MAX]);
        let first = bodies.read(large(), BATCH_BYTES_MAX).await.ok().unwrap();
        let second = bodies.read(large(), BATCH_BYTES_MAX).await;
        assert_eq!(second.err(), Some(BodyError::NoRoom { waited_seconds: 1 }));
        let small = bodies.read(Body::from("x"), 5).await;
        assert!(small.is_ok());
        drop(first);
        assert!(bodies.read(large(), BATCH_BYTES_MAX).await.is_ok());
    }
}
