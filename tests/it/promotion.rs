//! The primary of a synchronous pair of PostgreSQL servers dies under load, and the standby is
//! promoted: orderd goes on there by itself, and has everything that it answered for.

use std::cell::{Cell, RefCell};
use std::process::{Command, Stdio};
use std::time::Duration;

use orderd::clock::monotonic;
use serde_json::json;
use tempfile::TempDir;

use super::databases::postgres::{Server, as_owner, ask, place, programs, run};
use super::databases::{Place, unprivileged};
use super::support::{Setup, TestServer, order_with, together, within};

/// Clients that send one order after the other.
const CLIENTS: usize = 4;
/// Orders that are acknowledged before the primary dies, and after.
const ENOUGH: usize = 150;
/// Longest from the promotion until orders are taken again.
const RESUMES: Duration = Duration::from_secs(10);

/// Runs a program of PostgreSQL as the owner of a server.
fn program(server: &Server, name: &str, arguments: &[&str]) {
    let mut command = Command::new(programs().join(name));
    command.args(arguments).stdout(Stdio::null());
    as_owner(&mut command, &server.folder);
    assert!(command.status().unwrap().success(), "{name} {arguments:?}");
}

/// A standby of a server, for which its commits wait.
fn standby_of(primary: &Server) -> Server {
    let folder = TempDir::with_prefix("orderd-pg-").unwrap().keep();
    unprivileged(&folder, "postgres");
    let (from, data) = (primary.folder.display().to_string(), folder.join("data"));
    // The folder may hold links to some of the programs only.
    let programs = programs().join("pg_ctl").canonicalize().unwrap();
    let mut copy = Command::new(programs.with_file_name("pg_basebackup"));
    copy.args([
        "-h", &from, "-U", "orderd", "-R", "-X", "stream", "-c", "fast",
    ]);
    as_owner(copy.arg("-D").arg(data), &folder);
    assert!(copy.status().unwrap().success(), "pg_basebackup");
    let standby = Server::at(folder, "");
    let url = primary.url("postgres");
    run(&url, "ALTER SYSTEM SET synchronous_standby_names = '*'").unwrap();
    run(&url, "SELECT pg_reload_conf()").unwrap();
    let is_waited_for = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
    let began_at = monotonic();
    while run(&url, is_waited_for) != Ok(1) {
        assert!(
            began_at.elapsed() < RESUMES,
            "{:?}",
            ask(&url, is_waited_for)
        );
    }
    standby
}

/// Both servers, of which one takes writes.
struct Pair(String);

impl Place for Pair {
    fn url(&self) -> String {
        self.0.clone()
    }
}

/// What clients have been told.
#[derive(Default)]
struct Told {
    acknowledged: RefCell<Vec<String>>,
    is_over: Cell<bool>,
}

impl Told {
    fn count(&self) -> usize {
        self.acknowledged.borrow().len()
    }

    /// Sends orders, each again until it is known to be there.
    async fn send(&self, server: &TestServer, client: usize) {
        for number in 0.. {
            let id = format!("{client}-{number}");
            let order = order_with(json!({"order_id": id})).to_string();
            while !self.is_over.get() {
                let reply = server.post("/v1/orders", &order).await;
                match reply.status {
                    201 => break,
                    409 => {
                        assert_eq!(reply.code(), "order-exists");
                        break;
                    }
                    // Refused, or nobody knows what became of it.
                    503 => {}
                    other => panic!("{other} {}", reply.text()),
                }
            }
            if self.is_over.get() {
                return;
            }
            self.acknowledged.borrow_mut().push(id);
        }
    }

    /// Waits until so many orders are acknowledged.
    async fn wait_for(&self, count: usize) {
        while self.count() < count {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn nothing_that_was_answered_for_is_lost_when_a_synchronous_standby_is_promoted() {
    if place().is_none() {
        return;
    }
    let primary = Server::start("-c wal_level=replica -c max_wal_senders=4");
    let name = primary.database();
    let standby = standby_of(&primary);
    let (first, second) = (primary.folder.display(), standby.folder.display());
    let url = format!(
        "postgres://orderd@/{name}?host={first}&host={second}&target_session_attrs=read-write"
    );
    let setup = Setup {
        place: Some(Box::new(Pair(url))),
        ..Setup::default()
    };
    let server = TestServer::with(setup).await;
    let stats = server.get("/v1/stats").await.json();
    let detail = stats["durability"]["detail"].as_str().unwrap();
    assert!(detail.contains("and for the standbys"), "{detail}");
    let told = Told::default();
    let load = together((0..CLIENTS).map(|client| told.send(&server, client)));
    let trouble = async {
        within(told.wait_for(ENOUGH)).await;
        let data = |server: &Server| server.folder.join("data").display().to_string();
        program(
            &primary,
            "pg_ctl",
            &["-D", &data(&primary), "-m", "immediate", "-s", "stop"],
        );
        let promote = ["-D", &data(&standby), "-s", "promote"];
        program(&standby, "pg_ctl", &promote);
        // Nobody is there for whom it would wait.
        let alone = standby.url("postgres");
        run(&alone, "ALTER SYSTEM RESET synchronous_standby_names").unwrap();
        run(&alone, "SELECT pg_reload_conf()").unwrap();
        let (promoted_at, before) = (monotonic(), told.count());
        within(told.wait_for(before + 1)).await;
        assert!(
            promoted_at.elapsed() < RESUMES,
            "{:?}",
            promoted_at.elapsed()
        );
        within(told.wait_for(before + ENOUGH)).await;
        told.is_over.set(true);
    };
    tokio::join!(load, trouble);
    for id in told.acknowledged.take() {
        let reply = server.get(&format!("/v1/orders/{id}")).await;
        assert_eq!(reply.status, 200, "{id} was answered for and is lost");
    }
    server.stop().await;
}
