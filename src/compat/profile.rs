//! `/profile/cpu`: where the server spends its time, for the tools that read Go's profiles.
//!
//! There only if a setting allows it; one at a time, and for a bounded time. Profiles of other
//! things are not built, and the answer says so.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::desk::Desk;
use super::refusal::{Code, Refusal};
use super::sampling::Sampling;
use crate::clock::MICROS_PER_SECOND;

/// Where all profiles are.
pub const PREFIXES: [&str; 2] = ["/profile/", "/debug/pprof/"];

/// How long a profile takes if nothing is said.
const DURATION_DEFAULT: Duration = Duration::from_secs(30);
/// Longest profile.
const DURATION_MAX: Duration = Duration::from_secs(120);

/// The routes, if profiles are allowed.
pub fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/profile/cpu", get(cpu))
        .route("/profile/{*name}", get(not_built))
        .route("/debug/pprof/", get(not_built))
        .route("/debug/pprof/{*name}", get(not_built))
}

#[derive(Deserialize)]
struct Wanted {
    duration: Option<String>,
}

async fn cpu(
    State(desk): State<Arc<Desk>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let duration = wanted.ok().and_then(|Query(wanted)| wanted.duration());
    let invalid = || Refusal::new(Code::BadQuery, "duration").saying("invalid duration");
    let duration = duration.ok_or_else(invalid)?;
    let not_now = || not_available("another profile is being taken");
    let sampling = tokio::task::spawn_blocking(Sampling::start).await;
    let sampling = sampling.ok().flatten().ok_or_else(not_now)?;
    tokio::time::sleep(duration).await;
    let now = desk.parts.clock.now();
    let file = tokio::task::spawn_blocking(move || sampling.file(now)).await;
    let failed = || Refusal::new(Code::Internal, "the samples could not be read");
    let file = file.ok().flatten().ok_or_else(failed)?;
    Ok(attachment(file, now.0 / MICROS_PER_SECOND))
}

async fn not_built() -> Refusal {
    not_available("this build has no such profile")
}

fn not_available(reason: &'static str) -> Refusal {
    let refusal = Refusal::new(Code::RouteNotFound, reason);
    refusal.answering(StatusCode::NOT_IMPLEMENTED, "profile not available")
}

fn attachment(file: Vec<u8>, seconds: i64) -> Response {
    let mut response = Response::new(Body::from(file));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, content_type);
    let disposition = format!("attachment; filename=cpu_profile_{seconds}.prof");
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

impl Wanted {
    fn duration(&self) -> Option<Duration> {
        match self.duration.as_deref() {
            None | Some("") => Some(DURATION_DEFAULT),
            Some(text) => {
                let duration = Duration::from_nanos(nanoseconds(text)?);
                (!duration.is_zero() && duration <= DURATION_MAX).then_some(duration)
            }
        }
    }
}

/// Reads a duration as Go writes them: `30s`, `1m30s`, `1.5h`, `250ms`. `None` for other texts, and
/// below 0.
///
/// Source: `time.ParseDuration` of Go's standard library.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_u64;
    loop {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, behind) = behind.split_at(unit.unwrap_or(behind.len()));
        total = total.checked_add(times(number, unit_nanoseconds(unit)?)?)?;
        if behind.is_empty() {
            return Some(total);
        }
        rest = behind;
    }
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        // The micro sign, and the Greek letter that looks like it.
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

/// A decimal number times a unit; what is less than one is cut off.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && decimals.is_empty() {
        return None;
    }
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let mut total = 0_u64;
    for byte in whole.bytes() {
        total = total.checked_mul(10)?.checked_add(digit(byte)?)?;
    }
    total = total.checked_mul(unit)?;
    let mut part = unit;
    let mut below = 0_u64;
    for byte in decimals.bytes() {
        below = below.checked_add(digit(byte)?.checked_mul(part)? / 10)?;
        part /= 10;
    }
    total.checked_add(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", 0),
            ("30s", 30_000_000_000),
            ("+5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1h", 3_600_000_000_000),
            ("250ms", 250_000_000),
            ("7us", 7_000),
            ("7\u{b5}s", 7_000),
            ("7\u{3bc}s", 7_000),
            ("9ns", 9),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("0.123456789s", 123_456_789),
            ("1.0000000000000000000000000001s", 1_000_000_000),
        ] {
            assert_eq!(nanoseconds(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "3",
            "s",
            ".s",
            "-5s",
            "5 s",
            " 5s",
            "5S",
            "1..5s",
            "1.2.3s",
            "5d",
            "5sx",
            "+",
            "--5s",
            "99999999999999999999s",
            "9999999999h",
            "٣s",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_profile_takes_a_bounded_time() {
        let wanted = |text: &str| {
            let duration = Some(text.to_owned());
            Wanted { duration }.duration()
        };
        assert_eq!(wanted(""), Some(DURATION_DEFAULT));
        assert_eq!(Wanted { duration: None }.duration(), Some(DURATION_DEFAULT));
        assert_eq!(wanted("2m"), Some(DURATION_MAX));
        assert_eq!(wanted("2m1ns"), None);
        assert_eq!(wanted("0s"), None);
        assert_eq!(wanted("1ms"), Some(Duration::from_millis(1)));
    }
}
