//! A MariaDB server of one test's own that can be stopped, killed, filled and locked.
//! What is done to it here is what happens to servers; orderd is never asked.

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

use super::{Held, Machine};
use crate::databases::is_left_out;
use crate::databases::mysql::{Server, on};

/// Pause between two looks for a connection that is free.
const GRAB: Duration = Duration::from_millis(2);

struct Mysql {
    server: Server,
    name: String,
}

/// A fresh server with so many connections. `None` if MariaDB is left out.
pub fn machine(connections: u32) -> Option<Box<dyn Machine>> {
    if is_left_out("mysql") {
        return None;
    }
    // The last setting counts.
    let server = Server::start(&format!("--max-connections={connections}"));
    let name = server.database();
    Some(Box::new(Mysql { server, name }))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

async fn connect(url: &str) -> Option<Conn> {
    Conn::new(Opts::from_url(url).unwrap()).await.ok()
}

/// Takes all connections, then those of orderd, and every one that becomes free.
fn take_all(url: &str, ready: &SyncSender<()>, released: &Receiver<()>) {
    block_on(async {
        let mut taken = Vec::new();
        let sql = "SELECT id FROM information_schema.processlist WHERE user = 'orderd'";
        loop {
            while let Some(conn) = connect(url).await {
                taken.push(conn);
            }
            // It may be faster in taking one again.
            let sessions: Vec<u64> = taken[0].query(sql).await.unwrap();
            for session in &sessions {
                // It may have ended by itself.
                drop(taken[0].query_drop(format!("KILL {session}")).await);
            }
            if sessions.is_empty() {
                break;
            }
        }
        ready.send(()).unwrap();
        while released.recv_timeout(GRAB) == Err(RecvTimeoutError::Timeout) {
            taken.extend(connect(url).await);
        }
    });
}

impl Mysql {
    /// For who counts no session of orderd.
    fn administrator(&self) -> String {
        self.url().replace("orderd:hush@", "root@")
    }

    /// Sends a signal to the server, and waits until it has ended.
    fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.server.folder.join("pid")).unwrap();
        let pid = pid.trim();
        let sent = Command::new("kill").args([name, pid]).status();
        assert!(sent.unwrap().success(), "{name} {pid}");
        // Until somebody asks after it, it is there as one that has ended.
        let has_ended = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        while !has_ended() {
            std::thread::yield_now();
        }
    }
}

impl Machine for Mysql {
    fn url(&self) -> String {
        self.server.url(&self.name)
    }

    fn url_by(&self, port: u16) -> String {
        let name = &self.name;
        format!("mysql://orderd:hush@127.0.0.1:{port}/{name}?ssl-mode=DISABLED")
    }

    fn socket(&self) -> PathBuf {
        self.server.socket()
    }

    fn stop(&self) {
        self.signal("-TERM");
    }

    fn kill(&self) {
        self.signal("-KILL");
    }

    fn start(&self) {
        self.server.launch();
    }

    fn sessions(&self) -> u64 {
        let sql = "SELECT count(*) FROM information_schema.processlist WHERE user = 'orderd'";
        let counted = on(&self.administrator(), async |conn| {
            conn.query_first(sql).await
        });
        counted.unwrap().unwrap()
    }

    fn take_connections(&self) -> Held {
        let url = self.administrator();
        Held::by(move |ready, released| take_all(&url, &ready, &released))
    }

    fn lock_orders(&self) -> Held {
        let url = self.administrator();
        Held::by(move |ready, released| {
            block_on(async {
                let mut conn = connect(&url).await.unwrap();
                conn.query_drop("LOCK TABLES orders WRITE").await.unwrap();
                ready.send(()).unwrap();
                let _ = released.recv();
            });
        })
    }
}
