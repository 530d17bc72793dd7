//! Who may name whom: imports only go down the floors, neighbours on one floor do not know each
//! other, and every vendor library and every word of SQL has its room. `lib.rs` is the map and
//! names all floors; `cli` is the top and may use everything.

use crate::lexer::{self, Path};
use crate::tree::{Finding, Source, Tree};

/// The floor of each module directly below `src/`.
const FLOORS: [(&str, u8); 15] = [
    ("main", 5),
    ("cli", 5),
    ("http", 4),
    ("compat", 4),
    ("telemetry", 4),
    ("engine", 3),
    ("server", 3),
    ("telling", 3),
    ("shard", 2),
    ("store", 2),
    // Makes processes out of settings, so it stands on `order`; nobody but the commands knows it.
    ("config", 2),
    ("order", 1),
    ("outbound", 1),
    ("clock", 0),
    ("faults", 0),
];

/// Names of the storage backends: each has the module `src/store/<name>` to itself.
pub const BACKENDS: [&str; 3] = ["sqlite", "postgres", "mysql"];

/// Vendor libraries, and the only places below `src/` that may name them.
const VENDORS: [(&str, &[&str]); 19] = [
    ("axum", &["src/server", "src/http", "src/compat"]),
    (
        "tower",
        &["src/server", "src/http", "src/compat", "src/outbound"],
    ),
    ("utoipa", &["src/http", "src/compat"]),
    ("utoipa_axum", &["src/http", "src/compat"]),
    ("hyper", &["src/server", "src/cli", "src/outbound"]),
    ("hyper_util", &["src/server", "src/cli", "src/outbound"]),
    ("tokio_rustls", &["src/outbound"]),
    ("hmac", &["src/outbound"]),
    ("base64", &["src/outbound"]),
    ("rusqlite", &["src/store/sqlite"]),
    (
        "refinery",
        &["src/store/sqlite", "src/store/postgres", "src/store/mysql"],
    ),
    ("tokio_postgres", &["src/store/postgres"]),
    ("tokio_postgres_rustls", &["src/store/postgres"]),
    (
        "rustls",
        &["src/store/postgres", "src/store/mysql", "src/outbound"],
    ),
    (
        "rustls_native_certs",
        &["src/store/postgres", "src/store/mysql", "src/outbound"],
    ),
    ("futures_util", &["src/store/postgres", "src/store/mysql"]),
    ("mysql_async", &["src/store/mysql"]),
    ("clap", &["src/cli", "src/config"]),
    ("clap_complete", &["src/cli"]),
];

/// Words that make a string SQL, to be found in this order.
const SQL: [&[&str]; 7] = [
    &["SELECT ", " FROM "],
    &["INSERT INTO "],
    &["INSERT OR ", " INTO "],
    &["UPDATE ", " SET "],
    &["DELETE FROM "],
    &["CREATE TABLE "],
    &["CREATE INDEX "],
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in tree.product() {
        let paths = lexer::paths(&source.code);
        found.extend(floors(source, &paths));
        found.extend(backends(source));
        found.extend(vendors(source, &paths));
        found.extend(sql(source));
    }
    found
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

fn floors(source: &Source, paths: &[Path]) -> Vec<Finding> {
    let own = source.top_module().unwrap_or_default();
    if own == "lib" {
        return Vec::new();
    }
    let Some(floor) = floor_of(own) else {
        let way_out = format!("`{own}` has no floor: enter it in FLOORS of tests/tidy/floors.rs");
        return vec![source.finding(0, "floors", &way_out)];
    };
    let mut found = Vec::new();
    for path in paths {
        let Some(other) = module_named_by(source, path).filter(|other| *other != own) else {
            continue;
        };
        let way_out = match floor_of(other) {
            Some(below) if below < floor || floor == 5 => continue,
            Some(same) if same == floor => format!(
                "`{own}` and `{other}` are both on floor {floor} and must not know each other: \
                 what both need lies one floor down"
            ),
            Some(above) => format!(
                "`{own}` (floor {floor}) must not know `{other}` (floor {above}): take it as an \
                 argument, or move what is needed down"
            ),
            None => format!("`{other}` is not a module with a floor: name the module it lives in"),
        };
        found.push(source.finding(path.at, "floors", &way_out));
    }
    found
}

/// The module directly below `src/` that a path leads to, through `crate::` or enough `super::`.
fn module_named_by<'a>(source: &Source, path: &'a Path) -> Option<&'a str> {
    let is_relative = |segment: &&String| matches!(segment.as_str(), "self" | "super");
    let relative = path.segments.iter().take_while(is_relative);
    let supers = relative
        .clone()
        .filter(|segment| *segment == "super")
        .count();
    let steps = match path.segments.first()?.as_str() {
        "crate" => 1,
        _ if supers > 0 && supers >= module_depth(source, path.at) => relative.count(),
        _ => return None,
    };
    let target = path.segments.get(steps).map(String::as_str);
    target.filter(|target| *target != "self")
}

/// How many `super` lead from a place to the root: folders, the file and `mod name {` around it.
fn module_depth(source: &Source, at: usize) -> usize {
    let inner = source
        .path
        .trim_start_matches("src/")
        .trim_end_matches(".rs");
    let file = inner.trim_end_matches("/mod").split('/').count();
    let words = lexer::words(&source.code);
    let around = words
        .windows(2)
        .filter(|pair| pair[0].1 == "mod")
        .filter(|pair| {
            let behind = pair[1].0 + pair[1].1.len();
            let open = lexer::skip_blank(source.code.as_bytes(), behind);
            source.code[open..].starts_with('{')
                && (open..lexer::closing(&source.code, open)).contains(&at)
        });
    file + around.count()
}

fn backends(source: &Source) -> Vec<Finding> {
    let own = BACKENDS
        .iter()
        .find(|name| source.is_in(&format!("src/store/{name}")));
    let Some(own) = own else { return Vec::new() };
    let words = lexer::words(&source.code).into_iter();
    words
        .filter(|(_, word)| BACKENDS.contains(word) && word != own)
        .map(|(at, word)| {
            let way_out = format!(
                "the {own} backend names `{word}`: backends never import each other, what they \
                 share lies in store/mod.rs"
            );
            source.finding(at, "backends", &way_out)
        })
        .collect()
}

fn vendors(source: &Source, paths: &[Path]) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in paths
        .iter()
        .filter(|path| path.imported || path.segments.len() > 1)
    {
        let rule = VENDORS
            .iter()
            .find(|(vendor, _)| *vendor == path.segments[0]);
        if let Some((vendor, places)) = rule
            && !places.iter().any(|place| source.is_in(place))
        {
            let way_out = format!("`{vendor}` may be named in {} only", places.join(", "));
            found.push(source.finding(path.at, "vendors", &way_out));
        }
    }
    found
}

fn sql(source: &Source) -> Vec<Finding> {
    if BACKENDS
        .iter()
        .any(|name| source.is_in(&format!("src/store/{name}")))
    {
        return Vec::new();
    }
    let literals = source
        .literals
        .iter()
        .filter(|literal| is_sql(&literal.text));
    let way_out = "SQL stands in the files of a storage backend and in migrations only";
    literals
        .map(|literal| source.finding(literal.at, "sql", way_out))
        .collect()
}

fn is_sql(text: &str) -> bool {
    let flat = text.replace("\\n", " ");
    let flat = format!("{} ", flat.split_whitespace().collect::<Vec<_>>().join(" "));
    SQL.iter().any(|words| {
        let mut rest = flat.as_str();
        words.iter().all(|word| match rest.find(word) {
            Some(at) => {
                rest = &rest[at + word.len() - 1..];
                true
            }
            None => false,
        })
    })
}

fn rules_of(path: &str, text: &str) -> Vec<&'static str> {
    check(&Tree::planted(&[(path, text)]))
        .iter()
        .map(|finding| finding.rule)
        .collect()
}

#[test]
fn an_import_that_goes_up_is_found_in_every_spelling() {
    for text in [
        "use crate::engine::Inbox;",
        "use crate::{\n    order::Order,\n    http::orders,\n};",
        "fn f() { crate::cli::serve::start() }",
        "use super::super::engine::Inbox;",
        "mod inner { use super::super::super::engine::Inbox; }",
        "impl From<crate::engine::Inbox> for X {}",
    ] {
        assert_eq!(rules_of("src/store/receipt.rs", text), ["floors"], "{text}");
    }
    assert_eq!(
        rules_of("src/clock.rs", "use super::order::Order;"),
        ["floors"]
    );
    assert_eq!(
        rules_of("src/store/mod.rs", "use super::engine::Inbox;"),
        ["floors"]
    );
}

#[test]
fn equals_do_not_import_each_other() {
    assert_eq!(
        rules_of("src/store/mod.rs", "use crate::shard::Book;"),
        ["floors"]
    );
    assert_eq!(
        rules_of("src/config.rs", "use crate::store::Store;"),
        ["floors"]
    );
    assert_eq!(
        rules_of("src/http/mod.rs", "use crate::telemetry::Metrics;"),
        ["floors"]
    );
}

#[test]
fn what_has_no_floor_is_found() {
    assert_eq!(rules_of("src/cache.rs", ""), ["floors"]);
    assert_eq!(
        rules_of("src/engine/mod.rs", "use crate::Order;"),
        ["floors"]
    );
}

#[test]
fn imports_that_go_down_or_stay_inside_pass() {
    let text = "use crate::store::{Store, commit::Commit};\nuse super::row;\n\
                // use crate::http::X\nmod tests { use super::super::inbox; }\nuse super::Y;";
    assert!(rules_of("src/engine/turn.rs", text).is_empty());
    assert!(rules_of("src/cli/serve.rs", "use crate::{http, engine, main};").is_empty());
    assert!(rules_of("src/lib.rs", "pub use crate::engine::Engine;").is_empty());
}

#[test]
fn backends_that_know_each_other_are_found() {
    let text = "use super::mysql::quote;";
    assert_eq!(rules_of("src/store/sqlite.rs", text), ["backends"]);
    assert_eq!(rules_of("src/store/sqlite/read.rs", text), ["backends"]);
    assert!(rules_of("src/store/mod.rs", "match kind { K::A => sqlite::open() }").is_empty());
}

#[test]
fn vendors_outside_their_rooms_are_found() {
    for (path, text) in [
        ("src/engine/mod.rs", "use axum::Json;"),
        ("src/telemetry.rs", "fn f() -> axum::Router { x }"),
        (
            "src/order/money.rs",
            "#[derive(utoipa::ToSchema)] struct Money;",
        ),
        ("src/store/mod.rs", "use {std::fmt, rusqlite::Connection};"),
        ("src/store/sqlite.rs", "use tokio_postgres::Client;"),
        ("src/http/orders.rs", "use clap::Parser;"),
        ("src/engine/mod.rs", "use hyper::Request;"),
    ] {
        assert_eq!(rules_of(path, text), ["vendors"], "{path}: {text}");
    }
    assert!(rules_of("src/store/sqlite/rows.rs", "use rusqlite::Row;").is_empty());
    assert!(rules_of("src/engine/mod.rs", "fn f(tower: u8) { g(tower) }").is_empty());
}

#[test]
fn sql_outside_the_backends_is_found() {
    for text in [
        "SELECT id\\n FROM orders",
        "INSERT INTO orders",
        "UPDATE orders SET a = 1",
    ] {
        let code = format!("fn f() {{ run(\"{text}\") }}");
        assert_eq!(rules_of("src/store/mod.rs", &code), ["sql"], "{text}");
        assert!(rules_of("src/store/sqlite/rows.rs", &code).is_empty());
    }
    assert!(
        rules_of(
            "src/cli/mod.rs",
            "f(\"update orders; select one from all\")"
        )
        .is_empty()
    );
}
