//! The documents of port 8000: the OpenAPI document tells what the server really does, and the page
//! shows the document.
//!
//! How the page is laid out is for people to judge; only what it must not do is tested here.

use orderd::order::Dialect;
use serde_json::Value;

use crate::compat_support::{CompatServer, Setup};
use crate::support::Reply;

const DOCUMENT: &str = "/api/v1/openapi.json";
const JSON: &str = "Content-Type: application/json";

async fn document(server: &CompatServer) -> Value {
    let reply = server.get(8000, DOCUMENT).await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "application/json")
    );
    reply.json()
}

/// What a reference leads to; anything else is itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => value,
    }
}

/// Path, method and operation of all that is documented.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.collect()
}

/// The request of an operation's examples.
fn request(path: &str, method: &str, operation: &Value) -> (String, String) {
    let mut target = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let text = |field: &str| parameter[field].as_str().unwrap_or_default();
        match text("in") {
            "path" => target = target.replace(&format!("{{{}}}", text("name")), text("example")),
            "query" => target.push_str(&format!("?{}={}", text("name"), text("example"))),
            _ => {}
        }
    }
    let body = &operation["requestBody"]["content"]["application/json"]["example"];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    (format!("{} {target}", method.to_uppercase()), body)
}

/// The same order with another id; no body stays none.
fn another(body: &str) -> String {
    let order = serde_json::from_str(body).map(|mut order: Value| {
        order["order_id"] = "another".into();
        order.to_string()
    });
    order.unwrap_or_default()
}

/// The bodies that are documented for an answer's status.
fn examples(document: &Value, operation: &Value, status: u16) -> Vec<Value> {
    let response = resolve(document, &operation["responses"][status.to_string()]);
    let content = &response["content"]["application/json"];
    let several = content["examples"].as_object().into_iter().flatten();
    let several = several.map(|(_, example)| example["value"].clone());
    let one = content.get("example").cloned();
    one.into_iter().chain(several).collect()
}

/// Whether an answer is one of those that the document has for its status.
fn is_documented(document: &Value, operation: &Value, reply: &Reply) -> bool {
    let body = reply.json();
    examples(document, operation, reply.status).contains(&body)
}

#[tokio::test]
async fn the_documented_requests_get_the_documented_answers() {
    let server = CompatServer::start().await;
    let document = document(&server).await;
    assert_eq!(document["openapi"], "3.1.0");
    let (creates, reads): (Vec<_>, Vec<_>) = operations(&document)
        .into_iter()
        .partition(|(_, method, _)| *method == "post");
    assert_eq!((creates.len(), reads.len()), (2, 4));
    for (path, method, operation) in creates {
        let (start, body) = request(path, method, operation);
        let too_large = format!("\"{}\"", "x".repeat(1 << 20));
        let foreign = [JSON, "Origin: null"];
        let key = [JSON, "Idempotency-Key: k"];
        let other = another(&body);
        for (headers, body, is_good) in [
            (&key[..], &*body, true),
            (&key, &*body, true),
            (&key, &*other, false),
            (&[JSON], &*body, false),
            (&[JSON], "{}", false),
            (&foreign, &*body, false),
            (&[JSON], &too_large, false),
        ] {
            let reply = server.send(8000, &start, headers, body).await;
            assert_eq!(reply.status < 300, is_good, "{start} {}", reply.text());
            assert!(
                is_documented(&document, operation, &reply),
                "{start} {}",
                reply.text()
            );
        }
    }
    server.finish_work().await;
    for (path, method, operation) in reads {
        let (start, _) = request(path, method, operation);
        let reply = server.send(8000, &start, &[], "").await;
        let is_metrics = path.contains("metric");
        if is_metrics {
            let documented = examples(&document, operation, 200).remove(0);
            assert_eq!(shape(&reply.json()), shape(&documented), "{start}");
        } else {
            // The example of `api_v1` was never created.
            assert!(
                is_documented(&document, operation, &reply),
                "{start} {}",
                reply.text()
            );
        }
    }
    server.stop().await;
}

/// A value with its numbers and words taken out: what is left is names and types.
fn shape(value: &Value) -> Value {
    match value {
        Value::Number(_) => 0.into(),
        Value::Array(values) => values.iter().map(shape).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), shape(value)))
                .collect()
        }
        other => other.clone(),
    }
}

#[tokio::test]
async fn no_room_and_no_store_are_documented_too() {
    let mut setup = Setup::default();
    setup.process(Dialect::OrderService).open_orders_max = 1;
    setup.process(Dialect::ApiV1).open_orders_max = 1;
    let server = CompatServer::with(setup).await;
    let document = document(&server).await;
    for (path, method, operation) in operations(&document) {
        let (start, body) = request(path, method, operation);
        if method == "post" {
            assert!(server.send(8000, &start, &[JSON], &body).await.status < 300);
        } else if operation["parameters"].is_array() {
            server.fail_reads(true);
        } else {
            continue;
        }
        let reply = server.send(8000, &start, &[JSON], another(&body)).await;
        assert_eq!(reply.status, 503, "{start} {}", reply.text());
        assert!(
            is_documented(&document, operation, &reply),
            "{start} {}",
            reply.text()
        );
        server.fail_reads(false);
    }
    server.stop().await;
}

#[tokio::test]
async fn only_what_is_served_is_documented() {
    let server = CompatServer::with(Setup::of(&[Dialect::ApiV1])).await;
    let document = document(&server).await;
    let mut paths = document["paths"].as_object().unwrap().keys();
    assert!(paths.all(|path| path.starts_with("/api/v1/")), "{document}");
    assert!(
        !server
            .get(8000, "/docs")
            .await
            .text()
            .contains("order-service")
    );
    server.stop().await;
    let server = CompatServer::with(Setup::of(&[Dialect::OrderService])).await;
    for path in [DOCUMENT, "/docs", "/redoc"] {
        assert_eq!(server.get(8000, path).await.status, 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_page_is_whole_without_scripts_and_without_other_places() {
    let server = CompatServer::start().await;
    let page = server.get(8000, "/docs").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert_eq!(server.get(8000, "/redoc").await.body, page.body);
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'unsafe-inline';"),
        "{policy}"
    );
    let html = page.text();
    let document = document(&server).await;
    for (path, _, operation) in operations(&document) {
        for shown in [path, operation["summary"].as_str().unwrap()] {
            assert!(html.contains(shown), "{shown}");
        }
    }
    assert!(html.contains("'http://orders.test/api/v1/orders'"));
    let short = server.get(8000, "/openapi.json").await;
    assert_eq!(short.json(), document);
    let head = server.send(8000, "HEAD /docs", &[], "").await;
    assert_eq!(head.header("content-length"), html.len().to_string());
    server.stop().await;
}
