//! Reads server-sent events: blocks out of bytes, and the connection they come from.
//!
//! Pure but for `Source`, which reads one answer from one server. Nothing is waited for without an
//! end: a machine that vanishes says nothing any more.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::client::Target;
use crate::cli::exit::{self, Failure};

/// Most bytes of one block.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent: several signs of life fit into it, as they come by default.
pub(super) const SILENCE: Duration = Duration::from_secs(90);

/// An event as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) id: Option<String>,
    pub(super) data: Option<String>,
}

/// Takes bytes in, gives blocks out.
#[derive(Default)]
pub(super) struct Blocks {
    bytes: Vec<u8>,
}

impl Blocks {
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.len() + bytes.len() > BLOCK_BYTES_MAX + (1 << 20) {
            return Err(io::Error::other("an event is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole block.
    pub(super) fn next(&mut self) -> Option<Block> {
        let end = self.bytes.windows(2).position(|two| two == b"\n\n")?;
        let text = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        self.bytes.drain(..end + 2);
        let mut block = Block::default();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => block.id = Some(value.to_owned()),
                "data" => block.data = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(block)
    }
}

/// A stream that is open.
pub(super) struct Source {
    body: Incoming,
    blocks: Blocks,
    silence: Duration,
}

/// Why there is no stream.
pub(super) struct NotOpen {
    pub(super) cause: anyhow::Error,
    /// It was answered, and would be answered the same again.
    pub(super) is_final: bool,
}

impl From<anyhow::Error> for NotOpen {
    fn from(cause: anyhow::Error) -> Self {
        Self {
            cause,
            is_final: false,
        }
    }
}

impl Source {
    /// Opens the stream at a path. Who says nothing for `silence` is gone.
    pub(super) async fn open(
        target: &Target,
        path: &str,
        silence: Duration,
    ) -> Result<Self, NotOpen> {
        let late = |limit: Duration| {
            let detail = format!("no answer within {} s", limit.as_secs_f32());
            let late = io::Error::new(io::ErrorKind::TimedOut, detail);
            NotOpen::from(anyhow::Error::from(target.unreachable(&late)))
        };
        let connected = tokio::time::timeout(CONNECT, connect(target)).await;
        let mut sender = connected.map_err(|_| late(CONNECT))??;
        let answered = tokio::time::timeout(silence, ask(&mut sender, target, path)).await;
        let body = answered.map_err(|_| late(silence))??;
        Ok(Self {
            body,
            blocks: Blocks::default(),
            silence,
        })
    }

    /// The next event; `None`: the stream has ended, broken or fallen silent.
    pub(super) async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = self.blocks.next() {
                return Some(block);
            }
            let heard = tokio::time::timeout(self.silence, self.body.frame()).await;
            let frame = heard.ok()??.ok()?;
            if let Ok(bytes) = frame.into_data() {
                self.blocks.push(&bytes).ok()?;
            }
        }
    }
}

type Sender = hyper::client::conn::http1::SendRequest<Empty<Bytes>>;

async fn connect(target: &Target) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(target.authority()).await;
    let stream = stream.map_err(|error| target.unreachable(&error))?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Asks for the stream. An answer that is none is final, unless it says that it is for now.
async fn ask(sender: &mut Sender, target: &Target, path: &str) -> Result<Incoming, NotOpen> {
    let request = Request::get(path)
        .header("host", target.authority())
        .header("accept", "text/event-stream")
        .body(Empty::new())
        .map_err(anyhow::Error::from)?;
    let answer = sender.send_request(request).await;
    let answer = answer.map_err(anyhow::Error::from)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body());
    }
    let body = answer.into_body().collect().await;
    let body = body.map_err(anyhow::Error::from)?.to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("it does not say why");
    let detail = crate::cli::api::plain(detail);
    let message = format!("the server answered {}: {detail}", status.as_u16());
    let way_out = "mend the filters or --after, or name another server with --url";
    Err(NotOpen {
        cause: Failure::new(exit::FAILURE, message, way_out).into(),
        is_final: status != StatusCode::SERVICE_UNAVAILABLE,
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What becomes of a stream whose server answers so, and then says nothing.
    async fn opened(answer: &str) -> Result<Source, NotOpen> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = answer.to_owned();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let target = Target::parse(&format!("http://{address}")).unwrap();
        Source::open(&target, "/", Duration::from_millis(300)).await
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_is_not_waited_for_without_an_end() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let text = format!("{head}9\r\nid: 1-0\n\n\r\n");
        let mut source = opened(&text).await.ok().unwrap();
        assert_eq!(source.next().await.unwrap().id.as_deref(), Some("1-0"));
        assert_eq!(source.next().await, None);
        let silent = opened("").await.err().unwrap();
        assert!(!silent.is_final, "{}", silent.cause);
    }

    #[tokio::test]
    async fn only_an_answer_that_stays_the_same_is_final() {
        for (status, is_final) in [(500, true), (404, true), (400, true), (503, false)] {
            let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
            let refused = opened(&answer).await.err().unwrap();
            assert_eq!(refused.is_final, is_final, "{status}");
            assert!(refused.cause.to_string().contains(&status.to_string()));
        }
    }

    #[test]
    fn blocks_come_out_whole_however_the_bytes_come_in() {
        let text = b"retry: 2000\n\n:\n\nid: 1-0\nevent: order.accepted\ndata: {\"a\":1}\n\nid: 2";
        for size in 1..text.len() {
            let mut blocks = Blocks::default();
            let mut found = Vec::new();
            for part in text.chunks(size) {
                blocks.push(part).unwrap();
                while let Some(block) = blocks.next() {
                    found.push(block);
                }
            }
            let event = Block {
                id: Some("1-0".into()),
                data: Some("{\"a\":1}".into()),
            };
            assert_eq!(found, [Block::default(), Block::default(), event]);
        }
        let mut blocks = Blocks::default();
        let large = vec![b'x'; BLOCK_BYTES_MAX];
        assert!(blocks.push(&large).is_ok() && blocks.push(&large).is_ok());
        assert!(blocks.push(b"x").is_err());
    }
}
