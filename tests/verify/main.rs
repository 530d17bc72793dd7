//! `orderd verify` finds nothing in a store that orderd wrote, and finds and names each kind of
//! damage that is planted in a copy of it; `orderd copy` moves one to any database and back.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is how a test tells"
)]

mod copying;
mod damage;
#[path = "../databases/mod.rs"]
mod databases;
mod dump;
mod scene;

use std::path::Path;
use std::process::{Command, Output};

use orderd::cli::verify::{Check, Report, prove};

fn proof(path: &Path) -> Report {
    let url = format!("sqlite:{}", path.display());
    prove(&url, &mut |_| ()).unwrap()
}

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orderd"))
        .args(arguments)
        .env_remove("ORDERD_DATA")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_store_that_orderd_wrote_holds() {
    let scene = scene::Scene::new();
    let report = proof(&scene.path());
    for check in Check::ALL {
        let finding = report.findings.of(check);
        assert_eq!(finding.violations, 0, "{check:?}: {:?}", finding.named);
        assert!(finding.examined > 0, "{check:?} looked at nothing");
    }
    assert!(report.open > 0 && report.orders > 100, "{report:?}");
    assert!(report.memory_bytes < 100_000, "{report:?}");
}

#[test]
fn an_empty_store_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    drop(orderd::store::sqlite::Sqlite::open(&path, 1).unwrap());
    let report = proof(&path);
    assert!(report.findings.are_none(), "{report:?}");
    assert_eq!((report.orders, report.rows, report.shards), (0, 0, 0));
}

#[test]
fn a_running_server_does_not_mind() {
    let scene = scene::Scene::new();
    let _server = orderd::store::sqlite::Sqlite::open(&scene.path(), 1).unwrap();
    assert!(proof(&scene.path()).findings.are_none());
}

#[test]
fn the_command_says_how_it_went() {
    let scene = scene::Scene::new();
    let folder = scene.folder().display().to_string();
    let sound = command(&["verify", "--data", &folder]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound.stderr));
    let shown = text(&sound.stdout);
    assert!(
        shown.contains("Everything holds") && !shown.contains('✗'),
        "{shown}"
    );
    assert!(text(&sound.stderr).contains("MiB of memory"));

    scene.plant("UPDATE orders SET customer_id = 'x', version = version + 1 WHERE seq = 7");
    let url = format!("sqlite:{}", scene.path().display());
    let damaged = command(&["verify", "--store", &url, "--json"]);
    assert_eq!(damaged.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&damaged.stdout).unwrap();
    assert_eq!(
        (&json["ok"], &json["checks"][11]["check"]),
        (&false.into(), &"last-events".into())
    );
    let named = &json["checks"][11]["first"][0];
    assert_eq!(
        (&named["table"], &named["key"]),
        (&"orders".into(), &"7".into()),
        "{json}"
    );
}

#[test]
fn a_missing_file_and_a_foreign_one_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere").display().to_string();
    let missing = command(&["verify", "--data", &nowhere]);
    assert_eq!(missing.status.code(), Some(3));
    let said = text(&missing.stderr);
    assert!(
        said.contains("there is no store at") && said.lines().count() == 1,
        "{said}"
    );

    std::fs::write(
        folder.path().join("orders.db"),
        "not a database, but long enough",
    )
    .unwrap();
    let foreign = command(&["verify", "--data", &folder.path().display().to_string()]);
    assert_eq!(foreign.status.code(), Some(1));
    let said = text(&foreign.stderr);
    assert!(
        said.contains("cannot verify") && said.lines().count() == 1,
        "{said}"
    );
}
