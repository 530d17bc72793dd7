//! Processes from the configuration: named, versioned lists of steps.
//!
//! What has not been built yet is refused here by name, before any order can depend on it.

use figment::Figment;
use figment::value::{Dict, Value};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::error::{ConfigError, from_figment, readable, value_at, written};
use super::push::PushStep;
use super::setting;
use super::source::origin;
use super::step::{PullStep, RulesStep, SimulateStep};
use super::wait::WaitStep;
use crate::order::{DEFAULT_PROCESS, Dialect, Process, Step};

/// Most steps of a process: an order's record has one place for each.
const STEPS_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 64;

/// A process as it is written; its steps are read one by one, because their keys depend on their
/// kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProcess {
    version: Option<u32>,
    concurrency: Option<u32>,
    #[serde(default)]
    max_open_orders: u64,
    #[serde(default)]
    step: Vec<IgnoredAny>,
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
        let steps = self.steps(&path, written.step.len())?;
        Ok(Process {
            name: name.into(),
            version,
            concurrency: written
                .concurrency
                .unwrap_or(Process::built_in().concurrency),
            open_orders_max: written.max_open_orders,
            steps,
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
            Some(setting) if !setting.form.admits(&json) => Err(self.wrong(path)),
            _ => Ok(()),
        }
    }

    fn steps(&self, process: &[String], count: usize) -> Result<Vec<Step>, ConfigError> {
        if count == 0 || count > STEPS_MAX {
            let detail = format!(
                "has {count} steps; it must have 1 to {STEPS_MAX}, each written as \
                 [[{}.step]]",
                process.join(".")
            );
            return Err(self.refused(process, detail));
        }
        let mut steps: Vec<Step> = Vec::with_capacity(count);
        for index in 0..count {
            let path = [process, &["step".to_owned(), index.to_string()]].concat();
            let step = self.step(&path)?;
            let path = [path, vec!["name".into()]].concat();
            if !is_name(&step.name) {
                return Err(self.wrong(&path));
            }
            if steps.iter().any(|other| other.name == step.name) {
                let name = &step.name;
                let detail = format!("is {name:?}, as another step's is; names must differ");
                return Err(self.refused(&path, detail));
            }
            steps.push(step);
        }
        Ok(steps)
    }

    /// Looks at the kind before the other keys, because they depend on it.
    fn step(&self, path: &[String]) -> Result<Step, ConfigError> {
        let kind_path = [path, &["kind".to_owned()]].concat();
        let Some(kind) = value_at(self.root, &kind_path) else {
            return Err(self.missing(path, "kind"));
        };
        match kind.as_str() {
            Some("simulate") => self.written::<SimulateStep>(path)?.step(),
            Some("rules") => self.written::<RulesStep>(path)?.step(),
            Some("pull") => self.written::<PullStep>(path)?.step(),
            Some("push") => self.written::<PushStep>(path)?.step(&path[1]),
            Some("wait") => self.written::<WaitStep>(path)?.step(),
            _ => return Err(self.wrong(&kind_path)),
        }
        .map_err(|breach| {
            let below = breach.key.split('.').map(str::to_owned);
            let path: Vec<String> = path.iter().cloned().chain(below).collect();
            self.refused(&path, breach.detail)
        })
    }

    /// A step in the form of its kind.
    fn written<T: DeserializeOwned>(&self, path: &[String]) -> Result<T, ConfigError> {
        let value = value_at(self.root, path).cloned();
        let value = value.unwrap_or_else(|| Value::from(Dict::new()));
        value.deserialize().map_err(|mut error| {
            error.path = [path, &error.path].concat();
            let origin = self.origin(&error.path);
            from_figment(&error, self.root, origin)
        })
    }

    /// A value that is not what its setting must be.
    fn wrong(&self, path: &[String]) -> ConfigError {
        ConfigError::Value {
            origin: self.origin(path),
            key: readable(path),
            value: value_at(self.root, path).map_or_else(String::new, written),
            must_be: setting::find(path).map_or_else(String::new, |it| it.form.description()),
        }
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

pub(super) fn is_name(text: &str) -> bool {
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}
