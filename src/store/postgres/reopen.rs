//! Opening a shard, and finding out what became of a commit whose fate is unknown.
//!
//! Before anything is said about a lost commit the epoch is raised: the lost one either holds the
//! shard's row, and then this waits for its end, or comes too late for ever.

use super::connect::Link;
use super::error::{lost, refused};
use super::read;
use super::tail::small;
use super::write::{BEGIN, Head, Writer};
use crate::order::{Commit, KeyRecord, Opening, Position, Receipt, ShardNumber};
use crate::store::{ShardHead, StoreError, journal};

impl Writer {
    pub(super) async fn open_shard(&mut self, shard: ShardNumber) -> Result<Opening, StoreError> {
        let link = &self.link;
        link.client.batch_execute(BEGIN).await.map_err(refused)?;
        let opened = async {
            raise_epoch(link, shard).await?;
            opening(link, shard).await
        };
        let (opening, hash) = finish(link, opened.await).await?;
        self.take_head(shard, &opening, hash);
        Ok(opening)
    }

    fn take_head(&mut self, shard: ShardNumber, opening: &Opening, hash: [u8; 32]) {
        self.head = Some((shard, opening.position, hash));
        self.epoch = opening.epoch;
        self.raises = 0;
        self.is_lost = false;
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
        let (shard, position, hash) = known.ok_or(StoreError::Fenced)?;
        let link = &self.link;
        link.client.batch_execute(BEGIN).await.map_err(refused)?;
        let found = async {
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
        };
        let found = found.await;
        if found.is_ok() {
            // Should the answer to COMMIT not come, it may be raised already the next time.
            self.raises += 1;
        }
        let (opening, fate, hash) = finish(link, found).await?;
        self.take_head(shard, &opening, hash);
        Ok((opening, fate))
    }
}

/// Commits what was done, or undoes what failed.
async fn finish<T>(link: &Link, done: Result<T, StoreError>) -> Result<T, StoreError> {
    if done.is_ok() {
        let committed = link.client.batch_execute("COMMIT").await;
        committed.map_err(|error| lost(&error))?;
        link.check_standbys()?;
    } else {
        drop(link.client.batch_execute("ROLLBACK").await);
    }
    done
}

async fn raise_epoch(link: &Link, shard: ShardNumber) -> Result<(), StoreError> {
    let sql = "INSERT INTO shards (shard, epoch, position, hash, last_seq, lingering_to)
               VALUES ($1, 1, $2, $3, $2, $2)
               ON CONFLICT (shard) DO UPDATE SET epoch = shards.epoch + 1";
    let (number, base, genesis) = (small(shard)?, shard.base(), journal::GENESIS.as_slice());
    let raised = link.client.execute(sql, &[&number, &base, &genesis]).await;
    raised.map_err(refused)?;
    catch_up(link, number).await
}

/// Writes down which open orders are old, if many were stored in another way than by commits. In
/// pieces, because a statement may not take as long as one likes.
async fn catch_up(link: &Link, shard: i16) -> Result<(), StoreError> {
    let sql = "WITH head AS MATERIALIZED (
                 SELECT lingering_to AS since,
                        least(greatest(lingering_to, shard::bigint << 48) + 262144,
                              last_seq - 16384) AS until
                   FROM shards WHERE shard = $1),
               lingered AS (
                 INSERT INTO lingering (seq)
                 SELECT o.seq FROM head, orders o
                  WHERE o.seq > head.since AND o.seq <= head.until AND o.ended_at IS NULL)
               UPDATE shards SET lingering_to = head.until
                 FROM head WHERE shard = $1 AND head.until > head.since";
    let mut moved = 1;
    while moved > 0 {
        let done = link.client.execute(sql, &[&shard]).await;
        moved = done.map_err(refused)?;
    }
    Ok(())
}

/// Where a shard stands, for who has raised its epoch.
async fn opening(link: &Link, shard: ShardNumber) -> Result<(Opening, [u8; 32]), StoreError> {
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
async fn locked_head(link: &Link, shard: ShardNumber) -> Result<ShardHead, StoreError> {
    let sql = "SELECT 1 FROM shards WHERE shard = $1 FOR UPDATE";
    let locked = link.client.execute(sql, &[&small(shard)?]).await;
    locked.map_err(refused)?;
    let head = read::head(link, shard).await?;
    head.ok_or(StoreError::Fenced)
}

/// The receipt of a commit that is stored.
async fn receipt(link: &Link, commit: &Commit) -> Result<Receipt, StoreError> {
    let seqs: Vec<i64> = commit.created.iter().map(|order| order.seq.0).collect();
    let sql = "SELECT seq FROM orders WHERE seq = ANY ($1)";
    let rows = link.query(sql, &[&seqs]).await?;
    let stored = rows.iter().map(|row| read::column::<i64>(row, 0));
    let mut stored: Vec<i64> = stored.collect::<Result<_, _>>()?;
    stored.sort_unstable();
    let mut receipt = Receipt::default();
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
async fn was_taken(link: &Link, commit: &Commit, record: &KeyRecord) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM idempotency_keys
                WHERE scope = $1 AND key = $2 AND kept_at >= $3
                  AND (seq BETWEEN $4 AND $5) IS NOT TRUE";
    let (own, last) = commit.seqs_from(record.created);
    let (key, expired_before) = (&record.key, commit.keys_expired_before.0);
    let values = &[
        &&*key.scope as _,
        &&*key.key as _,
        &expired_before as _,
        &own.0 as _,
        &last.0 as _,
    ];
    Ok(!link.query(sql, values).await?.is_empty())
}
