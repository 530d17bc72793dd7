//! The repository as the checks see it: every file that git would keep, Rust files cut into code,
//! literals and test parts. It reads the disk once and never writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::documents;
use crate::lexer::{self, Literal};

/// What a check found: where, which rule, and the way out.
#[derive(Clone, Debug)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub rule: &'static str,
    pub way_out: String,
}

/// One file. `text` is empty for files that are not text.
pub struct File {
    pub path: String,
    pub text: String,
    pub size: u64,
}

/// One Rust file, cut into parts. Offsets in `code` are offsets in the file's text.
pub struct Source {
    pub path: String,
    pub text: String,
    pub code: String,
    pub literals: Vec<Literal>,
    test_spans: Vec<(usize, usize)>,
    is_test_file: bool,
}

/// A `mod name;` that stands in a file, and the file it leads to, if there is one.
pub struct Module {
    pub declared_in: usize,
    pub at: usize,
    pub name: String,
    pub leads_to: Option<usize>,
}

/// All files of the repository, in the order of their paths.
pub struct Tree {
    pub files: Vec<File>,
    pub sources: Vec<Source>,
    pub modules: Vec<Module>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let (code, literals) = lexer::blank(text);
        let test_spans = test_spans(&code);
        let is_test_file = path.starts_with("tests/");
        let (path, text) = (path.to_owned(), text.to_owned());
        Self {
            path,
            text,
            code,
            literals,
            test_spans,
            is_test_file,
        }
    }

    /// True if what stands at the offset is compiled for tests only.
    pub fn is_test(&self, at: usize) -> bool {
        self.is_test_file
            || self
                .test_spans
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&at))
    }

    /// The line of an offset, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        lexer::line_of(&self.code, at)
    }

    /// A finding at an offset of this file.
    pub fn finding(&self, at: usize, rule: &'static str, way_out: &str) -> Finding {
        let (path, line) = (self.path.clone(), self.line(at));
        Finding {
            path,
            line,
            rule,
            way_out: way_out.to_owned(),
        }
    }

    /// The part of `src/` the file belongs to: `engine` for `src/engine/turn.rs`, `clock` for
    /// `src/clock.rs`. `None` outside `src/`.
    pub fn top_module(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        Some(
            inner
                .split('/')
                .next()
                .unwrap_or(inner)
                .trim_end_matches(".rs"),
        )
    }

    /// True if the file is `prefix.rs` or lies in the folder `prefix/`.
    pub fn is_in(&self, prefix: &str) -> bool {
        is_in(&self.path, prefix)
    }
}

/// True if the path is `prefix.rs` or lies in the folder `prefix/`.
pub fn is_in(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

impl Tree {
    /// Reads the repository at `root`: what git keeps or would keep, or, where there is no git,
    /// everything outside the build folder.
    pub fn read(root: &Path) -> Self {
        let paths = git_files(root).unwrap_or_else(|| {
            let mut paths = BTreeSet::new();
            walk(root, "", &mut paths);
            paths
        });
        let read = |path: String| {
            let bytes = std::fs::read(root.join(&path)).ok()?;
            let is_text = !bytes.contains(&0);
            let size = bytes.len() as u64;
            let text = String::from_utf8_lossy(if is_text { &bytes } else { b"" }).into_owned();
            Some(File { path, text, size })
        };
        Self::new(paths.into_iter().filter_map(read).collect())
    }

    /// A tree made up for a test.
    pub fn planted(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| {
            let (path, text) = ((*path).to_owned(), (*text).to_owned());
            let size = text.len() as u64;
            File { path, text, size }
        });
        Self::new(files.collect())
    }

    fn new(files: Vec<File>) -> Self {
        let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
        let mut sources: Vec<Source> = rust.map(|f| Source::new(&f.path, &f.text)).collect();
        let modules = modules(&sources);
        loop {
            let in_test = |m: &&Module| sources[m.declared_in].is_test(m.at);
            let marked: Vec<usize> = modules
                .iter()
                .filter(in_test)
                .filter_map(|module| module.leads_to)
                .filter(|index| !sources[*index].is_test_file)
                .collect();
            if marked.is_empty() {
                return Self {
                    files,
                    sources,
                    modules,
                };
            }
            for index in marked {
                sources[index].is_test_file = true;
            }
        }
    }

    /// The file at exactly this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// True if a file or a folder with files is there.
    pub fn holds(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files
            .iter()
            .any(|file| file.path == path || file.path.starts_with(&folder))
            || matches!(path, "" | ".")
    }

    /// All files whose name ends so.
    pub fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = &'a File> {
        self.files
            .iter()
            .filter(move |file| file.path.ends_with(end))
    }

    /// The Rust files below `src/`.
    pub fn product(&self) -> impl Iterator<Item = &Source> {
        self.sources
            .iter()
            .filter(|source| source.path.starts_with("src/"))
    }
}

fn git_files(root: &Path) -> Option<BTreeSet<String>> {
    if !root.join(".git").exists() {
        return None;
    }
    let arguments = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .output()
        .ok()?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = listed
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned);
    output.status.success().then(|| paths.collect())
}

fn walk(root: &Path, folder: &str, paths: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder {
            paths.insert(path);
        } else if !matches!(
            name.as_str(),
            ".git" | "target" | "orderd-data" | "node_modules"
        ) {
            walk(root, &path, paths);
        }
    }
}

/// The parts of a file that only tests see: whatever a `#[cfg(test)]` stands before.
fn test_spans(code: &str) -> Vec<(usize, usize)> {
    let tested = lexer::attributes(code).into_iter().filter(|(_, text)| {
        let words: Vec<&str> = lexer::words(text)
            .into_iter()
            .map(|(_, word)| word)
            .collect();
        let is_cfg = words.first() == Some(&"cfg");
        is_cfg && words.contains(&"test") && !text.contains("not(test")
    });
    tested
        .map(|(at, _)| match code[at + 1..].starts_with('!') {
            true => (at, code.len()),
            false => (at, tested_end(code, at)),
        })
        .collect()
}

/// Where the thing ends that carries the attribute at `at`: an item, a field or a statement.
fn tested_end(code: &str, at: usize) -> usize {
    const VISIBILITY: [&str; 5] = ["crate", "in", "pub", "self", "super"];
    const ITEMS: [&str; 15] = [
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "macro_rules",
        "mod",
        "static",
        "struct",
        "trait",
        "type",
        "union",
        "unsafe",
        "use",
    ];
    let bytes = code.as_bytes();
    let mut from = at;
    while bytes.get(from) == Some(&b'#') {
        let open = code[from..].find('[').map_or(code.len(), |n| from + n);
        from = lexer::skip_blank(bytes, lexer::closing(code, open) + 1);
    }
    let rest = code.get(from..).unwrap_or_default();
    let words = lexer::words(rest);
    let head = words
        .iter()
        .map(|(_, word)| *word)
        .find(|word| !VISIBILITY.contains(word));
    if head.is_some_and(|word| ITEMS.contains(&word)) {
        return lexer::item_end(code, from);
    }
    let mut depth = 0_i32;
    for (n, byte) in rest.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' | b';' if depth == 0 => return from + n,
            _ => {}
        }
        if depth < 0 {
            return from + n;
        }
    }
    code.len()
}

/// All `mod name;` of all files. A module file lies beside `mod.rs`, `lib.rs`, `main.rs` and the
/// roots of tests, else in the folder that has its parent's name.
fn modules(sources: &[Source]) -> Vec<Module> {
    let places: BTreeMap<&str, usize> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| (source.path.as_str(), index))
        .collect();
    let mut found = Vec::new();
    for (declared_in, source) in sources.iter().enumerate() {
        let folder = module_folder(&source.path);
        let words = lexer::words(&source.code);
        for pair in words.windows(2).filter(|pair| pair[0].1 == "mod") {
            let (at, name) = pair[1];
            if !source.code[at + name.len()..].trim_start().starts_with(';') {
                continue;
            }
            let beside = format!("{folder}{name}.rs");
            let below = format!("{folder}{name}/mod.rs");
            let place = match named_path(source, pair[0].0) {
                Some(path) => places.get(path.as_str()),
                None => places
                    .get(beside.as_str())
                    .or_else(|| places.get(below.as_str())),
            };
            let (name, leads_to) = (name.to_owned(), place.copied());
            found.push(Module {
                declared_in,
                at: pair[0].0,
                name,
                leads_to,
            });
        }
    }
    found
}

/// The file that a `#[path = "…"]` right before the module at this place names.
fn named_path(source: &Source, at: usize) -> Option<String> {
    let before = source.text[..at].trim_end();
    let before = before.strip_suffix("pub").unwrap_or(before).trim_end();
    let (_, target) = before.strip_suffix("\"]")?.rsplit_once("#[path = \"")?;
    documents::resolve(&source.path, target)
}

/// The folder, with a slash at its end, in which a file's modules lie.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_root = matches!(name, "mod.rs" | "lib.rs" | "main.rs")
        || matches!(folder, "tests" | "benches" | "examples" | "src/bin" | "");
    let stem = name.trim_end_matches(".rs");
    match (folder.is_empty(), is_root) {
        (true, _) => String::new(),
        (false, true) => format!("{folder}/"),
        (false, false) => format!("{folder}/{stem}/"),
    }
}

#[test]
fn test_parts_are_known_even_in_files_of_their_own() {
    let text = "#[cfg(test)]\nfn a<T, U>() { b() }\nfn c() {}\nstruct S {\n\
                #[cfg(test)]\npub d: u8,\npub e: u8 }\n#[cfg(not(test))]\nfn f() {}\n\
                #[cfg(all(test, not(miri)))]\nmod g;";
    let tree = Tree::planted(&[("src/x.rs", text), ("src/x/g.rs", "fn h() {}")]);
    let (x, g) = (&tree.sources[0], &tree.sources[1]);
    let is_test = |needle: &str| x.text.find(needle).map(|at| x.is_test(at));
    for (needle, expected) in [
        ("b()", true),
        ("fn c", false),
        ("d: u8", true),
        ("e: u8", false),
    ] {
        assert_eq!(is_test(needle), Some(expected), "{needle}");
    }
    assert_eq!(is_test("fn f"), Some(false));
    assert!(g.is_test(0) && g.path == "src/x/g.rs");
}

#[test]
fn a_module_may_lie_where_its_path_says() {
    let text = "#[path = \"../b/c.rs\"]\npub mod x;\n#[path = \"../b/d.rs\"]\nmod y;";
    let tree = Tree::planted(&[("a/lib.rs", text), ("b/c.rs", "")]);
    let leads: Vec<_> = tree.modules.iter().map(|module| module.leads_to).collect();
    assert_eq!(leads, [Some(1), None]);
}
