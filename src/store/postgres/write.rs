//! The writer: one connection, one kind of transaction.
//!
//! BEGIN, at most three statements whatever the size of the commit, and COMMIT leave in one go;
//! the answers come back in one go. Decides nothing but: is the epoch the shard's, is the id free.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio_postgres::{Client, Error, Statement};

use super::arrays::{Changes, Created, Values, is_as_accepted};
use super::connect::{Link, Target};
use super::error::{self, commit_failed, refused, statement_failed};
use super::statements::Statements;
use super::tail::{Tail, small};
use crate::order::{Commit, Position, Receipt, ShardNumber};
use crate::store::StoreError;
use crate::store::error::given_up;

/// How many commits after a collision ask first. As long as ids and keys collide, commits take a
/// second round trip each; that is cheaper than a transaction that is undone.
const ASKING: u32 = 32;

/// The session may have another level by default.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The connection that writes, and the head of the journal's hash chain.
pub(super) struct Writer {
    pub(super) target: Target,
    pub(super) link: Link,
    pub(super) statements: Statements,
    /// The shard that was opened, the position of its last commit and the hash of that journal row.
    pub(super) head: Option<Head>,
    /// The epoch under which the shard was opened.
    pub(super) epoch: i64,
    /// The fate of a commit is not known: nothing more is written before it is.
    pub(super) is_lost: bool,
    /// A statement was not done in time: somebody else has a lock. No commit is tried before it is
    /// free.
    pub(super) is_held_up: bool,
    /// How often the epoch may have been raised without our knowing.
    pub(super) raises: i64,
    /// Commits that are still to ask which orders collide before they write the journal.
    asking: u32,
}

/// A shard, the position of its last commit, and the hash of that journal row.
pub(super) type Head = (ShardNumber, Position, [u8; 32]);

/// What became of an attempt.
enum Attempt {
    Done([u8; 32]),
    /// A unique constraint said no, and everything is undone.
    Collided,
}

impl Writer {
    pub(super) fn new(target: Target, link: Link, statements: Statements) -> Self {
        Self {
            target,
            link,
            statements,
            head: None,
            epoch: 0,
            is_lost: false,
            is_held_up: false,
            raises: 0,
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
        self.keep_in_touch(false).await?;
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
        let stored = stored.and_then(|stored| self.link.check_standbys().map(|()| stored));
        self.is_lost = matches!(stored, Err(StoreError::Lost { .. }));
        self.is_held_up = matches!(stored, Err(StoreError::HeldUp { .. }));
        let (receipt, hash) = stored?;
        self.head = Some((shard, commit.position, hash));
        Ok(receipt)
    }

    async fn store(
        &mut self,
        commit: &Commit,
        before: &[u8; 32],
    ) -> Result<(Receipt, [u8; 32]), StoreError> {
        if self.asking == 0 || commit.created.is_empty() {
            if let Attempt::Done(hash) = self.at_once(commit, before).await? {
                return Ok((Receipt::default(), hash));
            }
            self.asking = ASKING;
        }
        let (receipt, hash) = self.asked(commit, before).await?;
        let has_collided = !receipt.collided.is_empty();
        self.asking = if has_collided {
            ASKING
        } else {
            self.asking - 1
        };
        Ok((receipt, hash))
    }

    /// Everything in one go, as if nothing collided. If something does, nothing is stored.
    async fn at_once(&self, commit: &Commit, before: &[u8; 32]) -> Result<Attempt, StoreError> {
        let nothing = Receipt::default();
        let tail = Tail::new(commit, &nothing, before)?;
        let fence = Fence::of(commit)?;
        let all_accepted = commit.created.iter().all(|order| is_as_accepted(order));
        let orders = commit.created.iter().map(|order| &**order);
        let created = if all_accepted {
            Created::accepted(orders)
        } else {
            Created::whole(orders)
        };
        let changes = Changes::of(&commit.changed);
        let mut burst = Burst::begin(&self.link.client);
        if !commit.created.is_empty() {
            let (insert, values) = if all_accepted {
                (&self.statements.insert_accepted, created.values())
            } else {
                (&self.statements.insert_whole, created.all_values())
            };
            burst.add(insert, fence.with(values));
        }
        if !commit.changed.is_empty() {
            burst.add(&self.statements.update, fence.with(changes.values()));
        }
        burst.add(tail.statement(&self.statements), fence.with(tail.values()));
        match burst.commit().await {
            Ok(1) => Ok(Attempt::Done(tail.hash)),
            Ok(_) => Err(StoreError::Fenced),
            Err(Failed::Statement(error)) if error::is_collision(&error) => Ok(Attempt::Collided),
            Err(failed) => Err(failed.into()),
        }
    }

    /// In two goes: which of the new orders are stored is known before the journal is written.
    async fn asked(
        &self,
        commit: &Commit,
        before: &[u8; 32],
    ) -> Result<(Receipt, [u8; 32]), StoreError> {
        let client = &self.link.client;
        client.batch_execute(BEGIN).await.map_err(refused)?;
        let receipt = match self.insert_free(commit).await {
            Ok(receipt) => receipt,
            Err(error) => {
                // Without a COMMIT nothing of it is stored, whatever becomes of this.
                drop(client.batch_execute("ROLLBACK").await);
                return Err(error);
            }
        };
        let tail = Tail::new(commit, &receipt, before)?;
        let fence = Fence::of(commit)?;
        let changes = Changes::of(&commit.changed);
        let mut burst = Burst::go_on(client);
        if !commit.changed.is_empty() {
            burst.add(&self.statements.update, fence.with(changes.values()));
        }
        burst.add(tail.statement(&self.statements), fence.with(tail.values()));
        match burst.commit().await {
            Ok(1) => Ok((receipt, tail.hash)),
            Ok(_) => Err(StoreError::Fenced),
            Err(failed) => Err(failed.into()),
        }
    }

    /// Inserts those new orders whose id and key are free. In one statement, unless a key occurs
    /// twice in the commit: then whether the second one is free depends on the first.
    async fn insert_free(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        let mut receipt = Receipt::default();
        let mut claims = super::claims::Claims::of(commit);
        let fence = Fence::of(commit)?;
        while let Some(run) = claims.next_run(&mut receipt) {
            let created = Created::whole(run.iter().map(|at| &*commit.created[*at]));
            let (scopes, keys) = claims.of_run(&run);
            let mut values = fence.with(created.all_values());
            let expired_before = commit.keys_expired_before.0;
            let more: Values<'_> = vec![&scopes, &keys, &expired_before];
            values.extend(more);
            let rows = self
                .link
                .client
                .query(&self.statements.insert_free, &values);
            let mut answers = Vec::new();
            for row in rows.await.map_err(refused)? {
                let seq: i64 = row.try_get(0).map_err(refused)?;
                answers.push((seq, row.try_get::<_, bool>(1).map_err(refused)?));
            }
            claims.settle(&run, &answers, &mut receipt);
        }
        receipt.collided.sort_unstable();
        receipt.keys_taken.sort_unstable();
        Ok(receipt)
    }
}

/// The first three values of every statement.
struct Fence {
    shard: i16,
    epoch: i64,
    before: i64,
}

impl Fence {
    fn of(commit: &Commit) -> Result<Self, StoreError> {
        Ok(Self {
            shard: small(commit.shard)?,
            epoch: commit.epoch,
            before: commit.position.0 - 1,
        })
    }

    fn with<'a>(&'a self, values: Values<'a>) -> Values<'a> {
        let mut all: Values<'a> = vec![&self.shard, &self.epoch, &self.before];
        all.extend(values);
        all
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>>;

/// Statements that leave together with the COMMIT behind them, without waiting for one another. The
/// server answers in order; after the first that fails, none of them has any effect.
struct Burst<'a> {
    client: &'a Client,
    begin: Option<Running<'a>>,
    statements: Vec<(&'a Statement, Values<'a>)>,
}

/// Why a burst was not committed, or may not have been.
enum Failed {
    /// It was not sent as a whole, and there was no COMMIT.
    Unsent(Error),
    /// A statement failed.
    Statement(Error),
    /// COMMIT failed.
    Commit(Error),
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsent(error) => refused(error),
            Failed::Statement(error) => statement_failed(error),
            Failed::Commit(error) => commit_failed(error),
        }
    }
}

impl<'a> Burst<'a> {
    fn begin(client: &'a Client) -> Self {
        let begin: Running<'a> = Box::pin(async {
            client.batch_execute(BEGIN).await?;
            Ok(0)
        });
        let begin = Some(begin);
        let statements = Vec::with_capacity(3);
        Self {
            client,
            begin,
            statements,
        }
    }

    /// In a transaction that was begun before.
    fn go_on(client: &'a Client) -> Self {
        Self {
            begin: None,
            ..Self::begin(client)
        }
    }

    fn add(&mut self, statement: &'a Statement, values: Values<'a>) {
        self.statements.push((statement, values));
    }

    /// Sends all of it. Answers how many rows the last statement touched.
    async fn commit(self) -> Result<u64, Failed> {
        let client = self.client;
        let mut running: Vec<Running<'_>> = self.begin.into_iter().collect();
        for (statement, values) in &self.statements {
            running.push(Box::pin(client.execute(*statement, values)));
        }
        for run in &mut running {
            // The first look at it sends it. It cannot have been answered yet, so an error here
            // means that it did not leave; and without it the rest must not.
            if let Some(Err(error)) = look(run).await {
                drop(client.batch_execute("ROLLBACK").await);
                return Err(Failed::Unsent(error));
            }
        }
        let mut commit: Running<'_> = Box::pin(async {
            client.batch_execute("COMMIT").await?;
            Ok(0)
        });
        drop(look(&mut commit).await);
        let mut touched = 0;
        for run in running {
            touched = run.await.map_err(Failed::Statement)?;
        }
        commit.await.map_err(Failed::Commit)?;
        Ok(touched)
    }
}

/// Runs a future until it has to wait for the first time.
async fn look<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
