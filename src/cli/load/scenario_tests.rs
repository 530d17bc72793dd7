//! Whole scenarios against a server that can be told to misbehave, hurried where their own pace
//! would take its time. Bodies and answers of real servers are tested elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use super::fake::{Fault, Server};
use super::tests::perform;
use super::*;
use crate::cli::api::{self, Api};
use crate::cli::{exit, scenario};

#[derive(Parser)]
struct Whole {
    #[command(flatten)]
    arguments: Arguments,
}

fn settings(url: &str, arguments: &str) -> Settings {
    let words = format!("load --json --no-tui --url {url} --native-url {url} {arguments}");
    let whole = Whole::parse_from(words.split_whitespace());
    Settings::check(&whole.arguments).unwrap()
}

/// The same with so many orders in each stage, a thousand a second where there is a rate, and
/// hardly a pause.
fn hurried(url: &str, arguments: &str, orders: u32) -> Settings {
    let mut settings = settings(url, arguments);
    let scenario = settings.scenario.as_mut().unwrap();
    let hurry = |stage: &scenario::Stage| scenario::Stage {
        orders,
        rate: stage.rate.map(|_| 1_000),
        connections: stage.connections.min(20),
        ..*stage
    };
    scenario.stages = Cow::Owned(scenario.stages.iter().map(hurry).collect());
    scenario.pause = Duration::from_millis(10);
    settings
}

async fn run(fault: Fault, arguments: &str, orders: u32) -> Report {
    let url = Server::start(fault).await;
    let settings = hurried(&url, arguments, orders);
    perform(settings, &watch::channel(0).0).await.unwrap()
}

#[tokio::test]
async fn every_scenario_is_sent_whole_and_proved() {
    for scenario in scenario::all() {
        let name = format!("--scenario {}", scenario.name);
        let report = run(Fault::None, &name, 100).await;
        let orders = 100 * scenario.stages.len() as u64;
        let proof = report.verification.as_ref().unwrap();
        assert_eq!(report.totals.accepted, orders, "{name}");
        assert_eq!((proof.final_once, proof.histories), (orders, orders));
        assert_eq!(
            (report.exit_code, &report.problems),
            (exit::OK, &Vec::new()),
            "{name}"
        );
        assert_eq!(report.thresholds[0].threshold, "accepted==100%");
    }
}

#[tokio::test]
async fn a_scenario_can_be_repeated_unless_it_sends_the_tools_own_ids() {
    let url = Server::start(Fault::None).await;
    let exact = "--scenario api_v1_1000 --exact-ids";
    for (label, arguments, accepted) in [
        ("one", "--scenario api_v1_1000", 50),
        ("two", "--scenario api_v1_1000", 50),
        ("three", exact, 50),
        ("four", exact, 0),
    ] {
        let (settings, interrupts) = (hurried(&url, arguments, 50), watch::channel(0).0);
        let report = LocalSet::new()
            .run_until(load(settings, label, &interrupts))
            .await
            .unwrap();
        assert_eq!(report.totals.accepted, accepted, "{label}");
        let code = match accepted {
            0 => exit::THRESHOLD,
            _ => exit::OK,
        };
        assert_eq!(report.exit_code, code, "{label}: {:?}", report.problems);
        let told = format!("Success: {accepted}, Failures: {}", 50 - accepted);
        assert_eq!(report.told[1], told);
    }
}

#[tokio::test]
async fn what_the_load_tool_prints_is_told() {
    let report = run(Fault::None, "--scenario realtime", 30).await;
    assert_eq!(
        report.told,
        [
            "Sent 30 orders in normal scenario",
            "Sent 30 orders in high scenario",
            "Sent 30 orders in burst scenario",
        ]
    );
    let report = run(Fault::None, "--scenario api_v1_1000", 30).await;
    let told = &report.told[0];
    assert!(told.starts_with("Completed 30 requests in "), "{told}");
    assert!(told.ends_with(" seconds."), "{told}");
    let report = run(Fault::None, "--scenario order_service_1000", 30).await;
    assert!(report.told.is_empty());
}

#[tokio::test]
async fn a_run_of_apache_bench_stands_beside_the_published_one() {
    let report = run(Fault::None, "--scenario two_queue_ab", 40).await;
    let json: Value = serde_json::to_value(&report).unwrap();
    let table = &json["comparison"];
    assert_eq!(
        (&table["requests"], &table["failed"]),
        (&40.into(), &0.into())
    );
    assert_eq!(table["document_bytes"], "Received order server-10\n".len());
    assert_eq!(table["rate"]["published"], 881.28);
    assert!(table["rate"]["measured"].as_f64().unwrap() > 0.0);
    assert_eq!(table["percentiles"][8]["ms"]["published"], 2_887.0);
    let text = report.told.join("\n");
    for part in [
        "Failed requests:        0",
        "published",
        " 100% (longest request)",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[tokio::test]
async fn orders_that_are_refused_lost_or_cut_off_fail_a_scenario() {
    let name = "--scenario orders_api_1000";
    let report = run(Fault::Overloaded, name, 40).await;
    let refusal = &report.totals.refusals[0];
    assert_eq!((refusal.status, &*refusal.code), (503, "overloaded"));
    assert_eq!(report.exit_code, exit::THRESHOLD);
    let report = run(Fault::Forgets, name, 40).await;
    assert_eq!(report.verification.unwrap().missing, 4);
    assert_eq!(report.exit_code, exit::FAILURE);
    for name in [name, "--scenario api_v1_1000"] {
        let report = run(Fault::HangsUp, name, 40).await;
        assert_eq!((report.totals.accepted, report.totals.unanswered), (36, 4));
        assert_eq!(report.exit_code, exit::THRESHOLD);
    }
}

#[tokio::test]
async fn a_request_of_a_single_connection_is_given_up_in_its_time() {
    let url = Server::start(Fault::Silent).await;
    let mut settings = hurried(&url, "--scenario api_v1_1000", 40);
    let stages = settings.scenario.as_mut().unwrap().stages.to_mut();
    stages[0].timeout = Some(Duration::from_millis(200));
    let report = perform(settings, &watch::channel(0).0).await.unwrap();
    assert_eq!((report.totals.accepted, report.totals.unanswered), (36, 4));
    assert_eq!(report.totals.errors[0].code, "timed out");
    assert_eq!(report.told[1], "Success: 36, Failures: 4");
}

#[tokio::test]
async fn an_interrupt_leaves_the_later_stages_out_and_still_proves_what_was_sent() {
    let url = Server::start(Fault::None).await;
    let mut settings = hurried(&url, "--scenario realtime", 50);
    let scenario = settings.scenario.as_mut().unwrap();
    scenario.pause = Duration::from_secs(3_600);
    let interrupts = watch::channel(0).0;
    let stop = async {
        let mut api = Api::new(&api::Server {
            url: url.clone(),
            idempotency_key: None,
        })
        .unwrap();
        let last = "/v1/orders/normal_49-test";
        while api.get(last).await.unwrap().status != 200 {}
        interrupts.send_modify(|count| *count += 1);
    };
    let (report, ()) = tokio::join!(perform(settings, &interrupts), stop);
    let report = report.unwrap();
    assert!(report.run.interrupted);
    assert_eq!((report.told.len(), report.totals.accepted), (1, 50));
    assert_eq!(report.exit_code, exit::OK, "{:?}", report.problems);
}

#[tokio::test]
async fn nobody_at_the_door_or_at_the_native_api_is_said_before_anything_is_sent() {
    let url = Server::start(Fault::None).await;
    let nobody = "http://127.0.0.1:9";
    for (door, native, way_out) in [
        (nobody, &*url, "orderd serve --compat"),
        (&*url, nobody, "--native-url"),
    ] {
        let mut settings = hurried(&url, "--scenario api_v1_1000", 5);
        settings.target = Target::parse(door).unwrap();
        settings.native = Target::parse(native).unwrap();
        let error = perform(settings, &watch::channel(0).0).await.unwrap_err();
        assert_eq!(exit::code_of(&error), exit::UNREACHABLE);
        assert!(error.to_string().contains(way_out), "{error}");
    }
    let mut settings = hurried(&url, "--scenario api_v1_1000 --no-verify", 5);
    settings.native = Target::parse(nobody).unwrap();
    let report = perform(settings, &watch::channel(0).0).await.unwrap();
    assert_eq!((report.totals.accepted, report.exit_code), (5, exit::OK));
}
