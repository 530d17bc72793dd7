//! A file system in memory that is small enough to be filled, and a file that fills it.
//! Nothing here knows what else is on it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Room for all orders of a campaign, and little more.
const SIZE: &str = "size=96m";

/// Mounted; dropping it unmounts.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    pub fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]);
        let output = mount.arg(folder.path()).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(Self(folder))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes what is free, to the last page.
    pub fn fill(&self) {
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.ballast())
            .unwrap();
        for size in [1 << 20, 4_096] {
            write_until_full(&mut file, &vec![7; size]);
        }
        assert_eq!(rustix::fs::statvfs(self.path()).unwrap().f_bavail, 0);
    }

    /// Gives everything back that was taken.
    pub fn drain(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

fn write_until_full(file: &mut File, bytes: &[u8]) {
    loop {
        match file.write(bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that a failed test left behind must not keep it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
