//! The exit codes of every command: stable, documented, and the only numbers a script needs.
//! A command answers one of them, or an error that carries one ([`Failure`]).

use std::fmt::Display;

use crate::config::ConfigError;
use crate::store::StoreError;

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
/// A change was asked for and its answer was lost: it may have happened or not.
pub const UNKNOWN: u8 = 9;
/// The store failed in the middle of a commit: the server ends, because it cannot know what is
/// stored.
pub const STORE_FAILED: u8 = 74;
/// Another server has taken the store over while this one was cut off, so this one ends.
pub const TAKEN_OVER: u8 = 75;
/// A load run ended well, but a threshold was missed.
pub const THRESHOLD: u8 = 99;

/// The way out of an error that is none of the commands' own: the system has refused something.
pub const OF_THE_SYSTEM: &str = "this comes from the system: mend what it names, and run it again";
/// The way out of an error of the command itself.
pub const OF_OURS: &str = "run it again; if it comes back, report it with what you did";

/// An error that knows its exit code and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of the constants of this module.
    pub code: u8,
    /// For people: what failed, why, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with this code: what failed and why, and the way out.
    pub fn new(code: u8, what: impl Display, way_out: impl Display) -> Self {
        let what = what.to_string();
        // Behind a list it has a line of its own.
        let gap = if what.contains('\n') { "\n  " } else { "; " };
        let message = format!("{what}{gap}{way_out}");
        Self { code, message }
    }

    /// A failure whose message comes from elsewhere and names its way out.
    pub fn said(code: u8, message: impl Display) -> Self {
        let message = message.to_string();
        Self { code, message }
    }

    /// The same, and what it is about.
    pub fn about(self, what: impl Display) -> Self {
        let message = format!("{what}: {}", self.message);
        Self { message, ..self }
    }

    /// A setting is wrong.
    pub fn of_setting(error: &ConfigError) -> Self {
        let way_out = match error {
            ConfigError::File { .. } => "name one that can be read with --config",
            ConfigError::Syntax { .. } => {
                "mend that line; `orderd config template` prints a file that is right"
            }
            // What it must be, or what there is, is the way out.
            ConfigError::Unknown { .. }
            | ConfigError::Missing { .. }
            | ConfigError::Value { .. }
            | ConfigError::Refused { .. } => {
                return Self::said(CONFIGURATION, error);
            }
        };
        Self::new(CONFIGURATION, error, way_out)
    }

    /// A store could not be used; `what` failed because of it, such as "cannot verify x: ".
    pub fn of_store(what: &str, error: &StoreError) -> Self {
        let code = match error {
            StoreError::Locked { .. }
            | StoreError::NotWritable { .. }
            | StoreError::InUse { .. }
            | StoreError::HalfCopied
            | StoreError::Unreachable { .. } => UNAVAILABLE,
            StoreError::Newer { .. } => STORE_NEWER,
            StoreError::UnknownUrl { .. } | StoreError::BadUrl { .. } => CONFIGURATION,
            StoreError::Missing { .. } => NOT_FOUND,
            _ => FAILURE,
        };
        match way_out(error) {
            Some(way_out) => Self::new(code, format_args!("{what}{error}"), way_out),
            None => Self::said(code, format_args!("{what}{error}")),
        }
    }
}

/// What to do about an error of a store, if it does not say so itself.
fn way_out(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Locked { .. }
        | StoreError::NotWritable { .. }
        | StoreError::InUse { .. }
        | StoreError::Behind { .. }
        | StoreError::Newer { .. }
        | StoreError::Older { .. }
        | StoreError::HalfCopied
        | StoreError::UnknownUrl { .. } => None,
        StoreError::Refused { .. }
        | StoreError::Unknown { .. }
        | StoreError::Lost { .. }
        | StoreError::Unreadable { .. } => {
            Some("look after the disk or the database that it names, then run it again")
        }
        StoreError::HeldUp { .. } => Some("end that session, then run it again"),
        StoreError::Fenced => Some("run it again when that server has ended"),
        StoreError::Full { .. } => Some("make room, then run it again"),
        StoreError::BadRow { .. } => {
            Some("`orderd verify` finds all that is damaged; bring a backup back")
        }
        StoreError::Unreachable { .. } => {
            Some("start the database, or mend its URL in store.url or --store")
        }
        StoreError::BadUrl { .. } => Some(
            "use sqlite:PATH, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, with \
             the parameters of docs/databases.md",
        ),
        StoreError::Missing { .. } => Some("name another one"),
        StoreError::NotDurable { .. } => Some("change that setting of the database"),
    }
}

/// For results of others whose error knows no way out.
pub trait OrFail<T> {
    /// Says what could not be done, and the way out.
    ///
    /// # Errors
    ///
    /// The error, as a [`Failure`] of the general code.
    fn or_fail(self, what: impl Display, way_out: impl Display) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, what: impl Display, way_out: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(FAILURE, format_args!("{what}: {error}"), way_out))
    }
}

/// An error for people: that of a command as it is, and one of the system with a way out.
pub fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.message.clone(),
        None => format!("{error:#}; {OF_THE_SYSTEM}"),
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
    fn every_error_is_told_with_its_way_out() {
        let error = anyhow::Error::new(Failure::new(UNREACHABLE, "nobody there", "start one"));
        assert_eq!(code_of(&error), UNREACHABLE);
        assert_eq!(told(&error), "nobody there; start one");
        let full = std::io::Error::other("disk full");
        let error = Err::<(), _>(full).or_fail("cannot read x", "name another file");
        assert_eq!(
            error.unwrap_err().to_string(),
            "cannot read x: disk full; name another file"
        );
        let error = anyhow::Error::new(std::io::Error::other("disk full"));
        assert_eq!(code_of(&error), FAILURE);
        assert_eq!(told(&error), format!("disk full; {OF_THE_SYSTEM}"));
    }

    #[test]
    fn an_error_of_a_store_has_one_way_out() {
        let detail = || "x".to_owned();
        for error in [
            StoreError::Refused { detail: detail() },
            StoreError::Unreadable { detail: detail() },
            StoreError::BadUrl { detail: detail() },
            StoreError::HalfCopied,
            StoreError::Newer { found: 2, known: 1 },
            StoreError::UnknownUrl { url: detail() },
        ] {
            let failure = Failure::of_store("cannot: ", &error);
            assert_eq!(failure.message.matches("; ").count(), 1, "{failure}");
        }
    }
}
