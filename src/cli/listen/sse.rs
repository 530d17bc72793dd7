//! Reads server-sent events: blocks out of bytes, and the connection they come from.
//!
//! Pure but for `Source`, which reads one answer from one server.

use std::io;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::client::Target;
use crate::cli::exit::{self, Failure};

/// Most bytes of one block.
const BLOCK_BYTES_MAX: usize = 1 << 20;

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
}

impl Source {
    /// Opens the stream at a path.
    pub(super) async fn open(target: &Target, path: &str) -> anyhow::Result<Self> {
        let unreachable = |error: io::Error| target.unreachable(&error);
        let stream = TcpStream::connect(target.authority()).await;
        let stream = stream.map_err(unreachable)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", target.authority())
            .header("accept", "text/event-stream")
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        if !status.is_success() {
            let body = answer.into_body().collect().await?.to_bytes();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let detail = problem["detail"].as_str().unwrap_or("it does not say why");
            let detail = crate::cli::api::plain(detail);
            let message = format!("the server answered {}: {detail}", status.as_u16());
            return Err(Failure::new(exit::FAILURE, message).into());
        }
        Ok(Self {
            body: answer.into_body(),
            blocks: Blocks::default(),
        })
    }

    /// The next event; `None`: the stream has ended or broken.
    pub(super) async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = self.blocks.next() {
                return Some(block);
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(bytes) = frame.into_data() {
                self.blocks.push(&bytes).ok()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
