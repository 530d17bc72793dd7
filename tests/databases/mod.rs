//! Where a test's store lies: one place for each test and each backend, gone with the test.
//! A backend is one file here, and one line in `chosen`.

pub mod postgres;
pub mod sqlite;

/// A database of one test's own.
pub trait Place: Send + Sync {
    /// The URL of the store.
    fn url(&self) -> String;
}

/// Whether a backend is left out because `ORDERD_TEST_WITHOUT` says so, and says so.
pub fn is_left_out(backend: &str) -> bool {
    let without = std::env::var("ORDERD_TEST_WITHOUT").unwrap_or_default();
    let is_named = without.split(',').any(|name| name == backend);
    if is_named {
        eprintln!("not tested with {backend}: ORDERD_TEST_WITHOUT={without}");
    }
    is_named
}
