//! The exit codes of every command: stable, documented, and the only numbers a script needs.
//! A command answers one of them, or an error that carries one ([`Failure`]).

/// Everything went well.
pub const OK: u8 = 0;
/// The command ran and failed: the message says how.
pub const FAILURE: u8 = 1;
/// The command line makes no sense: unknown flag, bad value, flags that exclude each other.
pub const USAGE: u8 = 2;
/// What was asked for does not exist.
pub const NOT_FOUND: u8 = 3;
/// No server answers at the given address.
pub const UNREACHABLE: u8 = 4;
/// The change collides with what is there: an id that is taken, a newer version.
pub const CONFLICT: u8 = 5;
/// The data folder is locked or not writable, or the port is in use.
pub const UNAVAILABLE: u8 = 6;
/// The store was written by a newer orderd than this one.
pub const STORE_NEWER: u8 = 7;
/// A setting is unknown, out of range or contradicts another.
pub const CONFIGURATION: u8 = 8;
/// The store failed in the middle of a commit: the server ends, because it cannot know what is
/// stored.
pub const STORE_FAILED: u8 = 74;
/// Another server has taken the store over while this one was cut off, so this one ends.
pub const TAKEN_OVER: u8 = 75;
/// A load run ended well, but a threshold was missed.
pub const THRESHOLD: u8 = 99;

/// An error that knows its exit code.
///
/// Commands return it inside an `anyhow::Error`, with as much context around it as helps.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of the constants of this module.
    pub code: u8,
    /// One line for people: what failed and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with this code and message.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

/// The exit code of an error: that of the [`Failure`] in its chain, else [`FAILURE`].
pub fn code_of(error: &anyhow::Error) -> u8 {
    error
        .downcast_ref::<Failure>()
        .map_or(FAILURE, |failure| failure.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_code_under_context() {
        let error = anyhow::Error::new(Failure::new(UNREACHABLE, "nobody there"));
        assert_eq!(code_of(&error.context("cannot load")), UNREACHABLE);
        assert_eq!(code_of(&anyhow::anyhow!("anything else")), FAILURE);
    }
}
