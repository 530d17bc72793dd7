//! Two servers on one PostgreSQL database, as real processes: the second waits as a standby, takes
//! over when the first dies, is cut off or loses its session, and never shares.
//!
//! What the first was told last is asked of the second: nothing lost, nothing doubled.

use std::net::TcpListener;
use std::time::Duration;

use orderd::clock::monotonic;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::cli_support::{Place, Server};
use super::databases::{self, postgres};
use super::proxy::{Mode, Proxy};
use super::support::{Connection, Reply, order_with};

/// Longest until a standby has taken over from a server that died.
const TAKES_OVER: Duration = Duration::from_secs(5);
/// The same from one that is only not heard of any more.
const TAKES_OVER_SILENT: Duration = Duration::from_secs(12);
/// Exit code of a server that was taken over from.
const TAKEN_OVER: i32 = 75;

/// One request to the server at a URL.
async fn ask(url: &str, start: &str, body: &str) -> Reply {
    let address = url.trim_start_matches("http://");
    let mut connection = Connection(TcpStream::connect(address).await.unwrap());
    let headers = ["Content-Type: application/json"];
    connection.request(start, &headers, body.as_bytes()).await;
    connection.reply().await
}

/// Sends an order that starts another day, so that nothing but its acceptance is committed.
async fn send(url: &str, id: &str) -> Reply {
    let order = json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"});
    ask(url, "POST /v1/orders", &order_with(order).to_string()).await
}

async fn readiness(url: &str) -> (u16, Value) {
    let reply = ask(url, "GET /readyz", "").await;
    (reply.status, reply.json())
}

struct Pair {
    place: Place,
    database: Box<dyn databases::Place>,
    proxy: Proxy,
    first: Server,
    standby: Server,
}

impl Pair {
    /// A server that reaches the database through a proxy, and its standby. `None` if PostgreSQL is
    /// left out.
    fn new() -> Option<Self> {
        let database = postgres::place()?;
        let url = database.url();
        let (before, folder) = url.split_once("?host=").unwrap();
        let name = before.rsplit('/').next().unwrap();
        let proxy = Proxy::to(format!("{folder}/.s.PGSQL.5432").into());
        let port = proxy.port;
        let proxied = format!("postgres://orderd@127.0.0.1:{port}/{name}?sslmode=disable");
        let place = Place::new();
        let first = place.serve(&["--store", &proxied]);
        let mut pair = Self {
            standby: wait_for(&place, &url),
            place,
            database,
            proxy,
            first,
        };
        let told = pair.standby.hears("waiting");
        assert!(told.contains("in use by another orderd"), "{told}");
        Some(pair)
    }

    /// Waits until the standby serves.
    async fn takes_over(&mut self, patience: Duration) {
        let began_at = monotonic();
        self.standby.is_up();
        let took = began_at.elapsed();
        assert!(took < patience, "{took:?}");
        while readiness(&self.standby.url).await.0 != 200 {
            assert!(began_at.elapsed() < patience);
        }
    }

    /// Everything that is stored is sound.
    fn verify(&self) {
        let url = self.database.url();
        let proof = self.place.run(&["verify", "--store", &url]);
        assert!(proof.expect(0).contains("Everything holds"));
    }
}

/// Starts a standby on a port that is known before it is ready.
fn wait_for(place: &Place, url: &str) -> Server {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    let arguments = ["--store", url, "--takeover", "1h"];
    let mut server = place.serve_later(&address, &arguments);
    server.url = format!("http://{address}");
    server
}

#[tokio::test]
async fn a_standby_says_so_and_takes_over_from_a_server_that_is_killed() {
    let Some(mut pair) = Pair::new() else {
        return;
    };
    assert_eq!(send(&pair.first.url, "A-1").await.status, 201);
    let url = pair.standby.url.clone();
    let (status, said) = readiness(&url).await;
    assert_eq!((status, &said["status"]), (503, &json!("standby")));
    assert_eq!(ask(&url, "GET /livez", "").await.status, 200);
    let refused = send(&url, "A-2").await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (503, "store-unavailable")
    );
    pair.first.signal("KILL");
    pair.takes_over(TAKES_OVER).await;
    assert_eq!(send(&url, "A-1").await.code(), "order-exists");
    assert_eq!(send(&url, "A-2").await.status, 201);
    pair.verify();
}

/// Cuts the first server off in the middle of a commit; answers whether the order is stored.
async fn cut_off(mode: Mode) -> Option<bool> {
    let mut pair = Pair::new()?;
    assert_eq!(send(&pair.first.url, "before").await.status, 201);
    pair.proxy.set(mode);
    let told = send(&pair.first.url, "late").await;
    assert_eq!(told.code(), "outcome-unknown");
    pair.takes_over(TAKES_OVER_SILENT).await;
    let url = pair.standby.url.clone();
    let found = ask(&url, "GET /v1/orders/late", "").await.status;
    let again = send(&url, "late").await;
    assert_eq!(again.status, if found == 200 { 409 } else { 201 });
    assert_eq!(send(&url, "before").await.code(), "order-exists");
    // Its network is there again, with all that was under way.
    pair.proxy.set(Mode::Pass);
    assert_eq!(pair.first.exit_code(), Some(TAKEN_OVER));
    let words = pair.first.last_words().join("\n");
    assert!(
        words.contains("another orderd has taken the store over"),
        "{words}"
    );
    assert_eq!(send(&url, "after").await.status, 201);
    let orders = ask(&url, "GET /v1/orders", "").await.json();
    assert_eq!(orders["data"].as_array().unwrap().len(), 3, "{orders}");
    pair.verify();
    Some(found == 200)
}

#[tokio::test]
async fn a_commit_that_was_done_before_the_cut_is_found_by_the_standby() {
    assert_ne!(cut_off(Mode::HoldAfterCommit).await, Some(false));
}

#[tokio::test]
async fn a_commit_that_comes_after_the_takeover_is_not_stored() {
    assert_ne!(cut_off(Mode::HoldBeforeCommit).await, Some(true));
}

#[tokio::test]
async fn a_server_that_is_cut_off_without_work_ends_when_it_learns_of_its_successor() {
    let Some(mut pair) = Pair::new() else {
        return;
    };
    pair.proxy.set(Mode::Hold);
    pair.takes_over(TAKES_OVER_SILENT).await;
    assert_eq!(send(&pair.standby.url, "A-1").await.status, 201);
    assert_eq!(readiness(&pair.first.url).await.0, 503);
    pair.proxy.set(Mode::Pass);
    assert_eq!(pair.first.exit_code(), Some(TAKEN_OVER));
    pair.verify();
}

#[tokio::test]
async fn a_session_that_was_ended_by_somebody_is_noticed_and_the_lock_taken_again() {
    let Some(database) = postgres::place() else {
        return;
    };
    let place = Place::new();
    let server = place.serve(&["--store", &database.url()]);
    for round in 0..3 {
        let ended = postgres::run(
            &database.url(),
            "SELECT pg_terminate_backend(pid) FROM pg_locks
              WHERE locktype = 'advisory' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        );
        assert_eq!(ended, Ok(1), "one session has the lock");
        let began_at = monotonic();
        while send(&server.url, &format!("A-{round}")).await.status != 201 {
            assert!(began_at.elapsed() < TAKES_OVER);
        }
    }
}

#[tokio::test]
async fn a_server_that_says_something_is_not_taken_for_silent() {
    let Some(mut pair) = Pair::new() else {
        return;
    };
    // Longer than a silent one is waited for.
    let began_at = monotonic();
    let sql = "SELECT pg_sleep(7)";
    postgres::run(&pair.database.url(), sql).unwrap();
    assert!(began_at.elapsed() > Duration::from_secs(6));
    assert_eq!(pair.first.has_ended(), None);
    assert_eq!(send(&pair.first.url, "A-1").await.status, 201);
    assert_eq!(readiness(&pair.standby.url).await.0, 503);
}
