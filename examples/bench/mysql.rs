//! A private MariaDB: in a folder on the measured disk, on a free port of the loopback address,
//! with the settings it comes with, which are durable.
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

/// Starts the server, says so with its process, and waits until nobody holds its input any more.
const KEEPER: &str = r#"
"$0" --no-defaults --datadir="$1/data" --socket="$1/socket" $2 >"$1/log" 2>&1 &
server=$!
until grep -q 'ready for connections' "$1/log"; do
  kill -0 $server || { tail -n 5 "$1/log" >&2; exit 1; }
  sleep 0.05
done
echo $server
read -r _
kill -KILL $server
wait
rm -rf "$1" 2>/dev/null
"#;

/// Who may do everything, over the network.
const USER: &str = "CREATE USER orderd IDENTIFIED BY 'bench'; GRANT ALL ON *.* TO orderd";

/// What blocks are compared by: bytes of the log, and rows that were changed.
const COUNTERS: &str = "SELECT
    (SELECT variable_value FROM information_schema.global_status
      WHERE variable_name = 'Innodb_lsn_current'),
    (SELECT variable_value FROM information_schema.global_status
      WHERE variable_name = 'Handler_update'),
    (SELECT coalesce(sum(data_length + index_length), 0) FROM information_schema.tables
      WHERE table_schema = 'bench')";

/// A server.
pub struct Mysql {
    folder: PathBuf,
    port: u16,
    process: u32,
    _keeper: Child,
}

impl Mysql {
    /// Starts a server below `data`, a folder that others may enter.
    ///
    /// # Errors
    ///
    /// MariaDB is not installed; it cannot be started.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("my-").tempdir_in(data)?;
        let folder = fs::canonicalize(folder.keep())?;
        let user = unprivileged(&folder, "mysql")?;
        let run = |command: &mut Command| {
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command.current_dir(&folder).process_group(0);
        };
        let mut install = Command::new(program("mariadb-install-db")?);
        install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        install.args(["--skip-test-db", "--skip-name-resolve"]);
        install.arg(format!("--datadir={}", folder.join("data").display()));
        run(install.stdout(Stdio::null()).stderr(Stdio::null()));
        ensure!(install.status()?.success(), "mariadb-install-db failed");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let options = format!("--bind-address=127.0.0.1 --port={port} --skip-name-resolve");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER]);
        keeper.arg(program("mariadbd")?).arg(&folder).arg(options);
        run(keeper.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut keeper = keeper.spawn()?;
        let mut said = String::new();
        let output = keeper.stdout.take().context("the keeper has no output")?;
        BufReader::new(output).read_line(&mut said)?;
        let process = said.trim().parse().context("MariaDB did not start")?;
        let server = Self {
            folder,
            port,
            process,
            _keeper: keeper,
        };
        server.ask(USER)?;
        Ok(server)
    }

    /// Runs statements, one after the other. Answers the numbers of the last row.
    fn ask(&self, statements: &str) -> anyhow::Result<Vec<f64>> {
        let mut client = Command::new(program("mariadb")?);
        client.args(["--no-defaults", "-u", "root", "-N", "-B", "-e", statements]);
        client.arg(format!("--socket={}", self.folder.join("socket").display()));
        let output = client.output().context("cannot run mariadb")?;
        if !output.status.success() {
            bail!("MariaDB: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        let last = text.lines().last().unwrap_or_default();
        Ok(last
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect())
    }
}

impl Database for Mysql {
    fn fresh(&self) -> anyhow::Result<String> {
        self.ask("DROP DATABASE IF EXISTS bench; CREATE DATABASE bench")?;
        let port = self.port;
        Ok(format!(
            "mysql://orderd:bench@127.0.0.1:{port}/bench?ssl-mode=DISABLED"
        ))
    }

    fn process(&self) -> u32 {
        self.process
    }

    fn counters(&self) -> anyhow::Result<Figures> {
        let row = self.ask(COUNTERS)?;
        let [log, updated, size] = row[..] else {
            bail!("MariaDB answers {row:?} for its counters");
        };
        Ok(figures([
            ("wal_bytes", log),
            ("updates", updated),
            ("bytes_on_disk", size),
        ]))
    }
}

/// A program of MariaDB, which may lie where only administrators look.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let mut found = folders.map(|folder| folder.join(name));
    let found = found.find(|file| file.exists());
    found.context("MariaDB is not installed (Debian: sudo apt-get install mariadb-server)")
}
