//! The end in order: whoever has sent a whole request gets a whole answer, connections are closed
//! and not reset, the exit code is 0, and the next server may be waiting already.
//!
//! A server that is stopped with SIGSTOP does not notice what arrives: so that everything is there
//! at once when it goes on and finds the signal.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orderd::clock::monotonic;
use rustix::process::Signal;

use super::feed::Feed;
use super::http::{Client, Reply};
use super::request::{Guard, Request, Route};
use super::rest;
use super::server::{Server, Wishes, pause};

/// One order under an idempotency key.
fn request(number: u64) -> Request {
    Request {
        // Those with a start in the year 2099 would never end.
        first: number * 47 + 1,
        count: 1,
        route: Route::Single,
        guard: Guard::Key,
    }
}

fn text(request: &Request) -> String {
    Client::request(request.path(), &request.headers(), &request.body())
}

/// Whether it is one of the two answers that a draining server may give.
fn is_answer(reply: &Reply) -> bool {
    reply.status == 201 || (reply.status == 503 && reply.code() == "draining")
}

fn id(reply: &Reply) -> Option<String> {
    let id = reply.json()["order_id"].as_str().map(str::to_owned);
    id.filter(|_| reply.status == 201)
}

#[test]
fn every_request_that_had_arrived_before_the_end_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &Wishes::default());
    let mut clients: Vec<Client> = (0..100).map(|_| server.client()).collect();
    let mut accepted = Vec::new();
    for (number, client) in (0..).zip(&mut clients) {
        client.send(&text(&request(number))).unwrap();
        accepted.extend(id(&client.hear().unwrap()));
    }
    assert_eq!(accepted.len(), 100);
    server.signal(Signal::STOP);
    // Nobody accepts these: the system does it for the server, which does not know of them yet.
    clients.extend((0..600).map(|_| server.client()));
    for (number, client) in (1_000..).zip(&mut clients) {
        client.send(&text(&request(number))).unwrap();
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for (number, client) in clients.iter_mut().enumerate() {
        let reply = client.hear();
        let reply = reply.unwrap_or_else(|error| panic!("{number} has no answer: {error}"));
        assert!(is_answer(&reply), "{number}: {}", reply.text());
        accepted.extend(id(&reply));
        assert!(client.is_closed_in_order(), "{number} was reset");
    }
    drop(clients);
    server.ends();
    all_are_there(folder.path(), &accepted);
}

fn all_are_there(folder: &std::path::Path, accepted: &[String]) {
    let server = Server::start(folder, &Wishes::default());
    let mut client = server.client();
    for id in accepted {
        assert_eq!(
            client.get(&format!("/v1/orders/{id}")).unwrap().status,
            200,
            "{id}"
        );
    }
    server.terminate();
    drop(client);
    server.ends();
}

/// What the clients of a drain under load have in common.
struct Crowd {
    address: SocketAddr,
    next: AtomicU64,
    accepted: Mutex<Vec<String>>,
    /// When the signal was sent.
    signalled: Mutex<Option<Instant>>,
    answered_late: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Crowd {
    /// Sends one order after the other until nobody takes connections any more.
    fn client(&self, is_kept_alive: bool) {
        let mut kept = None;
        loop {
            let was_kept = kept.is_some();
            let mut client = match kept
                .take()
                .map_or_else(|| Client::connect(self.address), Ok)
            {
                Ok(client) => client,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                // Reset while it was made: the door was just closed.
                Err(_) => continue,
            };
            let connected = monotonic();
            let request = request(self.next.fetch_add(1, Ordering::Relaxed));
            let sent = client.send(&text(&request));
            let reply = sent.and_then(|()| client.hear());
            let signalled = *self.signalled.lock().unwrap();
            let is_late = signalled.is_some();
            match reply {
                Ok(reply) if is_answer(&reply) => {
                    self.accepted.lock().unwrap().extend(id(&reply));
                    self.answered_late
                        .fetch_add(u64::from(is_late), Ordering::Relaxed);
                    kept = Some(client).filter(|_| is_kept_alive && !reply.is_last);
                }
                Ok(reply) => self.wrong.lock().unwrap().push(reply.text()),
                // Connected in the instant in which the door was closed: nothing was promised.
                Err(_) if !was_kept && signalled.is_some_and(|at| connected >= at) => {}
                Err(error) => self
                    .wrong
                    .lock()
                    .unwrap()
                    .push(format!("{is_late} {error}")),
            }
        }
    }
}

#[test]
fn under_full_load_nobody_who_was_let_in_goes_without_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &Wishes::default());
    let crowd = Crowd {
        address: server.address,
        next: AtomicU64::new(0),
        accepted: Mutex::default(),
        signalled: Mutex::default(),
        answered_late: AtomicU64::new(0),
        wrong: Mutex::default(),
    };
    let took = std::thread::scope(|scope| {
        for client in 0..24 {
            let crowd = &crowd;
            scope.spawn(move || crowd.client(client % 2 == 0));
        }
        while crowd.accepted.lock().unwrap().len() < 400 {
            pause(Duration::from_millis(1));
        }
        let now = monotonic();
        *crowd.signalled.lock().unwrap() = Some(now);
        server.signal(Signal::TERM);
        server.ends();
        now.elapsed()
    });
    let wrong = crowd.wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let late = crowd.answered_late.into_inner();
    assert!(late > 0, "nobody was being answered when the signal came");
    all_are_there(folder.path(), &crowd.accepted.into_inner().unwrap());
}

#[test]
fn a_second_signal_does_not_wait_for_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &Wishes::default());
    let mut stuck = server.client();
    stuck
        .send("POST /v1/orders HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
        .unwrap();
    // It is answered, so the one before has begun.
    let mut other = server.client();
    assert_eq!(other.get("/livez").unwrap().status, 200);
    server.signal(Signal::TERM);
    while other.get("/readyz").is_ok_and(|reply| reply.status == 200) {}
    let began = monotonic();
    // Signals within a tenth of a second count as one.
    while !server.has_ended() {
        server.signal(Signal::TERM);
        pause(Duration::from_millis(10));
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(server.exit_code(), Some(1));
}

/// A port that is free, most likely for a while.
fn free_port() -> SocketAddr {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    taken.local_addr().unwrap()
}

/// Sends its orders one after the other, each until it is acknowledged; answers with their ids.
fn persist(address: SocketAddr, numbers: std::ops::Range<u64>, is_over: &AtomicBool) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut client = None;
    for number in numbers {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let request = request(number);
        loop {
            let answered = client
                .take()
                .map_or_else(|| Client::connect(address), Ok)
                .and_then(|mut client| {
                    client.send(&text(&request))?;
                    let reply = client.hear()?;
                    Ok((client, reply))
                });
            match answered {
                Ok((kept, reply)) if reply.status == 201 => {
                    client = Some(kept).filter(|_| !reply.is_last);
                    break;
                }
                Ok((_, reply)) => assert!(reply.status == 503, "{}", reply.text()),
                Err(_) => pause(Duration::from_millis(1)),
            }
        }
        acknowledged.push(request.first);
    }
    acknowledged
}

#[test]
fn clients_that_persist_come_through_rolling_restarts_with_each_order_once() {
    let folder = tempfile::tempdir().unwrap();
    let wishes = Wishes {
        flags: vec!["--takeover".into(), "30s".into()],
        listen: Some(free_port()),
        ..Wishes::default()
    };
    let server = Server::start(folder.path(), &wishes);
    let is_over = AtomicBool::new(false);
    let mut acknowledged: Vec<u64> = Vec::new();
    let server = std::thread::scope(|scope| {
        let mut server = server;
        let clients: Vec<_> = (0..6_u64)
            .map(|client| {
                let (address, is_over) = (server.address, &is_over);
                let numbers = client * 1_000_000..(client + 1) * 1_000_000;
                scope.spawn(move || persist(address, numbers, is_over))
            })
            .collect();
        for round in 0..6 {
            pause(Duration::from_millis(100));
            server = if round % 2 == 0 {
                // The next one waits for the port and the data while the old one still serves.
                let next = Server::spawn_waiting(folder.path(), &wishes);
                server.signal(Signal::TERM);
                server.ends();
                next.up()
            } else {
                server.signal(Signal::TERM);
                server.ends();
                Server::start(folder.path(), &wishes)
            };
        }
        is_over.store(true, Ordering::Relaxed);
        acknowledged.extend(
            clients
                .into_iter()
                .flat_map(|client| client.join().unwrap()),
        );
        server
    });
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    each_is_there_once(&server, acknowledged);
    server.terminate();
    server.ends();
}

/// Every acknowledged order is there once and ends once, and there is no other.
fn each_is_there_once(server: &Server, mut acknowledged: Vec<u64>) {
    let mut client = server.client();
    let mut feed = Feed::default();
    let started = monotonic();
    while client.get("/v1/stats").unwrap().json()["orders"]["open"] != 0 {
        for dead in rest::pages(&mut client, "/v1/orders?status=dead&limit=1000") {
            let id = dead["order_id"].as_str().unwrap();
            client
                .post(&format!("/v1/orders/{id}/cancel"), "", "{}")
                .unwrap();
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "orders do not end"
        );
    }
    feed.follow(&mut client, 1, u64::MAX);
    let orders = rest::pages(&mut client, "/v1/orders?limit=1000");
    let number =
        |order: &serde_json::Value| order["customer_id"].as_str().unwrap().parse().unwrap();
    let mut stored: Vec<u64> = orders.iter().map(number).collect();
    stored.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(stored, acknowledged);
    assert!(feed.complaints.is_empty(), "{:?}", feed.complaints);
    assert!(feed.tracks.values().all(|track| track.ends == 1));
}
