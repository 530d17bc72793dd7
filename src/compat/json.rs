//! JSON as five old services need it read: a tree that keeps every number as the text it came in.
//!
//! Structure is walked here, once, in one pass; single texts and numbers are left to `serde_json`.
//! Nothing is interpreted: no number becomes a float, no key is matched, a key given twice is kept
//! twice.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::refusal::{Code, Refusal};

/// Deepest nesting of a body.
pub const DEPTH_MAX: usize = 32;

/// A JSON value, borrowed from the body where it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, exactly as it is written.
    Number(&'a str),
    /// A string, its escapes resolved.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Self>),
    /// An object: its members in the order they came, repeated keys included.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// Reads a body that is one JSON value.
///
/// # Errors
///
/// `malformed-json`: empty, not UTF-8, not one value, or with half of a surrogate pair;
/// `too-deep`: nested more than [`DEPTH_MAX`] levels.
pub fn read(body: &[u8]) -> Result<Json<'_>, Refusal> {
    let malformed = |reason| Refusal::new(Code::MalformedJson, reason);
    let text = std::str::from_utf8(body).map_err(|_| malformed("not UTF-8"))?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0).map_err(|error| match error {
        Stop::Deep => Refusal::new(Code::TooDeep, "nested more than 32 levels deep"),
        Stop::Syntax if text.trim().is_empty() => malformed("the body is empty"),
        Stop::Syntax => malformed("not JSON"),
    })?;
    match reader.next() {
        None => Ok(value),
        Some(_) => Err(malformed("there is something after the JSON value")),
    }
}

/// Why the reader cannot go on.
enum Stop {
    Syntax,
    Deep,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space, which is not taken.
    fn next(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| is_blank(**byte)).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    /// Takes `mark` if it is next.
    fn takes(&mut self, mark: u8) -> bool {
        let is_next = self.next() == Some(mark);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes `mark`, which must be next.
    fn take(&mut self, mark: u8) -> Result<(), Stop> {
        self.takes(mark).then_some(()).ok_or(Stop::Syntax)
    }

    /// The value that is next; `depth` objects and arrays are open around it.
    fn value(&mut self, depth: usize) -> Result<Json<'a>, Stop> {
        match self.next() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(Stop::Deep),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'"') => self.string().map(Json::Text),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Stop> {
        let mut members = Vec::new();
        self.take(b'{')?;
        if self.takes(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.next();
            let key = self.string()?;
            self.take(b':')?;
            members.push((key, self.value(depth)?));
            if self.takes(b'}') {
                return Ok(Json::Object(members));
            }
            self.take(b',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, Stop> {
        let mut values = Vec::new();
        self.take(b'[')?;
        if self.takes(b']') {
            return Ok(Json::List(values));
        }
        loop {
            values.push(self.value(depth)?);
            if self.takes(b']') {
                return Ok(Json::List(values));
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Stop> {
        let rest = &self.text[self.at..];
        let inner = rest.strip_prefix('"').ok_or(Stop::Syntax)?;
        let (mut end, mut has_escapes) = (0, false);
        loop {
            match inner.as_bytes().get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    end += 2;
                }
                Some(0x20..) => end += 1,
                Some(_) | None => return Err(Stop::Syntax),
            }
        }
        let quoted = &rest[..end + 2];
        self.at += quoted.len();
        if !has_escapes {
            return Ok(Cow::Borrowed(&inner[..end]));
        }
        let resolved = serde_json::from_str(quoted);
        resolved.map(Cow::Owned).map_err(|_| Stop::Syntax)
    }

    /// A value without quotes or brackets.
    fn word(&mut self) -> Result<Json<'a>, Stop> {
        let rest = &self.text[self.at..];
        let is_end = |byte: u8| is_blank(byte) || matches!(byte, b',' | b']' | b'}');
        let end = rest.bytes().position(is_end).unwrap_or(rest.len());
        let word = &rest[..end];
        self.at += end;
        match word {
            "null" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            _ if is_number(word) => Ok(Json::Number(word)),
            _ => Err(Stop::Syntax),
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a text is a JSON number and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    let digit_or_sign = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    text.as_bytes().first().is_some_and(digit_or_sign)
        && text.as_bytes().last().is_some_and(u8::is_ascii_digit)
        && serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn code(body: &[u8]) -> Code {
        read(body).unwrap_err().code
    }

    /// The tree as `serde_json` has it. Numbers by their text, which it cannot keep.
    fn same(json: &Json<'_>, value: &Value) -> bool {
        match (json, value) {
            (Json::Null, Value::Null) => true,
            (Json::Bool(a), Value::Bool(b)) => a == b,
            (Json::Number(a), Value::Number(b)) => serde_json::from_str(a).ok().as_ref() == Some(b),
            (Json::Text(a), Value::String(b)) => a == b,
            (Json::List(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Json::Object(members), Value::Object(b)) => b.iter().all(|(key, b)| {
                let last = members.iter().rev().find(|(own, _)| own == key);
                last.is_some_and(|(_, a)| same(a, b))
            }),
            _ => false,
        }
    }

    #[test]
    fn a_tree_keeps_numbers_order_and_repeats() {
        let read = read(br#" {"a":1.500, "b":["x\n",true,null],"a":-0E+2} "#).unwrap();
        let expected = Json::Object(vec![
            ("a".into(), Json::Number("1.500")),
            (
                "b".into(),
                Json::List(vec![Json::Text("x\n".into()), Json::Bool(true), Json::Null]),
            ),
            ("a".into(), Json::Number("-0E+2")),
        ]);
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_not_one_json_value_is_malformed() {
        for body in [
            "",
            " \n",
            "{",
            "}",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{1:2}",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "-",
            "0x1",
            "NaN",
            "nul",
            "nullx",
            "\"a",
            "\"\\x\"",
            "\"\\\"",
            "'a'",
            "{} {}",
            "1 2",
            "[1 2]",
            "[1[2]]",
            "\u{feff}{}",
            "\"\n\"",
            "//c\n1",
            "\u{a0}1",
        ] {
            assert_eq!(code(body.as_bytes()), Code::MalformedJson, "{body:?}");
        }
        assert_eq!(code(b"\"\xff\""), Code::MalformedJson);
        assert_eq!(read(b"").unwrap_err().at, "the body is empty");
        assert_eq!(
            read(b"1,").unwrap_err().at,
            "there is something after the JSON value"
        );
    }

    #[test]
    fn half_of_a_surrogate_pair_is_malformed_wherever_it_stands() {
        for text in [
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#""\ud800x""#,
            r#""\uD83D\u0041""#,
        ] {
            let inside = format!("{{\"unknown\":[{text}]}}");
            let key = format!("{{{text}:1}}");
            for body in [text, &inside, &key] {
                assert_eq!(code(body.as_bytes()), Code::MalformedJson, "{body}");
            }
        }
        assert_eq!(read(br#""\ud83d\ude00""#).unwrap(), Json::Text("😀".into()));
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(code(nested(DEPTH_MAX + 1).as_bytes()), Code::TooDeep);
        assert_eq!(code("[".repeat(1 << 20).as_bytes()), Code::TooDeep);
        assert_eq!(code("{\"a\":".repeat(33).as_bytes()), Code::TooDeep);
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_takes_and_reads_the_same(
            tokens in prop::collection::vec(
                "[\\[\\]{},: \n]|\"a?\"|\"\\\\?[nu\"\\\\]\"|-?[0-9]{1,3}|[.eE+-]|null|true",
                0..12,
            )
        ) {
            let text = tokens.concat();
            let ours = read(text.as_bytes());
            prop_assert_eq!(ours.is_ok(), serde_json::from_str::<&RawValue>(&text).is_ok());
            if let (Ok(ours), Ok(theirs)) = (ours, serde_json::from_str::<Value>(&text)) {
                prop_assert!(same(&ours, &theirs));
            }
        }

        #[test]
        fn whatever_serde_writes_is_read_back(text in ".{0,20}", number: i64, flag: bool) {
            let value = serde_json::json!({ &text: [text, number, flag, { "a": null }] });
            let written = value.to_string();
            prop_assert!(same(&read(written.as_bytes()).unwrap(), &value));
            let written = serde_json::to_string_pretty(&value).unwrap();
            prop_assert!(same(&read(written.as_bytes()).unwrap(), &value));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&body);
        }
    }
}
