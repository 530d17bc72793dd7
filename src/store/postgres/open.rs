//! Opening a database: the lock on it, its schema, its settings, and what they are worth.
//!
//! Refuses rather than guesses: a newer schema, a second server, settings that do not keep a commit
//! safe.

use std::time::Duration;

use tokio_postgres::Client;

use super::connect::{Link, Target};
use super::error::{self, refused, unreadable};
use crate::store::{Durability, StoreError};

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// The advisory lock that a server holds as long as it writes: "orderd" as a number.
const LOCK: i64 = 0x6f72_6465_7264;

/// A server that was not heard of for so long, and has nothing at work, is gone.
const SILENCE: Duration = Duration::from_secs(5);

/// How long to wait for the lock: a server that has just ended may not be gone for the database.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Pause after the first try. The next ones are longer.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Longest pause between two tries.
const LOCK_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Takes the database for this connection: as long as it lives, no other server writes here.
pub(super) async fn lock(link: &Link, target: &Target) -> Result<(), StoreError> {
    let take = async {
        let mut pause = LOCK_PAUSE;
        loop {
            let sql = "SELECT pg_try_advisory_lock($1)";
            let row = link.client.query_one(sql, &[&LOCK]).await;
            if row.and_then(|row| row.try_get(0)).map_err(refused)? {
                return Ok(());
            }
            end_silent(&link.client, target.timeouts.commit * 2 + SILENCE).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOCK_PAUSE_MAX);
        }
    };
    let in_use = |_| StoreError::InUse {
        database: target.name(),
    };
    let taken = tokio::time::timeout(LOCK_PATIENCE, take).await;
    taken.map_err(in_use)?
}

/// Ends the session of a server that holds the lock and is heard of no more: it lost its network or
/// its power, and the database would wait for it for hours. A server that lives says something
/// every second; something at work has `work_max`, after which its server has given it up.
async fn end_silent(client: &Client, work_max: Duration) {
    let sql =
        "SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND (l.classid::bigint << 32 | l.objid::bigint) = $1
                  AND a.application_name = 'orderd'
                  AND clock_timestamp() - a.state_change > make_interval(secs =>
                        CASE WHEN a.state = 'active' THEN $3::float8 ELSE $2::float8 END)";
    let (silence, work) = (SILENCE.as_secs_f64(), work_max.as_secs_f64());
    let ended = client.query(sql, &[&LOCK, &silence, &work]).await;
    match ended.as_deref() {
        Ok([]) => {}
        Ok(_) => tracing::warn!("the session of a server that was heard of no more is ended"),
        // It may not be ours to end; then it is waited for.
        Err(error) => {
            let error = error::text(error);
            tracing::warn!(%error, "the session of a server that is silent cannot be ended");
        }
    }
}

/// Brings the schema up to date, or refuses one that is newer, and a copy that is not complete.
/// Only who has the lock may do this.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    check_whole(client).await?;
    bring_up_to_date(client).await
}

/// The same for the copying itself.
pub(super) async fn bring_up_to_date(client: &mut Client) -> Result<(), StoreError> {
    check_encoding(client).await?;
    check_version(client).await?;
    // In one transaction with the row that says so: a start that breaks off leaves nothing.
    let runner = migrations::migrations::runner().set_grouped(true);
    let report = runner.run_async(client).await;
    report.map_err(|error| StoreError::Refused {
        detail: format!("migration failed: {error}"),
    })?;
    Ok(())
}

/// A setting of the server.
async fn setting(client: &Client, name: &str) -> Result<String, StoreError> {
    let sql = "SELECT coalesce(current_setting($1, true), '')";
    let row = client.query_one(sql, &[&name]).await.map_err(unreadable)?;
    row.try_get(0).map_err(unreadable)
}

async fn check_encoding(client: &Client) -> Result<(), StoreError> {
    let encoding = setting(client, "server_encoding").await?;
    if encoding == "UTF8" {
        return Ok(());
    }
    let detail = format!("the database has the encoding {encoding}; it must be UTF8");
    Err(StoreError::Refused { detail })
}

/// Refuses a schema that is newer than this binary.
pub(super) async fn check_version(client: &Client) -> Result<(), StoreError> {
    let (found, known) = versions(client).await?;
    if found > known {
        Err(StoreError::Newer { found, known })
    } else {
        Ok(())
    }
}

/// Refuses a schema that is older than this binary, and a database without one.
pub(super) async fn check_migrated(client: &Client) -> Result<(), StoreError> {
    let (found, known) = versions(client).await?;
    if found < known {
        Err(StoreError::Older { found, known })
    } else {
        Ok(())
    }
}

/// The schema's version, 0 if there is none, and the newest that this binary knows.
async fn versions(client: &Client) -> Result<(u32, u32), StoreError> {
    let runner = migrations::migrations::runner();
    let known = runner.get_migrations().iter().map(|m| m.version()).max();
    let known = known.and_then(|version| u32::try_from(version).ok());
    let known = known.unwrap_or(0);
    if !has_table(client, "refinery_schema_history").await? {
        return Ok((0, known));
    }
    let sql = "SELECT coalesce(max(version), 0)::bigint FROM refinery_schema_history";
    let row = client.query_one(sql, &[]).await.map_err(unreadable)?;
    let found: i64 = row.try_get(0).map_err(unreadable)?;
    Ok((u32::try_from(found).unwrap_or(u32::MAX), known))
}

/// Refuses a database into which a store was not copied to the end.
pub(super) async fn check_whole(client: &Client) -> Result<(), StoreError> {
    if has_table(client, "copying").await? {
        Err(StoreError::HalfCopied)
    } else {
        Ok(())
    }
}

async fn has_table(client: &Client, name: &str) -> Result<bool, StoreError> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    let row = client.query_one(sql, &[&name]).await;
    row.and_then(|row| row.try_get(0)).map_err(unreadable)
}

/// Reads the settings that decide what a commit is worth.
pub(super) async fn durability(client: &Client) -> Result<Durability, StoreError> {
    for (name, why) in [
        ("fsync", "nothing survives power loss"),
        ("full_page_writes", "a torn page cannot be repaired"),
        ("synchronous_commit", "a commit does not wait for the disk"),
    ] {
        if setting(client, name).await? == "off" {
            let detail = format!("PostgreSQL says {name} = off: {why}; it must be on");
            return Err(StoreError::NotDurable { detail });
        }
    }
    let version = setting(client, "server_version").await?;
    let version = version.split(' ').next().unwrap_or_default();
    let commit = setting(client, "synchronous_commit").await?;
    let standbys = setting(client, "synchronous_standby_names").await?;
    let mut detail = format!(
        "PostgreSQL {version}, fsync=on, full_page_writes=on, synchronous_commit={commit}: every \
         answer waits for the disk"
    );
    if !standbys.is_empty() && commit != "local" {
        detail.push_str(" and for the standbys ");
        detail.push_str(&standbys);
    }
    Ok(Durability {
        level: "disk",
        detail,
    })
}
