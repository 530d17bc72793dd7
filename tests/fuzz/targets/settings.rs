//! The settings: a file, and behind a line of four hyphens the environment. Whatever is wrong is
//! told in one line without a secret, and what is right is shown as a file that means the same. The
//! check of a file finds what reading it finds.

use orderd::cli::config::as_toml;
use orderd::config::{Config, FILE_NAME, Sources, check, masked};
use tempfile::TempDir;

use super::Bench;

/// What nobody may read in a message.
const SECRET: &str = "s3cr3t";

/// A file and an environment.
pub fn all(bench: &mut Bench, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (file, variables) = text.split_once("\n----\n").unwrap_or((text, ""));
    let variable = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let environment: Vec<_> = variables.lines().filter_map(variable).collect();
    let folder = bench.folder();
    match read(folder, file, environment.clone()) {
        Ok(config) => shown(folder, &config),
        Err(message) => assert_eq!(message.lines().count(), 1, "{message}"),
    }
    checked(folder, file);
    secret(folder, file, environment);
}

fn checked(folder: &TempDir, file: &str) {
    let read = read(folder, file, Vec::new());
    let found = check(&folder.path().join(FILE_NAME)).expect("a file that can be read");
    match (read, found) {
        (Ok(_), Ok(_)) => {}
        (Err(first), Err(all)) => {
            let is_first = |told: &str| first.ends_with(told) && told.lines().count() == 1;
            assert!(
                all.iter().any(|it| is_first(&it.what)),
                "{first} is not in {all:?}"
            );
        }
        (Ok(_), Err(all)) => panic!("it can be read, but {all:?}"),
        (Err(first), Ok(_)) => panic!("nothing is found of {first}"),
    }
}

fn read(
    folder: &TempDir,
    file: &str,
    environment: Vec<(String, String)>,
) -> Result<Config, String> {
    std::fs::write(folder.path().join(FILE_NAME), file).expect("a file");
    let sources = Sources {
        folder: folder.path().into(),
        environment,
        ..Sources::default()
    };
    Config::read(&sources).map_err(|error| error.to_string())
}

fn shown(folder: &TempDir, config: &Config) {
    let shown = as_toml(config);
    let again = match read(folder, &shown, Vec::new()) {
        Ok(again) => again,
        // A password is not shown, so it is not there.
        Err(_)
            if config
                .store
                .url
                .as_ref()
                .is_some_and(|url| *masked(url) != *url) =>
        {
            return;
        }
        Err(message) => panic!("{message}\n{shown}"),
    };
    assert_eq!(again.server, config.server, "{shown}");
    assert_eq!(again.queue, config.queue, "{shown}");
    assert_eq!(again.log, config.log, "{shown}");
    assert_eq!(again.compat, config.compat, "{shown}");
    assert_eq!(again.processes, config.processes, "{shown}");
    assert_eq!(again.store.readers, config.store.readers, "{shown}");
}

/// The same with a password in the URL of the store.
fn secret(folder: &TempDir, file: &str, mut environment: Vec<(String, String)>) {
    let has_secret =
        |(name, value): &(String, String)| [name, value].iter().any(|it| it.contains(SECRET));
    if file.contains(SECRET) || environment.iter().any(has_secret) {
        return;
    }
    let url = format!("postgres://ada:{SECRET}@db.internal/orders");
    environment.push(("ORDERD_STORE".into(), url));
    if let Err(message) = read(folder, file, environment) {
        assert!(!message.contains(SECRET), "{message}");
    }
}
