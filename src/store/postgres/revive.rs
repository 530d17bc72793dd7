//! Connections that end: replaced between two commits without anybody's noticing, or, when one ends
//! during a commit, replaced to find out what became of that.
//!
//! Never takes up a shard that somebody else had in the meantime.

use super::connect::{Link, Role, Session, Target};
use super::statements::Statements;
use super::write::Writer;
use super::{error, open, read};
use crate::clock::Timestamp;
use crate::order::{Commit, Fingerprint, RequestKey};
use crate::store::error::given_up;
use crate::store::{Durability, Reopened, StoreError};

/// Takes the locks that commits take, if they are free, and gives them back.
const LOCKS: &str = "BEGIN;
    LOCK TABLE shards, processes, orders, step_outputs, journal, idempotency_keys, tally,
               tally_times IN ROW EXCLUSIVE MODE NOWAIT;
    SELECT 1 FROM shards FOR UPDATE NOWAIT;
    ROLLBACK";

/// A connection that may write: the database is locked and its settings keep a commit.
struct Fresh {
    link: Link,
    statements: Statements,
    durability: Durability,
}

/// Makes one, after having ended the session that it takes the place of.
async fn fresh(target: &Target, before: Option<&Session>) -> Result<Fresh, StoreError> {
    let mut link = target.connect(Role::Writer).await?;
    if let Some(before) = before {
        link.end(before).await;
    }
    open::lock(&link, target).await?;
    if before.is_none() {
        open::migrate(&mut link.client).await?;
    }
    let durability = open::durability(&link.client).await?;
    link.limit(target.timeouts.statement()).await?;
    let statements = Statements::prepare(&link.client).await;
    let statements = statements.map_err(error::refused)?;
    Ok(Fresh {
        link,
        statements,
        durability,
    })
}

impl Writer {
    /// Connects for the first time.
    pub(super) async fn open(target: Target) -> Result<(Self, Durability), StoreError> {
        let Fresh {
            link,
            statements,
            durability,
        } = fresh(&target, None).await?;
        Ok((Self::new(target, link, statements), durability))
    }

    /// Shows the database that this server lives, and replaces the connection if nothing comes
    /// back.
    pub(super) async fn beat(&mut self) -> Result<(), StoreError> {
        let beat = self.link.client.batch_execute("");
        let patience = self.target.timeouts.connect;
        let is_heard = matches!(tokio::time::timeout(patience, beat).await, Ok(Ok(())));
        self.keep_in_touch(!is_heard).await
    }

    /// Whether a commit would find its locks free by now.
    pub(super) async fn try_locks(&mut self) -> Result<(), StoreError> {
        self.beat().await?;
        let client = &self.link.client;
        let tried = client.batch_execute(LOCKS).await;
        if let Err(error) = tried {
            drop(client.batch_execute("ROLLBACK").await);
            return Err(error::refused(error));
        }
        self.is_held_up = false;
        Ok(())
    }

    /// Replaces the connection if it has ended, or `is_gone` for all we know. Nothing is under way,
    /// so an error is a definite refusal of whatever comes next.
    pub(super) async fn keep_in_touch(&mut self, is_gone: bool) -> Result<(), StoreError> {
        if !is_gone && !self.link.has_ended().await {
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
            let fresh = fresh(&target, Some(&session)).await?;
            (self.link, self.statements) = (fresh.link, fresh.statements);
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
        &self,
        key: &RequestKey,
        expired_before: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        let asked = read::sent_under(&self.link, key, expired_before);
        let patience = self.target.timeouts.connect;
        let late = |_| {
            let detail = format!("no answer within {} s", patience.as_secs_f32());
            self.link.unreachable(detail)
        };
        tokio::time::timeout(patience, asked).await.map_err(late)?
    }

    /// Whether another server has opened the shard since, as far as the database can be asked.
    async fn was_taken_over(&self) -> bool {
        let asked = async {
            let link = self.target.connect(Role::Reader).await?;
            let (shard, ..) = self.head.ok_or_else(given_up)?;
            read::head(&link, shard).await
        };
        let asked = tokio::time::timeout(self.target.timeouts.connect, asked).await;
        // Should the answer not have come, we may have raised it ourselves.
        let own = self.epoch + self.raises;
        matches!(asked, Ok(Ok(Some(head))) if head.epoch > own)
    }

    /// The shard is as we left it.
    async fn check_head(&self) -> Result<(), StoreError> {
        let Some((shard, position, hash)) = self.head else {
            return Ok(());
        };
        let head = read::head(&self.link, shard).await?;
        let is_ours = head.is_some_and(|head| {
            (head.epoch, head.position, head.hash) == (self.epoch, position, hash)
        });
        is_ours.then_some(()).ok_or(StoreError::Fenced)
    }
}
