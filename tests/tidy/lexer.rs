//! Reads Rust as text: blanks comments and strings, then finds words, paths, attributes and
//! functions by matching brackets. It is not a parser and knows no types; what it cannot see
//! (renamed imports, code made by macros) the compiler and a reviewer have to see.

/// A string literal: the offset of its opening quote and what stands between the quotes.
pub struct Literal {
    pub at: usize,
    pub text: String,
}

/// A `a::b::c` path, with the groups of `use` declarations written out.
pub struct Path {
    pub at: usize,
    pub segments: Vec<String>,
    pub imported: bool,
}

/// A function: where it starts, how many lines it has, how many parameters besides `self`.
pub struct Function {
    pub name: String,
    pub at: usize,
    pub lines: usize,
    pub parameters: usize,
}

/// Source with comments and the insides of literals turned to blanks, byte for byte as long as
/// the original and with the same lines, so that offsets in one are offsets in the other.
pub fn blank(text: &str) -> (String, Vec<Literal>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            line_end(bytes, at)
        } else if rest.starts_with(b"/*") {
            comment_end(bytes, at)
        } else if let Some((open, close)) = string_bounds(bytes, at) {
            literals.push(Literal {
                at: open,
                text: text[open + 1..close].to_owned(),
            });
            erase(&mut code, open + 1, close);
            at = (close + 1).min(bytes.len());
            if open > 0 && bytes[open - 1] == b'#' {
                at += bytes[at..].iter().take_while(|b| **b == b'#').count();
            }
            continue;
        } else if rest[0] == b'\'' {
            let end = char_end(bytes, at);
            erase(&mut code, at + 1, end.saturating_sub(1).max(at + 1));
            at = end;
            continue;
        } else if is_word(rest[0]) {
            at = word_end(bytes, at);
            continue;
        } else {
            at += 1;
            continue;
        };
        erase(&mut code, at, end);
        at = end;
    }
    (String::from_utf8_lossy(&code).into_owned(), literals)
}

fn erase(code: &mut [u8], from: usize, to: usize) {
    for byte in &mut code[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |n| at + n)
}

/// Block comments nest in Rust.
fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The offsets of the opening and the closing quote, if a string literal of any kind starts here.
fn string_bounds(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let prefix: &[u8] = &bytes[at..word_end(bytes, at)];
    let raw = match prefix {
        b"" | b"b" | b"c" => false,
        b"r" | b"br" | b"cr" => true,
        _ => return None,
    };
    let mut open = at + prefix.len();
    let hashes_from = open;
    while raw && bytes.get(open) == Some(&b'#') {
        open += 1;
    }
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let hashes = open - hashes_from;
    let mut close = open + 1;
    while close < bytes.len() {
        match bytes[close] {
            b'\\' if !raw => close += 1,
            b'"' if raw => {
                let tail = &bytes[close + 1..];
                if tail.len() >= hashes && tail[..hashes].iter().all(|b| *b == b'#') {
                    return Some((open, close));
                }
            }
            b'"' => return Some((open, close)),
            _ => {}
        }
        close += 1;
    }
    Some((open, bytes.len()))
}

/// Where a character literal ends; for a lifetime, the place just behind its apostrophe.
fn char_end(bytes: &[u8], at: usize) -> usize {
    let first = at + 1;
    if bytes.get(first) == Some(&b'\\') {
        let from = first + 2;
        let closing = bytes
            .get(from..)
            .and_then(|tail| tail.iter().position(|b| *b == b'\''));
        return closing.map_or(bytes.len(), |n| from + n + 1);
    }
    let width = match bytes.get(first) {
        Some(byte) if *byte >= 0xF0 => 4,
        Some(byte) if *byte >= 0xE0 => 3,
        Some(byte) if *byte >= 0xC0 => 2,
        _ => 1,
    };
    if bytes.get(first + width) == Some(&b'\'') {
        first + width + 1
    } else {
        first
    }
}

/// True for the bytes an identifier is made of.
pub fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|b| !is_word(*b))
        .map_or(bytes.len(), |n| at + n)
}

/// Every identifier and number of the code, with its offset.
pub fn words(code: &str) -> Vec<(usize, &str)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = word_end(bytes, at);
        if end > at {
            found.push((at, &code[at..end]));
        }
        at = end.max(at + 1);
    }
    found
}

/// Offsets at which `pattern` stands as a whole word; a `*` at its end lets the word go on.
pub fn occurrences(code: &str, pattern: &str) -> Vec<usize> {
    let (needle, open_end) = match pattern.strip_suffix('*') {
        Some(stem) => (stem, true),
        None => (pattern, false),
    };
    let bytes = code.as_bytes();
    let word_at = |at: usize| bytes.get(at).is_some_and(|byte| is_word(*byte));
    code.match_indices(needle)
        .map(|(at, _)| at)
        .filter(|at| {
            !(needle.starts_with(|c: char| c == '_' || c.is_alphanumeric())
                && *at > 0
                && word_at(*at - 1))
        })
        .filter(|at| {
            let end = at + needle.len();
            open_end || !(word_at(end - 1) && word_at(end))
        })
        .collect()
}

/// The line, counted from 1, on which an offset lies.
pub fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
}

/// The offset of the bracket that closes the one at `open`, or the end of the code.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (n, byte) in code.as_bytes()[open..].iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return open + n;
        }
    }
    code.len()
}

/// Every `#[…]` and `#![…]`, as the offset of its `#` and what stands between the brackets.
pub fn attributes(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices('#') {
        let mut open = at + 1;
        if code[open..].starts_with('!') {
            open += 1;
        }
        if code[open..].starts_with('[') {
            found.push((at, &code[open + 1..closing(code, open).max(open + 1)]));
        }
    }
    found
}

/// Every path of the code. Paths in `use` are written out in full, one per name.
pub fn paths(code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    let bytes = code.as_bytes();
    let mut behind = 0;
    for (at, word) in words(code) {
        if at < behind {
            continue;
        }
        let after = skip_blank(bytes, at + word.len());
        if word == "use" && bytes.get(after) != Some(&b'<') {
            let end = code[at..].find(';').map_or(code.len(), |n| at + n);
            expand(code, (at + word.len(), end), &[], &mut found);
            behind = end;
        } else if word.starts_with(|c: char| c == '_' || c.is_alphabetic()) {
            let mut segments = vec![word.to_owned()];
            behind = at + word.len();
            while code[behind..].starts_with("::") {
                let end = word_end(bytes, behind + 2);
                if end == behind + 2 {
                    break;
                }
                segments.push(code[behind + 2..end].to_owned());
                behind = end;
            }
            found.push(Path {
                at,
                segments,
                imported: false,
            });
        }
    }
    found
}

/// Writes out one tree of a `use` declaration, `span` being its place in the code.
fn expand(code: &str, span: (usize, usize), prefix: &[String], found: &mut Vec<Path>) {
    let (from, to) = span;
    let open = code[from..to].find('{').map_or(to, |n| from + n);
    let name = code[from..open].split(" as ").next().unwrap_or_default();
    let mut segments = prefix.to_vec();
    let own = name
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty());
    segments.extend(own.map(str::to_owned));
    if open == to {
        let at = skip_blank(code.as_bytes(), from);
        if segments.len() > prefix.len() {
            found.push(Path {
                at,
                segments,
                imported: true,
            });
        }
        return;
    }
    let close = closing(code, open).min(to);
    for part in parts(code, open + 1, close) {
        expand(code, part, &segments, found);
    }
}

/// The parts between the commas that stand outside all inner brackets, blank ones left out.
pub fn parts(code: &str, from: usize, to: usize) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let mut parts = Vec::new();
    let (mut start, mut depth) = (from, 0_i32);
    for at in from..to {
        match bytes[at] {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b'>' if at > 0 && matches!(bytes[at - 1], b'-' | b'=') => {}
            b')' | b']' | b'}' | b'>' => depth -= 1,
            b',' if depth == 0 => {
                parts.push((start, at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push((start, to));
    parts.retain(|(from, to)| !code[*from..*to].trim().is_empty());
    parts
}

/// The first offset from `at` on that is not white space.
pub fn skip_blank(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Every function that has a name, with or without a body.
pub fn functions(code: &str) -> Vec<Function> {
    let words = words(code);
    let pairs = words.windows(2).filter(|pair| pair[0].1 == "fn");
    pairs
        .filter_map(|pair| function(code, pair[0].0, pair[1]))
        .collect()
}

fn function(code: &str, at: usize, (name_at, name): (usize, &str)) -> Option<Function> {
    if !code[at + 2..name_at].trim().is_empty() {
        return None;
    }
    let bytes = code.as_bytes();
    let mut open = skip_blank(bytes, name_at + name.len());
    if bytes.get(open) == Some(&b'<') {
        open = skip_blank(bytes, angle_end(bytes, open));
    }
    if bytes.get(open) != Some(&b'(') {
        return None;
    }
    let close = closing(code, open);
    let split = parts(code, open + 1, close);
    let own = split.iter().filter(|(from, to)| {
        let pattern = code[*from..*to].split(':').next().unwrap_or_default();
        !words_of(pattern).any(|word| word == "self")
    });
    let parameters = own.count();
    let end = item_end(code, close);
    let lines = line_of(code, end) - line_of(code, at) + 1;
    Some(Function {
        name: name.to_owned(),
        at,
        lines,
        parameters,
    })
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c != '_' && !c.is_alphanumeric())
}

fn angle_end(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0_i32;
    for at in open..bytes.len() {
        match bytes[at] {
            b'<' => depth += 1,
            b'>' if !matches!(bytes[at - 1], b'-' | b'=') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    bytes.len()
}

/// Where an item ends that goes on at `from`: its closing brace or its semicolon.
pub fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_i32;
    let mut at = from;
    let bytes = code.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'{' if depth <= 0 => return closing(code, at),
            b';' if depth <= 0 => return at,
            b'(' | b'[' if at > from => depth += 1,
            b')' | b']' if at > from => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    code.len()
}

#[test]
fn comments_and_strings_become_blanks_of_the_same_length() {
    let text =
        "let a = \"x // \\\" y\"; // gone\nlet b = r#\"q\"q\"#; /* a /* b */ c */ let c = 'x';";
    let (code, literals) = blank(text);
    assert_eq!(code.len(), text.len());
    assert!(
        !code.contains("gone") && !code.contains('q') && !code.contains('x'),
        "{code}"
    );
    assert!(code.contains("let b") && code.contains("let c"), "{code}");
    let texts: Vec<&str> = literals
        .iter()
        .map(|literal| literal.text.as_str())
        .collect();
    assert_eq!(texts, ["x // \\\" y", "q\"q"]);
}

#[test]
fn lifetimes_raw_names_and_odd_characters_are_not_strings() {
    let text = "fn f<'a>(r#type: &'a str, b: char) { g('\"', '\\'', '\\u{1F600}', 'ß', b'\"'); h }";
    let (code, literals) = blank(text);
    assert!(literals.is_empty());
    assert_eq!(code.len(), text.len());
    assert!(
        code.contains("r#type: &'a str") && code.ends_with("h }"),
        "{code}"
    );
}

#[test]
fn use_groups_are_written_out() {
    let code = "pub use crate::{a::B, c::{self, d::E as F}};\nfn g() { crate::h::i(); x.y }";
    let found: Vec<String> = paths(code).iter().map(|p| p.segments.join("::")).collect();
    for path in [
        "crate::a::B",
        "crate::c::self",
        "crate::c::d::E",
        "crate::h::i",
    ] {
        assert!(
            found.contains(&path.to_owned()),
            "{path} is not in {found:?}"
        );
    }
}

#[test]
fn functions_are_measured_with_generics_defaults_and_nested_types() {
    let code = "impl T {\n  fn a<F: Fn(u8, u8) -> u8>(&mut self, f: F, m: Map<K, V>) -> [u8; 4]\n  \
                where F: Send {\n    x(|y| { y })\n  }\n  \
                fn b(self: Arc<Self>, (c, d): (u8, u8),);\n}";
    let found = functions(code);
    let shape: Vec<_> = found
        .iter()
        .map(|f| (f.name.as_str(), f.lines, f.parameters))
        .collect();
    assert_eq!(shape, [("a", 4, 2), ("b", 1, 1)]);
}
