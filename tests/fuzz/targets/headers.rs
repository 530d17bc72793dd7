//! The headers that are read: the first byte says which, each line of the rest is one of them. What
//! they say is read a second time here, in another way.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use orderd::compat::accept::ranks_json_first;
use orderd::compat::media_type;
use orderd::server::idempotency::{IDEMPOTENCY_KEY, fingerprint, request_key};
use serde_json::Value;

use super::Bench;
use super::door::NATIVE;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// One header, perhaps several times.
pub fn all(bench: &mut Bench, bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    let lines: Vec<&[u8]> = rest
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .collect();
    let Ok(values) = lines
        .iter()
        .map(|line| HeaderValue::from_bytes(line))
        .collect()
    else {
        return;
    };
    let values: Vec<HeaderValue> = values;
    match which {
        b'p' => prefer(bench, &values),
        b'm' => if_match(bench, &values),
        b'i' => key(&values),
        b't' => content_type(bench, &values[0]),
        b'a' => accept(&values[0]),
        _ => {}
    }
}

fn headers(name: &HeaderName, values: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.clone());
    }
    headers
}

/// The code of the refusal that a request without body gets.
fn refusal(bench: &mut Bench, path: &str, headers: HeaderMap) -> String {
    let mut request = Request::post(path).body(Body::empty()).expect("a request");
    *request.headers_mut() = headers;
    let (doors, place) = bench.doors();
    let answer = doors.send(place, NATIVE, request).expect("an answer");
    assert!(answer.status.is_client_error(), "{answer:?}");
    let problem: Value = serde_json::from_slice(&answer.body).expect("a problem");
    problem["code"].as_str().expect("a code").to_owned()
}

fn prefer(bench: &mut Bench, values: &[HeaderValue]) {
    let code = refusal(bench, "/v1/orders", headers(&PREFER, values));
    let texts = values
        .iter()
        .map(|value| value.to_str().unwrap_or_default());
    let preferences = texts.flat_map(|text| text.split(','));
    let waits = preferences.filter_map(|preference| {
        let preference = preference.split(';').next().unwrap_or_default();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        name.trim()
            .eq_ignore_ascii_case("wait")
            .then(|| value.trim().trim_matches('"').to_owned())
    });
    // The first one counts.
    let is_good = waits
        .take(1)
        .all(|wait| (1..=60).any(|n| is_number(&wait, n)));
    assert_eq!(
        code,
        if is_good {
            "malformed-json"
        } else {
            "bad-prefer"
        }
    );
}

/// Whether a text says this number, perhaps with a sign and zeros in front.
fn is_number(text: &str, number: u64) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_digits && digits.trim_start_matches('0') == number.to_string()
}

fn if_match(bench: &mut Bench, values: &[HeaderValue]) {
    let path = "/v1/orders/nobody-has-this-id/cancel";
    let code = refusal(bench, path, headers(&header::IF_MATCH, values));
    assert!(
        matches!(&*code, "order-not-found" | "bad-if-match"),
        "{code}"
    );
    let texts: Option<Vec<&str>> = values.iter().map(|value| value.to_str().ok()).collect();
    // Any list of quoted texts without quotes inside is one of entity tags.
    let is_tag = |tag: &str| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"') && !tag.contains("\"\"")
    };
    let is_plain = |text: &str| text.matches('"').count() == 2 && is_tag(text) && text.len() < 99;
    if let Some([text]) = texts.as_deref() {
        let is_good = *text == "*" || is_plain(text);
        assert!(!is_good || code == "order-not-found", "{text} was refused");
        assert!(
            text.contains('"') || *text == "*" || code == "bad-if-match",
            "{text} was taken"
        );
    }
}

fn key(values: &[HeaderValue]) {
    let read = request_key(&headers(&IDEMPOTENCY_KEY, values), "scope", b"sent");
    let is_good = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    match (read, values) {
        (Ok(Some(key)), [value]) => {
            assert!(is_good(value));
            assert_eq!(key.key.as_bytes(), value.as_bytes());
            assert_eq!(key.fingerprint, fingerprint(b"sent"));
        }
        (Err(_), values) => assert!(values.len() > 1 || !is_good(&values[0])),
        (Ok(key), values) => panic!("{key:?} of {values:?}"),
    }
}

fn content_type(bench: &mut Bench, value: &HeaderValue) {
    let headers = headers(&header::CONTENT_TYPE, std::slice::from_ref(value));
    let is_json = media_type::must_be_json(&headers).is_ok();
    let code = refusal(bench, "/v1/orders", headers);
    assert_eq!(code == "malformed-json", is_json, "{value:?}: {code}");
    assert!(
        is_json || code == "unsupported-media-type",
        "{value:?}: {code}"
    );
}

fn accept(value: &HeaderValue) {
    let text = value.to_str().unwrap_or_default();
    let names_json = text.to_ascii_lowercase().contains("json");
    let can_rank = names_json || text.contains('*');
    assert!(!ranks_json_first(Some(value)) || can_rank, "{text}");
}
