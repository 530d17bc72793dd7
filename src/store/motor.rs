//! What moves the bytes of connections to a database server: a runtime of the store's own, so that
//! it may be used from anywhere. Never blocks a thread on which tasks run, not even when it is
//! dropped.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};

use super::error::{StoreError, given_up};

/// A runtime. `None` while it is being dropped.
pub(super) struct Motor(Option<Runtime>);

impl Motor {
    /// Moves bytes while somebody waits for them, on the thread that waits.
    pub(super) fn while_waiting() -> Result<Self, StoreError> {
        Self::of(Builder::new_current_thread())
    }

    /// Moves bytes at any time, on a thread of its own that has this name.
    pub(super) fn at_any_time(name: &str) -> Result<Self, StoreError> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name(name);
        Self::of(builder)
    }

    fn of(mut builder: Builder) -> Result<Self, StoreError> {
        let built = builder.enable_all().build();
        let refused = |error| StoreError::Refused {
            detail: format!("cannot start a runtime: {error}"),
        };
        built.map(Some).map(Self).map_err(refused)
    }

    /// For tasks; only a motor that runs at any time moves them.
    pub(super) fn handle(&self) -> Result<Handle, StoreError> {
        let runtime = self.0.as_ref().ok_or_else(given_up)?;
        Ok(runtime.handle().clone())
    }

    /// Waits for something.
    pub(super) fn run<T: Send>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let runtime = self.0.as_ref().ok_or_else(given_up)?;
        if Handle::try_current().is_err() {
            return runtime.block_on(work);
        }
        // Tasks run on this thread: it must not wait, so another one does.
        std::thread::scope(|scope| {
            let joined = scope.spawn(|| runtime.block_on(work)).join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Motor {
    fn drop(&mut self) {
        // The usual way waits, which is not allowed where tasks run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
