//! What an error of the driver means to the store, told apart by what is true afterwards.
//!
//! Never guesses: an answer of the server is definite, a connection that is gone is not.

use mysql_async::{DriverError, Error, IoError, ServerError};

use crate::store::StoreError;

/// A value is there already where it may be once only.
const DUPLICATE: u16 = 1062;
/// A column that must have a value has none.
const NULL: u16 = 1048;
/// Errors whose texts show what stands in a row or in a statement.
const TALKATIVE: [u16; 8] = [DUPLICATE, 1064, 1264, 1292, 1366, 1406, 3156, 4038];
/// What is stored and what is to be stored do not fit: a value is there twice, or breaks a CHECK.
const UNFIT: [u16; 3] = [DUPLICATE, 3819, 4025];
/// A lock was waited for in vain.
const LOCKED: [u16; 2] = [1205, 3572];
/// The disk or the tablespace is full.
const FULL: [u16; 2] = [1021, 1114];
/// A table, an index or a page is damaged.
const DAMAGED: [u16; 7] = [126, 1034, 1194, 1195, 1712, 1877, 1932];
/// What the server says instead of an answer when it is told to end a session or itself.
const ENDED: [u16; 3] = [1053, 1927, 4031];

/// The text of an error: what the server said, with its number; else what the driver said. Never
/// holds values of a row, and never a password.
pub(super) fn text(error: &Error) -> String {
    match error {
        Error::Server(ServerError {
            code,
            message,
            state,
        }) => {
            let shown = match message.split_once('\'') {
                Some((before, _)) if TALKATIVE.contains(code) => before.trim_end(),
                _ => message,
            };
            format!("{shown} (error {code}, SQLSTATE {state})")
        }
        Error::Io(IoError::Io(error)) => error.to_string(),
        Error::Io(error) => error.to_string(),
        // Others hold what was received.
        Error::Driver(DriverError::ConnectionClosed) => "the connection was closed".into(),
        Error::Driver(DriverError::PacketTooLarge) => "it is too large for one packet".into(),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => "the server has no TLS".into(),
        Error::Driver(
            error @ (DriverError::UnknownAuthPlugin { .. }
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled),
        ) => error.to_string(),
        Error::Driver(_) => "the server answered what the driver does not understand".into(),
        other => other.to_string(),
    }
}

/// What the server said, if it did.
fn said(error: &Error) -> Option<&ServerError> {
    match error {
        Error::Server(said) => Some(said),
        _ => None,
    }
}

/// An error of a write that is definitely not stored.
pub(super) fn refused(error: Error) -> StoreError {
    let detail = text(&error);
    let is_full = said(&error).is_some_and(|said| {
        // The storage engine passes on what the system said: 28 is "no space left".
        FULL.contains(&said.code) || said.message.contains("error 28 ")
    });
    if is_full {
        StoreError::Full { detail }
    } else if said(&error).is_some_and(|said| LOCKED.contains(&said.code)) {
        StoreError::HeldUp { detail }
    } else if said(&error).is_some_and(|said| UNFIT.contains(&said.code)) {
        // One of them is damaged.
        StoreError::BadRow {
            table: "commit",
            column: "value",
            key: "?".into(),
            detail,
        }
    } else {
        StoreError::Refused { detail }
    }
}

/// An error of a read.
pub(super) fn unreadable(error: Error) -> StoreError {
    let detail = text(&error);
    if said(&error).is_some_and(|said| DAMAGED.contains(&said.code)) {
        return StoreError::BadRow {
            table: "file",
            column: "page",
            key: "?".into(),
            detail,
        };
    }
    StoreError::Unreadable { detail }
}

/// An error after which nobody knows what became of a commit.
pub(super) fn lost(error: &Error) -> StoreError {
    StoreError::Lost {
        detail: text(error),
    }
}

/// An error of a statement before COMMIT. What the server says of it is definite, even if it closes
/// the connection at the same time: nothing behind a statement that failed is looked at. Without an
/// answer nobody knows, because COMMIT was sent along.
pub(super) fn statement_failed(error: Error) -> StoreError {
    if said(&error).is_some() {
        refused(error)
    } else {
        lost(&error)
    }
}

/// Whether the connection is not to be used any more.
pub(super) fn is_end(error: &Error) -> bool {
    said(error).is_none_or(|said| ENDED.contains(&said.code))
}

/// Whether the fence was not there: the statement that looks for it found no epoch to write.
pub(super) fn is_fenced(error: &Error) -> bool {
    said(error).is_some_and(|said| said.code == NULL && said.message.contains("'epoch'"))
}

/// Whether a unique constraint said that an id or an idempotency key is taken. MySQL names the
/// table before the constraint, MariaDB does not.
pub(super) fn is_collision(error: &Error) -> bool {
    let names = ["orders_id'", "idempotency_keys_key'"];
    said(error).is_some_and(|said| {
        let is_named = names.iter().any(|name| said.message.ends_with(name));
        said.code == DUPLICATE && is_named
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_server(code: u16, message: &str) -> Error {
        Error::Server(ServerError {
            code,
            message: message.into(),
            state: "23000".into(),
        })
    }

    #[test]
    fn only_ids_and_keys_collide() {
        for (key, is_one) in [
            ("orders_id", true),
            ("orders.orders_id", true),
            ("idempotency_keys_key", true),
            ("idempotency_keys.idempotency_keys_key", true),
            ("PRIMARY", false),
            ("orders.PRIMARY", false),
        ] {
            let error = of_server(1062, &format!("Duplicate entry 'A-1' for key '{key}'"));
            assert_eq!(is_collision(&error), is_one, "{key}");
            let text = text(&error);
            assert!(!text.contains("A-1") && text.contains("1062"), "{text}");
        }
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = "Got error 28 \"No space left on device\" from storage engine InnoDB";
        for (code, message) in [(1030, full), (1114, "The table 'orders' is full")] {
            let error = refused(of_server(code, message));
            assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        }
        let error = refused(of_server(1205, "Lock wait timeout exceeded"));
        assert!(matches!(error, StoreError::HeldUp { .. }), "{error:?}");
    }

    #[test]
    fn what_was_not_answered_is_lost() {
        let closed = || Error::Driver(DriverError::ConnectionClosed);
        assert!(matches!(
            statement_failed(closed()),
            StoreError::Lost { .. }
        ));
        assert!(is_end(&closed()) && is_end(&of_server(1927, "Connection was killed")));
        let deadlock = of_server(1213, "Deadlock found");
        assert!(!is_end(&deadlock));
        assert!(matches!(
            statement_failed(deadlock),
            StoreError::Refused { .. }
        ));
    }
}
