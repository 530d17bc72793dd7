//! What the answers of a dialect say about an order: acknowledged, there already, refused.
//! Pure: reads bytes and never guesses. Works for the older services too, which say less.

use std::borrow::Cow;

use serde::Deserialize;

use super::answers::{ORDER_EXISTS, Outcome, Refusal, Unreadable};
use crate::cli::api::plain;
use crate::cli::response::Response;
use crate::cli::scenario::{Door, Receipt};

/// The header in which orderd says why it refuses, whatever the dialect.
const REASON_HEADER: &str = "Orderd-Error";
/// The longest part of a refusal's text that is shown, in characters.
const TEXT_CHARS_MAX: usize = 60;

/// The outcome of a request with one order; `sent` is its id, if it was chosen.
///
/// # Errors
///
/// [`Unreadable`]: an acknowledgement without an id.
pub fn read<'a>(
    door: &Door,
    sent: Option<&'a str>,
    response: &'a Response<'_>,
) -> Result<Outcome<'a>, Unreadable> {
    if response.status != door.status {
        return Ok(refused(sent, response));
    }
    let id = match door.receipt {
        Receipt::Sent => sent.map(Cow::Borrowed),
        Receipt::Line(words) => id_in_line(words, &response.body).map(Cow::Borrowed),
        Receipt::Member(name) => id_in_member(name, &response.body).map(Cow::Owned),
    };
    let id = id.ok_or(Unreadable)?;
    Ok(Outcome::Accepted { id, total: None })
}

fn id_in_line<'a>(words: &str, body: &'a [u8]) -> Option<&'a str> {
    let line = std::str::from_utf8(body).ok()?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    let id = line.strip_prefix(words)?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_id.then_some(id)
}

fn id_in_member(name: &str, body: &[u8]) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    object.get(name)?.as_str().map(str::to_owned)
}

fn refused<'a>(sent: Option<&'a str>, response: &Response<'_>) -> Outcome<'a> {
    let (code, place) = match response.header(REASON_HEADER) {
        Some(reason) => {
            let (code, place) = reason.split_once(';').unwrap_or((reason, ""));
            (code.trim().to_owned(), place.trim().to_owned())
        }
        None => (text_of(&response.body), String::new()),
    };
    if code == ORDER_EXISTS {
        return Outcome::Existing {
            id: sent.map(Cow::Borrowed),
        };
    }
    Outcome::Refused(Refusal {
        status: response.status,
        code: Cow::Owned(code),
        field: None,
        detail: Cow::Owned(place),
    })
}

/// The text of an answer that does not say more, as it can be shown.
fn text_of(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(alias = "message")]
        error: String,
    }
    let text = match serde_json::from_slice(body) {
        Ok(Envelope { error }) => error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let shown: String = plain(text.trim()).chars().take(TEXT_CHARS_MAX).collect();
    match shown.is_empty() {
        true => "no reason given".to_owned(),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scenario;

    fn outcome(name: &str, sent: Option<&str>, answer: (u16, &str, &str)) -> Option<String> {
        let (status, header, body) = answer;
        let head = format!("HTTP/1.1 {status} X\r\n{header}\r\n\r\n");
        let response = Response {
            status,
            head: head.as_bytes(),
            body: Cow::Borrowed(body.as_bytes()),
            closes: false,
        };
        let door = scenario::named(name).unwrap().door;
        Some(match read(&door, sent, &response).ok()? {
            Outcome::Accepted { id, .. } => format!("accepted {id}"),
            Outcome::Existing { id } => format!("existing {}", id.unwrap_or_default()),
            Outcome::Refused(refusal) => format!("{} {}", refusal.status, refusal.code),
        })
    }

    #[test]
    fn each_dialect_acknowledges_in_its_way() {
        let cases = [
            ("two_queue_ab", None, 200, "Received order u-1\n", "u-1"),
            ("realtime", Some("n"), 201, r#"{"id":"n","amount":1}"#, "n"),
            ("order_service_1000", Some("o"), 200, "{}", "o"),
            ("api_v1_1000", Some("a"), 202, "{}", "a"),
            (
                "orders_api_1000",
                None,
                201,
                r#"{"order_id":"ORD1"}"#,
                "ORD1",
            ),
        ];
        for (name, sent, status, body, id) in cases {
            let read = outcome(name, sent, (status, "A: b", body));
            assert_eq!(read, Some(format!("accepted {id}")), "{name}");
        }
    }

    #[test]
    fn an_acknowledgement_without_an_id_is_none() {
        for (name, status, body) in [
            ("two_queue_ab", 200, "Received order \n"),
            ("two_queue_ab", 200, "Received order a b\n"),
            ("two_queue_ab", 200, "{}"),
            ("realtime", 201, "{}"),
            ("orders_api_1000", 201, r#"{"order_id":7}"#),
            ("orders_api_1000", 201, "Received"),
        ] {
            assert_eq!(outcome(name, None, (status, "A: b", body)), None, "{body}");
        }
    }

    #[test]
    fn a_refusal_is_told_by_the_header_or_else_by_its_text() {
        let told = "Orderd-Error: overloaded; the backlog is full";
        let cases = [
            ((503, told, "whatever"), "503 overloaded"),
            ((503, "A: b", "busy\u{1b}[2J\n"), "503 busy\u{fffd}[2J"),
            (
                (200, "A: b", r#"{"error":"Order exists"}"#),
                "200 Order exists",
            ),
            (
                (400, "A: b", r#"{"status_code":400,"message":"No"}"#),
                "400 No",
            ),
            ((500, "A: b", ""), "500 no reason given"),
        ];
        for (answer, expected) in cases {
            let read = outcome("orders_api_1000", None, answer);
            assert_eq!(read.as_deref(), Some(expected));
        }
        let taken = (400, "orderd-error: order-exists; /order_id", "");
        let read = outcome("api_v1_1000", Some("ORD1"), taken);
        assert_eq!(read.as_deref(), Some("existing ORD1"));
    }
}
