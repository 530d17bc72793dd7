//! What can go wrong with a store, told apart by what is true afterwards.
//!
//! `Unknown` is never turned into `Refused`: an order that may be stored must not be called lost.

use std::path::PathBuf;

use thiserror::Error;

/// Why a store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Definitely not stored. The same commit may be tried again.
    #[error("the store refused: {detail}")]
    Refused {
        /// What the engine said.
        detail: String,
    },
    /// Definitely not stored: another session of the database has locked what it needs.
    #[error("the store is locked by another session: {detail}")]
    HeldUp {
        /// What the engine said.
        detail: String,
    },
    /// May be stored or not. Nothing more may be written through this handle.
    #[error("the fate of a commit is unknown: {detail}")]
    Unknown {
        /// What the engine said.
        detail: String,
    },
    /// May be stored or not: the connection was lost while a commit was under way, and says nothing
    /// about the disk. Nothing more may be written through this handle.
    #[error("the connection was lost during a commit: {detail}")]
    Lost {
        /// What happened.
        detail: String,
    },
    /// Somebody else has taken over this shard. Nothing was stored, and nothing will be.
    #[error("this shard was taken over by another server")]
    Fenced,
    /// No room. Definitely not stored.
    #[error("the store is full: {detail}")]
    Full {
        /// What the engine said.
        detail: String,
    },
    /// A read failed. Says nothing about what is stored.
    #[error("the store could not be read: {detail}")]
    Unreadable {
        /// What the engine said.
        detail: String,
    },
    /// A row breaks an invariant. It is shown to nobody. From a commit: definitely not stored, and
    /// trying the same again makes nothing better.
    #[error("{table} row {key} has a bad {column}: {detail}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Another server uses the data folder.
    #[error(
        "the data folder {} is in use by another orderd; stop it, or choose another with --data",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The data folder cannot be made or written.
    #[error(
        "cannot use {}: {detail}; check its owner and rights, or choose another with --data",
        path.display()
    )]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Another server uses the database.
    #[error(
        "the database {database} is in use by another orderd; stop it, wait for it with \
         --takeover, or choose another one"
    )]
    InUse {
        /// The database, for people.
        database: String,
    },
    /// There is no way to the database.
    #[error("cannot reach the database {database}: {detail}")]
    Unreachable {
        /// The database, for people.
        database: String,
        /// What the system or the server said.
        detail: String,
    },
    /// The URL of the store cannot be read.
    #[error("the URL of the store is wrong: {detail}")]
    BadUrl {
        /// What is wrong; never the whole URL, which may hold a password.
        detail: String,
    },
    /// Something that was flushed is not there any more.
    #[error(
        "{detail}; bring the missing files or a backup back, or, to go on without what is missing, \
         remove {}",
        path.display()
    )]
    Behind {
        /// The file that knows.
        path: PathBuf,
        /// What is missing.
        detail: String,
    },
    /// The schema is newer than this binary.
    #[error(
        "the store has schema version {found}, this orderd knows up to {known}; use a newer orderd"
    )]
    Newer {
        /// Version of the schema.
        found: u32,
        /// Newest version that this binary knows.
        known: u32,
    },
    /// The schema is older than this binary, or there is none.
    #[error(
        "it has schema version {found} and this orderd works with {known}; serve it with this \
         orderd once"
    )]
    Older {
        /// Version of the schema; 0: there is none.
        found: u32,
        /// Newest version that this binary knows.
        known: u32,
    },
    /// A store was being copied into this database, and not to the end.
    #[error(
        "it is a copy that is not complete; start the same orderd copy again, which goes on where \
         it was"
    )]
    HalfCopied,
    /// There is nothing to read.
    #[error("there is no store at {store}")]
    Missing {
        /// Its place, for people.
        store: String,
    },
    /// The engine's settings are not safe enough to answer for orders.
    #[error("the store is not durable: {detail}")]
    NotDurable {
        /// Which setting, and what it should be.
        detail: String,
    },
    /// No backend for such a URL.
    #[error("there is no store for {url:?} URLs; use sqlite:PATH, postgres:// or mysql://")]
    UnknownUrl {
        /// The scheme; never the whole URL, which may hold a password.
        url: String,
    },
}
/// There is no way to write left.
pub(super) fn given_up() -> StoreError {
    StoreError::Refused {
        detail: "writing was given up after an error".into(),
    }
}
