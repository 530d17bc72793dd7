//! `orderd load --scenario`: what the load tools of older services send, sent to a real server that
//! speaks their dialects. Counts are theirs; the work takes no time, and rates are hurried.

use std::borrow::Cow;
use std::time::Duration;

use clap::Parser;
use orderd::cli::load::{self, Arguments, Report, Settings};
use orderd::cli::scenario::{self, Stage};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::cli_support::{Outcome, Place, Server, signal};
use crate::compat_doors::{doors, free_ports};
use crate::support::within;

/// A server that speaks these dialects on free ports and is done with their orders at once.
fn speaking(place: &Place, dialects: &[&str]) -> Server {
    let idle = |name: &&str| {
        format!(
            "[process.{name}]\nversion = 1\n[[process.{name}.step]]\n\
             name = \"work\"\nkind = \"simulate\"\nduration = \"0s\"\n"
        )
    };
    let work: String = dialects.iter().map(idle).collect();
    place.write("orderd.toml", &(free_ports() + &work));
    place.serve(&[&format!("--compat={}", dialects.join(","))])
}

/// The address of the door that speaks a dialect.
fn door(server: &Server, dialect: &str) -> String {
    let doors = doors(server);
    let door = doors
        .iter()
        .find(|(_, contents)| contents.contains(dialect));
    format!("http://{}", door.unwrap().0)
}

/// Runs a scenario at its own pace with the real program, and gives its report.
fn run(place: &Place, server: &Server, name: &str, more: &[&str]) -> (Option<i32>, Value) {
    let scenario = scenario::named(name).unwrap();
    let url = door(server, scenario.door.dialect.name());
    let words = [
        "load",
        "--scenario",
        name,
        "--url",
        &url,
        "--json",
        "--no-tui",
    ];
    let words = [&words, &["--native-url", &*server.url][..], more].concat();
    let outcome = place.run(&words);
    let report = serde_json::from_str(&outcome.out);
    (
        outcome.code,
        report.unwrap_or_else(|_| panic!("{outcome:#?}")),
    )
}

/// All orders of a report were accepted, found, and ended once.
#[track_caller]
fn assert_whole(report: &Value, orders: u64) {
    for (part, figure) in [
        ("totals", "accepted"),
        ("verification", "found"),
        ("verification", "final_once"),
        ("verification", "histories"),
    ] {
        assert_eq!(
            report[part][figure], orders,
            "{part}.{figure} of {report:#}"
        );
    }
    assert_eq!(report["totals"]["failed"], 0, "{report:#}");
    assert_eq!(report["problems"], serde_json::json!([]));
}

#[test]
fn the_published_run_of_apache_bench_loses_nothing() {
    let place = Place::new();
    let server = speaking(&place, &["two_queue"]);
    let (code, report) = run(&place, &server, "two_queue_ab", &[]);
    assert_whole(&report, 8_000);
    assert_eq!(code, Some(0));
    let table = &report["comparison"];
    // Of the 216 bytes of a request 14 are `localhost:8080`.
    let host = doors(&server)[0].0.to_string();
    let bytes = 8_000 * (216 - "localhost:8080".len() + host.len());
    assert_eq!(table["sent_bytes"], bytes);
    assert_eq!(table["document_bytes_total"], 8_000 * 52);
    assert_eq!(
        (&table["failed"], &table["non_2xx"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn a_thousand_orders_at_once_are_all_taken_and_done() {
    let place = Place::new();
    let dialects = ["order_service", "api_v1", "orders_api"];
    let server = speaking(&place, &dialects);
    for name in dialects.map(|dialect| format!("{dialect}_1000")) {
        let (code, report) = run(&place, &server, &name, &[]);
        assert_whole(&report, 1_000);
        assert_eq!(code, Some(0), "{name}");
    }
    let (_, report) = run(&place, &server, "api_v1_1000", &[]);
    assert_whole(&report, 1_000);
    assert_eq!(report["told"][1], "Success: 1000, Failures: 0");
}

#[test]
fn ids_of_the_tool_itself_are_taken_once() {
    let place = Place::new();
    let server = speaking(&place, &["api_v1"]);
    let (code, report) = run(&place, &server, "api_v1_1000", &["--exact-ids"]);
    assert_whole(&report, 1_000);
    assert_eq!(code, Some(0));
    let id = place.run(&["orders", "get", "ORD999", "--url", &server.url]);
    assert!(id.expect(0).contains("completed"));
    let (code, report) = run(&place, &server, "api_v1_1000", &["--exact-ids"]);
    assert_eq!(code, Some(99));
    assert_eq!(report["totals"]["existing"], 1_000);
    assert_eq!(report["told"][1], "Success: 0, Failures: 1000");
}

/// Runs a scenario ten to a hundred times as fast as it is, with a tenth of its orders.
async fn hurried(server: &Server, name: &str) -> Report {
    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        arguments: Arguments,
    }
    let url = door(server, "realtime");
    let words = [
        "load",
        "--scenario",
        name,
        "--url",
        &url,
        "--json",
        "--no-tui",
    ];
    let mut settings = Settings::check(&Whole::parse_from(words).arguments).unwrap();
    let scenario = settings.scenario.as_mut().unwrap();
    let hurry = |stage: &Stage| Stage {
        orders: stage.orders / 10,
        rate: stage.rate.map(|rate| rate * 10),
        ..*stage
    };
    scenario.stages = Cow::Owned(scenario.stages.iter().map(hurry).collect());
    scenario.pause = Duration::ZERO;
    let interrupts = watch::channel(0).0;
    let tasks = LocalSet::new();
    let report = tasks.run_until(load::load(settings, name, &interrupts));
    within(report).await.unwrap()
}

#[tokio::test]
async fn the_loads_of_realtime_are_all_taken_and_done() {
    let place = Place::new();
    let server = speaking(&place, &["realtime"]);
    for (name, orders) in [("realtime", 230), ("realtime_mix", 100)] {
        let report = hurried(&server, name).await;
        assert_whole(&serde_json::to_value(&report).unwrap(), orders);
        assert_eq!(report.exit_code, 0, "{name}");
    }
}

#[test]
fn an_interrupt_ends_the_sending_and_reports_what_was_sent() {
    let place = Place::new();
    let server = speaking(&place, &["realtime"]);
    let url = door(&server, "realtime");
    let words = "load --scenario realtime --json --no-tui --url";
    let words: Vec<&str> = words.split(' ').chain([&*url]).collect();
    let load = place.start(&words);
    let has_order = |id: &str| {
        let order = place.run(&["orders", "list", "--json", "--url", &server.url]);
        order.expect(0).contains(id)
    };
    while !has_order("normal_2-") {}
    signal(&load, "INT");
    let outcome = Outcome::of(load);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    let orders = report["totals"]["orders"].as_u64().unwrap();
    assert!((3..300).contains(&orders), "{report:#}");
    assert_eq!(report["run"]["interrupted"], true);
    assert_whole(&report, orders);
    assert_eq!(
        report["told"],
        serde_json::json!([format!("Sent {orders} orders in normal scenario")])
    );
}

#[test]
fn connections_beyond_the_soft_limit_of_open_files_are_asked_for() {
    let place = Place::new();
    let server = place.serve(&[]);
    let words = "load --json --no-tui --connections 200 --orders 1000 --allow-open";
    let words: Vec<&str> = words.split(' ').collect();
    let quick = ["--url", &*server.url, "--verify-timeout", "1ms"];
    let outcome = place.run_with_files(64, &[&words, &quick[..]].concat());
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["totals"]["accepted"], 1_000, "{report:#}");
    assert_eq!(report["totals"]["failed"], 0, "{report:#}");
}

#[test]
fn help_names_every_scenario_and_what_it_sends() {
    let help = Place::new().run(&["load", "--help"]).expect(0);
    for scenario in scenario::all() {
        assert!(help.contains(scenario.name) && help.contains(scenario.about));
    }
}
