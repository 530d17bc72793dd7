//! `orderd seed --dialect`: the sample data of two older services in a real server that speaks
//! their dialects, seen through their own metrics and statuses.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::cli_support::{Outcome, Place, Server};
use crate::compat_doors::{doors, free_ports, get};

/// A server that speaks these dialects on free ports, and is done with their orders at once.
fn speaking(place: &Place, dialect: &str) -> (Server, SocketAddr) {
    let work = format!(
        "[process.{dialect}]\nversion = 1\n[[process.{dialect}.step]]\n\
         name = \"work\"\nkind = \"simulate\"\nduration = \"0s\"\n"
    );
    place.write("orderd.toml", &(free_ports() + &work));
    let server = place.serve(&[&format!("--compat={dialect}")]);
    let door = doors(&server)[0].0;
    (server, door)
}

fn seed(place: &Place, server: &Server, words: &[&str]) -> Outcome {
    let words = [&["seed", "--url", &*server.url, "--dialect"], words].concat();
    place.run(&words)
}

fn json_at(door: SocketAddr, path: &str) -> Value {
    let answer = get(door, path);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn held_sample_data_of_api_v1_has_the_counts_of_its_service() {
    let place = Place::new();
    let (server, door) = speaking(&place, "api_v1");
    let expected = json!({"total_orders_processed": 5, "total_processing_time": 2.8,
        "status_counts": {"Pending": 3, "Processing": 0, "Completed": 2}});
    let inserted = "Order ORD111 inserted.\nOrder ORD112 inserted.\nOrder ORD113 inserted.\n\
                    Order ORD114 inserted.\nOrder ORD115 inserted.\n";
    let there = inserted.replace("inserted", "is there already");
    for told in [inserted, &there] {
        let outcome = seed(&place, &server, &["api_v1", "--hold"]);
        assert_eq!(outcome.expect(0), told);
        assert_eq!(json_at(door, "/api/v1/metrics")["data"], expected);
    }
    let status = |id: &str| json_at(door, &format!("/api/v1/orders/{id}"))["status"].take();
    assert_eq!(
        [status("ORD112"), status("ORD113")],
        ["Pending", "Completed"]
    );
    let stored = place.run(&["orders", "get", "ORD115", "--json", "--url", &server.url]);
    let stored: Value = serde_json::from_str(&stored.expect(0)).unwrap();
    assert_eq!(stored["customer_id"], "105");
    assert_eq!(stored["items"], json!(["11", "12", "13"]));
    assert_eq!(stored["total"], json!({"amount": 7_999, "currency": "USD"}));
}

#[test]
fn held_sample_data_of_orders_api_has_the_counts_of_its_service() {
    let place = Place::new();
    let (server, door) = speaking(&place, "orders_api");
    let told = seed(&place, &server, &["orders_api", "--hold"]).expect(0);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines.len(), lines[9]), (10, "Order order010 inserted."));
    let expected = json!({"total_orders": 10, "average_processing_time": 1,
        "order_counts": {"Pending": 6, "Processing": 0, "Completed": 4}});
    assert_eq!(json_at(door, "/metrics"), expected);
    for number in 1..=10 {
        let path = format!("/orders/order{number:03}/status");
        let word = match number {
            2 | 4 | 6 | 9 => "Completed",
            _ => "Pending",
        };
        assert_eq!(json_at(door, &path), json!({ "status": word }), "{path}");
    }
    let stored = json_at(door_of_native(&server), "/v1/orders/order004");
    let times = [&stored["created_at"], &stored["ended_at"]];
    let expected = ["2025-02-28T14:44:59.000000Z", "2025-02-28T14:45:00.000000Z"];
    assert_eq!(times, expected, "{stored:#}");
}

fn door_of_native(server: &Server) -> SocketAddr {
    server.url.trim_start_matches("http://").parse().unwrap()
}

#[test]
fn sample_data_without_a_hold_is_worked_off() {
    let place = Place::new();
    let (server, door) = speaking(&place, "orders_api");
    let told = seed(&place, &server, &["orders_api", "--json"]).expect(0);
    let rows: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows[0], json!({"order_id": "order001", "is_new": true}));
    for id in ["001", "003", "005", "007", "008", "010"] {
        let id = format!("order{id}");
        let words = ["orders", "watch", &id, "--url", &server.url];
        place.run(&words).expect(0);
    }
    let counts = json!({"Pending": 0, "Processing": 0, "Completed": 10});
    assert_eq!(json_at(door, "/metrics")["order_counts"], counts);
    let told = seed(&place, &server, &["orders_api"]).expect(0);
    assert_eq!(told.matches(" is there already.\n").count(), 10, "{told}");
}

#[test]
fn services_that_came_without_sample_data_have_none() {
    let place = Place::new();
    for dialect in ["two_queue", "realtime", "order_service"] {
        place.run(&["seed", "--dialect", dialect]).expect_error(
            2,
            &format!(
                "the service that {dialect} stands for came without sample data; there is \
                     some for api_v1 and orders_api"
            ),
        );
    }
    for words in [
        &["seed", "--dialect", "nobody"][..],
        &["seed", "--hold"],
        &["seed", "--dialect", "api_v1", "--orders", "5"],
    ] {
        assert_eq!(place.run(words).code, Some(2), "{words:?}");
    }
}

#[test]
fn a_server_that_does_not_speak_the_dialect_is_told_from_one_that_does() {
    let place = Place::new();
    let server = place.serve(&[]);
    seed(&place, &server, &["api_v1"]).expect_error(
        1,
        "cannot insert ORD111: /process: no such process; there are: default (422 invalid-order); \
         start the server with `orderd serve --compat=api_v1`",
    );
}
