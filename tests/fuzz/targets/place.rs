//! Where targets keep their files, and how they wait: in memory if the system has a folder there,
//! so that a flush costs nothing.

use std::path::Path;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A fresh folder, gone when it is dropped.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::Builder::new()
            .prefix("orderd-fuzz-")
            .tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.expect("a folder")
}

/// Where futures run.
pub struct Place(Runtime);

impl Place {
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        Self(runtime.expect("a runtime"))
    }

    /// Waits for the end of a future.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}
