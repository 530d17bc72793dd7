//! Everything that clients get wrong, for any dialect: whatever comes, the answer is never a 5xx,
//! nothing hangs, nothing is stored that was not answered for, and the server goes on.
//!
//! What exactly is answered is tested where each dialect is.

use serde_json::Value;

use crate::compat_support::CompatServer;

const JSON: &str = "Content-Type: application/json";

/// Bodies that are not one JSON value, or not an object.
const BODIES: &[&[u8]] = &[
    b"",
    b" \r\n\t",
    b"{",
    b"}",
    b"null",
    b"true",
    b"[]",
    b"[{}]",
    b"7",
    b"\"text\"",
    b"{}",
    b"{} {}",
    b"{}x",
    b"{\"a\":1,}",
    b"{a:1}",
    b"{'a':1}",
    b"{\"a\":01}",
    b"{\"a\":+1}",
    b"{\"a\":.5}",
    b"{\"a\":NaN}",
    b"{\"a\":\"\x01\"}",
    b"{\"a\":\"\\x\"}",
    b"{\"\\ud800\":1}",
    b"{\"a\":\"\\udc00\"}",
    b"{\"a\":\"\xff\xfe\"}",
    b"\xef\xbb\xbf{}",
    b"\xff\xff\xff\xff",
    b"\x00",
    b"\x1f\x8b\x08\x00",
    b"a=b&c=d",
    b"<order/>",
];

/// Values that are put into every field.
const VALUES: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "[null]",
    "[[]]",
    "[{}]",
    "[\"\\u0000\"]",
    "[1e999]",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"a\\nb\"",
    "\"\\ud83d\\ude00\"",
    "\"a/../b?c#d%00\"",
    "\"..\"",
    "\"'; DROP TABLE orders; --\"",
    "\"NaN\"",
    "0",
    "-0",
    "-1",
    "-0.01",
    "0.001",
    "1.005",
    "1e2",
    "1e-2",
    "1e31",
    "1e-31",
    "1e99999999999999999999",
    "-1e99999999999999999999",
    "2147483648",
    "-2147483649",
    "9223372036854775808",
    "92233720368547758.08",
    "340282366920938463463374607431768211456",
];

/// Requests that go nowhere, or with a method that nobody has.
const STARTS: &[&str] = &[
    "GET /",
    "GET /%",
    "GET /%00",
    "GET /%ff%fe",
    "GET //",
    "GET /../../etc/passwd",
    "GET /%2e%2e/%2e%2e",
    "GET /a?b=%zz&b=%ff&&=",
    "POST /",
    "PUT /orders",
    "DELETE /order",
    "PATCH /api/v1/orders",
    "BREW /orders",
    "OPTIONS *",
    "TRACE /",
];

/// Headers of a good create that are not good.
const HEADERS: &[&[&str]] = &[
    &[],
    &["Content-Type: text/plain"],
    &["Content-Type: application/x-www-form-urlencoded"],
    &["Content-Type: \x01"],
    &[JSON, "Content-Encoding: gzip"],
    &[JSON, "Idempotency-Key: "],
    &[JSON, "Idempotency-Key: a b"],
    &[JSON, "Origin: null"],
    &[JSON, "Origin: http://evil.test"],
    &[JSON, "Accept: ,;q=x,*/*;q=9"],
    &[JSON, "Prefer: wait=-1"],
    &[JSON, "X-Request-Id: \u{e9}"],
];

/// Bytes that are not even a request, or only the beginning of one. The server answers or closes.
const WIRE: &[&[u8]] = &[
    b"\r\n\r\n\r\n",
    b"HELLO\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

/// Sends all of it to the door of `port`, where `good` is an order that `path` takes.
pub async fn survives_all(server: &CompatServer, port: u16, path: &str, good: &str) {
    let mut sent = Sent {
        server,
        port,
        stored: server.count().await,
        worst: 0,
    };
    let create = format!("POST {path}");
    for body in BODIES {
        sent.request(&create, &[JSON], body).await;
    }
    for body in bad_bodies(good) {
        sent.request(&create, &[JSON], body.as_bytes()).await;
    }
    for headers in HEADERS {
        sent.request(&create, headers, good.as_bytes()).await;
    }
    for start in STARTS {
        sent.request(start, &[], b"").await;
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        sent.request(&format!("{method} {path}"), &[], b"").await;
    }
    for end in ["/", "//", "/%00", "/%2f", "/%ff", "/a/b/c", "?a=b"] {
        sent.request(&format!("GET {path}{end}"), &[], b"").await;
    }
    sent.request(&format!("GET /{}", "x".repeat(9_000)), &[], b"")
        .await;
    assert_eq!(server.count().await, sent.stored);
    for bytes in WIRE {
        let mut connection = server.connect(port).await;
        connection.write(bytes).await;
        tokio::io::AsyncWriteExt::shutdown(&mut connection.0)
            .await
            .unwrap();
        let answer = connection.rest().await;
        let is_fault = answer.starts_with(b"HTTP/1.1 5") || answer.starts_with(b"HTTP/1.0 5");
        assert!(!is_fault, "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(server.count().await, sent.stored);
    assert!((400..500).contains(&sent.worst), "{}", sent.worst);
}

/// A good order in which one thing is not good: each field missing, twice, misspelt, or with
/// each of the values; too large and too deep.
fn bad_bodies(good: &str) -> Vec<String> {
    let order: Value = serde_json::from_str(good).unwrap();
    let fields = order.as_object().unwrap();
    let write = |changed: &str, value: Option<&str>| {
        let others = fields.iter().filter(|(name, _)| *name != changed);
        let others = others.map(|(name, value)| format!("\"{name}\":{value}"));
        let own = value.map(|value| format!("\"{changed}\":{value}"));
        let members: Vec<_> = others.chain(own).collect();
        format!("{{{}}}", members.join(","))
    };
    let mut bodies = Vec::new();
    for name in fields.keys() {
        bodies.push(write(name, None));
        bodies.extend(VALUES.iter().map(|value| write(name, Some(value))));
        for length in [37, 65, 256, 8_193] {
            bodies.push(write(name, Some(&format!("\"{}\"", "x".repeat(length)))));
        }
        bodies.push(write(name, Some(&"9".repeat(10_000))));
        bodies.push(write(
            name,
            Some(&format!("[{}\"x\"]", "\"x\",".repeat(1_000))),
        ));
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        bodies.push(write(name, Some(&deep)));
    }
    bodies.push(write("", Some("1")));
    bodies.push(write("unknown", Some("1")));
    bodies.push(format!("{good}{good}"));
    bodies.push("[".repeat(100_000));
    bodies.push(format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20)));
    bodies
}

/// What was sent, and what became of it.
struct Sent<'a> {
    server: &'a CompatServer,
    port: u16,
    stored: i64,
    worst: u16,
}

impl Sent<'_> {
    async fn request(&mut self, start: &str, headers: &[&str], body: &[u8]) {
        let reply = self.server.send(self.port, start, headers, body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]);
        let what = format!("{start} {headers:?} {shown}: {}", reply.status);
        assert!((200..500).contains(&reply.status), "{what}");
        if start.starts_with("POST ") && (200..300).contains(&reply.status) {
            self.stored += 1;
        }
        self.worst = self.worst.max(reply.status);
    }
}
