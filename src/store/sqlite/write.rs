//! The writer: one connection, one kind of transaction.
//!
//! Whatever fails before COMMIT is rolled back and is not stored. After a COMMIT, a write or a
//! flush that failed, the handle is not to be used again, and the fate of the commit counts as
//! unknown. Decides nothing but: is the epoch the shard's, is the id free.

use rusqlite::hooks::Wal;
use rusqlite::{CachedStatement, Connection, ErrorCode, params};

use super::checkpoint::{self, Watch};
use super::insert;
use super::keys;
use super::read;
use super::row::{self, StateColumns};
use crate::faults::{self, Bug};
use crate::order::{Beside, Changed, Commit, Opening, Position, Receipt, Seq, ShardNumber};
use crate::store::{ShardHead, StoreError, journal};

/// The connection that writes, and the head of the journal's hash chain.
pub(super) struct Writer {
    pub(super) connection: Connection,
    watch: Watch,
    /// The shard that was opened, the position of its last commit and the hash of that journal row.
    pub(super) head: Option<Head>,
    /// The epoch under which it was opened.
    epoch: i64,
}

/// A shard, the position of its last commit, and the hash of that journal row.
pub(super) type Head = (ShardNumber, Position, [u8; 32]);

impl Writer {
    pub(super) fn new(mut connection: Connection, watch: Watch) -> Result<Self, StoreError> {
        let told = watch.clone();
        let hooked = connection.wal_hook(Some(move |_: &mut Wal, pages| {
            told.log_has(u64::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        hooked.map_err(row::refused)?;
        Ok(Self {
            connection,
            watch,
            head: None,
            epoch: 0,
        })
    }

    /// Copies the rest of the log into the database.
    pub(super) fn checkpoint(&self) {
        if self.watch.is_spoiled() {
            return;
        }
        if self.watch.copied(checkpoint::copy(&self.connection)) {
            faults::point("checkpoint-finished");
            self.watch.log_has(0);
        }
    }

    pub(super) fn open_shard(&mut self, shard: ShardNumber) -> Result<Opening, StoreError> {
        let opening = self.transaction(|connection| {
            raise_epoch(connection, shard).map_err(row::broken_off)?;
            faults::point("opening-epoch-raised");
            let head = read::head(connection, shard)?;
            let missing = || StoreError::Refused {
                detail: "no row for the shard".into(),
            };
            let ShardHead {
                epoch,
                position,
                hash,
                last_seq,
            } = head.ok_or_else(missing)?;
            let last_at = read::written_at(connection, position)?;
            let tallies = read::tallies(connection, shard)?;
            let definitions = read::definitions(connection)?;
            Ok((
                Opening {
                    epoch,
                    last_seq,
                    position,
                    last_at,
                    tallies,
                    definitions,
                },
                hash,
            ))
        });
        let (opening, hash) = opening?;
        faults::point("opening-epoch-stored");
        self.head = Some((shard, opening.position, hash));
        self.epoch = opening.epoch;
        Ok(opening)
    }

    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Receipt, StoreError> {
        let Some((shard, _, before)) = self.head.filter(|head| head.0 == commit.shard) else {
            return Err(StoreError::Fenced);
        };
        if self.watch.is_spoiled() {
            let detail = "a flush failed beside the commits".into();
            return Err(StoreError::Unknown { detail });
        }
        let (receipt, hash) = self.transaction(|connection| write(connection, commit, &before))?;
        faults::point("commit-flushed");
        self.head = Some((shard, commit.position, hash));
        Ok(receipt)
    }

    /// A small transaction beside the commits, under their fence. One whose fate is unknown is for
    /// the next commit to find out: nothing more is written before everything was opened anew.
    pub(super) fn beside<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if self.watch.is_spoiled() {
            let detail = "a flush failed, and the store is not open anew yet".into();
            return Err(StoreError::Refused { detail });
        }
        let (shard, ..) = self.head.ok_or(StoreError::Fenced)?;
        let done = self.transaction(|connection| {
            let head = read::head(connection, shard)?;
            if head.is_none_or(|head| head.epoch != self.epoch) {
                return Err(StoreError::Fenced);
            }
            work(connection).map_err(row::broken_off)
        });
        if let Err(StoreError::Unknown { .. }) = &done {
            self.watch.spoil();
        }
        done
    }

    fn transaction<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let run = |sql| self.connection.prepare_cached(sql)?.execute([]);
        faults::point("commit-begins");
        run("BEGIN IMMEDIATE").map_err(row::broken_off)?;
        faults::point("commit-begun");
        let done = work(&self.connection);
        let result = match done {
            Ok(_) if faults::fails("commit-lost") => Err(pretended()),
            Ok(value) => match run("COMMIT") {
                Ok(_) if faults::fails("commit-unheard") => Err(pretended()),
                Ok(_) => return Ok(value),
                Err(_) if faults::is_planted(Bug::FlushErrorIgnored) => return Ok(value),
                Err(error) => Err(commit_error(error)),
            },
            Err(error) => Err(error),
        };
        if !self.connection.is_autocommit()
            && let Err(error) = run("ROLLBACK")
        {
            return Err(StoreError::Unknown {
                detail: error.to_string(),
            });
        }
        result
    }
}

/// What a test build that is to fail says.
fn pretended() -> StoreError {
    StoreError::Unknown {
        detail: "a failure was asked for".into(),
    }
}

/// A failed COMMIT: only a lack of room and a busy file are known to have stored nothing.
fn commit_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => row::refused(error),
        _ => {
            let (is_full, detail) = (row::is_over_quota(&error), error.to_string());
            match is_full {
                true => StoreError::Full { detail },
                false => StoreError::Unknown { detail },
            }
        }
    }
}

fn raise_epoch(connection: &Connection, shard: ShardNumber) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO shards (shard, epoch, position, hash, last_seq) VALUES (?1, 1, ?2, ?3, ?2)
               ON CONFLICT (shard) DO UPDATE SET epoch = epoch + 1";
    connection.execute(sql, params![shard.0, shard.base(), journal::GENESIS])?;
    Ok(())
}

fn write(
    connection: &Connection,
    commit: &Commit,
    before: &[u8; 32],
) -> Result<(Receipt, [u8; 32]), StoreError> {
    check_fence(connection, commit)?;
    define_processes(connection, commit).map_err(row::broken_off)?;
    let receipt = insert::orders(connection, commit).map_err(row::broken_off)?;
    faults::point("commit-orders-written");
    keys::claim_changes(connection, commit).map_err(row::broken_off)?;
    keys::prune(connection, commit).map_err(row::broken_off)?;
    let collided = &receipt.collided;
    update_orders(connection, commit).map_err(row::broken_off)?;
    faults::point("commit-changes-written");
    write_outputs(connection, commit).map_err(row::broken_off)?;
    update_tallies(connection, commit, collided).map_err(row::broken_off)?;
    if faults::is_planted(Bug::JournalInAnotherTransaction) {
        connection
            .execute_batch("COMMIT; BEGIN")
            .map_err(row::broken_off)?;
    }
    faults::point("commit-tallies-written");
    let hash = append_journal(connection, commit, collided, before).map_err(row::broken_off)?;
    faults::point("commit-journal-written");
    advance_head(connection, commit, &hash)?;
    faults::point("commit-ends");
    Ok((receipt, hash))
}

fn define_processes(connection: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    for process in &commit.definitions {
        let sql = "INSERT INTO processes (name, version, definition) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO NOTHING";
        let definition = serde_json::to_string(process)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        connection.execute(sql, params![&*process.name, process.version, definition])?;
    }
    Ok(())
}

fn update_orders(connection: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    if commit.changed.is_empty() {
        return Ok(());
    }
    let mut update = connection.prepare_cached(
        "UPDATE orders SET status = ?2, version = ?3, step = ?4, attempt = ?5, started_at = ?6,
                           updated_at = ?7, due_at = ?8, lease = ?9, target = ?10, ended_at = ?11,
                           reason = ?12, position = ?13
          WHERE seq = ?1",
    )?;
    for changed in &commit.changed {
        if let Some(beside) = &changed.beside {
            // First, because an order that has ended must have no hold.
            update_beside(connection, changed.seq, beside)?;
        }
        if changed.keeps_reason {
            let sql = "UPDATE orders SET status = ?2, version = ?3, step = ?4, attempt = ?5,
                              started_at = ?6, updated_at = ?7, due_at = ?8, lease = ?9,
                              target = ?10, ended_at = ?11, reason = coalesce(?12, reason),
                              position = ?13
                        WHERE seq = ?1";
            write_state(&mut connection.prepare_cached(sql)?, changed)?;
        } else {
            write_state(&mut update, changed)?;
        }
    }
    Ok(())
}

fn write_state(update: &mut CachedStatement<'_>, changed: &Changed) -> rusqlite::Result<()> {
    let state = &changed.state;
    let columns = StateColumns::of(state.status);
    let written = update.execute(params![
        changed.seq.0,
        columns.status,
        state.version,
        &*state.step,
        state.attempt,
        state.started_at.map(|time| time.0),
        state.updated_at.0,
        columns.due_at,
        columns.lease,
        columns.target,
        columns.ended_at,
        state.reason.as_deref(),
        state.position.0,
    ]);
    written.map(drop)
}

/// What seldom changes is not part of the statement that runs for every change.
fn update_beside(connection: &Connection, seq: Seq, beside: &Beside) -> rusqlite::Result<()> {
    let sql = "UPDATE orders SET priority = ?2, hold = ?3, marks = ?4 WHERE seq = ?1";
    let mut update = connection.prepare_cached(sql)?;
    let hold = beside.hold.as_ref().map(row::hold_text);
    let marks = row::marks_text(&beside.marks);
    let written = update.execute(params![seq.0, beside.priority.number(), hold, marks]);
    written.map(drop)
}

fn write_outputs(connection: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    if commit.outputs.is_empty() {
        return Ok(());
    }
    let mut write = connection.prepare_cached(
        "INSERT INTO step_outputs (seq, number, step, output) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (seq, number) DO UPDATE SET step = ?3, output = ?4",
    )?;
    for it in &commit.outputs {
        let (step, output) = (&*it.output.step, &*it.output.output);
        write.execute(params![it.seq.0, it.number, step, output])?;
    }
    Ok(())
}

fn update_tallies(
    connection: &Connection,
    commit: &Commit,
    collided: &[usize],
) -> rusqlite::Result<()> {
    let shard = commit.shard.0;
    let mut add = connection.prepare_cached(
        "INSERT INTO tally (shard, process, status, priority, orders)
         VALUES (?1, ?2, ?3, ?4, max(?5, 0))
         ON CONFLICT (shard, process, status, priority) DO UPDATE SET orders = orders + ?5",
    )?;
    // A sum that ran over would turn into a float, which the column does not take.
    let mut add_times = connection.prepare_cached(
        "INSERT INTO tally_times (shard, process, work_us, turnaround_s)
         VALUES (?1, ?2, max(?3, 0), max(?4, 0))
         ON CONFLICT (shard, process) DO UPDATE SET
           work_us = CASE WHEN work_us > 9223372036854775807 - ?3 THEN 9223372036854775807
                          ELSE work_us + ?3 END,
           turnaround_s = CASE WHEN turnaround_s > 9223372036854775807 - ?4
                               THEN 9223372036854775807 ELSE turnaround_s + ?4 END",
    )?;
    for change in commit.tally_changes(collided).iter() {
        for (status, priority, orders) in change.tally.nonzero() {
            let (status, priority) = (status.number(), priority.number());
            add.execute(params![shard, &*change.process, status, priority, orders])?;
        }
        if (change.work_us, change.turnaround_s) != (0, 0) {
            let (work_us, turnaround_s) = (change.work_us, change.turnaround_s);
            add_times.execute(params![shard, &*change.process, work_us, turnaround_s])?;
        }
    }
    Ok(())
}

fn append_journal(
    connection: &Connection,
    commit: &Commit,
    collided: &[usize],
    before: &[u8; 32],
) -> rusqlite::Result<[u8; 32]> {
    let entries = journal::encode(commit.at, commit.surviving_events(collided));
    let hash = journal::hash(before, commit.position, commit.epoch, commit.at, &entries);
    let mut append = connection.prepare_cached(
        "INSERT INTO journal (position, epoch, at, entries, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    append.execute(params![
        commit.position.0,
        commit.epoch,
        commit.at.0,
        entries,
        hash
    ])?;
    Ok(hash)
}

/// Refuses a commit of an epoch that is over, or one that does not follow the head, before anything
/// in it can be refused for another reason.
fn check_fence(connection: &Connection, commit: &Commit) -> Result<(), StoreError> {
    if faults::is_planted(Bug::NoFenceInStore) {
        return Ok(());
    }
    let sql = "SELECT 1 FROM shards WHERE shard = ?1 AND epoch = ?2 AND position = ?3 - 1";
    let mut statement = connection.prepare_cached(sql).map_err(row::broken_off)?;
    let (shard, epoch, position) = (commit.shard.0, commit.epoch, commit.position.0);
    let is_current = statement.exists(params![shard, epoch, position]);
    if is_current.map_err(row::broken_off)? {
        Ok(())
    } else {
        Err(StoreError::Fenced)
    }
}

/// Moves the shard's head.
fn advance_head(
    connection: &Connection,
    commit: &Commit,
    hash: &[u8; 32],
) -> Result<(), StoreError> {
    let mut advance = connection
        .prepare_cached(
            "UPDATE shards SET position = ?2, hash = ?3, last_seq = max(last_seq, ?4)
              WHERE shard = ?1",
        )
        .map_err(row::broken_off)?;
    let last_seq = commit
        .created
        .last()
        .map_or(Seq::default(), |created| created.seq);
    let (shard, position) = (commit.shard.0, commit.position.0);
    let moved = advance.execute(params![shard, position, hash, last_seq.0]);
    moved.map(drop).map_err(row::broken_off)
}
