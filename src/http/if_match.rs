//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110): an order's version as an entity tag, changes
//! that are made only under the versions that a client has seen, and reads that are not answered in
//! full if it has seen the order.
//!
//! For changes it only reads the header; the shard compares.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};

use super::code::Code;
use super::error::ApiError;

/// Most entity tags in a request.
const TAGS_MAX: usize = 100;

/// The entity tag of an order with this version.
pub(super) fn etag(version: u32) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(12);
    text.push(b'"');
    text.extend_from_slice(itoa::Buffer::new().format(version).as_bytes());
    text.push(b'"');
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

/// The versions that a change is allowed for; `None`: any. A tag that is not one of ours is no
/// version.
pub(super) fn versions(headers: &HeaderMap) -> Result<Option<Box<[u32]>>, ApiError> {
    let mut wanted: Option<Vec<u32>> = None;
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().map_err(|_| bad())?.trim();
        if text == "*" {
            return Ok(None);
        }
        tags(text, wanted.get_or_insert_default())?;
    }
    Ok(wanted.map(Vec::into_boxed_slice))
}

/// Whether a client says that it has the order with this version already. What is not a tag of ours
/// is a tag of something else.
pub(super) fn is_known(headers: &HeaderMap, version: u32) -> bool {
    let is_it = |text: &str| {
        let text = text.trim();
        let tag = text.strip_prefix("W/").unwrap_or(text);
        let inside = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        text == "*" || inside.and_then(own) == Some(version)
    };
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    // Our tags have no comma, so nothing of ours is taken apart.
    texts.any(|text| text.split(',').any(is_it))
}

fn bad() -> ApiError {
    let detail = "send the ETag of the order as it was, in quotes: If-Match: \"3\"";
    ApiError::new(Code::BadIfMatch, detail)
}

/// Reads a list of entity tags.
fn tags(text: &str, versions: &mut Vec<u32>) -> Result<(), ApiError> {
    let mut rest = text;
    for _ in 0..TAGS_MAX {
        rest = rest.trim_start();
        let strong = rest.strip_prefix("W/");
        let opened = strong.unwrap_or(rest).strip_prefix('"').ok_or_else(bad)?;
        let (tag, behind) = opened.split_once('"').ok_or_else(bad)?;
        // A weak tag never matches here: a change needs the very same order.
        if strong.is_none()
            && let Some(version) = own(tag)
        {
            versions.push(version);
        }
        rest = behind.trim_start();
        match rest.strip_prefix(',') {
            None if rest.is_empty() => return Ok(()),
            None => return Err(bad()),
            Some(next) => rest = next,
        }
    }
    Err(bad())
}

/// The version of a tag, if it has the one spelling that `etag` gives it.
fn own(tag: &str) -> Option<u32> {
    let version: u32 = tag.parse().ok()?;
    (version.to_string() == tag).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<Vec<u32>>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        let read = versions(&headers).map_err(|error| error.code());
        read.map(|versions| versions.map(|all| all.into_vec()))
    }

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        let tag = etag(4_294_967_295).unwrap();
        assert_eq!(tag, "\"4294967295\"");
        assert_eq!(own("4294967295"), Some(4_294_967_295));
        assert_eq!(own("4294967296"), None);
    }

    #[test]
    fn versions_are_read_from_any_list() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"3\""]), Ok(Some(vec![3])));
        assert_eq!(read(&[" \"3\" ,\"4\"", "\"5\""]), Ok(Some(vec![3, 4, 5])));
        assert_eq!(read(&["W/\"3\", \"x,y\", \"03\""]), Ok(Some(vec![])));
    }

    #[test]
    fn what_is_known_need_not_be_sent() {
        let knows = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            is_known(&headers, 3)
        };
        for known in [
            &["\"3\""][..],
            &["W/\"3\""],
            &["\"1\" , \"3\""],
            &["x", "*"],
        ] {
            assert!(knows(known), "{known:?}");
        }
        for other in [
            &[][..],
            &["3"],
            &["\"03\""],
            &["\"2\", \"x,y\""],
            &["\"3"],
            &["w/\"3\""],
        ] {
            assert!(!knows(other), "{other:?}");
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for bad in [
            "",
            "3",
            "\"3",
            "\"3\" \"4\"",
            "\"3\",",
            "w/\"3\"",
            "\"3\",*",
        ] {
            assert_eq!(read(&[bad]), Err(Code::BadIfMatch), "{bad}");
        }
        let many: &'static str = Box::leak("\"1\",".repeat(200).into_boxed_str());
        assert_eq!(read(&[many]), Err(Code::BadIfMatch));
    }
}
