//! Tests of what comes in: good orders survive, bad ones get the right code and pointer, and no
//! bytes make it panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::batch;
use super::code::{Code, FIELD_CODES};
use super::error::ApiError;
use super::wire::order;
use crate::order::{NewOrder, Process, Processes};

fn processes() -> Processes {
    Processes::new(vec![Process::built_in()], Vec::new()).unwrap()
}

fn read(body: &[u8]) -> Result<NewOrder, ApiError> {
    order(body, &processes())
}

fn good() -> Value {
    json!({
        "customer_id": "c1",
        "items": [{"sku": "A", "quantity": 2, "unit_price": 500}, "plain"],
        "total": {"amount": 9_999, "currency": "USD"}
    })
}

/// The one fault of a body: pointer and code.
fn fault(body: &str) -> (String, &'static str) {
    let error = read(body.as_bytes()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidOrder, "{body}: {error:?}");
    let [fault] = error.faults() else {
        panic!("{body}: {:?}", error.faults());
    };
    let known = FIELD_CODES.iter().any(|(name, _)| *name == fault.code);
    assert!(known, "{} is not in the table", fault.code);
    (fault.pointer.clone(), fault.code)
}

/// The fault of a good order with one place changed; `null` takes it away.
fn fault_with(pointer: &str, value: &str) -> (String, &'static str) {
    let mut order = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap();
    match key.parse::<usize>() {
        Ok(at) => parent[at] = json!("@"),
        Err(_) => parent[key] = json!("@"),
    }
    fault(&order.to_string().replace("\"@\"", value))
}

#[test]
fn every_bad_field_is_named_with_a_pointer() {
    let cases = [
        ("/customer_id", "7", "wrong-type"),
        ("/customer_id", "null", "wrong-type"),
        ("/customer_id", "\"\"", "invalid-length"),
        ("/customer_id", "\"a\\u0007\"", "invalid-character"),
        ("/order_id", "\"a b\"", "invalid-character"),
        ("/order_id", "\"\"", "invalid-length"),
        ("/items", "{}", "wrong-type"),
        ("/items", "[]", "invalid-length"),
        ("/items/0/quantity", "0", "out-of-range"),
        ("/items/0/quantity", "-3", "out-of-range"),
        ("/items/0/quantity", "1.5", "wrong-type"),
        ("/items/0/quantity", "\"1\"", "wrong-type"),
        ("/items/0/quantity", "99999999999999999999", "out-of-range"),
        ("/items/0/unit_price", "4.99", "invalid-money"),
        ("/items/0/unit_price", "-1", "out-of-range"),
        ("/items/0/unit_price", "9223372036854775807", "out-of-range"),
        ("/items/0/colour", "1", "unknown-field"),
        ("/items/1", "7", "wrong-type"),
        ("/total", "99.99", "wrong-type"),
        ("/total/amount", "99.99", "invalid-money"),
        ("/total/amount", "1e3", "invalid-money"),
        ("/total/amount", "1e999", "out-of-range"),
        ("/total/amount", "\"99.99\"", "wrong-type"),
        ("/total/amount", "-1", "out-of-range"),
        ("/total/amount", "9223372036854775808", "out-of-range"),
        ("/total/amount", "-9223372036854775809", "out-of-range"),
        ("/total/amount", "99999999999999999999999", "out-of-range"),
        ("/total/currency", "\"usd\"", "unknown-currency"),
        ("/total/currency", "\"ZZZ\"", "unknown-currency"),
        ("/priority", "0", "out-of-range"),
        ("/priority", "4", "out-of-range"),
        ("/priority", "\"high\"", "wrong-type"),
        ("/process", "\"nope\"", "unknown-process"),
        ("/metadata", "{\"a\":1}", "wrong-type"),
        ("/metadata", "[]", "wrong-type"),
        ("/start_at", "\"tomorrow\"", "invalid-time"),
        ("/expires_at", "5", "wrong-type"),
        ("/custmer_id", "\"x\"", "unknown-field"),
        ("/address", "{\"street\":\"x\"}", "wrong-type"),
    ];
    for (pointer, value, code) in cases {
        let (found, found_code) = fault_with(pointer, value);
        assert_eq!(found_code, code, "{pointer} = {value}");
        let inside = found.strip_prefix(pointer);
        assert!(inside.is_some(), "{pointer} = {value}: {found}");
    }
}

#[test]
fn missing_and_doubled_fields_are_named() {
    for pointer in [
        "/customer_id",
        "/items",
        "/total",
        "/total/currency",
        "/items/0/sku",
    ] {
        let mut order = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = order.pointer_mut(parent).unwrap();
        parent.as_object_mut().unwrap().remove(key);
        let found = fault(&order.to_string());
        assert_eq!(found, (pointer.to_owned(), "missing-field"));
    }
    let doubled = r#"{"customer_id":"a","customer_id":"b"}"#;
    assert_eq!(
        fault(doubled),
        ("/customer_id".to_owned(), "duplicate-field")
    );
    let doubled = fault_with("/metadata", r#"{"a":"1","a":"2"}"#);
    assert_eq!(doubled, ("/metadata".to_owned(), "duplicate-field"));
}

#[test]
fn a_misspelt_field_gets_a_hint() {
    let hint = |field: &str| {
        let mut order = good();
        order[field] = json!("x");
        let error = read(order.to_string().as_bytes()).unwrap_err();
        error.faults()[0].detail.clone()
    };
    assert!(hint("customerId2").contains("did you mean customer_id?"));
    assert!(hint("Priority").contains("did you mean priority?"));
    assert_eq!(hint("zzzzzzzz"), "there is no such field");
}

#[test]
fn lines_that_do_not_add_up_are_refused() {
    let mut order = good();
    order["items"] = json!([{"sku": "A", "quantity": 2, "unit_price": 500}]);
    let found = fault(&order.to_string());
    assert_eq!(found, ("/total/amount".to_owned(), "sum-mismatch"));
    order["total"]["amount"] = json!(1_000);
    assert_eq!(
        read(order.to_string().as_bytes()).unwrap().total.minor(),
        1_000
    );
}

#[test]
fn what_is_not_json_is_told_apart_from_what_is_not_an_order() {
    let code = |body: &[u8]| read(body).unwrap_err().code();
    for body in [
        "",
        "  \n",
        "{",
        "{\"a\":}",
        "nope",
        "{} {}",
        "[1,]",
        "{\"customer_id\":\"\\ud800\"}",
    ] {
        assert_eq!(code(body.as_bytes()), Code::MalformedJson, "{body}");
    }
    assert_eq!(code(b"{\"customer_id\":\"\xff\"}"), Code::MalformedJson);
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(code(deep(33).as_bytes()), Code::TooDeep);
    assert_eq!(code(deep(100_000).as_bytes()), Code::TooDeep);
    assert_eq!(code(deep(32).as_bytes()), Code::InvalidOrder);
    for body in ["[]", "7", "null", "\"x\"", "{}"] {
        assert_eq!(code(body.as_bytes()), Code::InvalidOrder, "{body}");
    }
}

#[test]
fn null_is_absent_for_what_may_be_absent() {
    let mut order = good();
    let optional = [
        "order_id",
        "priority",
        "process",
        "address",
        "notes",
        "metadata",
        "start_at",
        "expires_at",
    ];
    for field in optional {
        order[field] = Value::Null;
    }
    order["items"][0]["amount"] = Value::Null;
    assert!(read(order.to_string().as_bytes()).is_ok());
}

#[test]
fn a_bad_order_of_a_batch_does_not_touch_its_neighbours() {
    let good = good().to_string();
    let outcomes = |read: Vec<batch::Read>| -> Vec<_> {
        read.into_iter()
            .map(|order| order.map_err(|unfit| unfit.error.code()).err())
            .collect()
    };
    let array = format!("[{good},{{}},7,{good}]");
    let expected = [
        None,
        Some(Code::InvalidOrder),
        Some(Code::InvalidOrder),
        None,
    ];
    let read = batch::array(array.as_bytes(), &processes()).unwrap();
    assert_eq!(outcomes(read), expected);
    let lines = format!("{good}\r\n\n{{\n  {good}  ");
    let read = batch::lines(lines.as_bytes(), &processes()).unwrap();
    assert_eq!(outcomes(read), [None, Some(Code::MalformedJson), None]);
}

#[test]
fn items_beyond_the_limit_are_counted_and_not_read() {
    let mut order = good();
    order["items"] = json!(vec!["x"; 1_001]);
    order["items"]
        .as_array_mut()
        .unwrap()
        .push(json!({"sku": 7}));
    let body = order.to_string();
    assert_eq!(fault(&body), ("/items".into(), "invalid-length"));
    let cut = body.replace("{\"sku\":7}", "{\"sku\":");
    assert_eq!(
        read(cut.as_bytes()).unwrap_err().code(),
        Code::MalformedJson
    );
    order["items"].as_array_mut().unwrap().truncate(1_000);
    assert_eq!(
        read(order.to_string().as_bytes()).unwrap().item_count,
        1_000
    );
}

#[test]
fn a_batch_full_of_faults_is_answered_in_proportion() {
    let mut bad = good();
    (bad["customer_id"], bad["items"]) = ("".into(), json!(vec![""; 1_000]));
    let body = format!("{bad}\n").repeat(50);
    let results = batch::lines(body.as_bytes(), &processes()).unwrap();
    let kept = |read: &batch::Read| read.as_ref().unwrap_err().error.faults().len();
    assert!(results.iter().all(|read| kept(read) == 20));
    let refused = |read: batch::Read| batch::ItemResult::Refused(read.unwrap_err().error);
    let answer = batch::results(&results.into_iter().map(refused).collect::<Vec<_>>());
    assert!(
        answer.len() < body.len(),
        "{} for {}",
        answer.len(),
        body.len()
    );
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["results"][0]["problem"]["errors_left_out"], 981);
}

#[test]
fn a_batch_that_cannot_be_taken_apart_is_refused_as_a_whole() {
    let code = |body: &str| {
        batch::array(body.as_bytes(), &processes())
            .unwrap_err()
            .code()
    };
    assert_eq!(code("[{}"), Code::MalformedJson);
    assert_eq!(code(""), Code::MalformedJson);
    assert_eq!(code("{}"), Code::InvalidOrder);
    let many = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert_eq!(code(&many(10_001)), Code::BatchTooLarge);
    let read = batch::array(many(10_000).as_bytes(), &processes()).unwrap();
    assert_eq!(read.len(), 10_000);
    let lines = "0\n".repeat(10_001);
    let error = batch::lines(lines.as_bytes(), &processes()).unwrap_err();
    assert_eq!(error.code(), Code::BatchTooLarge);
    assert!(batch::array(b"[]", &processes()).unwrap().is_empty());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = batch::array(&bytes, &processes());
        let _ = batch::lines(&bytes, &processes());
    }

    #[test]
    fn no_mutilated_order_makes_it_panic(at in 0..200_usize, byte: u8) {
        let mut bytes = good().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Err(error) = read(&bytes) {
            prop_assert!((400..500).contains(&error.status()));
        }
        bytes.truncate(at);
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn good_orders_survive(
        (customer, sku) in ("[^\\p{C}]{1,40}", "[^\\p{C}]{1,40}"),
        (quantity, price) in (1..1_000_i64, 0..1_000_000_i64),
        notes in proptest::option::of("[^\0]{0,40}"),
        id in proptest::option::of(
            "[!-~]{1,64}".prop_filter("a path segment", |id| id != "." && id != "..")
        ),
        priority in proptest::option::of(1..=3_i64),
    ) {
        let body = json!({
            "order_id": id,
            "customer_id": customer,
            "items": [{"sku": sku, "quantity": quantity, "unit_price": price}],
            "total": {"amount": quantity * price, "currency": "EUR"},
            "priority": priority,
            "notes": notes,
            "metadata": {"k\"": "v\\"},
        });
        let order = read(body.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&*order.customer_id, &*customer);
        prop_assert_eq!(order.total.minor(), quantity * price);
        prop_assert_eq!(order.id.chosen().map(ToString::to_string), id);
        prop_assert_eq!(i64::from(order.priority.number()), priority.unwrap_or(2));
        let payload: Value = serde_json::from_str(&order.payload).unwrap();
        prop_assert_eq!(&payload["items"], &body["items"]);
        prop_assert_eq!(&payload["metadata"], &body["metadata"]);
        prop_assert_eq!(payload.get("notes"), body.get("notes").filter(|v| !v.is_null()));
    }
}
