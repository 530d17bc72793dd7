//! Connections that end: replaced between two commits without anybody's noticing, or, when one ends
//! during a commit, replaced to find out what became of that.
//!
//! Never takes up a shard that somebody else had in the meantime.

use super::connect::{Link, Role, Session, Target};
use super::write::Writer;
use super::{error, open, read};
use crate::clock::Timestamp;
use crate::order::{Commit, Fingerprint, RequestKey};
use crate::store::error::given_up;
use crate::store::{Durability, Reopened, StoreError};

/// Takes the locks that commits take, if they are free, and gives them back. MySQL waits for those
/// of tables at least a second, MariaDB does not.
const LOCKS: &str = "SET SESSION lock_wait_timeout = 1;
    BEGIN;
    SELECT 1 FROM processes, orders, imported_orders, step_outputs, journal, idempotency_keys,
                  tally, tally_times WHERE FALSE FOR UPDATE NOWAIT;
    SELECT 1 FROM shards FOR UPDATE NOWAIT;
    ROLLBACK";

/// Makes a connection that may write, after having ended the session that it takes the place of:
/// the database is locked and its settings keep a commit.
async fn fresh(
    target: &Target,
    before: Option<&Session>,
) -> Result<(Link, Durability), StoreError> {
    let mut link = target.connect(Role::Writer).await?;
    if let Some(before) = before {
        link.end(before).await;
    }
    open::lock(&mut link, target, open::LOCK_PATIENCE_S).await?;
    if before.is_none() {
        open::migrate(&mut link).await?;
    }
    let durability = open::durability(&mut link).await?;
    Ok((link, durability))
}

impl Writer {
    /// Connects for the first time.
    pub(super) async fn open(target: Target) -> Result<(Self, Durability), StoreError> {
        let (link, durability) = fresh(&target, None).await?;
        Ok((Self::new(target, link), durability))
    }

    /// Whether a commit would find the tables and the shard's row free by now.
    pub(super) async fn try_locks(&mut self) -> Result<(), StoreError> {
        self.keep_in_touch().await?;
        let tried = self.link.ask_all(LOCKS.into()).await;
        if tried.is_err() {
            self.link.roll_back().await;
        }
        let patience = self.target.timeouts.statement();
        let limited = self.link.limit_locks(patience).await;
        tried.map(drop).and(limited).map_err(error::refused)?;
        self.is_held_up = false;
        Ok(())
    }

    /// Replaces the connection if it has ended. Nothing is under way, so an error is a definite
    /// refusal of whatever comes next.
    pub(super) async fn keep_in_touch(&mut self) -> Result<(), StoreError> {
        if !self.link.has_ended().await {
            return Ok(());
        }
        let refused = |error: StoreError| match error {
            StoreError::Fenced => StoreError::Fenced,
            other => StoreError::Refused {
                detail: other.to_string(),
            },
        };
        self.within_reach(None).await.map(drop).map_err(refused)
    }

    /// Takes another connection, and finds out what became of a commit if there is one.
    async fn within_reach(
        &mut self,
        commit: Option<&Commit>,
    ) -> Result<Option<Reopened>, StoreError> {
        let unreachable = |detail: String| StoreError::Unreachable {
            database: self.target.name(),
            detail,
        };
        let target = self.target.clone();
        let patience = target.timeouts.connect;
        let late = unreachable(format!("no answer within {} s", patience.as_secs_f32()));
        let reached = async {
            let session = self.link.session.clone();
            let known = self.head;
            let (link, _) = fresh(&target, Some(&session)).await?;
            self.link = link;
            let Some(commit) = commit else {
                self.check_head().await?;
                return Ok::<_, StoreError>(None);
            };
            let (opening, fate) = self.find_out(commit, known).await?;
            Ok(Some(Reopened { opening, fate }))
        };
        let reached = tokio::time::timeout(patience, reached).await;
        match reached.unwrap_or(Err(late)) {
            // Another server has the lock. If it has the shard, too, it is not waited for.
            Err(StoreError::InUse { .. }) if self.was_taken_over().await => Err(StoreError::Fenced),
            // The database went away again, another session has not let go of it yet, or its
            // settings do not keep a commit.
            Err(
                error @ (StoreError::Lost { .. }
                | StoreError::NotDurable { .. }
                | StoreError::Unreadable { .. }
                | StoreError::Refused { .. }
                | StoreError::HeldUp { .. }
                | StoreError::InUse { .. }),
            ) => Err(StoreError::Unreachable {
                database: target.name(),
                detail: error.to_string(),
            }),
            reached => reached,
        }
    }

    /// Opens the store anew after a commit whose fate is unknown. May be tried again if the
    /// database is unreachable.
    pub(super) async fn reopen(&mut self, commit: &Commit) -> Result<Reopened, StoreError> {
        self.is_lost = true;
        let reopened = self.within_reach(Some(commit)).await?;
        reopened.ok_or_else(given_up)
    }

    /// What was sent under a key, if something is kept under it since `expired_before` or later.
    pub(super) async fn sent_under(
        &mut self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        let unreachable = |detail: String| StoreError::Unreachable {
            database: self.target.name(),
            detail,
        };
        let patience = self.target.timeouts.connect;
        let asked = read::sent_under(&mut self.link, key, expired_before);
        match tokio::time::timeout(patience, asked).await {
            Ok(Err(error)) if self.link.is_ended() => Err(unreachable(error.to_string())),
            Ok(answer) => answer,
            Err(_) => {
                let detail = format!("no answer within {} s", patience.as_secs_f32());
                Err(unreachable(detail))
            }
        }
    }

    /// Whether another server has opened the shard since, as far as the database can be asked.
    async fn was_taken_over(&self) -> bool {
        let asked = async {
            let mut link = self.target.connect(Role::Reader).await?;
            let (shard, ..) = self.head.ok_or_else(given_up)?;
            read::head(&mut link, shard).await
        };
        let asked = tokio::time::timeout(self.target.timeouts.connect, asked).await;
        // Should the answer not have come, we may have raised it ourselves.
        let own = self.epoch + self.raises;
        matches!(asked, Ok(Ok(Some(head))) if head.epoch > own)
    }

    /// The shard is as we left it.
    async fn check_head(&mut self) -> Result<(), StoreError> {
        let Some((shard, position, hash)) = self.head else {
            return Ok(());
        };
        let head = read::head(&mut self.link, shard).await?;
        let is_ours = head.is_some_and(|head| {
            (head.epoch, head.position, head.hash) == (self.epoch, position, hash)
        });
        is_ours.then_some(()).ok_or(StoreError::Fenced)
    }
}
