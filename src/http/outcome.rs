//! What became of work, in the words of those who did it: done, or failed and how it goes on.
//!
//! Shared by reports of workers, answers to calls and signals.

use std::time::Duration;

use serde_json::value::RawValue;

use super::diagnosis;
use crate::config::duration;
use crate::order::{Fault, OUTPUT_BYTES_MAX, Outcome, compact, shortened};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A time as settings have it, if it is not longer than this.
pub(super) fn time(text: &str, longest: Duration) -> Option<Duration> {
    duration::parse(text).filter(|time| *time <= longest)
}

/// Work is done; what is wrong with its output goes into `faults`.
pub(super) fn done(output: Option<&RawValue>, faults: &mut Vec<Fault>) -> Outcome {
    let output = output.map(RawValue::get);
    faults.extend(output.and_then(|output| output_fault("/output", output)));
    Outcome::Complete {
        output: output.map(compact),
    }
}

/// What is wrong with a JSON text that is to be the output of a step.
pub(super) fn output_fault(pointer: &str, json: &str) -> Option<Fault> {
    if json.len() > OUTPUT_BYTES_MAX {
        let detail = format!("may have {OUTPUT_BYTES_MAX} bytes, has {}", json.len());
        return Some(Fault::new(pointer, "invalid-length", detail));
    }
    if diagnosis::is_too_deep(json.as_bytes()) {
        let detail = "is nested too deeply";
        return Some(Fault::new(pointer, "wrong-type", detail));
    }
    // Whoever reads the order must be able to read all of it.
    let unreadable = serde_json::from_str::<serde_json::Value>(json).err()?;
    Some(Fault::new(pointer, "wrong-type", unreadable.to_string()))
}

/// How it goes on after work that failed.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Words<'a> {
    pub(super) retry: Option<bool>,
    pub(super) retry_after: Option<&'a str>,
    pub(super) reject: Option<bool>,
}

/// Work failed, and how it goes on; what is wrong with that goes into `faults`.
pub(super) fn failed(error: &str, words: Words<'_>, faults: &mut Vec<Fault>) -> Outcome {
    if error.is_empty() {
        faults.push(Fault::new("/error", "invalid-length", "must not be empty"));
    }
    let reason = shortened(error);
    let is_rejected = words.reject == Some(true);
    let wants_retry = words.retry.unwrap_or(!is_rejected);
    if is_rejected && wants_retry {
        let detail = "must not be true if the order is rejected";
        faults.push(Fault::new("/retry", "out-of-range", detail));
    }
    let wait = words.retry_after.map(|text| time(text, DAY));
    if matches!(wait, Some(None)) || (wait.is_some() && !wants_retry) {
        let detail = "must be a time such as \"30s\", at most 1d, and only with a retry";
        faults.push(Fault::new("/retry_after", "out-of-range", detail));
    }
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match (is_rejected, wants_retry) {
        (true, _) => Outcome::Reject { reason },
        (false, true) => Outcome::Retry {
            reason,
            retry_after_us: wait.flatten().map(micros),
        },
        (false, false) => Outcome::Fail { reason },
    }
}
