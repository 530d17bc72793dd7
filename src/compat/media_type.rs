//! The content type of a request, for the dialects that look at it.
//!
//! Parameters such as a charset do not matter; a body that is not UTF-8 is found when it is read.

use axum::http::{HeaderMap, header};

use super::refusal::{Code, Refusal};

/// Checks that a request announces `application/json`.
///
/// # Errors
///
/// `unsupported-media-type`: it announces something else, or nothing.
pub fn must_be_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let announced = headers.get(header::CONTENT_TYPE);
    let announced = announced.and_then(|value| value.to_str().ok());
    let essence = announced.and_then(|value| value.split(';').next());
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let reason = "the content type must be application/json";
    Err(Refusal::new(Code::UnsupportedMediaType, reason))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_json_passes_whatever_its_parameters() {
        let is_json = |value: &'static [u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            must_be_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)])).is_ok()
        };
        assert!(is_json(b"application/json"));
        assert!(is_json(b"Application/JSON ; charset=latin-1"));
        for other in [
            &b""[..],
            b"text/json",
            b"application/jsonp",
            b"application/json, text/plain",
            b"application/problem+json",
            b"application/x-www-form-urlencoded",
            b"application/json\xff",
        ] {
            assert!(!is_json(other), "{other:?}");
        }
        assert!(must_be_json(&HeaderMap::new()).is_err());
    }
}
