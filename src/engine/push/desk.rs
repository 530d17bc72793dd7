//! What all steps that are sent to addresses share: the engine they take orders from, the client
//! that makes their calls, the words in which is spoken.
//!
//! Decides nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::engine::meter::Spread;
use crate::engine::{Distribution, Handle};
use crate::order::{Order, Outcome, Processes};
use crate::outbound::Client;
use crate::shard::Leased;
use crate::store::Store;

/// How attempts and outcomes are written: the same words as for workers that lease.
#[derive(Clone, Copy)]
pub struct Words {
    /// Writes an attempt, with the name of its queue.
    pub write: fn(&mut Vec<u8>, &str, &Leased, Order),
    /// Reads what became of an attempt; or why it cannot be read, to follow "but".
    pub read: fn(&[u8]) -> Result<Outcome, String>,
    /// Reads what became of the attempts before; `None`: none was made.
    pub read_lookup: fn(&[u8]) -> Result<Option<Outcome>, String>,
}

pub(super) struct Desk {
    pub(super) engine: Handle,
    pub(super) processes: Arc<Processes>,
    pub(super) store: Arc<dyn Store>,
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) words: Words,
    /// How long calls took.
    pub(super) took: Mutex<Spread>,
}

impl Desk {
    pub(super) fn measure(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut spread = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        spread.record(micros);
    }

    pub(super) fn took(&self) -> Distribution {
        let spread = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        spread.distribution()
    }
}
