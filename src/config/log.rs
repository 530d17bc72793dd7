//! Settings of the log: what is written, and in which form.
//!
//! Data and its check only; the log itself is set up in `telemetry`.

use serde::{Deserialize, Serialize};

use super::Breach;

/// What the log is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Levels, for all or by module: `info`, `warn,orderd::http=debug`. Default `info`.
    pub filter: String,
    /// For people, or one JSON object a line. Default human.
    pub format: LogFormat,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: "info".into(),
            format: LogFormat::Human,
        }
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl LogSettings {
    /// Stricter than the library, which takes a misspelt level for the name of a module.
    pub(super) fn check(&self) -> Result<(), Breach> {
        for part in self.filter.split(',') {
            let (module, level) = match part.split_once('=') {
                Some((module, level)) => (Some(module.trim()), level.trim()),
                None => (None, part.trim()),
            };
            let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let is_module = |name: &str| !name.is_empty() && name.chars().all(is_path);
            if !LEVELS.contains(&level) || module.is_some_and(|name| !is_module(name)) {
                let detail = format!(
                    "is {:?}, but {:?} is not LEVEL or MODULE=LEVEL; levels are {}",
                    self.filter,
                    part.trim(),
                    LEVELS.join(", ")
                );
                return Err(Breach::new("log.filter", detail));
            }
        }
        Ok(())
    }
}
