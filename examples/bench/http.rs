//! The least HTTP client that is needed beside the load generators: one request, one answer.
//!
//! Knows bodies with a length only, as both servers send them; never retries.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// `GET path`.
///
/// # Errors
///
/// Nobody listens, or the answer is no HTTP.
pub fn fetch(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, head.into_bytes())
}

/// `POST path` with a body.
///
/// # Errors
///
/// Nobody listens, or the answer is no HTTP.
pub fn post(address: SocketAddr, path: &str, kind: &str, body: &str) -> anyhow::Result<Answer> {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    exchange(address, request.into_bytes())
}

fn exchange(address: SocketAddr, request: Vec<u8>) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<Answer> {
    let gap = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let gap = gap.context("the answer has no end of its head")?;
    let head = String::from_utf8_lossy(&answer[..gap]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.context("the answer has no status")?;
    let mut lengths = head
        .lines()
        .filter_map(|line| line.strip_prefix("content-length:"));
    let length: Option<usize> = lengths.next().and_then(|length| length.trim().parse().ok());
    let body = &answer[gap + 4..];
    if length.is_none_or(|length| length != body.len()) {
        bail!(
            "the answer has {} bytes of body, its head says {length:?}",
            body.len()
        );
    }
    let body = body.to_vec();
    Ok(Answer { status, body })
}

/// What `GET /v1/stats` says, as far as the benchmark asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Orders that have not ended.
    pub open: u64,
    /// Orders that the server knows of, ended or not.
    pub total: u64,
    /// Orders that completed.
    pub completed: u64,
    /// Whether open orders are still being loaded after a start.
    pub recovering: bool,
}

/// Asks orderd for its counters.
///
/// # Errors
///
/// No answer, or one without these members.
pub fn stats(address: SocketAddr) -> anyhow::Result<Stats> {
    let answer = fetch(address, "/v1/stats")?;
    let value: Value = serde_json::from_slice(&answer.body).context("/v1/stats is no JSON")?;
    read_stats(&value).context("/v1/stats lacks a member")
}

fn read_stats(value: &Value) -> Option<Stats> {
    let orders = &value["orders"];
    Some(Stats {
        open: orders["open"].as_u64()?,
        total: orders["total"].as_u64()?,
        completed: orders["by_status"]["completed"].as_u64()?,
        recovering: value["shard"]["recovering"].as_bool()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_taken_apart_and_a_short_one_refused() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX: y\r\n\r\n{}";
        let answer = parse(whole).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, &b"{}"[..]));
        assert!(parse(&whole[..whole.len() - 1]).is_err());
        assert!(parse(b"HTTP/1.1 201 Created\r\n").is_err());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn counters_are_found_in_the_statistics() {
        let value = json!({"orders": {"open": 2, "total": 9, "by_status": {"completed": 7}},
            "shard": {"recovering": true}});
        let stats = read_stats(&value).unwrap();
        assert_eq!((stats.open, stats.total, stats.completed), (2, 9, 7));
        assert!(stats.recovering);
        assert_eq!(read_stats(&json!({"orders": {}})), None);
    }
}
