//! Moves the write-ahead log into the database, off the way of an answer.
//!
//! A thread of its own copies while commits go on. Because commits go on, it never quite catches
//! up, and the log could not start over; so when it has copied nearly everything, the writer copies
//! the rest between two commits. Nothing here changes what is stored.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

use crate::clock;
use crate::faults;
use crate::store::StoreError;

/// Bytes in a page.
pub(super) const PAGE: u64 = 4_096;
/// Pages in the log from which the thread begins to copy, unless room is short: 32 MiB; in a test
/// build 1 MiB, so that it happens often.
pub(super) const PAGES_MIN: u64 = if cfg!(feature = "faults") { 256 } else { 8_192 };
/// How long after a copy that failed the next one begins.
const FAILED_PATIENCE: Duration = Duration::from_secs(1);

/// The thread and what it shares with the writer.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    wake: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// Pages in the log after the last commit.
    pages: AtomicU64,
    /// Pages that were written to it altogether.
    written: AtomicU64,
    /// Pages in the log from which the thread begins to copy.
    copies_from: AtomicU64,
    /// A flush failed while the log was copied: the system may take for clean what it lost.
    is_spoiled: AtomicBool,
    /// When a copy may begin, after one that failed.
    not_before: Mutex<Option<Instant>>,
    /// The thread is copying.
    is_copying: AtomicBool,
    /// The thread has copied what there was when it began: the writer may copy the rest.
    is_nearly_done: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            pages: AtomicU64::new(0),
            written: AtomicU64::new(0),
            copies_from: AtomicU64::new(PAGES_MIN),
            is_spoiled: AtomicBool::new(false),
            not_before: Mutex::new(None),
            is_copying: AtomicBool::new(false),
            is_nearly_done: AtomicBool::new(false),
        }
    }
}

impl Shared {
    /// Notes how a copy went: after one that failed there is a pause, and the log says so once.
    fn copied(&self, copied: rusqlite::Result<()>) -> bool {
        let mut not_before = self.not_before();
        match (&copied, *not_before) {
            (Ok(()), Some(_)) => tracing::warn!("checkpoints go through again"),
            (Err(error), None) => {
                tracing::warn!(%error, "checkpoint failed; the log grows until one goes through");
            }
            _ => {}
        }
        let is_done = copied.is_ok();
        if copied.is_err_and(|error| is_failed_flush(&error)) {
            self.is_spoiled.store(true, Ordering::Release);
        }
        *not_before = (!is_done).then(|| clock::monotonic() + FAILED_PATIENCE);
        is_done
    }

    fn not_before(&self) -> MutexGuard<'_, Option<Instant>> {
        self.not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's side: tells how long the log is.
#[derive(Clone)]
pub(super) struct Watch(Arc<Shared>);

impl Watch {
    /// Says that the log has `pages` pages now.
    pub(super) fn log_has(&self, pages: u64) {
        let before = self.0.pages.swap(pages, Ordering::Relaxed);
        // A log that was copied begins again at its start.
        let more = pages.checked_sub(before).unwrap_or(pages);
        self.0.written.fetch_add(more, Ordering::Relaxed);
    }

    /// Pages in the log that may not have been copied.
    pub(super) fn pages(&self) -> u64 {
        self.0.pages.load(Ordering::Relaxed)
    }

    /// Pages that were written to the log altogether.
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Notes how a copy by the writer went. `true`: it is done.
    pub(super) fn copied(&self, copied: rusqlite::Result<()>) -> bool {
        self.0.copied(copied)
    }

    /// A flush failed while the log was copied. Nothing more may be copied or written before
    /// everything was opened anew.
    pub(super) fn is_spoiled(&self) -> bool {
        self.0.is_spoiled.load(Ordering::Acquire)
    }

    /// Something failed, and nobody knows what of it is on disk.
    pub(super) fn spoil(&self) {
        self.0.is_spoiled.store(true, Ordering::Release);
    }

    /// From how many pages on the log is to be copied.
    pub(super) fn copy_from(&self, pages: u64) {
        self.0.copies_from.store(pages, Ordering::Relaxed);
    }
}

impl Checkpointer {
    /// Starts the thread, which uses `connection` and nothing else.
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        let (wake, woken) = sync_channel(1);
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                while woken.recv().is_ok() {
                    let copied = its.copied(copy(&connection));
                    its.is_nearly_done.store(copied, Ordering::Release);
                    its.is_copying.store(false, Ordering::Release);
                }
            });
        let thread = thread.map_err(|error| StoreError::Refused {
            detail: error.to_string(),
        })?;
        let (wake, thread) = (Mutex::new(Some(wake)), Mutex::new(Some(thread)));
        Ok(Self {
            shared,
            wake,
            thread,
        })
    }

    /// The thread is copying at this moment.
    pub(super) fn is_copying(&self) -> bool {
        self.shared.is_copying.load(Ordering::Acquire)
    }

    /// For the writer.
    pub(super) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Called between commits: wakes the thread when the log is long, and lets the writer `finish`
    /// when the thread has nearly caught up.
    pub(super) fn tidy_up(&self, finish: impl FnOnce()) {
        let shared = &self.shared;
        if shared.is_spoiled.load(Ordering::Acquire) {
            return;
        }
        if shared.is_nearly_done.swap(false, Ordering::Acquire) {
            finish();
            return;
        }
        let pages = shared.pages.load(Ordering::Relaxed);
        if pages < shared.copies_from.load(Ordering::Relaxed) {
            return;
        }
        let not_before = *shared.not_before();
        if not_before.is_some_and(|time| clock::monotonic() < time) {
            return;
        }
        if !shared.is_copying.swap(true, Ordering::AcqRel) {
            let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(wake) = wake.as_ref() {
                // Full means that the thread has been woken already.
                let _ = wake.try_send(());
            }
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic in there has been reported by the runtime; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

fn is_failed_flush(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        code,
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

/// Copies what can be copied without waiting for anybody. If it fails, the log just grows until the
/// next try.
pub(super) fn copy(connection: &Connection) -> rusqlite::Result<()> {
    faults::point("checkpoint-begins");
    let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
        ))
    });
    let (busy, pages, copied) = copied?;
    faults::point("checkpoint-copied");
    tracing::debug!(busy, pages, copied, "checkpoint");
    Ok(())
}
