//! Replays what fuzzing has found: every file of `fuzz/corpus` goes through its target, and so do
//! some thousands of changed ones, always the same. No coverage is measured here and nothing is
//! searched for: `scripts/fuzz` does that.

#![expect(clippy::expect_used, reason = "a failure is how a test tells")]

mod mutation;
mod targets;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use orderd::clock;

use self::mutation::Mutator;
use self::targets::{Bench, TARGETS};

/// Longest that an input may take, with room for a busy machine and a slow build.
const PATIENCE: Duration = Duration::from_secs(10);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a target, in the order of their names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(name);
    let files = std::fs::read_dir(&folder).expect("every target has a corpus");
    let mut files: Vec<_> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let bytes = std::fs::read(&path).expect("a file that can be read");
            (path.display().to_string(), bytes)
        })
        .collect();
    files.sort();
    files
}

/// Runs a target on an input; a panic is told together with the input.
fn feed(bench: &mut Bench, name: &str, origin: &str, bytes: &[u8]) {
    let since = clock::monotonic();
    let fed = catch_unwind(AssertUnwindSafe(|| bench.run(name, bytes)));
    let taken = clock::monotonic().duration_since(since);
    assert!(fed.is_ok(), "{name}: {origin}: {}", bytes.escape_ascii());
    assert!(
        taken < PATIENCE,
        "{name}: {origin} took {taken:?}: {}",
        bytes.escape_ascii()
    );
}

fn replay(name: &str, mutations: u64) {
    let files = corpus(name);
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    let mut bench = Bench::new();
    for (path, bytes) in &files {
        feed(&mut bench, name, path, bytes);
    }
    let inputs: Vec<&[u8]> = files.iter().map(|(_, bytes)| &**bytes).collect();
    let mut mutator = Mutator::new(inputs);
    for number in 0..mutations {
        let bytes = mutator.next();
        feed(&mut bench, name, &format!("mutation {number}"), &bytes);
    }
}

macro_rules! replays {
    ($($name:ident: $mutations:expr,)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name), $mutations);
        })*

        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
    };
}

replays! {
    answer: 5_000,
    batch: 2_000,
    events: 5_000,
    file: 1_000,
    headers: 2_000,
    import: 2_000,
    journal: 5_000,
    json: 5_000,
    mean: 5_000,
    number: 5_000,
    order: 2_000,
    query: 500,
    requests: 1_000,
    rows: 200,
    settings: 1_000,
    texts: 5_000,
}

#[test]
fn every_target_is_replayed_has_a_corpus_and_can_be_fuzzed() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).into()).collect();
    let replayed: BTreeSet<String> = REPLAYED.iter().map(|name| (*name).into()).collect();
    let inside = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz().join(folder)).expect("a folder");
        let stem = |path: PathBuf| path.file_stem().map(|it| it.to_string_lossy().into_owned());
        entries
            .filter_map(|entry| stem(entry.ok()?.path()))
            .collect()
    };
    assert_eq!(names, replayed);
    assert_eq!(names, inside("corpus"));
    assert_eq!(names, inside("fuzz_targets"));
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("a manifest");
    for name in names {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} is not in the manifest"
        );
    }
}
