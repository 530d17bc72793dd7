//! `orderd config`: shows the settings in force and where each comes from, checks them, prints a
//! template. Starts nothing and changes nothing.

use serde_json::{Map, Value, json};

use super::{Globals, exit, output};
use crate::config::setting::SETTINGS;
use crate::config::{Config, Layer, TEMPLATE, masked, steps};
use crate::order::Process;

const EXAMPLES: &str = "\
Examples:
  orderd config template > orderd.toml    a file with every setting, to be changed
  orderd config check                     is it right?
  orderd config show                      what counts, and where it comes from
  ORDERD_LISTEN=127.0.0.1:8080 orderd config show --json";

/// Show, check or start a configuration
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Print the settings in force, and where each comes from
    Show,
    /// Check the settings and say whether they are right (exit code 8 if not)
    Check,
    /// Print a commented settings file with all defaults
    Template,
}

/// Runs the command.
///
/// # Errors
///
/// The configuration is wrong, or stdout cannot be written.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    match arguments.command {
        Command::Template => output::text(TEMPLATE)?,
        Command::Show if globals.json => {
            let config = globals.config(Vec::new())?;
            output::line(&as_json(&config))?;
        }
        Command::Show => output::text(&as_toml(&globals.config(Vec::new())?))?,
        Command::Check => {
            let config = globals.config(Vec::new())?;
            let names: Vec<_> = config
                .processes
                .iter()
                .map(|process| &*process.name)
                .collect();
            if globals.json {
                output::line(&json!({ "valid": true, "processes": names }))?;
            } else {
                output::line(&format_args!(
                    "the configuration is valid; processes: {}",
                    names.join(", ")
                ))?;
            }
        }
    }
    Ok(exit::OK)
}

/// The value of each setting outside the processes, in the order of the template.
fn values(config: &Config) -> Vec<(&'static str, Value)> {
    let sections = json!({
        "server": config.server,
        "store": config.store,
        "queue": config.queue,
        "events": config.events,
        "outbound": config.outbound,
        "webhooks": config.webhooks,
        "log": config.log,
        "compat": config.compat,
    });
    let plain = SETTINGS.iter().filter(|setting| !setting.key.contains('*'));
    plain
        .filter_map(|setting| {
            let pointer = format!("/{}", setting.key.replace('.', "/"));
            let value = match sections.pointer(&pointer)? {
                Value::Null if setting.key == "store.url" => config.store.effective_url().into(),
                value => value.clone(),
            };
            let value = match value.as_str() {
                Some(text) => masked(text).into(),
                None => value,
            };
            Some((setting.key, value))
        })
        .collect()
}

/// Where a value comes from; the URL follows from the folder if it does not count itself.
fn origin(config: &Config, key: &str) -> String {
    let key = match key {
        "store.url" if config.store.url.is_none() => "store.data",
        key => key,
    };
    config.origin(key).name
}

fn as_json(config: &Config) -> Value {
    let mut settings = Map::new();
    for (key, value) in values(config) {
        let origin = origin(config, key);
        settings.insert(key.into(), json!({ "value": value, "origin": origin }));
    }
    let processes: Vec<Value> = config
        .processes
        .iter()
        .map(|process| {
            let origin = config.origin(&format!("process.{}", process.name)).name;
            let steps: Vec<Value> = process.steps.iter().map(steps::as_json).collect();
            json!({
                "name": process.name,
                "origin": origin,
                "version": process.version,
                "concurrency": process.concurrency,
                "max_open_orders": process.open_orders_max,
                "steps": steps,
            })
        })
        .collect();
    json!({ "settings": settings, "processes": processes })
}

/// A file that means the same, with the origin of each value behind it.
pub fn as_toml(config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for (key, value) in values(config) {
        let (own, name) = key.rsplit_once('.').unwrap_or(("", key));
        if own != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}[{own}]\n"));
            section = own;
        }
        // A file with both of them would be refused, so the one that does not count is a comment.
        let counts = match key {
            "store.url" => config.store.url.is_some(),
            "store.data" => config.store.url.is_none(),
            _ => true,
        };
        let mark = if counts { "" } else { "# " };
        let line = format!("{mark}{name} = {}", steps::toml(&value));
        text.push_str(&format!("{line:<40} # {}\n", origin(config, key)));
    }
    for process in &config.processes {
        text.push_str(&process_as_toml(config, process));
    }
    text
}

fn process_as_toml(config: &Config, process: &Process) -> String {
    let name = &process.name;
    let origin = config.origin(&format!("process.{name}"));
    // What is built in is no setting: a file that holds it would define a version of its own. Its
    // limits are settings.
    let is_built_in = process.version == 0;
    let is_untouched = origin.layer == Layer::Default;
    let mark = |is_comment| if is_comment { "# " } else { "" };
    let origin = if is_untouched {
        "built in"
    } else {
        &origin.name
    };
    let head = format!("{}[process.{name}]", mark(is_untouched));
    let mut text = format!("\n{head:<40} # {origin}\n");
    let limits = [
        format!("concurrency = {}", process.concurrency),
        format!("max_open_orders = {}", process.open_orders_max),
    ];
    for limit in limits {
        text.push_str(&format!("{}{limit}\n", mark(is_untouched)));
    }
    let mut lines = vec![format!("version = {}", process.version)];
    for step in &process.steps {
        lines.extend(steps::as_toml(step, &format!("process.{name}.step")));
    }
    for line in lines {
        text.push_str(&format!("{}{line}\n", mark(is_built_in)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn read(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orderd.toml");
        std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        Config::read(&sources).unwrap()
    }

    const PROCESS: &str = "[process.express]\nversion = 2\n[[process.express.step]]\nname = \
        \"pack\"\n\
        kind = \"simulate\"\nduration = \"250ms\"\nfailure_rate = 0.1\nconcurrency = 3\n";

    const RULES: &str = "[process.checked]\nversion = 1\n[[process.checked.step]]\n\
        name = \"check\"\nkind = \"rules\"\nitems_max = 5\nitems_text = \"no \\\"more\\\"\"\n\
        [[process.checked.step.label]]\nlabel = \"dear\"\ntext = \"t\"\ntotal_above = 9\n\
        [[process.checked.step.label]]\nlabel = \"usual\"\ntext = \"u\"\n\
        [[process.checked.step]]\nname = \"limit\"\nkind = \"rules\"\ntotal_max = 7\n";

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for text in [
            "",
            PROCESS,
            "[server]\nidle_timeout = \"90s\"\n[store]\ndata = \"x\"",
            "[store]\nurl = \"sqlite:far/away.db\"",
            "[store]\nurl = \"sqlite:a\\u007F\\u0001\\tb.db\"",
            "[compat]\ndialects = \"realtime\"\n[compat.api_v1]\nlisten = \"127.0.0.2:81\"",
            "[compat]\ndialects = \"all\"\n[process.api_v1]\nconcurrency = 3",
            RULES,
        ] {
            let config = read(text);
            let shown = as_toml(&config);
            let again = read(&shown);
            assert_eq!(again.server, config.server, "{shown}");
            assert_eq!(again.store, config.store, "{shown}");
            assert_eq!(again.queue, config.queue, "{shown}");
            assert_eq!(again.compat, config.compat, "{shown}");
            assert_eq!(again.processes, config.processes, "{shown}");
        }
    }

    #[test]
    fn each_value_is_shown_with_its_origin() {
        let config = read("[server]\nidle_timeout = \"90s\"");
        let shown = as_json(&config);
        let setting = |key: &str| shown["settings"][key].clone();
        assert_eq!(setting("server.idle_timeout")["value"], "90s");
        let origin = setting("server.idle_timeout")["origin"].to_string();
        assert!(origin.ends_with("orderd.toml\""), "{origin}");
        assert_eq!(setting("queue.max_open_orders")["origin"], "default");
        assert_eq!(
            setting("store.url")["value"],
            "sqlite:./orderd-data/orders.db"
        );
        assert_eq!(shown["processes"][0]["steps"][0]["duration"], "1s..10s");
    }
}
