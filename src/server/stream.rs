//! Answers that go on for as long as there is something to say, piece by piece.
//!
//! The next piece is asked for when the one before is on its way to the client, so that a slow
//! client holds one piece and no more. The connection is told, and does not take the silence
//! between two pieces for an idle client.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::Frame;

/// Marks an answer whose body goes on.
#[derive(Clone, Copy)]
struct Ongoing;

/// An answer whose body is what `next` makes of a state, again and again, until it makes nothing.
pub fn streamed<S, F>(state: S, next: fn(S) -> F) -> Response
where
    S: Send + 'static,
    F: Future<Output = Option<(Bytes, S)>> + Send + 'static,
{
    let coming = Some(Box::pin(next(state)));
    let mut response = Response::new(Body::new(Pieces { next, coming }));
    response.extensions_mut().insert(Ongoing);
    response
}

struct Pieces<S, F> {
    next: fn(S) -> F,
    coming: Option<Pin<Box<F>>>,
}

impl<S, F: Future<Output = Option<(Bytes, S)>>> HttpBody for Pieces<S, F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(coming) = &mut this.coming else {
            return Poll::Ready(None);
        };
        match ready!(coming.as_mut().poll(context)) {
            Some((bytes, state)) => {
                coming.set((this.next)(state));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            None => {
                this.coming = None;
                Poll::Ready(None)
            }
        }
    }
}

/// Whether the body of this answer goes on after its head has left.
pub(super) fn is_ongoing(answer: &Response) -> bool {
    answer.extensions().get::<Ongoing>().is_some()
}

/// The same answer; the mark is taken away when its body has ended or is given up.
pub(super) fn marked<M: Mark>(answer: Response, mark: Arc<M>) -> Response {
    answer.map(|body| Body::new(Marked { body, mark }))
}

/// Something that says whether an answer is under way.
pub(super) trait Mark: Send + Sync + 'static {
    /// The answer is over.
    fn end(&self);
}

impl Mark for AtomicBool {
    fn end(&self) {
        self.store(false, Ordering::Relaxed);
    }
}

struct Marked<M: Mark> {
    body: Body,
    mark: Arc<M>,
}

impl<M: Mark> Drop for Marked<M> {
    fn drop(&mut self) {
        self.mark.end();
    }
}

impl<M: Mark> HttpBody for Marked<M> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn count_down(left: u8) -> Option<(Bytes, u8)> {
        (left > 0).then(|| (Bytes::from(vec![b'0' + left]), left - 1))
    }

    #[tokio::test]
    async fn a_body_is_made_piece_by_piece_and_its_end_is_told() {
        let mark = Arc::new(AtomicBool::new(true));
        let answer = streamed(3, count_down);
        assert!(is_ongoing(&answer));
        let mut body = marked(answer, Arc::clone(&mark)).into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "3");
        assert!(mark.load(Ordering::Relaxed));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "21");
        assert!(!mark.load(Ordering::Relaxed));
    }
}
