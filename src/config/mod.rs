//! The configuration: what may be set, its default, its check.
//!
//! Read once at the start, checked with all relations, then handed down in one plain struct per
//! concern; nothing below sees the whole. `template.toml` beside this file is the manual.

mod check;
mod compat;
pub mod duration;
mod error;
mod events;
mod lines;
mod log;
mod outbound;
mod process;
mod push;
mod queue;
mod server;
pub mod setting;
pub mod size;
mod source;
mod step;
pub mod steps;
mod store;
#[cfg(test)]
mod tests;
mod undo;
mod wait;
mod webhooks;

use std::collections::BTreeMap;

use figment::Figment;
use figment::value::{Dict, Value};
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use self::check::{Mistake, check};
pub use self::compat::{CompatSettings, DialectSettings};
pub use self::error::{ConfigError, masked};
pub use self::events::EventSettings;
pub use self::log::{LogFormat, LogSettings};
pub use self::outbound::OutboundSettings;
pub use self::queue::QueueSettings;
pub use self::server::ServerSettings;
pub use self::source::{FILE_NAME, Flag, Layer, Origin, Sources};
pub use self::store::StoreSettings;
pub use self::webhooks::WebhookSettings;
use crate::order::Process;

/// A commented settings file in which every line that is commented out is a default.
pub const TEMPLATE: &str = include_str!("template.toml");

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerSettings,
    /// The store.
    pub store: StoreSettings,
    /// The queue.
    pub queue: QueueSettings,
    /// The event stream.
    pub events: EventSettings,
    /// Calls to the outside.
    pub outbound: OutboundSettings,
    /// Deliveries to webhooks.
    pub webhooks: WebhookSettings,
    /// The log.
    pub log: LogSettings,
    /// The dialects.
    pub compat: CompatSettings,
    /// The processes new orders may name, at least one, each with another name.
    pub processes: Vec<Process>,
    /// Where the values come from; keys that are not in here have their default.
    origins: BTreeMap<String, Origin>,
}

/// The settings as they are written; processes are read on their own.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    server: ServerSettings,
    store: StoreSettings,
    queue: QueueSettings,
    events: EventSettings,
    outbound: OutboundSettings,
    webhooks: WebhookSettings,
    log: LogSettings,
    compat: compat::WrittenCompat,
    process: BTreeMap<String, IgnoredAny>,
}

/// A setting contradicts another one, or what this version can do.
#[derive(Debug)]
struct Breach {
    key: String,
    /// Follows the key in a sentence.
    detail: String,
}

impl Breach {
    fn new(key: impl Into<String>, detail: String) -> Self {
        let key = key.into();
        Self { key, detail }
    }
}

impl Config {
    /// Reads and checks all layers. The first thing that is wrong is the error.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        Self::of(&sources.layered()?)
    }

    fn of(figment: &Figment) -> Result<Self, ConfigError> {
        let root: Value = figment
            .extract::<Dict>()
            .map(Value::from)
            .map_err(|error| from_library(figment, &Value::from(Dict::new()), error))?;
        let mut written: Written = figment
            .extract()
            .map_err(|error| from_library(figment, &root, error))?;
        let layer = |key| origin_of(figment, key).layer;
        let settled = written
            .store
            .settle(layer("store.data"), layer("store.url"));
        settled.map_err(|breach| refused(figment, breach))?;
        check_bounds(figment, &written)?;
        let compat = written.compat.settled();
        let checks = [
            written.server.check(),
            written.store.check(),
            written.queue.check(),
            written.outbound.check(),
            written.log.check(),
            compat.check(&written.server),
        ];
        for check in checks {
            check.map_err(|breach| refused(figment, breach))?;
        }
        let dialects = compat.dialects.iter().map(|settings| settings.dialect);
        let names = written.process.into_keys();
        let processes = process::read(figment, &root, names, dialects)?;
        Ok(Self {
            origins: origins(figment, &processes),
            server: written.server,
            store: written.store,
            queue: written.queue,
            events: written.events,
            outbound: written.outbound,
            webhooks: written.webhooks,
            log: written.log,
            compat,
            processes,
        })
    }

    /// Where the value of a key comes from: a section's setting, or `process.NAME`.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins
            .get(key)
            .cloned()
            .unwrap_or_else(Origin::default_value)
    }
}

fn check_bounds(figment: &Figment, written: &Written) -> Result<(), ConfigError> {
    let sections = [
        ("server", serde_json::to_value(&written.server)),
        ("store", serde_json::to_value(&written.store)),
        ("queue", serde_json::to_value(&written.queue)),
        ("events", serde_json::to_value(&written.events)),
        ("outbound", serde_json::to_value(&written.outbound)),
        ("webhooks", serde_json::to_value(&written.webhooks)),
        ("log", serde_json::to_value(&written.log)),
    ];
    for (section, values) in sections {
        let values = values.unwrap_or_default();
        for (name, value) in values.as_object().into_iter().flatten() {
            let path = [section.to_owned(), name.clone()];
            let form = setting::find(&path).map(|setting| setting.form);
            if let Some(form) = form.filter(|form| !form.admits(value)) {
                let key = path.join(".");
                return Err(ConfigError::Value {
                    origin: origin_of(figment, &key).name,
                    value: value.to_string(),
                    must_be: form.description(),
                    key,
                });
            }
        }
    }
    Ok(())
}

fn origin_of(figment: &Figment, key: &str) -> Origin {
    source::origin(figment.find_metadata(key))
}

fn refused(figment: &Figment, breach: Breach) -> ConfigError {
    ConfigError::Refused {
        origin: origin_of(figment, &breach.key).name,
        key: breach.key,
        detail: breach.detail,
    }
}

fn from_library(figment: &Figment, root: &Value, error: figment::Error) -> ConfigError {
    let origin = source::origin(error.metadata.as_ref());
    let name = match origin.layer {
        Layer::Default => origin_of(figment, &error.path.join(".")).name,
        _ => origin.name,
    };
    error::from_figment(&error, root, name)
}

fn origins(figment: &Figment, processes: &[Process]) -> BTreeMap<String, Origin> {
    let sections = setting::SETTINGS
        .iter()
        .map(|setting| setting.key.to_owned());
    let processes = processes
        .iter()
        .map(|process| format!("process.{}", process.name));
    sections
        .chain(processes)
        .map(|key| (origin_of(figment, &key), key))
        .filter(|(origin, _)| origin.layer != Layer::Default)
        .map(|(origin, key)| (key, origin))
        .collect()
}
