//! Where a test's store lies: one place for each test and each backend, gone with the test.
//! A backend is one file here, and one line in `chosen`.

pub mod mysql;
pub mod postgres;
pub mod sqlite;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A database of one test's own.
pub trait Place: Send + Sync {
    /// The URL of the store.
    fn url(&self) -> String;
}

/// Database servers refuse to run as root. Then the folder is given to somebody without rights:
/// `user`, or nobody.
pub fn unprivileged(folder: &Path, user: &str) -> Option<(u32, u32)> {
    if folder.metadata().unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let user = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = user.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (uid, gid) = ids(user).or_else(|| ids("nobody")).unwrap();
    std::os::unix::fs::chown(folder, Some(uid), Some(gid)).unwrap();
    Some((uid, gid))
}

/// Whether a backend is left out because `ORDERD_TEST_WITHOUT` says so, and says so.
pub fn is_left_out(backend: &str) -> bool {
    let without = std::env::var("ORDERD_TEST_WITHOUT").unwrap_or_default();
    let is_named = without.split(',').any(|name| name == backend);
    if is_named {
        eprintln!("not tested with {backend}: ORDERD_TEST_WITHOUT={without}");
    }
    is_named
}
