//! Asks a server over its HTTP API, one request after the other, and reads the answers as people
//! want them.
//!
//! For the commands that look at single orders; the load generator has its own, faster way. A
//! request that changes something is never sent twice.

use std::io;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::time::timeout;

use super::client::{Connection, ExchangeError, Target};
use super::exit::{self, Failure};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take, beside the time that a request itself asks to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The type of a body with one JSON value.
const JSON: &str = "Content-Type: application/json\r\n";

/// A server to ask.
pub struct Api {
    target: Target,
    connection: Option<Connection>,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as it came.
    pub text: String,
    /// The body as JSON, null if it is none.
    pub json: Value,
}

impl Api {
    /// A server at a URL such as `http://127.0.0.1:7070`. Connects when it is first asked.
    ///
    /// # Errors
    ///
    /// The URL is not one of plain HTTP.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let url = url.trim();
        if url.starts_with("https://") {
            let message = format!(
                "{url} is an https address, which this command cannot speak yet; use http:// to \
                 the \
                 server itself, or through an SSH tunnel"
            );
            return Err(Failure::new(exit::USAGE, message));
        }
        let target = Target::parse(url)?;
        Ok(Self {
            target,
            connection: None,
        })
    }

    /// Asks for what is at a path.
    ///
    /// # Errors
    ///
    /// Nobody answers, or what answers does not speak HTTP.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let host = self.target.authority();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let is_reused = self.connection.is_some();
        match self.exchange(request.as_bytes(), Duration::ZERO).await {
            // A server may close a connection that was idle at any time; asking again changes
            // nothing.
            Err(_) if is_reused => self.exchange(request.as_bytes(), Duration::ZERO).await,
            answer => answer,
        }
    }

    /// Posts JSON to a path. With `wait` the server is asked to answer only when the order has
    /// ended, or after that many seconds.
    ///
    /// # Errors
    ///
    /// As [`Api::get`]; then it is not known whether the server took it.
    pub async fn post(
        &mut self,
        path: &str,
        body: &str,
        wait: Option<u32>,
    ) -> anyhow::Result<Answer> {
        let prefer = wait.map_or_else(String::new, |seconds| format!("Prefer: wait={seconds}\r\n"));
        let patience = Duration::from_secs(wait.unwrap_or(0).into());
        let headers = format!("{JSON}{prefer}");
        self.send(path, body, &headers, patience).await
    }

    /// Asks for what is at a path to be forgotten.
    ///
    /// # Errors
    ///
    /// As [`Api::post`].
    pub async fn delete(&mut self, path: &str) -> anyhow::Result<Answer> {
        let host = self.target.authority();
        let request = format!("DELETE {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.connection = None;
        self.exchange(request.as_bytes(), Duration::ZERO).await
    }

    /// Posts one JSON object in each line.
    ///
    /// # Errors
    ///
    /// As [`Api::post`].
    pub async fn post_lines(&mut self, path: &str, body: &str) -> anyhow::Result<Answer> {
        let lines = "Content-Type: application/x-ndjson\r\n";
        self.send(path, body, lines, Duration::ZERO).await
    }

    /// Posts a change of an order; with `version` it is made only if the order still has that one.
    ///
    /// # Errors
    ///
    /// As [`Api::post`].
    pub async fn change(
        &mut self,
        path: &str,
        body: &str,
        version: Option<u32>,
    ) -> anyhow::Result<Answer> {
        let header = |version| format!("If-Match: \"{version}\"\r\n");
        let condition = version.map_or_else(String::new, header);
        let headers = format!("{JSON}{condition}");
        self.send(path, body, &headers, Duration::ZERO).await
    }

    /// Posts with these headers, on a connection that nobody can have closed yet.
    async fn send(
        &mut self,
        path: &str,
        body: &str,
        headers: &str,
        patience: Duration,
    ) -> anyhow::Result<Answer> {
        let (host, length) = (self.target.authority(), body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.connection = None;
        self.exchange(request.as_bytes(), patience).await
    }

    async fn exchange(&mut self, request: &[u8], patience: Duration) -> anyhow::Result<Answer> {
        let kept = self.connection.take().filter(Connection::is_usable);
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        let exchange = timeout(ANSWER_TIMEOUT + patience, connection.exchange(request));
        let answer = match exchange.await.map_err(late)? {
            Ok(response) => Answer::new(response.status, &response.body),
            Err(ExchangeError::Io(error)) => return Err(self.target.unreachable(&error).into()),
            Err(error) => {
                let host = self.target.authority();
                return Err(error).with_context(|| format!("http://{host} is no orderd"));
            }
        };
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        let opened = timeout(CONNECT_TIMEOUT, Connection::open(&self.target)).await;
        opened
            .map_err(late)
            .flatten()
            .map_err(|error| self.target.unreachable(&error))
    }
}

impl Answer {
    fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            text: String::from_utf8_lossy(body).into_owned(),
            json: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    /// The answer if it is a success, otherwise the problem as people read it.
    ///
    /// # Errors
    ///
    /// [`Failure`] with the code for what was not found, for a conflict, or for any other refusal.
    pub fn success(self) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let code = match self.status {
            404 => exit::NOT_FOUND,
            409 | 412 => exit::CONFLICT,
            _ => exit::FAILURE,
        };
        Err(Failure::new(code, self.problem()))
    }

    /// The problem document in words: what is wrong, and at which place each time.
    fn problem(&self) -> String {
        let text = |key: &str| self.json[key].as_str().map(plain);
        let status = self.status;
        let Some(what) = text("detail").or_else(|| text("title")) else {
            return format!("the server answered {status} without saying why");
        };
        let code = text("code").unwrap_or_default();
        let mut message = format!("{what} ({status} {code})");
        for error in self.json["errors"].as_array().into_iter().flatten() {
            let part = |key: &str| plain(error[key].as_str().unwrap_or_default());
            let line = format!("{}: {}", part("pointer"), part("detail"));
            if line != what {
                message.push_str(&format!("\n  {line}"));
            }
        }
        message
    }
}

/// A text that came from outside, without control characters: they could steer the terminal.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(harmless).collect()
}

/// A text as one segment of a path, or as a value of a query.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_each_place() {
        let body = br#"{"status":422,"code":"invalid-order","detail":"the order is not valid",
            "errors":[
                {"pointer":"/items/0/quantity","code":"x","detail":"must be at least 1"},
                {"pointer":"/total","code":"required","detail":"is missing"}
            ]}"#;
        let failure = Answer::new(422, body).success().unwrap_err();
        assert_eq!(
            failure.message,
            "the order is not valid (422 invalid-order)\n  /items/0/quantity: must be at least \
             1\n  \
             /total: is missing"
        );
        assert_eq!(failure.code, exit::FAILURE);
        let failure = Answer::new(404, b"gone").success().unwrap_err();
        assert_eq!(failure.code, exit::NOT_FOUND);
        assert!(Answer::new(201, b"{}").success().is_ok());
    }

    #[test]
    fn https_is_refused_with_a_way_out() {
        let failure = Api::new("https://orders.example").err().unwrap();
        assert_eq!(failure.code, exit::USAGE);
        assert!(failure.message.contains("https"), "{}", failure.message);
    }

    #[test]
    fn what_comes_from_outside_steers_neither_terminal_nor_path() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(percent_encoded("a/b?c d%é"), "a%2Fb%3Fc%20d%25%C3%A9");
    }
}
