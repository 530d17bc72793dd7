//! Printing data on stdout. A reader that has seen enough, as in `orderd orders list | head`, is no
//! failure: printing ends, and so does the command, quietly.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints one line of data.
///
/// # Errors
///
/// The error of stdout; [`is_closed`] tells whether only the reader has gone.
pub fn line(data: &dyn Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{data}")?;
    out.flush()
}

/// Prints a text as it is.
///
/// # Errors
///
/// As [`line()`].
pub fn text(data: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(data.as_bytes())?;
    out.flush()
}

/// Whether a command ended because nobody reads its data any more.
pub fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
