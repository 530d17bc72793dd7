//! Reads HTTP/1.1 responses out of a byte buffer: status line, headers, body framing.
//! Pure: it is given the bytes that have arrived so far and says "not yet", "here", or "malformed".
//! It never reads from a socket and never answers a request.

use std::borrow::Cow;

/// The longest head (status line and headers) that is accepted, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The longest body that is accepted, in bytes: a batch of 10,000 answers fits several times.
pub const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The longest line before a chunk (its size and extensions), in bytes.
const CHUNK_LINE_BYTES_MAX: usize = 1024;

/// The bytes are not an HTTP/1.1 response; the connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first line is not `HTTP/1.x NNN reason`.
    #[error("the status line is not HTTP/1.1")]
    StatusLine,
    /// A header line has no name or no colon.
    #[error("a header line is malformed")]
    Header,
    /// `Content-Length` is not one number.
    #[error("the content length is not one number")]
    ContentLength,
    /// A chunk of a chunked body is malformed.
    #[error("a chunk of the body is malformed")]
    Chunk,
    /// Head or body exceed their bound.
    #[error("the response is too long")]
    TooLong,
    /// The connection ended inside the response.
    #[error("the connection ended inside a response")]
    CutShort,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes follow the head; 0 if there is no body.
    Length(usize),
    /// Chunks, the last one empty.
    Chunked,
    /// Everything until the server closes.
    UntilClose,
}

/// The head of a response: what is needed to find its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The bytes of the head, with the empty line at its end.
    pub head_bytes: usize,
    /// How the end of the body is found.
    pub framing: Framing,
    /// The server closes the connection after this response.
    pub closes: bool,
}

/// A whole response, borrowed from the buffer that it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status code, 200 to 999.
    pub status: u16,
    /// Status line and headers as they came.
    pub head: &'a [u8],
    /// The body without its framing.
    pub body: Cow<'a, [u8]>,
    /// The server closes the connection after this response.
    pub closes: bool,
}

impl Response<'_> {
    /// The first header with this name, whatever its case; `None` if absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.split(|&byte| byte == b'\n').skip(1);
        lines
            .find_map(|line| {
                let (found, value) = header_of(line)?;
                found.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
            })
            .and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// Where a whole response lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its head; interim responses (1xx) before it have been skipped.
    pub head: Head,
    /// Bytes before the head: those of interim responses.
    pub start: usize,
    /// Bytes of the body with its framing.
    pub body_bytes: usize,
}

impl Extent {
    /// Finds the first response in `bytes`; `None` until it is all there.
    ///
    /// `ended` says that the server has closed its side, so nothing more will come.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the bytes cannot become a response.
    pub fn find(bytes: &[u8], ended: bool) -> Result<Option<Self>, Malformed> {
        let mut start = 0;
        let head = loop {
            match parse_head(&bytes[start..])? {
                None if ended => return Err(Malformed::CutShort),
                None => return Ok(None),
                Some(head) if head.status < 200 => start += head.head_bytes,
                Some(head) => break head,
            }
        };
        let body = body_bytes(&bytes[start + head.head_bytes..], head.framing, ended)?;
        Ok(body.map(|body_bytes| Self {
            head,
            start,
            body_bytes,
        }))
    }

    /// All the bytes it takes from the start of the buffer.
    pub fn bytes(&self) -> usize {
        self.start + self.head.head_bytes + self.body_bytes
    }

    /// The response, out of the same bytes that it was found in.
    pub fn response<'a>(&self, bytes: &'a [u8]) -> Response<'a> {
        let (head, body) = bytes[self.start..self.bytes()].split_at(self.head.head_bytes);
        let closes = self.head.closes || self.head.framing == Framing::UntilClose;
        let body = match self.head.framing {
            Framing::Chunked => Cow::Owned(Chunks { bytes: body, at: 0 }.join()),
            Framing::Length(_) | Framing::UntilClose => Cow::Borrowed(body),
        };
        Response {
            status: self.head.status,
            head,
            body,
            closes,
        }
    }
}

/// The head at the start of `bytes`; `None` until its empty line has arrived.
///
/// # Errors
///
/// [`Malformed`], other than for a body.
pub fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    if !could_be_status_line(bytes) {
        return Err(Malformed::StatusLine);
    }
    let searched = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let Some(end) = searched.windows(4).position(|window| window == b"\r\n\r\n") else {
        let full = searched.len() == HEAD_BYTES_MAX;
        return if full {
            Err(Malformed::TooLong)
        } else {
            Ok(None)
        };
    };
    let mut lines = bytes[..end].split(|&byte| byte == b'\n');
    let status = status_of(lines.next().unwrap_or_default())?;
    let mut framing = Framing::UntilClose;
    let mut closes = bytes[7] == b'0';
    for line in lines {
        let (name, value) = header_of(line).ok_or(Malformed::Header)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = length_of(value)?;
            match framing {
                Framing::Length(other) if other != length => return Err(Malformed::ContentLength),
                Framing::Chunked => {}
                _ => framing = Framing::Length(length),
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed::Header);
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case(b"connection") {
            closes = value.eq_ignore_ascii_case(b"close");
        }
    }
    if status < 200 || status == 204 || status == 304 {
        framing = Framing::Length(0);
    }
    Ok(Some(Head {
        status,
        head_bytes: end + 4,
        framing,
        closes,
    }))
}

fn body_bytes(bytes: &[u8], framing: Framing, ended: bool) -> Result<Option<usize>, Malformed> {
    let found = match framing {
        Framing::Length(length) => (bytes.len() >= length).then_some(length),
        Framing::Chunked => chunked_bytes(bytes)?,
        Framing::UntilClose => ended.then_some(bytes.len()),
    };
    match found {
        None if ended => Err(Malformed::CutShort),
        None if bytes.len() > BODY_BYTES_MAX => Err(Malformed::TooLong),
        found => Ok(found),
    }
}

fn chunked_bytes(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut chunks = Chunks { bytes, at: 0 };
    loop {
        match chunks.take()? {
            None => return Ok(None),
            Some([]) => return Ok(end_of_trailers(bytes, chunks.at)),
            Some(_) => {}
        }
    }
}

/// Walks over the chunks of a body.
struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Chunks<'a> {
    /// The next chunk, empty for the last; `None` until it is all there.
    fn take(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(line) = line_of(&rest[..rest.len().min(CHUNK_LINE_BYTES_MAX)]) else {
            let endless = rest.len() >= CHUNK_LINE_BYTES_MAX;
            return if endless {
                Err(Malformed::Chunk)
            } else {
                Ok(None)
            };
        };
        let (from, size) = (line.len() + 2, chunk_size(line)?);
        if size == 0 {
            self.at += from;
            return Ok(Some(&[]));
        }
        let Some(chunk) = rest.get(from..from + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err(Malformed::Chunk);
        }
        self.at += from + size + 2;
        Ok(Some(&chunk[..size]))
    }

    /// All chunks of a body that is known to be whole.
    fn join(mut self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes.len());
        while let Ok(Some(chunk @ [_, ..])) = self.take() {
            body.extend_from_slice(chunk);
        }
        body
    }
}

fn end_of_trailers(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let line = line_of(&bytes[at..])?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(at);
        }
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, Malformed> {
    let digits = line
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let text = std::str::from_utf8(digits).map_err(|_| Malformed::Chunk)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Malformed::Chunk);
    }
    match usize::from_str_radix(text, 16) {
        Ok(size) if size <= BODY_BYTES_MAX => Ok(size),
        _ => Err(Malformed::TooLong),
    }
}

fn line_of(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    Some(&bytes[..end])
}

/// Whether these first bytes still may become a status line; cheap, so that garbage fails early.
fn could_be_status_line(bytes: &[u8]) -> bool {
    let expected = b"HTTP/1.";
    let seen = bytes.len().min(expected.len());
    bytes[..seen] == expected[..seen]
}

fn status_of(line: &[u8]) -> Result<u16, Malformed> {
    match line {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0' | b'1',
            b' ',
            code @ ..,
        ] => {
            let (digits, after) = code.split_at_checked(3).ok_or(Malformed::StatusLine)?;
            let ends = matches!(after.first(), None | Some(b' ' | b'\r'));
            let digits_only = digits.iter().all(u8::is_ascii_digit);
            if !ends || !digits_only || digits[0] == b'0' {
                return Err(Malformed::StatusLine);
            }
            Ok(digits
                .iter()
                .fold(0, |code, &digit| code * 10 + u16::from(digit - b'0')))
        }
        _ => Err(Malformed::StatusLine),
    }
}

fn header_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let named = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    named.then(|| (name, value.trim_ascii()))
}

fn length_of(value: &[u8]) -> Result<usize, Malformed> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::ContentLength);
    }
    let text = std::str::from_utf8(value).map_err(|_| Malformed::ContentLength)?;
    match text.parse() {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(length),
        _ => Err(Malformed::TooLong),
    }
}

#[cfg(test)]
mod tests;
