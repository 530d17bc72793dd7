//! A SQLite database in a fresh folder.
//! Nothing is shared between two of them.

use super::Place;
use tempfile::TempDir;

struct Folder(TempDir);

pub fn place() -> Option<Box<dyn Place>> {
    Some(Box::new(Folder(tempfile::tempdir().unwrap())))
}

impl Place for Folder {
    fn url(&self) -> String {
        format!("sqlite:{}", self.0.path().join("orders.db").display())
    }
}
