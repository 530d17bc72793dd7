//! `two_queue` on the wire: its transcript, every row of its tables, and what it must survive.
//!
//! Bodies are compared to the byte.

use orderd::order::Dialect;
use serde_json::json;

use crate::compat_bad;
use crate::compat_curl::check;
use crate::compat_recount::{Recount, failing, native_orders};
use crate::compat_support::{CompatServer, Setup};
use crate::compat_transcript as transcript;

const CREATE: &str = "/order";
const METRICS: &str = "/metrics/pending";
const RECEIVED: &str = "200 text/plain; charset=utf-8 | Received order <uuid>¶";
const NOT_FOUND: &str = "404 text/plain; charset=utf-8 | Order not found¶";
const NO_PAGE: &str = "404 text/plain; charset=utf-8 | 404 page not found¶";
const UNAVAILABLE: &str = "503 text/plain; charset=utf-8 | Service temporarily unavailable¶";

const ORDER: &str = r#"{"user_id":"u","item_ids":"a,b","total_amount":1}"#;

/// A good order with these members at its end, which count instead.
fn with(members: &str) -> String {
    format!(r#"{{"user_id":"u","item_ids":"a","total_amount":1,{members}}}"#)
}

fn bad(text: &str) -> String {
    format!("400 text/plain; charset=utf-8 | {text}¶")
}

/// Creates an order that must be taken; its id.
async fn create(server: &CompatServer, body: &str) -> String {
    let reply = server.post(8080, CREATE, body).await;
    let id = check(&reply, RECEIVED).remove(0);
    assert_eq!(reply.header("location"), format!("/order/{id}"));
    id
}

async fn read(server: &CompatServer, id: &str) -> String {
    let reply = server.get(8080, &format!("/order/{id}")).await;
    assert_eq!(
        reply.header("content-type"),
        "application/json",
        "{reply:?}"
    );
    reply.text()
}

#[tokio::test]
async fn the_transcript_holds() {
    let server = CompatServer::start().await;
    let steps = transcript::read(include_str!("transcripts/two_queue.sh"));
    let [create, read, metrics] = &steps[..] else {
        panic!("not three steps")
    };
    let id = server
        .says(&create.command, &create.answers[0])
        .await
        .remove(0);
    server.finish_work().await;
    let read_it = read
        .command
        .replace("ab079da1-e078-4d40-b36d-739f06a242fe", &id);
    let found = server.says(&read_it, &read.answers[0]).await;
    assert_eq!(found, [id]);
    let average = server.says(&metrics.command, &metrics.answers[0]).await;
    let average: f64 = average[0].parse().unwrap();
    // The clock of the test moves by whole seconds.
    assert!((1.0..=11.0).contains(&average), "{average}");
    server.stop().await;
}

/// Members that break a rule, after those of a good order, and what is said.
const BAD_MEMBERS: &[(&str, &str)] = &[
    (r#""user_id":7"#, "Invalid request payload"),
    (r#""user_id":["u"]"#, "Invalid request payload"),
    (r#""item_ids":7"#, "Invalid request payload"),
    (r#""item_ids":{}"#, "Invalid request payload"),
    (r#""item_ids":["a",7]"#, "Invalid request payload"),
    (r#""item_ids":["a",null]"#, "Invalid request payload"),
    (r#""total_amount":"1""#, "Invalid request payload"),
    (r#""total_amount":true"#, "Invalid request payload"),
    (r#""user_id":"""#, "user_id is required"),
    (r#""user_id":null"#, "user_id is required"),
    (r#""USER_ID":null"#, "user_id is required"),
    (r#""item_ids":"""#, "item_ids is required"),
    (r#""item_ids":" , ,""#, "item_ids is required"),
    (r#""item_ids":[]"#, "item_ids is required"),
    (r#""item_ids":[" ",""]"#, "item_ids is required"),
    (r#""item_ids":null"#, "item_ids is required"),
    (r#""total_amount":null"#, "total_amount is required"),
    (r#""total_amount":-0.01"#, AMOUNT),
    (r#""total_amount":-1e99"#, AMOUNT),
    (r#""total_amount":1.005"#, AMOUNT),
    (r#""total_amount":1e-3"#, AMOUNT),
    (r#""total_amount":92233720368547758.08"#, AMOUNT),
    (r#""total_amount":1e31"#, AMOUNT),
    (
        r#""user_id":"a\u0000b""#,
        "user_id has an invalid character",
    ),
    (
        r#""item_ids":"a,\u0000""#,
        "item_ids has an invalid character",
    ),
];
const AMOUNT: &str = "total_amount must be >= 0 with at most 2 decimals";

#[tokio::test]
async fn every_rule_has_its_text_and_stores_nothing() {
    let server = CompatServer::start().await;
    let mut cases: Vec<(String, String)> = Vec::new();
    for (members, text) in BAD_MEMBERS {
        cases.push((with(members), bad(text)));
    }
    for body in ["", " ", "{", "[]", "7", "\"x\"", "{} {}", "{\"\\ud800\":1}"] {
        cases.push((body.to_owned(), bad("Invalid request payload")));
    }
    for body in ["{}", "null", r#"{"item_ids":"a","total_amount":1}"#] {
        cases.push((body.to_owned(), bad("user_id is required")));
    }
    let long = "é".repeat(256);
    cases.push((
        with(&format!(r#""user_id":"{long}""#)),
        bad("user_id is too long"),
    ));
    cases.push((
        with(&format!(r#""item_ids":"a,{long}""#)),
        bad("item_ids is too long"),
    ));
    let many = with(&format!(r#""item_ids":"{}""#, "a,".repeat(1_001)));
    cases.push((many, bad("too many items in order")));
    let deep = format!(r#""x":{}{}"#, "[".repeat(32), "]".repeat(32));
    cases.push((with(&deep), bad("Invalid request payload")));
    let cases: Vec<_> = cases
        .iter()
        .map(|(body, text)| (&**body, &**text))
        .collect();
    server.refuses(8080, CREATE, &cases).await;
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn rules_are_said_in_the_order_of_the_table() {
    let server = CompatServer::start().await;
    let long = "x".repeat(256);
    for (body, text) in [
        (r#"{"item_ids":7}"#.to_owned(), "Invalid request payload"),
        (r#"{"total_amount":-1}"#.to_owned(), "user_id is required"),
        (
            r#"{"user_id":"u","total_amount":-1}"#.to_owned(),
            "item_ids is required",
        ),
        (
            r#"{"user_id":"u\u0000","item_ids":"a"}"#.to_owned(),
            "total_amount is required",
        ),
        (
            with(&format!(r#""user_id":"{long}","total_amount":1.005"#)),
            AMOUNT,
        ),
        (
            with(&format!(r#""user_id":"\u0000","item_ids":"{long}""#)),
            "item_ids is too long",
        ),
    ] {
        server.refuses(8080, CREATE, &[(&body, &bad(text))]).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_tells_the_field_under_its_own_name() {
    let server = CompatServer::start().await;
    for (body, told) in [
        (with(r#""user_id":7"#), "wrong-type; /user_id"),
        (with(r#""item_ids":["a",7]"#), "wrong-type; /item_ids/1"),
        (with(r#""item_ids":"""#), "missing-field; /item_ids"),
        (with(r#""total_amount":-1"#), "out-of-range; /total_amount"),
        (
            with(r#""total_amount":1.005"#),
            "invalid-money; /total_amount",
        ),
        (
            with(r#""item_ids":"a,\u0000""#),
            "invalid-character; /item_ids/1",
        ),
        ("{".to_owned(), "malformed-json; not JSON"),
        (String::new(), "malformed-json; the body is empty"),
    ] {
        let reply = server.post(8080, CREATE, &body).await;
        assert_eq!(reply.header("orderd-error"), told, "{body}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    server.stop().await;
}

/// Members after those of a good order, and how the order is read back.
const GOOD_MEMBERS: &[(&str, &str)] = &[
    (
        r#""total_amount":0"#,
        r#""user_id":"u","item_ids":["a"],"total_amount":0"#,
    ),
    (
        r#""total_amount":-0.00"#,
        r#""user_id":"u","item_ids":["a"],"total_amount":0"#,
    ),
    (
        r#""total_amount":1.500"#,
        r#""user_id":"u","item_ids":["a"],"total_amount":1.5"#,
    ),
    (
        r#""total_amount":1e2"#,
        r#""user_id":"u","item_ids":["a"],"total_amount":100"#,
    ),
    (
        r#""total_amount":92233720368547758.07"#,
        r#""user_id":"u","item_ids":["a"],"total_amount":92233720368547758.07"#,
    ),
    (
        r#""item_ids":" a , b,,a ""#,
        r#""user_id":"u","item_ids":["a","b","a"],"total_amount":1"#,
    ),
    (
        r#""Item_IDs":[" a,b ","","a"],"USER_ID":"v""#,
        r#""user_id":"v","item_ids":["a,b","a"],"total_amount":1"#,
    ),
    (
        r#""user_id":"\u00e9\"\n<&>","unknown":{"x":[1,null]}"#,
        r#""user_id":"é\"\n<&>","item_ids":["a"],"total_amount":1"#,
    ),
    (
        r#""user_id":7,"user_id":"last""#,
        r#""user_id":"last","item_ids":["a"],"total_amount":1"#,
    ),
];

#[tokio::test]
async fn orders_are_read_back_as_they_were_meant() {
    let server = CompatServer::start().await;
    for (members, expected) in GOOD_MEMBERS {
        let id = create(&server, &with(members)).await;
        let read = read(&server, &id).await;
        let status = read.split("\"status\":").nth(1).unwrap();
        assert!(
            ["\"pending\"}\n", "\"processing\"}\n"].contains(&status),
            "{read}"
        );
        let head = format!("{{\"order_id\":\"{id}\",{expected},\"status\":");
        assert_eq!(read, format!("{head}{status}"));
    }
    assert_eq!(server.count().await, GOOD_MEMBERS.len() as i64);
    let limits = format!(
        r#"{{"user_id":"{}","item_ids":"{}","total_amount":0}}"#,
        "é".repeat(255),
        format!("{},", "é".repeat(255)).repeat(1_000)
    );
    create(&server, &limits).await;
    server.stop().await;
}

#[tokio::test]
async fn json_is_for_who_ranks_it_above_text() {
    let server = CompatServer::start().await;
    let json = "200 application/json; charset=UTF-8 | \"Received order <uuid>\"¶";
    let post = "POST /order";
    for (accept, expected) in [
        ("Accept: application/json", json),
        ("Accept: text/*;q=0.5, application/json;q=0.6", json),
        ("Accept: */*", RECEIVED),
        ("Accept: application/json, text/plain", RECEIVED),
        ("Accept: application/json;q=0.1, */*;q=0.2", RECEIVED),
    ] {
        let reply = server.send(8080, post, &[accept], ORDER).await;
        check(&reply, expected);
        let length = if expected == json { 54 } else { 52 };
        assert_eq!(reply.header("content-length"), length.to_string());
    }
    let accept = "Accept: application/json";
    for (start, body, expected) in [
        (
            post,
            "{",
            "400 application/json; charset=UTF-8 | \"Invalid request payload\"¶",
        ),
        (
            "GET /order/x",
            "",
            "404 application/json; charset=UTF-8 | \"Order not found\"¶",
        ),
        ("PUT /order", "", "405 |"),
    ] {
        check(&server.send(8080, start, &[accept], body).await, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn only_its_own_orders_are_found() {
    let server = CompatServer::start().await;
    let native = |process: &str| {
        let line = json!({"sku": "line", "quantity": 3});
        json!({
            "order_id": process, "customer_id": "native", "items": ["text", line],
            "total": {"amount": 150, "currency": "USD"}, "process": process
        })
    };
    for process in ["default", "two_queue"] {
        let order = native(process).to_string();
        let reply = server.post(8080, "/v1/orders", order).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let order = concat!(
        r#"{"order_id":"two_queue","user_id":"native","item_ids":["text","line"],"#,
        r#""total_amount":1.5,"status":"#
    );
    let found = read(&server, "two_queue").await;
    assert!(found.starts_with(order), "{found}");
    for id in [
        "default",
        "ab079da1-e078-4d40-b36d-739f06a242fe",
        "TWO_QUEUE",
        "%00",
        "%ff",
        "a%20b",
        "..%2F",
        &"x".repeat(65),
    ] {
        let reply = server.get(8080, &format!("/order/{id}")).await;
        check(&reply, NOT_FOUND);
        assert!(
            reply
                .header("orderd-error")
                .starts_with("order-not-found; ")
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_old_way() {
    let server = CompatServer::start().await;
    for path in [
        "/",
        "/order/",
        "/order/a/b",
        "/orderx",
        "/metrics/",
        "/metrics/pending/",
        "/v1",
    ] {
        check(&server.get(8080, path).await, NO_PAGE);
    }
    for (start, allow) in [
        ("GET /order", "POST"),
        ("HEAD /order", "POST"),
        ("OPTIONS /order", "POST"),
        ("POST /order/x", "GET,HEAD"),
        ("DELETE /order/x", "GET,HEAD"),
        ("POST /metrics/pending", "GET,HEAD"),
    ] {
        let reply = server.send(8080, start, &[], "").await;
        check(&reply, "405 |");
        assert_eq!(reply.header("allow"), allow, "{start}");
        assert!(
            reply
                .header("orderd-error")
                .starts_with("method-not-allowed; ")
        );
    }
    let native = server.get(8080, "/v1/nothing").await;
    assert_eq!(native.code(), "route-not-found");
    assert_eq!(server.get(8080, "/livez").await.status, 200);
    let (full, head) = (
        server.get(8080, METRICS).await,
        server.send(8080, &format!("HEAD {METRICS}"), &[], "").await,
    );
    assert_eq!(head.header("content-length"), full.body.len().to_string());
    server.stop().await;
}

#[tokio::test]
async fn what_stands_before_every_route_is_said_in_text() {
    let server = CompatServer::start().await;
    let text = |status, text| format!("{status} text/plain; charset=utf-8 | {text}¶");
    for (header, expected) in [
        ("Origin: http://evil.test", text(403, "Forbidden")),
        ("Idempotency-Key: a b", text(400, "Invalid Idempotency-Key")),
    ] {
        let reply = server.send(8080, "POST /order", &[header], ORDER).await;
        check(&reply, &expected);
    }
    let large = with(&format!(r#""x":"{}""#, "x".repeat(1 << 20)));
    let reply = server.post(8080, CREATE, large).await;
    check(&reply, &text(413, "Request body too large"));
    assert_eq!(
        reply.header("orderd-error"),
        "body-too-large; a body here may have 1 MiB"
    );
    let long = server
        .get(8080, &format!("/order/{}", "x".repeat(9_000)))
        .await;
    check(&long, &text(414, "Request URI too long"));
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_full_or_ending_server_is_unavailable() {
    let mut setup = Setup::default();
    setup.process(Dialect::TwoQueue).open_orders_max = 1;
    let server = CompatServer::with(setup).await;
    let id = create(&server, ORDER).await;
    let refused = server.post(8080, CREATE, ORDER).await;
    check(&refused, UNAVAILABLE);
    assert_eq!(
        refused.header("orderd-error"),
        "overloaded; too many open orders"
    );
    assert!((1..=60).contains(&refused.retry_after()));
    assert_eq!(server.count().await, 1);
    server.fail_reads(true);
    let failed = server.get(8080, &format!("/order/{id}")).await;
    check(&failed, UNAVAILABLE);
    assert!(
        failed
            .header("orderd-error")
            .starts_with("store-unavailable; ")
    );
    server.fail_reads(false);
    server.handle.drain();
    let draining = server.post(8080, CREATE, ORDER).await;
    check(&draining, UNAVAILABLE);
    assert!(draining.header("orderd-error").starts_with("draining; "));
    server.stop().await;
}

#[tokio::test]
async fn every_status_has_its_word() {
    let mut setup = failing(Dialect::TwoQueue, 10_000_000);
    setup.dialects[0].completed_word = "completed".to_owned();
    let server = CompatServer::with(setup).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(create(&server, ORDER).await);
    }
    native_orders(&server, Dialect::TwoQueue).await;
    server.finish_work().await;
    let mut words = Vec::new();
    for id in &ids {
        let order = server.get(8080, &format!("/order/{id}")).await.json();
        words.push(order["status"].as_str().unwrap().to_owned());
    }
    assert!(words.contains(&"completed".to_owned()) && words.contains(&"failed".to_owned()));
    let recount = Recount::of(&server, Dialect::TwoQueue).await;
    let count = |word: &str| words.iter().filter(|found| *found == word).count();
    assert_eq!(count("failed"), recount.now(&["dead"]));
    server.stop().await;
}

#[tokio::test]
async fn a_hold_leaves_the_word_and_a_cancel_has_one_of_its_own() {
    let server = CompatServer::start().await;
    let order = json!({
        "order_id": "o", "customer_id": "c", "items": ["a"], "process": "two_queue",
        "total": {"amount": 1, "currency": "USD"}, "start_at": "2027-01-01T00:00:00Z"
    });
    server.post(8080, "/v1/orders", order.to_string()).await;
    for (change, word, metrics) in [
        ("hold", "pending", r#"{"PendingCount":1,"Proccessed":0,"#),
        (
            "cancel",
            "cancelled",
            r#"{"PendingCount":0,"Proccessed":0,"#,
        ),
    ] {
        let reason = json!({ "reason": "tested" }).to_string();
        let path = format!("/v1/orders/o/{change}");
        let changed = server.post(8080, &path, reason).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        let order = read(&server, "o").await;
        assert!(
            order.ends_with(&format!("\"status\":\"{word}\"}}\n")),
            "{order}"
        );
        let found = server.get(8080, METRICS).await.text();
        assert!(found.starts_with(metrics), "{found}");
        assert_eq!(
            found.contains("\"Cancelled\":1}"),
            change == "cancel",
            "{found}"
        );
    }
    server.stop().await;
}

/// What the metrics must be, counted one by one.
async fn expected_metrics(server: &CompatServer) -> String {
    let recount = Recount::of(server, Dialect::TwoQueue).await;
    let mut expected = format!(
        concat!(
            r#"{{"PendingCount":{},"Proccessed":{},"Completed":{},"#,
            r#""TotalCount":{},"AverageProcessingTime":{}"#
        ),
        recount.now(&["scheduled", "pending"]),
        recount.now(&["processing", "waiting", "compensating"]),
        recount.now(&["completed"]),
        recount.all(),
        recount.work(1_000_000, 3),
    );
    for (word, status) in [
        ("Failed", "dead"),
        ("Cancelled", "cancelled"),
        ("Rejected", "rejected"),
        ("Expired", "expired"),
    ] {
        let count = recount.now(&[status]);
        if count > 0 {
            expected.push_str(&format!(",\"{word}\":{count}"));
        }
    }
    expected + "}\n"
}

#[tokio::test]
async fn metrics_equal_a_recount_before_and_after_a_restart() {
    let mut server = CompatServer::with(failing(Dialect::TwoQueue, 10_000_000)).await;
    let empty = expected_metrics(&server).await;
    assert!(empty.ends_with("\"TotalCount\":0,\"AverageProcessingTime\":0}\n"));
    assert_eq!(server.get(8080, METRICS).await.text(), empty);
    for _ in 0..40 {
        create(&server, ORDER).await;
    }
    native_orders(&server, Dialect::TwoQueue).await;
    for _ in 0..3 {
        for _ in 0..7 {
            server.begin_work().await;
            server.clock.advance(1_234_567);
        }
        server.begin_work().await;
        let metrics = server.get(8080, METRICS).await;
        assert_eq!(metrics.header("content-type"), "application/json");
        assert_eq!(metrics.text(), expected_metrics(&server).await);
        server = server.restart().await;
        server.begin_work().await;
        let metrics = server.get(8080, METRICS).await.text();
        assert_eq!(metrics, expected_metrics(&server).await);
        assert!(
            metrics.contains(",\"Failed\":") && metrics.contains(",\"Expired\":"),
            "{metrics}"
        );
    }
    let seen = server.get(8080, METRICS).await.json();
    let count = |name| seen[name].as_i64().unwrap();
    assert!(
        count("Completed") > 5 && count("PendingCount") > 5,
        "{seen}"
    );
    server.stop().await;
}

#[tokio::test]
async fn whatever_comes_nothing_breaks() {
    let server = CompatServer::start().await;
    compat_bad::survives_all(&server, 8080, CREATE, ORDER).await;
    server.stop().await;
}
