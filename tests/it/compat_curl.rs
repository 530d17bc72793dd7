//! Reads commands and answers as documentation has them: `curl` lines into the bytes that curl
//! sends, and `status content-type | body` with placeholders into a comparison.
//!
//! Knows only the options that the commands of the dialects' users have.

use orderd::clock::Timestamp;

use crate::support::Reply;

/// What curl sends.
pub struct Request {
    pub port: u16,
    pub headers: Vec<String>,
    start: String,
    body: String,
}

impl Request {
    /// All bytes of the request, with these headers.
    pub fn bytes(&self, headers: &[&str]) -> Vec<u8> {
        format!(
            "{}\r\n{}\r\n\r\n{}",
            self.start,
            headers.join("\r\n"),
            self.body
        )
        .into_bytes()
    }
}

/// Reads a command as a shell and curl do.
pub fn parse(command: &str) -> Request {
    let mut words = words(command).into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"), "{command}");
    let (mut method, mut url, mut data) = (None, None, None);
    let mut own = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--location" | "-L" => {}
            "--request" | "-X" => method = words.next(),
            "--header" | "-H" => own.extend(words.next()),
            "--data" | "--data-raw" | "-d" => data = words.next(),
            option if option.starts_with('-') => panic!("{option} in {command}"),
            _ => url = Some(word),
        }
    }
    let url = url.unwrap();
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let usual = if data.is_some() { "POST" } else { "GET" };
    let method = method.unwrap_or_else(|| usual.to_owned());
    let mut headers = vec![
        format!("Host: {authority}"),
        "User-Agent: curl/8.5.0".to_owned(),
        "Accept: */*".to_owned(),
    ];
    if let Some(data) = &data {
        if !own.iter().any(|header| header.starts_with("Content-Type:")) {
            own.push("Content-Type: application/x-www-form-urlencoded".to_owned());
        }
        own.push(format!("Content-Length: {}", data.len()));
    }
    headers.append(&mut own);
    Request {
        port: authority.rsplit_once(':').unwrap().1.parse().unwrap(),
        headers,
        start: format!("{method} {path} HTTP/1.1"),
        body: data.unwrap_or_default(),
    }
}

/// Splits a command: quotes of both kinds, and lines that a backslash joins.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = command.trim().chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(mark), letter) if letter == mark => quote = None,
            (None | Some('"'), '\\') => match letters.next() {
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    assert_eq!(quote, None, "{command}");
    words.extend(word);
    words
}

/// Compares an answer with `status content-type | body`, where `¶` is a line feed at the end and
/// `<uuid> <hex32> <ord> <id> <time> <int> <num>` stand for what differs. Gives what that was.
pub fn check(reply: &Reply, expected: &str) -> Vec<String> {
    let (head, body) = expected.split_once('|').unwrap();
    let (status, kind) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
    assert_eq!(reply.status.to_string(), status, "{expected}\n{reply:?}");
    let told = reply.headers.get("content-type");
    assert_eq!(
        told.map_or("", String::as_str),
        kind,
        "{expected}\n{reply:?}"
    );
    let body = body.strip_prefix(' ').unwrap_or(body).replace('¶', "\n");
    let found = captures(&body, &reply.text());
    found.unwrap_or_else(|| panic!("expected {body:?}\nbut found {:?}", reply.text()))
}

/// A placeholder, the characters it may stand for, and whether they make a whole.
type Placeholder = (&'static str, fn(char) -> bool, fn(&str) -> bool);

const PLACEHOLDERS: [Placeholder; 7] = [
    ("<uuid>", |c| is_hex(c) || c == '-', is_uuid),
    ("<hex32>", is_hex, |text| text.len() == 32),
    (
        "<ord>",
        |c| c.is_ascii_digit() || c.is_ascii_uppercase(),
        |text| text.len() == 28 && text.starts_with("ORD"),
    ),
    (
        "<id>",
        |c| c.is_ascii_graphic() && c != '"',
        |text| (1..=64).contains(&text.len()),
    ),
    (
        "<time>",
        |c| c.is_ascii_digit() || "T:.-Z".contains(c),
        is_time,
    ),
    ("<int>", |c| c.is_ascii_digit(), |text| !text.is_empty()),
    ("<num>", |c| c.is_ascii_digit() || c == '.', is_minimal),
];

fn is_hex(letter: char) -> bool {
    matches!(letter, '0'..='9' | 'a'..='f')
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text[14..].starts_with('7')
}

fn is_time(text: &str) -> bool {
    text.ends_with('Z')
        && !text.ends_with("0Z") | !text.contains('.')
        && Timestamp::parse_rfc3339(text).is_some()
}

/// A number without zeros that say nothing.
fn is_minimal(text: &str) -> bool {
    text.parse::<f64>().is_ok() && !(text.contains('.') && text.ends_with(['0', '.']))
}

/// What stands in the places of the placeholders, if the text has the form of the pattern.
fn captures(mut pattern: &str, mut text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    loop {
        let next = PLACEHOLDERS.iter().filter_map(|placeholder| {
            let at = pattern.find(placeholder.0)?;
            Some((at, placeholder))
        });
        let Some((at, (name, is_part, is_whole))) = next.min_by_key(|(at, _)| *at) else {
            return (pattern == text).then_some(found);
        };
        text = text.strip_prefix(&pattern[..at])?;
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        if !is_whole(value) {
            return None;
        }
        found.push(value.to_owned());
        (pattern, text) = (&pattern[at + name.len()..], rest);
    }
}

#[test]
fn a_command_is_read_as_a_shell_reads_it() {
    let request = parse(
        "curl --location 'http://localhost:8080/order' --header 'Content-Type: application/json' \\
           --data '{\n \"a\": 1}'",
    );
    assert_eq!(request.port, 8080);
    assert_eq!(
        request.bytes(&["X: y"]),
        b"POST /order HTTP/1.1\r\nX: y\r\n\r\n{\n \"a\": 1}"
    );
    assert_eq!(
        request.headers[3..],
        ["Content-Type: application/json", "Content-Length: 10"]
    );
    let form = parse("curl -d a=b http://h:1");
    assert_eq!(
        form.headers[3],
        "Content-Type: application/x-www-form-urlencoded"
    );
    assert!(form.bytes(&[]).starts_with(b"POST / HTTP/1.1\r\n"));
    let read = parse("curl -X DELETE \"http://h:1/a?b=\\\"c d\\\"\"");
    assert!(
        read.bytes(&[])
            .starts_with(b"DELETE /a?b=\"c d\" HTTP/1.1\r\n")
    );
}

#[test]
fn placeholders_take_what_has_their_form_and_nothing_else() {
    let one = |pattern, text: &str| captures(pattern, text).map(|found| found.join(","));
    let id = "019aa3f0-6c3b-7d52-8a55-2f3c1d9e0b7a";
    assert_eq!(one("a <uuid>\n", &format!("a {id}\n")), Some(id.to_owned()));
    assert_eq!(one("<uuid>", "019aa3f0-6c3b-4d52-8a55-2f3c1d9e0b7a"), None);
    assert_eq!(one("<num>,<int>", "1.5,0"), Some("1.5,0".to_owned()));
    assert_eq!(one("<num>", "1.50"), None);
    assert_eq!(one("<num>", "1."), None);
    assert_eq!(one("<ord>", "ORD00000000000000000000000aZ"), None);
    assert!(one("<ord>", "ORD0000000000000000000000AZ9").is_some());
    assert!(one("\"<time>\"", "\"2026-11-21T03:24:10.5Z\"").is_some());
    assert_eq!(one("<time>", "2026-11-21T03:24:10.50Z"), None);
    assert_eq!(one("<time>", "2026-11-21T03:24:10+01:00"), None);
    assert_eq!(one("{}", "{}\n"), None);
}
