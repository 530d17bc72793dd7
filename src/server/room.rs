//! Room for large answers: how much may be in memory at once that clients have not read yet.
//!
//! Small answers need none: connections are bounded, and so are these. Knows nothing of what is in
//! an answer, and never takes one back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for all answers above 64 KiB that are in memory at once, in bytes.
pub(super) const ANSWER_BUDGET_BYTES: usize = 256 << 20;
/// Bodies and answers up to this many bytes need no room.
pub(super) const SMALL_BYTES: usize = 64 << 10;
/// Unit of the budgets, in bytes.
pub(super) const BUDGET_UNIT: usize = 1 << 10;

/// Room for all large answers that are in memory at once.
#[derive(Clone, Debug)]
pub(super) struct AnswerBudget {
    room: Arc<Semaphore>,
    units: usize,
}

/// Room for one answer, until it is dropped; none for a small one.
#[derive(Clone, Debug, Default)]
pub struct Room(Option<Arc<OwnedSemaphorePermit>>);

impl AnswerBudget {
    /// Room for `bytes` in large answers.
    pub(super) fn new(bytes: usize) -> Self {
        let units = (bytes / BUDGET_UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(units)),
            units,
        }
    }

    /// Room for an answer of about this many bytes, after waiting for it. `None`: others fill it
    /// for longer than that. An answer above the whole budget takes all of it.
    pub(super) async fn wait(&self, bytes: usize, patience: Duration) -> Option<Room> {
        if let Some(room) = self.take(bytes) {
            return Some(room);
        }
        let room = Arc::clone(&self.room).acquire_many_owned(self.units_of(bytes));
        let permit = tokio::time::timeout(patience, room).await.ok()?.ok()?;
        Some(Room::of(permit))
    }

    /// The same at once.
    pub(super) fn take(&self, bytes: usize) -> Option<Room> {
        if bytes <= SMALL_BYTES {
            return Some(Room::default());
        }
        let room = Arc::clone(&self.room).try_acquire_many_owned(self.units_of(bytes));
        room.ok().map(Room::of)
    }

    fn units_of(&self, bytes: usize) -> u32 {
        let units = bytes.div_ceil(BUDGET_UNIT).min(self.units);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl Room {
    pub(super) fn of(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(Arc::new(permit)))
    }

    /// Has an answer keep the room until its last byte is written or its connection is gone.
    pub fn keep(self, response: &mut Response) {
        if self.0.is_some() {
            response.extensions_mut().insert(self);
        }
    }

    /// The answer, with the room in its bytes.
    pub(super) fn hold(self, response: Response) -> Response {
        let Some(permit) = self.0 else {
            return response;
        };
        response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                frame.map_data(|bytes| {
                    let permit = Arc::clone(&permit);
                    Bytes::from_owner(Held {
                        bytes,
                        _permit: permit,
                    })
                })
            }))
        })
    }
}

/// Bytes that are not written yet.
struct Held {
    bytes: Bytes,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 100 << 10;

    #[tokio::test]
    async fn room_is_given_back_when_the_bytes_are_gone_and_not_before() {
        let budget = AnswerBudget::new(LARGE);
        let room = budget.take(LARGE).unwrap();
        let answer = room.hold(Response::new(Body::from(vec![b'x'; LARGE])));
        assert!(budget.take(LARGE).is_none());
        assert!(budget.take(SMALL_BYTES).is_some());
        let body = answer.into_body().collect().await.unwrap();
        let bytes = body.to_bytes();
        assert_eq!(bytes.len(), LARGE);
        assert!(budget.take(LARGE).is_none(), "the bytes are still there");
        assert!(budget.wait(LARGE, Duration::ZERO).await.is_none());
        drop(bytes);
        assert!(budget.take(10 * LARGE).is_some(), "alone it may be larger");
    }
}
