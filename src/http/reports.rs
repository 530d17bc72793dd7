//! What workers say about their work, as it comes over the wire, and the answer to it.
//!
//! One object, or an array of them. Nothing is asked of the engine unless all of it is well formed;
//! what becomes of each is said one by one.

use std::borrow::Cow;

use serde::de::Deserialize;
use serde_json::value::RawValue;

use super::changes::object;
use super::diagnosis;
use super::error::ApiError;
use super::outcome::{Words, done, failed};
use super::render;
use super::wire::{Fields, Text};
use crate::engine::ChangeAnswer;
use crate::order::{Action, Change, Fault, Fence, OrderId, QueueIndex, Refusal, Report, Verdict};
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
