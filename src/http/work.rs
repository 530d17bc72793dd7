//! Work as those who do it are told of it, whether they leased it or are called for it, and what
//! is answered to a call.
//!
//! Never decides whether an outcome counts.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::changes::object;
use super::error::ApiError;
use super::outcome::{Words, done, failed};
use super::render;
use super::wire::{Fields, Text};
use crate::engine;
use crate::order::{Fault, Order, Outcome, StatusKind, effect_key};
use crate::shard::Leased;

/// How calls are made and answered.
pub const WORDS: engine::Words = engine::Words {
    write,
    read,
    read_lookup,
};

/// Writes an attempt of an order that was read from the store; `queue` is where it was leased from.
pub(super) fn write(out: &mut Vec<u8>, queue: &str, leased: &Leased, mut order: Order) {
    let (id, step) = (order.id.clone(), Arc::clone(&leased.state.step));
    out.extend_from_slice(b"{\"order_id\":");
    render::text(out, id.as_str());
    out.extend_from_slice(b",\"queue\":");
    render::text(out, queue);
    out.extend_from_slice(b",\"step\":");
    render::text(out, &step);
    out.extend_from_slice(b",\"attempt\":");
    render::number(out, leased.state.attempt);
    out.extend_from_slice(b",\"fence\":");
    render::text(out, &leased.fence.text(&id, &step));
    out.extend_from_slice(b",\"effect_key\":");
    let is_undoing = leased.state.status.kind() == StatusKind::Compensating;
    render::text(out, &effect_key(&id, &step, is_undoing));
    if is_undoing {
        out.extend_from_slice(b",\"undo\":true");
    }
    out.extend_from_slice(b",\"deadline\":");
    render::time(out, leased.until);
    // The row may be older than the lease.
    order.state = leased.state.clone();
    let outputs = std::mem::take(&mut order.outputs);
    out.extend_from_slice(b",\"order\":");
    render::order(out, &order);
    out.extend_from_slice(b",\"outputs\":{");
    for (at, it) in outputs.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        render::text(out, &it.step);
        out.push(b':');
        out.extend_from_slice(it.output.as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// What became of an attempt, as it is answered to a call.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerBody<'a> {
    /// Answered to a question only: whether it was done at all.
    #[serde(default)]
    done: Option<bool>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
    #[serde(default)]
    retry: Option<bool>,
    #[serde(borrow, default)]
    retry_after: Option<Text<'a>>,
    #[serde(default)]
    reject: Option<bool>,
}

impl Fields for AnswerBody<'_> {
    const EXPECTING: &'static str = "an object with output, or with error and perhaps retry, \
                                     retry_after and reject";
}

impl AnswerBody<'_> {
    fn outcome(self) -> Result<Outcome, String> {
        let mut faults = Vec::new();
        let words = Words {
            retry: self.retry,
            retry_after: self.retry_after.as_ref().map(|text| &*text.0),
            reject: self.reject,
        };
        let outcome = match &self.error {
            Some(error) if self.output.is_none() => failed(&error.0, words, &mut faults),
            None if words == Words::default() => done(self.output, &mut faults),
            Some(_) => return Err("it has an output and an error".into()),
            None => return Err("it says how to go on after an error, and has none".into()),
        };
        match faults.first() {
            None => Ok(outcome),
            Some(fault) => Err(told(fault)),
        }
    }
}

fn told(fault: &Fault) -> String {
    format!("{}: {}", fault.pointer, fault.detail)
}

fn body(bytes: &[u8]) -> Result<AnswerBody<'_>, String> {
    object(bytes).map_err(|error: ApiError| error.detail().to_owned())
}

fn read(bytes: &[u8]) -> Result<Outcome, String> {
    let body = body(bytes)?;
    match body.done {
        None => body.outcome(),
        Some(_) => Err("done is answered to a lookup only".into()),
    }
}

fn read_lookup(bytes: &[u8]) -> Result<Option<Outcome>, String> {
    let body = body(bytes)?;
    match body.done {
        Some(true) => body.outcome().map(Some),
        Some(false) => Ok(None),
        None => Err("it does not say whether it was done".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(output: Option<&str>) -> Outcome {
        Outcome::Complete {
            output: output.map(Box::from),
        }
    }

    #[test]
    fn answers_have_the_words_of_workers() {
        assert_eq!(read(b"{}"), Ok(complete(None)));
        let output = read(b"{\"output\": {\"paid\": 7}}");
        assert_eq!(output, Ok(complete(Some("{\"paid\":7}"))));
        let failed = read(b"{\"error\": \"no\", \"retry_after\": \"30s\"}").unwrap();
        let (reason, retry_after_us) = ("no".into(), Some(30_000_000));
        assert_eq!(
            failed,
            Outcome::Retry {
                reason,
                retry_after_us
            }
        );
        let failed = read(b"{\"error\": \"no\", \"retry\": false}").unwrap();
        assert_eq!(
            failed,
            Outcome::Fail {
                reason: "no".into()
            }
        );
        let rejected = read(b"{\"error\": \"no\", \"reject\": true}").unwrap();
        assert_eq!(
            rejected,
            Outcome::Reject {
                reason: "no".into()
            }
        );
    }

    #[test]
    fn what_is_no_answer_is_told_why() {
        let large = format!("{{\"output\": \"{}\"}}", "a".repeat(64 << 10));
        for (body, told) in [
            ("", "the body is empty"),
            ("<html>", "expected value"),
            ("[]", "must be an object"),
            ("{\"outputs\": 1}", "there is no such field"),
            ("{\"done\": true}", "done is answered to a lookup only"),
            ("{\"retry\": false}", "it says how to go on"),
            ("{\"error\": \"\"}", "/error: must not be empty"),
            (
                "{\"error\": \"x\", \"output\": 1}",
                "an output and an error",
            ),
            (
                "{\"error\": \"x\", \"retry_after\": \"1\"}",
                "/retry_after: must be a time",
            ),
            (&large, "/output: may have 65536 bytes"),
        ] {
            let detail = read(body.as_bytes()).unwrap_err();
            assert!(detail.contains(told), "{body:.40}: {detail}");
        }
    }

    #[test]
    fn a_question_is_answered_with_done_or_not() {
        assert_eq!(read_lookup(b"{\"done\": false}"), Ok(None));
        let done = read_lookup(b"{\"done\": true, \"output\": 1}");
        assert_eq!(done, Ok(Some(complete(Some("1")))));
        assert!(read_lookup(b"{\"output\": 1}").is_err());
        assert!(read_lookup(b"").is_err());
    }
}
