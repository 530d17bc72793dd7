//! What a client would rather read: the `Accept` header, as far as it chooses between JSON and
//! text.
//!
//! Never refuses: who accepts neither gets what is usual.

use axum::http::HeaderValue;

use super::decimal::Decimal;

/// Decimals of a quality: 1000 is the best, 0 is "not at all" (RFC 9110, section 12.4.2).
const QUALITY_PLACES: u32 = 3;
const QUALITY_MAX: i64 = 1_000;

/// Whether JSON ranks strictly above plain text.
pub fn ranks_json_first(accept: Option<&HeaderValue>) -> bool {
    let Some(Ok(ranges)) = accept.map(HeaderValue::to_str) else {
        return false;
    };
    quality(ranges, "application/json") > quality(ranges, "text/plain")
}

/// The quality that the most specific range for this type has; 0 if there is none.
fn quality(ranges: &str, wanted: &str) -> i64 {
    let family = wanted.split('/').next().unwrap_or_default();
    let rank = |range: &str| match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(wanted) => Some(2),
        Some((own, "*")) if own.eq_ignore_ascii_case(family) => Some(1),
        Some(("*", "*")) => Some(0),
        _ => None,
    };
    let ranked = ranges.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let rank = rank(parts.next()?)?;
        Some((rank, parts.find_map(quality_of).unwrap_or(QUALITY_MAX)))
    });
    ranked.max().map_or(0, |(_, quality)| quality)
}

/// The quality that a parameter gives, if it is one for that.
fn quality_of(parameter: &str) -> Option<i64> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_end().eq_ignore_ascii_case("q") {
        return None;
    }
    let quality = Decimal::parse(value.trim_start())?.units(QUALITY_PLACES);
    Some(quality.ok()?.clamp(0, QUALITY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_must_rank_strictly_above_text() {
        for (accept, expected) in [
            ("application/json", true),
            ("Application/JSON", true),
            ("application/*", true),
            ("application/json, text/plain;q=0.9", true),
            ("text/plain;q=0.5, */*;q=0.6", true),
            ("application/json;charset=utf-8;q=0.2, text/*;q=0.1", true),
            ("text/html, application/json ; Q = 0.3", true),
            ("*/*", false),
            ("", false),
            ("text/plain", false),
            ("application/json, text/plain", false),
            ("application/json, */*", false),
            ("application/json;q=0.9, */*", false),
            ("application/json;q=0, */*;q=0.1", false),
            ("text/*, application/json;q=0.999", false),
            ("image/png", false),
            ("application/jsonp", false),
        ] {
            let accept_header = HeaderValue::from_static(accept);
            assert_eq!(ranks_json_first(Some(&accept_header)), expected, "{accept}");
        }
        assert!(!ranks_json_first(None));
        let odd = HeaderValue::from_bytes(b"application/json\xff").unwrap();
        assert!(!ranks_json_first(Some(&odd)));
    }
}
