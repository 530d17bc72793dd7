//! The form that the headers of a request announce for its body.
//!
//! Only what they say: whether the body really is of that form is found when it is read.

use axum::http::{HeaderMap, header};

use super::code::Code;
use super::error::ApiError;

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/json`, or not said.
    Json,
    /// `application/x-ndjson`: one JSON value in each line.
    Lines,
}

/// The form that the headers announce. Fails for other types and for compressed bodies.
pub(super) fn media_type(headers: &HeaderMap) -> Result<MediaType, ApiError> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(ApiError::new(Code::UnsupportedEncoding, detail));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(MediaType::Json);
    };
    let essence = value.to_str().unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(MediaType::Json)
    } else if essence.eq_ignore_ascii_case("application/x-ndjson")
        || essence.eq_ignore_ascii_case("application/ndjson")
    {
        Ok(MediaType::Lines)
    } else {
        let detail = "the body must be JSON; with curl add -H 'Content-Type: application/json'";
        Err(ApiError::new(Code::UnsupportedMediaType, detail))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_media_type_is_read_leniently() {
        let read = |value: &'static str| {
            let value = (header::CONTENT_TYPE, HeaderValue::from_static(value));
            media_type(&HeaderMap::from_iter([value])).map_err(|error| error.code())
        };
        assert_eq!(
            read("Application/JSON ; charset=utf-8"),
            Ok(MediaType::Json)
        );
        assert_eq!(read("application/x-ndjson"), Ok(MediaType::Lines));
        assert_eq!(read(""), Err(Code::UnsupportedMediaType));
        assert_eq!(read("text/json"), Err(Code::UnsupportedMediaType));
    }
}
