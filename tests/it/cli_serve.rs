//! How a server starts, what it says, and how it ends: drained, at once, killed.
//! After every end what was acknowledged is there again.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::cli_support::{Outcome, Place, Server};

fn create(place: &Place, server: &Server, id: &str) -> Outcome {
    let arguments = [
        "orders",
        "create",
        "--id",
        id,
        "--customer",
        "ada",
        "--item",
        "tea:1",
        "--total",
        "9 EUR",
    ];
    place.run_with(&arguments, &[("ORDERD_URL", &server.url)])
}

fn status(place: &Place, server: &Server, id: &str) -> String {
    let arguments = ["orders", "get", id, "--json", "--url", &server.url];
    let order: Value = serde_json::from_str(&place.run(&arguments).expect(0)).unwrap();
    order["status"].as_str().unwrap().into()
}

#[test]
fn it_says_where_the_data_is_and_that_work_is_simulated() {
    let place = Place::new();
    let mut server = place.serve(&[]);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    assert!(place.path().join("orderd-data/orders.db").exists());

    let mut server = place.serve(&["--json", "--data", "elsewhere"]);
    server.signal("INT");
    let words = server.last_words();
    let events = words
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let messages: Vec<String> = events
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        messages
            .iter()
            .any(|message| message.starts_with("draining")),
        "{messages:?}"
    );
    assert!(place.path().join("elsewhere/orders.db").exists());
}

#[test]
fn a_signal_drains_and_nothing_is_missing_afterwards() {
    let place = Place::new();
    let mut server = place.serve(&[]);
    create(&place, &server, "A-1").expect(0);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let words = server.last_words().join("\n");
    assert!(
        words.contains("draining: ") && words.contains("drained: "),
        "{words}"
    );
    let server = place.serve(&[]);
    assert!(["pending", "processing"].contains(&&*status(&place, &server, "A-1")));
}

#[test]
fn killed_at_any_moment_it_comes_back_with_every_acknowledged_order() {
    let place = Place::new();
    for round in 0..3 {
        let mut server = place.serve(&[]);
        for earlier in 0..round {
            status(&place, &server, &format!("A-{earlier}"));
        }
        create(&place, &server, &format!("A-{round}")).expect(0);
        server.signal("KILL");
        assert_eq!(server.exit_code(), None);
    }
}

#[test]
fn a_second_signal_leaves_at_once() {
    let place = Place::new();
    let mut server = place.serve(&[]);
    // A request whose body never comes holds up the drain. The interim answer tells that it is in
    // flight.
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let head = "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 12];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    server.signal("TERM");
    server.hears("draining: ");
    assert!(server.has_ended().is_none());
    // Signals right after the first count as the same one, so it takes some.
    let ended = loop {
        match server.has_ended() {
            Some(status) => break status,
            None => server.signal("TERM"),
        }
    };
    assert_eq!(ended.code(), Some(1));
    assert!(server.last_words().join("\n").contains("leaving at once"));
}

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new();
    let server = place.serve(&[]);
    let address = server.url.trim_start_matches("http://");
    place
        .run(&["serve", "--listen", address, "--data", "other"])
        .expect_error(
            6,
            &format!(
                "cannot listen on {address}: the port is in use; stop the other server, or choose \
             another \
             address with --listen"
            ),
        );
}

#[test]
fn a_folder_in_use_is_named() {
    let place = Place::new();
    let _server = place.serve(&[]);
    place
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .expect_error(
            6,
            "the data folder ./orderd-data is in use by another orderd; stop it, or choose another \
         with \
         --data",
        );
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let outcome = Place::new().run(&["serve", "--listen", "127.0.0.1:0", "--data", "/dev/null/x"]);
    assert_eq!(outcome.code, Some(6));
    assert!(outcome.err.contains("/dev/null/x"), "{}", outcome.err);
    assert!(outcome.err.contains("--data"), "{}", outcome.err);
}

#[test]
fn a_store_of_a_newer_orderd_is_left_alone() {
    let place = Place::new();
    let mut server = place.serve(&[]);
    server.signal("TERM");
    server.exit_code();
    let path = place.path().join("orderd-data/orders.db");
    let database = rusqlite::Connection::open(path).unwrap();
    let newer = "INSERT INTO refinery_schema_history (version, name) VALUES (999, 'future')";
    database.execute(newer, []).unwrap();
    drop(database);
    let outcome = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(outcome.code, Some(7), "{outcome:?}");
    assert!(outcome.err.contains("version 999"), "{}", outcome.err);
}

#[test]
fn steps_changed_under_an_old_version_are_refused() {
    let settings = |name: &str| {
        format!(
            "[process.default]\nversion = 1\n[[process.default.step]]\nname = \"{name}\"\n\
             kind = \"simulate\"\nduration = \"1h\"\n"
        )
    };
    let place = Place::new().with("orderd.toml", &settings("pack"));
    let mut server = place.serve(&[]);
    create(&place, &server, "A-1").expect(0);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    place.write("orderd.toml", &settings("ship"));
    place
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .expect_error(
            8,
            "orderd.toml: process default changed but is still version 1; orders pin it: raise its \
         version",
        );
}
