//! A MariaDB server of this test run's own, with a database for each test; or a MySQL server, if
//! `ORDERD_TEST_MYSQLD` names its program.
//!
//! It runs in a temporary folder as somebody without rights, listens on a socket there and nowhere
//! else, and is stopped by a shell that waits for the end of the tests, however they end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use super::{Place, is_left_out, unprivileged};
use tempfile::TempDir;

/// Starts the server for each line of its input, says so, and waits until nobody holds its input
/// any more.
const KEEPER: &str = r#"
server=
while read -r _; do
  [ -z "$server" ] || wait $server
  "$0" --no-defaults --datadir="$1/data" --socket="$1/socket" --skip-networking $2 >"$1/log" 2>&1 &
  server=$!
  echo $server >"$1/pid"
  until grep -q 'ready for connections' "$1/log"; do
    kill -0 $server || { cat "$1/log" >&2; exit 1; }
    sleep 0.05
  done
  echo ready
done
kill -KILL $server
wait
rm -rf "$1"
"#;

/// The user of the tests, once they have said who may do what.
const USER: &str = "CREATE USER orderd@localhost IDENTIFIED BY 'hush';
                    GRANT ALL ON *.* TO orderd@localhost";

/// A server, which ends when this is dropped or the tests do.
pub struct Server {
    pub folder: PathBuf,
    keeper: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _process: Child,
}

impl Server {
    /// A fresh server with further settings, `--name=value`.
    pub fn start(settings: &str) -> Self {
        let folder = TempDir::with_prefix("orderd-my-").unwrap().keep();
        let user = unprivileged(&folder, "mysql");
        let set_up = |command: &mut Command| {
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command.current_dir(&folder).process_group(0);
        };
        // What only one of the two servers knows is loose.
        let small = "--loose-innodb-log-file-size=16M --loose-innodb-redo-log-capacity=16M \
                     --innodb-buffer-pool-size=64M --loose-mysqlx=OFF";
        let mut install = installer();
        install
            .args(small.split(' '))
            .arg(format!("--datadir={}", folder.join("data").display()));
        set_up(install.stdout(Stdio::null()).stderr(Stdio::null()));
        assert!(
            install.status().unwrap().success(),
            "the folder of the server could not be made"
        );
        let options = format!("{small} --max-connections=400 {settings}");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER]);
        let server = mysqld().unwrap_or_else(|| program("mariadbd"));
        keeper.arg(server).arg(&folder).arg(options);
        set_up(keeper.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut keeper = keeper.spawn().unwrap();
        let asked = keeper.stdin.take().unwrap();
        let said = BufReader::new(keeper.stdout.take().unwrap());
        let server = Self {
            folder,
            keeper: Mutex::new((asked, said)),
            _process: keeper,
        };
        server.launch();
        let administrator = server.url("mysql").replace("orderd:hush@", "root@");
        run(&administrator, USER).unwrap();
        server
    }

    /// Lets it run, if it does not, and waits until it listens.
    pub fn launch(&self) {
        let (asked, said) = &mut *self.keeper.lock().unwrap();
        writeln!(asked).unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "MariaDB did not start");
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let socket = self.socket();
        let socket = socket.display();
        format!("mysql://orderd:hush@localhost/{database}?socket={socket}")
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// A fresh database, by its name.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        run(&self.url("mysql"), &format!("CREATE DATABASE {name}")).unwrap();
        name
    }
}

/// The program of a MySQL server, which is tested instead of MariaDB.
fn mysqld() -> Option<PathBuf> {
    std::env::var_os("ORDERD_TEST_MYSQLD").map(PathBuf::from)
}

/// What makes the folder of a server.
fn installer() -> Command {
    if let Some(mysqld) = mysqld() {
        let mut install = Command::new(mysqld);
        install.args(["--no-defaults", "--initialize-insecure"]);
        return install;
    }
    let mut install = Command::new(program("mariadb-install-db"));
    install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
    install.args(["--skip-test-db", "--skip-name-resolve"]);
    install
}

/// A program of MariaDB, which may lie where only administrators look.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let mut found = folders.map(|folder| folder.join(name));
    found.find(|file| file.exists()).expect(
        "MariaDB is not installed, and the store on it is tested too: install it (on Debian: \
         apt install mariadb-server), or leave it out with ORDERD_TEST_WITHOUT=mysql",
    )
}

/// The server that the tests of this binary share.
fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(""))
}

/// Runs SQL in a database. Answers how many rows the last statement found.
pub fn run(url: &str, sql: &str) -> Result<u64, String> {
    on(url, async |conn| {
        conn.query_drop(sql).await?;
        Ok(conn.affected_rows())
    })
}

/// Does something on a connection of its own.
pub fn on<T: Send>(
    url: &str,
    work: impl AsyncFnOnce(&mut Conn) -> Result<T, mysql_async::Error> + Send,
) -> Result<T, String> {
    // Tests that run in a runtime of their own ask too.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let options = OptsBuilder::from_opts(Opts::from_url(url).unwrap());
                let text = |error: mysql_async::Error| error.to_string();
                let options = options.client_found_rows(true);
                let mut conn = Conn::new(options).await.map_err(text)?;
                let done = work(&mut conn).await.map_err(text)?;
                conn.disconnect().await.map_err(text)?;
                Ok(done)
            })
        });
        asked.join().unwrap()
    })
}

struct Database {
    server: &'static Server,
    name: String,
}

pub fn place() -> Option<Box<dyn Place>> {
    if is_left_out("mysql") {
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
        // A store that is still open would be waited for: it goes with the server.
        let sql = format!("SET lock_wait_timeout = 1; DROP DATABASE {}", self.name);
        drop(run(&self.server.url("mysql"), &sql));
    }
}
