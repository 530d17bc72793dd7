//! Finds everything that is wrong with a settings file, each thing with its line.
//!
//! Reading ends at the first mistake. So what is wrong is put right in memory, and the rest is read
//! again, until nothing is left; the checks are those of a start and no others. Starts nothing and
//! changes nothing; the environment and flags are left aside.

use std::collections::BTreeSet;
use std::path::Path;

use figment::Figment;
use figment::value::{Dict, Value};

use super::Config;
use super::error::{ConfigError, path_of};
use super::lines::Lines;
use super::source::FileLayer;

/// Most mistakes that are looked for: with more of them it is no settings file.
const MISTAKES_MAX: usize = 1_000;

/// Something that is wrong with a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its line, from 1. `None`: nothing of it is in the file.
    pub line: Option<usize>,
    /// The key, as in `server.listen`; empty if the file is none.
    pub key: String,
    /// What is wrong, with the key, and what it must be.
    pub what: String,
}

/// Reads a settings file, and answers with the settings or with everything that is wrong with it.
///
/// # Errors
///
/// [`ConfigError::File`]: it cannot be read.
pub fn check(path: &Path) -> Result<Result<Config, Vec<Mistake>>, ConfigError> {
    let mut layer = match FileLayer::read(path) {
        Ok(layer) => layer,
        Err(error @ ConfigError::File { .. }) => return Err(error),
        Err(error) => return Ok(Err(vec![mistake(&error, &Lines::default())])),
    };
    let lines = Lines::of(&layer.text);
    let mut mistakes = Vec::new();
    let mut mended = BTreeSet::new();
    for _ in 0..MISTAKES_MAX {
        let error = match Config::of(&Figment::from(layer.clone())) {
            Ok(config) if mistakes.is_empty() => return Ok(Ok(config)),
            Ok(_) => break,
            Err(error) => error,
        };
        let place = path_of(error.key());
        // Whatever is missing because it was taken away here is no mistake of the file.
        if !mended.contains(&place) {
            mistakes.push(mistake(&error, &lines));
        }
        if !mend(&mut layer, &place, &mut mended) {
            break;
        }
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    Ok(Err(mistakes))
}

fn mistake(error: &ConfigError, lines: &Lines) -> Mistake {
    let key = error.key();
    Mistake {
        line: error.line().or_else(|| lines.of_path(&path_of(key))),
        key: key.to_owned(),
        what: error.without_origin(),
    }
}

/// Puts right what is wrong at a place: takes it away, or, where something must be, puts something
/// harmless there. `false`: there is nothing more to be done.
fn mend(layer: &mut FileLayer, place: &[String], mended: &mut BTreeSet<Vec<String>>) -> bool {
    let is_first = mended.insert(place.to_vec());
    let root = layer.dict_mut();
    if is_first && !is_step(place) && remove(root, place) {
        return true;
    }
    match place {
        // It is the step as a whole, or it cannot do without the key: another one in its place, so
        // that those behind it keep their numbers.
        [process, name, step, number, ..] if process == "process" && step == "step" => {
            let whole = [process, name, step, number].map(String::clone);
            let is_new = mended.insert([&whole[..], &["mended".to_owned()]].concat());
            is_new && replace(root, &whole, harmless_step(number))
        }
        [process, name, version] if process == "process" && version == "version" => {
            let whole = at(root, &[process, name].map(String::clone));
            let Some(Value::Dict(_, written)) = whole else {
                return false;
            };
            written
                .insert(version.clone(), Value::from(1_u32))
                .is_none()
        }
        [process, name, _, ..] if process == "process" => {
            let whole = [process, name].map(String::clone);
            mended.insert(whole.to_vec()) && remove(root, &whole)
        }
        [section, ..] => is_first && root.remove(section).is_some(),
        [] => false,
    }
}

fn is_step(place: &[String]) -> bool {
    matches!(place, [process, _, step, _] if process == "process" && step == "step")
}

fn harmless_step(number: &str) -> Value {
    let texts = [
        ("name", format!("mended-{number}")),
        ("kind", "simulate".to_owned()),
        ("duration", "0s".to_owned()),
    ];
    let step: Dict = texts
        .into_iter()
        .map(|(key, text)| (key.to_owned(), text.into()))
        .collect();
    step.into()
}

/// What a path leads to.
fn at<'a>(root: &'a mut Dict, path: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(root.get_mut(first)?, |value, part| match value {
            Value::Dict(_, dict) => dict.get_mut(part),
            Value::Array(_, list) => list.get_mut(part.parse::<usize>().ok()?),
            _ => None,
        })
}

fn remove(root: &mut Dict, path: &[String]) -> bool {
    match path.split_last() {
        Some((key, [])) => root.remove(key).is_some(),
        Some((key, before)) => match at(root, before) {
            Some(Value::Dict(_, dict)) => dict.remove(key).is_some(),
            Some(Value::Array(_, list)) => match key.parse::<usize>() {
                Ok(index) if index < list.len() => {
                    list.remove(index);
                    true
                }
                _ => false,
            },
            _ => false,
        },
        None => false,
    }
}

fn replace(root: &mut Dict, path: &[String], value: Value) -> bool {
    let found = at(root, path);
    found.map(|old| *old = value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<(Option<usize>, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orderd.toml");
        std::fs::write(&path, text).unwrap();
        let found = check(&path).unwrap().err().unwrap_or_default();
        let told = found.into_iter();
        told.map(|mistake| (mistake.line, mistake.key)).collect()
    }

    #[test]
    fn every_mistake_is_found_with_its_line() {
        let text = "\
[server]
connections_max = 0
listen_to = \"here\"

[process.default]
concurrency = 0

[[process.default.step]]
name = \"pay\"
kind = \"simulate\"
duration = \"soon\"
attempts = 0
colour = \"red\"

[[process.default.step]]
name = \"pack\"
kind = \"robot\"

[[process.default.step]]
name = \"ship\"

[process.other]
version = 1
";
        let expected = [
            (2, "server.connections_max"),
            (3, "server.listen_to"),
            (5, "process.default.version"),
            (6, "process.default.concurrency"),
            (11, "process.default, step 1: duration"),
            (12, "process.default, step 1: attempts"),
            (13, "process.default, step 1: colour"),
            (17, "process.default, step 2: kind"),
            (19, "process.default, step 3: kind"),
            (22, "process.other"),
        ];
        let expected = expected.map(|(line, key)| (Some(line), key.to_owned()));
        assert_eq!(mistakes(text), expected);
    }

    #[test]
    fn a_file_without_mistakes_is_read() {
        assert_eq!(mistakes(""), []);
        let folder = tempfile::tempdir().unwrap();
        assert!(check(&folder.path().join("gone.toml")).is_err());
    }

    #[test]
    fn what_is_no_toml_is_named_with_its_line() {
        assert_eq!(mistakes("[server]\n= 1\n"), [(Some(2), String::new())]);
    }
}
