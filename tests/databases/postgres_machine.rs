//! A PostgreSQL server of one test's own that can be stopped, killed, filled and locked.
//! What is done to it here is what happens to servers; orderd is never asked.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::{Held, Machine};
use crate::databases::is_left_out;
use crate::databases::postgres::{Server, as_owner, programs, run};

/// Pause between two looks for a connection that is free.
const GRAB: Duration = Duration::from_millis(2);

struct Postgres {
    server: Server,
    name: String,
}

/// A fresh server with so many connections. `None` if PostgreSQL is left out.
pub fn machine(connections: u32) -> Option<Box<dyn Machine>> {
    if is_left_out("postgres") {
        return None;
    }
    // The last setting counts.
    let settings = format!("-c max_connections={connections} -c max_wal_senders=0");
    let server = Server::start(&settings);
    let name = server.database();
    Some(Box::new(Postgres { server, name }))
}

/// A connection that lives while the runtime runs.
async fn connect(url: &str) -> Option<Client> {
    let config: tokio_postgres::Config = url.parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

/// Takes all connections, then those of orderd, and every one that becomes free.
fn take_all(url: &str, ready: &SyncSender<()>, released: &Receiver<()>) {
    block_on(async {
        let mut taken = Vec::new();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'orderd'";
        loop {
            while let Some(client) = connect(url).await {
                taken.push(client);
            }
            // It may be faster in taking one again.
            if taken[0].query(sql, &[]).await.unwrap().is_empty() {
                break;
            }
        }
        ready.send(()).unwrap();
        while released.recv_timeout(GRAB) == Err(RecvTimeoutError::Timeout) {
            taken.extend(connect(url).await);
        }
    });
}

impl Postgres {
    /// Runs `pg_ctl` on the server, as its owner, and waits for its end.
    fn control(&self, arguments: &[&str]) {
        let folder = &self.server.folder;
        let mut command = Command::new(programs().join("pg_ctl"));
        command.arg("-D").arg(folder.join("data")).arg("-l");
        command.arg(folder.join("log")).args(["-w", "-s"]);
        command.args(arguments);
        as_owner(&mut command, folder);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }

    /// The number of its main process.
    fn process(&self) -> u32 {
        let file = self.server.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().next().unwrap().parse().unwrap()
    }
}

impl Machine for Postgres {
    fn url(&self) -> String {
        self.server.url(&self.name)
    }

    fn url_by(&self, port: u16) -> String {
        let name = &self.name;
        format!("postgres://orderd@127.0.0.1:{port}/{name}?sslmode=disable")
    }

    fn socket(&self) -> PathBuf {
        self.server.folder.join(".s.PGSQL.5432")
    }

    fn stop(&self) {
        self.control(&["-m", "fast", "stop"]);
    }

    fn kill(&self) {
        let main = self.process();
        // All at once: one that is left would end the others in order.
        let script = format!("kill -9 {main} $(cat /proc/{main}/task/*/children)");
        let killed = Command::new("sh").args(["-c", &script]).status();
        assert!(killed.unwrap().success());
        // A process that has ended may still be there for an instant.
        while std::path::Path::new(&format!("/proc/{main}")).exists() {
            std::thread::yield_now();
        }
    }

    fn start(&self) {
        // With the options that it had, which it has kept.
        self.control(&["restart"]);
    }

    fn sessions(&self) -> u64 {
        let sql = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'orderd'";
        run(&self.url(), sql).unwrap()
    }

    fn take_connections(&self) -> Held {
        let url = self.url();
        Held::by(move |ready, released| take_all(&url, &ready, &released))
    }

    fn lock_orders(&self) -> Held {
        let url = self.url();
        Held::by(move |ready, released| {
            block_on(async {
                let client = connect(&url).await.unwrap();
                let sql = "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";
                client.batch_execute(sql).await.unwrap();
                ready.send(()).unwrap();
                let _ = released.recv();
            });
        })
    }
}
