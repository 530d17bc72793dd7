//! While the store cannot be reached and the fate of a commit is not known: nothing is decided, new
//! orders and changes are refused at once, and the store is asked for again and again.
//!
//! The commit stays as it is until the store says what became of it. Nothing is kept for later.

use std::time::Duration;

use super::SubmitError;
use super::inbox::Command;
use super::run::Turns;
use crate::store::StoreError;

/// Pause between two tries to reach the store.
pub(super) const PAUSE: Duration = Duration::from_millis(250);
/// The same in microseconds.
const PAUSE_US: i64 = PAUSE.as_micros() as i64;

impl Turns {
    /// The store cannot be reached: whoever waits for the commit is told that nobody knows.
    pub(super) fn go_away(&mut self, error: &StoreError) {
        if self.away_until.is_none() {
            tracing::error!(%error, "the store cannot be reached; it is tried again and again");
            self.replies.fail(&SubmitError::OutcomeUnknown);
            self.changes.fail();
        }
        // The try may have taken long.
        let now = self.now.next(&*self.parts.clock);
        self.away_until = Some(now.ticks + PAUSE_US);
    }

    /// A turn without a store. `None` if there is one.
    pub(super) fn turn_away(&mut self, is_open: bool) -> Option<Result<(), StoreError>> {
        let until = self.away_until?;
        self.room.is_away = true;
        self.refuse_all();
        if !is_open {
            let detail = "the store could not be reached before the end".into();
            return Some(self.stop(StoreError::Lost { detail }));
        }
        if self.now.ticks < until {
            return Some(Ok(()));
        }
        Some(self.reach())
    }

    /// Answers whoever asks for something that would need the store.
    fn refuse_all(&mut self) {
        let error = unreachable();
        self.changes.refuse_deferred(&error);
        self.leases.refuse(&error);
        while let Some(command) = self.backlog.pop_front() {
            self.parts.pressure.turn_back(command.orders());
            match command {
                Command::Stats { reply } => drop(reply.send(self.stats())),
                Command::ProcessTally { process, reply } => {
                    drop(reply.send(self.parts.shard.tally_of(&process)));
                }
                command => command.refuse(&error),
            }
        }
    }
}

/// Whether there is no way to the store at the moment, so that the same may be asked again.
pub(super) fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Unreachable { .. })
}

/// What new orders are told while the store cannot be reached.
pub(super) fn unreachable() -> SubmitError {
    let detail = "it cannot be reached".into();
    SubmitError::StoreUnavailable { detail }
}
