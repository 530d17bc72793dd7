//! `realtime` on the wire: its transcript, every row of its tables, and what it must survive.
//!
//! Bodies are compared to the byte.

use orderd::clock::Clock;
use orderd::order::{Dialect, Priority};
use serde_json::json;

use crate::compat_bad;
use crate::compat_curl::check;
use crate::compat_recount::{Recount, failing, native_orders};
use crate::compat_support::{CompatServer, Setup};
use crate::compat_transcript as transcript;

const CREATE: &str = "/orders";
const STATS: &str = "/stats";
const EXISTS: &str = "409 text/plain; charset=utf-8 | order with this id already exists¶";
const NO_PAGE: &str = "404 text/plain; charset=utf-8 | 404 page not found¶";
const NO_PROFILE: &str = "501 text/plain; charset=utf-8 | profile not available¶";
const UNAVAILABLE: &str = "503 text/plain; charset=utf-8 | service temporarily unavailable¶";

const ORDER: &str = r#"{"amount":1,"items":["a"],"customer":"c","address":"x"}"#;

/// A good order with these members at its end, which count instead.
fn with(members: &str) -> String {
    format!(r#"{{"amount":1,"items":["a"],"customer":"c","address":"x",{members}}}"#)
}

fn bad(text: &str) -> String {
    format!("400 text/plain; charset=utf-8 | {text}¶")
}

#[tokio::test]
async fn the_transcript_holds() {
    let server = CompatServer::start().await;
    let steps = transcript::read(include_str!("transcripts/realtime.sh"));
    let [first, second, stats, health] = &steps[..] else {
        panic!("not four steps")
    };
    for create in [first, second] {
        server.says(&create.command, &create.answers[0]).await;
    }
    server.finish_work().await;
    let found = server.says(&stats.command, &stats.answers[0]).await;
    assert!(found[0].parse::<f64>().unwrap() >= 10.0, "{found:?}");
    let found = server.says(&health.command, &health.answers[0]).await;
    let seconds = server.clock.now().0 / 1_000_000;
    assert_eq!(found[0], seconds.to_string());
    server.stop().await;
}

/// Members that break a rule, after those of a good order, and what is said.
const BAD_MEMBERS: &[(&str, &str)] = &[
    (r#""unknown":1"#, "invalid JSON"),
    (r#""customer_id":"c""#, "invalid JSON"),
    (r#""unknown":null"#, "invalid JSON"),
    (r#""id":7"#, "invalid JSON"),
    (r#""amount":"1""#, "invalid JSON"),
    (r#""items":"a""#, "invalid JSON"),
    (r#""items":["a",1]"#, "invalid JSON"),
    (r#""items":["a",null]"#, "invalid JSON"),
    (r#""customer":7"#, "invalid JSON"),
    (r#""status":false"#, "invalid JSON"),
    (r#""address":[]"#, "invalid JSON"),
    (r#""notes":7"#, "invalid JSON"),
    (r#""priority":"1""#, "invalid JSON"),
    (r#""priority":1.0"#, "invalid JSON"),
    (r#""priority":1.5"#, "invalid JSON"),
    (r#""priority":9223372036854775808"#, "invalid JSON"),
    (r#""created_at":7"#, "invalid JSON"),
    (r#""created_at":"""#, "invalid JSON"),
    (r#""created_at":"yesterday""#, "invalid JSON"),
    (r#""created_at":"2024-05-06T07:08:09""#, "invalid JSON"),
    (r#""customer":"""#, "customer is required"),
    (r#""customer":null"#, "customer is required"),
    (r#""status":"completed""#, "invalid status"),
    (r#""status":"Pending""#, "invalid status"),
    (r#""address":"""#, "address is required"),
    (r#""address":null"#, "address is required"),
    (r#""amount":0"#, "amount must be > 0"),
    (r#""amount":-0.001"#, "amount must be > 0"),
    (r#""amount":-1e99"#, "amount must be > 0"),
    (r#""amount":0e99"#, "amount must be > 0"),
    (r#""amount":null"#, "amount must be > 0"),
    (r#""items":[]"#, "items must not be empty"),
    (r#""items":null"#, "items must not be empty"),
    (r#""priority":4"#, PRIORITY),
    (r#""priority":-1"#, PRIORITY),
    (r#""id":"a b""#, ID),
    (r#""id":"é""#, ID),
    (r#""id":"..""#, ID),
    (r#""amount":1.005"#, "amount must have at most 2 decimals"),
    (r#""amount":0.001"#, "amount must have at most 2 decimals"),
    (r#""amount":1e-31"#, "amount must have at most 2 decimals"),
    (
        r#""customer":"a\u0000""#,
        "customer has an invalid character",
    ),
    (r#""address":"a\u0000""#, "address has an invalid character"),
    (r#""notes":"a\u0000""#, "notes has an invalid character"),
    (
        r#""items":["a","\u0000"]"#,
        "items has an invalid character",
    ),
    (r#""amount":10000.01"#, LIMIT),
    (r#""amount":92233720368547758.08"#, LIMIT),
    (r#""amount":1e31"#, LIMIT),
    (r#""amount":1e99999999999999999999"#, LIMIT),
];
const PRIORITY: &str = "invalid priority (must be 1, 2, or 3)";
const ID: &str = "invalid id (must be 1 to 64 visible ASCII characters)";
const LIMIT: &str = "order amount exceeds limit";
const TOO_MANY: &str = "too many items in order";

fn items(count: usize) -> String {
    format!(r#""items":["x"{}]"#, ",\"x\"".repeat(count - 1))
}

#[tokio::test]
async fn every_rule_has_its_text_and_stores_nothing() {
    let server = CompatServer::start().await;
    let mut cases: Vec<(String, String)> = Vec::new();
    for (members, text) in BAD_MEMBERS {
        cases.push((with(members), bad(text)));
    }
    for body in ["", " ", "{", "[]", "7", "\"x\"", "{} {}", "{\"\\ud800\":1}"] {
        cases.push((body.to_owned(), bad("invalid JSON")));
    }
    for body in ["{}", "null", r#"{"amount":1,"items":["a"],"address":"x"}"#] {
        cases.push((body.to_owned(), bad("customer is required")));
    }
    for (field, length) in [("customer", 255), ("address", 1_024), ("notes", 8_192)] {
        let long = format!(r#""{field}":"{}""#, "é".repeat(length + 1));
        cases.push((with(&long), bad(&format!("{field} is too long"))));
    }
    let long = format!(r#""items":["a","{}"]"#, "é".repeat(256));
    cases.push((with(&long), bad("items is too long")));
    cases.push((with(&format!(r#""id":"{}""#, "x".repeat(65))), bad(ID)));
    for count in [51, 1_001] {
        cases.push((with(&items(count)), bad(TOO_MANY)));
    }
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
    let (long, many) = ("x".repeat(256), items(1_001));
    // Each breaks all rules from its own on.
    let mut members = [
        r#""priority":1.5"#.to_owned(),
        r#""customer":"""#.to_owned(),
        r#""status":"x""#.to_owned(),
        r#""address":"""#.to_owned(),
        r#""amount":-1"#.to_owned(),
        r#""items":[]"#.to_owned(),
        r#""priority":7"#.to_owned(),
        r#""id":" ""#.to_owned(),
        r#""amount":1.005"#.to_owned(),
        format!(r#""customer":"{long}""#),
        r#""notes":"\u0000""#.to_owned(),
        format!(r#""amount":10001,{many}"#),
        many,
    ];
    let texts = [
        "invalid JSON",
        "customer is required",
        "invalid status",
        "address is required",
        "amount must be > 0",
        "items must not be empty",
        PRIORITY,
        ID,
        "amount must have at most 2 decimals",
        "customer is too long",
        "notes has an invalid character",
        LIMIT,
        TOO_MANY,
    ];
    members.reverse();
    for (at, text) in texts.iter().rev().enumerate() {
        // A field given twice counts as it was given last: the earlier rules go last.
        let body = with(&members[..=at].join(","));
        server.refuses(8080, CREATE, &[(&body, &bad(text))]).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn the_header_tells_a_long_id_from_one_with_other_characters() {
    let server = CompatServer::start().await;
    let long = "x".repeat(65);
    for (id, told) in [
        (&*long, "invalid-length; /id"),
        ("a b", "invalid-character; /id"),
    ] {
        let body = with(&format!(r#""id":"{id}""#));
        let reply = server.post(8080, CREATE, body).await;
        check(&reply, &bad(ID));
        assert_eq!(reply.header("orderd-error"), told);
    }
    server.stop().await;
}

/// Members after those of a good order, and how the order is sent back but for its id and time.
const GOOD_MEMBERS: &[(&str, &str, &str)] = &[
    (
        "",
        r#""amount":1,"items":["a"],"customer":"c","status":"pending""#,
        r#""address":"x","priority":2"#,
    ),
    (
        r#","amount":10000,"priority":0,"notes":"","id":"""#,
        r#""amount":10000,"items":["a"],"customer":"c","status":"pending""#,
        r#""address":"x","priority":2"#,
    ),
    (
        r#","AMOUNT":0.010,"Items":["","é\"\n<&>"],"priority":3,"status":"delivered""#,
        r#""amount":0.01,"items":["","é\"\n<&>"],"customer":"c","status":"delivered""#,
        r#""address":"x","priority":3"#,
    ),
    (
        r#","created_at":"0001-01-01T00:00:00Z","notes":" n","status":"","priority":-0"#,
        r#""amount":1,"items":["a"],"customer":"c","status":"pending""#,
        r#""address":"x","priority":2,"notes":" n""#,
    ),
    (
        r#","created_at":"2024-05-06T07:08:09.123456789+02:00","customer":7,"customer":"last\t""#,
        r#""amount":1,"items":["a"],"customer":"last\t","status":"pending""#,
        r#""address":"x","priority":2"#,
    ),
];

#[tokio::test]
async fn an_order_is_sent_back_as_it_is_kept() {
    let server = CompatServer::start().await;
    for (members, before, after) in GOOD_MEMBERS {
        let body = format!(r#"{{"amount":1,"items":["a"],"customer":"c","address":"x"{members}}}"#);
        let reply = server.post(8080, CREATE, body).await;
        let expected = format!(
            r#"201 application/json | {{"id":"<hex32>",{before},"created_at":"<time>",{after}}}¶"#
        );
        let found = check(&reply, &expected);
        assert_eq!(reply.header("location"), format!("/v1/orders/{}", found[0]));
        assert_eq!(found[1], "2026-11-21T03:24:10Z");
        let native = server.get(8080, reply.header("location")).await.json();
        let sent = reply.json();
        assert_eq!(native["metadata"], json!({ "status": sent["status"] }));
        assert_eq!(native["process"], "realtime");
        assert_eq!(native["items"], sent["items"]);
    }
    let most = format!(r#"{},"id":"{}""#, items(50), "~".repeat(64));
    assert_eq!(server.post(8080, CREATE, with(&most)).await.status, 201);
    server.clock.advance(120_300);
    let reply = server.post(8080, CREATE, ORDER).await.json();
    assert_eq!(reply["created_at"], "2026-11-21T03:24:10.1203Z");
    server.stop().await;
}

#[tokio::test]
async fn an_id_is_taken_once_whoever_has_it() {
    let server = CompatServer::start().await;
    let native = json!({
        "order_id": "native", "customer_id": "c", "items": ["a"],
        "total": {"amount": 1, "currency": "USD"}
    });
    let reply = server.post(8080, "/v1/orders", native.to_string()).await;
    assert_eq!(reply.status, 201);
    for (id, status) in [("one", 201), ("one", 409), ("ONE", 201), ("native", 409)] {
        let reply = server
            .post(8080, CREATE, with(&format!(r#""id":"{id}""#)))
            .await;
        assert_eq!(reply.status, status, "{id}");
        if status == 409 {
            check(&reply, EXISTS);
            assert!(reply.header("orderd-error").starts_with("order-exists; "));
        }
    }
    let twin = with(r#""id":"twin""#);
    let (left, right) = tokio::join!(
        server.post(8080, CREATE, &twin),
        server.post(8080, CREATE, &twin)
    );
    let mut both = [left.status, right.status];
    both.sort_unstable();
    assert_eq!(both, [201, 409]);
    assert_eq!(server.count().await, 4);
    server.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_old_way() {
    let server = CompatServer::start().await;
    for path in [
        "/orders/",
        "/orders/x",
        "/stats/",
        "/healthy",
        "/profile/cpu",
        "/profile/heap",
        "/debug/pprof/",
        "/debug/pprof/heap",
    ] {
        check(&server.get(8080, path).await, NO_PAGE);
    }
    for (start, allow) in [
        ("GET /orders", "POST"),
        ("PUT /orders", "POST"),
        ("POST /stats", "GET,HEAD"),
        ("DELETE /health", "GET,HEAD"),
    ] {
        let reply = server.send(8080, start, &[], "").await;
        check(&reply, "405 |");
        assert_eq!(reply.header("allow"), allow, "{start}");
    }
    for path in [STATS, "/health"] {
        let head = server.send(8080, &format!("HEAD {path}"), &[], "").await;
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, "application/json")
        );
    }
    let text = |status, text| format!("{status} text/plain; charset=utf-8 | {text}¶");
    for (header, expected) in [
        ("Origin: http://evil.test", text(403, "Forbidden")),
        ("Idempotency-Key: a b", text(400, "Invalid Idempotency-Key")),
    ] {
        let reply = server.send(8080, "POST /orders", &[header], ORDER).await;
        check(&reply, &expected);
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    let large = with(&format!(r#""notes":"{}""#, "x".repeat(1 << 20)));
    check(
        &server.post(8080, CREATE, large).await,
        &text(413, "Request body too large"),
    );
    assert_eq!(server.count().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn health_tells_whether_an_order_would_be_taken() {
    let mut setup = Setup::default();
    let process = setup.process(Dialect::Realtime);
    (process.open_orders_max, process.concurrency) = (2, 1);
    let server = CompatServer::with(setup).await;
    let health = |status, word, is_healthy, waiting| {
        let pool = format!(r#""healthy":{is_healthy},"queue_length":{waiting},"workers":1"#);
        let body = format!(r#""status":"{word}","timestamp":<int>,"pool":{{{pool}}}"#);
        format!("{status} application/json | {{{body}}}¶")
    };
    check(
        &server.get(8080, "/health").await,
        &health(200, "healthy", true, 0),
    );
    for _ in 0..2 {
        assert_eq!(server.post(8080, CREATE, ORDER).await.status, 201);
    }
    server.begin_work().await;
    let refused = server.post(8080, CREATE, ORDER).await;
    check(&refused, UNAVAILABLE);
    assert!((1..=60).contains(&refused.retry_after()));
    assert_eq!(server.count().await, 2);
    check(
        &server.get(8080, "/health").await,
        &health(503, "unhealthy", false, 1),
    );
    server.finish_work().await;
    check(
        &server.get(8080, "/health").await,
        &health(200, "healthy", true, 0),
    );
    server.handle.drain();
    let draining = server.get(8080, "/health").await;
    check(&draining, &health(503, "unhealthy", false, 0));
    check(&server.post(8080, CREATE, ORDER).await, UNAVAILABLE);
    server.stop().await;
}

#[tokio::test]
async fn health_knows_the_bound_of_the_whole_server() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 1;
    let server = CompatServer::with(setup).await;
    let native = json!({
        "customer_id": "c", "items": ["a"], "total": {"amount": 1, "currency": "USD"}
    });
    assert_eq!(server.get(8080, "/health").await.status, 200);
    server.post(8080, "/v1/orders", native.to_string()).await;
    assert_eq!(server.get(8080, "/health").await.status, 503);
    check(&server.post(8080, CREATE, ORDER).await, UNAVAILABLE);
    server.stop().await;
}

#[tokio::test]
async fn work_takes_ten_milliseconds_for_each_step_of_priority() {
    for priority in Priority::ALL {
        let server = CompatServer::start().await;
        let number = priority.number();
        let order = with(&format!(r#""priority":{number}"#));
        server.post(8080, CREATE, order).await;
        server.begin_work().await;
        for _ in 0..number * 10 {
            assert_eq!(server.get(8080, STATS).await.json()["success_count"], 0);
            server.clock.advance(1_000);
            server.begin_work().await;
        }
        let stats = server.get(8080, STATS).await.json();
        assert_eq!(stats["success_count"], 1);
        assert_eq!(stats["average_process_time_ms"], number * 10);
        server.stop().await;
    }
}

/// The rules follow the work at once: whoever waits behind does not lengthen what is measured.
#[tokio::test]
async fn a_backlog_does_not_lengthen_the_work() {
    let server = CompatServer::start().await;
    for _ in 0..30 {
        server.post(8080, CREATE, with(r#""priority":3"#)).await;
    }
    server.begin_work().await;
    for _ in 0..200 {
        server.clock.advance(1_000);
        server.begin_work().await;
    }
    let stats = server.get(8080, STATS).await.json();
    assert_eq!(stats["success_count"], 30);
    assert_eq!(stats["average_process_time_ms"], 30);
    server.stop().await;
}

/// What the stats must be, counted one by one.
async fn expected_stats(server: &CompatServer) -> String {
    let recount = Recount::of(server, Dialect::Realtime).await;
    let (good, failed) = (
        recount.now(&["completed"]),
        recount.now(&["dead", "rejected"]),
    );
    let counts = format!(
        r#""total_processed":{},"success_count":{good},"error_count":{failed}"#,
        good + failed
    );
    let work = format!(
        r#""average_process_time_ms":{},"active_workers":5,"queue_length":{}"#,
        recount.work(1_000, 3),
        recount.now(&["pending"])
    );
    format!(r#"200 application/json | {{{counts},{work},"uptime_seconds":<int>}}¶"#)
}

#[tokio::test]
async fn the_native_order_tells_what_the_rules_made_of_it() {
    let server = CompatServer::start().await;
    let processing = ("processing", "Order processing completed");
    let expedited = ("expedited", "Order expedited due to high priority");
    let dear = (
        "priority_processing",
        "Order marked for priority processing",
    );
    for (members, (label, text)) in [
        (r#""amount":1000,"priority":2"#, processing),
        (r#""amount":1000,"priority":1"#, expedited),
        (r#""amount":1000.01,"priority":1"#, dear),
        (r#""amount":10000,"priority":3"#, dear),
    ] {
        let reply = server.post(8080, CREATE, with(members)).await;
        server.finish_work().await;
        let native = server.get(8080, reply.header("location")).await.json();
        assert_eq!(native["status"], "completed");
        let output = json!({"label": label, "text": text});
        assert_eq!(native["outputs"], json!({ "rules": output }), "{members}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_native_order_above_a_limit_is_rejected_and_counted_as_an_error() {
    let server = CompatServer::start().await;
    for (items, amount, reason) in [(50, 1_000_001, LIMIT), (51, 1_000_000, TOO_MANY)] {
        let order = json!({
            "customer_id": "c", "items": vec!["a"; items], "process": "realtime",
            "total": {"amount": amount, "currency": "USD"}
        });
        let reply = server.post(8080, "/v1/orders", order.to_string()).await;
        server.finish_work().await;
        let native = server.get(8080, reply.header("location")).await.json();
        assert_eq!(
            (&native["status"], &native["reason"]),
            (&json!("rejected"), &json!(reason))
        );
    }
    let stats = server.get(8080, STATS).await.json();
    let counts = ["total_processed", "success_count", "error_count"].map(|name| &stats[name]);
    assert_eq!(counts, [2, 0, 2]);
    server.stop().await;
}

#[tokio::test]
async fn stats_equal_a_recount_before_and_after_a_restart() {
    let mut server = CompatServer::with(failing(Dialect::Realtime, 30_000)).await;
    check(
        &server.get(8080, STATS).await,
        &expected_stats(&server).await,
    );
    native_orders(&server, Dialect::Realtime).await;
    for priority in [1, 2, 3].repeat(30) {
        let order = with(&format!(r#""priority":{priority}"#));
        assert_eq!(server.post(8080, CREATE, order).await.status, 201);
    }
    for _ in 0..3 {
        for _ in 0..7 {
            server.begin_work().await;
            server.clock.advance(7_531);
        }
        server.begin_work().await;
        for _ in 0..2 {
            let stats = server.get(8080, STATS).await;
            check(&stats, &expected_stats(&server).await);
            let seen = stats.json();
            assert!(seen["success_count"].as_i64() > Some(0), "{seen}");
            assert!(seen["error_count"].as_i64() > Some(0), "{seen}");
            server = server.restart().await;
            server.begin_work().await;
        }
    }
    server.stop().await;
}

fn profiling() -> Setup {
    let mut setup = Setup::default();
    for settings in &mut setup.dialects {
        settings.is_profiling = true;
    }
    setup
}

#[tokio::test]
async fn one_profile_is_taken_at_a_time() {
    let server = CompatServer::with(profiling()).await;
    let first = server.get(8080, "/profile/cpu?duration=1ms").await;
    assert_eq!(first.header("content-type"), "application/octet-stream");
    let seconds = server.clock.now().0 / 1_000_000;
    assert_eq!(
        first.header("content-disposition"),
        format!("attachment; filename=cpu_profile_{seconds}.prof")
    );
    assert_eq!(first.body[..2], [0x1f, 0x8b]);
    let (left, right) = tokio::join!(
        server.get(8080, "/profile/cpu?duration=2s"),
        server.get(8080, "/profile/cpu?duration=2s")
    );
    let (taken, refused) = if left.status == 200 {
        (left, right)
    } else {
        (right, left)
    };
    assert_eq!((taken.status, &taken.body[..2]), (200, &[0x1f, 0x8b][..]));
    check(&refused, NO_PROFILE);
    server.stop().await;
}

#[tokio::test]
async fn a_profile_that_cannot_be_had_is_told_from_one_that_is_not_wanted_well() {
    let server = CompatServer::with(profiling()).await;
    for query in ["x", "0", "-1s", "2m1s", "5", "%ff"] {
        let path = format!("/profile/cpu?duration={query}");
        check(&server.get(8080, &path).await, &bad("invalid duration"));
    }
    for name in ["memory", "goroutine", "block", "mutex", "trace", "gc"] {
        for folder in ["/profile", "/debug/pprof"] {
            let reply = server.get(8080, &format!("{folder}/{name}")).await;
            check(&reply, NO_PROFILE);
        }
    }
    check(&server.get(8080, "/debug/pprof/").await, NO_PROFILE);
    check(
        &server.send(8080, "POST /profile/cpu", &[], "").await,
        "405 |",
    );
    server.stop().await;
}

#[tokio::test]
async fn whatever_comes_nothing_breaks() {
    let server = CompatServer::start().await;
    let order = with(concat!(
        r#""id":"good","status":"paid","priority":1,"notes":"n","#,
        r#""created_at":"2024-05-06T07:08:09Z""#
    ));
    compat_bad::survives_all(&server, 8080, CREATE, &order).await;
    server.stop().await;
}
