//! A PostgreSQL server of this test run's own, with a database for each test.
//!
//! It runs in a temporary folder as somebody without rights, listens on a socket there and nowhere
//! else, and is stopped by a shell that waits for the end of the tests, however they end.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Place, is_left_out, unprivileged};
use tempfile::TempDir;

/// Starts the server, says so, and waits until nobody holds its input any more.
const KEEPER: &str = r#"
"$0/pg_ctl" -D "$1/data" -l "$1/log" -w -s -o "$2" start || { cat "$1/log" >&2; exit 1; }
echo ready
read -r _
"$0/pg_ctl" -D "$1/data" -m immediate -s stop
rm -rf "$1"
"#;

/// A server, which ends when this is dropped or the tests do.
pub struct Server {
    pub folder: PathBuf,
    _keeper: Child,
}

impl Server {
    /// A fresh server with further settings, `-c name=value`.
    pub fn start(settings: &str) -> Self {
        let programs = programs();
        let folder = TempDir::with_prefix("orderd-pg-").unwrap().keep();
        unprivileged(&folder, "postgres");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args([
            "-U",
            "orderd",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
            "-D",
        ]);
        initdb.arg(folder.join("data")).stdout(Stdio::null());
        as_owner(&mut initdb, &folder);
        assert!(initdb.status().unwrap().success(), "initdb failed");
        Self::at(folder, settings)
    }

    /// A server on the data that lie in a folder already.
    pub fn at(folder: PathBuf, settings: &str) -> Self {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c max_connections=400 \
             -c shared_buffers=32MB -c logging_collector=off {settings}",
            folder.display()
        );
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER]).arg(programs()).arg(&folder);
        as_owner(&mut keeper, &folder);
        let mut keeper = keeper
            .arg(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap());
        lines.read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "PostgreSQL did not start");
        Self {
            folder,
            _keeper: keeper,
        }
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres://orderd@/{database}?host={folder}")
    }

    /// A fresh database, by its name.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        run(&self.url("postgres"), &format!("CREATE DATABASE {name}")).unwrap();
        name
    }
}

/// Lets a program run in a folder as whoever the folder belongs to, beside the tests.
pub fn as_owner(command: &mut Command, folder: &Path) {
    let owner = folder.metadata().unwrap();
    if owner.uid() != rustix::process::getuid().as_raw() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.current_dir(folder).process_group(0);
}

/// The folder with the programs: the newest that is installed.
pub fn programs() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let debian = debian.flatten().map(|entry| entry.path().join("bin"));
    let mut found: Vec<PathBuf> = debian.filter(|path| path.join("initdb").exists()).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut named = std::env::split_paths(&path);
    let named =
        named.find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists());
    named.or_else(|| found.pop()).expect(
        "PostgreSQL is not installed, and the store on it is tested too: install it (on Debian: \
         apt install postgresql), or leave it out with ORDERD_TEST_WITHOUT=postgres",
    )
}

/// The server that the tests of this binary share.
fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(""))
}

/// Runs SQL in a database. Answers how many rows the last statement touched.
pub fn run(url: &str, sql: &str) -> Result<u64, String> {
    let said = ask(url, sql)?;
    let touched = said.iter().rev().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    Ok(touched.unwrap_or_default())
}

/// What the server says to SQL, as it writes it.
pub fn ask(url: &str, sql: &str) -> Result<Vec<tokio_postgres::SimpleQueryMessage>, String> {
    let work = async {
        let config: tokio_postgres::Config = url.parse().unwrap();
        let connected = config.connect(tokio_postgres::NoTls).await;
        let (client, connection) = connected.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let said = client.simple_query(sql).await;
        said.map_err(|error| format!("{error}: {:?}", error.as_db_error()))
    };
    // Tests that run in a runtime of their own ask too.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(work)
        });
        asked.join().unwrap()
    })
}

struct Database {
    server: &'static Server,
    name: String,
}

pub fn place() -> Option<Box<dyn Place>> {
    if is_left_out("postgres") {
        return None;
    }
    let server = shared();
    let name = server.database();
    Some(Box::new(Database { server, name }))
}

impl Place for Database {
    fn url(&self) -> String {
        self.server.url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A store that is still open is cut off. Whatever is left goes with the server.
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        drop(run(&self.server.url("postgres"), &sql));
    }
}
