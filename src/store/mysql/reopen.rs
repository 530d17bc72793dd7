//! Opening a shard, and finding out what became of a commit whose fate is unknown.
//!
//! Before anything is said about a lost commit the epoch is raised: the lost one either holds the
//! shard's row, and then this waits for its end, or comes too late for ever.

use super::connect::Link;
use super::error::{lost, refused};
use super::read;
use super::text::Sql;
use super::transaction::Counters;
use super::write::{Head, Writer};
use crate::order::{Commit, KeyRecord, Opening, Position, Receipt, ShardNumber};
use crate::store::{ShardHead, StoreError, journal};

impl Writer {
    pub(super) async fn open_shard(&mut self, shard: ShardNumber) -> Result<Opening, StoreError> {
        self.keep_in_touch().await?;
        let link = &mut self.link;
        link.batch("BEGIN").await.map_err(refused)?;
        let opened = match raise_epoch(link, shard).await {
            Ok(()) => opening(link, shard).await,
            Err(error) => Err(error),
        };
        let (opening, hash) = finish(link, opened).await?;
        self.take_head(shard, &opening, hash);
        Ok(opening)
    }

    fn take_head(&mut self, shard: ShardNumber, opening: &Opening, hash: [u8; 32]) {
        self.head = Some((shard, opening.position, hash));
        self.epoch = opening.epoch;
        self.raises = 0;
        self.is_lost = false;
        // Which of them have a row is seen anew.
        self.counters = Counters::new();
    }

    /// Tells whether the commit is stored. `known` is where the journal ended before.
    ///
    /// Fails unless the journal ends there, or with this commit and nothing behind it. Raises the
    /// epoch, so that the answer stays true.
    pub(super) async fn find_out(
        &mut self,
        commit: &Commit,
        known: Option<Head>,
    ) -> Result<(Opening, Option<Receipt>), StoreError> {
        let known = known.filter(|known| known.0 == commit.shard);
        let known = known.ok_or(StoreError::Fenced)?;
        self.link.batch("BEGIN").await.map_err(refused)?;
        let found = self.look(commit, known).await;
        if found.is_ok() {
            // Should the answer to COMMIT not come, it may be raised already the next time.
            self.raises += 1;
        }
        let (opening, fate, hash) = finish(&mut self.link, found).await?;
        self.take_head(known.0, &opening, hash);
        Ok((opening, fate))
    }

    async fn look(
        &mut self,
        commit: &Commit,
        (shard, position, hash): Head,
    ) -> Result<(Opening, Option<Receipt>, [u8; 32]), StoreError> {
        let link = &mut self.link;
        let head = locked_head(link, shard).await?;
        let own = commit.epoch..=commit.epoch + self.raises;
        if !own.contains(&head.epoch) {
            return Err(StoreError::Fenced);
        }
        let is_as_before = (head.position, head.hash) == (position, hash);
        let fate = if is_as_before && position != commit.position {
            None
        } else {
            let rows = read::journal(link, Position(commit.position.0 - 2), 3).await?;
            journal::check_end(&rows, commit, &head)?;
            Some(receipt(link, commit).await?)
        };
        raise_epoch(link, shard).await?;
        let (opening, hash) = opening(link, shard).await?;
        Ok((opening, fate, hash))
    }
}

/// Commits what was done, or undoes what failed.
async fn finish<T>(link: &mut Link, done: Result<T, StoreError>) -> Result<T, StoreError> {
    if done.is_ok() {
        let committed = link.batch("COMMIT").await;
        committed.map_err(|error| lost(&error))?;
    } else {
        link.roll_back().await;
    }
    done
}

async fn raise_epoch(link: &mut Link, shard: ShardNumber) -> Result<(), StoreError> {
    let sql = "INSERT INTO shards (shard, epoch, position, hash, last_seq) VALUES (?, 1, ?, ?, ?)
               ON DUPLICATE KEY UPDATE epoch = epoch + 1";
    let (base, genesis) = (shard.base(), journal::GENESIS.as_slice());
    let raised = link.execute(sql, (shard.0, base, genesis, base)).await;
    raised.map_err(refused)
}

/// Where a shard stands, for who has raised its epoch.
async fn opening(link: &mut Link, shard: ShardNumber) -> Result<(Opening, [u8; 32]), StoreError> {
    let missing = || StoreError::Refused {
        detail: "no row for the shard".into(),
    };
    let head = read::head(link, shard).await?.ok_or_else(missing)?;
    let opening = Opening {
        epoch: head.epoch,
        last_seq: head.last_seq,
        position: head.position,
        last_at: read::written_at(link, head.position).await?,
        tallies: read::tallies(link, shard).await?,
        definitions: read::definitions(link).await?,
    };
    Ok((opening, head.hash))
}

/// The shard's row, once nobody else holds it.
async fn locked_head(link: &mut Link, shard: ShardNumber) -> Result<ShardHead, StoreError> {
    let sql = "SELECT 1 FROM shards WHERE shard = ? FOR UPDATE";
    link.execute(sql, (shard.0,)).await.map_err(refused)?;
    let head = read::head(link, shard).await?;
    head.ok_or(StoreError::Fenced)
}

/// The receipt of a commit that is stored.
async fn receipt(link: &mut Link, commit: &Commit) -> Result<Receipt, StoreError> {
    let mut receipt = Receipt::default();
    if commit.created.is_empty() {
        return Ok(receipt);
    }
    let mut sql = Sql::default();
    sql.raw("SELECT seq FROM orders WHERE seq IN (");
    let seqs = commit.created.iter().map(|order| order.seq.0);
    sql.numbers(seqs).raw(")");
    let rows = link.ask(sql.into_bytes()).await?;
    let stored = rows.iter().map(|row| read::column::<i64>(row, 0));
    let mut stored: Vec<i64> = stored.collect::<Result<_, _>>()?;
    stored.sort_unstable();
    let mut records = commit.keys.iter().peekable();
    for (at, order) in commit.created.iter().enumerate() {
        let record = records.next_if(|record| record.created == at);
        if stored.binary_search(&order.seq.0).is_ok() {
            continue;
        }
        receipt.collided.push(at);
        if let Some(record) = record
            && was_taken(link, commit, record).await?
        {
            receipt.keys_taken.push(at);
        }
    }
    Ok(receipt)
}

/// Whether a key counted for another order when its own was looked at. An order that is left out
/// because of its id gives its key back, and one behind it may have got it.
async fn was_taken(
    link: &mut Link,
    commit: &Commit,
    record: &KeyRecord,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM idempotency_keys
                WHERE scope = ? AND `key` = ? AND kept_at >= ?
                  AND (seq BETWEEN ? AND ?) IS NOT TRUE";
    let (own, last) = commit.seqs_from(record.created);
    let (key, expired_before) = (&record.key, commit.keys_expired_before.0);
    let values = (&*key.scope, &*key.key, expired_before, own.0, last.0);
    Ok(!link.query(sql, values).await?.is_empty())
}
