//! Accepts connections at any number of doors, up to one bound for all, speaks HTTP/1 on each, and
//! drains them together at the end.
//!
//! One task for each door and each connection, nothing unbounded. What a connection may take of
//! time is in `connection`.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::drain::{self, Drain};
use super::front::Front;

/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Largest buffer of a connection, in bytes: a head, and what is read of a body at once.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// Most headers of a request.
const HEADERS_MAX: usize = 100;
/// Most connections that are being told that there is no room, at once.
const REFUSALS_MAX: usize = 64;
/// Wait after a failed accept: when file handles have run out, trying again at once would only
/// spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/problem+json\r\nretry-after: 5\r\nconnection: close\r\n\
content-length: 180\r\n\r\n\
{\"type\":\"/errors/overloaded\",\"title\":\"There is no room for more work\",\"status\":503,\
\"detail\":\"the server has as many connections as it may have\",\
\"code\":\"overloaded\",\"retry_after\":5}";

/// What connections may take.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Most connections at once; one more is answered 503 and closed.
    pub connections_max: usize,
    /// How long the head of a request may take to arrive, the first one counted from the connect.
    pub head_timeout: Duration,
    /// How long a connection may wait between two requests.
    pub idle_timeout: Duration,
    /// The same while there is no room for another connection: an idle one gives way.
    pub crowded_idle_timeout: Duration,
    /// How long a client that has not read all of an answer may take for `write_bytes_min` more.
    pub write_timeout: Duration,
    /// Bytes that such a client must take in that time.
    pub write_bytes_min: u64,
    /// How long a closed connection is kept so that the client can read its last answer.
    pub linger: Duration,
    /// How long requests in flight may take to end at a shutdown.
    pub drain_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            // Who is refused is told to come back after this time.
            crowded_idle_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            write_bytes_min: 256 << 10,
            linger: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// A service that connections can be served with: `Front`, or a bare router.
pub trait Api:
    hyper::service::Service<
        Request<Incoming>,
        Response = Response,
        Error = Infallible,
        Future: Future<Output = Result<Response, Infallible>> + Send + Unpin + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<T> Api for T where
    T: hyper::service::Service<
            Request<Incoming>,
            Response = Response,
            Error = Infallible,
            Future: Future<Output = Result<Response, Infallible>> + Send + Unpin + 'static,
        > + Clone
        + Send
        + 'static
{
}

/// An address, and what is served there.
pub struct Door<A = Front> {
    /// Where connections come in.
    pub listener: TcpListener,
    /// What they get.
    pub api: A,
}

/// What all doors share.
struct Hall {
    refusals: Arc<Semaphore>,
    linger: Duration,
    connections: Arc<connection::Shared>,
}

/// Serves at all doors until `shutdown`, then lets requests in flight end, and returns when all
/// connections are closed or `drain_timeout` is over.
pub async fn serve<A: Api>(
    doors: Vec<Door<A>>,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()>,
) {
    let hall = Arc::new(Hall {
        refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
        linger: settings.linger,
        connections: Arc::new(connection::Shared {
            http: protocol(),
            drain: Drain::default(),
            room: Arc::new(Semaphore::new(settings.connections_max)),
            settings: settings.clone(),
        }),
    });
    let closing = watch::Sender::new(false);
    let mut accepting = JoinSet::new();
    for door in doors {
        accepting.spawn(hold_open(door, Arc::clone(&hall), closing.subscribe()));
    }
    shutdown.await;
    closing.send_replace(true);
    while accepting.join_next().await.is_some() {}
    let all = u32::try_from(settings.connections_max).unwrap_or(u32::MAX);
    hall.connections.drain.begin();
    let room = &hall.connections.room;
    let drained = tokio::time::timeout(settings.drain_timeout, room.acquire_many(all)).await;
    if drained.is_err() {
        let open = settings.connections_max - room.available_permits();
        tracing::warn!(
            connections = open,
            "closing connections that did not end in time"
        );
        hall.connections.drain.cut();
    }
}

/// Lets connections in until `closing`, then those that are waiting already, and closes the door.
async fn hold_open<A: Api>(door: Door<A>, hall: Arc<Hall>, mut closing: watch::Receiver<bool>) {
    let Door { listener, api } = door;
    loop {
        tokio::select! {
            stream = accept(&listener) => let_in(stream, &api, &hall),
            _ = closing.wait_for(|is_closing| *is_closing) => break,
        }
    }
    // The system has taken them for us, and they may have sent their request: closed now, the door
    // would reset them.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let stream = stream.set_nonblocking(true).map(|()| stream);
                if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                    let _ = stream.set_nodelay(true);
                    let_in(stream, &api, &hall);
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(_) => break,
        }
    }
}

fn let_in<A: Api>(stream: TcpStream, api: &A, hall: &Arc<Hall>) {
    if let Ok(permit) = Arc::clone(&hall.connections.room).try_acquire_owned() {
        let (api, shared) = (api.clone(), Arc::clone(&hall.connections));
        tokio::spawn(async move {
            connection::run(stream, api, &shared).await;
            drop(permit);
        });
    } else if let Ok(permit) = Arc::clone(&hall.refusals).try_acquire_owned() {
        tokio::spawn(refuse(stream, hall.linger, permit));
    }
}

fn protocol() -> http1::Builder {
    let mut http = http1::Builder::new();
    // `connection` watches the time itself: hyper's timer would be armed anew for each request.
    http.header_read_timeout(None)
        .keep_alive(true)
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    http
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it the connection is slower, not wrong.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    )
}

/// Tells a client that there is no room.
async fn refuse(mut stream: TcpStream, linger: Duration, _permit: OwnedSemaphorePermit) {
    let told = async {
        stream.write_all(NO_ROOM).await?;
        stream.shutdown().await?;
        drain::read_to_end(&mut stream).await
    };
    // A client that does not even take the refusal gets none.
    let _ = tokio::time::timeout(linger, told).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_without_a_request_is_whole() {
        let text = std::str::from_utf8(NO_ROOM).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["code"], "overloaded");
        let seconds = ServerSettings::default().crowded_idle_timeout.as_secs();
        assert_eq!(problem["retry_after"], seconds);
        assert!(head.contains(&format!("retry-after: {seconds}\r\n")));
    }
}
