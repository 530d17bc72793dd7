//! Steps that are sent to an address, as they are written.
//!
//! Their form and the relations between their keys; bounds of single values are in the table of
//! settings. Secrets are never shown.

use serde::Deserialize;

use super::Breach;
use super::step::{WrittenRetry, micros};
use super::undo::WrittenUndo;
use crate::order::{Hidden, Push, Step, StepKind};
use crate::outbound::{Secret, Target};

/// Most calls of a step that are under way at once, if nothing else is said.
const CONCURRENCY: u32 = 64;

/// How long an answer may take, in microseconds.
const TIMEOUT_US: std::ops::RangeInclusive<i64> = 100_000..=3_600_000_000;

/// The word for work that is sent.
#[derive(Deserialize)]
enum Pushed {
    #[serde(rename = "push")]
    Word,
}

/// A step that is sent to an address, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushStep {
    name: String,
    kind: Pushed,
    url: String,
    #[serde(default)]
    effect: bool,
    lookup: Option<String>,
    secret: Option<String>,
    #[serde(default, deserialize_with = "micros")]
    timeout: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    callback_timeout: Option<i64>,
    concurrency: Option<u32>,
    attempts: Option<u16>,
    #[serde(default, deserialize_with = "micros")]
    retry_base: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    retry_cap: Option<i64>,
    compensate: Option<WrittenUndo>,
}

impl PushStep {
    /// As a step of this process.
    pub(super) fn step(self, process: &str) -> Result<Step, Breach> {
        let Pushed::Word = self.kind;
        check_url("url", &self.url)?;
        match (self.effect, &self.lookup) {
            (true, Some(lookup)) => check_url("lookup", lookup)?,
            (false, None) => {}
            (true, None) => {
                let detail = "is true, but there is no lookup; name the address where is told \
                              what became of an attempt";
                return Err(Breach::new("effect", detail.into()));
            }
            (false, Some(_)) => {
                let detail = "is only asked about a step with effect = true";
                return Err(Breach::new("lookup", detail.into()));
            }
        }
        let timeout_us = self.timeout.unwrap_or_else(Push::usual_timeout_us);
        if !TIMEOUT_US.contains(&timeout_us) {
            let detail = "must be from 100ms to 1h; a result that takes longer can come later";
            return Err(Breach::new("timeout", detail.into()));
        }
        let retry = WrittenRetry {
            attempts: self.attempts,
            base_us: self.retry_base,
            cap_us: self.retry_cap,
        };
        let undo = self.compensate.map(|undo| undo.step(&self.name));
        Ok(Step {
            undo: undo.transpose()?,
            kind: StepKind::Push(Push {
                queue: Push::queue_of(process, &self.name),
                url: self.url.into(),
                lookup: self.lookup.map(Into::into),
                timeout_us,
                callback_us: self
                    .callback_timeout
                    .unwrap_or_else(Push::usual_callback_us),
                secrets: secrets(self.secret.as_deref().unwrap_or_default())?,
            }),
            name: self.name.into(),
            concurrency: self.concurrency.unwrap_or(CONCURRENCY),
            retry: retry.policy()?,
        })
    }
}

fn check_url(key: &'static str, url: &str) -> Result<(), Breach> {
    let read = Target::parse(url).map(|_| ());
    read.map_err(|bad| Breach::new(key, format!("is no address that can be called: it {bad}")))
}

/// One secret, or two while one takes the place of the other.
fn secrets(text: &str) -> Result<Vec<Hidden>, Breach> {
    let all: Vec<&str> = text.split_ascii_whitespace().collect();
    let is_good = |it: &&str| Secret::parse(it).is_ok();
    if all.len() > 2 || !all.iter().all(is_good) {
        let detail = "must be whsec_ and 24 to 64 bytes in base64, or two of that with a space \
                      between them";
        return Err(Breach::new("secret", detail.into()));
    }
    Ok(all.into_iter().map(Hidden::new).collect())
}
