//! Orders that were finished elsewhere: they come in with their times, and nothing is done with
//! them.
//!
//! Over a real connection to a whole server.

use orderd::http::schema;
use serde_json::{Value, json};

use crate::support::{Reply, Setup, TestServer, order_with};

/// A small order that was completed in 2025, with some fields changed.
fn finished(fields: Value) -> Value {
    let mut order = order_with(json!({
        "status": "completed",
        "created_at": "2025-02-25T12:00:00Z",
        "started_at": "2025-02-25T12:00:02Z",
        "ended_at": "2025-02-25T12:00:04.5Z",
    }));
    for (key, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => drop(order.as_object_mut().unwrap().remove(key)),
            value => order[key] = value.clone(),
        }
    }
    order
}

async fn import(server: &TestServer, orders: Value) -> Vec<Value> {
    let reply = server.post("/v1/orders/import", orders.to_string()).await;
    results(&reply)
}

fn results(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let _: schema::BatchResults = serde_json::from_slice(&reply.body).unwrap();
    reply.json()["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_finished_order_comes_in_with_its_whole_past() {
    let server = TestServer::start().await;
    let cancelled = json!({
        "order_id": "B", "status": "cancelled", "started_at": null, "reason": "out of stock"
    });
    let orders = json!([finished(json!({"order_id": "A"})), finished(cancelled)]);
    let told = import(&server, orders.clone()).await;
    assert_eq!(
        (&told[0]["status"], &told[1]["status"]),
        (&json!(201), &json!(201))
    );
    let read = server.get("/v1/orders/A").await.json();
    assert_eq!(read, told[0]["order"]);
    for (field, expected) in [
        ("status", "completed"),
        ("created_at", "2025-02-25T12:00:00.000000Z"),
        ("started_at", "2025-02-25T12:00:02.000000Z"),
        ("ended_at", "2025-02-25T12:00:04.500000Z"),
        ("updated_at", "2025-02-25T12:00:04.500000Z"),
    ] {
        assert_eq!(read[field], expected, "{field}");
    }
    assert!(read["imported_at"].is_string());
    assert_eq!(told[1]["order"]["reason"], "out of stock");
    assert_eq!(told[1]["order"]["started_at"], Value::Null);
    let events = server.get("/v1/orders/A/events").await.json();
    let events = events["data"].as_array().unwrap();
    let words: Vec<_> = events.iter().map(|it| (&it["type"], &it["at"])).collect();
    assert_eq!(
        words,
        [
            (
                &json!("order.accepted"),
                &json!("2025-02-25T12:00:00.000000Z")
            ),
            (
                &json!("order.started"),
                &json!("2025-02-25T12:00:02.000000Z")
            ),
            (
                &json!("order.completed"),
                &json!("2025-02-25T12:00:04.500000Z")
            ),
        ]
    );
    let again = import(&server, orders).await;
    for result in again {
        assert_eq!(result["problem"]["code"], "order-exists");
    }
    let stats = server.get("/v1/stats").await.json();
    let process = &stats["processes"]["default"];
    assert_eq!(stats["orders"]["by_status"]["completed"], 1);
    assert_eq!(stats["orders"]["by_status"]["cancelled"], 1);
    assert_eq!(process["average_work_ms"], 2_500.0);
    assert_eq!(process["average_turnaround_seconds"], 4.0);
    assert_eq!(stats["orders"]["open"], 0);
    server.stop().await;
}

#[tokio::test]
async fn lists_by_time_find_it_where_it_belongs() {
    let server = TestServer::start().await;
    let held = json!({"order_id": "now", "hold": {"reason": "x"}});
    server.create(&order_with(held)).await;
    import(&server, json!([finished(json!({"order_id": "then"}))])).await;
    let ids = async |query: &str| {
        let page = server.get(&format!("/v1/orders?{query}")).await.json();
        let orders = page["data"].as_array().unwrap().clone();
        let ids = orders
            .iter()
            .map(|it| it["order_id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids("limit=9").await, ["then", "now"]);
    assert_eq!(ids("created_before=2025-03-01T00:00:00Z").await, ["then"]);
    assert_eq!(ids("created_after=2025-03-01T00:00:00Z").await, ["now"]);
    assert_eq!(
        ids("status=pending&created_before=2025-03-01T00:00:00Z").await,
        [""; 0]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_finished_order_needs_no_room() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 1;
    let server = TestServer::with(setup).await;
    server.create(&order_with(json!({"process": "slow"}))).await;
    let lines = format!("{}\n\n{}\n", finished(json!({})), finished(json!({})));
    let ndjson = ["Content-Type: application/x-ndjson"];
    let reply = server.send("POST /v1/orders/import", &ndjson, lines).await;
    let statuses: Vec<_> = results(&reply)
        .iter()
        .map(|it| it["status"].clone())
        .collect();
    assert_eq!(statuses, [201, 201]);
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_past_is_named_and_harms_no_neighbour() {
    let server = TestServer::start().await;
    for (fields, pointer, code) in [
        (json!({"status": "pending"}), "/status", "unknown-status"),
        (json!({"status": null}), "/status", "missing-field"),
        (json!({"created_at": null}), "/created_at", "missing-field"),
        (json!({"ended_at": null}), "/ended_at", "missing-field"),
        (
            json!({"ended_at": "2025-02-25T11:59:59Z"}),
            "/ended_at",
            "out-of-range",
        ),
        (
            json!({"ended_at": "2999-01-01T00:00:00Z"}),
            "/ended_at",
            "out-of-range",
        ),
        (
            json!({"started_at": "2025-02-25T11:59:59Z"}),
            "/started_at",
            "out-of-range",
        ),
        (json!({"started_at": 5}), "/started_at", "wrong-type"),
        (
            json!({"created_at": "yesterday"}),
            "/created_at",
            "invalid-time",
        ),
        (json!({"reason": ""}), "/reason", "invalid-length"),
        (json!({"hold": {"reason": "x"}}), "/hold", "unknown-field"),
        (json!({"endet_at": "x"}), "/endet_at", "unknown-field"),
        (json!({"customer_id": ""}), "/customer_id", "invalid-length"),
        (
            json!({"total": {"amount": 1.5, "currency": "USD"}}),
            "/total/amount",
            "invalid-money",
        ),
    ] {
        let told = import(
            &server,
            json!([finished(fields.clone()), finished(json!({}))]),
        )
        .await;
        assert_eq!(told[0]["status"], 422, "{fields}");
        let fault = &told[0]["problem"]["errors"][0];
        let found = (
            fault["pointer"].as_str().unwrap(),
            fault["code"].as_str().unwrap(),
        );
        let pointer = if pointer == "/endet_at" { "" } else { pointer };
        assert!(
            found.0.starts_with(pointer) && found.1 == code,
            "{fields}: {fault}"
        );
        assert_eq!(told[1]["status"], 201);
    }
    let twice = r#"[{"status":"completed","status":"completed"}]"#;
    let told = results(&server.post("/v1/orders/import", twice).await);
    assert_eq!(told[0]["problem"]["errors"][0]["code"], "duplicate-field");
    let reply = server.post("/v1/orders/import", "{}").await;
    assert_eq!(reply.code(), "invalid-order");
    let plain = order_with(json!({"status": "completed"}));
    let reply = server.post("/v1/orders", plain.to_string()).await;
    assert_eq!(reply.json()["errors"][0]["code"], "unknown-field");
    server.stop().await;
}

#[tokio::test]
async fn an_import_under_a_key_is_answered_again_and_an_order_may_be_called_import() {
    let server = TestServer::start().await;
    let body = json!([finished(json!({"order_id": "import"}))]).to_string();
    let headers = ["Content-Type: application/json", "Idempotency-Key: move-1"];
    let first = server.send("POST /v1/orders/import", &headers, &body).await;
    let second = server.send("POST /v1/orders/import", &headers, &body).await;
    assert_eq!(results(&first), results(&second));
    assert_eq!(second.header("idempotency-replayed"), "true");
    let read = server.get("/v1/orders/import").await;
    assert_eq!(read.json()["order_id"], "import");
    server.stop().await;
}
