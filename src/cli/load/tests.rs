//! Whole runs against a small server that keeps orders in memory and can be told to misbehave.
//! Each kind of lie that the verification is there for must be found.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::cli::exit;

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// Every tenth order is acknowledged and forgotten.
    Forgets,
    /// Every tenth order ends twice in its history.
    EndsTwice,
    /// Every tenth order is accepted twice in its history.
    AcceptsTwice,
    /// Every tenth order never ends.
    NeverEnds,
    /// Every tenth order is answered with the id of the one before.
    AnswersTwice,
    /// Every tenth request is cut off without an answer.
    HangsUp,
    /// Every order is refused for lack of room.
    Overloaded,
}

#[derive(Default)]
struct Orders {
    statuses: HashMap<String, (&'static str, usize)>,
    last: String,
    count: usize,
}

struct Server {
    fault: Fault,
    orders: Mutex<Orders>,
}

impl Server {
    async fn start(fault: Fault) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::new(Self {
            fault,
            orders: Mutex::default(),
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let answer = service_fn(move |request| {
                    let server = server.clone();
                    async move { server.answer(request).await }
                });
                let io = TokioIo::new(stream);
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { http.serve_connection(io, answer).await });
            }
        });
        url
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let path = request.uri().path().to_owned();
        let Ok(collected) = request.into_body().collect().await else {
            return Err("cut off");
        };
        let body = collected.to_bytes();
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, answer) = match path.as_str() {
            "/v1/stats" => (200, stats(&orders)),
            "/v1/orders" => {
                let created = self.create(&mut orders, &body);
                if self.fault == Fault::HangsUp && orders.count % 10 == 0 {
                    return Err("hangs up");
                }
                created
            }
            "/v1/orders/batch" => {
                let lines = body
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty());
                let results: Vec<_> = lines
                    .map(|line| match self.create(&mut orders, line) {
                        (201, order) => json!({"status": 201, "order": order}),
                        (status, problem) => json!({"status": status, "problem": problem}),
                    })
                    .collect();
                (200, json!({ "results": results }))
            }
            path => read(&orders, path.trim_start_matches("/v1/orders/")),
        };
        let status = StatusCode::from_u16(status).unwrap();
        let body = Full::new(Bytes::from(answer.to_string()));
        Ok(Response::builder().status(status).body(body).unwrap())
    }

    fn create(&self, orders: &mut Orders, body: &[u8]) -> (u16, Value) {
        let Ok(order) = serde_json::from_slice::<Value>(body) else {
            return (400, json!({"code": "malformed-json", "detail": "no JSON"}));
        };
        if self.fault == Fault::Overloaded {
            return (503, json!({"code": "overloaded", "detail": "full"}));
        }
        let items = order["items"].as_array().cloned().unwrap_or_default();
        if let Some(place) = items.iter().position(|item| item["quantity"] == 0) {
            let pointer = format!("/items/{place}/quantity");
            let field = json!({"pointer": pointer, "code": "out-of-range", "detail": "is 0"});
            return (
                422,
                json!({"code": "invalid-order", "detail": "bad", "errors": [field]}),
            );
        }
        orders.count += 1;
        let tenth = orders.count % 10 == 0;
        let chosen = order["order_id"].as_str().map(str::to_owned);
        let id = chosen.unwrap_or_else(|| format!("server-{}", orders.count));
        if orders.statuses.contains_key(&id) {
            return (409, json!({"code": "order-exists", "order_id": id}));
        }
        let (status, ends) = match self.fault {
            Fault::NeverEnds if tenth => ("pending", 0),
            Fault::EndsTwice if tenth => ("completed", 2),
            Fault::AcceptsTwice if tenth => ("completed", 12),
            _ => ("completed", 1),
        };
        if !(tenth && self.fault == Fault::Forgets) {
            orders.statuses.insert(id.clone(), (status, ends));
        }
        let before = std::mem::replace(&mut orders.last, id.clone());
        let id = if tenth && self.fault == Fault::AnswersTwice {
            before
        } else {
            id
        };
        (
            201,
            json!({"order_id": id, "total": order["total"], "status": "pending"}),
        )
    }
}

fn stats(orders: &Orders) -> Value {
    let pending = orders
        .statuses
        .values()
        .filter(|(status, _)| *status == "pending")
        .count();
    json!({"orders": {"by_status": {"scheduled": 0, "pending": pending, "processing": 0,
        "waiting": 0, "compensating": 0, "dead": 0, "completed": 5}}})
}

fn read(orders: &Orders, path: &str) -> (u16, Value) {
    let (id, wants_events) = match path.strip_suffix("/events") {
        Some(id) => (id, true),
        None => (path, false),
    };
    let Some((status, ends)) = orders.statuses.get(id) else {
        return (404, json!({"code": "order-not-found"}));
    };
    if !wants_events {
        return (200, json!({"order_id": id, "status": status}));
    }
    let mut events = vec![
        json!({"type": "order.accepted"}),
        json!({"type": "order.started"}),
    ];
    events.extend((0..ends / 10).map(|_| json!({"type": "order.accepted"})));
    events.extend((0..ends % 10).map(|_| json!({"type": "order.completed"})));
    (
        200,
        json!({"data": events, "has_more": false, "next_cursor": null}),
    )
}

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
    let (interrupts, _) = watch::channel(0);
    let run = Run::new(&settings, "load-test-")?;
    LocalSet::new()
        .run_until(load(&settings, "test", run, &interrupts))
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
        "latency of refused requests",
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
