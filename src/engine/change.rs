//! Changes of accepted orders on their way through the engine: asked, decided by the shard, and
//! answered when the commit that they are part of, or rest on, is durable.
//!
//! Nothing here decides what becomes of an order.

use std::collections::VecDeque;

use thiserror::Error;
use tokio::sync::oneshot;

use super::inbox::Command;
use super::{Handle, SubmitError};
use crate::clock::Now;
use crate::faults;
use crate::order::{Change, Refusal};
use crate::shard::{Effect, Shard};

/// Most commands that wait for their orders to be brought back after a start.
const DEFERRED_MAX: usize = 4_096;
/// When those beyond may come back, in seconds: a million orders are brought back in one.
const RECOVERY_SECONDS: u32 = 1;
/// What one change counts for in the bounds of the inbox and of a commit, in bytes: at most half of
/// the changes of a commit are asked for, so that timers and turns have the other half.
pub(super) const CHANGE_BYTES: usize = 2 << 10;

/// What is sent back for one change.
pub type ChangeAnswer = Result<Effect, ChangeError>;

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The order does not allow it; it is as it was.
    #[error("the order does not allow it")]
    Refused(Refusal),
    /// It was not decided, or with `OutcomeUnknown` it was and may not be durable yet.
    #[error(transparent)]
    Failed(SubmitError),
}

impl Handle {
    /// Asks for changes of accepted orders in one flush; answers for each, in order.
    ///
    /// While open orders from before the start are being brought back, changes of those wait.
    pub async fn change(&self, changes: Vec<Change>) -> Result<Vec<ChangeAnswer>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.push(Command::Change { changes, reply })?;
        answer.await.map_err(|_| SubmitError::OutcomeUnknown)
    }
}

/// Somebody who waits for the fate of the commit.
struct Asked {
    answers: Vec<ChangeAnswer>,
    reply: oneshot::Sender<Vec<ChangeAnswer>>,
}

/// Everybody who waits for a change.
#[derive(Default)]
pub(super) struct Changes {
    asked: Vec<Asked>,
    /// Commands about orders that may not be brought back yet.
    deferred: Vec<Command>,
    /// All open orders from before the start are there.
    is_recovered: bool,
    /// The last commit was refused; what is left of it waits.
    was_refused: bool,
}

impl Changes {
    /// Lets the shard decide about changes. Their answer waits for the commit.
    pub(super) fn take(
        &mut self,
        changes: Vec<Change>,
        reply: oneshot::Sender<Vec<ChangeAnswer>>,
        shard: &mut Shard,
        now: Now,
    ) {
        if self.was_refused {
            let detail = "it refused the last commit".into();
            return refuse(&changes, reply, &SubmitError::StoreUnavailable { detail });
        }
        if !self.is_recovered && changes.iter().any(|change| !shard.has(change.seq)) {
            if self.deferred.len() < DEFERRED_MAX {
                self.deferred.push(Command::Change { changes, reply });
                return;
            }
            let error = SubmitError::Overloaded {
                retry_after_seconds: RECOVERY_SECONDS,
            };
            return refuse(&changes, reply, &error);
        }
        let decide = |change| shard.change(change, now).map_err(ChangeError::Refused);
        let answers = changes.into_iter().map(decide).collect();
        faults::point("change-decided");
        self.asked.push(Asked { answers, reply });
    }

    /// All open orders are back: the commands that waited for them come first in the backlog.
    pub(super) fn recovered(&mut self, backlog: &mut VecDeque<Command>) {
        self.is_recovered = true;
        for command in self.deferred.drain(..).rev() {
            backlog.push_front(command);
        }
    }

    /// Open orders are being brought back once more.
    pub(super) fn start_over(&mut self) {
        (self.is_recovered, self.was_refused) = (false, false);
    }

    /// Everything that the answers rest on is durable.
    pub(super) fn release(&mut self) {
        self.was_refused = false;
        for Asked { answers, reply } in self.asked.drain(..) {
            // Whoever has gone away can still read the order.
            let _ = reply.send(answers);
            faults::point("answers-changes-begun");
        }
    }

    /// The commit is not stored. Its changes stay in it and may be stored later, or nobody knows.
    pub(super) fn fail(&mut self) {
        self.was_refused = true;
        for Asked { answers, reply } in self.asked.drain(..) {
            let unknown = |_| Err(ChangeError::Failed(SubmitError::OutcomeUnknown));
            let _ = reply.send(answers.into_iter().map(unknown).collect());
        }
    }
}

/// Tells that none of these changes was decided.
pub(super) fn refuse(
    changes: &[Change],
    reply: oneshot::Sender<Vec<ChangeAnswer>>,
    error: &SubmitError,
) {
    let refused = |_| Err(ChangeError::Failed(error.clone()));
    let _ = reply.send(changes.iter().map(refused).collect());
}
