//! A private PostgreSQL: in a folder on the measured disk, on a free port of the loopback address,
//! with the settings it comes with.
//!
//! A shell holds it and stops it when this program ends, however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::database::{Database, unprivileged};
use super::stage::{Figures, figures};

/// Starts the server, says so, and waits until nobody holds its input any more.
const KEEPER: &str = r#"
"$0/pg_ctl" -D "$1/data" -l "$1/log" -w -s -o "$2" start || { tail -n 5 "$1/log" >&2; exit 1; }
echo ready
read -r _
"$0/pg_ctl" -D "$1/data" -m immediate -s stop
rm -rf "$1" 2>/dev/null
"#;

/// What blocks are compared by: bytes of the log, versions of orders, and which of those touched
/// no index.
const COUNTERS: &str = "SELECT pg_current_wal_lsn() - '0/0', coalesce(sum(n_tup_upd), 0),
    coalesce(sum(n_tup_hot_upd), 0), pg_database_size(current_database())
    FROM pg_stat_user_tables WHERE relname = 'orders'";

/// A server.
pub struct Postgres {
    port: u16,
    process: u32,
    _keeper: Child,
}

impl Postgres {
    /// Starts a server below `data`, a folder that others may enter.
    ///
    /// # Errors
    ///
    /// PostgreSQL is not installed; it cannot be started.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("pg-").tempdir_in(data)?;
        let folder = fs::canonicalize(folder.keep())?;
        let user = unprivileged(&folder, "postgres")?;
        let run = |command: &mut Command| {
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command.current_dir(&folder).process_group(0);
        };
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args(["-U", "orderd", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        run(initdb
            .arg("-D")
            .arg(folder.join("data"))
            .stdout(Stdio::null()));
        ensure!(initdb.status()?.success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= \
             -c logging_collector=off"
        );
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER]).arg(&programs).arg(&folder);
        run(keeper
            .arg(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()));
        let mut keeper = keeper.spawn()?;
        let mut said = String::new();
        let output = keeper.stdout.take().context("the keeper has no output")?;
        BufReader::new(output).read_line(&mut said)?;
        ensure!(said == "ready\n", "PostgreSQL did not start");
        let id = fs::read_to_string(folder.join("data/postmaster.pid"))?;
        let process = id.lines().next().and_then(|line| line.trim().parse().ok());
        Ok(Self {
            port,
            process: process.context("PostgreSQL does not say which process it is")?,
            _keeper: keeper,
        })
    }

    /// The URL of one of its databases.
    fn url(&self, database: &str) -> String {
        format!("postgres://orderd@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements, one after the other. Answers the last row of the last one.
    fn ask(&self, database: &str, statements: &[&str]) -> anyhow::Result<Vec<f64>> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-d", &self.url(database)]);
        for statement in statements {
            psql.args(["-c", statement]);
        }
        let output = psql.output().context("cannot run psql")?;
        if !output.status.success() {
            bail!("PostgreSQL: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        let last = text.lines().last().unwrap_or_default();
        Ok(last
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect())
    }
}

impl Database for Postgres {
    fn fresh(&self) -> anyhow::Result<String> {
        let drop = "DROP DATABASE IF EXISTS bench WITH (FORCE)";
        self.ask("postgres", &[drop, "CREATE DATABASE bench", "CHECKPOINT"])?;
        Ok(self.url("bench"))
    }

    fn process(&self) -> u32 {
        self.process
    }

    fn counters(&self) -> anyhow::Result<Figures> {
        let row = self.ask("bench", &[COUNTERS])?;
        let [log, updated, hot, size] = row[..] else {
            bail!("PostgreSQL answers {row:?} for its counters");
        };
        Ok(figures([
            ("wal_bytes", log),
            ("updates", updated),
            ("hot_updates", hot),
            ("bytes_on_disk", size),
        ]))
    }
}

/// The folder with the programs: the newest that is installed.
fn programs() -> anyhow::Result<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|entry| entry.path().join("bin"));
    let mut found: Vec<PathBuf> = debian.filter(|path| path.join("initdb").exists()).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut named = std::env::split_paths(&path);
    let named = named.find(|folder| folder.join("initdb").exists());
    let programs = named.or_else(|| found.pop());
    programs.context("PostgreSQL is not installed (Debian: sudo apt-get install postgresql)")
}
