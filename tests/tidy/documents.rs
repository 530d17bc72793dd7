//! Pages and files that are no code: one title each, links that lead somewhere, a changelog in
//! its form, nothing big, and no word about places outside the repository. The text inside fenced
//! code is not looked at for titles and links.

use crate::lexer;
use crate::tree::{Finding, Tree};

const FILE_BYTES_MAX: u64 = 512 * 1024;

/// Groups of entries in a changelog, as keepachangelog.com names them.
const GROUPS: [&str; 6] = [
    "Added",
    "Changed",
    "Deprecated",
    "Removed",
    "Fixed",
    "Security",
];

/// Places outside the repository, in two halves, so that this file does not name them.
const OUTSIDE: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!(".lib", "rary"),
    concat!("../sha", "red"),
];

/// Hosts of registries by their first label: where packages come from is a matter of settings.
const REGISTRIES: [&str; 4] = ["index.", "static.", "registry.", "files."];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for page in tree.ending(".md") {
        found.extend(titles(&page.path, &page.text));
        found.extend(broken_links(tree, &page.path, &page.text));
        if page.path == "CHANGELOG.md" {
            found.extend(changelog(&page.text));
        }
    }
    found.extend(sizes(tree));
    found.extend(outside_places(tree));
    found
}

/// The lines of a page with their numbers; those inside fenced code come out empty.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let mark = &trimmed[..trimmed.len() - trimmed.trim_start_matches(['`', '~']).len()];
        let is_fence = mark.len() >= 3 && (mark.starts_with("```") || mark.starts_with("~~~"));
        match fence {
            Some(open) => {
                if is_fence && mark.starts_with(open) && trimmed == mark {
                    fence = None;
                }
                lines.push((index + 1, ""));
            }
            None if is_fence => {
                fence = Some(mark);
                lines.push((index + 1, ""));
            }
            None => lines.push((index + 1, line)),
        }
    }
    lines
}

fn titles(path: &str, text: &str) -> Vec<Finding> {
    let titles: Vec<usize> = prose(text)
        .iter()
        .filter(|(_, line)| line.starts_with("# "))
        .map(|(n, _)| *n)
        .collect();
    let line = match titles.as_slice() {
        [_] => return Vec::new(),
        [] => 1,
        [_, second, ..] => *second,
    };
    let way_out = format!(
        "{} lines start with `# `: a page has exactly one title",
        titles.len()
    );
    vec![Finding {
        path: path.to_owned(),
        line,
        rule: "title",
        way_out,
    }]
}

/// The targets of all links of a page, with their lines; code between backticks has none.
pub fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (at, _) in line.match_indices("](") {
            let target = &line[at + 2..];
            let end = target.find([')', ' ']).unwrap_or(target.len());
            found.push((number, target[..end].trim_matches(['<', '>']).to_owned()));
        }
        let defined = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]:"));
        if let Some((name, target)) = defined
            && !name.starts_with('^')
            && !name.contains(']')
        {
            let target = target.split_whitespace().next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
    }
    found
}

/// The path, from the root of the repository, that a link on a page leads to. `None` for links
/// to other sites and to places on the same page.
pub fn resolve(page: &str, target: &str) -> Option<String> {
    let target = target.split(['#', '?']).next().unwrap_or_default();
    let is_address = target.contains("://") || target.starts_with("mailto:");
    if target.is_empty() || is_address {
        return None;
    }
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        parts.extend(folder.split('/').filter(|part| !part.is_empty()));
    }
    for part in target
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        match part {
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn broken_links(tree: &Tree, path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (line, target) in links(text) {
        if let Some(place) = resolve(path, &target).filter(|place| !tree.holds(place)) {
            let way_out = format!("the link `{target}` leads to `{place}`, which is not there");
            found.push(Finding {
                path: path.to_owned(),
                line,
                rule: "link",
                way_out,
            });
        }
    }
    found
}

fn changelog(text: &str) -> Vec<Finding> {
    let mut problems = Vec::new();
    let lines = prose(text);
    if !lines.iter().any(|(_, line)| *line == "# Changelog") {
        problems.push((1, "the title is `# Changelog`".to_owned()));
    }
    let versions: Vec<&(usize, &str)> = lines
        .iter()
        .filter(|(_, line)| line.starts_with("## "))
        .collect();
    if versions.first().map(|(_, line)| *line) != Some("## [Unreleased]") {
        problems.push((1, "the first section is `## [Unreleased]`".to_owned()));
    }
    for (number, line) in versions.iter().skip(1) {
        if !is_release(line) {
            problems.push((
                *number,
                "a release is headed `## [1.2.3] - 2026-01-31`".to_owned(),
            ));
        }
    }
    for (number, line) in lines.iter().filter(|(_, line)| line.starts_with("###")) {
        if !line
            .strip_prefix("### ")
            .is_some_and(|group| GROUPS.contains(&group))
        {
            problems.push((*number, format!("groups are {}", GROUPS.join(", "))));
        }
    }
    let path = "CHANGELOG.md".to_owned();
    let finding = |(line, way_out)| Finding {
        path: path.clone(),
        line,
        rule: "changelog",
        way_out,
    };
    problems.into_iter().map(finding).collect()
}

fn is_release(heading: &str) -> bool {
    let inner = heading
        .strip_prefix("## [")
        .and_then(|rest| rest.split_once("] - "));
    inner.is_some_and(|(version, date)| {
        let numbers = |text: &str, separator: char| {
            let mut parts = text.split(separator);
            parts.clone().count() == 3
                && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        };
        let version = version.split(['-', '+']).next().unwrap_or_default();
        numbers(version, '.') && numbers(date, '-') && date.len() == 10
    })
}

fn sizes(tree: &Tree) -> Vec<Finding> {
    let big = tree.files.iter().filter(|file| file.size > FILE_BYTES_MAX);
    big.map(|file| {
        let way_out = format!(
            "{} bytes, the limit is {FILE_BYTES_MAX}: make it smaller",
            file.size
        );
        Finding {
            path: file.path.clone(),
            line: 1,
            rule: "size",
            way_out,
        }
    })
    .collect()
}

/// Lock files name the registry they were made with; everything else works anywhere.
fn outside_places(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_lock = |path: &str| path.ends_with("Cargo.lock") || path.ends_with("package-lock.json");
    for file in tree.files.iter().filter(|file| !is_lock(&file.path)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(place) = outside_place(line) {
                let (path, line) = (file.path.clone(), index + 1);
                let way_out = format!("`{place}` lies outside the repository: do without it");
                found.push(Finding {
                    path,
                    line,
                    rule: "outside",
                    way_out,
                });
            }
        }
    }
    found
}

fn outside_place(line: &str) -> Option<String> {
    for place in OUTSIDE {
        for at in lexer::occurrences(line, place) {
            let before = line[..at].chars().next_back();
            let is_inner = before.is_some_and(|c| c.is_alphanumeric() || "_-.)}]*".contains(c));
            if !is_inner || place.starts_with("..") {
                return Some(place.to_owned());
            }
        }
    }
    let hosts = line
        .match_indices("://")
        .filter(|(at, _)| line[..*at].ends_with(['p', 's']));
    let mut labels = hosts.flat_map(|(at, _)| {
        REGISTRIES
            .iter()
            .filter(move |label| line[at + 3..].starts_with(**label))
    });
    labels.next().map(|label| format!("://{label}"))
}

fn rules_of(files: &[(&str, &str)]) -> Vec<&'static str> {
    check(&Tree::planted(files))
        .iter()
        .map(|finding| finding.rule)
        .collect()
}

#[test]
fn pages_without_exactly_one_title_are_found() {
    assert_eq!(rules_of(&[("a.md", "text")]), ["title"]);
    assert_eq!(rules_of(&[("a.md", "# A\n# B")]), ["title"]);
    assert!(rules_of(&[("a.md", "# A\n```sh\n# comment\n```\n````\n```\n# x\n````")]).is_empty());
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let bad = "# A\n[x](b.md) ![y](../z.png 'title')\n\n[ref]: <gone.md>";
    assert_eq!(rules_of(&[("docs/a.md", bad)]), ["link", "link", "link"]);
    let good = "# A\n[x](../src/lib.rs#L3) [y](#a) [z](https://example.org/b.md) `[q](r.md)`\n\
                [w](../src/) [v](/docs/a.md)\n[^1]: note\n```\n[u](t.md)\n```";
    assert!(rules_of(&[("docs/a.md", good), ("src/lib.rs", "")]).is_empty());
}

#[test]
fn a_changelog_out_of_form_is_found() {
    let good = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- X.\n\n## [0.1.0] - 2026-01-31\n";
    assert!(rules_of(&[("CHANGELOG.md", good)]).is_empty());
    for (from, to) in [
        ("# Changelog", "# Changes"),
        ("## [Unreleased]", "## Unreleased"),
        ("### Added", "### New"),
        ("2026-01-31", "January"),
        ("[0.1.0]", "0.1.0"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_eq!(
            rules_of(&[("CHANGELOG.md", bad.as_str())]),
            ["changelog"],
            "{to}"
        );
    }
}

#[test]
fn big_files_are_found() {
    let text = "x".repeat(FILE_BYTES_MAX as usize + 1);
    assert_eq!(rules_of(&[("data/a.txt", text.as_str())]), ["size"]);
    assert!(rules_of(&[("data/a.txt", &text[1..])]).is_empty());
}

#[test]
fn places_outside_the_repository_are_found() {
    for place in OUTSIDE {
        for text in [
            format!("cd {place}/x"),
            format!("`{place}`"),
            format!("(/{place})"),
        ] {
            assert_eq!(
                rules_of(&[("scripts/a", text.as_str())]),
                ["outside"],
                "{text}"
            );
        }
    }
    for label in REGISTRIES {
        let text = format!("see https://{label}example.org/x");
        assert_eq!(
            rules_of(&[("scripts/a", text.as_str())]),
            ["outside"],
            "{text}"
        );
        assert!(rules_of(&[("Cargo.lock", text.as_str())]).is_empty());
    }
    let fine = format!(
        "/v1/orders{}, self{}(x), https://docs.example.org",
        OUTSIDE[0], OUTSIDE[1]
    );
    assert!(rules_of(&[("scripts/a", fine.as_str())]).is_empty());
}
