//! `Prefer: wait=N` (RFC 7240): how long a client is willing to wait for an order's end.
//!
//! Only reads the header; the waiting itself is in `orders`.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

use super::code::Code;
use super::error::ApiError;

/// Longest wait, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;

/// The header.
pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How long to wait; `None` if the client did not ask. Other preferences are ignored, as the RFC
/// wants.
pub(super) fn wait(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    for value in headers.get_all(PREFER) {
        let preferences = value.to_str().unwrap_or_default().split(',');
        for preference in preferences {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            if name.trim().eq_ignore_ascii_case("wait") {
                return seconds(value).map(Some);
            }
        }
    }
    Ok(None)
}

fn seconds(value: &str) -> Result<Duration, ApiError> {
    let seconds: Option<u64> = value.trim().trim_matches('"').parse().ok();
    match seconds {
        Some(seconds) if (1..=WAIT_SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs(seconds))
        }
        _ => {
            let detail = format!("wait must be 1 to {WAIT_SECONDS_MAX} whole seconds");
            Err(ApiError::new(Code::BadPrefer, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(value: &'static str) -> Result<Option<u64>, Code> {
        let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_static(value))]);
        wait(&headers)
            .map(|wait| wait.map(|wait| wait.as_secs()))
            .map_err(|error| error.code())
    }

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        assert_eq!(read("wait=5"), Ok(Some(5)));
        assert_eq!(read("respond-async, Wait = \"60\"; x=y"), Ok(Some(60)));
        assert_eq!(read("return=minimal"), Ok(None));
        for bad in ["wait", "wait=0", "wait=61", "wait=1.5", "wait=-1", "wait=x"] {
            assert_eq!(read(bad), Err(Code::BadPrefer), "{bad}");
        }
    }
}
