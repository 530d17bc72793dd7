//! A client for one connection, as small as it can be. Every error means: nobody knows.
//! It never tries again by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes; a server that hangs fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Client {
    stream: BufReader<TcpStream>,
}

/// What was answered, to the byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub location: String,
    pub etag: String,
    pub is_replayed: bool,
    /// The server closes the connection after this answer.
    pub is_last: bool,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Its status and its body.
    pub fn pair(&self) -> (u16, Value) {
        (self.status, self.json())
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let short: String = body.chars().take(300).collect();
        format!("{} {short}", self.status)
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub fn get(&mut self, path: &str) -> std::io::Result<Reply> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: orderd\r\n\r\n"))?;
        self.hear()
    }

    /// `headers` are whole lines with their ends.
    pub fn post(&mut self, path: &str, headers: &str, body: &str) -> std::io::Result<Reply> {
        self.send(&Self::request(path, headers, body))?;
        self.hear()
    }

    pub fn request(path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: orderd\r\ncontent-type: application/json\r\n{headers}\
             content-length: {length}\r\n\r\n{body}"
        )
    }

    pub fn send(&mut self, request: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(request.as_bytes())
    }

    pub fn hear(&mut self) -> std::io::Result<Reply> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut reply = Reply {
            status: status.ok_or_else(|| broken("no status"))?,
            ..Reply::default()
        };
        let mut length = 0;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(broken)?,
                "location" => reply.location = value.to_owned(),
                "etag" => reply.etag = value.to_owned(),
                "idempotency-replayed" => reply.is_replayed = value == "true",
                "connection" => reply.is_last = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        reply.body = vec![0; length];
        self.stream.read_exact(&mut reply.body)?;
        Ok(reply)
    }

    /// Whether the server says that nothing more comes, and does not just go away.
    pub fn is_closed_in_order(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(broken("the connection was closed"));
        }
        Ok(line.trim_end().to_owned())
    }
}

fn broken(error: impl ToString) -> std::io::Error {
    std::io::Error::other(error.to_string())
}
