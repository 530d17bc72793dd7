//! Where in a settings file something stands: the line of a key, for messages.
//!
//! Reads the lines as a person would: headers of tables, and keys at their beginnings. What stands
//! within a value, such as a table in braces, has the line on which that begins.

/// The lines of a file on which something begins, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Vec<(Vec<String>, usize)>);

impl Lines {
    /// Those of a text.
    pub(super) fn of(text: &str) -> Self {
        let mut found: Vec<(Vec<String>, usize)> = Vec::new();
        let mut table = Vec::new();
        let mut quotes = None;
        for (line, number) in text.lines().zip(1..) {
            // Inside of a text of several lines there are no keys.
            if let Some(mark) = quotes {
                if line.contains(mark) {
                    quotes = None;
                }
                continue;
            }
            quotes = ["\"\"\"", "'''"]
                .into_iter()
                .find(|mark| line.matches(*mark).count() % 2 == 1);
            let line = line.trim();
            if let Some(header) = line.strip_prefix("[[") {
                let list = keys(header.split("]]").next().unwrap_or_default());
                let list = numbered(&found, &list);
                let index = found
                    .iter()
                    .filter(|(path, _)| is_entry(path, &list))
                    .count();
                table = [list, vec![index.to_string()]].concat();
                found.push((table.clone(), number));
            } else if let Some(header) = line.strip_prefix('[') {
                let named = keys(header.split(']').next().unwrap_or_default());
                table = numbered(&found, &named);
                found.push((table.clone(), number));
            } else if let Some((key, _)) = line.split_once('=')
                && !line.starts_with('#')
            {
                found.push(([&table[..], &keys(key)].concat(), number));
            }
        }
        Self(found)
    }

    /// The line of what a path leads to, or of the nearest thing around it.
    pub(super) fn of_path(&self, path: &[String]) -> Option<usize> {
        (1..=path.len()).rev().find_map(|length| {
            let part = &path[..length];
            let mut found = self.0.iter();
            let line = found.find(|(known, _)| known.starts_with(part));
            line.map(|(_, line)| *line)
        })
    }
}

/// Whether a path is that of an entry of a list.
fn is_entry(path: &[String], list: &[String]) -> bool {
    let below = path.strip_prefix(list);
    below.is_some_and(|below| matches!(below, [index] if index.parse::<usize>().is_ok()))
}

/// A path in which lists have no numbers, with those of their last entries so far.
fn numbered(found: &[(Vec<String>, usize)], named: &[String]) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    for (at, part) in named.iter().enumerate() {
        path.push(part.clone());
        let entries = found
            .iter()
            .filter(|(known, _)| is_entry(known, &path))
            .count();
        if entries > 0 && at + 1 < named.len() {
            path.push((entries - 1).to_string());
        }
    }
    path
}

/// The parts of a dotted key, without the quotes of a part.
fn keys(text: &str) -> Vec<String> {
    let parts = text.split('.').map(str::trim);
    let bare = |part: &str| part.trim_matches(['"', '\'']).to_owned();
    parts.map(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# server.listen = 1
[server]
listen = \"a = b\"
outer.inner = 2

[[process.a.step]]
name = \"one\"
[[process.a.step.label]]
label = \"x\"
text = \"\"\"
kind = \"no key\"
\"\"\"
[[process.a.step.label]]
label = \"y\"
[[process.a.step]]
kind = \"pull\"
";

    #[test]
    fn a_key_has_its_line_and_what_is_not_there_that_of_what_is_around_it() {
        let lines = Lines::of(FILE);
        let line = |path: &str| {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            lines.of_path(&path)
        };
        for (path, expected) in [
            ("server", Some(2)),
            ("server.listen", Some(3)),
            ("server.gone", Some(2)),
            ("server.outer.inner", Some(4)),
            ("process.a", Some(6)),
            ("process.a.step.0", Some(6)),
            ("process.a.step.0.name", Some(7)),
            ("process.a.step.0.kind", Some(6)),
            ("process.a.step.0.label.0.text", Some(10)),
            ("process.a.step.0.label.1.label", Some(14)),
            ("process.a.step.1.kind", Some(16)),
            ("process.b", Some(6)),
            ("queue", None),
        ] {
            assert_eq!(line(path), expected, "{path}");
        }
    }
}
