//! What must not be called, and where: clocks, chance, floats, unbounded queues, the environment,
//! printing, panics, sleeping, globals. In `shard` and `order` nothing of the outside world may
//! even be named, so that the same decisions can be replayed from a seed.

use crate::lexer;
use crate::tree::{Finding, Source, Tree};

/// A call that is refused. `allowed` are the places that may make it; `in_tests` tells whether
/// code for tests is held to it as well.
struct Ban {
    rule: &'static str,
    words: &'static [&'static str],
    allowed: &'static [&'static str],
    in_tests: bool,
    way_out: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        rule: "clock",
        words: &[
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Utc::now",
            "now_v7",
        ],
        allowed: &["src/clock"],
        in_tests: true,
        way_out: "only src/clock.rs reads the time: take the clock, or `now`, as an argument",
    },
    Ban {
        rule: "random",
        words: &[
            "StdRng::from_*",
            "SmallRng",
            "seed_from_u64",
            "from_rng(",
            "from_os_rng",
            "from_entropy",
            "SysRng",
            "OsRng",
            "rand::rng(",
            "thread_rng",
            "rand::random*",
            "new_v4",
        ],
        allowed: &["src/cli/serve", "src/cli/load", "src/cli/chance"],
        in_tests: false,
        way_out: "random generators are made in cli/serve.rs, cli/load and cli/chance.rs",
    },
    Ban {
        rule: "unbounded",
        words: &[
            "unbounded_channel",
            "unbounded(",
            "mpsc::channel()",
            "UnboundedSender",
        ],
        allowed: &[],
        in_tests: true,
        way_out: "every queue has a bound, with a name and a reason; full is an answer",
    },
    Ban {
        rule: "environment",
        words: &["env::var*", "env::set_var"],
        allowed: &["src/config", "build", "examples", "benches"],
        in_tests: false,
        way_out: "settings come from src/config: add a setting there and hand it down",
    },
    Ban {
        rule: "print",
        words: &["println!", "print!", "eprintln!", "eprint!"],
        allowed: &["src/cli", "src/main", "build", "examples", "benches"],
        in_tests: false,
        way_out: "only commands print; elsewhere use `tracing`",
    },
    Ban {
        rule: "unwrap",
        words: &[".unwrap()", ".unwrap_err()", ".unwrap_unchecked()"],
        allowed: &[],
        in_tests: false,
        way_out: "return an error; what cannot happen is expected with its invariant",
    },
    Ban {
        rule: "way-out",
        words: &["anyhow!", "bail!", ".context(", ".with_context("],
        allowed: &["examples"],
        in_tests: false,
        way_out: "an error of a command says what to do: `Failure::new`, `or_fail`",
    },
    Ban {
        rule: "leftover",
        words: &["dbg!", "todo!", "unimplemented!"],
        allowed: &[],
        in_tests: true,
        way_out: "finish it, or answer with an error that says what is not built",
    },
];

/// What `shard` and `order` must not name: the first segments of paths.
const IMPURE: [&str; 6] = [
    "tokio",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
];

/// Words that `shard` and `order` must not contain. Standard maps have a random order.
const IMPURE_WORDS: [&str; 7] = [
    "async",
    "await",
    "Instant",
    "SystemTime",
    "RandomState",
    "HashMap",
    "HashSet",
];

/// Types that make a `static` remember something.
const STATEFUL: [&str; 14] = [
    "Mutex",
    "RwLock",
    "Atomic*",
    "OnceLock",
    "OnceCell",
    "Once",
    "LazyLock",
    "LazyCell",
    "Lazy",
    "RefCell",
    "Cell",
    "UnsafeCell",
    "ArcSwap*",
    "mut",
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in &tree.sources {
        found.extend(banned_calls(source));
        found.extend(sleeps(source));
        found.extend(statics(source));
        if source.is_in("src/shard") || source.is_in("src/order") {
            found.extend(impurities(source));
            found.extend(floats(source));
        }
    }
    found
}

fn banned_calls(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for ban in BANS
        .iter()
        .filter(|ban| !ban.allowed.iter().any(|place| source.is_in(place)))
    {
        for word in ban.words {
            let places = lexer::occurrences(&source.code, word).into_iter();
            for at in places.filter(|at| ban.in_tests || !source.is_test(*at)) {
                let way_out = format!("`{}`: {}", word.trim_end_matches('*'), ban.way_out);
                found.push(source.finding(at, ban.rule, &way_out));
            }
        }
    }
    found
}

/// Tests drive a manual clock or wait for a named signal. They never wait for time to pass.
fn sleeps(source: &Source) -> Vec<Finding> {
    let way_out = "tests do not sleep: advance a manual clock or wait for a named signal";
    let calls = ["sleep(", "sleep_until(", "sleep_ms("].into_iter();
    calls
        .flat_map(|call| lexer::occurrences(&source.code, call))
        .filter(|at| source.is_test(*at))
        .map(|at| source.finding(at, "sleep", way_out))
        .collect()
}

fn statics(source: &Source) -> Vec<Finding> {
    let code = &source.code;
    let declared = lexer::occurrences(code, "static").into_iter().filter(|at| {
        let is_lifetime = code[..*at].ends_with('\'');
        let end = code[*at..].find(';').map_or(code.len(), |n| at + n);
        let declaration = &code[*at..end];
        !is_lifetime
            && STATEFUL
                .iter()
                .any(|t| !lexer::occurrences(declaration, t).is_empty())
    });
    let local = lexer::occurrences(code, "thread_local!");
    let way_out = "no globals: make it a field of whoever owns it and pass it on";
    declared
        .chain(local)
        .map(|at| source.finding(at, "static", way_out))
        .collect()
}

fn impurities(source: &Source) -> Vec<Finding> {
    let is_pure = |word: &str| matches!(word, "HashMap" | "HashSet") && takes_hasher(source);
    let words = lexer::words(&source.code).into_iter();
    let words = words
        .filter(|(_, word)| IMPURE_WORDS.contains(word) && !is_pure(word))
        .map(|(at, word)| (at, word.to_owned()));
    let paths = lexer::paths(&source.code).into_iter().filter_map(|path| {
        let name = path.segments.join("::");
        let is_below = |banned: &str| {
            let rest = name.strip_prefix(banned);
            let is_named = path.imported || path.segments.len() > 1;
            rest.is_some_and(|rest| rest.starts_with("::") || (rest.is_empty() && is_named))
        };
        IMPURE
            .iter()
            .any(|banned| is_below(banned))
            .then_some((path.at, name.clone()))
    });
    words
        .chain(paths)
        .filter(|(at, _)| !source.is_test(*at))
        .map(|(at, name)| {
            let way_out = format!(
                "`{name}` in pure code: no I/O, async, clock or map with random order here; time \
                 and chance are arguments, maps are BTreeMap or hashbrown with a fixed hasher"
            );
            source.finding(at, "purity", &way_out)
        })
        .collect()
}

/// A map of `hashbrown` without default hasher has the order it is told to have.
fn takes_hasher(source: &Source) -> bool {
    let paths = lexer::paths(&source.code);
    paths.iter().any(|path| path.segments[0] == "hashbrown")
        && !paths.iter().any(|path| {
            path.segments
                .join("::")
                .starts_with("std::collections::Hash")
        })
}

fn floats(source: &Source) -> Vec<Finding> {
    let words = lexer::words(&source.code).into_iter();
    words
        .filter(|(_, word)| matches!(*word, "f32" | "f64"))
        .filter(|(at, _)| source.is_in("src/order/money") || !source.is_test(*at))
        .map(|(at, word)| {
            let way_out = format!("`{word}` near money and decisions: count in whole units");
            source.finding(at, "float", &way_out)
        })
        .collect()
}

fn rules_of(path: &str, text: &str) -> Vec<&'static str> {
    check(&Tree::planted(&[(path, text)]))
        .iter()
        .map(|finding| finding.rule)
        .collect()
}

#[test]
fn banned_calls_are_found_outside_their_places() {
    for (rule, path, text, home) in [
        (
            "clock",
            "src/engine/mod.rs",
            "let n = Instant::now();",
            "src/clock.rs",
        ),
        (
            "clock",
            "tests/it/main.rs",
            "let n = std::time::SystemTime::now();",
            "src/clock.rs",
        ),
        (
            "clock",
            "src/http/orders.rs",
            "Uuid::now_v7()",
            "src/clock.rs",
        ),
        (
            "random",
            "src/engine/mod.rs",
            "StdRng::from_seed(s)",
            "src/cli/serve.rs",
        ),
        (
            "random",
            "src/engine/mod.rs",
            "StdRng::seed_from_u64(s)",
            "tests/it/simulation.rs",
        ),
        (
            "random",
            "src/cli/seed.rs",
            "let r = rand::rng();",
            "src/cli/load/plan.rs",
        ),
        (
            "environment",
            "src/cli/serve.rs",
            "std::env::var_os(\"X\")",
            "src/config.rs",
        ),
        (
            "print",
            "src/http/mod.rs",
            "eprintln!(\"x\");",
            "src/cli/orders.rs",
        ),
        (
            "print",
            "src/engine/mod.rs",
            "print!(\"x\");",
            "src/main.rs",
        ),
        (
            "unwrap",
            "src/store/mod.rs",
            "x\n    .unwrap();",
            "tests/it/store.rs",
        ),
    ] {
        assert_eq!(rules_of(path, text), [rule], "{path}: {text}");
        assert!(rules_of(home, text).is_empty(), "{home}: {text}");
    }
}

#[test]
fn what_is_banned_everywhere_has_no_home() {
    for (rule, text) in [
        (
            "unbounded",
            "let (a, b) = tokio::sync::mpsc::unbounded_channel();",
        ),
        ("unbounded", "let (a, b) = mpsc::channel();"),
        ("leftover", "fn f() { todo!() }"),
        ("leftover", "dbg!(x);"),
    ] {
        assert_eq!(rules_of("src/cli/serve.rs", text), [rule], "{text}");
        assert_eq!(rules_of("tests/it/main.rs", text), [rule], "{text}");
    }
}

#[test]
fn words_in_comments_strings_and_unit_tests_are_not_calls() {
    let text = "// Instant::now()\nfn f() { g(\"println!\") }\n#[cfg(test)]\nmod tests {\n\
                fn h() { x.unwrap(); println!(\"x\"); SmallRng::seed_from_u64(1); }\n}";
    assert!(rules_of("src/engine/mod.rs", text).is_empty());
}

#[test]
fn sleeping_tests_are_found() {
    assert_eq!(
        rules_of("tests/it/crash.rs", "std::thread::sleep(d);"),
        ["sleep"]
    );
    let unit = "fn f() { sleep(d) }\n#[cfg(test)]\nmod tests { fn g() { sleep(d) } }";
    assert_eq!(rules_of("src/engine/mod.rs", unit), ["sleep"]);
    assert!(rules_of("tests/it/crash.rs", "fn nobody_may_sleep() {}").is_empty());
}

#[test]
fn statics_with_state_are_found() {
    for text in [
        "static COUNT: AtomicU64 = AtomicU64::new(0);",
        "pub static CONFIG: std::sync::OnceLock<Config> = OnceLock::new();",
        "static mut X: u8 = 0;",
        "thread_local! { static A: u8 = 0; }",
    ] {
        assert_eq!(rules_of("src/engine/mod.rs", text), ["static"], "{text}");
    }
    let fine = "static NAMES: [&'static str; 1] = [\"a\"];\nfn f(x: &'static Mutex<u8>) {}";
    assert!(rules_of("src/engine/mod.rs", fine).is_empty());
}

#[test]
fn the_outside_world_is_found_in_pure_code() {
    for text in [
        "async fn f() {}",
        "use std::{fmt, fs};",
        "fn f() { std::thread::spawn(g) }",
        "use tokio::sync::oneshot;",
        "use std::collections::HashMap;",
        "fn f(at: Instant) {}",
    ] {
        assert_eq!(rules_of("src/shard/mod.rs", text), ["purity"], "{text}");
        assert_eq!(rules_of("src/order/id.rs", text), ["purity"], "{text}");
        assert!(rules_of("src/engine/mod.rs", text).is_empty(), "{text}");
    }
    let fine = "use hashbrown::HashMap;\nuse std::{collections::BTreeMap, fmt};\nfn f(fs: u8) {}";
    assert!(rules_of("src/shard/book.rs", fine).is_empty());
}

#[test]
fn floats_are_found_near_money() {
    assert_eq!(rules_of("src/order/money.rs", "fn f(x: f64) {}"), ["float"]);
    assert_eq!(
        rules_of("src/shard/rank.rs", "let x = y as f32;"),
        ["float"]
    );
    assert!(rules_of("src/http/stats.rs", "fn f(x: f64) {}").is_empty());
}
