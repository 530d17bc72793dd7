//! A file that takes room on the disk so that others cannot: it is given up when nothing else is
//! left, for the orders that are open, and made again when there is room.
//!
//! Its last quarter is kept for a start on a disk that is full to the brim. Holds no data.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The file, and how much of it there is.
pub(super) struct Reserve {
    path: PathBuf,
    held: u64,
    /// The file system cannot set room apart: there is no reserve.
    is_impossible: bool,
}

impl Reserve {
    /// The reserve beside a database, as an earlier run left it.
    pub(super) fn beside(database: &Path) -> Self {
        let path = database.with_added_extension("reserve");
        let held = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Self {
            path,
            held,
            is_impossible: false,
        }
    }

    /// Bytes that it takes now.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Bytes that it should take and does not.
    pub(super) fn missing(&self, size: u64) -> u64 {
        if self.is_impossible {
            0
        } else {
            size.saturating_sub(self.held)
        }
    }

    /// Makes it `size` bytes large. `false`: there is no room for that.
    pub(super) fn fill(&mut self, size: u64) -> bool {
        if self.missing(size) == 0 {
            return true;
        }
        match self.allocate(size) {
            Ok(()) => {
                self.held = size;
                true
            }
            Err(error) if is_full(&error) => {
                self.shrink(self.held);
                false
            }
            Err(error) => {
                tracing::warn!(%error, "no room can be set apart for a disk that is full");
                self.remove();
                self.is_impossible = true;
                true
            }
        }
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false);
        set_apart(&file.open(&self.path)?, size)
    }

    /// Gives all but the last quarter back to the file system.
    pub(super) fn give_up(&mut self, size: u64) {
        self.shrink(self.held.min(size / 4));
    }

    /// Gives everything back.
    pub(super) fn remove(&mut self) {
        self.held = 0;
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "the reserve cannot be removed");
        }
    }

    fn shrink(&mut self, size: u64) {
        let shrunk = OpenOptions::new().write(true).open(&self.path);
        match shrunk.and_then(|file| file.set_len(size)) {
            Ok(()) => self.held = size,
            Err(error) => {
                tracing::warn!(%error, "the reserve cannot be made smaller");
                self.remove();
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

#[cfg(unix)]
fn set_apart(file: &File, size: u64) -> io::Result<()> {
    let whole = rustix::fs::FallocateFlags::empty();
    Ok(rustix::fs::fallocate(file, whole, 0, size)?)
}

#[cfg(not(unix))]
fn set_apart(_: &File, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_room_gives_most_of_it_up_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("orders.db");
        let file = folder.path().join("orders.db.reserve");
        let size = || std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let mut reserve = Reserve::beside(&database);
        assert_eq!((reserve.held(), reserve.missing(65_536)), (0, 65_536));
        assert!(reserve.fill(65_536));
        assert_eq!((reserve.held(), size()), (65_536, 65_536));
        reserve.give_up(65_536);
        assert_eq!((reserve.held(), size()), (16_384, 16_384));
        let mut found = Reserve::beside(&database);
        assert_eq!((found.held(), found.missing(65_536)), (16_384, 49_152));
        found.remove();
        assert!(!file.exists());
        assert_eq!((found.held(), size()), (0, 0));
    }
}
