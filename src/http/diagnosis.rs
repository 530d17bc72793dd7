//! What is wrong with a body that could not be read: the slow way, taken only after the fast one
//! failed.
//!
//! Never decides whether a body is good: whatever it finds, the body stays refused.

use serde::de::{Deserialize, IgnoredAny};
use serde_path_to_error::{Path, Segment};

use super::code::Code;
use super::error::ApiError;
use super::wire::{CODED, Object, OrderBody};
use crate::order::Fault;

/// Deepest nesting of a body.
pub const DEPTH_MAX: usize = 32;

/// What the reader says to a number such as 1e999, which is JSON but not a number to count with.
const NUMBER_TOO_LARGE: &str = "number out of range";

/// What is wrong with the bytes of one order.
pub(super) fn of_order(body: &[u8]) -> ApiError {
    of::<Object<OrderBody<'_>>>(body, ApiError::invalid_order)
}

/// What is wrong with bytes that should be one `T`; `invalid` makes an error of its faults.
pub(super) fn of<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    invalid: fn(Vec<Fault>) -> ApiError,
) -> ApiError {
    if let Some(error) = of_json(body) {
        return error;
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => of_reader(error.path(), error.inner(), invalid),
        // The whole body is JSON and reads well, and yet it was refused: only bytes after it are
        // left.
        Ok(_) => ApiError::new(Code::MalformedJson, "there is something after the object"),
    }
}

/// What is wrong with bytes that should be JSON of any form, if anything is.
pub(super) fn of_json(body: &[u8]) -> Option<ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Some(ApiError::new(Code::MalformedJson, "the body is empty"));
    }
    if let Err(error) = std::str::from_utf8(body) {
        let detail = format!("byte {} is not UTF-8", error.valid_up_to());
        return Some(ApiError::new(Code::MalformedJson, detail));
    }
    if is_too_deep(body) {
        let detail = format!("nested more than {DEPTH_MAX} levels deep");
        return Some(ApiError::new(Code::TooDeep, detail));
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => None,
        Err(error) => Some(ApiError::new(Code::MalformedJson, error.to_string())),
    }
}

fn of_reader(
    path: &Path,
    error: &serde_json::Error,
    invalid: fn(Vec<Fault>) -> ApiError,
) -> ApiError {
    let message = error.to_string();
    if !error.is_data() && !message.starts_with(NUMBER_TOO_LARGE) {
        return ApiError::new(Code::MalformedJson, message);
    }
    invalid(vec![fault(path, &message)])
}

/// Counts brackets outside of strings. For bytes that are not JSON the answer may be anything.
pub(super) fn is_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// Turns the reader's message into a fault. The words it looks for are those of serde.
fn fault(path: &Path, message: &str) -> Fault {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(text, _)| text);
    let pointer = pointer(path);
    let quoted = message.split('`').nth(1).unwrap_or_default();
    if let Some((code, detail)) = message
        .strip_prefix(CODED)
        .and_then(|rest| rest.split_once(':'))
    {
        return Fault::new(pointer, own_code(code), detail);
    }
    if message.starts_with("missing field") {
        let pointer = format!("{pointer}/{}", escaped(quoted));
        return Fault::new(pointer, "missing-field", "must be there");
    }
    if message.starts_with("unknown field") {
        return Fault::new(pointer, "unknown-field", unknown_field(path, message));
    }
    if message.starts_with("duplicate field") {
        let pointer = pointer_to(pointer, path, quoted);
        return Fault::new(pointer, "duplicate-field", "is there twice");
    }
    if message.starts_with(NUMBER_TOO_LARGE) {
        return Fault::new(pointer, "out-of-range", "the number is too large");
    }
    let detail = match message.split_once(", expected ") {
        Some((found, expected)) => {
            let found = found.split_once(": ").map_or(found, |(_, value)| value);
            format!("must be {expected}, is {found}")
        }
        None => message.to_owned(),
    };
    Fault::new(pointer, "wrong-type", detail)
}

/// The table's own text for a code that `wire` gave.
fn own_code(code: &str) -> &'static str {
    let known = super::code::FIELD_CODES
        .iter()
        .find(|(name, _)| *name == code);
    known.map_or("wrong-type", |(name, _)| name)
}

fn pointer(path: &Path) -> String {
    path.iter()
        .fold(String::new(), |pointer, segment| match segment {
            Segment::Seq { index } => format!("{pointer}/{index}"),
            Segment::Map { key } => format!("{pointer}/{}", escaped(key)),
            Segment::Enum { .. } | Segment::Unknown => pointer,
        })
}

/// The pointer to `field`, which may or may not be the last part of the path already.
fn pointer_to(pointer: String, path: &Path, field: &str) -> String {
    match path.iter().next_back() {
        Some(Segment::Map { key }) if key == field => pointer,
        _ => format!("{pointer}/{}", escaped(field)),
    }
}

/// A key inside a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn unknown_field(path: &Path, message: &str) -> String {
    let known = message
        .rsplit_once("`, expected ")
        .map_or("", |(_, known)| known);
    let known = known.split('`').skip(1).step_by(2);
    let wanted = match path.iter().next_back() {
        Some(Segment::Map { key }) => key.as_str(),
        _ => "",
    };
    let nearest = known
        .map(|name| (distance(wanted, name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3);
    match nearest {
        Some((_, name)) => format!("there is no such field; did you mean {name}?"),
        None => "there is no such field".to_owned(),
    }
}

/// How many letters must be changed, added or taken away. For short names; long ones are not near
/// anything.
///
/// Source: R. Wagner and M. Fischer, *The String-to-String Correction Problem*, 1974.
fn distance(left: &str, right: &str) -> usize {
    if left.len().abs_diff(right.len()) > right.len() {
        return usize::MAX;
    }
    let left: Vec<char> = left
        .to_lowercase()
        .replace(['_', '-'], "")
        .chars()
        .collect();
    let right: Vec<char> = right.replace('_', "").chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
