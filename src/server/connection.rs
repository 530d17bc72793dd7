//! One connection: hyper speaks HTTP on it, and this watches that the client keeps up.
//!
//! A watch looks a few times within each time limit and compares; no timer is armed for a request,
//! so the limits cost nothing while all goes well. A limit may be overrun by a quarter of the
//! shortest one.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::accept::{Api, ServerSettings};
use super::drain::{self, Drain, Stage};
use super::hangup::{self, Hangup};
use super::stream::{self, Mark};

/// What all connections share.
pub(super) struct Shared {
    pub(super) http: http1::Builder,
    pub(super) drain: Drain,
    /// A place for each connection that may be there.
    pub(super) room: Arc<Semaphore>,
    pub(super) settings: ServerSettings,
}

/// Serves one connection to its end.
pub(super) async fn run(stream: TcpStream, api: impl Api, shared: &Shared) {
    let pulse = Arc::new(Pulse::default());
    let io = TokioIo::new(Watched {
        stream,
        pulse: Arc::clone(&pulse),
    });
    let service = Counted {
        api,
        pulse: Arc::clone(&pulse),
    };
    let mut http = shared.http.serve_connection(io, service);
    if !drive(&mut http, &pulse, shared).await {
        return;
    }
    // Bytes that nobody reads make the kernel reset the connection, and the client may lose its
    // answer.
    let mut io = http.into_parts().io.into_inner();
    let linger = match shared.drain.stage() {
        Stage::Serving => shared.settings.linger,
        Stage::Draining => shared.settings.linger.min(drain::LINGER),
        Stage::Cut => return,
    };
    // Whatever comes of it, the connection is over.
    let _ = tokio::time::timeout(linger, drain::read_to_end(&mut io.stream)).await;
}

/// Polls the connection until it is done (`true`), or a limit or the shutdown ends it (`false`).
async fn drive<A: Api>(
    http: &mut http1::Connection<TokioIo<Watched>, Counted<A>>,
    pulse: &Pulse,
    shared: &Shared,
) -> bool {
    let mut watch = Watch::new(shared);
    let mut tick = pin!(sleep_until(watch.next()));
    let mut changed = pin!(shared.drain.changed.notified());
    let (mut is_armed, mut seen) = (false, Stage::Serving);
    poll_fn(|context| {
        loop {
            let stage = shared.drain.stage();
            if stage == Stage::Cut {
                return Poll::Ready(false);
            }
            if stage != seen {
                seen = stage;
                pulse.is_ending.store(true, Ordering::Relaxed);
                changed.set(shared.drain.changed.notified());
                tick.as_mut().reset(now() + drain::GRACE);
                is_armed = false;
            }
            if let Poll::Ready(result) = Pin::new(&mut *http).poll(context) {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended");
                }
                return Poll::Ready(true);
            }
            // Both are polled once to leave their waker, which stays that of this task; then a look
            // is enough.
            if !is_armed {
                let is_changed = changed.as_mut().poll(context).is_ready();
                if is_changed {
                    changed.set(shared.drain.changed.notified());
                }
                is_armed = tick.as_mut().poll(context).is_pending() && !is_changed;
            }
            if !tick.is_elapsed() {
                if is_armed {
                    return Poll::Pending;
                }
                continue;
            }
            if watch.is_over(pulse) || (seen == Stage::Draining && pulse.is_untouched()) {
                return Poll::Ready(false);
            }
            if seen == Stage::Draining {
                if pulse.is_idle() {
                    Pin::new(&mut *http).graceful_shutdown();
                }
                tick.as_mut().reset(now() + drain::LOOK);
            } else {
                tick.as_mut().reset(watch.next());
            }
            is_armed = tick.as_mut().poll(context).is_pending();
        }
    })
    .await
}

/// What the watch sees of a connection. One task writes and reads it; the atomics only make it
/// shareable.
#[derive(Default)]
struct Pulse {
    reads: AtomicU32,
    /// Bytes that the client has been sent.
    written: AtomicU64,
    is_write_blocked: AtomicBool,
    requests: AtomicU32,
    is_answering: AtomicBool,
    /// `reads` when the last answer was ready.
    reads_then: AtomicU32,
    /// The server is shutting down: whether something is unread matters from now on.
    is_ending: AtomicBool,
    has_unread: AtomicBool,
    /// Of a connection on which a client was let wait.
    hangup: OnceLock<Hangup>,
}

fn raise(counter: &AtomicU32) {
    let next = counter.load(Ordering::Relaxed).wrapping_add(1);
    counter.store(next, Ordering::Relaxed);
}

/// What a connection is doing, as far as time limits tell it apart. Equal as long as there is no
/// progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle { requests: u32 },
    /// The head of a request is arriving, or the first is awaited.
    Head { requests: u32 },
    /// A handler has the request, or its answer goes on; both have limits of their own.
    Answering,
    /// The client has not read all of an answer.
    Blocked,
}

impl Pulse {
    /// Whether nothing at all has arrived on it.
    fn is_untouched(&self) -> bool {
        let nothing_came = self.phase() == Phase::Head { requests: 0 };
        nothing_came && self.reads.load(Ordering::Relaxed) == 0 && !self.has_unread()
    }

    /// Whether everything that has arrived is answered.
    fn is_idle(&self) -> bool {
        matches!(self.phase(), Phase::Idle { .. }) && !self.has_unread()
    }

    fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Relaxed)
    }

    fn phase(&self) -> Phase {
        let load = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        let requests = load(&self.requests);
        if self.is_write_blocked.load(Ordering::Relaxed) {
            Phase::Blocked
        } else if self.is_answering.load(Ordering::Relaxed) {
            Phase::Answering
        } else if requests == 0 || load(&self.reads) != load(&self.reads_then) {
            Phase::Head { requests }
        } else {
            Phase::Idle { requests }
        }
    }
}

impl Mark for Pulse {
    fn end(&self) {
        let reads = self.reads.load(Ordering::Relaxed);
        self.reads_then.store(reads, Ordering::Relaxed);
        self.is_answering.store(false, Ordering::Relaxed);
    }
}

struct Watch<'a> {
    shared: &'a Shared,
    phase: Phase,
    since: Instant,
    /// Bytes that had been written then.
    written: u64,
}

impl<'a> Watch<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            phase: Phase::Head { requests: 0 },
            since: now(),
            written: 0,
        }
    }

    /// When to look again.
    fn next(&self) -> Instant {
        let limits = &self.shared.settings;
        let shortest = limits.head_timeout.min(limits.idle_timeout);
        now() + shortest.min(limits.write_timeout) / 4
    }

    /// Whether the client has been in one phase for longer than it may.
    fn is_over(&mut self, pulse: &Pulse) -> bool {
        let (phase, now) = (pulse.phase(), now());
        let written = pulse.written.load(Ordering::Relaxed);
        if phase != self.phase {
            (self.phase, self.since, self.written) = (phase, now, written);
            return false;
        }
        let limits = &self.shared.settings;
        let limit = match phase {
            // Each looks for itself, one after the other: no more give way than need to.
            Phase::Idle { .. } if self.shared.room.available_permits() == 0 => {
                limits.crowded_idle_timeout.min(limits.idle_timeout)
            }
            Phase::Idle { .. } => limits.idle_timeout,
            Phase::Head { .. } => limits.head_timeout,
            Phase::Answering => Duration::MAX,
            Phase::Blocked => limits.write_timeout,
        };
        if now.duration_since(self.since) < limit {
            return false;
        }
        if phase == Phase::Blocked && written - self.written >= limits.write_bytes_min {
            (self.since, self.written) = (now, written);
            return false;
        }
        true
    }
}

fn now() -> Instant {
    Instant::from_std(crate::clock::monotonic())
}

/// A stream that leaves traces in a pulse.
struct Watched {
    stream: TcpStream,
    pulse: Arc<Pulse>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            raise(&self.pulse.reads);
        }
        if self.pulse.is_ending.load(Ordering::Relaxed) {
            // What has arrived may not have been noticed yet.
            let has_unread = drain::has_unread(&self.stream);
            self.pulse.has_unread.store(has_unread, Ordering::Relaxed);
        }
        polled
    }
}

impl Watched {
    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let is_blocked = polled.is_pending();
        self.pulse
            .is_write_blocked
            .store(is_blocked, Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = &polled {
            let written = &self.pulse.written;
            let sum = written.load(Ordering::Relaxed) + *bytes as u64;
            written.store(sum, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Polled in each turn, also while a handler has the request.
        if let Some(hangup) = self.pulse.hangup.get() {
            hangup.look(&self.stream, context);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A service that leaves traces in a pulse.
struct Counted<A> {
    api: A,
    pulse: Arc<Pulse>,
}

impl<A: Api> hyper::service::Service<Request<Incoming>> for Counted<A> {
    type Response = A::Response;
    type Error = A::Error;
    type Future = CountedAnswer<A::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        raise(&self.pulse.requests);
        if hangup::matters(&request) {
            let hangup = self.pulse.hangup.get_or_init(Hangup::default).clone();
            request.extensions_mut().insert(hangup);
        }
        self.pulse.is_answering.store(true, Ordering::Relaxed);
        CountedAnswer {
            answer: self.api.call(request),
            pulse: Arc::clone(&self.pulse),
        }
    }
}

struct CountedAnswer<F> {
    answer: F,
    pulse: Arc<Pulse>,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for CountedAnswer<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut polled = Pin::new(&mut self.answer).poll(context);
        if let Poll::Ready(Ok(answer)) = &mut polled {
            if self.pulse.is_ending.load(Ordering::Relaxed) {
                drain::mark_last(answer);
            }
            if stream::is_ongoing(answer) {
                let pulse = Arc::clone(&self.pulse);
                return polled.map_ok(|answer| stream::marked(answer, pulse));
            }
            self.pulse.end();
        }
        polled
    }
}
