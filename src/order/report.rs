//! What a worker says about an attempt that it has under a lease.
//!
//! Data and the check of outputs only. Whether it counts is decided by the shard.

use super::{Fence, Outcome, QueueIndex};

/// Largest output of a step, in bytes of JSON.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// Most bytes that are kept of an error.
pub const ERROR_BYTES_MAX: usize = 1_024;

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The fence that it was given with the lease.
    pub fence: Fence,
    /// The queue that it leased from.
    pub queue: QueueIndex,
    /// What.
    pub verdict: Verdict,
}

impl Report {
    /// Whether it only says that the work goes on.
    pub fn is_beat(&self) -> bool {
        matches!(self.verdict, Verdict::Beat)
    }

    /// Whether the history has it if it comes too late: if somebody says what was done.
    pub fn is_told_late(&self) -> bool {
        matches!(self.verdict, Verdict::Ended(_) | Verdict::HandBack { .. })
    }

    /// How many bytes it brings along beside its own.
    pub fn bytes(&self) -> usize {
        match &self.verdict {
            Verdict::Ended(Outcome::Complete { output }) => {
                output.as_ref().map_or(0, |it| it.len())
            }
            _ => 0,
        }
    }
}

/// What a worker can say about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has ended like this.
    Ended(Outcome),
    /// It goes on: the lease counts anew from now.
    Beat,
    /// Nothing: whoever has the lease wants to know, once that is on disk, that it is theirs.
    Check,
    /// It was taken over by somebody who will say later what became of it: the lease counts anew
    /// from now, and it does not count as running any more.
    Later,
    /// It was not made: the work goes back into its queue, and the attempt does not count.
    HandBack {
        /// Why, for people.
        reason: Option<Box<str>>,
    },
}

/// A JSON text without the blanks between its parts, so that it has one line. The text must be
/// JSON; it is not read here.
pub fn compact(json: &str) -> Box<str> {
    let mut text = String::with_capacity(json.len());
    let (mut is_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        if is_string {
            is_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            is_string = c == '"';
        }
        text.push(c);
    }
    text.into()
}

/// A text for people on one line, cut so that it has at most [`ERROR_BYTES_MAX`] bytes.
pub fn shortened(error: &str) -> Box<str> {
    let error = &error[..error.floor_char_boundary(ERROR_BYTES_MAX)];
    error.replace(char::is_control, " ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_go_and_strings_stay() {
        let json = "{ \"a b\" : [ 1,\r\n\t\"x \\\" y\\\\\" , { } ] }";
        assert_eq!(&*compact(json), r#"{"a b":[1,"x \" y\\",{}]}"#);
    }

    #[test]
    fn an_error_is_cut_between_characters() {
        let long = "ö".repeat(1_000);
        assert_eq!(shortened(&long).len(), 1_024);
        assert_eq!(shortened(&format!("x{long}")).len(), 1_023);
        assert_eq!(&*shortened("two\nlines"), "two lines");
    }
}
