//! `orderd webhooks`, `listen` and `trigger`, and the real binary that is killed while it delivers.
//!
//! The receiver is in this process; servers and commands are the real ones.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::cli_support::{Outcome, Place, signal};
use crate::receiver::Receiver;

/// Settings under which the receiver may be called.
const LOCAL: &str = "[outbound]\nallow = \"127.0.0.1\"\n";

fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_delivers_everything_after_its_restart() {
    let place = Place::new().with("orderd.toml", LOCAL);
    let receiver = Receiver::answering(|_| Some(503)).await;
    let mut wanted = BTreeSet::new();
    for round in 0..3 {
        let mut server = blocking(|| place.serve(&[]));
        let url = server.url.clone();
        if round == 0 {
            let made = [
                "webhooks",
                "create",
                &receiver.url(),
                "--url",
                &url,
                "--json",
            ];
            let made = json(&blocking(|| place.run(&made)).expect(0));
            assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
        }
        for _ in 0..5 {
            let trigger = ["trigger", "order.cancelled", "--url", &url, "--json"];
            let order = json(&blocking(|| place.run(&trigger)).expect(0));
            wanted.insert(order["order_id"].as_str().unwrap().to_owned());
        }
        if round == 1 {
            receiver.answer(|_| Some(200));
            receiver.take(1).await;
        }
        blocking(|| {
            server.signal("KILL");
            server.exit_code()
        });
    }
    let server = blocking(|| place.serve(&[]));
    let all = super::support::within(async {
        loop {
            let taken = receiver.taken();
            let count = taken.len();
            let ended = taken.into_iter().map(|it| it.json());
            let ended = ended.filter(|it| it["type"] == "order.cancelled");
            let ended: BTreeSet<String> = ended
                .map(|it| it["data"]["order_id"].as_str().unwrap().to_owned())
                .collect();
            if ended.len() >= wanted.len() {
                return ended;
            }
            receiver.take(count + 1).await;
        }
    });
    assert_eq!(all.await, wanted);
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_looked_after_from_the_command_line() {
    let place = Place::new().with("orderd.toml", LOCAL);
    let receiver = Receiver::start().await;
    let server = blocking(|| place.serve(&[]));
    let run = |arguments: &[&str]| {
        let all = [&["webhooks"], arguments, &["--url", &server.url]].concat();
        blocking(|| place.run(&all))
    };
    run(&["list"]).expect(0);
    let hook = receiver.url();
    let made = run(&["create", &hook, "--events", "order.held,order.dead"]).expect(0);
    assert!(
        made.contains("whsec_") && made.contains("order.held, order.dead"),
        "{made}"
    );
    let id = made
        .split_whitespace()
        .find(|word| word.starts_with("wh_"))
        .unwrap();
    assert!(
        run(&["test", id])
            .expect(0)
            .starts_with("answered 200 after ")
    );
    let paused = run(&["pause", id, "--reason", "moving house"]).expect(0);
    assert!(
        paused.contains("paused") && paused.contains("moving house"),
        "{paused}"
    );
    assert!(run(&["list"]).expect(0).contains("moving house"));
    assert!(run(&["resume", id]).expect(0).contains("active"));
    assert!(run(&["rotate", id]).expect(0).contains("whsec_"));
    blocking(|| place.run(&["trigger", "order.held", "--url", &server.url])).expect(0);
    let taken = receiver.take(2).await;
    assert_eq!(taken[1].json()["type"], "order.held");
    assert!(
        run(&["replay", id, "--after", "0-0"])
            .expect(0)
            .contains(id)
    );
    receiver.take(3).await;
    receiver.answer(|_| Some(500));
    run(&["test", id]).expect_error(
        1,
        "answered 500; look after the receiver, then test it again",
    );
    let shown = json(&run(&["get", id, "--json"]).expect(0));
    assert_eq!(shown["types"], json!(["order.held", "order.dead"]));
    run(&["deliveries", id]).expect(0);
    run(&["delete", id]).expect(0);
    assert_eq!(run(&["get", id]).code, Some(3));
    let bad = run(&["create", "ftp://x/"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.err.contains("/url"), "{}", bad.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_are_not_called_unless_they_are_named() {
    let place = Place::new();
    let receiver = Receiver::start().await;
    let server = blocking(|| place.serve(&[]));
    let hook = receiver.url();
    let create = ["webhooks", "create", &hook, "--url", &server.url, "--json"];
    let made = json(&blocking(|| place.run(&create)).expect(0));
    let test = [
        "webhooks",
        "test",
        made["webhook_id"].as_str().unwrap(),
        "--url",
        &server.url,
    ];
    let told = blocking(|| place.run(&test));
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains("outbound.allow"), "{}", told.err);
    assert!(receiver.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listen_forwards_what_trigger_makes_happen() {
    let place = Place::new();
    let receiver = Receiver::start().await;
    let server = blocking(|| place.serve(&[]));
    let hook = receiver.url();
    let types = "order.accepted,order.held,order.cancelled";
    let listen = [
        "listen",
        "--url",
        &server.url,
        "--forward-to",
        &hook,
        "--events",
        types,
    ];
    let mut child = place.start(&[&listen[..], &["-n", "3"]].concat());
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let secret = blocking(|| {
        let line = told
            .by_ref()
            .find(|line| line.as_ref().unwrap().contains("whsec_"));
        line.unwrap().unwrap()
    });
    let secret = secret.split_whitespace().last().unwrap();
    let secret = orderd::outbound::Secret::parse(secret).unwrap();
    let trigger = ["trigger", "order.cancelled", "--url", &server.url];
    let ended = blocking(|| place.run(&trigger)).expect(0);
    assert!(ended.contains("is cancelled"), "{ended}");
    let taken = receiver.take(3).await;
    let found: Vec<Value> = taken.iter().map(|it| it.json()["type"].clone()).collect();
    assert_eq!(found, ["order.accepted", "order.held", "order.cancelled"]);
    let last = &taken[2];
    let seconds = last.header("webhook-timestamp").parse().unwrap();
    let signed = secret.sign(last.header("webhook-id"), seconds, last.body.as_bytes());
    assert_eq!(last.header("webhook-signature"), signed);
    let outcome = blocking(|| Outcome::of(child));
    let lines: Vec<String> = outcome.expect(0).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines.iter().all(|line| line.ends_with("-> 200")),
        "{lines:?}"
    );
    let again = [
        "listen",
        "--url",
        &server.url,
        "--after",
        "0-0",
        "-n",
        "3",
        "--json",
    ];
    let again = blocking(|| place.run(&again)).expect(0);
    assert_eq!(
        json(again.lines().next().unwrap())["type"],
        "order.accepted"
    );
    let mut endless = place.start(&["listen", "--url", &server.url]);
    let mut told = BufReader::new(endless.stderr.take().unwrap()).lines();
    blocking(|| told.next().unwrap().unwrap());
    let all = blocking(|| place.run(&["trigger", "all", "--url", &server.url])).expect(0);
    assert_eq!(all.lines().count(), 7, "{all}");
    signal(&endless, "INT");
    assert_eq!(blocking(|| Outcome::of(endless)).code, Some(0));
}
