//! The OpenAPI 3.1 document of the dialects of port 8000, put together from a file for each.
//!
//! The files are written by hand, because these formats do not change any more; tests hold them to
//! what the server answers. Order and spelling are kept as they are written.

use std::borrow::Cow;

use super::json::{self, Json};
use super::refusal::Refusal;
use crate::order::Dialect;

/// What stands before all dialects.
const HEAD: &str = include_str!("openapi/head.json");

/// The file of a dialect: its `tag`, `paths` and `components`.
fn file(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::OrderService => Some(include_str!("openapi/order_service.json")),
        Dialect::ApiV1 => Some(include_str!("openapi/api_v1.json")),
        Dialect::TwoQueue | Dialect::Realtime | Dialect::OrdersApi => None,
    }
}

/// Members of an object, in their order.
type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// The document of those of these dialects that have one.
///
/// # Errors
///
/// A file is not JSON, which a test rules out.
pub fn document(dialects: &[Dialect]) -> Result<Json<'static>, Refusal> {
    let mut document = members(json::read(HEAD.as_bytes())?);
    let mut info = take(&mut document, "info");
    info.push((
        "version".into(),
        Json::Text(env!("CARGO_PKG_VERSION").into()),
    ));
    let mut components = take(&mut document, "components");
    let (mut tags, mut paths) = (Vec::new(), Vec::new());
    for text in dialects.iter().filter_map(|dialect| file(*dialect)) {
        let mut described = members(json::read(text.as_bytes())?);
        tags.push(Json::Object(take(&mut described, "tag")));
        paths.extend(take(&mut described, "paths"));
        for (kind, more) in take(&mut described, "components") {
            let mut there = take(&mut components, &kind);
            there.extend(members(more));
            components.push((kind, Json::Object(there)));
        }
    }
    document.extend([
        ("info".into(), Json::Object(info)),
        ("tags".into(), Json::List(tags)),
        ("paths".into(), Json::Object(paths)),
        ("components".into(), Json::Object(components)),
    ]);
    Ok(Json::Object(document))
}

fn members(value: Json<'_>) -> Members<'_> {
    match value {
        Json::Object(members) => members,
        _ => Vec::new(),
    }
}

/// Takes an object out of an object; an empty one if it is not there.
fn take<'a>(from: &mut Members<'a>, key: &str) -> Members<'a> {
    let at = from.iter().position(|(own, _)| own == key);
    at.map_or_else(Vec::new, |at| members(from.remove(at).1))
}

/// Appends a value as compact JSON.
pub fn write(out: &mut String, value: &Json<'_>) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(text) => out.push_str(text),
        Json::Text(text) => write_text(out, text),
        Json::List(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(out, value);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write_text(out, key);
                out.push(':');
                write(out, value);
            }
            out.push('}');
        }
    }
}

/// Appends a JSON string. Every text has a JSON form.
pub fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const BOTH: [Dialect; 2] = [Dialect::OrderService, Dialect::ApiV1];

    fn text(dialects: &[Dialect]) -> String {
        let mut text = String::new();
        write(&mut text, &document(dialects).unwrap());
        text
    }

    #[test]
    fn it_has_the_paths_of_the_dialects_that_are_served() {
        let paths = |dialects: &[Dialect]| -> BTreeSet<String> {
            let document: Value = serde_json::from_str(&text(dialects)).unwrap();
            document["paths"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        };
        assert_eq!(paths(&BOTH).len(), 6);
        assert!(
            paths(&[Dialect::ApiV1])
                .iter()
                .all(|path| path.starts_with("/api/v1/"))
        );
        assert_eq!(paths(&[Dialect::ApiV1]).len(), 3);
        assert!(paths(&[Dialect::OrdersApi]).is_empty());
    }

    #[test]
    fn every_reference_leads_somewhere_and_nothing_is_left_over() {
        for dialects in [&BOTH[..], &BOTH[..1], &BOTH[1..]] {
            let text = text(dialects);
            let document: Value = serde_json::from_str(&text).unwrap();
            let references = text.split("\"$ref\":\"#").skip(1);
            let named: BTreeSet<_> = references
                .filter_map(|rest| rest.split('"').next())
                .collect();
            for pointer in &named {
                assert!(document.pointer(pointer).is_some(), "{pointer}");
            }
            for (kind, components) in document["components"].as_object().unwrap() {
                for name in components.as_object().unwrap().keys() {
                    let pointer = format!("/components/{kind}/{name}");
                    assert!(named.contains(&*pointer), "{pointer} is used nowhere");
                }
            }
            assert_eq!(document["openapi"], "3.1.0");
            assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        }
    }

    #[test]
    fn order_and_spelling_are_kept() {
        let mut written = String::new();
        let given = r#"{"b":[1.50,-0e1,null,true,false],"a":{"x":"\n\"é<"},"b":[]}"#;
        write(&mut written, &json::read(given.as_bytes()).unwrap());
        assert_eq!(written, given);
        assert!(text(&BOTH).contains(r#""items_ids":["item1","item2"],"total_amount":100.00"#));
    }
}
