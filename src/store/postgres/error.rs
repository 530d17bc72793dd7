//! What an error of the driver means to the store, told apart by what is true afterwards.
//!
//! Never guesses: an answer of the server is definite, a connection that is gone is not.

use tokio_postgres::Error;
use tokio_postgres::error::{ErrorPosition, Severity, SqlState};

use crate::store::StoreError;

/// The text of an error: what the server said, with its code; else what the driver said. Never
/// holds values of a row, and never a password.
pub(super) fn text(error: &Error) -> String {
    let Some(said) = error.as_db_error() else {
        let source = std::error::Error::source(error);
        return source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    };
    let mut text = format!("{} (SQLSTATE {}", said.message(), said.code().code());
    if let Some(ErrorPosition::Original(place)) = said.position() {
        text.push_str(&format!(", at character {place}"));
    }
    text.push(')');
    text
}

/// An error of a write that is definitely not stored.
pub(super) fn refused(error: Error) -> StoreError {
    let detail = text(&error);
    match error.code() {
        Some(&SqlState::DISK_FULL) => StoreError::Full { detail },
        // Not done in time, which is so if it waits for somebody else.
        Some(&SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE) => {
            StoreError::HeldUp { detail }
        }
        // What is stored and what is to be stored do not fit: one of them is damaged.
        Some(code) if code.code().starts_with("23") => StoreError::BadRow {
            table: "commit",
            column: "value",
            key: "?".into(),
            detail,
        },
        Some(code) if is_damage(code) => unreadable(error),
        _ => StoreError::Refused { detail },
    }
}

fn is_damage(code: &SqlState) -> bool {
    [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code)
}

/// An error of a read.
pub(super) fn unreadable(error: Error) -> StoreError {
    let detail = text(&error);
    if error.code().is_some_and(is_damage) {
        return StoreError::BadRow {
            table: "file",
            column: "page",
            key: "?".into(),
            detail,
        };
    }
    StoreError::Unreadable { detail }
}

/// Whether an error of a question says that nobody could answer at the moment: the connection or
/// the server went away, or it was not done in time.
pub(super) fn is_about_the_way(error: &Error) -> bool {
    // Operator intervention, insufficient resources.
    error.as_db_error().is_none_or(|said| {
        let code = said.code().code();
        code.starts_with("57") || code.starts_with("53")
    })
}

/// An error after which nobody knows what became of a commit.
pub(super) fn lost(error: &Error) -> StoreError {
    StoreError::Lost {
        detail: text(error),
    }
}

/// An error of a statement before COMMIT. What the server says of it is definite, even if it closes
/// the connection at the same time: a transaction in which a statement failed is never committed.
/// Without an answer nobody knows, because COMMIT was sent along.
pub(super) fn statement_failed(error: Error) -> StoreError {
    if error.as_db_error().is_some() {
        refused(error)
    } else {
        lost(&error)
    }
}

/// An error of COMMIT itself. Only an error after which the server goes on is a definite refusal:
/// it may end the session for its own reasons when the commit is done already.
pub(super) fn commit_failed(error: Error) -> StoreError {
    let severity = error.as_db_error().and_then(|said| said.parsed_severity());
    if severity == Some(Severity::Error) {
        refused(error)
    } else {
        lost(&error)
    }
}

/// Whether a unique constraint said that an id or an idempotency key is taken.
pub(super) fn is_collision(error: &Error) -> bool {
    let constraint = error.as_db_error().and_then(|said| said.constraint());
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
        && matches!(
            constraint,
            Some("orders_id_key" | "idempotency_keys_scope_key_key")
        )
}
