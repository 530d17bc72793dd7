//! An entry in the table of codes: what one of them means, for answers, pages and documents.
//!
//! The table itself is in `code`.

use super::Code;

/// What a code means.
#[derive(Debug)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// Its stable name.
    pub name: &'static str,
    /// The HTTP status it is answered with.
    pub status: u16,
    /// A few words for people, the same for every occurrence.
    pub title: &'static str,
    /// What is true then, and what to do.
    pub help: &'static str,
}

pub(super) const fn entry(
    code: Code,
    name: &'static str,
    status: u16,
    title: &'static str,
    help: &'static str,
) -> Entry {
    Entry {
        code,
        name,
        status,
        title,
        help,
    }
}
