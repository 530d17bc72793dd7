//! After a commit that was definitely not stored: what is left of it is tried again after a pause,
//! without new orders, until it goes through. And who is refused meanwhile.
//!
//! Says in the log when that begins and when it is over, not each time.

use super::run::Turns;
use super::{SubmitError, away};
use crate::store::StoreError;

/// Pause before what is left of a refused commit is tried again, in microseconds.
const PATIENCE_US: i64 = 100_000;

impl Turns {
    /// The commit is not stored, and its new orders are taken out of it. Answers with what those
    /// who wait for it are told.
    pub(super) fn note_refusal(&mut self, error: &StoreError) -> SubmitError {
        if self.refusals == 0 {
            tracing::error!(%error, "a commit was refused; nothing of it is stored");
        }
        self.refusals += 1;
        let told = SubmitError::from_store(error);
        let is_all_gone = self.parts.shard.commit().is_empty();
        self.refused = (!is_all_gone).then(|| (told.clone(), self.now.ticks + PATIENCE_US));
        told
    }

    /// Why no new order is taken at the moment, whatever room there is for it. `None`: the shard
    /// decides.
    pub(super) fn refuses_new(&mut self) -> Option<SubmitError> {
        if let Some((error, _)) = &self.refused {
            return Some(error.clone());
        }
        if self.room.is_away {
            return Some(away::unreachable());
        }
        if self.room.is_low {
            self.meters.refused_full += 1;
            let detail = "too little is free on the disk".into();
            return Some(SubmitError::StorageFull { detail });
        }
        None
    }

    /// A commit is stored.
    pub(super) fn note_success(&mut self) {
        if self.refusals > 0 {
            tracing::warn!(refusals = self.refusals, "commits go through again");
        }
        self.refused = None;
        self.refusals = 0;
    }

    /// What is left of a refused commit waits for its next try.
    pub(super) fn is_pausing(&self) -> bool {
        let again_at = self.refused.as_ref().map(|(_, again_at)| *again_at);
        again_at.is_some_and(|again_at| self.now.ticks < again_at)
    }
}
