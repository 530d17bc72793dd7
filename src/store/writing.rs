//! What every store on a database server has: a connection that writes, looked after between
//! commits, and what is known of the server. How it is written is the backend's matter.
//!
//! Reads nothing but settings: connections that read are the backend's own.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::given_up;
use super::motor::Motor;
use super::{Durability, Page, Reopened, Room, StoreError};
use crate::clock::{self, Timestamp};
use crate::faults;
use crate::order::{Commit, Fingerprint, Opening, Receipt, RequestKey, ShardNumber};

/// How often the connection is looked at between commits.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// After so long without a commit something is said on the connection.
const BEAT_EVERY: Duration = Duration::from_millis(900);

/// How often settings that do not keep a commit are looked at again.
const WEAK_EVERY: Duration = Duration::from_secs(10);

/// What something comes to.
type Done<T> = Result<T, StoreError>;

/// A connection that writes.
pub(super) trait Writing: Send {
    /// As [`super::Store::open_shard`].
    fn open_shard(&mut self, shard: ShardNumber) -> impl Future<Output = Done<Opening>> + Send;

    /// As [`super::Store::sent_under`].
    fn sent_under(
        &mut self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> impl Future<Output = Done<Option<Fingerprint>>> + Send;

    /// As [`super::Store::commit`].
    fn commit(&mut self, commit: &Commit) -> impl Future<Output = Done<Receipt>> + Send;

    /// As [`super::Store::reopen`]. May be tried again if the database is unreachable.
    fn reopen(&mut self, commit: &Commit) -> impl Future<Output = Done<Reopened>> + Send;

    /// Replaces the connection if it has ended; says something on it if it was quiet for long.
    fn look_after(&mut self, is_quiet: bool) -> impl Future<Output = Done<()>> + Send;

    /// Whether a commit would find its locks free by now.
    fn try_locks(&mut self) -> impl Future<Output = Done<()>> + Send;

    /// What the server's settings are worth at the moment.
    fn durability(&mut self) -> impl Future<Output = Done<Durability>> + Send;

    /// The fate of a commit is not known: nothing more is written before it is.
    fn is_lost(&self) -> bool;

    /// Lets the fate of the last commit be unknown.
    fn lose(&mut self) -> StoreError;

    /// Somebody else has a lock. No commit is tried before it is free.
    fn is_held_up(&self) -> bool;
}

/// A connection that writes, and what moves its bytes while somebody waits.
struct Pen<W> {
    writer: W,
    motor: Motor,
    /// When the connection was last looked at between two commits.
    looked_at: Instant,
    /// When something was last said on it.
    heard_at: Instant,
    /// When the server's settings were last read.
    read_at: Instant,
}

impl<W: Writing> Pen<W> {
    /// Runs work of the writer, and the bytes it needs, on this thread.
    fn run<'a, T, F>(&'a mut self, work: impl FnOnce(&'a mut W) -> F) -> Done<T>
    where
        F: Future<Output = Done<T>> + Send + 'a,
        T: Send,
    {
        self.motor.run(work(&mut self.writer))
    }

    /// Looks whether the connection is still there, and replaces it if not. Says something on it
    /// now and then, so that others know that this server lives.
    fn look_after(&mut self) -> Done<()> {
        let is_quiet = self.heard_at.elapsed() >= BEAT_EVERY;
        let looked = if self.writer.is_held_up() {
            self.run(|writer| writer.try_locks())
        } else {
            self.run(|writer| writer.look_after(is_quiet))
        };
        self.looked_at = clock::monotonic();
        if is_quiet {
            self.heard_at = self.looked_at;
        }
        looked
    }
}

/// All that writes, and what is known of the server.
pub(super) struct Penholder<W> {
    /// `None` once it failed and no other could be had.
    pen: Mutex<Option<Pen<W>>>,
    durability: Mutex<Durability>,
    /// How often the server's settings are read.
    settings_every: Duration,
    /// Damaged rows that reads have met.
    bad_rows: AtomicU64,
    /// The database could not be reached when it was looked for last.
    is_away: AtomicBool,
    /// Another server has the shard.
    is_taken_over: AtomicBool,
    /// A commit would not survive power loss any more.
    is_weak: AtomicBool,
}

impl<W: Writing> Penholder<W> {
    /// Waits for a writer.
    pub(super) fn open(
        settings_every: Duration,
        opening: impl Future<Output = Done<(W, Durability)>> + Send,
    ) -> Done<Self>
    where
        W: Send,
    {
        let motor = Motor::while_waiting()?;
        let (writer, durability) = motor.run(opening)?;
        faults::point("opening-server-ready");
        let now = clock::monotonic();
        let pen = Pen {
            writer,
            motor,
            looked_at: now,
            heard_at: now,
            read_at: now,
        };
        Ok(Self {
            pen: Mutex::new(Some(pen)),
            durability: Mutex::new(durability),
            settings_every,
            bad_rows: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            is_taken_over: AtomicBool::new(false),
            is_weak: AtomicBool::new(false),
        })
    }

    fn pen(&self) -> MutexGuard<'_, Option<Pen<W>>> {
        // After a panic inside a transaction its connection is not used again.
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open_shard(&self, shard: ShardNumber) -> Done<Opening> {
        let mut pen = self.pen();
        let pen = pen.as_mut().ok_or_else(given_up)?;
        let opening = pen.run(|writer| writer.open_shard(shard));
        faults::point("opening-server-owned");
        opening
    }

    pub(super) fn sent_under(
        &self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Done<Option<Fingerprint>> {
        let mut pen = self.pen();
        let pen = pen.as_mut().ok_or_else(given_up)?;
        pen.run(|writer| writer.sent_under(key, expired_before))
    }

    pub(super) fn commit(&self, commit: &Commit) -> Done<Receipt> {
        let mut pen = self.pen();
        let pen = pen.as_mut().ok_or_else(given_up)?;
        if self.is_away.load(Ordering::Relaxed) && !pen.writer.is_lost() {
            let detail = "the database is away".into();
            return Err(StoreError::Refused { detail });
        }
        faults::point("commit-server-asked");
        let committed = if faults::fails("commit-server-lost") {
            Err(pen.writer.lose())
        } else {
            pen.run(|writer| writer.commit(commit))
        };
        let committed = match committed {
            Ok(_) if faults::fails("commit-server-unheard") => Err(pen.writer.lose()),
            committed => committed,
        };
        faults::point("commit-server-answered");
        pen.heard_at = clock::monotonic();
        if pen.writer.is_held_up() {
            self.is_away.store(true, Ordering::Relaxed);
        }
        committed
    }

    pub(super) fn reopen(&self, commit: &Commit) -> Done<Reopened> {
        let mut pen = self.pen();
        let lost = pen.as_mut().ok_or_else(given_up)?;
        let reopened = lost.run(|writer| writer.reopen(commit));
        faults::point("reopening-server-found");
        if !matches!(reopened, Ok(_) | Err(StoreError::Unreachable { .. })) {
            *pen = None;
        }
        reopened
    }

    /// Looks after the connection, and now and then at the server's settings.
    pub(super) fn tidy_up(&self) {
        let mut pen = self.pen();
        let Some(pen) = pen.as_mut().filter(|pen| !pen.writer.is_lost()) else {
            return;
        };
        if pen.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        let looked = pen.look_after();
        let is_taken_over = matches!(looked, Err(StoreError::Fenced));
        self.is_taken_over.store(is_taken_over, Ordering::Relaxed);
        let was_away = self.is_away.swap(looked.is_err(), Ordering::Relaxed);
        match looked {
            Err(StoreError::Fenced) => {}
            Err(error) if !was_away => {
                tracing::error!(%error, "the database is away; it is tried again and again");
            }
            Err(_) => {}
            Ok(()) => {
                if was_away {
                    tracing::warn!("the database is there again");
                }
                self.read_settings(pen);
            }
        }
    }

    /// Reads what the server's settings are worth, if it is time to.
    fn read_settings(&self, pen: &mut Pen<W>) {
        let every = if self.is_weak.load(Ordering::Relaxed) {
            self.settings_every.min(WEAK_EVERY)
        } else {
            self.settings_every
        };
        if pen.read_at.elapsed() < every {
            return;
        }
        let read = pen.run(|writer| writer.durability());
        pen.read_at = clock::monotonic();
        let (durability, is_weak) = match read {
            Ok(durability) => (durability, false),
            Err(StoreError::NotDurable { detail }) => {
                let level = "weak";
                (Durability { level, detail }, true)
            }
            // That it is away is noticed elsewhere.
            Err(_) => return,
        };
        let was_weak = self.is_weak.swap(is_weak, Ordering::Relaxed);
        let detail = &durability.detail;
        match (was_weak, is_weak) {
            (false, true) => tracing::error!(%detail, "a commit would be lost; no new orders"),
            (true, false) => tracing::warn!(%detail, "the database keeps commits again"),
            _ => {}
        }
        *self.known() = durability;
    }

    fn known(&self) -> MutexGuard<'_, Durability> {
        self.durability
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn durability(&self) -> Durability {
        self.known().clone()
    }

    pub(super) fn room(&self) -> Room {
        Room {
            is_away: self.is_away.load(Ordering::Relaxed),
            is_taken_over: self.is_taken_over.load(Ordering::Relaxed),
            is_weak: self.is_weak.load(Ordering::Relaxed),
            ..Room::default()
        }
    }
}

impl<W> Penholder<W> {
    /// Ends all that writes.
    pub(super) fn close(&mut self) -> impl Send + use<W>
    where
        W: Send,
    {
        let pen = self.pen.get_mut();
        pen.unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn bad_rows(&self) -> u64 {
        self.bad_rows.load(Ordering::Relaxed)
    }

    /// Counts the damaged rows that were left out of a page.
    pub(super) fn counted_page(&self, page: Page) -> Page {
        self.bad_rows
            .fetch_add(page.left_out as u64, Ordering::Relaxed);
        page
    }

    /// Counts a damaged row that a read meets.
    pub(super) async fn counted<T>(&self, read: impl Future<Output = Done<T>>) -> Done<T> {
        let read = read.await;
        if let Err(StoreError::BadRow { .. }) = &read {
            self.bad_rows.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}
