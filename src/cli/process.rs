//! `orderd process`: checks the processes of a settings file, and shows those of a server.
//!
//! `check` needs no server and starts nothing; `list` and `show` are clients of the HTTP API like
//! any other.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::api::{Server, plain};
use super::client::encoded;
use super::exit::{self, Failure};
use super::orders::Client;
use super::orders::show::{cell, table};
use super::{Globals, output};
use crate::config::{self, FILE_NAME, Mistake};

const EXAMPLES: &str = "\
Examples:
  orderd process check                    is ./orderd.toml right, all of it?
  orderd process check new/orderd.toml
  orderd process list                     which processes does the server have?
  orderd process show default             what do its steps do?
  orderd process show default --version 1";

const CHECK_AFTER: &str = "\
Only the file counts, not the environment. Exit code 0 if it is right, 8 if something is wrong; each
mistake is a line: FILE:LINE: KEY and what it must be.";

/// Check processes, and show those of a server
#[derive(Clone, Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    Check(Check),
    /// List the processes of a server, with their versions and open orders
    List,
    Show(Show),
}

/// Read a settings file and name everything that is wrong with it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = CHECK_AFTER)]
struct Check {
    /// The file [default: that of --config, or orderd.toml]
    file: Option<PathBuf>,
}

/// Show a process of a server: its steps, their kinds and limits
#[derive(Clone, Debug, clap::Args)]
struct Show {
    /// The process
    name: String,
    /// In this version [default: the one that new orders get]
    #[arg(long, value_name = "N")]
    version: Option<u32>,
}

/// Runs the command.
///
/// # Errors
///
/// The file is wrong, no server at the address, or there is no such process.
pub fn run(arguments: &Arguments, globals: &Globals) -> anyhow::Result<u8> {
    let (name, version) = match &arguments.command {
        Command::Check(asked) => return check(asked, globals),
        Command::List => (None, None),
        Command::Show(asked) => (Some(&asked.name), asked.version),
    };
    let mut path = "/v1/processes".to_owned();
    if let Some(name) = name {
        path.push_str(&format!("/{}", encoded(name)));
    }
    if let Some(version) = version {
        path.push_str(&format!("?version={version}"));
    }
    let mut client = Client::new(&arguments.server, globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(client.api.get(&path))?;
    let told = client.accept(answer)?.json;
    if client.is_json {
        return Ok(exit::OK);
    }
    match name {
        None => output::line(&list(&told))?,
        Some(_) => {
            output::line(&head(&told))?;
            output::line(&steps(&told))?;
        }
    }
    Ok(exit::OK)
}

fn check(asked: &Check, globals: &Globals) -> anyhow::Result<u8> {
    let named = asked.file.clone().or_else(|| globals.config.clone());
    let path = named.unwrap_or_else(|| FILE_NAME.into());
    let file = path.display().to_string();
    let checked = config::check(&path).map_err(|error| Failure::of_setting(&error))?;
    let mistakes = match checked {
        Ok(config) => {
            let processes = config.processes.iter();
            if globals.json {
                let names: Vec<&str> = processes.map(|process| &*process.name).collect();
                output::line(&json!({ "valid": true, "processes": names, "errors": [] }))?;
            } else {
                let told = processes.map(|process| {
                    let (name, version) = (&process.name, process.version);
                    let steps = process.steps.iter().map(|step| &*step.name);
                    let steps: Vec<&str> = steps.collect();
                    format!("{name} (version {version}: {})", steps.join(", "))
                });
                let told: Vec<String> = told.collect();
                output::line(&format_args!(
                    "{file} is right; processes: {}",
                    told.join(", ")
                ))?;
            }
            return Ok(exit::OK);
        }
        Err(mistakes) => mistakes,
    };
    if globals.json {
        let errors = mistakes.iter().map(|mistake| as_json(&file, mistake));
        let errors: Vec<Value> = errors.collect();
        output::line(&json!({ "valid": false, "errors": errors }))?;
    } else {
        for Mistake { line, what, .. } in &mistakes {
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            output::line(&format_args!("{file}{line}: {what}"))?;
        }
    }
    let what = match mistakes.len() {
        1 => format!("{file} has a mistake"),
        count => format!("{file} has {count} mistakes"),
    };
    let way_out = "mend what is named and check it again";
    Err(Failure::new(exit::CONFIGURATION, what, way_out).into())
}

fn as_json(file: &str, mistake: &Mistake) -> Value {
    json!({
        "file": file,
        "line": mistake.line,
        "key": mistake.key,
        "detail": mistake.what,
    })
}

fn list(page: &Value) -> comfy_table::Table {
    let mut table = table();
    table.set_header(["process", "version", "steps", "open", "older versions"]);
    for process in page["data"].as_array().into_iter().flatten() {
        let all = process["versions"].as_array().into_iter().flatten();
        let older = all.filter(|version| version["takes_new_orders"] != true);
        let older = older.map(|it| format!("{}: {} open", it["version"], it["open"]));
        let steps = process["steps"].as_array().into_iter().flatten();
        let steps: Vec<&str> = steps.filter_map(Value::as_str).collect();
        table.add_row([
            cell("name", &process["name"]),
            cell("version", &process["version"]),
            plain(&steps.join(", ")),
            cell("open", &process["open"]),
            older.collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

fn head(process: &Value) -> comfy_table::Table {
    let mut table = table();
    for key in ["name", "version", "takes_new_orders", "open", "concurrency"] {
        table.add_row([key.replace('_', " "), cell(key, &process[key])]);
    }
    if process["max_open_orders"] != 0 {
        table.add_row([
            "max open orders",
            &cell("open", &process["max_open_orders"]),
        ]);
    }
    for version in process["versions"].as_array().into_iter().flatten() {
        if version["version"] != process["version"] {
            let (number, open) = (&version["version"], &version["open"]);
            table.add_row([format!("version {number}"), format!("{open} open")]);
        }
    }
    table
}

/// A step in each line: what all have in columns, what its kind has behind them.
fn steps(process: &Value) -> comfy_table::Table {
    const COLUMNS: [&str; 3] = ["name", "kind", "concurrency"];
    const RETRY: [&str; 3] = ["attempts", "retry_base", "retry_cap"];
    let mut table = table();
    table.set_header(["step", "kind", "concurrency", "retry", "settings"]);
    for step in process["steps"].as_array().into_iter().flatten() {
        let settings = step.as_object().into_iter().flatten();
        let own = settings
            .filter(|(key, _)| !COLUMNS.contains(&key.as_str()) && !RETRY.contains(&key.as_str()));
        let own = own.map(|(key, value)| format!("{} = {}", plain(key), cell(key, value)));
        let [attempts, base, cap] = RETRY.map(|key| cell(key, &step[key]));
        let retry = match attempts.is_empty() {
            true => String::new(),
            false => format!("{attempts} attempts, {base} to {cap}"),
        };
        let [name, kind, concurrency] = COLUMNS.map(|key| cell(key, &step[key]));
        table.add_row([
            name,
            kind,
            concurrency,
            retry,
            own.collect::<Vec<_>>().join("\n"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_shown_with_what_its_steps_do() {
        let process = json!({
            "name": "default", "version": 2, "takes_new_orders": true, "open": 3,
            "concurrency": 1000, "max_open_orders": 0,
            "versions": [
                {"version": 2, "takes_new_orders": true, "open": 3},
                {"version": 1, "takes_new_orders": false, "open": 7},
            ],
            "steps": [{
                "name": "pack", "kind": "pull", "queue": "ware\u{1b}house", "lease": "30s",
                "attempts": 10, "retry_base": "1s", "retry_cap": "10m",
            }],
        });
        let text = format!("{}\n{}", head(&process), steps(&process));
        for part in [
            "version 1",
            "7 open",
            "pull",
            "queue = ware\u{fffd}house",
            "10 attempts, 1s to 10m",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("max open"), "{text}");
    }
}
