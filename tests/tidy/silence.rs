//! Ways to silence a warning or a test, and marks of unfinished work. A lint may be expected with
//! a reason, and the number of such places is bounded: above the bound the lint, or the design,
//! has to be talked about.

use crate::lexer;
use crate::tree::{Finding, Source, Tree};

/// How many `#[expect(…)]` the whole repository may have.
const EXPECTATIONS_MAX: usize = 20;

/// Marks of unfinished work, in two halves, so that this file does not contain them.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("TO", "DO")];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found: Vec<Finding> = tree.sources.iter().flat_map(attributes).collect();
    found.extend(tree.sources.iter().flat_map(documentation_tests));
    found.extend(marks(tree));
    found.extend(expectations(tree));
    found
}

/// The names an attribute sets: its own, and those behind the condition of `cfg_attr`.
fn names(attribute: &str) -> Vec<&str> {
    let words: Vec<&str> = lexer::words(attribute)
        .into_iter()
        .map(|(_, word)| word)
        .collect();
    match words.first() {
        Some(&"cfg_attr") => words,
        Some(first) => vec![first],
        None => Vec::new(),
    }
}

fn attributes(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, attribute) in lexer::attributes(&source.code) {
        let names = names(attribute);
        for (name, way_out) in [
            (
                "allow",
                "write `#[expect(lint, reason = \"…\")]`, or mend what the lint found",
            ),
            ("ignore", "a test runs or goes"),
            (
                "should_panic",
                "assert the error, or catch the panic and assert its reason",
            ),
        ] {
            if names.contains(&name) {
                let way_out = format!("`#[{name}]` is refused: {way_out}");
                found.push(source.finding(at, "silence", &way_out));
            }
        }
        if names.contains(&"expect") && lexer::occurrences(attribute, "reason").is_empty() {
            let way_out = "an expected lint needs `reason = \"…\"`";
            found.push(source.finding(at, "silence", way_out));
        }
    }
    found
}

/// Examples in documentation run, or at least compile.
fn documentation_tests(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let line = line.trim_start();
        let comment = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        let fence = comment.and_then(|comment| comment.trim_start().strip_prefix("```"));
        let silenced = fence.is_some_and(|tags| {
            tags.split([',', ' '])
                .any(|tag| matches!(tag, "ignore" | "should_panic"))
        });
        if silenced {
            let (path, line) = (source.path.clone(), index + 1);
            let way_out = "let the example run; `text` if it is no Rust, `no_run` if it serves";
            found.push(Finding {
                path,
                line,
                rule: "silence",
                way_out: way_out.to_owned(),
            });
        }
    }
    found
}

fn marks(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.files {
        for mark in MARKS {
            for at in lexer::occurrences(&file.text, mark) {
                let (path, line) = (file.path.clone(), lexer::line_of(&file.text, at));
                let way_out = format!("`{mark}`: do it now, or write an issue and leave it out");
                found.push(Finding {
                    path,
                    line,
                    rule: "silence",
                    way_out,
                });
            }
        }
    }
    found
}

fn expectations(tree: &Tree) -> Vec<Finding> {
    let mut places = Vec::new();
    for source in &tree.sources {
        let all = lexer::attributes(&source.code).into_iter();
        let expected = all.filter(|(_, attribute)| names(attribute).contains(&"expect"));
        places.extend(expected.map(|(at, _)| (source, at)));
    }
    let count = places.len();
    let way_out = format!(
        "{count} expected lints, at most {EXPECTATIONS_MAX}: mend some, or change the lint"
    );
    let over = places.get(EXPECTATIONS_MAX).into_iter();
    over.map(|(source, at)| source.finding(*at, "expectations", &way_out))
        .collect()
}

fn rules_of(path: &str, text: &str) -> Vec<&'static str> {
    check(&Tree::planted(&[(path, text)]))
        .iter()
        .map(|finding| finding.rule)
        .collect()
}

#[test]
fn silenced_lints_and_tests_are_found() {
    for text in [
        "#[allow(dead_code)]\nfn f() {}",
        "#![allow(clippy::all)]",
        "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
        "#[should_panic(expected = \"x\")]\nfn f() {}",
        "#[cfg_attr(debug_assertions, allow(unused))]\nfn f() {}",
        "#[expect(dead_code)]\nfn f() {}",
        "/// ```ignore\n/// x\n/// ```\nfn f() {}",
    ] {
        assert_eq!(rules_of("src/order/mod.rs", text), ["silence"], "{text}");
        assert_eq!(rules_of("tests/it/main.rs", text), ["silence"], "{text}");
    }
    let fine = "#[expect(dead_code, reason = \"kept for x\")]\n#[arg(ignore_case = true)]\n\
                // #[allow(x)]\nfn allow() { expect(\"#[ignore]\") }";
    assert!(rules_of("src/order/mod.rs", fine).is_empty());
}

#[test]
fn marks_of_unfinished_work_are_found_in_every_kind_of_file() {
    for mark in MARKS {
        for path in ["src/order/mod.rs", "README.md", "scripts/test"] {
            assert_eq!(rules_of(path, &format!("// {mark}: later")), ["silence"]);
        }
    }
    assert!(rules_of("README.md", "METODO and todo").is_empty());
}

#[test]
fn expected_lints_are_counted() {
    let text = |count| "#[expect(dead_code, reason = \"x\")]\nfn f() {}\n".repeat(count);
    assert_eq!(
        rules_of("src/order/mod.rs", &text(EXPECTATIONS_MAX + 1)),
        ["expectations"]
    );
    assert!(rules_of("src/order/mod.rs", &text(EXPECTATIONS_MAX)).is_empty());
}
