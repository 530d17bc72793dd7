//! Whole runs against a server that can be told to misbehave: each kind of lie that the
//! verification is there for must be found. Nothing here looks inside the parts.

use std::io::Write;

use clap::Parser;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fake::{Fault, Server};
use super::*;
use crate::cli::exit;

#[derive(Parser)]
struct Whole {
    #[command(flatten)]
    arguments: Arguments,
}

async fn run_at(url: &str, arguments: &str) -> anyhow::Result<Report> {
    let connections = if arguments.contains("--connections") {
        ""
    } else {
        "--connections 4"
    };
    let words = format!("load --no-tui --url {url} {connections} {arguments}");
    let words = words.split_whitespace();
    let whole = Whole::try_parse_from(words)?;
    let settings = Settings::check(&whole.arguments)?;
    perform(settings, &watch::channel(0).0).await
}

pub async fn perform(
    settings: Settings,
    interrupts: &watch::Sender<u32>,
) -> anyhow::Result<Report> {
    LocalSet::new()
        .run_until(load(settings, "test", interrupts))
        .await
}

async fn run(fault: Fault, arguments: &str) -> Report {
    run_at(&Server::start(fault).await, arguments)
        .await
        .unwrap()
}

fn proof(report: &Report) -> &Verification {
    report.verification.as_ref().unwrap()
}

#[tokio::test]
async fn every_order_is_sent_once_and_proved() {
    for arguments in [
        "--orders 500",
        "--orders 500 --batch 7",
        "--orders 500 --rate 20k",
        "--orders 500 --rate 20k --batch 7",
        "--orders 500 --no-client-ids",
        "--orders 500 --threads 3",
    ] {
        let report = run(Fault::None, arguments).await;
        assert_eq!(report.totals.accepted, 500, "{arguments}");
        let proof = proof(&report);
        assert_eq!(
            (proof.found, proof.final_once, proof.histories),
            (500, 500, 500)
        );
        assert_eq!(
            (report.exit_code, &report.problems),
            (exit::OK, &Vec::new()),
            "{arguments}"
        );
        assert!(report.totals.final_rate.is_some());
    }
}

#[tokio::test]
async fn orders_that_were_forgotten_are_missed() {
    let report = run(Fault::Forgets, "--orders 100").await;
    assert_eq!((proof(&report).missing, proof(&report).found), (10, 90));
    assert_eq!(report.exit_code, exit::FAILURE);
}

#[tokio::test]
async fn orders_that_end_or_begin_twice_are_found() {
    let report = run(Fault::EndsTwice, "--orders 100").await;
    assert_eq!(
        (proof(&report).ended_twice, proof(&report).final_once),
        (10, 90)
    );
    assert_eq!(report.exit_code, exit::FAILURE);
    let report = run(Fault::AcceptsTwice, "--orders 100").await;
    assert_eq!(
        (proof(&report).doubled, proof(&report).ended_twice),
        (10, 10)
    );
}

#[tokio::test]
async fn an_id_that_is_acknowledged_twice_is_doubled() {
    let report = run(Fault::AnswersTwice, "--orders 100 --connections 1").await;
    assert_eq!(proof(&report).doubled, 10);
    assert_eq!(report.totals.errors[0].code, "answer names another order");
    assert_eq!(report.exit_code, exit::FAILURE);
}

#[tokio::test]
async fn open_orders_fail_the_run_unless_they_may_be_open() {
    let waits = "--orders 100 --verify-timeout 100ms";
    let report = run(Fault::NeverEnds, waits).await;
    assert_eq!((proof(&report).open, report.exit_code), (10, exit::FAILURE));
    let report = run(Fault::NeverEnds, &format!("{waits} --allow-open")).await;
    assert_eq!((proof(&report).open, report.exit_code), (10, exit::OK));
}

#[tokio::test]
async fn a_request_without_an_answer_is_an_error_and_no_acknowledgement() {
    let report = run(Fault::HangsUp, "--orders 100").await;
    assert_eq!((report.totals.accepted, report.totals.unanswered), (90, 10));
    assert_eq!(report.totals.errors[0].code, "connection closed");
    assert_eq!(
        (proof(&report).acknowledged, report.exit_code),
        (90, exit::OK)
    );
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up_at_the_deadline_or_after_its_time() {
    let few = "--orders 100 --connections 20";
    let report = run(
        Fault::Silent,
        &format!("{few} --duration 300ms --grace 20ms"),
    )
    .await;
    assert_eq!((report.totals.accepted, report.totals.aborted), (90, 10));
    assert_eq!((report.totals.failed, report.totals.unanswered), (0, 0));
    let report = run(Fault::Silent, &format!("{few} --timeout 100ms")).await;
    assert_eq!((report.totals.accepted, report.totals.unanswered), (90, 10));
    assert_eq!(report.totals.errors[0].code, "timed out");
}

#[tokio::test]
async fn a_server_that_is_gone_at_the_end_proves_nothing() {
    let report = run(Fault::Leaves, "--orders 2000 --verify-timeout 50ms").await;
    let proof = proof(&report);
    assert_eq!((proof.found, proof.unreadable), (0, proof.acknowledged));
    assert!(proof.acknowledged > 0);
    assert_eq!(report.exit_code, exit::FAILURE);
}

#[tokio::test]
async fn a_missed_threshold_has_its_own_exit_code() {
    let arguments = "--orders 50 --threshold accepted==50 --threshold p99<0ms";
    let report = run(Fault::None, arguments).await;
    let met: Vec<_> = report
        .thresholds
        .iter()
        .map(|judgement| judgement.met)
        .collect();
    assert_eq!(
        (met, report.exit_code),
        (vec![true, false], exit::THRESHOLD)
    );
}

#[tokio::test]
async fn refusals_are_counted_by_reason_and_shown() {
    let report = run(Fault::Overloaded, "--orders 20 --threshold refused<1%").await;
    assert_eq!(
        (report.totals.refused, report.exit_code),
        (20, exit::THRESHOLD)
    );
    let text = text::render(&report, false);
    for part in [
        "✗ refused<1%",
        "100.00%",
        "503 overloaded",
        "latency of all other answers",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_run_ends_when_its_time_is_over() {
    let report = run(Fault::None, "--duration 200ms --rate 100").await;
    assert_eq!((report.totals.accepted, report.totals.never_sent), (20, 0));
    assert!(report.send_delay.is_some());
    assert_eq!(report.exit_code, exit::OK);
}

#[tokio::test]
async fn nobody_at_the_address_is_an_exit_code_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = run_at(&url, "").await.unwrap_err();
    assert_eq!(exit::code_of(&error), exit::UNREACHABLE);
    assert!(error.to_string().contains(&url), "{error}");
}

/// A file of `count` orders, of which every thirtieth has a quantity of 0; totals are 1, 2, 3 …
fn orders_file(count: u64) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for number in 1..=count {
        let quantity = u8::from(number % 30 != 0);
        let order = json!({
            "order_id": number.to_string(),
            "items": [{"sku": "a", "quantity": 1}, {"sku": "b", "quantity": quantity}],
            "total": {"amount": number, "currency": "USD"},
            "metadata": {"placed_at": format!("2017-01-01T00:00:{:02}Z", number * 50 / count)},
        });
        writeln!(file, "{order}").unwrap();
    }
    file
}

#[tokio::test]
async fn a_file_is_reconciled_and_sending_it_again_doubles_nothing() {
    let file = orders_file(300);
    for how in [
        "",
        "--batch 7",
        "--rate 20k",
        "--pace 500",
        "--pace 500 --batch 7",
    ] {
        let url = Server::start(Fault::None).await;
        let arguments = format!("--file {} {how}", file.path().display());
        let report = run_at(&url, &arguments).await.unwrap();
        let found = report.reconciliation.as_ref().unwrap();
        assert_eq!(
            (found.lines, found.accepted, found.refused),
            (300, 290, 10),
            "{how}"
        );
        assert_eq!(
            found.accepted_totals["USD"],
            (1..=300).sum::<i128>() - 30 * 55
        );
        let reason = &found.refusals[0];
        assert_eq!(reason.field.as_deref(), Some("/items/*/quantity"));
        let example = &reason.examples[0];
        let pointer = example.pointer.as_deref();
        assert_eq!((example.line, pointer), (30, Some("/items/1/quantity")));
        assert_eq!(
            (proof(&report).final_once, report.exit_code),
            (290, exit::OK)
        );

        let again = run_at(&url, &arguments).await.unwrap();
        let found = again.reconciliation.as_ref().unwrap();
        assert_eq!(
            (found.accepted, found.existing, found.refused),
            (0, 290, 10)
        );
        assert!(found.accepted_totals.is_empty());
        assert_eq!(
            (proof(&again).existing, proof(&again).final_once),
            (290, 290)
        );
        assert_eq!((again.totals.failed, again.exit_code), (0, exit::OK));
    }
}

#[tokio::test]
async fn lines_are_sent_as_they_stand_and_only_as_many_as_asked() {
    let mut file = orders_file(20);
    writeln!(file, "not json").unwrap();
    let path = file.path().display().to_string();
    let report = run(Fault::None, &format!("--file {path} --orders 15")).await;
    assert_eq!(report.totals.orders, 15);
    let report = run(Fault::None, &format!("--file {path}")).await;
    let found = report.reconciliation.unwrap();
    assert_eq!((found.accepted, found.refused), (20, 1));
    assert_eq!(
        (found.refusals[0].status, found.refusals[0].examples[0].line),
        (Some(400), 21)
    );
}

#[tokio::test]
async fn a_file_that_was_not_taken_whole_is_a_failure() {
    let file = orders_file(20);
    let arguments = format!("--file {}", file.path().display());
    for fault in [Fault::HangsUp, Fault::Overloaded] {
        let report = run(fault, &arguments).await;
        assert_eq!(report.exit_code, exit::FAILURE, "{fault:?}");
        assert!(
            report.problems[0].contains("send the file again"),
            "{:?}",
            report.problems
        );
    }
}

#[tokio::test]
async fn the_report_is_text_and_json() {
    let report = run(Fault::None, "--orders 100 --threshold errors==0").await;
    let text = text::render(&report, false);
    for part in [
        "✓ errors==0",
        "accepted",
        "p99.9",
        "█",
        "final once",
        "nothing open after",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["totals"]["accepted"], 100);
    assert_eq!(json["verification"]["final_once"], 100);
    assert!(json["latency"]["percentiles_us"]["p99"].is_u64(), "{json}");
}

#[test]
fn a_label_is_short_and_differs_from_time_to_time() {
    assert_eq!(base36(0), "0");
    assert_eq!(base36(36 * 36 + 35), "10z");
    assert!(base36(1_800_000_000_000_000).len() <= 11);
}
