//! The views for people with a SQL prompt, on every database: they say what the API says of the
//! same orders, whatever the session's time zone is.

use orderd::clock::Timestamp;
use orderd::order::{Currency, Money};
use serde_json::{Value, json};

use crate::chosen::BACKENDS;
use crate::databases::{Place, mysql, postgres, sqlite};
use crate::rows::{Row, ask};
use crate::support::{Setup, TestServer, order_with, process, within};

const FAR: &str = "9998-12-31T23:59:59.999999Z";

/// A place on each database that is not left out by request.
fn places() -> impl Iterator<Item = Box<dyn Place>> {
    BACKENDS.iter().filter_map(|(_, place)| place())
}

/// A server on a place.
async fn on(place: Box<dyn Place>) -> TestServer {
    let mut setup = Setup {
        place: Some(place),
        ..Setup::default()
    };
    for name in ["order_service", "api_v1", "orders_api"] {
        setup.processes.push(process(name, 0, 0));
    }
    TestServer::with(setup).await
}

/// Creates an order, and waits until it is done, dead, or rests.
async fn create(server: &TestServer, id: &str, fields: Value) {
    let mut order = order_with(fields);
    order["order_id"] = json!(id);
    let rests = order["hold"].is_object() || order["start_at"].is_string();
    let wait = if rests {
        "Prefer: a=b"
    } else {
        "Prefer: wait=60"
    };
    let headers = ["Content-Type: application/json", wait];
    let sent = server.send("POST /v1/orders", &headers, order.to_string());
    let reply = within(sent).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

async fn change(server: &TestServer, path: &str, body: Value) {
    let reply = server.post(path, body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn money(amount: i64, currency: &str) -> Value {
    json!({"amount": amount, "currency": currency})
}

/// Orders of many kinds.
async fn fill(server: &TestServer) {
    let lines = json!([
        {"sku": "tea", "quantity": 2, "unit_price": 1_250},
        {"sku": "o'clock \"x\" \\ 漢字", "quantity": 1, "unit_price": 700, "amount": 5},
    ]);
    let whole = json!({"items": lines, "total": money(2_505, "USD"), "customer_id": "Zoë \\ '%_"});
    create(server, "whole", whole).await;
    let items = json!(["tea", "o'clock \"x\" \\ 漢字"]);
    create(
        server,
        "yen",
        json!({"items": items, "total": money(500, "JPY")}),
    )
    .await;
    let fields = json!({"items": items, "total": money(1_234, "KWD"), "process": "failing"});
    create(server, "dead", fields).await;
    let hold = json!({"reason": "\"fraud\"? ünsure", "by": "ada", "until": FAR});
    let total = money(i64::MAX, "CLF");
    create(
        server,
        "held",
        json!({"items": items, "total": total, "hold": hold}),
    )
    .await;
    let asked = json!({"priority": 1, "by": "ada", "reason": "she called"});
    change(server, "/v1/orders/held/priority", asked).await;
    let fields = json!({
        "items": items, "total": money(5, "EUR"), "start_at": FAR,
        "expires_at": "9999-12-30T00:00:00.000001Z"
    });
    create(server, "later", fields).await;
    let fields = json!({"items": items, "total": money(0, "EUR"), "hold": {"reason": "a"}});
    create(server, "gone", fields).await;
    change(server, "/v1/orders/gone/cancel", json!({"reason": "twice"})).await;
    let mut past = order_with(json!({"order_id": "past", "status": "completed"}));
    for (at, name) in ["created_at", "started_at", "ended_at"].iter().enumerate() {
        past[name] = json!(format!("2025-02-25T12:00:0{at}.5Z"));
    }
    change(server, "/v1/orders/import", json!([past])).await;
}

const IDS: [&str; 7] = ["whole", "yen", "dead", "held", "later", "gone", "past"];

/// A value of the API as a text.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A time as the API writes it.
fn iso(text: &str) -> String {
    let utc = text.replace(' ', "T");
    let utc = if utc.ends_with('Z') { utc } else { utc + "Z" };
    Timestamp::parse_rfc3339(&utc).unwrap().to_string()
}

/// An amount with its own decimals, and without its currency.
fn decimal(minor: i64, currency: &str) -> String {
    let money = Money::new(minor, Currency::from_code(currency).unwrap()).unwrap();
    let shown = money.to_string();
    shown.split(' ').next().unwrap().to_owned()
}

/// Takes the columns that hold times, in the form of the API.
fn with_times(mut row: Row) -> Row {
    for (name, value) in &mut row {
        if name == "at"
            || ["_at", "_since", "_until"]
                .iter()
                .any(|it| name.ends_with(it))
        {
            *value = iso(value);
        }
    }
    row
}

/// What a row must have, by where the API has it.
fn expected(value: &Value, places: &[(&str, &str)]) -> Row {
    let places = places.iter();
    let found = places
        .filter_map(|(column, place)| Some(((*column).to_owned(), text(value.pointer(place))?)));
    found.collect()
}

#[tokio::test]
async fn orders_are_listed_as_the_api_shows_them() {
    for place in places() {
        let url = place.url();
        let server = on(place).await;
        fill(&server).await;
        for id in IDS {
            let order = server.get(&format!("/v1/orders/{id}")).await.json();
            let sql = format!("SELECT * FROM order_list WHERE order_id = '{id}'");
            let mut row = with_times(ask(&url, &sql).pop().unwrap());
            let mut whole = expected(&order, &LISTED);
            let (minor, currency) = (&order["total"]["amount"], &order["total"]["currency"]);
            let total = decimal(minor.as_i64().unwrap(), currency.as_str().unwrap());
            whole.insert("total".into(), total);
            let due = ["ready_at", "dead_since"]
                .iter()
                .find_map(|it| text(order.get(it)));
            whole.extend(due.map(|due| ("due_at".into(), due)));
            let count = order["items"].as_array().unwrap().len();
            whole.insert("item_count".into(), count.to_string());
            let payload: Value = serde_json::from_str(&row.remove("payload").unwrap()).unwrap();
            assert_eq!(payload["items"], order["items"]);
            let is_final = row.remove("is_final").unwrap();
            let has_ended = order["ended_at"].is_string();
            assert_eq!(["t", "1"].contains(&&*is_final), has_ended, "{id}");
            if order["step"].is_null() {
                row.remove("step");
            }
            assert!(row.remove("seq").is_some());
            assert_eq!(row, whole, "{url}");
        }
        server.stop().await;
    }
}

const LISTED: [(&str, &str); 23] = [
    ("order_id", "/order_id"),
    ("customer_id", "/customer_id"),
    ("status", "/status"),
    ("version", "/version"),
    ("priority", "/priority"),
    ("process", "/process"),
    ("process_version", "/process_version"),
    ("step", "/step"),
    ("attempt", "/attempt"),
    ("total_minor", "/total/amount"),
    ("currency", "/total/currency"),
    ("reason", "/reason"),
    ("hold_reason", "/hold/reason"),
    ("hold_by", "/hold/by"),
    ("hold_since", "/hold/since"),
    ("hold_until", "/hold/until"),
    ("created_at", "/created_at"),
    ("imported_at", "/imported_at"),
    ("start_at", "/start_at"),
    ("expires_at", "/expires_at"),
    ("started_at", "/started_at"),
    ("updated_at", "/updated_at"),
    ("ended_at", "/ended_at"),
];

#[tokio::test]
async fn items_are_listed_line_by_line() {
    for place in places() {
        let url = place.url();
        let server = on(place).await;
        fill(&server).await;
        for id in IDS {
            let order = server.get(&format!("/v1/orders/{id}")).await.json();
            let currency = order["total"]["currency"].as_str().unwrap();
            let lines = order["items"].as_array().unwrap().iter().zip(1..);
            let lines = lines.map(|(item, line)| {
                let mut row = expected(
                    item,
                    &[
                        ("sku", "/sku"),
                        ("quantity", "/quantity"),
                        ("unit_price_minor", "/unit_price"),
                        ("amount_minor", "/amount"),
                    ],
                );
                if let Some(plain) = item.as_str() {
                    row.insert("sku".into(), plain.into());
                    row.insert("quantity".into(), "1".into());
                }
                for name in ["unit_price", "amount"] {
                    if let Some(minor) = item[name].as_i64() {
                        row.insert(name.into(), decimal(minor, currency));
                    }
                }
                row.insert("order_id".into(), id.into());
                row.insert("currency".into(), currency.into());
                row.insert("line".into(), i32::to_string(&line));
                row
            });
            let sql = format!("SELECT * FROM order_item WHERE order_id = '{id}' ORDER BY line");
            assert_eq!(ask(&url, &sql), lines.collect::<Vec<_>>(), "{url}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn events_and_dead_letters_are_listed_as_the_api_shows_them() {
    for place in places() {
        let url = place.url();
        let server = on(place).await;
        fill(&server).await;
        let mut count = 0;
        for id in IDS {
            let told = server.get(&format!("/v1/orders/{id}/events")).await.json();
            let told = told["data"].as_array().unwrap();
            let sql = format!("SELECT * FROM order_event WHERE order_id = '{id}' ORDER BY version");
            let rows = ask(&url, &sql);
            assert_eq!(rows.len(), told.len(), "{url}: {id}");
            for (row, event) in rows.into_iter().zip(told) {
                let mut row = with_times(row);
                let (position, _) = event["event_id"].as_str().unwrap().split_once('-').unwrap();
                assert_eq!(row.remove("position").as_deref(), Some(position));
                assert_eq!(row, expected(event, &EVENT), "{url}");
                count += 1;
            }
        }
        assert!(count >= 18, "{count}");
        let dead = server.get("/v1/dead-letters").await.json();
        let rows = ask(&url, "SELECT * FROM dead_letter");
        assert_eq!(rows.len(), 1, "{url}");
        let mut row = with_times(rows.into_iter().next().unwrap());
        assert!(row.remove("seq").is_some());
        let mut whole = expected(&dead["data"][0], &DEAD);
        whole.insert("total".into(), "1.234".into());
        assert_eq!(row, whole, "{url}");
        server.stop().await;
    }
}

const EVENT: [(&str, &str); 12] = [
    ("event_id", "/event_id"),
    ("order_id", "/order_id"),
    ("version", "/version"),
    ("type", "/type"),
    ("status", "/status"),
    ("at", "/at"),
    ("step", "/step"),
    ("attempt", "/attempt"),
    ("reason", "/reason"),
    ("asked_by", "/by"),
    ("hold_until", "/until"),
    ("priority", "/priority"),
];

const DEAD: [(&str, &str); 12] = [
    ("order_id", "/order_id"),
    ("customer_id", "/customer_id"),
    ("priority", "/priority"),
    ("process", "/process"),
    ("process_version", "/process_version"),
    ("step", "/step"),
    ("attempt", "/attempt"),
    ("reason", "/reason"),
    ("dead_since", "/dead_since"),
    ("created_at", "/created_at"),
    ("total_minor", "/total/amount"),
    ("currency", "/total/currency"),
];

/// The table in the schema is made by hand.
#[tokio::test]
async fn every_currency_has_its_decimals() {
    for place in places() {
        let url = place.url();
        let server = on(place).await;
        let rows = ask(&url, "SELECT * FROM currency_decimals");
        let (mut known, mut odd) = (0, 0);
        for number in 0..26 * 26 * 26 {
            let letters = [number / 676, number / 26 % 26, number % 26];
            let code: String = letters
                .iter()
                .map(|it| char::from(b'A' + *it as u8))
                .collect();
            let row = rows.iter().find(|row| row["currency"] == code);
            let Some(currency) = Currency::from_code(&code) else {
                assert!(row.is_none(), "{url}: there is no {code}");
                continue;
            };
            known += 1;
            odd += usize::from(row.is_some());
            let decimals = row.map_or("2", |row| &row["decimals"]);
            assert_eq!(decimals, currency.decimals().to_string(), "{url}: {code}");
            let units = row.map_or("100", |row| &row["units"]);
            let expected = 10_u32.pow(currency.decimals());
            assert_eq!(units, expected.to_string(), "{url}: {code}");
        }
        assert!(known > 150 && odd == rows.len(), "{known} {odd}");
        server.stop().await;
    }
}

/// Orders of a dialect that fit its old columns, and some that do not.
async fn of_dialect(server: &TestServer, name: &str, items: Value, customer: &str) {
    let order = |fields: Value| {
        let mut order = json!({
            "process": name, "items": items, "customer_id": customer, "total": money(9_999, "USD")
        });
        for (key, value) in fields.as_object().unwrap() {
            order[key] = value.clone();
        }
        order
    };
    create(server, "done", order(json!({}))).await;
    create(server, "yen", order(json!({"total": money(500, "JPY")}))).await;
    let held = order(json!({"hold": {"reason": "x"}}));
    create(server, "held", held.clone()).await;
    create(server, "gone", held).await;
    change(server, "/v1/orders/gone/cancel", json!({})).await;
    create(
        server,
        "dinar",
        order(json!({"total": money(1_234, "KWD")})),
    )
    .await;
    create(server, &"x".repeat(37), order(json!({}))).await;
    create(server, "far", order(json!({"customer_id": "c".repeat(37)}))).await;
    let long = json!({"items": [{"sku": "y".repeat(37), "quantity": 1}]});
    create(server, "long", order(long)).await;
    create(
        server,
        "dear",
        order(json!({"total": money(i64::MAX, "JPY")})),
    )
    .await;
    create(server, "other", json!({})).await;
}

/// Some columns of a view, in the order of ids.
fn cells(url: &str, view: &str, columns: &str) -> Vec<String> {
    let sql = format!("SELECT {columns} FROM {view} ORDER BY order_id");
    let names: Vec<&str> = columns.split(", ").collect();
    let row = |row: Row| {
        let values = names
            .iter()
            .map(|it| row.get(*it).map_or("-", String::as_str));
        values.collect::<Vec<_>>().join(" ")
    };
    ask(url, &sql).into_iter().map(row).collect()
}

/// A time of an order, to the second.
async fn seconds(server: &TestServer, id: &str, name: &str) -> String {
    let order = server.get(&format!("/v1/orders/{id}")).await.json();
    order[name].as_str().unwrap()[..19].replace('T', " ")
}

/// The types of a view's columns on MySQL, without what the server adds to them for itself.
fn types(url: &str, view: &str) -> String {
    let sql = format!(
        "SELECT column_type AS type FROM information_schema.columns
          WHERE table_schema = DATABASE() AND table_name = '{view}' ORDER BY ordinal_position"
    );
    let types = ask(url, &sql).into_iter().map(|row| row["type"].clone());
    let types = types.map(|it| it.split(" /*").next().unwrap().to_owned());
    types.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn reports_of_order_service_find_their_tables() {
    let Some(place) = mysql::place() else { return };
    let url = place.url();
    let server = on(place).await;
    let items = json!(["a", {"sku": "b", "quantity": 2}, "a"]);
    of_dialect(&server, "order_service", items, "ada").await;
    let view = "compat_order_service_orders";
    let said = cells(&url, view, "order_id, user_id, total_amount, status");
    let rows = [
        "done ada 99.99 Completed",
        "gone ada 99.99 Cancelled",
        "held ada 99.99 Pending",
        "long ada 99.99 Completed",
        "yen ada 500.00 Completed",
    ];
    assert_eq!(said, rows);
    let times = cells(&url, view, "created_at, completed_at");
    let created = seconds(&server, "done", "created_at").await;
    let ended = seconds(&server, "done", "ended_at").await;
    assert_eq!(times[0], format!("{created} {ended}"));
    assert!(times[1].ends_with(" -"), "{times:?}");
    let items = cells(
        &url,
        "compat_order_service_order_items",
        "order_id, item_id",
    );
    assert_eq!(items.len(), 2 * 4, "{items:?}");
    assert!(items.iter().any(|it| it == "done a") && items.iter().any(|it| it == "done b"));
    let texts = "varchar(36), varchar(36)";
    let rest = "decimal(10,2), varchar(10), datetime, datetime";
    assert_eq!(
        types(&url, "compat_order_service_orders"),
        format!("{texts}, {rest}")
    );
    assert_eq!(types(&url, "compat_order_service_order_items"), texts);
    server.stop().await;
}

#[tokio::test]
async fn reports_of_api_v1_find_their_table() {
    let Some(place) = postgres::place() else {
        return;
    };
    let url = place.url();
    let server = on(place).await;
    let items = json!(["1", {"sku": "-20", "quantity": 2}, "2147483647"]);
    of_dialect(&server, "api_v1", items, "-7").await;
    for (at, customer) in ["007", "2147483648", "1e3", "٣"].iter().enumerate() {
        let fields = json!({"process": "api_v1", "items": ["1"], "customer_id": customer});
        create(&server, &format!("bad-{at}"), fields).await;
    }
    let view = "compat_api_v1_orders";
    let columns = "order_id, user_id, item_ids, total_amount, status";
    let x = "x".repeat(37);
    let whole = |id: &str, rest: &str| format!("{id} -7 {{1,-20,2147483647}} {rest}");
    let rows = [
        whole("done", "99.99 Completed"),
        whole("gone", "99.99 Cancelled"),
        whole("held", "99.99 Pending"),
        whole(&x, "99.99 Completed"),
        whole("yen", "500.00 Completed"),
    ];
    assert_eq!(cells(&url, view, columns), rows);
    // A condition that may be looked at before those of the view.
    let picked = format!("{view} WHERE user_id = -7 AND total_amount > 100");
    let sql = format!("SELECT order_id FROM {picked}");
    assert_eq!(ask(&url, &sql).len(), 1);
    let order = server.get("/v1/orders/done").await.json();
    let at = |name: &str| Timestamp::parse_rfc3339(order[name].as_str().unwrap()).unwrap();
    let micros = at("ended_at").micros_since(at("started_at"));
    let times = cells(&url, view, "processing_time, created_at");
    let (took, created) = times[0].split_once(' ').unwrap();
    assert_eq!(
        took,
        format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    );
    assert_eq!(iso(created), order["created_at"].as_str().unwrap());
    assert!(times[1].starts_with("- "), "{times:?}");
    let columns = "SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
                    WHERE attrelid = 'compat_api_v1_orders'::regclass AND attnum > 0
                    ORDER BY attnum";
    let types: Vec<_> = ask(&url, columns)
        .into_iter()
        .map(|row| row["type"].clone())
        .collect();
    let words = "text, integer, integer[], numeric(19,2), text, numeric(16,6), \
                 timestamp without time zone";
    assert_eq!(types.join(", "), words);
    server.stop().await;
}

#[tokio::test]
async fn reports_of_orders_api_find_their_table() {
    let place = sqlite::place().unwrap();
    let url = place.url();
    let server = on(place).await;
    of_dialect(
        &server,
        "orders_api",
        json!(["a", {"sku": "2", "quantity": 2}]),
        "ada",
    )
    .await;
    let view = "compat_orders_api_orders WHERE length(order_id) < 10 AND length(user_id) < 9";
    let columns = "order_id, user_id, item_ids, total_amount, status, total_minor";
    let rows = [
        "dear ada [\"a\",\"2\"] 9223372036854776000 Completed 9223372036854775807".into(),
        "dinar ada [\"a\",\"2\"] 1.234 Completed 1234".into(),
        "done ada [\"a\",\"2\"] 99.99 Completed 9999".into(),
        "gone ada [\"a\",\"2\"] 99.99 Cancelled 9999".into(),
        "held ada [\"a\",\"2\"] 99.99 Pending 9999".into(),
        format!("long ada [\"{}\"] 99.99 Completed 9999", "y".repeat(37)),
        "yen ada [\"a\",\"2\"] 500 Completed 500".into(),
    ];
    assert_eq!(cells(&url, view, columns), rows);
    let times = cells(&url, view, "created_at, completed_at");
    let created = seconds(&server, "done", "created_at").await;
    let ended = seconds(&server, "done", "ended_at").await;
    assert_eq!(times[2], format!("{created} {ended}"));
    assert!(times[3].ends_with(" -"), "{times:?}");
    server.stop().await;
}
