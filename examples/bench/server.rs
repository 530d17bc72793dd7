//! A server under measurement: a program of its own, watched through `/proc`, and killed.
//!
//! It never runs in this program, so that its processor time and memory are its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use orderd::clock::monotonic;
use orderd::order::Dialect;

use super::http;

/// Ticks per second in `/proc/PID/stat`, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;
const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(1);

/// How many orders are worked off each second where work is limited: a thousand at once, for a
/// second on average.
pub const LIMITED_PER_SECOND: u32 = 1_000;
/// How many may be open there.
pub const LIMITED_OPEN_MAX: u32 = 5_000;
/// Connections that a server may have: more than any measurement opens.
const CONNECTIONS_MAX: u32 = 20_000;

/// What orderd does with the orders it accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One order is worked on for an hour, the others wait: accepting is all that happens.
    Hour,
    /// Each order is done as soon as it begins.
    Instant,
    /// [`LIMITED_PER_SECOND`] orders a second, and [`LIMITED_OPEN_MAX`] may be open.
    Limited,
}

/// What runs: one of the things compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The same HTTP, without engine and store.
    Floor,
    /// The whole server.
    Orderd(Work),
    /// The whole server, but another build of it; work as with `Hour`.
    Another,
    /// The whole server with all dialects, each at a port of its own; work as with `Hour`.
    OrderdWithDialects,
}

impl Side {
    /// The name in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Another => "another",
            Self::Orderd(_) | Self::OrderdWithDialects => "orderd",
        }
    }
}

/// The programs that the benchmark starts.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The server and load generator.
    pub orderd: PathBuf,
    /// The floor.
    pub floor: PathBuf,
    /// Another build of the server.
    pub another: PathBuf,
}

/// Where a server lives.
#[derive(Clone, Copy, Debug)]
pub struct Home<'a> {
    /// Gets the configuration and the log.
    folder: &'a Path,
    /// The URL of the store; without one it is a file in `folder/data`, fresh or not.
    store: Option<&'a str>,
}

impl<'a> Home<'a> {
    /// A folder, and the URL of a database if the store is in one.
    pub fn new(folder: &'a Path, store: Option<&'a str>) -> Self {
        Self { folder, store }
    }
}

impl<'a> From<&'a Path> for Home<'a> {
    fn from(folder: &'a Path) -> Self {
        Self::new(folder, None)
    }
}

/// Memory of a server, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// All that is in memory, files that are mapped included. This is the figure.
    pub resident_bytes: f64,
    /// Without mapped files: what it has allocated.
    pub anonymous_bytes: f64,
}

/// A server that runs; it is killed when this is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it was started.
    pub started_at: Instant,
    log: PathBuf,
}

impl Server {
    /// Starts a server on a free port and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// The program is not there, ends at once, or takes no connections within half a minute; the
    /// end of its log is in the message.
    pub fn start<'a>(
        programs: &Programs,
        side: Side,
        home: impl Into<Home<'a>>,
    ) -> anyhow::Result<Self> {
        let mut server = Self::spawn(programs, side, home)?;
        while TcpStream::connect(server.address).is_err() {
            server.must_be_alive()?;
            if server.started_at.elapsed() > START_PATIENCE {
                bail!(
                    "{} takes no connections; {}",
                    side.name(),
                    server.last_words()
                );
            }
            sleep(POLL);
        }
        Ok(server)
    }

    /// Starts a server and does not wait.
    ///
    /// # Errors
    ///
    /// The program is not there.
    pub fn spawn<'a>(
        programs: &Programs,
        side: Side,
        home: impl Into<Home<'a>>,
    ) -> anyhow::Result<Self> {
        let home = home.into();
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let listen = address.to_string();
        let mut command = match side {
            Side::Floor => Command::new(&programs.floor),
            Side::Orderd(work) => orderd(&programs.orderd, home, &configuration(work))?,
            Side::Another => orderd(&programs.another, home, &configuration(Work::Hour))?,
            Side::OrderdWithDialects => {
                let settings = configuration(Work::Hour) + &dialects()?;
                orderd(&programs.orderd, home, &settings)?
            }
        };
        let log = home.folder.join("server.log");
        let sink = fs::File::create(&log)?;
        command
            .args(["--listen", &listen])
            .env_clear()
            .current_dir(home.folder);
        command
            .stdin(Stdio::null())
            .stdout(sink.try_clone()?)
            .stderr(sink);
        let started_at = monotonic();
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", side.name()))?;
        Ok(Self {
            child,
            address,
            started_at,
            log,
        })
    }

    /// # Errors
    ///
    /// The program has ended.
    pub fn must_be_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended ({status}); {}", self.last_words()),
            None => Ok(()),
        }
    }

    /// Seconds of processor time that it has used so far, in user and kernel mode.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks = parse_ticks(&stat).context("cannot read the processor time")?;
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    /// The memory that it holds now.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |name| Some(parse_kilobytes(&status, name)? as f64 * 1_024.0);
        let memory = || {
            Some(Memory {
                resident_bytes: bytes("VmRSS:")?,
                anonymous_bytes: bytes("RssAnon:")?,
            })
        };
        memory().context("cannot read the memory")
    }

    /// Waits until the statistics satisfy `is_so`, and answers the time since the start.
    ///
    /// # Errors
    ///
    /// The server ended, or it is not so within `patience`.
    pub fn wait_until(
        &mut self,
        patience: Duration,
        is_so: impl Fn(&http::Stats) -> bool,
    ) -> anyhow::Result<Duration> {
        let began_at = monotonic();
        loop {
            let last = http::stats(self.address);
            if last.as_ref().is_ok_and(&is_so) {
                return Ok(self.started_at.elapsed());
            }
            self.must_be_alive()?;
            if began_at.elapsed() > patience {
                bail!("waited {patience:?} in vain; the last statistics: {last:?}");
            }
            sleep(5 * POLL);
        }
    }

    /// Ends it like a power cut would, as far as a program can: `SIGKILL`.
    ///
    /// # Errors
    ///
    /// It cannot be killed.
    pub fn crash(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    ///
    /// It does not end within a minute, or not with success.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let began_at = monotonic();
        while began_at.elapsed() < STOP_PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return match status.success() {
                    true => Ok(()),
                    false => bail!("the server ended with {status}; {}", self.last_words()),
                };
            }
            sleep(10 * POLL);
        }
        bail!("the server does not end; {}", self.last_words())
    }

    /// The end of the log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        format!("the end of its log: {:?}", last.join(" | "))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each kind of work has a version of its own: a store knows which process its orders began with.
fn orderd(program: &Path, home: Home<'_>, settings: &str) -> anyhow::Result<Command> {
    let file = home.folder.join("orderd.toml");
    fs::write(&file, settings)?;
    let mut command = Command::new(program);
    command.arg("serve");
    match home.store {
        Some(url) => command.args(["--store", url]),
        None => command.arg("--data").arg(home.folder.join("data")),
    };
    command.arg("--config").arg(file);
    Ok(command)
}

/// Settings for all dialects, each at a free port.
fn dialects() -> anyhow::Result<String> {
    let mut settings = "[compat]\ndialects = \"all\"\n".to_owned();
    // Held until all are chosen, so that they differ.
    let mut taken = Vec::new();
    for dialect in Dialect::ALL {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (name, address) = (dialect.name(), listener.local_addr()?);
        settings.push_str(&format!("[compat.{name}]\nlisten = \"{address}\"\n"));
        taken.push(listener);
    }
    Ok(settings)
}

fn configuration(work: Work) -> String {
    let (version, step, open_max) = match work {
        Work::Instant => (1, "duration = \"0s\"\n".to_owned(), 100_000_000),
        Work::Hour => (
            2,
            "duration = \"1h\"\nconcurrency = 1\n".to_owned(),
            100_000_000,
        ),
        Work::Limited => {
            let step =
                format!("duration = \"500ms..1500ms\"\nconcurrency = {LIMITED_PER_SECOND}\n");
            (3, step, LIMITED_OPEN_MAX)
        }
    };
    format!(
        "[server]\nconnections_max = {CONNECTIONS_MAX}\n\n[outbound]\nallow = \"127.0.0.1\"\n\n\
         [queue]\nmax_open_orders = {open_max}\n\n[log]\nfilter = \"warn\"\n\n\
         [process.default]\nversion = {version}\n\n\
         [[process.default.step]]\nname = \"work\"\nkind = \"simulate\"\n{step}"
    )
}

/// User and kernel time; the name of the program, in parentheses, may hold blanks.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    Some(user + kernel)
}

fn parse_kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 10 0 0 0 250 125 7 8 20 0 4 0";
        assert_eq!(parse_ticks(stat), Some(375));
        assert_eq!(parse_ticks("42 (a) S 1"), None);
    }

    #[test]
    fn memory_is_the_resident_set() {
        let status = "Name:\torderd\nVmHWM:\t  900 kB\nVmRSS:\t  123 kB\n";
        assert_eq!(parse_kilobytes(status, "VmRSS:"), Some(123));
        assert_eq!(parse_kilobytes(status, "RssAnon:"), None);
    }

    #[test]
    fn each_kind_of_work_has_a_version_of_its_own() {
        assert!(configuration(Work::Instant).contains("version = 1\n"));
        let hour = configuration(Work::Hour);
        assert!(hour.contains("version = 2\n") && hour.contains("concurrency = 1\n"));
        let limited = configuration(Work::Limited);
        assert!(limited.contains("version = 3\n") && limited.contains("concurrency = 1000\n"));
        assert!(limited.contains("max_open_orders = 5000\n"));
    }
}
