//! Opening a database: the lock on its folder, its schema, its settings, and what they are worth.
//!
//! Refuses rather than guesses: a newer schema, a second server, settings that do not keep a commit
//! safe.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::row::{self, refused};
use crate::faults;
use crate::store::{Durability, StoreError};

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Oldest SQLite that is safe: before it, a checkpoint beside a write could corrupt the file.
const VERSION_MIN: i32 = 3_051_003;

/// Page cache of the writer, in KiB: the ends of the table and its indexes, and the last 30,000
/// orders or so. A larger one costs time, because SQLite goes through it at the end of each commit.
const WRITER_CACHE_KIB: i64 = 16_384;
/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i64 = 8_192;

impl super::Sqlite {
    /// Lets the writer keep only so many pages in memory, until it is opened anew: a larger commit
    /// is written to the log before its end. For tests.
    pub fn keep_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.write(|writer| {
            let set = writer.connection.pragma_update(None, "cache_size", pages);
            set.map_err(refused)
        })
    }
}

/// Pages of the log from which on it is moved into the database while many rows are taken in.
const ROWS_LOG_PAGES: i64 = 16_384;

/// The folder that holds a file.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether the path is a URI that names another of SQLite's file systems: `file:PATH?vfs=NAME`.
/// Only that one knows what is there and who may use it.
pub(super) fn is_elsewhere(path: &Path) -> bool {
    let query = path
        .to_str()
        .and_then(|path| path.strip_prefix("file:")?.split_once('?'));
    query.is_some_and(|(_, query)| query.split('&').any(|part| part.starts_with("vfs=")))
}

/// Takes the lock beside the database, making the folder if need be. Held until the file is
/// dropped. `None`: the database is elsewhere.
pub(super) fn lock_folder(path: &Path) -> Result<Option<File>, StoreError> {
    if is_elsewhere(path) {
        return Ok(None);
    }
    let folder = folder(path);
    let not_writable = |error: std::io::Error| StoreError::NotWritable {
        path: folder.into(),
        detail: error.to_string(),
    };
    std::fs::create_dir_all(folder).map_err(not_writable)?;
    let file = File::create(path.with_added_extension("lock")).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => {
            faults::point("opening-locked");
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: folder.into(),
        }),
        Err(TryLockError::Error(error)) => Err(not_writable(error)),
    }
}

/// The connection that writes, and what its commits are worth: schema up to date, settings durable.
pub(super) fn writer(path: &Path) -> Result<(Connection, Durability), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = open(path, flags)?;
    set_up(&connection, WRITER_CACHE_KIB).map_err(|error| cannot_use(path, &error))?;
    // Before anything is written: a flush that failed may have kept the database from its log.
    let durability = durability(&connection, path)?;
    check_version(&connection)?;
    check_whole(&connection)?;
    faults::point("opening-migrates");
    migrate(&mut connection)?;
    faults::point("opening-migrated");
    Ok((connection, durability))
}

/// Brings the schema up to date.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // In one transaction with the row that says so: otherwise a schema could be there that nobody
    // knows of, and no start would get past it.
    let runner = migrations::migrations::runner().set_grouped(true);
    let report = runner.run(connection);
    report.map_err(|error| StoreError::Refused {
        detail: format!("migration failed: {error}"),
    })?;
    Ok(())
}

/// The connection that takes in many rows at once: its commits do not wait for the disk, but are
/// there in their order after a crash.
pub(super) fn for_rows(path: &Path, cache_kib: i64) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    let set_up = set_up(&connection, cache_kib)
        .and_then(|()| connection.pragma_update(None, "synchronous", "NORMAL"))
        .and_then(|()| connection.pragma_update(None, "wal_autocheckpoint", ROWS_LOG_PAGES));
    set_up.map_err(|error| cannot_use(path, &error))?;
    Ok(connection)
}

/// Has everything that was written flushed and moved into the database.
pub(super) fn flush(connection: &Connection) -> Result<(), StoreError> {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_blocked: i64 = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(refused)?;
    if is_blocked == 0 {
        return Ok(());
    }
    let detail = "somebody reads the database, so its log cannot be moved into it".into();
    Err(StoreError::Refused { detail })
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    connection
        .pragma_update(None, "cache_size", -READER_CACHE_KIB)
        .map_err(row::unreadable)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The connection that moves the log into the database.
pub(super) fn checkpoint_connection(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    set_up(&connection, READER_CACHE_KIB).map_err(refused)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags);
    let connection = connection.map_err(|error| cannot_use(path, &error))?;
    // Closing copies nothing: after a failed flush the log may not hold what SQLite thinks. What is
    // left in it is copied at the next start.
    let no_copy = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(no_copy, true).map_err(refused)?;
    // Only a migration or a checkpoint of ours can ever be in the way, and both are short.
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(refused)?;
    Ok(connection)
}

fn cannot_use(path: &Path, error: &rusqlite::Error) -> StoreError {
    StoreError::NotWritable {
        path: path.into(),
        detail: error.to_string(),
    }
}

fn set_up(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    // To its end, not only to its answer: what it writes is flushed there, and that may fail.
    connection.pragma(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints are ours: see `checkpoint`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A page that is mapped could be changed by a stray write without SQLite's knowing.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Refuses a schema that is newer than this binary.
pub(super) fn check_version(connection: &Connection) -> Result<(), StoreError> {
    let (found, known) = versions(connection)?;
    if found > known {
        Err(StoreError::Newer { found, known })
    } else {
        Ok(())
    }
}

/// Refuses a schema that is older than this binary, and a database without one.
pub(super) fn check_migrated(connection: &Connection) -> Result<(), StoreError> {
    let (found, known) = versions(connection)?;
    if found < known {
        Err(StoreError::Older { found, known })
    } else {
        Ok(())
    }
}

/// The schema's version, 0 if there is none, and the newest that this binary knows.
fn versions(connection: &Connection) -> Result<(u32, u32), StoreError> {
    let known = migrations::migrations::runner()
        .get_migrations()
        .iter()
        .map(|m| m.version())
        .max();
    let known = known
        .and_then(|version| u32::try_from(version).ok())
        .unwrap_or(0);
    let has_history = connection.table_exists(None, "refinery_schema_history");
    if !has_history.map_err(row::unreadable)? {
        return Ok((0, known));
    }
    let newest = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    let found = connection.query_row(newest, [], |row| row.get(0));
    Ok((found.map_err(row::unreadable)?, known))
}

/// Refuses a database into which a store was not copied to the end.
pub(super) fn check_whole(connection: &Connection) -> Result<(), StoreError> {
    let is_begun = connection.table_exists(None, "copying");
    if is_begun.map_err(row::unreadable)? {
        Err(StoreError::HalfCopied)
    } else {
        Ok(())
    }
}

/// Refuses a path at which there is nothing.
pub(super) fn check_there(path: &Path) -> Result<(), StoreError> {
    if is_elsewhere(path) || path.exists() {
        return Ok(());
    }
    Err(StoreError::Missing {
        store: path.display().to_string(),
    })
}

/// Reads the settings that decide what a commit is worth, and looks where the database is.
fn durability(connection: &Connection, path: &Path) -> Result<Durability, StoreError> {
    let version = rusqlite::version();
    if rusqlite::version_number() < VERSION_MIN {
        let detail = format!("SQLite {version} is older than 3.51.3");
        return Err(StoreError::NotDurable { detail });
    }
    let text = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0));
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let mode = text("journal_mode").map_err(refused)?;
    let synchronous = number("synchronous").map_err(refused)?;
    // Files that cannot be mapped have no answer.
    let mapped = number("mmap_size").optional().map_err(refused)?;
    let mapped = mapped.unwrap_or(0);
    if mode != "wal" || synchronous < 2 || mapped != 0 {
        let detail = format!(
            "SQLite says journal_mode={mode}, synchronous={synchronous}, mmap_size={mapped}; \
             needed are wal, 2 (FULL) and 0. Is the data folder on a network file system?"
        );
        return Err(StoreError::NotDurable { detail });
    }
    let settings = format!("SQLite {version}, write-ahead log, synchronous=FULL");
    let (level, then) = match file_system(folder(path)) {
        FileSystemKind::Disk => ("disk", "every answer waits for the disk"),
        FileSystemKind::Memory => (
            "memory",
            "but the data folder is in memory: it ends with the machine",
        ),
        FileSystemKind::Network => (
            "network",
            "but the data folder is on a network file system: locks and flushes are what it makes \
             of them; use a local disk",
        ),
    };
    if level != "disk" {
        tracing::warn!(level, "{then}");
    }
    let detail = format!("{settings}: {then}");
    Ok(Durability { level, detail })
}

/// What kind of file system a folder is on, as far as that matters.
enum FileSystemKind {
    Disk,
    Memory,
    Network,
}

#[cfg(target_os = "linux")]
fn file_system(folder: &Path) -> FileSystemKind {
    // As in linux/magic.h.
    const MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58F6];
    const NETWORK: [u32; 8] = [
        0x6969,      // nfs
        0x517B,      // smb
        0xFF53_4D42, // cifs
        0xFE53_4D42, // smb2
        0x00C3_6400, // ceph
        0x5346_414F, // afs
        0x0BD0_0BD0, // lustre
        0x0102_1997, // 9p
    ];
    // The low half: the rest is a sign on some machines.
    let number = rustix::fs::statfs(folder).map_or(0, |said| said.f_type as u32);
    match number {
        number if MEMORY.contains(&number) => FileSystemKind::Memory,
        number if NETWORK.contains(&number) => FileSystemKind::Network,
        _ => FileSystemKind::Disk,
    }
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> FileSystemKind {
    FileSystemKind::Disk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_that_is_broken_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        // It breaks off where the schema is there, and that it is there is not written down yet.
        let spoilt = Connection::open(&path).unwrap();
        let history = "CREATE TABLE refinery_schema_history
                         (version INT4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255),
                          checksum VARCHAR(255));
                       CREATE TRIGGER breaks_off BEFORE INSERT ON refinery_schema_history
                         BEGIN SELECT RAISE(ABORT, 'the end'); END";
        spoilt.execute_batch(history).unwrap();
        let error = writer(&path).unwrap_err();
        assert!(error.to_string().contains("the end"), "{error}");
        spoilt.execute_batch("DROP TRIGGER breaks_off").unwrap();
        drop(spoilt);
        writer(&path).unwrap();
    }
}
