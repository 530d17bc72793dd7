//! The shop in `examples/shop`, small and short: its programs are killed for some seconds, and its
//! own proof must hold. One whose payment service is careless must be found out by it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What it says in the end, and whether that is good. It bounds its own time.
fn run(arguments: &[&str]) -> (Value, bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop/run");
    let output = Command::new("python3")
        .arg(path)
        .args(["--json", "--orderd", env!("CARGO_BIN_EXE_orderd")])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    let result = serde_json::from_slice(&output.stdout);
    let result = result.unwrap_or_else(|error| panic!("{error}: {told}"));
    (result, output.status.success())
}

fn exceptions<'a>(result: &'a Value, claim: &str) -> &'a [Value] {
    let claims = result["claims"].as_array().unwrap();
    let claim = claims.iter().find(|one| one["name"] == claim).unwrap();
    assert!(claim["looked_at"].as_u64().unwrap() > 0, "{claim}");
    claim["exceptions"].as_array().unwrap()
}

fn counted(result: &Value, group: &str, name: &str) -> u64 {
    result[group][name].as_u64().unwrap_or(0)
}

#[test]
fn its_books_are_right_after_a_bad_day() {
    let (result, is_good) = run(&["--orders", "60", "--seconds", "8", "--seed", "7"]);
    assert!(is_good, "{result:#}");
    // It was one.
    assert!(counted(&result, "kills", "orderd") > 0, "{result:#}");
    for call in ["charge", "lookup", "void"] {
        let count = counted(&result, "calls", &format!("payment: {call}"));
        assert!(count > 0, "{call}: {result:#}");
    }
    for status in ["completed", "cancelled", "rejected"] {
        let count = counted(&result, "orders", status);
        assert!(count > 0, "{status}: {result:#}");
    }
}

#[test]
fn a_careless_payment_service_is_found_out() {
    let careless = ["--careless", "--pranks", "0.4", "--orders", "40"];
    let (result, is_good) = run(&[&careless[..], &["--seconds", "3", "--seed", "7"]].concat());
    assert!(!is_good);
    let doubled = exceptions(&result, "nobody was charged twice");
    assert!(!doubled.is_empty(), "{result:#}");
}
