//! Sizes: functions, files, lines, parameters and how deep folders go. The limits are those at
//! which the code of good neighbours stops being pleasant; they are not a target to fill.

use crate::lexer;
use crate::tree::{Finding, Tree};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 400;
const TEST_FILE_LINES_MAX: usize = 600;
const MAIN_LINES_MAX: usize = 40;
const COLUMNS_MAX: usize = 100;
const PARAMETERS_MAX: usize = 5;
const DEPTH_MAX: usize = 2;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = functions(tree);
    found.extend(files(tree));
    found.extend(lines(tree));
    found
}

fn functions(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in &tree.sources {
        for function in lexer::functions(&source.code) {
            let (name, lines, parameters) = (function.name, function.lines, function.parameters);
            if lines > FUNCTION_LINES_MAX {
                let way_out = format!(
                    "`{name}` has {lines} lines, the limit is {FUNCTION_LINES_MAX}: keep the \
                     branches in it and move what computes into functions of its own"
                );
                found.push(source.finding(function.at, "function-length", &way_out));
            }
            if parameters > PARAMETERS_MAX {
                let way_out = format!(
                    "`{name}` takes {parameters} parameters, the limit is {PARAMETERS_MAX}: \
                     give it a struct with named fields"
                );
                found.push(source.finding(function.at, "parameters", &way_out));
            }
        }
    }
    found
}

fn files(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let path = source.path.as_str();
        let max = match path.split('/').next() {
            _ if path == "src/main.rs" => MAIN_LINES_MAX,
            Some("tests" | "examples" | "benches") => TEST_FILE_LINES_MAX,
            _ => FILE_LINES_MAX,
        };
        let lines = source.text.lines().count();
        if lines > max {
            let way_out = format!("{lines} lines, the limit is {max}: split by noun, not by size");
            found.push(source.finding(source.text.len(), "file-length", &way_out));
        }
        let depth = path.matches('/').count().saturating_sub(1);
        if path.starts_with("src/") && depth > DEPTH_MAX {
            let way_out = format!("{depth} folders below src/, the limit is {DEPTH_MAX}: flatten");
            found.push(source.finding(0, "depth", &way_out));
        }
    }
    found
}

/// A line that ends in an address may be longer: an address cannot be broken.
fn lines(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in &tree.sources {
        for (index, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            let last = line.split_whitespace().next_back().unwrap_or_default();
            if columns > COLUMNS_MAX && !last.contains("://") {
                let (path, line) = (source.path.clone(), index + 1);
                let way_out = format!("{columns} columns, the limit is {COLUMNS_MAX}: break it");
                found.push(Finding {
                    path,
                    line,
                    rule: "line-length",
                    way_out,
                });
            }
        }
    }
    found
}

fn rules_of(path: &str, text: &str) -> Vec<&'static str> {
    check(&Tree::planted(&[(path, text)]))
        .iter()
        .map(|finding| finding.rule)
        .collect()
}

#[test]
fn a_long_function_is_found() {
    let body = |lines| format!("fn f() {{\n{}}}\n", "x();\n".repeat(lines));
    assert_eq!(rules_of("src/clock.rs", &body(69)), ["function-length"]);
    assert!(rules_of("src/clock.rs", &body(68)).is_empty());
}

#[test]
fn too_many_parameters_are_found_and_self_is_not_one() {
    let six = "fn f(a: u8, b: u8, c: Map<u8, u8>, d: u8, e: u8, f: u8) {}";
    let five = "fn f(&mut self, a: u8, (b, c): (u8, u8), d: Map<u8, u8>, e: u8, f: u8) {}";
    assert_eq!(rules_of("src/clock.rs", six), ["parameters"]);
    assert!(rules_of("src/clock.rs", five).is_empty());
}

#[test]
fn long_files_are_found_by_their_kind() {
    let text = |lines: usize| "x!();\n".repeat(lines);
    assert_eq!(rules_of("src/main.rs", &text(41)), ["file-length"]);
    assert_eq!(rules_of("src/http/orders.rs", &text(401)), ["file-length"]);
    assert_eq!(rules_of("tests/it/main.rs", &text(601)), ["file-length"]);
    assert!(rules_of("tests/it/main.rs", &text(600)).is_empty());
    assert!(rules_of("src/http/orders.rs", &text(400)).is_empty());
}

#[test]
fn long_lines_are_found_in_characters_not_bytes() {
    assert_eq!(
        rules_of("src/clock.rs", &format!("// {}", "x".repeat(98))),
        ["line-length"]
    );
    assert!(rules_of("src/clock.rs", &format!("// {}", "ß".repeat(97))).is_empty());
    assert!(rules_of("src/clock.rs", &format!("// https://{}", "x".repeat(98))).is_empty());
}

#[test]
fn deep_folders_are_found() {
    assert_eq!(rules_of("src/cli/load/screen/bars.rs", ""), ["depth"]);
    assert!(rules_of("src/cli/load/screen.rs", "").is_empty());
}
