//! The OpenAPI document: the committed copy is the served one, and it has every route and every
//! code.
//!
//! Only the documented shape is looked at here; that answers have it is tested where they are made.

use std::collections::BTreeSet;

use orderd::http::{self, CODES};
use serde_json::Value;

use crate::support::TestServer;

#[tokio::test]
async fn the_committed_document_is_the_served_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let server = TestServer::start().await;
    let reply = server.get("/openapi.json").await;
    assert_eq!(reply.header("content-type"), "application/json");
    let served = reply.text() + "\n";
    server.stop().await;
    if std::env::var_os("ORDERD_ACCEPT").is_some() {
        std::fs::write(path, &served).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == served,
        "docs/openapi.json is not what the code makes; accept it with ORDERD_ACCEPT=1 and \
         cargo test --test it openapi"
    );
}

/// Routes are only ever made together with their documentation, so the list is the whole API.
const OPERATIONS: [&str; 41] = [
    "beatWork",
    "cancelOrder",
    "completeWork",
    "createBatch",
    "createOrder",
    "createWebhook",
    "deleteWebhook",
    "failWork",
    "healthz",
    "holdOrder",
    "importOrders",
    "leaseWork",
    "listDeadLetters",
    "listDeliveries",
    "listEvents",
    "listOrderEvents",
    "listOrders",
    "listProcesses",
    "listWebhooks",
    "livez",
    "pauseWebhook",
    "prioritizeOrder",
    "readErrorCode",
    "readMetrics",
    "readOpenApi",
    "readOrder",
    "readProcess",
    "readStats",
    "readVersion",
    "readWebhook",
    "readyz",
    "releaseOrder",
    "releaseWork",
    "replayDeadLetters",
    "replayWebhook",
    "resumeWebhook",
    "retryOrder",
    "rotateWebhookSecret",
    "signalOrder",
    "streamEvents",
    "testWebhook",
];

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(|(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

#[tokio::test]
async fn every_documented_operation_exists_and_every_route_is_documented() {
    let document = serde_json::to_value(http::openapi()).unwrap();
    let server = TestServer::start().await;
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{path} {method}"
        );
        for field in ["summary", "tags"] {
            assert!(
                !operation[field].is_null(),
                "{path} {method} has no {field}"
            );
        }
        let path = path
            .replace("{id}", "x")
            .replace("{code}", "too-deep")
            .replace("{name}", "y");
        let start = format!("{} {path}", method.to_uppercase());
        let reply = server.send(&start, &[], "").await;
        let code = if reply.status >= 400 {
            reply.code()
        } else {
            String::new()
        };
        assert!(
            !["route-not-found", "method-not-allowed"].contains(&code.as_str()),
            "{start} is documented but not there"
        );
        let status = reply.status.to_string();
        assert!(
            operation["responses"][&status].is_object(),
            "{start} {status}"
        );
    }
    assert_eq!(ids, BTreeSet::from(OPERATIONS));
    server.stop().await;
}

#[test]
fn every_code_is_an_answer_of_some_operation() {
    let document = serde_json::to_value(http::openapi()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut told = BTreeSet::new();
    for (_, _, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let text = response["description"].as_str().unwrap();
            for entry in CODES {
                if text.contains(&format!("`{}`: ", entry.name)) {
                    assert_eq!(*status, entry.status.to_string());
                    told.insert(entry.name);
                }
            }
        }
    }
    let all: BTreeSet<_> = CODES.iter().map(|entry| entry.name).collect();
    assert_eq!(told, all);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = serde_json::to_value(http::openapi()).unwrap();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}
