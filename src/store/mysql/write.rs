//! The writer: one connection, one kind of transaction.
//!
//! A commit leaves in one go, as one text, and is answered in one go. Decides nothing but: is the
//! epoch the shard's, is the id free.

use super::ask::Taken;
use super::connect::{Failed, Link, Target};
use super::error::{self, lost, statement_failed};
use super::transaction::{Counters, Plan, Transaction};
use crate::order::{Commit, Position, Receipt, ShardNumber};
use crate::store::StoreError;
use crate::store::error::given_up;

/// How many commits after a collision ask first. As long as ids and keys collide, commits take a
/// second round trip each; that is cheaper than a transaction that is undone.
const ASKING: u32 = 32;

/// The connection that writes, and the head of the journal's hash chain.
pub(super) struct Writer {
    pub(super) target: Target,
    pub(super) link: Link,
    /// The shard that was opened, the position of its last commit and the hash of that journal row.
    pub(super) head: Option<Head>,
    /// The epoch under which the shard was opened.
    pub(super) epoch: i64,
    /// The fate of a commit is not known: nothing more is written before it is.
    pub(super) is_lost: bool,
    /// A lock was not had in time: somebody else has it. No commit is tried before it is free.
    pub(super) is_held_up: bool,
    /// How often the epoch may have been raised without our knowing.
    pub(super) raises: i64,
    /// Counters of this shard that have a row.
    pub(super) counters: Counters,
    /// Commits that are still to ask which orders collide before they write the journal.
    asking: u32,
}

/// A shard, the position of its last commit, and the hash of that journal row.
pub(super) type Head = (ShardNumber, Position, [u8; 32]);

/// What became of an attempt.
enum Attempt {
    Done(Transaction),
    /// A unique constraint said no, and everything is undone.
    Collided,
}

impl Writer {
    pub(super) fn new(target: Target, link: Link) -> Self {
        Self {
            target,
            link,
            head: None,
            epoch: 0,
            is_lost: false,
            is_held_up: false,
            raises: 0,
            counters: Counters::new(),
            asking: 0,
        }
    }

    pub(super) async fn commit(&mut self, commit: &Commit) -> Result<Receipt, StoreError> {
        if self.is_lost {
            return Err(given_up());
        }
        let Some((shard, _, before)) = self.head.filter(|head| head.0 == commit.shard) else {
            return Err(StoreError::Fenced);
        };
        self.keep_in_touch().await?;
        if self.is_held_up {
            let detail = "it is looked at again and again".into();
            return Err(StoreError::HeldUp { detail });
        }
        let patience = self.target.timeouts.commit;
        let stored = tokio::time::timeout(patience, self.store(commit, &before)).await;
        let stored = stored.unwrap_or_else(|_| {
            let detail = format!("no answer within {} s", patience.as_secs_f32());
            Err(StoreError::Lost { detail })
        });
        self.is_lost = matches!(stored, Err(StoreError::Lost { .. }));
        self.is_held_up = matches!(stored, Err(StoreError::HeldUp { .. }));
        let (receipt, done) = stored?;
        self.head = Some((shard, commit.position, done.hash));
        self.counters.extend(done.made);
        Ok(receipt)
    }

    async fn store(
        &mut self,
        commit: &Commit,
        before: &[u8; 32],
    ) -> Result<(Receipt, Transaction), StoreError> {
        if self.asking == 0 || commit.created.is_empty() {
            if let Attempt::Done(done) = self.at_once(commit, before).await? {
                return Ok((Receipt::default(), done));
            }
            self.asking = ASKING;
        }
        let (receipt, done) = self.asked(commit, before).await?;
        let has_collided = !receipt.collided.is_empty();
        self.asking = if has_collided {
            ASKING
        } else {
            self.asking.saturating_sub(1)
        };
        Ok((receipt, done))
    }

    /// Everything in one go, as if nothing collided. If something does, nothing is stored.
    async fn at_once(&mut self, commit: &Commit, before: &[u8; 32]) -> Result<Attempt, StoreError> {
        let plan = Plan {
            commit,
            receipt: &Receipt::default(),
            before,
            known: &self.counters,
            is_begun: false,
        };
        let transaction = plan.transaction()?;
        match self.send(transaction).await {
            Ok(done) => Ok(Attempt::Done(done)),
            Err(Failed::Statement(error)) if error::is_collision(&error) => Ok(Attempt::Collided),
            Err(failed) => Err(failed.into()),
        }
    }

    /// In two goes: which of the new orders are stored is known before the journal is written.
    async fn asked(
        &mut self,
        commit: &Commit,
        before: &[u8; 32],
    ) -> Result<(Receipt, Transaction), StoreError> {
        let taken = Taken::ask(&mut self.link, commit).await;
        let receipt = match taken {
            Ok(taken) => taken.receipt(commit),
            Err(error) => {
                // Without a COMMIT nothing of it is stored, whatever becomes of this.
                self.link.roll_back().await;
                return Err(error);
            }
        };
        let plan = Plan {
            commit,
            receipt: &receipt,
            before,
            known: &self.counters,
            is_begun: true,
        };
        let transaction = plan.transaction()?;
        let done = self.send(transaction).await?;
        Ok((receipt, done))
    }

    /// Sends a transaction, and undoes it if a statement fails.
    async fn send(&mut self, transaction: Transaction) -> Result<Transaction, Failed> {
        let Transaction {
            sql,
            count,
            hash,
            made,
        } = transaction;
        let sent = self.link.transact(sql, count).await;
        if let Err(Failed::Statement(_) | Failed::Unsent(_)) = sent {
            self.link.roll_back().await;
        }
        sent.map(|()| Transaction {
            sql: Vec::new(),
            count,
            hash,
            made,
        })
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsent(bytes) => Self::Refused {
                detail: format!("a commit of {bytes} bytes is larger than max_allowed_packet"),
            },
            Failed::Statement(error) if error::is_fenced(&error) => Self::Fenced,
            Failed::Statement(error) => statement_failed(error),
            // The server may end a session for its own reasons when the commit is done already.
            Failed::Commit(error) => lost(&error),
        }
    }
}
