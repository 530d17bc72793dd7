//! Answers that are lost on their way to a command: it asks again under the same key, and says what
//! it does not know.
//!
//! The server is the real one behind a door that can be shut; nothing waits for time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::Value;

use crate::cli_support::{Outcome, Place, Server};

const ORDER: [&str; 6] = [
    "--customer",
    "ada",
    "--item",
    "tea:2",
    "--total",
    "9.00 EUR",
];

/// A way to a server that takes requests there and loses some answers.
struct Door {
    url: String,
    losses: Arc<AtomicU32>,
}

impl Door {
    /// Whoever comes is led to `server`, but for the first answers of those that change something.
    fn before(server: &Server, losses: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let to = server.url.trim_start_matches("http://").to_owned();
        let losses = Arc::new(AtomicU32::new(losses));
        let left = losses.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (to, left) = (to.clone(), left.clone());
                thread::spawn(move || lead(client.unwrap(), &to, &left));
            }
        });
        Self { url, losses }
    }

    fn run(&self, place: &Place, arguments: &[&str]) -> Outcome {
        place.run_with(arguments, &[("ORDERD_URL", &self.url)])
    }
}

/// One request and its answer. A lost one is answered to the door, so it has happened.
fn lead(mut client: TcpStream, to: &str, losses: &AtomicU32) {
    let mut request = vec![0; 65_536];
    let length = client.read(&mut request).unwrap();
    let mut server = TcpStream::connect(to).unwrap();
    server.write_all(&request[..length]).unwrap();
    let mut answer = vec![0; 1 << 20];
    let length = server.read(&mut answer).unwrap();
    let take = |left: u32| left.checked_sub(1);
    let is_change = !request.starts_with(b"GET");
    if is_change
        && losses
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    {
        client.shutdown(Shutdown::Both).unwrap();
        return;
    }
    client.write_all(&answer[..length]).unwrap();
}

fn orders(place: &Place, server: &Server) -> usize {
    let listed = ["orders", "list", "--json", "--url", &server.url];
    let page: Value = serde_json::from_str(&place.run(&listed).expect(0)).unwrap();
    page["data"].as_array().unwrap().len()
}

#[test]
fn a_lost_answer_is_asked_for_again_and_nothing_happens_twice() {
    let place = Place::new();
    let server = place.serve(&[]);
    let door = Door::before(&server, 2);
    let create = [&["orders", "create", "--hold", "x"], &ORDER[..]].concat();
    let id = door.run(&place, &create).expect(0);
    assert_eq!(door.losses.load(Ordering::SeqCst), 0, "nothing was lost");
    assert_eq!(orders(&place, &server), 1);
    door.losses.store(1, Ordering::SeqCst);
    let released = ["orders", "release", id.trim(), "--by", "ada"];
    door.run(&place, &released).expect(0);
    let events = ["orders", "watch", id.trim()];
    door.losses.store(1, Ordering::SeqCst);
    door.run(&place, &["orders", "cancel", id.trim()]).expect(0);
    let events = door.run(&place, &events).out;
    assert_eq!(events.matches("released").count(), 1, "{events}");
    assert_eq!(
        events.matches("cancelled      cancelled").count(),
        1,
        "{events}"
    );
    door.losses.store(1, Ordering::SeqCst);
    door.run(&place, &["seed", "-n", "3"]).expect(0);
    assert_eq!(orders(&place, &server), 4);
}

#[test]
fn an_answer_that_stays_lost_is_no_missing_server() {
    let place = Place::new();
    let server = place.serve(&[]);
    let door = Door::before(&server, u32::MAX);
    let create = [&["orders", "create"], &ORDER[..]].concat();
    let lost = door.run(&place, &create);
    assert_eq!((lost.code, &*lost.out), (Some(9), ""), "{lost:#?}");
    let (_, way_out) = lost.err.split_once("it may have happened; ").unwrap();
    let key = way_out.split("--idempotency-key ").nth(1).unwrap();
    let key = key.split(',').next().unwrap();
    assert_eq!(orders(&place, &server), 1, "it was asked under one key");
    door.losses.store(0, Ordering::SeqCst);
    let again = [&create[..], &["--idempotency-key", key]].concat();
    door.run(&place, &again).expect(0);
    assert_eq!(orders(&place, &server), 1);
    let chosen = [&create[..], &["--idempotency-key", "mine"]].concat();
    let first = door.run(&place, &chosen).expect(0);
    assert_eq!(door.run(&place, &chosen).expect(0), first);
    let other = [&chosen[..], &["--priority", "1"]].concat();
    let other = door.run(&place, &other);
    assert_eq!(other.code, Some(1));
    assert!(
        other.err.contains("take another --idempotency-key"),
        "{}",
        other.err
    );
}

/// What asks for nothing to change may be asked again, and nothing may have happened.
#[test]
fn a_lost_page_is_no_lost_change() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            let _ = client.unwrap().read(&mut [0; 4_096]);
        }
    });
    let lost = Place::new().run(&["orders", "list", "--url", &url]);
    assert_eq!(lost.code, Some(4));
    assert!(lost.err.contains("nothing was changed"), "{}", lost.err);
}
