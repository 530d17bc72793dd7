//! The backend that a run of the tests is about: `ORDERD_TEST_STORE` names it, SQLite if it says
//! nothing. For tests of what stands above a store; the conformance suite runs on all backends.

use crate::databases::{Place, mysql, postgres, sqlite};

/// How to get a place. `None`: the backend was left out by request.
pub type Places = fn() -> Option<Box<dyn Place>>;

/// Every backend.
pub const BACKENDS: [(&str, Places); 3] = [
    ("sqlite", sqlite::place),
    ("postgres", postgres::place),
    ("mysql", mysql::place),
];

/// A place for a store of the backend that this run is about.
pub fn place() -> Box<dyn Place> {
    let asked = std::env::var("ORDERD_TEST_STORE").unwrap_or_else(|_| "sqlite".into());
    let found = BACKENDS.iter().find(|(name, _)| *name == asked);
    let (_, place) = found.unwrap_or_else(|| panic!("ORDERD_TEST_STORE={asked} is no backend"));
    place().unwrap_or_else(|| panic!("{asked} is to be tested and left out"))
}
