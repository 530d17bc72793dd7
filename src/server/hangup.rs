//! Whether a client is still there while a handler lets it wait.
//!
//! A handler goes on when its client sends nothing more: it may have closed only its half of the
//! connection, and still read. Who must not work for nobody can ask here. Costs the others one
//! look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::Request;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Tells a handler that its client has hung up, or at least sends nothing more.
#[derive(Clone, Debug, Default)]
pub struct Hangup(Arc<Line>);

#[derive(Debug, Default)]
struct Line {
    is_awaited: AtomicBool,
    over: Notify,
}

/// Whether the handler of a request may let its client wait and wants to know of this.
pub(super) fn matters<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with("/v1/queues/")
}

impl Hangup {
    /// Waits until the client has hung up. For ever, if it has sent its next request already:
    /// nobody can look behind that.
    pub async fn wait(&self) {
        self.0.is_awaited.store(true, Ordering::Relaxed);
        let _awaited = Awaited(&self.0);
        self.0.over.notified().await;
    }

    /// Looks at the stream if somebody waits, and has this task woken when there is news. To be
    /// called in each turn of the connection.
    pub(super) fn look(&self, stream: &TcpStream, context: &mut Context<'_>) {
        if !self.0.is_awaited.load(Ordering::Relaxed) {
            return;
        }
        let mut byte = [0];
        let seen = stream.poll_peek(context, &mut ReadBuf::new(&mut byte));
        if matches!(seen, Poll::Ready(Ok(0) | Err(_))) {
            self.0.over.notify_one();
        }
    }
}

/// Somebody waits, until this is dropped.
struct Awaited<'a>(&'a Line);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.is_awaited.store(false, Ordering::Relaxed);
    }
}
