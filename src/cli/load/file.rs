//! Reads a file of orders line by line, plain or gzip, without ever holding more than a line.
//! A line is passed on as it stands; whether it is an order is for the server to say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::clock::Timestamp;

/// The longest line that is read, in bytes; the server takes no order over 1 MiB.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1024;
/// The first bytes of a gzip file.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// A file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was opened, but a line cannot be read: damaged compression, a line too long.
    #[error("cannot read {} at line {line}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
}

/// The lines of a file.
pub struct Lines {
    input: Box<dyn BufRead + Send>,
    path: PathBuf,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    /// Opens a file; gzip is recognised by its first bytes, not by its name.
    ///
    /// # Errors
    ///
    /// `Open`: it does not exist, is a folder, or may not be read.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let mut plain = BufReader::with_capacity(READ_BYTES, file);
        let is_gzip = plain.fill_buf().map_err(failed)?.starts_with(GZIP_MAGIC);
        let input: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(
                READ_BYTES,
                MultiGzDecoder::new(plain),
            ))
        } else {
            Box::new(plain)
        };
        Ok(Self {
            input,
            path: path.to_owned(),
            number: 0,
            line: Vec::new(),
        })
    }

    /// The next line that is not blank, without its end, and its number from 1.
    ///
    /// # Errors
    ///
    /// `Read`: the compression is damaged, the line is over 8 MiB, or the disk fails.
    pub fn advance(&mut self) -> Result<Option<(u64, &[u8])>, FileError> {
        loop {
            self.number += 1;
            self.line.clear();
            let mut limited = self.input.by_ref().take(LINE_BYTES_MAX);
            let read = limited.read_until(b'\n', &mut self.line);
            let full = limited.limit() == 0 && !self.line.ends_with(b"\n");
            let read = match read {
                Ok(_) if full => Err(io::Error::other("the line is over 8 MiB")),
                read => read,
            };
            match read {
                Ok(0) => return Ok(None),
                Ok(_) if self.line.trim_ascii().is_empty() => {}
                Ok(_) => return Ok(Some((self.number, self.line.trim_ascii()))),
                Err(source) => {
                    let (path, line) = (self.path.clone(), self.number);
                    return Err(FileError::Read { path, line, source });
                }
            }
        }
    }
}

/// When the order in a line was placed (`metadata.placed_at`), in microseconds since 1970 UTC.
pub fn placed_at(line: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Metadata {
        placed_at: String,
    }
    #[derive(Deserialize)]
    struct Order {
        metadata: Metadata,
    }
    let order: Order = serde_json::from_slice(line).ok()?;
    Timestamp::parse_rfc3339(&order.metadata.placed_at).map(|placed| placed.0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(content: &[u8]) -> (Vec<(u64, String)>, Option<String>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        let mut found = Vec::new();
        loop {
            match lines.advance() {
                Ok(Some((number, line))) => {
                    found.push((number, String::from_utf8_lossy(line).into_owned()));
                }
                Ok(None) => return (found, None),
                Err(error) => {
                    let text = format!("{:#}", anyhow::Error::new(error));
                    return (found, Some(text));
                }
            }
        }
    }

    #[test]
    fn numbers_lines_as_an_editor_does_and_skips_blank_ones() {
        let content = b"{1}\n\n  \r\n{2}\r\n{3}";
        let expected = [(1, "{1}"), (4, "{2}"), (5, "{3}")];
        let expected: Vec<_> = expected.map(|(n, text)| (n, text.to_owned())).into();
        assert_eq!(read(content), (expected.clone(), None));
        assert_eq!(read(&gzip(content)), (expected, None));
        assert_eq!(read(b""), (Vec::new(), None));
    }

    #[test]
    fn several_gzip_parts_are_one_file() {
        let both = [gzip(b"{1}\n"), gzip(b"{2}\n")].concat();
        assert_eq!(read(&both).0.len(), 2);
    }

    #[test]
    fn a_damaged_file_is_named_with_the_line() {
        let long: String = (0..20_000)
            .map(|number| format!("{{\"n\":{number}}}\n"))
            .collect();
        let whole = gzip(long.as_bytes());
        let (lines, error) = read(&whole[..whole.len() / 2]);
        let error = error.unwrap();
        assert!(
            error.contains(&format!("at line {}", lines.len() + 1)),
            "{error}"
        );
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let endless = vec![b'a'; LINE_BYTES_MAX as usize + 1];
        assert!(
            read(&endless)
                .1
                .unwrap()
                .contains("at line 1: the line is over 8 MiB")
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Lines::open(Path::new("/nowhere/orders.ndjson"))
            .err()
            .unwrap();
        assert_eq!(error.to_string(), "cannot open /nowhere/orders.ndjson");
    }

    #[test]
    fn finds_when_an_order_was_placed() {
        let line =
            br#"{"order_id":"1","metadata":{"store":"3","placed_at":"1970-01-01T00:00:01Z"}}"#;
        assert_eq!(placed_at(line), Some(1_000_000));
        assert_eq!(placed_at(b"{}"), None);
        assert_eq!(placed_at(b"no json"), None);
    }
}
