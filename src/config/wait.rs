//! Steps that wait for an event, from the configuration. Their form; bounds are in the table of
//! settings.

use serde::{Deserialize, Deserializer, de};

use super::Breach;
use super::step::{WrittenRetry, micros};
use crate::order::{Step, StepKind, TimeUp, Wait};

/// The word for waiting.
#[derive(Deserialize)]
enum Waits {
    #[serde(rename = "wait")]
    Word,
}

/// A step that waits, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitStep {
    name: String,
    kind: Waits,
    #[serde(deserialize_with = "time")]
    timeout: i64,
    #[serde(default = "dead", deserialize_with = "time_up")]
    on_timeout: TimeUp,
    attempts: Option<u16>,
    #[serde(default, deserialize_with = "micros")]
    retry_base: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    retry_cap: Option<i64>,
}

impl WaitStep {
    pub(super) fn step(self) -> Result<Step, Breach> {
        let Waits::Word = self.kind;
        let retry = WrittenRetry {
            attempts: self.attempts,
            base_us: self.retry_base,
            cap_us: self.retry_cap,
        };
        let kind = StepKind::Wait(Wait {
            timeout_us: self.timeout,
            then: self.on_timeout,
        });
        Ok(Step {
            retry: retry.policy()?,
            ..Step::new(&self.name, kind)
        })
    }
}

/// What an order becomes whose settings say nothing: a person should look at it.
fn dead() -> TimeUp {
    TimeUp::Dead
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let time = micros(from)?;
    time.ok_or_else(|| de::Error::custom("not a time"))
}

fn time_up<'de, D: Deserializer<'de>>(from: D) -> Result<TimeUp, D::Error> {
    let word = String::deserialize(from)?;
    let known = TimeUp::ALL.into_iter().find(|(_, it)| *it == word);
    known
        .map(|(then, _)| then)
        .ok_or_else(|| de::Error::custom("not one of the words"))
}
