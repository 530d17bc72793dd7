//! Processes from the configuration: named, versioned lists of steps.
//!
//! What has not been built yet is refused here by name, before any order can depend on it.

use std::collections::BTreeSet;
use std::time::Duration;

use figment::Figment;
use figment::value::Value;
use serde::{Deserialize, Deserializer, de};

use super::error::{ConfigError, from_figment, readable, value_at, written};
use super::setting::{self, SIMULATED_MAX_MS};
use super::source::origin;
use super::{Breach, duration};
use crate::order::{DEFAULT_PROCESS, Dialect, Process, RetryPolicy, Simulate, Step, StepKind};

/// Kinds of steps that are planned; naming one is no slip of the pen.
const KINDS_NOT_BUILT: [&str; 4] = ["push", "pull", "wait", "rules"];
/// Most steps of a process: an order's record has one place for each.
const STEPS_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 64;

/// A process as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProcess {
    version: Option<u32>,
    concurrency: Option<u32>,
    #[serde(default)]
    max_open_orders: u64,
    #[serde(default)]
    step: Vec<WrittenStep>,
}

/// A simulated step as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    name: String,
    kind: WrittenKind,
    #[serde(deserialize_with = "duration_range")]
    duration: (Duration, Duration),
    #[serde(default)]
    per_priority: bool,
    #[serde(default, deserialize_with = "parts_per_million")]
    failure_rate: u32,
    concurrency: Option<u32>,
    attempts: Option<u16>,
    #[serde(default, deserialize_with = "micros")]
    retry_base: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    retry_cap: Option<i64>,
}

/// The kinds that are built.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenKind {
    Simulate,
}

/// The processes that are written, those built in for the dialects that are spoken, and `default`
/// unless processes other than the dialects' are defined.
pub(super) fn read(
    figment: &Figment,
    root: &Value,
    names: impl Iterator<Item = String>,
    spoken: impl Iterator<Item = Dialect>,
) -> Result<Vec<Process>, ConfigError> {
    let read = |name: String| Reader { figment, root }.process(&name);
    let mut processes = names.map(read).collect::<Result<Vec<_>, _>>()?;
    let is_own =
        |process: &Process| process.version != 0 && Dialect::from_name(&process.name).is_none();
    let default = (!processes.iter().any(is_own)).then(Process::built_in);
    for process in default
        .into_iter()
        .chain(spoken.map(Dialect::built_in_process))
    {
        if !processes.iter().any(|known| known.name == process.name) {
            processes.push(process);
        }
    }
    Ok(processes)
}

/// The process of this name that needs no definition.
fn built_in(name: &str) -> Option<Process> {
    let default = (name == DEFAULT_PROCESS).then(Process::built_in);
    default.or_else(|| Dialect::from_name(name).map(Dialect::built_in_process))
}

struct Reader<'a> {
    figment: &'a Figment,
    root: &'a Value,
}

impl Reader<'_> {
    fn process(&self, name: &str) -> Result<Process, ConfigError> {
        let path = vec!["process".to_owned(), name.to_owned()];
        if !is_name(name) {
            let detail =
                "has a bad name; it must be 1 to 64 lower-case letters, digits, '_' or '-'";
            return Err(self.refused(&path, detail.into()));
        }
        let steps_path = [path.clone(), vec!["step".into()]].concat();
        if let Some(Value::Array(_, steps)) = value_at(self.root, &steps_path) {
            for index in 0..steps.len() {
                self.check_kind(&[steps_path.clone(), vec![index.to_string()]].concat())?;
            }
        }
        let section = self.figment.focus(&path.join("."));
        let written: WrittenProcess = section.extract().map_err(|mut error| {
            error.path = [&path[..], &error.path].concat();
            let origin = self.origin(&error.path);
            from_figment(&error, self.root, origin)
        })?;
        self.check_bounds(&path)?;
        let is_limits_only = written.version.is_none() && written.step.is_empty();
        if let Some(mut process) = built_in(name).filter(|_| is_limits_only) {
            process.concurrency = written.concurrency.unwrap_or(process.concurrency);
            process.open_orders_max = written.max_open_orders;
            return Ok(process);
        }
        let version = written
            .version
            .ok_or_else(|| self.missing(&path, "version"))?;
        self.check_steps(&path, &written.step)?;
        Ok(Process {
            name: name.into(),
            version,
            concurrency: written
                .concurrency
                .unwrap_or(Process::built_in().concurrency),
            open_orders_max: written.max_open_orders,
            steps: written.step.into_iter().map(WrittenStep::step).collect(),
        })
    }

    fn missing(&self, path: &[String], key: &str) -> ConfigError {
        let key = [path, &[key.to_owned()]].concat();
        ConfigError::Missing {
            origin: self.origin(path),
            must_be: setting::find(&key).map_or_else(String::new, |it| it.form.description()),
            key: readable(&key),
        }
    }

    /// Before the other keys are looked at, because they depend on the kind.
    fn check_kind(&self, step: &[String]) -> Result<(), ConfigError> {
        let path = [step.to_vec(), vec!["kind".into()]].concat();
        let Some(kind) = value_at(self.root, &path).and_then(Value::as_str) else {
            return Ok(());
        };
        if KINDS_NOT_BUILT.contains(&kind) {
            let detail =
                format!("is {kind:?}, which is not built yet in this version; use \"simulate\"");
            return Err(self.refused(&path, detail));
        }
        if kind != "simulate" {
            return Err(ConfigError::Value {
                origin: self.origin(&path),
                key: readable(&path),
                value: format!("{kind:?}"),
                must_be: "\"simulate\"".into(),
            });
        }
        Ok(())
    }

    /// Holds each value below a path against the table of settings.
    fn check_bounds(&self, path: &[String]) -> Result<(), ConfigError> {
        let Some(value) = value_at(self.root, path) else {
            return Ok(());
        };
        let below: Vec<String> = match value {
            Value::Dict(_, dict) => dict.keys().cloned().collect(),
            Value::Array(_, list) => (0..list.len()).map(|index| index.to_string()).collect(),
            _ => Vec::new(),
        };
        for part in below {
            self.check_bounds(&[path.to_vec(), vec![part]].concat())?;
        }
        let json = serde_json::to_value(value).unwrap_or_default();
        match setting::find(path) {
            Some(setting) if !setting.form.admits(&json) => Err(ConfigError::Value {
                origin: self.origin(path),
                key: readable(path),
                value: written(value),
                must_be: setting.form.description(),
            }),
            _ => Ok(()),
        }
    }

    fn check_steps(&self, path: &[String], steps: &[WrittenStep]) -> Result<(), ConfigError> {
        if steps.is_empty() || steps.len() > STEPS_MAX {
            let count = steps.len();
            let detail = format!(
                "has {count} steps; it must have 1 to {STEPS_MAX}, each written as \
                 [[{}.step]]",
                path.join(".")
            );
            return Err(self.refused(path, detail));
        }
        let mut names = BTreeSet::new();
        for (index, step) in steps.iter().enumerate() {
            let at = |key: &str| {
                let below = ["step".to_owned(), index.to_string(), key.to_owned()];
                [path, &below[..]].concat()
            };
            if !is_name(&step.name) {
                let path = at("name");
                let must_be = setting::find(&path).map(|setting| setting.form.description());
                return Err(ConfigError::Value {
                    origin: self.origin(&path),
                    key: readable(&path),
                    value: format!("{:?}", step.name),
                    must_be: must_be.unwrap_or_default(),
                });
            }
            if !names.insert(&step.name) {
                let detail = format!(
                    "is {:?}, as another step's is; names must differ",
                    step.name
                );
                return Err(self.refused(&at("name"), detail));
            }
            step.check()
                .map_err(|breach| self.refused(&at(&breach.key), breach.detail))?;
        }
        Ok(())
    }

    fn origin(&self, path: &[String]) -> String {
        let nearest = (1..=path.len())
            .rev()
            .find_map(|length| value_at(self.root, &path[..length]));
        let tag = nearest.map(Value::tag);
        origin(tag.and_then(|tag| self.figment.get_metadata(tag))).name
    }

    fn refused(&self, path: &[String], detail: String) -> ConfigError {
        ConfigError::Refused {
            origin: self.origin(path),
            key: readable(path),
            detail,
        }
    }
}

impl WrittenStep {
    fn retry(&self) -> RetryPolicy {
        let usual = RetryPolicy::default();
        RetryPolicy {
            attempts_max: self.attempts.unwrap_or(usual.attempts_max),
            base_us: self.retry_base.unwrap_or(usual.base_us),
            cap_us: self.retry_cap.unwrap_or(usual.cap_us),
        }
    }

    fn check(&self) -> Result<(), Breach> {
        let retry = self.retry();
        if retry.base_us > retry.cap_us {
            let time = |us: i64| duration::format(Duration::from_micros(us.unsigned_abs()));
            let detail = format!(
                "is {}, above retry_cap ({}); lower it or raise the other",
                time(retry.base_us),
                time(retry.cap_us)
            );
            return Err(Breach::new("retry_base", detail));
        }
        Ok(())
    }

    fn step(self) -> Step {
        let (shortest, longest) = self.duration;
        let retry = self.retry();
        Step {
            name: self.name.into(),
            kind: match self.kind {
                WrittenKind::Simulate => StepKind::Simulate(Simulate {
                    shortest_us: micros_of(shortest),
                    longest_us: micros_of(longest),
                    is_per_priority: self.per_priority,
                    failures_ppm: self.failure_rate,
                }),
            },
            concurrency: self.concurrency.unwrap_or(u32::MAX),
            retry,
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn micros_of(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn duration_range<'de, D: Deserializer<'de>>(from: D) -> Result<(Duration, Duration), D::Error> {
    let text = String::deserialize(from)?;
    duration::parse_range(&text)
        .filter(|(_, longest)| *longest <= Duration::from_millis(SIMULATED_MAX_MS))
        .ok_or_else(|| de::Error::custom("not a range of times"))
}

fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    duration::deserialize(from).map(|time| Some(micros_of(time)))
}

/// A rate as parts per million, rounded.
fn parts_per_million<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let rate = f64::deserialize(from)?;
    if (0.0..=1.0).contains(&rate) {
        Ok((rate * 1_000_000.0).round() as u32)
    } else {
        Err(de::Error::custom("not a rate"))
    }
}
