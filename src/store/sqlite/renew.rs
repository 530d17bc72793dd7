//! The log is written once more and flushed before anything rests on it.
//!
//! After a flush that failed, what was written can still be read, while the system takes it for
//! clean: flushing again does nothing. If that were copied into the database and the power was cut
//! before the log is gone for good, an older log would come back, and with it half a commit.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::open;

/// Writes the log beside a database once more, as everybody sees it, and flushes it.
pub type Renew = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Bytes that are written at a time.
const CHUNK: usize = 1 << 20;

/// Of the log beside the database at `path`. Of one that is elsewhere only whoever has it knows.
pub(super) fn of(path: &Path) -> Renew {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    match open::is_elsewhere(path) {
        true => Box::new(|| Ok(())),
        false => Box::new(move || renew(&log)),
    }
}

fn renew(log: &Path) -> io::Result<()> {
    let opened = OpenOptions::new().read(true).write(true).open(log);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut at = 0;
    loop {
        chunk.clear();
        (&file).take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return file.sync_all();
        }
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&chunk)?;
        at += chunk.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_the_same_after_it_is_written_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        let renew = of(&path);
        renew().unwrap();
        assert!(!folder.path().join("orders.db-wal").exists());
        for length in [0, 7, CHUNK, 2 * CHUNK + 1] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            std::fs::write(folder.path().join("orders.db-wal"), &bytes).unwrap();
            renew().unwrap();
            let after = std::fs::read(folder.path().join("orders.db-wal")).unwrap();
            assert!(after == bytes, "{length}");
        }
    }
}
