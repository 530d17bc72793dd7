//! The end of a server, as its connections see it: nobody who has sent a request is left without an
//! answer, and nobody is waited for who has nothing to say.
//!
//! Answers that leave from now on close their connection. One that is idle stays open for a moment,
//! because a request may be under way on it; what has arrived is answered in any case.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How long a connection without a request stays open: longer than a request is under way.
pub(super) const GRACE: Duration = Duration::from_millis(250);
/// How often is looked after that whether a connection may be closed.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How long a client has to take its last answer and close its side.
pub(super) const LINGER: Duration = Duration::from_millis(500);

/// Most bytes that are read and thrown away from a client that goes on sending after its last
/// answer.
const LINGER_BYTES_MAX: usize = 64 << 20;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is not near.
    Serving,
    /// No further requests: connections close after the one that is in flight.
    Draining,
    /// Close now.
    Cut,
}

/// Tells connections that the server is shutting down.
#[derive(Default)]
pub(super) struct Drain {
    stage: AtomicU8,
    pub(super) changed: Notify,
}

impl Drain {
    pub(super) fn begin(&self) {
        self.enter(Stage::Draining);
    }

    pub(super) fn cut(&self) {
        self.enter(Stage::Cut);
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::SeqCst) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Cut,
        }
    }
}

/// Marks an answer as the last one on its connection.
pub(super) fn mark_last(answer: &mut Response) {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
}

/// Whether something has arrived that nobody has read. Closed now, the connection would be reset.
#[cfg(unix)]
pub(super) fn has_unread(stream: &TcpStream) -> bool {
    rustix::io::ioctl_fionread(stream).is_ok_and(|bytes| bytes > 0)
}

/// Not known here: then it counts as nothing.
#[cfg(not(unix))]
pub(super) fn has_unread(_: &TcpStream) -> bool {
    false
}

/// Reads and throws away what still comes, up to a bound.
pub(super) async fn read_to_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    let mut total = 0;
    while total < LINGER_BYTES_MAX {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            read => total += read,
        }
    }
    Ok(())
}
