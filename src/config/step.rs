//! Steps from the configuration, each kind with keys of its own.
//!
//! Their form and the relations between their keys; bounds of single values are in the table of
//! settings.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::process::is_name;
use super::setting::SIMULATED_MAX_MS;
use super::undo::WrittenUndo;
use super::{Breach, duration};
use crate::order::{
    LabelRule, Limits, Priority, Pull, RetryPolicy, Rules, Simulate, Step, StepKind, When,
};

/// How long a worker may be silent if nothing else is said, in microseconds.
pub(super) const LEASE_US: i64 = 30_000_000;
/// Most labels of a step: they are tried one after another.
const LABELS_MAX: usize = 100;
/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 64;
/// Longest text about a label or a limit, in characters.
const TEXT_CHARS_MAX: usize = 1_024;

/// The word for simulated work.
#[derive(Deserialize)]
enum Simulated {
    #[serde(rename = "simulate")]
    Word,
}

/// The word for rules.
#[derive(Deserialize)]
enum Ruled {
    #[serde(rename = "rules")]
    Word,
}

/// The word for work that is leased.
#[derive(Deserialize)]
enum Pulled {
    #[serde(rename = "pull")]
    Word,
}

/// A step that workers lease, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PullStep {
    name: String,
    kind: Pulled,
    queue: String,
    #[serde(default, deserialize_with = "micros")]
    lease: Option<i64>,
    concurrency: Option<u32>,
    attempts: Option<u16>,
    #[serde(default, deserialize_with = "micros")]
    retry_base: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    retry_cap: Option<i64>,
    compensate: Option<WrittenUndo>,
}

/// How failed attempts are tried again, as it is written.
pub(super) struct WrittenRetry {
    pub(super) attempts: Option<u16>,
    pub(super) base_us: Option<i64>,
    pub(super) cap_us: Option<i64>,
}

/// A simulated step as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SimulateStep {
    name: String,
    kind: Simulated,
    #[serde(deserialize_with = "duration_range")]
    duration: (Duration, Duration),
    #[serde(default)]
    per_priority: bool,
    #[serde(default, deserialize_with = "parts_per_million")]
    failure_rate: u32,
    #[serde(default, deserialize_with = "parts_per_million")]
    permanent_rate: u32,
    concurrency: Option<u32>,
    attempts: Option<u16>,
    #[serde(default, deserialize_with = "micros")]
    retry_base: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    retry_cap: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    retry_after: Option<i64>,
    compensate: Option<WrittenUndo>,
}

/// A step with rules as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesStep {
    name: String,
    kind: Ruled,
    total_max: Option<i64>,
    total_text: Option<Box<str>>,
    items_max: Option<u16>,
    items_text: Option<Box<str>>,
    #[serde(default)]
    label: Vec<WrittenLabel>,
}

/// A label as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLabel {
    label: Box<str>,
    text: Box<str>,
    total_above: Option<i64>,
    priority: Option<Priority>,
}

impl WrittenRetry {
    pub(super) fn policy(self) -> Result<RetryPolicy, Breach> {
        let usual = RetryPolicy::default();
        let retry = RetryPolicy {
            attempts_max: self.attempts.unwrap_or(usual.attempts_max),
            base_us: self.base_us.unwrap_or(usual.base_us),
            cap_us: self.cap_us.unwrap_or(usual.cap_us),
        };
        if retry.base_us > retry.cap_us {
            let time = |us: i64| duration::format(Duration::from_micros(us.unsigned_abs()));
            let detail = format!(
                "is {}, above retry_cap ({}); lower it or raise the other",
                time(retry.base_us),
                time(retry.cap_us)
            );
            return Err(Breach::new("retry_base", detail));
        }
        Ok(retry)
    }
}

impl PullStep {
    pub(super) fn step(self) -> Result<Step, Breach> {
        let Pulled::Word = self.kind;
        if !is_name(&self.queue) {
            let detail = format!(
                "is {:?}; it must be 1 to 64 lower-case letters, digits, '_' or '-'",
                self.queue
            );
            return Err(Breach::new("queue", detail));
        }
        let retry = WrittenRetry {
            attempts: self.attempts,
            base_us: self.retry_base,
            cap_us: self.retry_cap,
        };
        let undo = self.compensate.map(|undo| undo.step(&self.name));
        Ok(Step {
            undo: undo.transpose()?,
            name: self.name.into(),
            kind: StepKind::Pull(Pull {
                queue: self.queue.into(),
                lease_us: self.lease.unwrap_or(LEASE_US),
            }),
            concurrency: self.concurrency.unwrap_or(u32::MAX),
            retry: retry.policy()?,
        })
    }
}

impl SimulateStep {
    pub(super) fn step(self) -> Result<Step, Breach> {
        let Simulated::Word = self.kind;
        let retry = WrittenRetry {
            attempts: self.attempts,
            base_us: self.retry_base,
            cap_us: self.retry_cap,
        };
        let retry = retry.policy()?;
        let (shortest, longest) = self.duration;
        let undo = self.compensate.map(|undo| undo.step(&self.name));
        Ok(Step {
            undo: undo.transpose()?,
            name: self.name.into(),
            kind: StepKind::Simulate(Simulate {
                shortest_us: micros_of(shortest),
                longest_us: micros_of(longest),
                is_per_priority: self.per_priority,
                failures_ppm: self.failure_rate,
                permanent_ppm: self.permanent_rate,
                retry_after_us: self.retry_after,
            }),
            concurrency: self.concurrency.unwrap_or(u32::MAX),
            retry,
        })
    }
}

impl RulesStep {
    pub(super) fn step(self) -> Result<Step, Breach> {
        let Ruled::Word = self.kind;
        if self.total_max.is_none() && self.items_max.is_none() && self.label.is_empty() {
            let detail = "is \"rules\", but there are none; give total_max, items_max or a label";
            return Err(Breach::new("kind", detail.into()));
        }
        if self.label.len() > LABELS_MAX {
            let count = self.label.len();
            let detail = format!("is given {count} times; at most {LABELS_MAX} are possible");
            return Err(Breach::new("label", detail));
        }
        let usual = Limits::default();
        let limits = Limits {
            total_max_minor: self.total_max,
            total_text: self.total_text.unwrap_or(usual.total_text),
            items_max: self.items_max,
            items_text: self.items_text.unwrap_or(usual.items_text),
        };
        check_text("total_text", &limits.total_text, TEXT_CHARS_MAX)?;
        check_text("items_text", &limits.items_text, TEXT_CHARS_MAX)?;
        let labels = self.label.into_iter().enumerate();
        let labels: Vec<LabelRule> = labels
            .map(|(index, label)| label.rule(index))
            .collect::<Result<_, _>>()?;
        let catches_all = |rule: &LabelRule| rule.when == When::default();
        if let Some(index) = labels.iter().position(catches_all)
            && index + 1 < labels.len()
        {
            let detail = format!("is never reached: label {} fits every order", index + 1);
            return Err(Breach::new(format!("label.{}", index + 1), detail));
        }
        let kind = StepKind::Rules(Rules { limits, labels });
        Ok(Step::new(&self.name, kind))
    }
}

impl WrittenLabel {
    fn rule(self, index: usize) -> Result<LabelRule, Breach> {
        check_text(
            &format!("label.{index}.label"),
            &self.label,
            LABEL_CHARS_MAX,
        )?;
        check_text(&format!("label.{index}.text"), &self.text, TEXT_CHARS_MAX)?;
        Ok(LabelRule {
            label: self.label,
            text: self.text,
            when: When {
                total_above_minor: self.total_above,
                priority: self.priority,
            },
        })
    }
}

fn check_text(key: &str, text: &str, chars_max: usize) -> Result<(), Breach> {
    let is_good = (1..=chars_max).contains(&text.chars().count());
    if is_good && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let detail = format!("must have 1 to {chars_max} characters and no control characters");
    Err(Breach::new(key.to_owned(), detail))
}

pub(super) fn micros_of(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn duration_range<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<(Duration, Duration), D::Error> {
    let text = String::deserialize(from)?;
    duration::parse_range(&text)
        .filter(|(_, longest)| *longest <= Duration::from_millis(SIMULATED_MAX_MS))
        .ok_or_else(|| de::Error::custom("not a range of times"))
}

pub(super) fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    duration::deserialize(from).map(|time| Some(micros_of(time)))
}

/// A rate as parts per million, rounded.
pub(super) fn parts_per_million<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let rate = f64::deserialize(from)?;
    if (0.0..=1.0).contains(&rate) {
        Ok((rate * 1_000_000.0).round() as u32)
    } else {
        Err(de::Error::custom("not a rate"))
    }
}
