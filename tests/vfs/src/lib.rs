//! Files for SQLite as two safe traits: whoever implements them decides what a write, a flush and a
//! lock are. Tests put files below the real store that lose, tear and refuse.
//!
//! Knows no file system and decides nothing. The unsafe half, calls from C, is in `calls`.

mod calls;

use std::ffi::{CString, c_int};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

pub use libsqlite3_sys as codes;

/// Why a call failed: one of SQLite's extended result codes, as in [`codes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub c_int);

/// What a call answers.
pub type Answer<T> = Result<T, Code>;

/// Bytes in a region of shared memory.
pub const REGION_BYTES: usize = 32_768;

/// A region of the memory that connections to one database share, as words that any thread may
/// change at any time.
pub type Region = Arc<[AtomicU32; REGION_BYTES / 4]>;

/// Where files are.
pub trait Files: Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file, making it if need be; or only to read. A file without a name is gone when it
    /// is closed.
    ///
    /// # Errors
    ///
    /// What SQLite is to be told.
    fn open(&self, path: Option<&str>, kind: Kind, is_read_only: bool) -> Answer<Self::File>;

    /// Removes a file; `is_flushed`: and makes that durable.
    ///
    /// # Errors
    ///
    /// `SQLITE_IOERR_DELETE_NOENT` if there is none.
    fn delete(&self, path: &str, is_flushed: bool) -> Answer<()>;

    /// Whether there is a file that is not empty.
    ///
    /// # Errors
    ///
    /// What SQLite is to be told.
    fn exists(&self, path: &str) -> Answer<bool>;
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A database.
    Database,
    /// A write-ahead log or a rollback journal: the first flush through each handle has to make its
    /// name durable, too.
    Log,
    /// Something that nobody needs later.
    Temporary,
}

/// How much a connection wants a database file for itself; rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// Not at all.
    None,
    /// Reads.
    Shared,
    /// Means to write; there is at most one.
    Reserved,
    /// Waits for the readers to go; lets no new ones in.
    Pending,
    /// Nobody else.
    Exclusive,
}

/// How slots of the shared memory are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotLock {
    /// With others.
    Shared,
    /// Alone.
    Exclusive,
    /// No more.
    Free,
}

/// An open file. One thread at a time uses it. Dropping closes it.
pub trait File: Send + 'static {
    /// Reads what there is, and answers how many bytes that was.
    ///
    /// # Errors
    ///
    /// What SQLite is to be told, here and in all that follow.
    fn read(&mut self, at: u64, into: &mut [u8]) -> Answer<usize>;

    /// Writes all of the bytes.
    ///
    /// # Errors
    ///
    /// Any part may have been written.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Answer<()>;

    /// Cuts the file to a length.
    ///
    /// # Errors
    ///
    /// Nothing was cut.
    fn truncate(&mut self, length: u64) -> Answer<()>;

    /// Makes everything durable that was written to the file, through any handle.
    ///
    /// # Errors
    ///
    /// Nothing is known of what was not durable before.
    fn flush(&mut self) -> Answer<()>;

    /// Bytes in the file.
    ///
    /// # Errors
    ///
    /// They cannot be told.
    fn length(&mut self) -> Answer<u64>;

    /// Raises the lock.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if another connection is in the way.
    fn lock(&mut self, to: Lock) -> Answer<()>;

    /// Lowers the lock to `Shared` or `None`.
    fn unlock(&mut self, to: Lock);

    /// Whether any connection has `Reserved` or more.
    fn is_reserved(&mut self) -> bool;

    /// A region of the shared memory; `None` if it is not there and is not to be made.
    ///
    /// # Errors
    ///
    /// There is no shared memory.
    fn region(&mut self, number: usize, is_made: bool) -> Answer<Option<Region>>;

    /// Locks slots of the shared memory, all of them or none.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if another connection is in the way.
    fn lock_slots(&mut self, slots: std::ops::Range<usize>, how: SlotLock) -> Answer<()>;

    /// Lets go of the shared memory; the last connection may remove it.
    fn leave_regions(&mut self, is_removed: bool);
}

/// Makes files known to SQLite under a name, until the process ends.
///
/// # Errors
///
/// The name has a zero in it, or SQLite does not want any.
pub fn register<F: Files>(name: &str, files: F) -> Answer<()> {
    let name = CString::new(name).map_err(|_| Code(codes::SQLITE_MISUSE))?;
    match calls::register(name, files) {
        codes::SQLITE_OK => Ok(()),
        code => Err(Code(code)),
    }
}

/// Lets this thread find a number as the reason why the system's last call failed. Does nothing but
/// on Linux.
pub fn set_system_error(number: c_int) {
    calls::set_system_error(number);
}
