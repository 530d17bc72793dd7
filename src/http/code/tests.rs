//! The table of codes is whole, and the page about them says the same.
//!
//! A word that is in one and not in the other is found here.

use super::*;

#[test]
fn the_table_is_in_the_order_of_the_codes() {
    for (at, entry) in CODES.iter().enumerate() {
        assert_eq!(entry.code as usize, at, "{}", entry.name);
        assert!((400..=599).contains(&entry.status));
    }
    assert_eq!(CODES.len(), Code::OutcomeUnknown as usize + 1);
}

#[test]
fn names_are_unique() {
    let names = CODES.iter().map(|entry| entry.name);
    let names: Vec<_> = names
        .chain(FIELD_CODES.iter().map(|field| field.0))
        .collect();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn the_documented_codes_are_these() {
    let document = include_str!("../../../docs/errors.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    let names = CODES.iter().map(|entry| entry.name);
    let coded: Vec<_> = names
        .chain(FIELD_CODES.iter().map(|field| field.0))
        .collect();
    assert_eq!(documented, coded);
    for entry in CODES {
        let row = format!("| `{}` | {} | {} |", entry.name, entry.status, entry.title);
        assert!(document.contains(&row), "{row}");
    }
}
