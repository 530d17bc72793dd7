//! Things nobody leads to: Rust files that no `mod` names, documents that no page links to; and
//! files that do not say at their top what they are. What is dead is deleted, not kept for later:
//! the history has it.

use std::collections::BTreeSet;

use crate::documents;
use crate::tree::{Finding, Tree};

const HEADER_LINES_MIN: usize = 2;
const HEADER_LINES_MAX: usize = 6;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = unnamed_files(tree);
    found.extend(missing_modules(tree));
    found.extend(unlinked_pages(tree));
    found.extend(headers(tree));
    found
}

/// True for the files that cargo itself finds, or that the manifest names.
fn is_root(path: &str, manifest: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        // The targets of `cargo fuzz`, a package of its own.
        ["fuzz", "lib.rs"] | ["fuzz", "fuzz_targets", _] => true,
        // A package of its own that only tests use.
        ["tests", _, "src", "lib.rs"] => true,
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] => true,
        ["tests" | "benches" | "examples", _] => true,
        ["tests" | "benches" | "examples", _, "main.rs"] | ["src", "bin", _, "main.rs"] => true,
        _ => manifest.contains(&format!("\"{path}\"")),
    }
}

fn unnamed_files(tree: &Tree) -> Vec<Finding> {
    let manifest = tree
        .file("Cargo.toml")
        .map_or("", |file| file.text.as_str());
    let roots = 0..tree.sources.len();
    let mut reached: BTreeSet<usize> = roots
        .filter(|index| is_root(&tree.sources[*index].path, manifest))
        .collect();
    let mut open: Vec<usize> = reached.iter().copied().collect();
    while let Some(index) = open.pop() {
        let below = tree
            .modules
            .iter()
            .filter(|module| module.declared_in == index);
        for module in below.filter_map(|module| module.leads_to) {
            if reached.insert(module) {
                open.push(module);
            }
        }
    }
    let dead = tree
        .sources
        .iter()
        .enumerate()
        .filter(|(index, _)| !reached.contains(index));
    let way_out = "no `mod` leads here: declare it, or delete it";
    dead.map(|(_, source)| source.finding(0, "dead-file", way_out))
        .collect()
}

/// The compiler finds these too, but not where a feature or a target hides them.
fn missing_modules(tree: &Tree) -> Vec<Finding> {
    let missing = tree
        .modules
        .iter()
        .filter(|module| module.leads_to.is_none());
    missing
        .map(|module| {
            let way_out = format!(
                "no file for module `{}` where it is looked for",
                module.name
            );
            tree.sources[module.declared_in].finding(module.at, "dead-file", &way_out)
        })
        .collect()
}

fn unlinked_pages(tree: &Tree) -> Vec<Finding> {
    let mut linked = BTreeSet::new();
    for page in tree.ending(".md") {
        let targets = documents::links(&page.text).into_iter();
        let targets = targets.filter_map(|(_, target)| documents::resolve(&page.path, &target));
        linked.extend(targets.filter(|target| *target != page.path));
    }
    let pages = tree
        .ending(".md")
        .filter(|page| page.path.starts_with("docs/"));
    pages
        .filter(|page| !linked.contains(&page.path))
        .map(|page| {
            let (path, line) = (page.path.clone(), 1);
            let way_out =
                "no other page links here: link it where a reader would look, or delete it";
            Finding {
                path,
                line,
                rule: "dead-page",
                way_out: way_out.to_owned(),
            }
        })
        .collect()
}

/// `lib.rs` is the map of the code and may be longer.
fn headers(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let header = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"));
        let lines = header
            .filter(|line| !line["//!".len()..].trim().is_empty())
            .count();
        let is_map = source.path == "src/lib.rs";
        if lines < HEADER_LINES_MIN || (lines > HEADER_LINES_MAX && !is_map) {
            let way_out = format!(
                "opens with {lines} lines of `//!`, not with {HEADER_LINES_MIN} to \
                 {HEADER_LINES_MAX}: say what it is and what it never does"
            );
            found.push(source.finding(0, "header", &way_out));
        }
    }
    found
}

const HEADER: &str = "//! One.\n//! Two.\n";

fn findings(files: &[(&str, &str)]) -> Vec<(String, &'static str)> {
    let texts: Vec<(&str, String)> = files
        .iter()
        .map(|(path, text)| {
            let header = if path.ends_with(".rs") { HEADER } else { "" };
            (*path, format!("{header}{text}"))
        })
        .collect();
    let borrowed: Vec<(&str, &str)> = texts.iter().map(|(p, t)| (*p, t.as_str())).collect();
    check(&Tree::planted(&borrowed))
        .into_iter()
        .map(|f| (f.path, f.rule))
        .collect()
}

#[test]
fn files_that_no_module_names_are_found() {
    let found = findings(&[
        (
            "src/lib.rs",
            "pub mod store;\nmod order { mod inner {} }\n// mod clock;",
        ),
        ("src/store/mod.rs", "mod sqlite;\nmod gone;"),
        ("src/store/sqlite.rs", "#[cfg(test)]\nmod tests;"),
        ("src/store/sqlite/tests.rs", ""),
        ("src/clock.rs", ""),
        ("tests/it/main.rs", "mod support;"),
        ("tests/it/support/mod.rs", ""),
        ("tests/it/lost.rs", ""),
    ]);
    let expected = ["src/clock.rs", "tests/it/lost.rs", "src/store/mod.rs"]
        .map(|p| (p.to_owned(), "dead-file"));
    assert_eq!(found, expected);
}

#[test]
fn pages_that_nobody_links_to_are_found() {
    let found = findings(&[
        ("README.md", "# R\n[a](docs/a.md) and `[c](docs/c.md)`"),
        ("docs/a.md", "# A\n[b][b]\n\n[b]: decisions/b.md#why"),
        ("docs/decisions/b.md", "# B"),
        ("docs/c.md", "# C\n[myself](c.md)"),
    ]);
    assert_eq!(found, [("docs/c.md".to_owned(), "dead-page")]);
}

#[test]
fn files_without_a_proper_opening_are_found() {
    let rules = |path: &str, text: &str| {
        let found = headers(&Tree::planted(&[(path, text)]));
        found.iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules("src/clock.rs", "fn f() {}"), ["header"]);
    assert_eq!(
        rules("src/clock.rs", "//! One line.\nfn f() {}"),
        ["header"]
    );
    assert_eq!(rules("src/clock.rs", &"//! Line.\n".repeat(7)), ["header"]);
    assert!(rules("src/clock.rs", &"//! Line.\n//!\n".repeat(6)).is_empty());
    assert!(rules("src/lib.rs", &"//! Line.\n".repeat(40)).is_empty());
}
