//! Changes of accepted orders on their way through the engine: asked, decided by the shard, and
//! answered when the commit that they are part of, or rest on, is durable.
//!
//! Nothing here decides what becomes of an order. Changes under an idempotency key that is taken
//! are not decided at all.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::inbox::Command;
use super::{Handle, SubmitError};
use crate::clock::Now;
use crate::faults::{self, Bug};
use crate::order::{
    Action, Change, ChangeKey, Commit, Fingerprint, KeptAnswer, Refusal, RequestKey,
};
use crate::shard::{Effect, Shard};
use crate::store::{Store, StoreError};

/// Most commands that wait for their orders to be brought back after a start.
const DEFERRED_MAX: usize = 4_096;
/// When those beyond may come back, in seconds: a million orders are brought back in one.
const RECOVERY_SECONDS: u32 = 1;
/// How long a change waits for a commit that is refused, before it is told that nobody knows, in
/// microseconds.
const PATIENCE_US: i64 = 2_000_000;
/// What one change counts for in the bounds of the inbox and of a commit, in bytes: at most half of
/// the changes of a commit are asked for, so that timers and turns have the other half.
const CHANGE_BYTES: usize = 2 << 10;

/// What was decided about one change.
pub type ChangeAnswer = Result<Effect, Refusal>;

/// The idempotency key that changes are asked for under.
pub struct KeyOfChanges {
    /// The key.
    pub key: RequestKey,
    /// What to answer.
    pub answer: Answering,
    /// About how large the answer will be, in bytes.
    pub answer_bytes: usize,
}

/// Writes the answer to changes, of what became of each and of the commit that they are in. `None`
/// is a refusal: nothing is kept then, so nothing may have been made. Called at most once, before
/// anything is durable; pure.
pub type Answering = Box<dyn FnOnce(&[ChangeAnswer], &Commit) -> Option<KeptAnswer> + Send>;

/// What became of changes.
#[derive(Debug, Default)]
pub struct Decided {
    /// Of each, in order.
    pub answers: Vec<ChangeAnswer>,
    /// What is kept under their key, if they had one and it is no refusal.
    pub kept: Option<KeptAnswer>,
}

/// Changes that somebody asks for.
pub(super) struct Request {
    changes: Vec<Change>,
    key: Option<KeyOfChanges>,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Decided, SubmitError>>;

impl Request {
    pub(super) fn changes(&self) -> usize {
        self.changes.len()
    }

    /// Whether it only says of work that it goes on. Nothing is written of that, so it needs no
    /// store and rests on no commit.
    pub(super) fn is_beats(&self) -> bool {
        let is_beat =
            |change: &Change| matches!(&change.action, Action::Report(it) if it.is_beat());
        self.key.is_none() && !self.changes.is_empty() && self.changes.iter().all(is_beat)
    }

    /// What it takes of the inbox and of a commit, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let answer = self.key.as_ref().map_or(0, |key| key.answer_bytes);
        let brought: usize = self.changes.iter().map(|it| it.action.bytes()).sum();
        self.changes.len() * CHANGE_BYTES + brought + answer
    }

    /// Tells that none of its changes was decided.
    pub(super) fn refuse(self, error: SubmitError) {
        let _ = self.reply.send(Err(error));
    }
}

impl Handle {
    /// Asks for changes of accepted orders in one flush; answers for each, in order. With an error
    /// none was decided, or with `OutcomeUnknown` they were and may not be durable yet.
    ///
    /// While open orders from before the start are being brought back, changes of those wait.
    pub async fn change(&self, changes: Vec<Change>) -> Result<Vec<ChangeAnswer>, SubmitError> {
        let decided = self.ask(None, changes).await?;
        Ok(decided.answers)
    }

    /// The same under an idempotency key: the answer is kept with the changes. With
    /// [`SubmitError::KeyTaken`] nothing was decided, and what was answered under the key is in the
    /// store.
    pub async fn change_under(
        &self,
        key: KeyOfChanges,
        changes: Vec<Change>,
    ) -> Result<Decided, SubmitError> {
        self.ask(Some(key), changes).await
    }

    /// Asks for changes whose answer nobody waits for.
    pub fn ask_later(&self, changes: Vec<Change>) -> Result<(), SubmitError> {
        let (reply, _) = oneshot::channel();
        self.push(Command::Change(Box::new(Request {
            changes,
            key: None,
            reply,
        })))
    }

    async fn ask(
        &self,
        key: Option<KeyOfChanges>,
        changes: Vec<Change>,
    ) -> Result<Decided, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            changes,
            key,
            reply,
        };
        if !request.is_beats() {
            self.check_store()?;
        }
        self.push(Command::Change(Box::new(request)))?;
        answer.await.unwrap_or(Err(SubmitError::OutcomeUnknown))
    }
}

/// Somebody who waits for the fate of the commit.
struct Asked {
    answer: Result<Decided, SubmitError>,
    reply: Reply,
}

/// Everybody who waits for a change.
#[derive(Default)]
pub(super) struct Changes {
    asked: Vec<Asked>,
    /// Requests about orders that may not be brought back yet.
    deferred: Vec<Request>,
    /// All open orders from before the start are there.
    is_recovered: bool,
    /// The last commit was refused, with this; what is left of it waits. And since when, on the
    /// monotonic clock.
    refused: Option<(SubmitError, i64)>,
}

impl Changes {
    /// Lets the shard decide about changes. Their answer waits for the commit. With an error the
    /// store could not be asked about their key, and they are refused.
    pub(super) fn take(
        &mut self,
        request: Request,
        shard: &mut Shard,
        store: &dyn Store,
        now: Now,
    ) -> Result<(), StoreError> {
        let is_known = |change: &Change| shard.has(change.seq);
        let may_be_absent = !self.is_recovered && !request.changes.iter().all(is_known);
        if request.is_beats() && !may_be_absent {
            // A lease must not end because the store is slow or full.
            let decided = decide(request.changes, None, shard, now);
            let _ = request.reply.send(Ok(decided));
            return Ok(());
        }
        let key = request.key.as_ref().map(|under| &under.key);
        if let Some((error, _)) = &self.refused {
            let is_waiting = key.is_some_and(|key| shard.sent_under(key).is_some());
            request.refuse(match is_waiting {
                true => SubmitError::OutcomeUnknown,
                false => error.clone(),
            });
            return Ok(());
        }
        if may_be_absent {
            if self.deferred.len() < DEFERRED_MAX {
                self.deferred.push(request);
                return Ok(());
            }
            request.refuse(SubmitError::Overloaded {
                retry_after_seconds: RECOVERY_SECONDS,
            });
            return Ok(());
        }
        let key = request.key.as_ref().map(|under| &under.key);
        let sent = key.map_or(Ok(None), |key| sent_under(key, shard, store, now));
        let answer = match sent {
            Err(error) => {
                request.refuse(SubmitError::from_store(&error));
                return Err(error);
            }
            // Its twin may be in this commit, so the answer waits, too.
            Ok(Some(_)) => Err(SubmitError::KeyTaken),
            Ok(None) => Ok(decide(request.changes, request.key, shard, now)),
        };
        faults::point("change-decided");
        let reply = request.reply;
        self.asked.push(Asked { answer, reply });
        Ok(())
    }

    /// Refuses the requests about orders that may not be brought back yet.
    pub(super) fn refuse_deferred(&mut self, error: &SubmitError) {
        for request in self.deferred.drain(..) {
            request.refuse(error.clone());
        }
    }

    /// All open orders are back: the requests that waited for them come first in the backlog.
    pub(super) fn recovered(&mut self, backlog: &mut VecDeque<Command>) {
        self.is_recovered = true;
        for request in self.deferred.drain(..).rev() {
            backlog.push_front(Command::Change(Box::new(request)));
        }
    }

    /// Open orders are being brought back once more.
    pub(super) fn start_over(&mut self) {
        (self.is_recovered, self.refused) = (false, None);
    }

    /// Everything that the answers rest on is durable.
    pub(super) fn release(&mut self) {
        self.refused = None;
        for Asked { answer, reply } in self.asked.drain(..) {
            // Whoever has gone away can still read the order.
            let _ = reply.send(answer);
            faults::point("answers-changes-begun");
        }
    }

    /// The commit is refused, with this. Its changes stay in it and are tried again: whoever asked
    /// for them is told what became of them if that is soon, and else that nobody knows yet.
    pub(super) fn wait(&mut self, error: SubmitError, now: Now) {
        let since = self.refused.as_ref().map_or(now.ticks, |(_, since)| *since);
        self.refused = Some((error, since));
        if now.ticks - since >= PATIENCE_US {
            self.fail();
        }
    }

    /// Nobody knows whether the commit is stored, or will be.
    pub(super) fn fail(&mut self) {
        self.tell(&SubmitError::OutcomeUnknown);
    }

    /// The commit is not stored and never will be.
    pub(super) fn lose(&mut self) {
        let detail = "the commit failed".into();
        self.tell(&SubmitError::StoreUnavailable { detail });
    }

    fn tell(&mut self, error: &SubmitError) {
        for Asked { reply, .. } in self.asked.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

/// What was sent under a key, if something was answered under it, or will be with the commit that
/// is being built.
pub(super) fn sent_under(
    key: &RequestKey,
    shard: &Shard,
    store: &dyn Store,
    now: Now,
) -> Result<Option<Fingerprint>, StoreError> {
    if faults::is_planted(Bug::ChangeMadeAgain) {
        return Ok(None);
    }
    match shard.sent_under(key) {
        None => store.sent_under(key, shard.keys_expired_before(now)),
        sent => Ok(sent),
    }
}

fn decide(changes: Vec<Change>, key: Option<KeyOfChanges>, shard: &mut Shard, now: Now) -> Decided {
    let seq = match &*changes {
        [change] => Some(change.seq),
        _ => None,
    };
    let decide = |change| shard.change(change, now);
    let answers: Vec<_> = changes.into_iter().map(decide).collect();
    let kept = key.and_then(|KeyOfChanges { key, answer, .. }| {
        let answer = answer(&answers, shard.commit())?;
        let kept = answer.clone();
        let record = ChangeKey {
            seq,
            is_of_new: false,
            key,
            answer,
        };
        shard.keep_change_answer(record, now);
        Some(kept)
    });
    Decided { answers, kept }
}
