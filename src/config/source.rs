//! Where settings come from, and in which order: flags over environment over file over defaults.
//!
//! Each value keeps its origin, so that a message and `config show` can name it. The environment is
//! handed in as a list; only `Sources::of_process` reads the real one.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::error::ConfigError;
use super::setting::{self, Form, SETTINGS};

/// The file that is read if it is in the working folder.
pub const FILE_NAME: &str = "orderd.toml";

const PREFIX: &str = "ORDERD_";

/// Everything a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that must be there, from `--config`.
    pub file: Option<PathBuf>,
    /// Where `orderd.toml` is looked for if no file is named. Relative paths stay relative to it.
    pub folder: PathBuf,
    /// Names and values.
    pub environment: Vec<(String, String)>,
    /// Flags of the command line.
    pub flags: Vec<Flag>,
}

/// A setting that was given as a flag.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag as it is written, `--listen`.
    pub name: &'static str,
    /// The key of the setting.
    pub key: &'static str,
    /// What it was given.
    pub value: Value,
}

impl Flag {
    /// The flag `name`, which sets `key` to `value`.
    pub fn new(name: &'static str, key: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        Self { name, key, value }
    }
}

/// How strongly a value was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Nobody asked.
    Default,
    /// The file.
    File,
    /// The environment.
    Environment,
    /// A flag.
    Flag,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which of the four.
    pub layer: Layer,
    /// For people: the file's path, the variable's or the flag's name.
    pub name: String,
}

impl Origin {
    /// The origin of a value that nobody set.
    pub fn default_value() -> Self {
        Self {
            layer: Layer::Default,
            name: "default".into(),
        }
    }
}

impl Sources {
    /// Those of this process: its working folder and its environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment: Vec<_> = std::env::vars_os().filter_map(text).collect();
        let named = || variable(&environment, "ORDERD_CONFIG").map(PathBuf::from);
        Self {
            file: file.or_else(named),
            folder: PathBuf::new(),
            environment,
            flags,
        }
    }

    /// A variable of the environment; an empty one counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        variable(&self.environment, name)
    }

    /// All layers over each other.
    pub(super) fn layered(&self) -> Result<Figment, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = self.path() {
            figment = figment.merge(FileLayer::read(&path)?);
        }
        for layer in self.variables() {
            figment = figment.merge(layer);
        }
        for flag in &self.flags {
            figment = figment.merge(Single {
                origin: Origin {
                    layer: Layer::Flag,
                    name: flag.name.into(),
                },
                key: flag.key.into(),
                value: flag.value.clone(),
            });
        }
        Ok(figment)
    }

    /// The file to read, if there is one.
    fn path(&self) -> Option<PathBuf> {
        let found = || {
            let path = self.folder.join(FILE_NAME);
            path.exists().then_some(path)
        };
        self.file.clone().or_else(found)
    }

    /// The settings in the environment, weakest first: `DATABASE_URL`, long names, short names.
    ///
    /// Names without `__` other than the short ones are left alone: orchestrators put variables
    /// such as `ORDERD_PORT` beside a service of this name. An empty variable counts as not set.
    fn variables(&self) -> Vec<Single> {
        let mut layers = Vec::new();
        if let Some(url) = self.variable("DATABASE_URL") {
            layers.push(Single::variable("DATABASE_URL", "store.url", url));
        }
        for (name, value) in &self.environment {
            let long = name.strip_prefix(PREFIX).filter(|key| key.contains("__"));
            if let Some(long) = long.filter(|_| !value.is_empty()) {
                let key = long.to_lowercase().replace("__", ".");
                layers.push(Single::variable(name, &key, value));
            }
        }
        for setting in SETTINGS {
            let Some(name) = setting.short_variable else {
                continue;
            };
            if let Some(value) = self.variable(name) {
                layers.push(Single::variable(name, setting.key, value));
            }
        }
        layers
    }
}

fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = environment.iter().find(|(known, _)| known == name);
    found
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty())
}

/// One value from one place.
struct Single {
    origin: Origin,
    key: String,
    value: Value,
}

impl Single {
    fn variable(name: &str, key: &str, text: &str) -> Self {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        let form = setting::find(&path).map(|setting| setting.form);
        // A text that is no number, or neither true nor false, stays a text, and is refused as one.
        let value = match form {
            Some(Form::Count(..)) => text.parse::<i64>().map(Value::from).ok(),
            Some(Form::Switch) => text.parse::<bool>().map(Value::from).ok(),
            _ => None,
        };
        Self {
            origin: Origin {
                layer: Layer::Environment,
                name: name.into(),
            },
            key: key.into(),
            value: value.unwrap_or_else(|| Value::from(text)),
        }
    }
}

impl Provider for Single {
    fn metadata(&self) -> Metadata {
        metadata(&self.origin)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut value = self.value.clone();
        for part in self.key.rsplit('.') {
            value = Value::from(Dict::from([(part.to_owned(), value)]));
        }
        let dict = value.into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// The settings of a file.
#[derive(Clone)]
pub(super) struct FileLayer {
    origin: Origin,
    /// The file as it is.
    pub(super) text: String,
    dict: Map<Profile, Dict>,
}

impl FileLayer {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File {
            path: path.into(),
            detail: error.to_string(),
        })?;
        let name = path.display().to_string();
        let dict = Toml::string(&text)
            .data()
            .map_err(|error| ConfigError::Syntax {
                origin: name.clone(),
                detail: one_line(&error.kind.to_string()),
            })?;
        let layer = Layer::File;
        Ok(Self {
            origin: Origin { layer, name },
            text,
            dict,
        })
    }

    /// What is set, to be changed.
    pub(super) fn dict_mut(&mut self) -> &mut Dict {
        self.dict.entry(Profile::Default).or_default()
    }
}

impl Provider for FileLayer {
    fn metadata(&self) -> Metadata {
        metadata(&self.origin)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(self.dict.clone())
    }
}

/// The parser's message without its picture of the line: `line 3, column 5: expected ...`.
fn one_line(message: &str) -> String {
    let mut lines = message.lines();
    let place = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("TOML parse error at ");
    let is_picture = |line: &&str| line.contains('|') && !line.contains('`');
    let rest: Vec<&str> = lines
        .filter(|line| !is_picture(line))
        .map(str::trim)
        .collect();
    format!("{place}: {}", rest.join(", "))
}

/// The library keeps a name for each layer; the first letter says which of the four it is.
fn metadata(origin: &Origin) -> Metadata {
    let layer = match origin.layer {
        Layer::Default => 'd',
        Layer::File => 'f',
        Layer::Environment => 'e',
        Layer::Flag => 'a',
    };
    Metadata::named(format!("{layer}{}", origin.name))
}

/// The way back from `metadata`.
pub(super) fn origin(metadata: Option<&Metadata>) -> Origin {
    let Some(metadata) = metadata else {
        return Origin::default_value();
    };
    let layer = match metadata.name.as_bytes().first() {
        Some(b'f') => Layer::File,
        Some(b'e') => Layer::Environment,
        Some(b'a') => Layer::Flag,
        _ => return Origin::default_value(),
    };
    let name = metadata.name[1..].to_owned();
    Origin { layer, name }
}
