//! Questions about the engine from those who do not wait for long: its thread may be held up by the
//! store, and whoever watches the server wants to know just then.
//!
//! What an answer says is `stats`' affair.

use std::future::Future;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;

use super::{Handle, Stats};
use crate::order::ProcessTally;

/// How long somebody waits who wants to know at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why the engine says nothing about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Silence {
    /// It has ended.
    #[error("the engine has ended")]
    Ended,
    /// Its thread waits for the store.
    #[error("the engine waits for the store and does not answer")]
    HeldUp,
}

impl Handle {
    /// A picture of the engine, if it answers within 2 s.
    ///
    /// # Errors
    ///
    /// [`Silence`]
    pub async fn stats_soon(&self) -> Result<Stats, Silence> {
        soon(self.stats()).await
    }

    /// The counters of one process, if the engine answers within 2 s.
    ///
    /// # Errors
    ///
    /// [`Silence`]
    pub async fn process_tally_soon(&self, process: &str) -> Result<ProcessTally, Silence> {
        soon(self.process_tally(process)).await
    }
}

async fn soon<T>(asked: impl Future<Output = Option<T>>) -> Result<T, Silence> {
    let told = timeout(PATIENCE, asked).await;
    told.map_err(|_| Silence::HeldUp)?.ok_or(Silence::Ended)
}
