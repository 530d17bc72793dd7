//! One kept-alive HTTP/1.1 connection to a server, written for little work per request.
//!
//! The requests are bytes that the caller has ready, and the answers are borrowed from the read
//! buffer. That is why this is not hyper's client: the load generator shares two cores with the
//! server it measures, and here a request costs one write, one read and no allocation.
//! It speaks plain HTTP only, follows no redirect and keeps no pool.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::exit::{self, Failure};
use super::response::{Extent, Malformed, Response};

/// Bytes that the read buffer starts with; it grows to the longest response met.
const READ_BYTES: usize = 8 * 1024;

/// The server to talk to, from a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    authority: String,
    /// Where it was reached; then its name is not looked up again.
    address: Option<SocketAddr>,
}

impl Target {
    /// Reads `http://host[:port]` or `host:port`; the port is 80 unless it is given.
    ///
    /// # Errors
    ///
    /// A [`Failure`] with the usage code if it is something else: `https`, a path, a bad port.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let bad = |why: &str| {
            let what = format!("the URL '{url}' {why}");
            Failure::new(exit::USAGE, what, "try http://127.0.0.1:7070")
        };
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => return Err(bad(&format!("has the scheme '{scheme}'"))),
            None => url,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(bad("has more than a host and a port"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| bad("has a bad port"))?)
            }
            _ => (authority, 80),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if bare.is_empty() || (bare == host && host.contains(':')) {
            return Err(bad("has no host"));
        }
        Ok(Self {
            host: bare.to_owned(),
            port,
            authority: authority.to_owned(),
            address: None,
        })
    }

    /// Connects once, and from then on always to the address that answered.
    ///
    /// # Errors
    ///
    /// As [`Connection::open`].
    pub async fn reach(&mut self) -> io::Result<()> {
        let connection = Connection::open(self).await?;
        self.address = Some(connection.stream.peer_addr()?);
        Ok(())
    }

    /// Host and port as they belong into the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The error of a command that found nobody at this address.
    pub fn unreachable(&self, cause: &io::Error) -> Failure {
        let way_out = "start one with `orderd serve`, or name another with --url";
        self.unreachable_but(cause, way_out)
    }

    /// The same with another way out.
    pub fn unreachable_but(&self, cause: &io::Error, way_out: &str) -> Failure {
        let what = format!("no server answers at http://{} ({cause})", self.authority);
        Failure::new(exit::UNREACHABLE, what, way_out)
    }

    /// The error of a command that was answered by something else.
    pub fn is_no_orderd(&self, cause: &dyn Error) -> Failure {
        let what = format!("http://{} is no orderd ({cause})", self.authority);
        Failure::new(exit::FAILURE, what, "name one with --url")
    }

    /// Appends a request without a body to `out`.
    pub fn write_get(&self, path: &str, out: &mut Vec<u8>) {
        for part in [
            "GET ",
            path,
            " HTTP/1.1\r\nHost: ",
            &self.authority,
            "\r\n\r\n",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// Appends the head of a POST whose body has this type and length.
    pub fn write_post(&self, path: &str, media_type: &str, body_bytes: usize, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        let length = number.format(body_bytes);
        for part in [
            "POST ",
            path,
            " HTTP/1.1\r\nHost: ",
            &self.authority,
            "\r\nContent-Type: ",
            media_type,
            "\r\nContent-Length: ",
            length,
            "\r\n\r\n",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// A part of a path or query with everything but letters, digits and `-._~` escaped.
pub fn encoded(part: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if part.bytes().all(is_plain) {
        return Cow::Borrowed(part);
    }
    let escape = |text: String, byte: u8| match is_plain(byte) {
        true => text + &char::from(byte).to_string(),
        false => text + &format!("%{byte:02X}"),
    };
    Cow::Owned(part.bytes().fold(String::new(), escape))
}

/// Why a request got no answer. The connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The socket failed or was closed; the request may or may not have been taken.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// What came back is not HTTP/1.1.
    #[error("the answer is not HTTP")]
    Malformed(#[from] Malformed),
}

/// An open connection. Requests may be pipelined: send several, then receive as many answers.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    taken: usize,
    filled: usize,
    closing: bool,
}

impl Connection {
    /// Connects, with Nagle's delay off.
    ///
    /// # Errors
    ///
    /// The error of the socket, or of the look-up of the name.
    pub async fn open(target: &Target) -> io::Result<Self> {
        let stream = match target.address {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect((target.host.as_str(), target.port)).await?,
        };
        stream.set_nodelay(true)?;
        let input = vec![0; READ_BYTES];
        Ok(Self {
            stream,
            input,
            taken: 0,
            filled: 0,
            closing: false,
        })
    }

    /// Sends the request and waits for its answer.
    ///
    /// # Errors
    ///
    /// As [`Connection::receive`].
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>, ExchangeError> {
        self.send(request).await?;
        self.receive().await
    }

    /// Sends the bytes of one or more requests; they are with the kernel when it returns.
    ///
    /// # Errors
    ///
    /// The error of the socket.
    pub async fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        self.stream.write_all(requests).await
    }

    /// Waits for the next answer. It borrows the read buffer until the next call.
    ///
    /// # Errors
    ///
    /// `Io`: the socket failed, or was closed before any byte of the answer.
    /// `Malformed`: what came is not HTTP, or was cut short.
    pub async fn receive(&mut self) -> Result<Response<'_>, ExchangeError> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
        let mut ended = false;
        let extent = loop {
            let arrived = &self.input[self.taken..self.filled];
            if ended && arrived.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            match Extent::find(arrived, ended)? {
                Some(extent) => break extent,
                None => ended = self.read_more().await? == 0,
            }
        };
        let response = extent.response(&self.input[self.taken..self.filled]);
        self.taken += extent.bytes();
        self.closing = response.closes;
        Ok(response)
    }

    /// Whether the connection can take another request: the server neither said that it closes
    /// nor has closed. One system call; asked after a pause, not for every request.
    pub fn is_usable(&self) -> bool {
        let mut byte = [0; 1];
        let silent = match self.stream.try_read(&mut byte) {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        silent && !self.closing
    }

    /// Whether the last answer announced that the server closes the connection.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        if self.filled == self.input.len() {
            self.make_room();
        }
        let count = self.stream.read(&mut self.input[self.filled..]).await?;
        self.filled += count;
        Ok(count)
    }

    /// Moves what is left to the front, or doubles the buffer if it is there already.
    fn make_room(&mut self) {
        if self.taken > 0 {
            self.input.copy_within(self.taken..self.filled, 0);
            (self.taken, self.filled) = (0, self.filled - self.taken);
        } else {
            self.input.resize(self.input.len() * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn reads_urls() {
        let cases = [
            ("http://127.0.0.1:7070", "127.0.0.1", 7070, "127.0.0.1:7070"),
            ("http://localhost:1/", "localhost", 1, "localhost:1"),
            ("shop:8080", "shop", 8080, "shop:8080"),
            ("http://shop", "shop", 80, "shop"),
            ("http://[::1]:7070", "::1", 7070, "[::1]:7070"),
            ("http://[::1]", "::1", 80, "[::1]"),
        ];
        for (url, host, port, authority) in cases {
            let (host, authority) = (host.to_owned(), authority.to_owned());
            assert_eq!(
                Target::parse(url).unwrap(),
                Target {
                    host,
                    port,
                    authority,
                    address: None
                },
                "{url}"
            );
        }
        for url in [
            "",
            "https://x",
            "http://x/v1",
            "http://x:99999",
            "http://:1",
            "::1",
            "a b",
        ] {
            assert_eq!(Target::parse(url).unwrap_err().code, exit::USAGE, "{url}");
        }
    }

    #[test]
    fn escapes_what_has_a_meaning_in_a_path() {
        assert_eq!(encoded("load-1_a.b~"), "load-1_a.b~");
        assert_eq!(encoded("a/b?c%"), "a%2Fb%3Fc%25");
    }

    /// Answers with these bytes to whatever is sent, then closes.
    async fn server(answer: &'static [u8]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            for part in answer.chunks(7) {
                stream.write_all(part).await.unwrap();
                stream.flush().await.unwrap();
            }
        });
        target
    }

    async fn open(target: &Target) -> (Connection, Vec<u8>) {
        let mut request = Vec::new();
        target.write_get("/", &mut request);
        (Connection::open(target).await.unwrap(), request)
    }

    #[tokio::test]
    async fn reads_pipelined_answers_one_by_one_until_the_server_closes() {
        let target = server(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none\
              HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo",
        )
        .await;
        let (mut connection, request) = open(&target).await;
        assert_eq!(&*connection.exchange(&request).await.unwrap().body, b"one");
        assert!(!connection.is_closing());
        assert_eq!(&*connection.receive().await.unwrap().body, b"two");
        assert!(connection.is_closing());
        let Err(ExchangeError::Io(error)) = connection.receive().await else {
            panic!("the server has closed");
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(!connection.is_usable());
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_short_is_an_error() {
        let target = server(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\none").await;
        let (mut connection, request) = open(&target).await;
        let result = connection.exchange(&request).await;
        assert!(matches!(
            result,
            Err(ExchangeError::Malformed(Malformed::CutShort))
        ));
    }
}
