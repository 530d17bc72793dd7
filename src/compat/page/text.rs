//! Texts and JSON values as the page shows them: as HTML, and laid out for people.
//!
//! Everything that comes from a document or a request goes through here; none of it becomes markup.

use std::borrow::Cow;

use super::super::json::Json;
use super::super::openapi;

/// Longest value that an example shows in one line, in bytes.
const LINE_LENGTH_MAX: usize = 72;

/// A text as HTML.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"']) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    Cow::Owned(text.replace('>', "&gt;").replace('"', "&quot;"))
}

/// A text as HTML; what stands between backticks is code.
pub(super) fn inline(text: &str) -> String {
    let mut html = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 0 {
            html.push_str(&escape(part));
        } else {
            html.push_str(&format!("<code>{}</code>", escape(part)));
        }
    }
    html
}

/// A value as JSON for people: what fits stands in one line.
pub(super) fn pretty(value: &Json<'_>, indent: usize) -> String {
    let mut flat = String::new();
    openapi::write(&mut flat, value);
    if flat.len() + indent <= LINE_LENGTH_MAX {
        return spaced(value);
    }
    let (open, close, lines): (_, _, Vec<String>) = match value {
        Json::List(values) => {
            let lines = values.iter().map(|value| pretty(value, indent + 2));
            ('[', ']', lines.collect())
        }
        Json::Object(members) => {
            let lines = members.iter().map(|(key, value)| {
                let mut line = String::new();
                openapi::write_text(&mut line, key);
                line + ": " + &pretty(value, indent + 2)
            });
            ('{', '}', lines.collect())
        }
        _ => return flat,
    };
    let margin = " ".repeat(indent);
    let lines = lines.join(&format!(",\n{margin}  "));
    format!("{open}\n{margin}  {lines}\n{margin}{close}")
}

/// A value in one line, with a blank where a reader wants one.
fn spaced(value: &Json<'_>) -> String {
    let mut text = String::new();
    match value {
        Json::List(values) => {
            let values: Vec<_> = values.iter().map(spaced).collect();
            text = format!("[{}]", values.join(", "));
        }
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| {
                let mut member = String::new();
                openapi::write_text(&mut member, key);
                member + ": " + &spaced(value)
            });
            text = format!("{{{}}}", members.collect::<Vec<_>>().join(", "));
        }
        value => openapi::write(&mut text, value),
    }
    text
}
