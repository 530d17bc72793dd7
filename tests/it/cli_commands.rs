//! The commands that need no server: help, version, completions, settings; and how mistakes end.
//! Codes and messages are the promises of docs/cli.md.

use serde_json::Value;

use crate::cli_support::Place;

#[test]
fn help_begins_with_examples() {
    let place = Place::new();
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["orders", "create", "--help"],
    ] {
        let help = place.run(arguments).expect(0);
        assert!(help.starts_with("Examples:\n  orderd"), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
}

#[test]
fn a_misspelt_command_or_flag_is_usage_and_names_the_right_one() {
    let place = Place::new();
    for (arguments, meant) in [
        (&["sreve"][..], "serve"),
        (&["serve", "--lisen", "x"], "--listen"),
    ] {
        let outcome = place.run(arguments);
        assert_eq!(outcome.code, Some(2));
        assert!(outcome.err.contains(meant), "{}", outcome.err);
    }
}

#[test]
fn the_version_is_told_to_people_and_to_scripts() {
    let place = Place::new();
    let version = env!("CARGO_PKG_VERSION");
    let text = place.run(&["version"]).expect(0);
    assert!(text.starts_with(&format!("orderd {version} (")), "{text}");
    let json: Value = serde_json::from_str(&place.run(&["version", "--json"]).expect(0)).unwrap();
    assert_eq!(json["version"], version);
}

#[test]
fn shells_learn_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).expect(0);
        assert!(
            script.contains("orderd") && script.contains("watch"),
            "{shell}"
        );
    }
}

#[test]
fn the_template_is_a_valid_settings_file() {
    let place = Place::new();
    let template = place.run(&["config", "template"]).expect(0);
    let place = place.with("orderd.toml", &template);
    let text = place.run(&["config", "check"]).expect(0);
    assert_eq!(text, "the configuration is valid; processes: default\n");
}

#[test]
fn settings_are_shown_with_their_origin() {
    let place = Place::new().with("orderd.toml", "[server]\nidle_timeout = \"90s\"\n");
    let environment = [
        ("ORDERD_LISTEN", "127.0.0.1:1"),
        ("DATABASE_URL", "sqlite:x.db"),
    ];
    let shown = place.run_with(&["config", "show", "--json", "--log", "warn"], &environment);
    let shown: Value = serde_json::from_str(&shown.expect(0)).unwrap();
    for (key, value, origin) in [
        ("server.idle_timeout", "90s", "orderd.toml"),
        ("server.listen", "127.0.0.1:1", "ORDERD_LISTEN"),
        ("store.url", "sqlite:x.db", "DATABASE_URL"),
        ("log.filter", "warn", "--log"),
        ("log.format", "human", "default"),
    ] {
        let setting = &shown["settings"][key];
        assert_eq!(
            (&setting["value"], &setting["origin"]),
            (&value.into(), &origin.into())
        );
    }
    let place = place.with("other.toml", "[queue]\nmax_open_orders = 5\n");
    let environment = [("ORDERD_CONFIG", "other.toml")];
    let text = place.run_with(&["config", "show"], &environment).expect(0);
    let line = text
        .lines()
        .find(|line| line.starts_with("max_open_orders"))
        .unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>().join(" "),
        "max_open_orders = 5 # other.toml"
    );
    assert!(text.contains("idle_timeout = \"1m\""), "{text}");
}

#[test]
fn a_wrong_setting_ends_every_command_that_needs_it_with_one_line() {
    let place = Place::new().with("orderd.toml", "[server]\nconnections_max = 0\n");
    let message = "orderd.toml: server.connections_max is 0; it must be a whole number from 1 to \
                   1,000,000";
    for arguments in [
        &["serve"][..],
        &[],
        &["config", "check"],
        &["config", "show"],
    ] {
        place.run(arguments).expect_error(8, message);
    }
    let place = Place::new();
    place
        .run(&["config", "check", "--config", "gone.toml"])
        .expect_error(
            8,
            "cannot read gone.toml: No such file or directory (os error 2); name one that can be \
             read with --config",
        );
    place.run(&["serve", "--listen", "0.0.0.0:0"]).expect_error(
        8,
        "--listen: server.listen is \"0.0.0.0:0\", which other machines can reach, and orderd has \
         no \
         log-in yet; listen on 127.0.0.1 or allow it with --insecure",
    );
    place
        .run(&["serve", "--store", "oracle://me:secret@db/x"])
        .expect_error(
            8,
            "--store: store.url has the scheme \"oracle\"; use sqlite:PATH, \
             postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE",
        );
    place
        .run(&["serve", "--store", "postgres://me:secret@db/x?colour=red"])
        .expect_error(
            8,
            "the URL of the store is wrong: invalid connection string: unknown option `colour`; \
             use sqlite:PATH, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, with \
             the parameters of docs/databases.md",
        );
    place
        .run(&["serve", "--store", "mysql://me:secret@db/x?colour=red"])
        .expect_error(
            8,
            "the URL of the store is wrong: Unknown connection URL parameter `colour'; use \
             sqlite:PATH, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, with the \
             parameters of docs/databases.md",
        );
}

/// What, why, and behind a semicolon the way out.
#[test]
fn every_error_has_a_way_out() {
    let place = Place::new()
        .with("broken.toml", "[server\n")
        .with("unknown.toml", "[server]\nlisten_to = 1\n")
        .with("nothing.json", "");
    let here = "http://127.0.0.1:9";
    let order = ["orders", "create", "--customer", "a", "--total", "1.00 EUR"];
    let cases: [(&[&str], i32); 19] = [
        (&["serve", "--config", "gone.toml"], 8),
        (&["serve", "--config", "broken.toml"], 8),
        (&["config", "check", "--config", "unknown.toml"], 8),
        (&["serve", "--store", "postgres://me@db/x?colour=red"], 8),
        (&["serve", "--store", "sqlite:/proc/no/orders.db"], 6),
        (&["serve", "--listen", "203.0.113.7:80", "--insecure"], 6),
        (&["verify", "--data", "gone"], 3),
        (
            &["copy", "--from", "sqlite:gone.db", "--to", "sqlite:b.db"],
            3,
        ),
        (&["copy", "--from", "sqlite:a.db", "--to", "sqlite:a.db"], 2),
        (&["orders", "list", "--url", here], 4),
        (&["orders", "list", "--url", "ftp://here"], 2),
        (
            &["orders", "create", "--file", "gone.json", "--url", here],
            1,
        ),
        (&["orders", "import", "gone.ndjson", "--url", here], 1),
        (&[&order[..], &["--item", "tea", "--url", here]].concat(), 2),
        (&["dead", "replay", "--url", here], 2),
        (&["listen", "--url", here], 4),
        (&["listen", "--forward-to", "ftp://here", "--url", here], 2),
        (&["load", "--url", here], 4),
        (&["load", "--rate", "0"], 2),
    ];
    for (arguments, code) in cases {
        let outcome = place.run(arguments);
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {outcome:#?}");
        let said = outcome.err.trim_end();
        let what = said.strip_prefix("orderd: ").unwrap_or_default();
        assert_eq!(what.lines().count(), 1, "{arguments:?}: {said}");
        let way_out = what.rsplit_once("; ").map(|(_, way_out)| way_out);
        assert!(
            way_out.is_some_and(|it| it.len() > 8),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn no_server_is_said_with_its_address() {
    let place = Place::new();
    let outcome = place.run(&["orders", "list", "--url", "http://127.0.0.1:9"]);
    assert_eq!(outcome.code, Some(4));
    assert!(
        outcome
            .err
            .starts_with("orderd: no server answers at http://127.0.0.1:9")
    );
    let outcome = place.run(&["orders", "list", "--url", "https://orders.example"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.err.contains("https"), "{}", outcome.err);
}
