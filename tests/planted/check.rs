//! The checks that can catch a bug: tests of this repository in a build that can have bugs, each
//! started as a process of its own.
//!
//! Nothing here knows what a bug does.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use orderd::clock::monotonic;
use serde_json::Value;

/// Longest time that a check takes, with a bug or without.
const PATIENCE: Duration = Duration::from_secs(120);

/// A check: some tests of one test target.
pub struct Check {
    pub name: &'static str,
    /// The target, as cargo calls it.
    target: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// Seeds of the simulation: each bug is caught within a quarter of what may be needed.
pub const SIMULATION: Check = Check {
    name: "simulation",
    target: "simulation",
    arguments: &["--exact", "promises_hold_whatever_fails"],
    environment: &[("ORDERD_SEEDS", "500")],
};

/// The shard beside its model.
pub const MODEL: Check = Check {
    name: "model",
    target: "model",
    arguments: &["--exact", "the_shard_does_what_the_model_does"],
    environment: &[],
};

/// The same, in cases that once went wrong.
pub const REGRESSION: Check = Check {
    name: "regression",
    target: "model",
    arguments: &["regression"],
    environment: &[],
};

/// What every backend has to do.
pub const STORE: Check = Check {
    name: "store",
    target: "store",
    arguments: &["sqlite::commits", "sqlite::keys"],
    environment: &[],
};

/// The simulation on real SQLite, over files that lose what was not flushed.
pub const REAL_STORE: Check = Check {
    name: "real store",
    target: "simulation",
    arguments: &[
        "--exact",
        "power::promises_hold_on_the_real_store_whatever_its_files_lose",
    ],
    environment: &[("ORDERD_SEEDS", "30")],
};

/// A whole server whose store loses answers.
pub const SERVER: Check = Check {
    name: "server",
    target: "it",
    arguments: &["http_fate"],
    environment: &[],
};

/// A server with a receiver of webhooks that is away, and a restart.
pub const DELIVERIES: Check = Check {
    name: "deliveries",
    target: "it",
    arguments: &[
        "--exact",
        "http_webhooks::what_was_on_its_way_before_a_restart_is_delivered",
    ],
    environment: &[],
};

/// How a check went.
pub struct Run {
    pub is_passed: bool,
    pub seconds: f64,
    pub output: String,
}

/// The test executables of a build that can have bugs, by target.
pub struct Built(BTreeMap<String, PathBuf>);

impl Built {
    /// Builds them all, beside this one.
    pub fn all() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let own = std::env::current_exe().unwrap();
        let target = own.ancestors().nth(3).unwrap();
        let output = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["test", "--locked", "--no-run", "--features", "faults"])
            .args(["--test", "simulation", "--test", "model", "--test", "store"])
            .args(["--test", "it"])
            .args(["--message-format", "json-render-diagnostics"])
            .arg("--target-dir")
            .arg(target)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "the checks cannot be built");
        let text = String::from_utf8(output.stdout).unwrap();
        let built = text.lines().filter_map(executable).collect();
        Self(built)
    }

    /// Runs a check with a bug, or without.
    pub fn run(&self, check: &Check, bug: Option<&str>) -> Run {
        let started = monotonic();
        let mut command = Command::new(&self.0[check.target]);
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(check.arguments)
            .envs(check.environment.iter().copied())
            .env_remove("ORDERD_BUG")
            .env("ORDERD_SHRINK_SECONDS", "0")
            .env("RUST_BACKTRACE", "0");
        if let Some(bug) = bug {
            command.env("ORDERD_BUG", bug);
        }
        let (is_passed, output) = finish(&mut command);
        Run {
            is_passed,
            seconds: started.elapsed().as_secs_f64(),
            output,
        }
    }
}

/// The target and path of a test executable, if that is what cargo has to say.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message["executable"].as_str()?;
    let name = message["target"]["name"].as_str()?;
    let is_test = message["profile"]["test"] == true;
    is_test.then(|| (name.to_owned(), Path::new(path).to_owned()))
}

/// Waits for a process; whether it succeeded, and all that it said. One that hangs is killed.
fn finish(command: &mut Command) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (said, heard) = sync_channel(2);
    let also_said = said.clone();
    let read = |pipe: &mut dyn Read| {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    std::thread::scope(|scope| {
        scope.spawn(move || said.send(read(&mut stdout)));
        scope.spawn(move || also_said.send(read(&mut stderr)));
        let mut output = String::new();
        for _ in 0..2 {
            match heard.recv_timeout(PATIENCE) {
                Ok(text) => output.push_str(&text),
                Err(_) => {
                    child.kill().unwrap();
                    output.push_str("hung, and was killed\n");
                }
            }
        }
        (child.wait().unwrap().success(), output)
    })
}
