//! Tests of the whole configuration: layers, origins, bounds, relations, processes, the template.
//! Each reads from texts of its own, never from the machine's environment.

mod compat;
mod processes;
mod rules;

use std::time::Duration;

use figment::value::Value;

use super::*;

struct Given {
    sources: Sources,
    folder: tempfile::TempDir,
}

/// A file with this text and nothing else.
fn file(text: &str) -> Given {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
    let sources = Sources {
        folder: folder.path().into(),
        ..Sources::default()
    };
    Given { sources, folder }
}

impl Given {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, name: &'static str, key: &'static str, value: impl Into<Value>) -> Self {
        self.sources.flags.push(Flag::new(name, key, value));
        self
    }

    fn read(&self) -> Result<Config, ConfigError> {
        Config::read(&self.sources)
    }

    /// The message, with the folder of the test left out.
    fn error(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        self.read().unwrap_err().to_string().replace(&folder, "")
    }
}

#[test]
fn nothing_given_means_the_defaults() {
    let config = Config::read(&Sources::default()).unwrap();
    assert_eq!(config.server, ServerSettings::default());
    assert_eq!(config.store, StoreSettings::default());
    assert_eq!(
        config.store.effective_url(),
        "sqlite:./orderd-data/orders.db"
    );
    assert_eq!(config.processes, [Process::built_in()]);
    assert_eq!(config.origin("server.listen"), Origin::default_value());
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_the_defaults() {
    let given =
        file("[server]\nconnections_max = 1\nidle_timeout = \"61s\"\nbody_timeout = \"1s\"")
            .variable("ORDERD_SERVER__CONNECTIONS_MAX", "2")
            .variable("ORDERD_SERVER__BODY_TIMEOUT", "2s")
            .flag("--connections", "server.connections_max", 3);
    let config = given.read().unwrap();
    assert_eq!(config.server.connections_max, 3);
    assert_eq!(config.server.body_timeout, Duration::from_secs(2));
    assert_eq!(config.server.idle_timeout, Duration::from_secs(61));
    let origin = |key| config.origin(key).name;
    assert_eq!(origin("server.connections_max"), "--connections");
    assert_eq!(origin("server.body_timeout"), "ORDERD_SERVER__BODY_TIMEOUT");
    assert!(origin("server.idle_timeout").ends_with(FILE_NAME));
    assert_eq!(origin("server.header_timeout"), "default");
}

#[test]
fn short_variables_are_aliases_and_empty_ones_do_not_count() {
    let given = file("")
        .variable("ORDERD_LISTEN", "localhost:81")
        .variable("ORDERD_STORE", "")
        .variable("DATABASE_URL", "sqlite:a/b.db")
        .variable("ORDERD_LOG", "warn,orderd::http=debug")
        .variable("ORDERD_PORT", "tcp://10.0.0.1:7070");
    let config = given.read().unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:81");
    assert_eq!(config.store.effective_url(), "sqlite:a/b.db");
    assert_eq!(config.origin("store.url").name, "DATABASE_URL");
    assert_eq!(config.log.filter, "warn,orderd::http=debug");
    let stronger = given.variable("ORDERD_STORE", "sqlite:c.db");
    // The empty one stands first in the list, as it would if it had been overwritten.
    let stronger = Given {
        sources: Sources {
            environment: stronger.sources.environment.into_iter().rev().collect(),
            ..stronger.sources
        },
        ..stronger
    };
    assert_eq!(
        stronger.read().unwrap().store.effective_url(),
        "sqlite:c.db"
    );
}

#[test]
fn the_folder_or_the_url_counts_whichever_was_asked_for_more_strongly() {
    let given = file("[store]\nurl = \"sqlite:far/away.db\"");
    let config = given.read().unwrap();
    assert_eq!(config.store.folder(), Some("far".into()));
    let config = given.flag("--data", "store.data", "here").read().unwrap();
    assert_eq!(config.store.effective_url(), "sqlite:here/orders.db");
    assert_eq!(
        file("[store]\nurl = \"sqlite:a.db\"\ndata = \"b\"").error(),
        "orderd.toml: store.url is set beside store.data; the URL says where the store is, leave \
         one of \
         them out"
    );
}

/// Files, and what is said about them.
const MISTAKES: [(&str, &str); 16] = [
    (
        "[server]\nlistn = \"x\"",
        "there is no setting server.listn; did you mean listen?",
    ),
    (
        "[sever]\nlisten = \"x\"",
        "there is no setting sever; did you mean server?",
    ),
    (
        "[server]\nlisten = \"nowhere\"",
        "server.listen is \"nowhere\"; it must be an address with a port such as \
             \"127.0.0.1:7070\"",
    ),
    (
        "[server]\nlisten = 7070",
        "server.listen is 7070; it must be an address with a port such as \"127.0.0.1:7070\"",
    ),
    (
        "[server]\nconnections_max = \"many\"",
        "server.connections_max is \"many\"; it must be a whole number from 1 to 1,000,000",
    ),
    (
        "[server]\nconnections_max = 0",
        "server.connections_max is 0; it must be a whole number from 1 to 1,000,000",
    ),
    (
        "[server]\nconnections_max = -1",
        "server.connections_max is -1; it must be a whole number from 1 to 1,000,000",
    ),
    (
        "[server]\nbody_timeout = 30",
        "server.body_timeout is 30; it must be a time with its unit, from 100ms to 1h, such \
             as \"10s\"",
    ),
    (
        "[server]\nbody_timeout = \"2h\"",
        "server.body_timeout is \"2h\"; it must be a time with its unit, from 100ms to 1h, \
             such as \
             \"10s\"",
    ),
    (
        "[server]\nidle_timeout = \"5s\"",
        "server.idle_timeout is 5s, below server.header_timeout (10s); raise it or lower the \
             other",
    ),
    (
        "[queue]\nallowance_low = \"5s\"",
        "queue.allowance_low is 5s, below queue.allowance_medium (10s): low orders would go \
             first; \
             raise it",
    ),
    (
        "[log]\nformat = \"xml\"",
        "log.format is \"xml\"; it must be one of [\"human\", \"json\"]",
    ),
    (
        "[log]\nfilter = \"inof\"",
        "log.filter is \"inof\", but \"inof\" is not LEVEL or MODULE=LEVEL; levels are off, \
             error, \
             warn, info, debug, trace",
    ),
    (
        "[store]\nurl = \"postgres:me\"",
        "store.url is not complete; write postgres://USER@HOST/DATABASE",
    ),
    (
        "[store]\nurl = \"mysql:me\"",
        "store.url is not complete; write mysql://USER@HOST/DATABASE",
    ),
    (
        "server = 3",
        "server is 3; it must be a table with settings",
    ),
];

#[test]
fn each_mistake_is_named_with_its_place_value_and_bound() {
    for (text, message) in MISTAKES {
        assert_eq!(file(text).error(), format!("orderd.toml: {message}"));
    }
}

#[test]
fn a_broken_file_is_named_with_line_and_column() {
    let message = file("[server]\nlisten = = 3").error();
    assert!(
        message.starts_with("orderd.toml is not valid TOML: line 2, column 10:"),
        "{message}"
    );
    assert!(!message.contains('\n'), "{message}");
    let missing = Sources {
        file: Some("/nowhere/x.toml".into()),
        ..Sources::default()
    };
    let message = Config::read(&missing).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot read /nowhere/x.toml: "),
        "{message}"
    );
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let error = |name, value| file("").variable(name, value).error();
    assert_eq!(
        error("ORDERD_STORE__READERS", "x"),
        "ORDERD_STORE__READERS: store.readers is \"x\"; it must be a whole number from 1 to 64"
    );
    assert_eq!(
        error("ORDERD_SERVER__LISTN", "x"),
        "ORDERD_SERVER__LISTN: there is no setting server.listn; did you mean listen?"
    );
    assert_eq!(
        error("DATABASE_URL", "oracle://x"),
        "DATABASE_URL: store.url has the scheme \"oracle\"; use sqlite:PATH, \
         postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
    );
}

#[test]
fn others_may_connect_only_if_that_was_said() {
    let open = file("[server]\nlisten = \"0.0.0.0:7070\"");
    assert_eq!(
        open.error(),
        "orderd.toml: server.listen is \"0.0.0.0:7070\", which other machines can reach, and \
         orderd has no \
         log-in yet; listen on 127.0.0.1 or allow it with --insecure"
    );
    assert!(
        open.flag("--insecure", "server.insecure", true)
            .read()
            .is_ok()
    );
    assert!(file("[server]\nlisten = \"[::1]:0\"").read().is_ok());
}

/// The template with each setting that is commented out put in force.
fn uncommented() -> String {
    let is_setting =
        |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    let line = |line| if is_setting(line) { &line[1..] } else { line };
    TEMPLATE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_template_shows_the_defaults() {
    let untouched = file(TEMPLATE).read().unwrap();
    assert_eq!(untouched.server, ServerSettings::default());
    assert_eq!(untouched.processes, [Process::built_in()]);
    let config = file(&uncommented()).read().unwrap();
    assert_eq!(config.server, ServerSettings::default());
    assert_eq!(config.store, StoreSettings::default());
    assert_eq!(config.queue, QueueSettings::default());
    assert_eq!(config.log, LogSettings::default());
    assert_eq!(config.compat, CompatSettings::default());
    let version = 1;
    let built_in = Process {
        version,
        ..Process::built_in()
    };
    assert_eq!(config.processes, [built_in]);
}

#[test]
fn the_template_explains_every_setting() {
    for setting in setting::SETTINGS {
        let name = setting.key.rsplit('.').next().unwrap();
        let is_there = TEMPLATE.lines().any(|line| {
            line.trim_start_matches(['#', ' '])
                .starts_with(&format!("{name} = "))
        });
        assert!(is_there, "{}", setting.key);
    }
}
