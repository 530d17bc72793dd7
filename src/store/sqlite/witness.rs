//! A small file beside the database that says how far the journal had come when it was flushed
//! last.
//!
//! SQLite takes a log that was cut, or has one bad page, for a shorter one that is sound, and an
//! older copy of a database for the newest: only somebody outside can tell. Written off the way of
//! an answer, at most every 100 ms; never ahead of the database.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::read;
use super::write::Head;
use crate::order::{Position, ShardNumber};
use crate::store::StoreError;

/// Shortest time between two writes.
const PAUSE: Duration = Duration::from_millis(100);
/// Writes after which the file is flushed: once a second.
const FLUSHED_EVERY: u32 = 10;
/// First bytes of a copy.
const NAME: &[u8; 8] = b"orderd.1";
/// A copy: name, shard, position, hash of the journal row, and the first bytes of a hash over
/// these.
const COPY: usize = 64;
/// Where the two copies begin: on pages of their own, so that no write can harm both.
const PLACES: [u64; 2] = [0, 4_096];

/// Tells how far the journal has come, and what was told before the start.
pub(super) struct Witness {
    path: PathBuf,
    before: Option<Head>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// What is to be written.
    head: Mutex<Option<Head>>,
    /// The thread sleeps until it is woken.
    is_idle: AtomicBool,
    is_over: AtomicBool,
}

impl Shared {
    fn take(&self) -> Option<Head> {
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        head.take()
    }
}

/// The file beside a database.
fn beside(database: &Path) -> PathBuf {
    database.with_added_extension("witness")
}

/// What the file beside a database says. `None`: nothing that can be read.
pub(super) fn said(database: &Path) -> Option<Head> {
    let (_, head) = read_file(&mut File::open(beside(database)).ok()?)?;
    Some(head)
}

/// Removes the file beside a database: what it says is about another one.
pub(super) fn forget(database: &Path) -> Result<(), StoreError> {
    let path = beside(database);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let detail = error.to_string();
            Err(StoreError::NotWritable { path, detail })
        }
        _ => Ok(()),
    }
}

/// The newest copy that is whole, and which of the two it is.
fn read_file(file: &mut File) -> Option<(u32, Head)> {
    let copies = (0..).zip(PLACES).filter_map(|(number, place)| {
        let mut copy = [0; COPY];
        file.seek(SeekFrom::Start(place)).ok()?;
        file.read_exact(&mut copy).ok()?;
        Some((number, decode(&copy)?))
    });
    copies.max_by_key(|(_, (_, position, _))| *position)
}

fn encode((shard, position, hash): &Head) -> [u8; COPY] {
    let mut copy = [0; COPY];
    copy[..8].copy_from_slice(NAME);
    copy[8..16].copy_from_slice(&u64::from(shard.0).to_be_bytes());
    copy[16..24].copy_from_slice(&position.0.to_be_bytes());
    copy[24..56].copy_from_slice(hash);
    let sum = Sha256::digest(&copy[..56]);
    copy[56..].copy_from_slice(&sum[..8]);
    copy
}

fn decode(copy: &[u8; COPY]) -> Option<Head> {
    let is_whole = copy.starts_with(NAME) && Sha256::digest(&copy[..56])[..8] == copy[56..];
    let shard = u64::from_be_bytes(copy[8..16].try_into().ok()?);
    let position = i64::from_be_bytes(copy[16..24].try_into().ok()?);
    let head = (
        ShardNumber(u16::try_from(shard).ok()?),
        Position(position),
        copy[24..56].try_into().ok()?,
    );
    is_whole.then_some(head)
}

impl Witness {
    /// Reads what was told before, and begins to listen. `None`: the file cannot be written, and
    /// the log says so.
    pub(super) fn beside(database: &Path) -> Option<Self> {
        let path = beside(database);
        let opened = Self::open(&path).inspect_err(|error| {
            tracing::warn!(%error, path = %path.display(), "a log that is cut will go unnoticed");
        });
        let (newest, file) = opened.ok()?;
        // The older copy is written over first.
        let first = newest.map_or(0, |(number, _)| number + 1);
        let before = newest.map(|(_, head)| head);
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("witness".into());
        let thread = thread.spawn(move || listen(&its, file, first)).ok();
        Some(Self {
            path,
            before,
            shared,
            thread,
        })
    }

    fn open(path: &Path) -> std::io::Result<(Option<(u32, Head)>, File)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path)?;
        let newest = read_file(&mut file);
        if newest.is_none() && file.metadata()?.len() > 0 {
            tracing::warn!(path = %path.display(), "both copies are damaged and made anew");
        }
        // Its room is taken now, so that later writes need none.
        let end = PLACES[1] + COPY as u64;
        if file.metadata()?.len() < end {
            let missing = usize::try_from(end).unwrap_or_default();
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&vec![0; missing])?;
        }
        Ok((newest, file))
    }

    /// Compares the database with what was told before the start.
    ///
    /// # Errors
    ///
    /// Something that was flushed is not there.
    pub(super) fn check(
        &self,
        connection: &Connection,
        shard: ShardNumber,
    ) -> Result<(), StoreError> {
        let told = self.before.filter(|told| told.0 == shard);
        let Some((_, position, hash)) = told else {
            return Ok(());
        };
        let head = read::head(connection, shard)?;
        let end = head.map_or(shard.base(), |head| head.position.0);
        let behind = |detail: String| StoreError::Behind {
            path: self.path.clone(),
            detail,
        };
        if end < position.0 {
            return Err(behind(format!(
                "the store ends at commit {end}, but commit {} was flushed: its write-ahead log \
                 was cut or removed, or an older copy was put in its place",
                position.0
            )));
        }
        let rows = read::journal(connection, Position(position.0 - 1), 1)?;
        let is_it = |row: &crate::store::JournalRow| row.position == position && row.hash == hash;
        if rows.first().is_some_and(is_it) || position.0 == shard.base() {
            return Ok(());
        }
        let number = position.0;
        Err(behind(format!(
            "commit {number} of the store is not the one that was flushed: another database was \
             put in its place"
        )))
    }

    /// The journal has come so far, and is flushed. Wakes the thread only if it sleeps for long.
    pub(super) fn note(&self, head: Head) {
        let lock = self.shared.head.lock();
        *lock.unwrap_or_else(PoisonError::into_inner) = Some(head);
        if self.shared.is_idle.swap(false, Ordering::AcqRel)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }
}

/// Writes what is new, then pauses.
fn listen(shared: &Shared, mut file: File, first: u32) {
    let (mut writes, mut has_failed) = (first, false);
    loop {
        let is_over = shared.is_over.load(Ordering::Acquire);
        match shared.take() {
            Some(head) => {
                let wants_flush = writes % FLUSHED_EVERY == FLUSHED_EVERY - 1;
                let written = write(&mut file, &head, writes, wants_flush || is_over);
                if let Err(error) = &written
                    && !has_failed
                {
                    tracing::warn!(%error, "a log that is cut may go unnoticed");
                }
                has_failed = written.is_err();
                writes = writes.wrapping_add(1);
                if !is_over {
                    std::thread::park_timeout(PAUSE);
                }
            }
            None if is_over => return,
            None => {
                shared.is_idle.store(true, Ordering::Release);
                let has_news = shared.head.lock().is_ok_and(|head| head.is_some());
                if !has_news && !shared.is_over.load(Ordering::Acquire) {
                    std::thread::park();
                }
            }
        }
    }
}

/// Writes the copies in turn.
fn write(file: &mut File, head: &Head, number: u32, wants_flush: bool) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(PLACES[number as usize % 2]))?;
    file.write_all(&encode(head))?;
    if wants_flush {
        file.sync_data()
    } else {
        Ok(())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there has been reported by the runtime; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(position: i64) -> Head {
        (ShardNumber(0), Position(position), [7; 32])
    }

    #[test]
    fn what_was_told_last_is_found_although_a_copy_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("orders.db");
        assert_eq!(said(&database), None);
        let mut told = 0;
        for round in 0..3 {
            let witness = Witness::beside(&database).unwrap();
            assert_eq!(witness.before, (round > 0).then(|| head(told)));
            for _ in 0..1_000 {
                told += 1;
                witness.note(head(told));
            }
            drop(witness);
            assert_eq!(said(&database), Some(head(told)));
        }
        let mut bytes = std::fs::read(beside(&database)).unwrap();
        let places = PLACES.map(|place| usize::try_from(place).unwrap());
        let newest = places.into_iter().max_by_key(|place| {
            let copy = bytes[*place..place + COPY].try_into().unwrap();
            decode(&copy).map(|(_, position, _)| position)
        });
        bytes[newest.unwrap() + 20] ^= 1;
        std::fs::write(beside(&database), &bytes).unwrap();
        let older = said(&database).unwrap().1;
        assert!(older < Position(told), "{older:?}");
        for place in places {
            bytes[place] = 0;
        }
        std::fs::write(beside(&database), &bytes).unwrap();
        assert_eq!(said(&database), None);
        assert!(Witness::beside(&database).unwrap().before.is_none());
    }
}
