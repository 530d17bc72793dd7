//! Moves the write-ahead log into the database, off the way of an answer.
//!
//! A thread of its own copies while commits go on. Because commits go on, it never quite catches
//! up, and the log could not start over; so when it has copied nearly everything, the writer copies
//! the rest between two commits. Nothing here changes what is stored.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::faults;
use crate::store::StoreError;

/// Pages (4 KiB) in the log from which the thread begins to copy: 32 MiB; in a test build 1 MiB, so
/// that it happens often.
const PAGES_MIN: u64 = if cfg!(feature = "faults") { 256 } else { 8_192 };

/// The thread and what it shares with the writer.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    wake: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    /// Pages in the log after the last commit.
    pages: AtomicU64,
    /// The thread is copying.
    is_copying: AtomicBool,
    /// The thread has copied what there was when it began: the writer may copy the rest.
    is_nearly_done: AtomicBool,
}

/// The writer's side: tells how long the log is.
#[derive(Clone)]
pub(super) struct Watch(Arc<Shared>);

impl Watch {
    /// Says that the log has `pages` pages now.
    pub(super) fn log_has(&self, pages: u64) {
        self.0.pages.store(pages, Ordering::Relaxed);
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
                    let copied = copy(&connection);
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

    /// For the writer.
    pub(super) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Called between commits: wakes the thread when the log is long, and lets the writer `finish`
    /// when the thread has nearly caught up.
    pub(super) fn tidy_up(&self, finish: impl FnOnce()) {
        let shared = &self.shared;
        if shared.is_nearly_done.swap(false, Ordering::Acquire) {
            finish();
            return;
        }
        let is_long = shared.pages.load(Ordering::Relaxed) >= PAGES_MIN;
        if is_long && !shared.is_copying.swap(true, Ordering::AcqRel) {
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

/// Copies what can be copied without waiting for anybody. `false` if it failed: then the log just
/// grows until the next try.
pub(super) fn copy(connection: &Connection) -> bool {
    faults::point("checkpoint-begins");
    let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
        ))
    });
    match copied {
        Ok((busy, pages, copied)) => {
            faults::point("checkpoint-copied");
            tracing::debug!(busy, pages, copied, "checkpoint");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "checkpoint failed; the log grows until the next one");
            false
        }
    }
}
