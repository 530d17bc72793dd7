//! What the engine does when the fate of a commit is unknown: it has the store opened anew, learns
//! what is true, and goes on from there as after a restart.
//!
//! Nobody is told anything that is not read back from the store. Gives up when that fails, too.

use super::SubmitError;
use super::recovery::Reader;
use super::run::Turns;
use crate::faults::{self, Bug};
use crate::order::Opening;
use crate::store::{Reopened, StoreError};

/// A second unknown fate within this time ends the engine, in microseconds.
const AGAIN_US: i64 = 60_000_000;

impl Turns {
    /// Finds out what became of the commit and tells those who wait for it. Then every open order
    /// is loaded again, under a new epoch, while the inbox goes on to fill.
    pub(super) fn reopen(&mut self, error: StoreError) -> Result<(), StoreError> {
        let since = self.reopened_at.map(|at| self.now.ticks - at);
        let is_again = since.is_some_and(|since| since < AGAIN_US);
        // A lost connection says nothing about the disk: it may be lost as often as it likes.
        if is_again && !matches!(error, StoreError::Lost { .. }) {
            return self.stop(error);
        }
        tracing::error!(%error, "the store is opened anew");
        faults::point("reopening-begins");
        self.reach()
    }

    /// Tries to have the store opened anew, once.
    pub(super) fn reach(&mut self) -> Result<(), StoreError> {
        let commit = self.parts.shard.commit();
        let Reopened { opening, fate } = match self.parts.store.reopen(commit) {
            Ok(reopened) => reopened,
            Err(error @ StoreError::Unreachable { .. }) => {
                self.go_away(&error);
                return Ok(());
            }
            Err(error @ StoreError::Fenced) => {
                // The commit may have been stored before that.
                self.replies.fail(&SubmitError::OutcomeUnknown);
                return self.stop(error);
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot be opened anew");
                // Nobody knows more about the commit than before.
                let detail = error.to_string();
                return self.stop(StoreError::Unknown { detail });
            }
        };
        faults::point("reopening-known");
        let is_stored = fate.is_some();
        tracing::warn!(is_stored, epoch = opening.epoch, "the store is open again");
        self.away_until = None;
        self.reopened_at = Some(self.now.ticks);
        self.meters.reopenings += 1;
        self.note_success();
        match fate {
            Some(receipt) => self.release(&receipt),
            None => {
                let detail = "the commit failed".into();
                self.replies.fail(&SubmitError::StoreUnavailable { detail });
                if faults::is_planted(Bug::ChangeLostAtReopening) {
                    self.changes.release();
                }
                self.changes.lose();
            }
        }
        faults::point("reopening-answered");
        self.start_over(&opening)
    }

    /// Ends the engine. Whoever waits for the commit is told that nobody knows, unless it is known.
    pub(super) fn stop(&mut self, error: StoreError) -> Result<(), StoreError> {
        tracing::error!(%error, "the engine stops");
        self.replies.fail(&SubmitError::from_store(&error));
        self.changes.fail();
        Err(error)
    }

    /// Forgets all orders and loads those that are open.
    fn start_over(&mut self, opening: &Opening) -> Result<(), StoreError> {
        let parts = &mut self.parts;
        parts.shard.reopen(opening);
        let store = std::sync::Arc::clone(&parts.store);
        let reader = Reader::new(store, parts.shard_number, opening.last_seq);
        let pages = (parts.pages_of)(reader);
        parts.pages = pages.map_err(|error| StoreError::Unreadable {
            detail: error.to_string(),
        })?;
        self.is_recovering = true;
        self.changes.start_over();
        Ok(())
    }
}
