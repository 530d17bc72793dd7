//! What is written twice and must agree: error codes, metrics, settings and statuses with the
//! pages that explain them, and the migrations of one backend with those of the next. A page that
//! does not exist yet has nothing to compare; from its first line on it has to be complete.

use std::collections::{BTreeMap, BTreeSet};

use crate::floors::BACKENDS;
use crate::lexer;
use crate::tree::{Finding, Source, Tree};

const ERRORS_PAGE: &str = "docs/errors.md";
const METRICS_PAGE: &str = "docs/metrics.md";
const SETTINGS_PAGE: &str = "docs/configuration.md";
const STATUS_PAGE: &str = "docs/lifecycle.md";

const STATUSES: [&str; 10] = [
    "scheduled",
    "pending",
    "processing",
    "waiting",
    "dead",
    "compensating",
    "completed",
    "cancelled",
    "rejected",
    "expired",
];

/// What the metrics library appends to the name under which a metric is registered.
const METRIC_ENDINGS: [&str; 5] = ["_total", "_bucket", "_count", "_sum", "_created"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = error_codes(tree);
    found.extend(metrics(tree));
    found.extend(settings(tree));
    found.extend(statuses(tree));
    found.extend(migrations(tree));
    found
}

fn finding(path: &str, line: usize, rule: &'static str, way_out: String) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        rule,
        way_out,
    }
}

/// The names between backticks that stand in the first cell of each row of the tables whose first
/// column is headed by one of `heads`, with their lines.
fn listed(page: &str, heads: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_table = false;
    let mut before = "";
    for (index, line) in page.lines().enumerate() {
        let is_row = line.trim_start().starts_with('|');
        let is_head = is_row && !before.trim_start().starts_with('|');
        let first = line
            .trim()
            .trim_start_matches('|')
            .split('|')
            .next()
            .unwrap_or_default();
        if is_head {
            let head = first.trim().to_lowercase();
            in_table = heads.contains(&head.as_str());
        } else if is_row && in_table {
            let names = first.split('`').skip(1).step_by(2);
            found.extend(names.map(|name| (index + 1, name.to_owned())));
        }
        before = line;
    }
    found
}

/// True for `a`, `a-b`, `a-b-c` in small letters.
fn is_kebab(text: &str) -> bool {
    text.split('-')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
}

/// The literals of product code: commands only repeat what the server says.
fn literals<'a>(sources: impl Iterator<Item = &'a Source>) -> BTreeSet<&'a str> {
    sources
        .flat_map(|source| {
            source
                .literals
                .iter()
                .filter(|literal| !source.is_test(literal.at))
        })
        .map(|literal| literal.text.as_str())
        .collect()
}

/// In `src/http/error.rs` every text of the form `some-words` is taken for an error code; header
/// names have constants and are not written there.
fn error_codes(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(ERRORS_PAGE) else {
        return Vec::new();
    };
    let codes = listed(&page.text, &["code"]);
    let known = literals(tree.product().filter(|source| !source.is_in("src/cli")));
    let mut found = Vec::new();
    if codes.is_empty() {
        let way_out = "no table has `Code` as its first column, with codes between backticks";
        found.push(finding(ERRORS_PAGE, 1, "error-codes", way_out.to_owned()));
    }
    for (line, code) in codes.iter().filter(|(_, code)| is_kebab(code)) {
        if !known.contains(code.as_str()) {
            let way_out = format!("no code returns `{code}`: delete the row, or correct it");
            found.push(finding(ERRORS_PAGE, *line, "error-codes", way_out));
        }
    }
    for source in tree
        .product()
        .filter(|source| source.is_in("src/http/error"))
    {
        let own = source
            .literals
            .iter()
            .filter(|literal| !source.is_test(literal.at));
        for literal in own.filter(|l| l.text.contains('-') && is_kebab(&l.text)) {
            if !codes.iter().any(|(_, code)| *code == literal.text) {
                let way_out = format!("`{}` is not in a table of {ERRORS_PAGE}", literal.text);
                found.push(source.finding(literal.at, "error-codes", &way_out));
            }
        }
    }
    found
}

fn metrics(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(METRICS_PAGE) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for source in tree.product() {
        for literal in source
            .literals
            .iter()
            .filter(|literal| is_metric(&literal.text))
        {
            names.insert(literal.text.as_str());
            let spelled = std::iter::once("").chain(METRIC_ENDINGS);
            let is_explained = spelled
                .map(|ending| format!("{}{ending}", literal.text))
                .any(|name| !lexer::occurrences(&page.text, &name).is_empty());
            if !is_explained && !source.is_test(literal.at) {
                let way_out = format!("metric `{}` is not in {METRICS_PAGE}", literal.text);
                found.push(source.finding(literal.at, "metrics", &way_out));
            }
        }
    }
    for (line, name) in listed(&page.text, &["metric", "name"]) {
        let stem = METRIC_ENDINGS
            .iter()
            .find_map(|ending| name.strip_suffix(ending));
        let is_there = names.contains(name.as_str()) || stem.is_some_and(|s| names.contains(s));
        if is_metric(&name) && !is_there {
            let way_out = format!("no code has the metric `{name}`: delete the row, or correct it");
            found.push(finding(METRICS_PAGE, line, "metrics", way_out));
        }
    }
    found
}

fn is_metric(text: &str) -> bool {
    let name = text.strip_prefix("orderd_").unwrap_or_default();
    !name.is_empty() && name.bytes().all(lexer::is_word)
}

/// A setting is a field of a struct below `src/config` that derives `Deserialize`.
fn settings(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(SETTINGS_PAGE) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut keys = BTreeSet::new();
    for source in tree.product().filter(|source| source.is_in("src/config")) {
        for (at, key) in fields(source)
            .into_iter()
            .filter(|(at, _)| !source.is_test(*at))
        {
            if lexer::occurrences(&page.text, &key).is_empty() {
                let way_out = format!("setting `{key}` is not in {SETTINGS_PAGE}");
                found.push(source.finding(at, "settings", &way_out));
            }
            keys.insert(key);
        }
        keys.extend(source.literals.iter().map(|literal| literal.text.clone()));
    }
    for (line, key) in listed(&page.text, &["key", "setting"]) {
        let last = key.rsplit('.').next().unwrap_or_default();
        if !keys.contains(last) {
            let way_out = format!("no setting is called `{key}`: delete the row, or correct it");
            found.push(finding(SETTINGS_PAGE, line, "settings", way_out));
        }
    }
    found
}

/// The fields of all structs of a file that can be read from a settings file.
fn fields(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let mut found = Vec::new();
    let derives = lexer::attributes(code).into_iter().filter(|(_, text)| {
        text.starts_with("derive") && !lexer::occurrences(text, "Deserialize").is_empty()
    });
    for (at, attribute) in derives {
        let behind = at + attribute.len();
        let words = lexer::words(&code[behind..]);
        let head = words
            .iter()
            .find(|(_, word)| matches!(*word, "struct" | "enum" | "fn"));
        let Some((offset, "struct")) = head else {
            continue;
        };
        let from = behind + offset;
        let open = code[from..]
            .find(['{', ';', '('])
            .map_or(code.len(), |n| from + n);
        if !code[open..].starts_with('{') {
            continue;
        }
        let inner = (open + 1)..lexer::closing(code, open);
        for part in lexer::parts(code, inner.start, inner.end) {
            let declared = code[part.0..part.1].split(": ").next().unwrap_or_default();
            if let Some((offset, key)) = lexer::words(declared).pop() {
                found.push((part.0 + offset, key.to_owned()));
            }
        }
    }
    found
}

fn statuses(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(STATUS_PAGE) else {
        return Vec::new();
    };
    let missing = STATUSES
        .iter()
        .filter(|name| !page.text.contains(&format!("`{name}`")));
    missing
        .map(|name| {
            finding(
                STATUS_PAGE,
                1,
                "statuses",
                format!("status `{name}` is not explained"),
            )
        })
        .collect()
}

/// The same numbers and names in the folder of each backend that has one.
fn migrations(tree: &Tree) -> Vec<Finding> {
    let mut holders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for file in &tree.files {
        let parts: Vec<&str> = file.path.split('/').collect();
        if let ["migrations", backend, name] = parts.as_slice()
            && BACKENDS.contains(backend)
        {
            folders.insert(*backend);
            holders.entry(name).or_default().insert(backend);
        }
    }
    let mut found = Vec::new();
    for (name, backends) in holders {
        for backend in folders.difference(&backends) {
            let way_out = format!("other backends have `{name}`: add it, with a comment if empty");
            let path = format!("migrations/{backend}/{name}");
            found.push(finding(&path, 1, "migrations", way_out));
        }
    }
    found
}

fn places(files: &[(&str, &str)]) -> Vec<String> {
    let found = check(&Tree::planted(files)).into_iter();
    found
        .map(|finding| format!("{}:{} {}", finding.path, finding.line, finding.rule))
        .collect()
}

#[test]
fn error_codes_that_disagree_are_found() {
    let page = "| Code | Meaning |\n|---|---|\n| `draining` | x |\n| `order-gone` | y |\n\n\
                | Member | Meaning |\n|---|---|\n| `title` | z |";
    let code = "//! x\nfn f() { g(\"draining\", \"body-too-large\", \"text/html\", \"a b-c\") }\n\
                #[cfg(test)]\nmod tests { const A: &str = \"not-a-code\"; }";
    let found = places(&[(ERRORS_PAGE, page), ("src/http/error.rs", code)]);
    let expected = [
        "docs/errors.md:4 error-codes",
        "src/http/error.rs:2 error-codes",
    ];
    assert_eq!(found, expected);
    assert_eq!(
        places(&[(ERRORS_PAGE, "# Errors")]),
        ["docs/errors.md:1 error-codes"]
    );
    assert!(places(&[("src/http/error.rs", code)]).is_empty());
}

#[test]
fn metrics_that_disagree_are_found() {
    let page =
        "| Metric | Unit |\n|---|---|\n| `orderd_accepted_total` | 1 |\n| `orderd_old` | s |";
    let code = "f(\"orderd_accepted\");\ng(\"orderd_flush_seconds\", \"orderd_\", \"orderd x\");";
    let found = places(&[(METRICS_PAGE, page), ("src/telemetry.rs", code)]);
    assert_eq!(
        found,
        ["src/telemetry.rs:2 metrics", "docs/metrics.md:4 metrics"]
    );
}

#[test]
fn settings_that_disagree_are_found() {
    let page = "| Key | Default |\n|---|---|\n| `server.listen` | x |\n| `server.gone` | y |";
    let code = "#[derive(Clone, Deserialize)]\n#[serde(default)]\npub struct Server {\n\
                /// Where.\npub listen: Vec<SocketAddr>,\n#[serde(skip)]\npub backlog: u32,\n}\n\
                #[derive(Debug)]\npub struct Other { pub x: u8 }";
    let found = places(&[(SETTINGS_PAGE, page), ("src/config.rs", code)]);
    assert_eq!(
        found,
        [
            "src/config.rs:7 settings",
            "docs/configuration.md:4 settings"
        ]
    );
}

#[test]
fn statuses_without_explanation_are_found() {
    let page: String = STATUSES[1..]
        .iter()
        .map(|name| format!("`{name}` "))
        .collect();
    assert_eq!(
        places(&[(STATUS_PAGE, page.as_str())]),
        ["docs/lifecycle.md:1 statuses"]
    );
}

#[test]
fn migrations_that_one_backend_lacks_are_found() {
    let found = places(&[
        ("migrations/sqlite/V1__orders.sql", ""),
        ("migrations/sqlite/V2__events.sql", ""),
        ("migrations/postgres/V1__orders.sql", ""),
    ]);
    assert_eq!(found, ["migrations/postgres/V2__events.sql:1 migrations"]);
}
