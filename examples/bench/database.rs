//! A database server of a run's own, and what it uses while a block is played.
//!
//! Each backend has a file beside this one that starts its server; nothing here speaks SQL.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::Context;

use super::stage::{Figures, figures};

/// Ticks per second in `/proc/PID/stat`, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// A private server with its usual, durable settings, on the disk that is measured. It is stopped
/// when this is dropped.
pub trait Database {
    /// Makes an empty database, and answers its URL. The one before goes; what the server still
    /// had to write is on the disk then.
    ///
    /// # Errors
    ///
    /// The server has ended.
    fn fresh(&self) -> anyhow::Result<String>;

    /// The process whose children do the work.
    fn process(&self) -> u32;

    /// Counters of the server that only rise, and of the latest database, by name.
    ///
    /// # Errors
    ///
    /// The server has ended.
    fn counters(&self) -> anyhow::Result<Figures>;
}

/// The time of a block on a database; counts nothing if there is none.
pub struct Watch<'a>(Option<Begun<'a>>);

struct Begun<'a> {
    database: &'a dyn Database,
    cpu_seconds: f64,
    counters: Figures,
}

impl<'a> Watch<'a> {
    /// Begins to count.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub fn begin(database: Option<&'a dyn Database>) -> anyhow::Result<Self> {
        let begin = |database: &'a dyn Database| {
            anyhow::Ok(Begun {
                database,
                cpu_seconds: cpu_seconds(database.process()),
                counters: database.counters()?,
            })
        };
        Ok(Self(database.map(begin).transpose()?))
    }

    /// What was used since, for each of `count` orders.
    ///
    /// # Errors
    ///
    /// The server has ended.
    pub fn close(self, count: f64) -> anyhow::Result<Figures> {
        let Some(begun) = self.0 else {
            return Ok(Figures::new());
        };
        let count = count.max(1.0);
        let used = cpu_seconds(begun.database.process()) - begun.cpu_seconds;
        let mut all = figures([("database_cpu_seconds_per_1000", used * 1_000.0 / count)]);
        for (name, now) in begun.database.counters()? {
            let before = begun.counters.get(&name).copied().unwrap_or_default();
            all.insert(format!("{name}_per_order"), (now - before) / count);
        }
        Ok(all)
    }
}

/// Seconds of processor time that a process and its children have used, those that ended included.
fn cpu_seconds(process: u32) -> f64 {
    let stat = |folder: &Path| fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ticks = 0;
    for entry in processes {
        let times = Times::parse(&stat(&entry.path())).unwrap_or_default();
        if times.parent == process {
            ticks += times.own;
        }
    }
    let own = Times::parse(&stat(Path::new(&format!("/proc/{process}")))).unwrap_or_default();
    (ticks + own.own + own.ended_children) as f64 / TICKS_PER_SECOND
}

/// Database servers refuse to run as root. Then the folder is given to somebody without rights: a
/// user of this name, or nobody.
///
/// # Errors
///
/// There is nobody, or the folder cannot be given away.
pub fn unprivileged(folder: &Path, name: &str) -> anyhow::Result<Option<(u32, u32)>> {
    if folder.metadata()?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let mut lines = users.lines();
        let user = lines.find(|line| line.split(':').next() == Some(name))?;
        let mut fields = user.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let user = ids(name).or_else(|| ids("nobody"));
    let (uid, gid) = user.context("there is no user without rights to run a database as")?;
    chown(folder, Some(uid), Some(gid))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    Ok(Some((uid, gid)))
}

/// Ticks of a process.
#[derive(Debug, Default, PartialEq, Eq)]
struct Times {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Times {
    /// The name of the program, in parentheses, may hold blanks.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |at: usize| -> Option<u64> { fields.get(at)?.parse().ok() };
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_told_apart() {
        let stat = "42 (a ) b) S 7 42 42 0 -1 4194560 10 0 0 0 250 125 7 8 20 0 4 0";
        let times = Times {
            parent: 7,
            own: 375,
            ended_children: 15,
        };
        assert_eq!(Times::parse(stat), Some(times));
        assert_eq!(Times::parse("42 (a) S 1"), None);
    }

    #[test]
    fn without_a_database_nothing_is_counted() {
        let watch = Watch::begin(None).unwrap();
        assert_eq!(watch.close(1.0).unwrap(), Figures::new());
    }
}
