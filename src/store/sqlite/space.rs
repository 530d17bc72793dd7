//! The room that is left for the database: below a mark no new orders are to be stored, and when
//! nothing is left the reserve is given up.
//!
//! The file system is asked at most every 100 ms, or after a good deal was written: never for each
//! commit.

use std::path::Path;
use std::time::{Duration, Instant};

use super::checkpoint::{PAGE, PAGES_MIN, Watch};
use super::reserve::Reserve;
use crate::clock;
use crate::store::Room;

/// How old a reading may become.
const READ_EVERY: Duration = Duration::from_millis(100);
/// The mark on a large disk, if none is set: 256 MiB.
const MARK_MAX: u64 = 256 << 20;
/// The reserve on a large disk: 32 MiB.
const RESERVE_MAX: u64 = 32 << 20;
/// Pages in the log from which it is copied while there is little room: 1 MiB. A log that is copied
/// begins again at its start and needs no further room.
const LOG_PAGES_LOW: u64 = 256;

/// What a file system says about itself, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// What is free for this process.
    pub free: u64,
    /// How large it is.
    pub total: u64,
}

/// Asks a file system. `None`: it does not say.
pub type Gauge = Box<dyn Fn() -> Option<FileSystem> + Send>;

/// What is known about the room.
pub(super) struct Space {
    gauge: Gauge,
    /// The mark that was set. `None`: it follows from the size of the disk.
    free_min: Option<u64>,
    reserve: Reserve,
    reserve_size: u64,
    last: Option<Reading>,
    room: Room,
}

/// When the file system was asked.
struct Reading {
    at: Instant,
    /// Pages written to the log before.
    written: u64,
    /// Pages after which it is asked again.
    patience: u64,
}

impl Space {
    /// Of the file system that `gauge` asks. `None`: no mark is wanted.
    pub(super) fn watch(path: &Path, free_min: Option<u64>, gauge: Gauge) -> Option<Self> {
        let mut reserve = Reserve::beside(path);
        if free_min == Some(0) {
            reserve.remove();
            return None;
        }
        let reserve_size = gauge().map_or(0, |disk| whole_pages(disk.total / 16, RESERVE_MAX));
        Some(Self {
            gauge,
            free_min,
            reserve,
            reserve_size,
            last: None,
            room: Room::default(),
        })
    }

    /// How much room there is, from a reading that is not old.
    pub(super) fn room(&mut self, log: &Watch) -> Room {
        let (now, written) = (clock::monotonic(), log.written());
        let is_fresh = self.last.as_ref().is_some_and(|last| {
            now.duration_since(last.at) < READ_EVERY
                && written.abs_diff(last.written) < last.patience
        });
        if !is_fresh {
            let disk = (self.gauge)();
            self.look(disk, log);
            self.last = Some(Reading {
                at: now,
                written,
                patience: (self.room.free_min / PAGE / 16).max(1),
            });
        }
        self.room
    }

    fn look(&mut self, disk: Option<FileSystem>, log: &Watch) {
        let Some(FileSystem { mut free, total }) = disk else {
            return;
        };
        let least = self.free_min.unwrap_or((total / 8).min(MARK_MAX));
        // What is in the log needs the same room in the database, and may grow meanwhile.
        let mark = least.max(2 * PAGE * log.pages());
        let slack = if self.room.is_low { mark / 8 } else { 0 };
        let needed = mark + slack;
        let missing = self.reserve.missing(self.reserve_size);
        let may_fill = missing > 0 && free >= needed + missing;
        if may_fill && self.reserve.fill(self.reserve_size) {
            free -= missing;
            tracing::debug!(
                bytes = self.reserve_size,
                "room is set apart for a full disk"
            );
        }
        self.room.free = Some(free);
        self.room.free_min = mark;
        self.room.reserve = self.reserve.held();
        let has_reserve = self.reserve.missing(self.reserve_size) == 0;
        self.tell(!has_reserve || free < needed);
        let pages = if self.room.is_low {
            LOG_PAGES_LOW
        } else {
            PAGES_MIN
        };
        log.copy_from(pages.min((total / 16 / PAGE).max(1)));
    }

    /// The log says when room gets short, and when that is over.
    fn tell(&mut self, is_low: bool) {
        let Room { free, free_min, .. } = self.room;
        let free = free.unwrap_or(0);
        if is_low && !self.room.is_low {
            tracing::warn!(
                free,
                free_min,
                "the disk is nearly full: new orders are refused, accepted ones go on"
            );
        } else if !is_low && self.room.is_low {
            tracing::warn!(
                free,
                free_min,
                "there is room on the disk: orders are taken again"
            );
        }
        self.room.is_low = is_low;
    }

    /// A write found no room at all: what was set apart is given up, but for the part that a start
    /// needs. `false`: that happened before.
    pub(super) fn is_used_up(&mut self) -> bool {
        let before = self.reserve.held();
        self.reserve.give_up(self.reserve_size);
        let bytes = before - self.reserve.held();
        if bytes > 0 {
            tracing::warn!(
                bytes,
                "the disk is full: the reserve is given up for accepted orders"
            );
        }
        self.room.reserve = self.reserve.held();
        self.room.free = (self.gauge)().map(|disk| disk.free);
        self.tell(true);
        bytes > 0
    }

    /// The store is to be opened anew, which needs room.
    pub(super) fn needs_room(&mut self) {
        if self.is_full() {
            self.is_used_up();
        }
    }

    fn is_full(&self) -> bool {
        (self.gauge)().is_some_and(|disk| disk.free < self.reserve_size / 4)
    }

    /// A start failed. Gives everything up if that may be for want of room; then it is worth
    /// another try.
    pub(super) fn start_failed(&mut self) -> bool {
        let is_worth_it = self.is_full() && self.reserve.held() > 0;
        if is_worth_it {
            tracing::warn!("the disk is full: the reserve is given up for the start");
            self.reserve.remove();
        }
        is_worth_it
    }
}

fn whole_pages(bytes: u64, most: u64) -> u64 {
    bytes.min(most) / PAGE * PAGE
}

/// Asks the file system that holds a file, which need not be there yet.
pub(super) fn gauge(path: &Path) -> Gauge {
    let folder = super::open::folder(path).to_owned();
    Box::new(move || ask(&folder))
}

#[cfg(unix)]
fn ask(folder: &Path) -> Option<FileSystem> {
    let said = rustix::fs::statvfs(folder).ok()?;
    Some(FileSystem {
        free: said.f_bavail.saturating_mul(said.f_frsize),
        total: said.f_blocks.saturating_mul(said.f_frsize),
    })
}

#[cfg(not(unix))]
fn ask(_: &Path) -> Option<FileSystem> {
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::store::sqlite::checkpoint::Checkpointer;

    const MIB: u64 = 1 << 20;

    /// A disk whose free bytes the test says, and how often it was asked.
    struct Disk {
        _folder: tempfile::TempDir,
        free: Arc<AtomicU64>,
        asked: Arc<AtomicU64>,
        space: Space,
        log: Watch,
    }

    impl Disk {
        fn of(total: u64, free_min: Option<u64>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("orders.db");
            let (free, asked) = (Arc::new(AtomicU64::new(total)), Arc::<AtomicU64>::default());
            let (says, counts) = (Arc::clone(&free), Arc::clone(&asked));
            let gauge = move || {
                counts.fetch_add(1, Ordering::Relaxed);
                let free = says.load(Ordering::Relaxed);
                Some(FileSystem { free, total })
            };
            let connection = rusqlite::Connection::open(&path).unwrap();
            let log = Checkpointer::start(connection).unwrap().watch();
            let space = Space::watch(&path, free_min, Box::new(gauge)).unwrap();
            Self {
                _folder: folder,
                free,
                asked,
                space,
                log,
            }
        }

        /// What is said with so many bytes free, read anew.
        fn with(&mut self, free: u64) -> Room {
            self.free.store(free, Ordering::Relaxed);
            self.space.last = None;
            self.space.room(&self.log)
        }
    }

    #[test]
    fn orders_stop_at_the_mark_and_go_on_well_above_it() {
        let mut disk = Disk::of(24 * MIB, None);
        let room = disk.with(24 * MIB);
        assert_eq!((room.free_min, room.reserve), (3 * MIB, 3 * MIB / 2));
        assert_eq!(room.free, Some(24 * MIB - room.reserve));
        for (free, is_low) in [
            (3 * MIB, false),
            (3 * MIB - 1, true),
            (3 * MIB + 1, true),
            (3 * MIB + 3 * MIB / 8, false),
        ] {
            assert_eq!(disk.with(free).is_low, is_low, "{free}");
        }
        let mut large = Disk::of(1 << 40, None);
        assert_eq!(large.with(1 << 40).free_min, 256 * MIB);
        let mut set = Disk::of(1 << 40, Some(5 * MIB));
        assert_eq!(set.with(1 << 40).free_min, 5 * MIB);
        assert!(!set.with(5 * MIB).is_low);
    }

    #[test]
    fn what_is_in_the_log_raises_the_mark() {
        let mut disk = Disk::of(24 * MIB, None);
        disk.with(24 * MIB);
        disk.log.log_has(512);
        assert_eq!(disk.with(10 * MIB).free_min, 2 * 512 * PAGE);
        assert!(disk.with(4 * MIB - 1).is_low);
        disk.log.log_has(0);
        assert!(!disk.with(4 * MIB - 1).is_low);
    }

    #[test]
    fn a_used_up_reserve_is_made_again_before_orders_are_taken() {
        let mut disk = Disk::of(24 * MIB, None);
        let whole = disk.with(24 * MIB).reserve;
        disk.space.is_used_up();
        let room = disk.space.room(&disk.log);
        assert_eq!((room.is_low, room.reserve), (true, whole / 4));
        let missing = whole - whole / 4;
        let enough = 3 * MIB + 3 * MIB / 8 + missing;
        let room = disk.with(enough - 1);
        assert_eq!((room.is_low, room.reserve), (true, whole / 4));
        let room = disk.with(enough);
        assert_eq!((room.is_low, room.reserve), (false, whole));
    }

    #[test]
    fn the_last_part_of_the_reserve_is_for_a_start() {
        let mut disk = Disk::of(24 * MIB, None);
        disk.with(24 * MIB);
        disk.free.store(0, Ordering::Relaxed);
        disk.space.is_used_up();
        assert!(disk.space.start_failed());
        assert_eq!(disk.space.reserve.held(), 0);
        assert!(!disk.space.start_failed(), "there is nothing left to try");
        let mut roomy = Disk::of(24 * MIB, None);
        roomy.with(24 * MIB);
        assert!(!roomy.space.start_failed(), "it failed for another reason");
    }

    #[test]
    fn the_file_system_is_asked_after_a_while_or_after_much_was_written() {
        let mut disk = Disk::of(24 * MIB, None);
        disk.with(24 * MIB);
        let asked = || disk.asked.load(Ordering::Relaxed);
        let before = asked();
        for _ in 0..1_000 {
            disk.space.last.as_mut().unwrap().at = clock::monotonic();
            disk.space.room(&disk.log);
        }
        assert_eq!(asked(), before);
        disk.log.log_has(3 * MIB / PAGE / 16);
        disk.space.room(&disk.log);
        assert_eq!(asked(), before + 1);
        let last = disk.space.last.as_mut().unwrap();
        last.at = last.at.checked_sub(READ_EVERY).unwrap();
        disk.space.room(&disk.log);
        assert_eq!(asked(), before + 2);
    }

    #[test]
    fn nobody_looks_if_that_is_not_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        let file = folder.path().join("orders.db.reserve");
        std::fs::write(&file, "left over").unwrap();
        assert!(Space::watch(&path, Some(0), gauge(&path)).is_none());
        assert!(!file.exists());
        let said = gauge(&path)().unwrap();
        assert!(said.total > 0 && said.free <= said.total);
    }
}
