//! Processes over HTTP and at the command line: what is listed and shown, in each version, and what
//! the check of a file finds.
//!
//! Over a real connection to a whole server.

use orderd::http::schema::{ProcessDetail, ProcessPage};
use serde_json::{Value, json};

use crate::cli_support::Place;
use crate::support::{Setup, TestServer, order_with, within};

async fn list(server: &TestServer) -> ProcessPage {
    let reply = server.get("/v1/processes").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

async fn show(server: &TestServer, query: &str) -> ProcessDetail {
    let reply = server.get(&format!("/v1/processes/{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test]
async fn each_version_is_shown_with_its_steps_and_open_orders() {
    let server = TestServer::start().await;
    for _ in 0..2 {
        server.create(&order_with(json!({"process": "slow"}))).await;
    }
    let place = Some(server.stop().await);
    let mut setup = Setup {
        place,
        ..Setup::default()
    };
    let slow = &mut setup.processes[1];
    (slow.version, slow.steps[0].name) = (2, "more-work".into());
    let server = TestServer::with(setup).await;
    server.create(&order_with(json!({"process": "slow"}))).await;
    within(async { while server.get("/v1/stats").await.json()["shard"]["recovering"] == true {} })
        .await;
    let page = list(&server).await;
    let names: Vec<&str> = page.data.iter().map(|process| &*process.name).collect();
    assert_eq!(names, ["default", "slow", "failing"]);
    let slow = &page.data[1];
    assert_eq!((slow.version, slow.open), (Some(2), 3));
    assert_eq!(slow.steps, ["more-work"]);
    let versions = slow.versions.iter();
    let versions: Vec<_> = versions
        .map(|it| (it.version, it.takes_new_orders, it.open))
        .collect();
    assert_eq!(versions, [(2, true, 1), (1, false, 2)]);
    let new = show(&server, "slow").await;
    assert_eq!(
        (new.version, new.open, &*new.steps[0].name),
        (2, 1, "more-work")
    );
    let old = show(&server, "slow?version=1").await;
    assert_eq!((old.version, old.open, &*old.steps[0].name), (1, 2, "work"));
    assert_eq!(old.steps[0].kind, "simulate");
    assert_eq!(old.steps[0].settings["duration"], "1h");
    for (query, status, code) in [
        ("nobody", 404, "process-not-found"),
        ("slow?version=3", 404, "process-not-found"),
        ("%ff", 404, "process-not-found"),
        ("slow?version=x", 400, "bad-query"),
        ("slow?versions=1", 400, "bad-query"),
    ] {
        let reply = server.get(&format!("/v1/processes/{query}")).await;
        assert_eq!((reply.status, &*reply.code()), (status, code), "{query}");
    }
    server.stop().await;
}

const PROCESS: &str = "\
[process.default]
version = 1

[[process.default.step]]
name = \"pack\"
kind = \"pull\"
queue = \"warehouse\"
";

#[test]
fn the_command_shows_the_processes_of_a_server() {
    let place = Place::new().with("orderd.toml", PROCESS);
    let server = place.serve(&[]);
    let run = |arguments: &[&str]| {
        let arguments = [&["process"], arguments, &["--url", &server.url]].concat();
        place.run(&arguments)
    };
    let listed = run(&["list"]).expect(0);
    for part in ["default", "pack"] {
        assert!(listed.contains(part), "{part} is not in\n{listed}");
    }
    let shown = run(&["show", "default"]).expect(0);
    for part in ["pull", "queue = warehouse", "lease = 30s", "10 attempts"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let json: Value = serde_json::from_str(&run(&["show", "default", "--json"]).expect(0)).unwrap();
    assert_eq!(json["steps"][0]["queue"], "warehouse");
    assert_eq!(run(&["show", "default", "--version", "7"]).code, Some(3));
}

#[test]
fn a_check_names_every_mistake_of_a_file() {
    let place = Place::new().with("orderd.toml", PROCESS);
    let right = place.run(&["process", "check"]).expect(0);
    assert_eq!(
        right,
        "orderd.toml is right; processes: default (version 1: pack)\n"
    );
    let wrong = PROCESS.replace("\"pull\"", "\"pul\"") + "[queue]\nmax_open_orders = 0\n";
    place.write("wrong.toml", &wrong);
    let found = place.run(&["process", "check", "wrong.toml"]);
    assert_eq!(found.code, Some(8));
    let lines: Vec<&str> = found.out.lines().collect();
    assert!(lines[0].starts_with("wrong.toml:6: process.default, step 1: kind is \"pul\"; "));
    assert!(lines[1].starts_with("wrong.toml:9: queue.max_open_orders is 0; it must be "));
    assert_eq!(lines.len(), 2, "{}", found.out);
    let said = "orderd: wrong.toml has 2 mistakes; mend what is named and check it again";
    assert_eq!(found.err.trim_end(), said);
    let json = place.run(&["process", "check", "wrong.toml", "--json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&json["valid"], &json["errors"][0]["line"]),
        (&json!(false), &json!(6))
    );
    assert_eq!(place.run(&["process", "check", "gone.toml"]).code, Some(8));
}
