//! Whole requests, written as text: door, method and address, then headers, an empty line, the
//! body. More requests follow behind lines of four hyphens. No request brings a server down, every
//! answer has the form of its door, and what was accepted can be read back.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use orderd::http::{CODES, FIELD_CODES};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Bench;
use super::door::{Answer, Doors, NATIVE};
use super::place::Place;

const NEXT: &[u8] = b"\n----\n";
/// Most requests of an input.
const REQUESTS_MAX: usize = 8;

/// A request that can be sent more than once.
struct Told<'a> {
    door: &'a str,
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: &'a [u8],
}

/// One request after the other.
pub fn all(bench: &mut Bench, bytes: &[u8]) {
    let mut rest = Some(bytes);
    for _ in 0..REQUESTS_MAX {
        let Some(bytes) = rest else { return };
        let end = bytes.windows(NEXT.len()).position(|window| window == NEXT);
        rest = end.map(|end| &bytes[end + NEXT.len()..]);
        let (doors, place) = bench.doors();
        if let Some(told) = read(&bytes[..end.unwrap_or(bytes.len())], doors) {
            one(doors, place, &told);
        }
    }
}

fn read<'a>(bytes: &'a [u8], doors: &Doors) -> Option<Told<'a>> {
    let end = bytes.windows(2).position(|window| window == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut start = std::str::from_utf8(lines.next()?).ok()?.splitn(3, ' ');
    let door = start.next().filter(|door| doors.has(door))?;
    let method = start.next()?.parse().ok()?;
    // Only what a connection would have let through.
    let uri: Uri = start
        .next()
        .filter(|uri| uri.starts_with('/'))?
        .parse()
        .ok()?;
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        Some((name, value))
    };
    Some(Told {
        door,
        method,
        uri,
        headers: lines.map(header).collect::<Option<_>>()?,
        body,
    })
}

impl Told<'_> {
    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.to_vec()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own == name)
    }
}

fn one(doors: &mut Doors, place: &Place, told: &Told<'_>) {
    let Some(answer) = doors.send(place, told.door, told.request()) else {
        return;
    };
    let status = answer.status.as_u16();
    assert!(status < 500, "{} {}: {answer:?}", told.method, told.uri);
    if told.method == Method::HEAD {
        return;
    }
    let is_json = answer.header(CONTENT_TYPE.as_str()).contains("json");
    let value = is_json.then(|| serde_json::from_slice::<Value>(&answer.body));
    let value = value.map(|value| value.expect("what is called JSON is JSON"));
    if told.door != NATIVE {
        return dialect(told, &answer);
    }
    let value = value.unwrap_or_default();
    if status >= 400 {
        return problem(&answer, &value);
    }
    if told.method == Method::POST {
        posted(told);
    }
    if status == 201 {
        created(doors, place, told, &answer);
    }
    if told.method == Method::GET {
        page(doors, place, told, &value);
    }
}

/// Something was done with this body, so it says something.
fn posted(told: &Told<'_>) {
    let is_blank = matches!(told.body.trim_ascii(), b"");
    let mut lines = told
        .body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii);
    let is_json = |text: &[u8]| serde_json::from_slice::<&RawValue>(text).is_ok();
    let is_lines = told.uri.path().ends_with("/batch") || told.uri.path().ends_with("/import");
    let is_good = is_blank || is_json(told.body) || (is_lines && lines.any(|_| true));
    assert!(is_good, "{} took {}", told.uri, told.body.escape_ascii());
}

fn dialect(told: &Told<'_>, answer: &Answer) {
    let error = answer.header("orderd-error");
    // Routes that are not there, and methods, are refused before a dialect sees them.
    let is_told = error.contains("; ") || matches!(answer.status.as_u16(), 404 | 405);
    assert!(answer.status.as_u16() < 400 || is_told, "{answer:?}");
    if answer.status.is_success() && told.method == Method::POST {
        let body = serde_json::from_slice::<Value>(told.body);
        assert!(
            body.is_ok_and(|body| body.is_object()),
            "{} {answer:?}",
            told.uri
        );
        assert_eq!(error, "");
    }
}

fn problem(answer: &Answer, problem: &Value) {
    assert_eq!(
        answer.header(CONTENT_TYPE.as_str()),
        "application/problem+json"
    );
    let code = problem["code"].as_str().expect("a code");
    let entry = CODES
        .iter()
        .find(|entry| entry.name == code)
        .expect("a known one");
    assert_eq!(entry.status, answer.status.as_u16(), "{problem}");
    assert_eq!(problem["status"], entry.status);
    assert_eq!(problem["title"], entry.title);
    assert_eq!(problem["request_id"], "r-1");
    assert!(problem["detail"].is_string(), "{problem}");
    for fault in problem["errors"].as_array().into_iter().flatten() {
        let code = fault["code"].as_str().expect("a code");
        assert!(
            FIELD_CODES.iter().any(|(name, _)| *name == code),
            "{problem}"
        );
        let pointer = fault["pointer"].as_str().expect("a pointer");
        assert!(pointer.is_empty() || pointer.starts_with('/'), "{problem}");
    }
}

/// What was created is where it is said to be; sent again under its key, it is answered as before.
fn created(doors: &mut Doors, place: &Place, told: &Told<'_>, answer: &Answer) {
    let sent: Value = serde_json::from_slice(told.body).expect("what is accepted is JSON");
    let order: Value = serde_json::from_slice(&answer.body).expect("an order");
    assert!(!answer.header("etag").is_empty());
    let uri: Uri = answer.header("location").parse().expect("an address");
    let read = Told {
        door: NATIVE,
        method: Method::GET,
        uri,
        headers: Vec::new(),
        body: b"",
    };
    let read = doors
        .send(place, NATIVE, read.request())
        .expect("an answer");
    assert_eq!(read.status, 200, "{order}");
    let read: Value = serde_json::from_slice(&read.body).expect("an order");
    for field in [
        "order_id",
        "customer_id",
        "items",
        "total",
        "metadata",
        "notes",
        "address",
    ] {
        assert_eq!(read[field], order[field], "{field}");
    }
    assert_eq!(read["customer_id"], sent["customer_id"]);
    if told.has("idempotency-key") || sent["idempotency_key"].is_string() {
        let again = doors
            .send(place, NATIVE, told.request())
            .expect("an answer");
        assert_eq!(again.status, 201, "{again:?}");
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.header("location"), answer.header("location"));
        // The first answer may have waited for the end; what is kept is that of the acceptance.
        if !told.has("prefer") && !answer.headers.contains_key("idempotency-replayed") {
            assert_eq!(again.body, answer.body);
        }
    }
}

/// The cursor of a page is good, and leads on.
fn page(doors: &mut Doors, place: &Place, told: &Told<'_>, page: &Value) {
    let Some(cursor) = page["next_cursor"].as_str() else {
        return;
    };
    let query = told.uri.query().unwrap_or_default();
    let others = query.split('&').filter(|pair| !is_after(pair));
    let after = format!("after={cursor}");
    let query: Vec<&str> = others
        .chain([&*after])
        .filter(|pair| !pair.is_empty())
        .collect();
    let uri = format!("{}?{}", told.uri.path(), query.join("&"));
    let next = Request::get(&*uri).body(Body::empty()).expect("a request");
    let next = doors.send(place, NATIVE, next).expect("an answer");
    assert_eq!(next.status, 200, "{uri}: {next:?}");
    let next: Value = serde_json::from_slice(&next.body).expect("a page");
    for key in ["order_id", "event_id"] {
        let Some(last) = page["data"].as_array().and_then(|all| all.last()) else {
            continue;
        };
        let is_again = |entry: &Value| entry[key].is_string() && entry[key] == last[key];
        let is_order = key == "order_id" && last["event_id"].is_string();
        let again = next["data"].as_array().into_iter().flatten().any(is_again);
        assert!(is_order || !again, "{last} is on two pages of {uri}");
    }
}

/// Whether a pair of a query is the cursor, however its name is written.
fn is_after(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = behind
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    bytes == b"after"
}

/// A query of every list: it is taken, or refused as one.
pub fn query(bench: &mut Bench, bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else {
        return;
    };
    for path in [
        "/v1/orders",
        "/v1/dead-letters",
        "/v1/events",
        "/v1/orders/known/events",
    ] {
        let Ok(uri) = format!("{path}?{query}").parse::<Uri>() else {
            return;
        };
        let (doors, place) = bench.doors();
        let told = Told {
            door: NATIVE,
            method: Method::GET,
            uri,
            headers: Vec::new(),
            body: b"",
        };
        let answer = doors
            .send(place, NATIVE, told.request())
            .expect("an answer");
        let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
        match (answer.status.as_u16(), value["code"].as_str()) {
            (200, None) => {
                assert!(value["data"].is_array() && value["has_more"].is_boolean());
                page(doors, place, &told, &value);
            }
            (400, Some("bad-query" | "bad-cursor")) => problem(&answer, &value),
            (404, Some("order-not-found")) => assert!(path.contains("known")),
            _ => panic!("{}: {answer:?}", told.uri),
        }
    }
}
