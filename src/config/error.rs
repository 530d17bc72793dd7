//! What can be wrong with a configuration: each message names where it was set, the key, the value
//! and what it must be.
//!
//! Never shows the password of a store's URL.

use std::path::PathBuf;

use figment::error::{Actual, Kind};
use figment::value::Value;
use thiserror::Error;

use super::setting;

/// Why a configuration is refused. `origin` is the file, the variable or the flag.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file is not TOML.
    #[error("{origin} is not valid TOML: {detail}")]
    Syntax {
        /// Where.
        origin: String,
        /// What the parser said, with line and column.
        detail: String,
    },
    /// There is no such setting.
    #[error("{origin}: there is no setting {key}{hint}")]
    Unknown {
        /// Where.
        origin: String,
        /// The key.
        key: String,
        /// What was probably meant, or what there is.
        hint: String,
    },
    /// A setting is missing.
    #[error("{origin}: {key} is missing; it must be {must_be}")]
    Missing {
        /// Where.
        origin: String,
        /// The key.
        key: String,
        /// What it must be.
        must_be: String,
    },
    /// A setting has the wrong type, or lies outside its bounds.
    #[error("{origin}: {key} is {value}; it must be {must_be}")]
    Value {
        /// Where.
        origin: String,
        /// The key.
        key: String,
        /// The value as it was written.
        value: String,
        /// What it must be.
        must_be: String,
    },
    /// Two settings contradict each other, or one asks for what there is not.
    #[error("{origin}: {key} {detail}")]
    Refused {
        /// Where.
        origin: String,
        /// The key.
        key: String,
        /// Why, and what to do; follows the key in the sentence.
        detail: String,
    },
}

impl ConfigError {
    /// The key that it is about; empty if it is about a whole file.
    pub fn key(&self) -> &str {
        match self {
            Self::File { .. } | Self::Syntax { .. } => "",
            Self::Unknown { key, .. }
            | Self::Missing { key, .. }
            | Self::Value { key, .. }
            | Self::Refused { key, .. } => key,
        }
    }

    /// Its line in the file, if the reader of the file said so.
    pub fn line(&self) -> Option<usize> {
        let Self::Syntax { detail, .. } = self else {
            return None;
        };
        let behind = detail.strip_prefix("line ")?;
        behind.split(',').next()?.parse().ok()
    }

    /// What is wrong, without where it was set.
    pub fn without_origin(&self) -> String {
        let text = self.to_string();
        let (Self::Syntax { origin, .. }
        | Self::Unknown { origin, .. }
        | Self::Missing { origin, .. }
        | Self::Value { origin, .. }
        | Self::Refused { origin, .. }) = self
        else {
            return text;
        };
        let rest = text.strip_prefix(&**origin).unwrap_or(&text);
        rest.trim_start_matches([':', ' ']).to_owned()
    }
}

/// The way back from [`readable`].
pub(super) fn path_of(key: &str) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    for (at, part) in key.split(", ").enumerate() {
        let (place, below) = part.split_once(": ").unwrap_or((part, ""));
        match place.split_once(' ').filter(|_| at > 0) {
            Some((list, number)) => {
                let index = number.parse::<usize>().unwrap_or(1).saturating_sub(1);
                path.extend([list.to_owned(), index.to_string()]);
            }
            None => path.extend(place.split('.').map(str::to_owned)),
        }
        path.extend(
            below
                .split('.')
                .filter(|it| !it.is_empty())
                .map(str::to_owned),
        );
    }
    path.retain(|part| !part.is_empty());
    path
}

/// A path as people write it: `server.listen`, `process.default, step 2: duration`,
/// `process.default, step 2, label 1: text`.
pub(super) fn readable(path: &[String]) -> String {
    match path {
        [process, name, step, number, rest @ ..] if process == "process" && step == "step" => {
            let number = number.parse::<usize>().map_or(0, |index| index + 1);
            let place = format!("process.{name}, step {number}");
            match rest {
                [label, number, rest @ ..] if label == "label" => {
                    let number = number.parse::<usize>().map_or(0, |index| index + 1);
                    below(&format!("{place}, label {number}"), rest)
                }
                rest => below(&place, rest),
            }
        }
        path => path.join("."),
    }
}

fn below(place: &str, rest: &[String]) -> String {
    if rest.is_empty() {
        return place.into();
    }
    format!("{place}: {}", rest.join("."))
}

/// A value as it was written, shortened.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{:?}", shortened(&masked(text))),
        Value::Char(_, c) => format!("{:?}", c.to_string()),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match number.to_actual() {
            Actual::Unsigned(number) => number.to_string(),
            Actual::Signed(number) => number.to_string(),
            Actual::Float(number) => number.to_string(),
            other => other.to_string(),
        },
        Value::Dict(..) => "a table".into(),
        Value::Array(..) => "a list".into(),
        Value::Empty(..) => "empty".into(),
    }
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    if text.chars().count() <= CHARS_MAX {
        return text.into();
    }
    text.chars().take(CHARS_MAX).chain("…".chars()).collect()
}

/// The text without the password that a URL may hold, before the host or among the parameters.
pub fn masked(text: &str) -> String {
    let masked = || {
        let (scheme, rest) = text.split_once("://")?;
        let (user, host) = rest.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:***@{host}"))
    };
    let text = masked().unwrap_or_else(|| text.into());
    let Some((before, parameters)) = text.split_once('?') else {
        return text;
    };
    let parameters = parameters
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name @ "password", _)) => format!("{name}=***"),
            _ => pair.into(),
        });
    format!("{before}?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// What went wrong while the values were taken apart, in our own words.
pub(super) fn from_figment(error: &figment::Error, root: &Value, origin: String) -> ConfigError {
    let path = &error.path;
    let must_be = |path: &[String]| {
        setting::find(path).map_or_else(
            || "a table with settings".into(),
            |setting| setting.form.description(),
        )
    };
    match &error.kind {
        Kind::UnknownField(_, known) => ConfigError::Unknown {
            origin,
            key: readable(path),
            hint: hint(path.last().map_or("", String::as_str), known),
        },
        Kind::MissingField(field) => {
            let mut path = path.clone();
            path.push(field.to_string());
            ConfigError::Missing {
                origin,
                key: readable(&path),
                must_be: must_be(&path),
            }
        }
        _ => ConfigError::Value {
            origin,
            key: readable(path),
            value: value_at(root, path).map_or_else(|| "not readable".into(), written),
            must_be: must_be(path),
        },
    }
}

/// The value that a path leads to; numbers in it count the places of a list from 0.
pub(super) fn value_at<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, part| match value {
        Value::Dict(_, dict) => dict.get(part),
        Value::Array(_, list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// What was probably meant, or else what there is.
pub(super) fn hint(given: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|name| distance(given, name));
    match nearest {
        Some(name) if distance(given, name) <= 1 + given.len() / 4 => {
            format!("; did you mean {name}?")
        }
        _ => format!("; there are {}", known.join(", ")),
    }
}

/// How many letters must be put in, left out or changed to get from one word to the other
/// (V. Levenshtein, 1965).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_slip_is_recognised() {
        let known = ["listen", "connections_max", "idle_timeout"];
        assert_eq!(hint("listn", &known), "; did you mean listen?");
        assert_eq!(
            hint("connection_max", &known),
            "; did you mean connections_max?"
        );
        assert_eq!(
            hint("port", &known),
            "; there are listen, connections_max, idle_timeout"
        );
    }

    #[test]
    fn a_key_for_people_leads_back_to_its_path() {
        for path in [
            "server.listen",
            "process.default",
            "process.default.version",
            "process.default.step.1",
            "process.default.step.1.duration",
            "process.default.step.0.label.2.text",
        ] {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(path_of(&readable(&path)), path);
        }
        assert_eq!(path_of(""), [""; 0]);
    }

    #[test]
    fn distances_count_changes() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(
            masked("postgres://me:se@cret@db/x"),
            "postgres://me:***@db/x"
        );
        assert_eq!(masked("sqlite:/data/orders.db"), "sqlite:/data/orders.db");
        assert_eq!(
            masked("postgres://db/x?user=me&password=se@cret&sslmode=require"),
            "postgres://db/x?user=me&password=***&sslmode=require"
        );
    }
}
