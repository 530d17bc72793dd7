//! What workers say about their work, as it comes over the wire, and the answer to it.
//!
//! One object, or an array of them. Nothing is asked of the engine unless all of it is well formed;
//! what becomes of each is said one by one.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::Deserialize;
use serde_json::value::RawValue;

use super::changes::object;
use super::diagnosis;
use super::error::ApiError;
use super::render;
use super::wire::{Fields, Text};
use crate::config::duration;
use crate::engine::ChangeAnswer;
use crate::order::{
    Action, Change, Fault, Fence, OUTPUT_BYTES_MAX, OrderId, Outcome, QueueIndex, Refusal, Report,
    Verdict, compact, shortened,
};
use crate::shard::Effect;

/// Most things that are said in one request.
const REPORTS_MAX: usize = 1_000;
/// About how large the answer to one of them is, in bytes; that to a refused one is the largest.
const RESULT_SIZE_HINT: usize = 512;

/// Something that is said about an attempt. The same words begin all of them.
trait Body<'a>: Deserialize<'a> + Fields {
    /// Order, step and fence.
    fn mention(&self) -> [&Text<'a>; 3];

    /// What is said of it; what is wrong goes into `faults`.
    fn verdict(self, faults: &mut Vec<Fault>) -> Verdict;
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BeatBody<'a> {
    #[serde(borrow)]
    order_id: Text<'a>,
    #[serde(borrow)]
    step: Text<'a>,
    #[serde(borrow)]
    fence: Text<'a>,
}

impl Fields for BeatBody<'_> {
    const EXPECTING: &'static str = "an object with order_id, step and fence";
}

impl<'a> Body<'a> for BeatBody<'a> {
    fn mention(&self) -> [&Text<'a>; 3] {
        [&self.order_id, &self.step, &self.fence]
    }

    fn verdict(self, _: &mut Vec<Fault>) -> Verdict {
        Verdict::Beat
    }
}

/// The same with another meaning.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct ReleaseBody<'a>(#[serde(borrow)] BeatBody<'a>);

impl Fields for ReleaseBody<'_> {
    const EXPECTING: &'static str = BeatBody::EXPECTING;
}

impl<'a> Body<'a> for ReleaseBody<'a> {
    fn mention(&self) -> [&Text<'a>; 3] {
        self.0.mention()
    }

    fn verdict(self, _: &mut Vec<Fault>) -> Verdict {
        Verdict::HandBack { reason: None }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteBody<'a> {
    #[serde(borrow)]
    order_id: Text<'a>,
    #[serde(borrow)]
    step: Text<'a>,
    #[serde(borrow)]
    fence: Text<'a>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
}

impl Fields for CompleteBody<'_> {
    const EXPECTING: &'static str = "an object with order_id, step, fence and perhaps output";
}

impl<'a> Body<'a> for CompleteBody<'a> {
    fn mention(&self) -> [&Text<'a>; 3] {
        [&self.order_id, &self.step, &self.fence]
    }

    fn verdict(self, faults: &mut Vec<Fault>) -> Verdict {
        Verdict::Ended(done(self.output, faults))
    }
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

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FailBody<'a> {
    #[serde(borrow)]
    order_id: Text<'a>,
    #[serde(borrow)]
    step: Text<'a>,
    #[serde(borrow)]
    fence: Text<'a>,
    #[serde(borrow)]
    error: Text<'a>,
    #[serde(default)]
    retry: Option<bool>,
    #[serde(borrow, default)]
    retry_after: Option<Text<'a>>,
    #[serde(default)]
    reject: Option<bool>,
}

impl Fields for FailBody<'_> {
    const EXPECTING: &'static str = "an object with order_id, step, fence and error, and perhaps \
                                     retry, retry_after and reject";
}

impl<'a> Body<'a> for FailBody<'a> {
    fn mention(&self) -> [&Text<'a>; 3] {
        [&self.order_id, &self.step, &self.fence]
    }

    fn verdict(self, faults: &mut Vec<Fault>) -> Verdict {
        let words = Words {
            retry: self.retry,
            retry_after: self.retry_after.as_ref().map(|text| &*text.0),
            reject: self.reject,
        };
        Verdict::Ended(failed(&self.error.0, words, faults))
    }
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

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A time as settings have it, if it is not longer than this.
pub(super) fn time(text: &str, longest: Duration) -> Option<Duration> {
    duration::parse(text).filter(|time| *time <= longest)
}

/// What of: the order and its step.
type About = (OrderId, Box<str>);

/// All that is said in a request.
pub(super) struct All {
    /// What is asked of the engine.
    pub(super) changes: Vec<Change>,
    /// Of which order and step each is.
    about: Vec<About>,
    /// It came in an array, and is answered in one.
    is_list: bool,
}

impl All {
    /// About how large its answer will be, in bytes.
    pub(super) fn answer_bytes(&self) -> usize {
        self.about.len() * RESULT_SIZE_HINT
    }
}

/// What is said, by the end of the path.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    Complete,
    Beat,
    Fail,
    Release,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Beat => "beat",
            Self::Fail => "fail",
            Self::Release => "release",
        }
    }

    /// Reads the body of a request.
    pub(super) fn read(self, body: &[u8], queue: QueueIndex) -> Result<All, ApiError> {
        match self {
            Self::Complete => read::<CompleteBody<'_>>(body, queue),
            Self::Beat => read::<BeatBody<'_>>(body, queue),
            Self::Fail => read::<FailBody<'_>>(body, queue),
            Self::Release => read::<ReleaseBody<'_>>(body, queue),
        }
    }
}

fn read<'a, T: Body<'a>>(body: &'a [u8], queue: QueueIndex) -> Result<All, ApiError> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        let (about, change) = one::<T>(body, queue)?;
        return Ok(All {
            changes: vec![change],
            about: vec![about],
            is_list: false,
        });
    }
    let parts: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_| {
        diagnosis::of_json(body).unwrap_or_else(|| {
            let fault = Fault::new("", "wrong-type", "must be an object, or a list of them");
            ApiError::invalid_change(vec![fault])
        })
    })?;
    if !(1..=REPORTS_MAX).contains(&parts.len()) {
        let detail = format!("must have 1 to {REPORTS_MAX} entries, has {}", parts.len());
        let fault = Fault::new("", "invalid-length", detail);
        return Err(ApiError::invalid_change(vec![fault]));
    }
    let mut changes = Vec::with_capacity(parts.len());
    let mut about = Vec::with_capacity(parts.len());
    let mut faults = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        match one::<T>(part.get().as_bytes(), queue) {
            Ok((of, change)) => {
                about.push(of);
                changes.push(change);
            }
            Err(error) if error.faults().is_empty() => return Err(error),
            Err(error) => faults.extend(error.faults().iter().map(|fault| {
                let pointer = format!("/{at}{}", fault.pointer);
                Fault::new(pointer, fault.code, fault.detail.clone())
            })),
        }
    }
    if !faults.is_empty() {
        return Err(ApiError::invalid_change(faults));
    }
    Ok(All {
        changes,
        about,
        is_list: true,
    })
}

fn one<'a, T: Body<'a>>(body: &'a [u8], queue: QueueIndex) -> Result<(About, Change), ApiError> {
    let body: T = object(body)?;
    let mut faults = Vec::new();
    let [id, step, fence] = body.mention().map(|text| text.0.clone());
    let parsed = OrderId::parse(&id).ok();
    if parsed.is_none() {
        let detail = "must be the id of an order";
        faults.push(Fault::new("/order_id", "invalid-character", detail));
    }
    let fence = parsed
        .as_ref()
        .and_then(|id| Fence::parse(&fence, id, &step));
    if fence.is_none() {
        let detail = "must be the one that came with the lease of this order and step";
        faults.push(Fault::new("/fence", "invalid-fence", detail));
    }
    let verdict = body.verdict(&mut faults);
    let (Some(id), Some(fence), true) = (parsed, fence, faults.is_empty()) else {
        return Err(ApiError::invalid_change(faults));
    };
    let report = Report {
        fence,
        queue,
        verdict,
    };
    let change = Change {
        seq: fence.seq,
        versions: None,
        action: Action::Report(Box::new(report)),
    };
    Ok(((id, Cow::into_owned(step).into()), change))
}

/// The answer: of a single thing its own, of a list one for each.
pub(super) fn answer(all: &All, answers: &[ChangeAnswer]) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::with_capacity(32 + all.about.len() * 96);
    if !all.is_list {
        let (Some(about), Some(answer)) = (all.about.first(), answers.first()) else {
            return Err(ApiError::from(Refusal::StaleFence));
        };
        write(&mut out, about, effect(*answer)?);
        return Ok(out);
    }
    out.extend_from_slice(b"{\"results\":[");
    for (at, (about, answer)) in all.about.iter().zip(answers).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match effect(*answer) {
            Ok(effect) => {
                out.extend_from_slice(b"{\"status\":200,\"report\":");
                write(&mut out, about, effect);
            }
            Err(error) => {
                out.extend_from_slice(b"{\"status\":");
                render::number(&mut out, error.status());
                out.extend_from_slice(b",\"problem\":");
                error.write(&mut out, None);
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// An order that has ended has no lease either.
fn effect(answer: ChangeAnswer) -> Result<Effect, ApiError> {
    answer.map_err(|refusal| match refusal {
        Refusal::NotOpen => ApiError::from(Refusal::StaleFence),
        refusal => refusal.into(),
    })
}

fn write(out: &mut Vec<u8>, (id, step): &About, effect: Effect) {
    out.extend_from_slice(b"{\"order_id\":");
    render::text(out, id.as_str());
    out.extend_from_slice(b",\"step\":");
    render::text(out, step);
    match effect {
        Effect::Made { version } => {
            out.extend_from_slice(b",\"version\":");
            render::number(out, version);
        }
        Effect::Extended { until } => {
            out.extend_from_slice(b",\"deadline\":");
            render::time(out, until);
        }
        Effect::Nothing => {}
    }
    out.push(b'}');
}
