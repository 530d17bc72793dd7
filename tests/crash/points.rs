//! The fault points themselves: each is in the list and in the code once. A build without the
//! feature has none of them, and no planted bug.
//!
//! Reads the source and the binary as bytes; starts nothing.

use std::collections::BTreeMap;
use std::path::Path;

use orderd::faults::{Bug, FAILURES, POINTS};

/// How often the code calls `faults::<function>` with each name.
fn calls(folder: &Path, function: &str, found: &mut BTreeMap<String, usize>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            calls(&path, function, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for call in text.split(&format!("faults::{function}(\"")).skip(1) {
                let name = call.split('"').next().unwrap();
                *found.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
}

#[test]
fn each_point_and_failure_is_in_the_code_once() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (function, names) in [("point", &POINTS[..]), ("fails", &FAILURES)] {
        let mut found = BTreeMap::new();
        calls(&source, function, &mut found);
        let listed: BTreeMap<String, usize> =
            names.iter().map(|name| ((*name).to_owned(), 1)).collect();
        assert_eq!(listed.len(), names.len(), "a name is in the list twice");
        assert_eq!(found, listed);
    }
}

/// All that could be a name in a file, one below the other: a name has a dash or an underscore.
fn names_in(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let is_part = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
    let runs = bytes.split(|byte| !is_part(byte));
    // Texts stand side by side in a binary, without anything between them.
    let has_variable = |run: &&[u8]| run.windows(7).any(|part| part == b"ORDERD_");
    let runs = runs.filter(|run| run.contains(&b'-') || has_variable(run));
    let runs = runs.filter_map(|run| std::str::from_utf8(run).ok());
    runs.collect::<Vec<_>>().join("\n")
}

#[test]
fn only_a_build_for_tests_has_points() {
    let binary = names_in(Path::new(env!("CARGO_BIN_EXE_orderd")));
    let is_armed = cfg!(feature = "faults");
    let variables = ["ORDERD_FAULT", "ORDERD_FAIL", "ORDERD_BUG"];
    let bugs = Bug::ALL.map(|(_, name)| name);
    let texts = POINTS.into_iter().chain(FAILURES).chain(bugs);
    let texts = texts.chain(variables);
    let wrong: Vec<_> = texts
        .filter(|text| binary.contains(text) != is_armed)
        .collect();
    assert_eq!(wrong, [""; 0], "a build with faults: {is_armed}");
    assert!(binary.contains("dead-letters"), "that is not the server");
}
