//! The police of this repository: an ordinary test that reads the tree as text and fails with
//! file, line, rule and the way out. It knows no types and starts no compiler; every check has
//! tests of its own on planted bad text, beside the check.

mod banned;
mod dead;
mod documents;
mod floors;
mod lengths;
mod lexer;
mod parity;
mod silence;
mod tree;

use std::fmt::Write as _;
use std::path::Path;

use crate::tree::{Finding, Tree};

/// Places at which breaking a rule is right: `(path, rule, reason)`. An entry that nothing needs
/// any more fails the test too.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "tests/simulation/computer.rs",
        "static",
        "SQLite knows its file systems by name, for the whole process, so the computers have one",
    ),
    (
        "benches/engine.rs",
        "random",
        "a benchmark composes an engine, as cli/serve.rs does; the seed is fixed",
    ),
    (
        "tests/databases/postgres.rs",
        "static",
        "the tests of a binary share one server; nobody is there to hand it from test to test",
    ),
    (
        "tests/databases/mysql.rs",
        "static",
        "the tests of a binary share one server; nobody is there to hand it from test to test",
    ),
    (
        "src/faults/armed.rs",
        "static",
        "faults of a test build are asked for at the deepest places; handing them down would \
         change every signature of the product for something the product does not have",
    ),
    (
        "src/faults/armed.rs",
        "environment",
        "a fault is no setting: it must not exist in a release, and a test build gets it from \
         the test that starts it",
    ),
    (
        "fuzz/lib.rs",
        "static",
        "a fuzzer hands over bytes and nothing else; what takes long to make must outlive an input",
    ),
];

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: [Check; 7] = [
    floors::check,
    lengths::check,
    banned::check,
    silence::check,
    dead::check,
    parity::check,
    documents::check,
];

/// What is left after the exceptions, and a finding for each exception that excused nothing.
fn judge(tree: &Tree, exceptions: &[(&str, &str, &str)]) -> Vec<Finding> {
    let all: Vec<Finding> = CHECKS.iter().flat_map(|check| check(tree)).collect();
    let excuses = |entry: &(&str, &str, &str), finding: &Finding| {
        finding.path == entry.0 && finding.rule == entry.1 && !entry.2.trim().is_empty()
    };
    let mut left: Vec<Finding> = all
        .iter()
        .filter(|finding| !exceptions.iter().any(|entry| excuses(entry, finding)))
        .cloned()
        .collect();
    let dead = exceptions
        .iter()
        .filter(|e| !all.iter().any(|finding| excuses(e, finding)));
    left.extend(dead.map(|(path, rule, _)| Finding {
        path: (*path).to_owned(),
        line: 1,
        rule: "exceptions",
        way_out: format!("nothing here needs the exception from `{rule}`: delete it"),
    }));
    left.sort_by(|a, b| (&a.path, a.line, a.rule).cmp(&(&b.path, b.line, b.rule)));
    left
}

fn report(findings: &[Finding]) -> String {
    let mut text = format!("{} untidy places\n", findings.len());
    for Finding {
        path,
        line,
        rule,
        way_out,
    } in findings
    {
        let _ = writeln!(text, "{path}:{line}: [{rule}] {way_out}");
    }
    text
}

#[test]
fn the_repository_is_tidy() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(
        tree.holds("src/main.rs") && tree.holds("tests/tidy"),
        "read the wrong folder"
    );
    let findings = judge(&tree, EXCEPTIONS);
    assert!(findings.is_empty(), "{}", report(&findings));
}

#[test]
fn an_exception_excuses_one_rule_in_one_file() {
    let text = "//! One.\n//! Two.\nfn f() { x.unwrap(); dbg!(y) }";
    let tree = Tree::planted(&[("src/lib.rs", text)]);
    let left = judge(&tree, &[("src/lib.rs", "unwrap", "shown to work")]);
    assert_eq!(
        left.iter().map(|finding| finding.rule).collect::<Vec<_>>(),
        ["leftover"]
    );
    assert!(
        report(&left).contains("src/lib.rs:3: [leftover] `dbg!`"),
        "{}",
        report(&left)
    );
}

#[test]
fn a_dead_exception_and_one_without_reason_are_found() {
    let text = "//! One.\n//! Two.\nfn f() { x.unwrap() }";
    let tree = Tree::planted(&[("src/lib.rs", text)]);
    let dead = judge(
        &tree,
        &[
            ("src/lib.rs", "unwrap", "why"),
            ("src/lib.rs", "sql", "why"),
        ],
    );
    assert_eq!(
        dead.iter().map(|finding| finding.rule).collect::<Vec<_>>(),
        ["exceptions"]
    );
    assert_eq!(judge(&tree, &[("src/lib.rs", "unwrap", " ")]).len(), 2);
}
