//! Opening a database: the lock on it, its schema, its settings, and what they are worth.
//!
//! Refuses rather than guesses: a newer schema, a second server, settings that do not keep a commit
//! safe.

use mysql_async::Row;

use super::connect::{Kind, Link, Target};
use super::read::column;
use crate::store::{Durability, StoreError};

mod migrations {
    refinery::embed_migrations!("migrations/mysql");
}

/// Seconds to wait for the lock: a server that has just ended may not be gone for the database.
pub(super) const LOCK_PATIENCE_S: i64 = 1;

/// Bytes that a request may have at least: the largest commits are nearly as large.
const PACKET_MIN: i64 = 16 << 20;

/// Takes the database for this connection: as long as it lives, no other server writes here. Locks
/// have names of at most 64 characters, and the server has one set of them for all its databases.
/// Not `MD5`: MySQL 9 has it no more.
pub(super) async fn lock(
    link: &mut Link,
    target: &Target,
    patience_s: i64,
) -> Result<(), StoreError> {
    let sql = "SELECT GET_LOCK(CONCAT('orderd.', LEFT(SHA2(DATABASE(), 256), 32)), ?)";
    let rows = link.query(sql, (patience_s,)).await?;
    let taken = rows.first().map(|row| column::<Option<i64>>(row, 0));
    if taken.transpose()?.flatten() == Some(1) {
        return Ok(());
    }
    Err(StoreError::InUse {
        database: target.name(),
    })
}

/// Brings the schema up to date, or refuses one that is newer, and a copy that is not complete.
/// Only who has the lock may do this.
pub(super) async fn migrate(link: &mut Link) -> Result<(), StoreError> {
    check_whole(link).await?;
    bring_up_to_date(link).await
}

/// The same for the copying itself.
pub(super) async fn bring_up_to_date(link: &mut Link) -> Result<(), StoreError> {
    check_server(link)?;
    let done = check_version(link).await?;
    let failed = |error| StoreError::Refused {
        detail: format!("migration failed: {}", super::error::text(&error)),
    };
    let history = "CREATE TABLE IF NOT EXISTS refinery_schema_history (
                     version int NOT NULL PRIMARY KEY, name varchar(255), applied_on varchar(255),
                     checksum varchar(255)) ENGINE = InnoDB";
    if done == 0 {
        link.batch(history).await.map_err(failed)?;
    }
    let runner = migrations::migrations::runner();
    let mut missing: Vec<_> = runner.get_migrations().iter().collect();
    missing.retain(|it| i64::from(it.version()) > i64::from(done));
    missing.sort_by_key(|it| it.version());
    for migration in missing {
        link.batch(migration.sql().unwrap_or_default())
            .await
            .map_err(failed)?;
        // Behind the migration, because neither server makes a table in a transaction.
        let sql = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                   VALUES (?, ?, DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ'), ?)";
        let (version, name) = (migration.version(), migration.name());
        let values = (version, name, migration.checksum().to_string());
        link.execute(sql, values).await.map_err(failed)?;
    }
    Ok(())
}

/// Refuses a server that is too old for what the schema and the statements need.
fn check_server(link: &Link) -> Result<(), StoreError> {
    let (product, min) = match link.kind {
        Kind::MySql => ("MySQL", (8, 0, 19)),
        Kind::MariaDb => ("MariaDB", (10, 6, 0)),
    };
    let mut numbers = link.version.split(['.', '-']).map(str::parse::<u32>);
    let mut number = || numbers.next().and_then(Result::ok).unwrap_or(0);
    if (number(), number(), number()) >= min {
        return Ok(());
    }
    let (major, minor, patch) = min;
    let detail = format!(
        "{product} {} is older than {major}.{minor}.{patch}",
        link.version
    );
    Err(StoreError::Refused { detail })
}

/// The version of the schema, 0 if there is none. Refuses one that is newer than this binary.
pub(super) async fn check_version(link: &mut Link) -> Result<u32, StoreError> {
    let (found, known) = versions(link).await?;
    if found > known {
        Err(StoreError::Newer { found, known })
    } else {
        Ok(found)
    }
}

/// Refuses a schema that is older than this binary, and a database without one.
pub(super) async fn check_migrated(link: &mut Link) -> Result<(), StoreError> {
    let (found, known) = versions(link).await?;
    if found < known {
        Err(StoreError::Older { found, known })
    } else {
        Ok(())
    }
}

/// The schema's version, 0 if there is none, and the newest that this binary knows.
async fn versions(link: &mut Link) -> Result<(u32, u32), StoreError> {
    let runner = migrations::migrations::runner();
    let known = runner.get_migrations().iter().map(|m| m.version()).max();
    let known = known.and_then(|version| u32::try_from(version).ok());
    let known = known.unwrap_or(0);
    if !has_table(link, "refinery_schema_history").await? {
        return Ok((0, known));
    }
    let sql = "SELECT CAST(coalesce(max(version), 0) AS SIGNED) FROM refinery_schema_history";
    let rows = link.query(sql, ()).await?;
    let found = rows.first().map_or(Ok(0), |row| column::<i64>(row, 0))?;
    Ok((u32::try_from(found).unwrap_or(u32::MAX), known))
}

/// Refuses a database into which a store was not copied to the end.
pub(super) async fn check_whole(link: &mut Link) -> Result<(), StoreError> {
    if has_table(link, "copying").await? {
        Err(StoreError::HalfCopied)
    } else {
        Ok(())
    }
}

pub(super) async fn has_table(link: &mut Link, name: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM information_schema.tables
                WHERE table_schema = DATABASE() AND table_name = ?";
    Ok(!link.query(sql, (name,)).await?.is_empty())
}

/// The settings of a server that decide what a commit is worth.
struct Settings(Vec<(String, String)>);

impl Settings {
    async fn read(link: &mut Link) -> Result<Self, StoreError> {
        let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN
                   ('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'innodb_flush_method',
                    'log_bin', 'sync_binlog', 'max_allowed_packet')";
        let rows = link.query(sql, ()).await?;
        let pair = |row: &Row| Ok((column(row, 0)?, column(row, 1)?));
        rows.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// The value of a setting in small letters; empty if this server does not have it.
    fn value(&self, name: &str) -> String {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or_else(String::new, |(_, value)| value.to_ascii_lowercase())
    }

    /// Fails unless a setting is safe.
    fn demand(&self, name: &str, is_safe: bool, why: &str) -> Result<(), StoreError> {
        if is_safe {
            return Ok(());
        }
        let detail = format!("the server says {name} = {}: {why}", self.value(name));
        Err(StoreError::NotDurable { detail })
    }
}

/// Reads the settings that decide what a commit is worth.
pub(super) async fn durability(link: &mut Link) -> Result<Durability, StoreError> {
    let settings = Settings::read(link).await?;
    settings.demand(
        "innodb_flush_log_at_trx_commit",
        settings.value("innodb_flush_log_at_trx_commit") == "1",
        "a commit does not wait for the disk; it must be 1",
    )?;
    settings.demand(
        "innodb_doublewrite",
        !["off", "0", "detect_only"].contains(&&*settings.value("innodb_doublewrite")),
        "a page that was half written cannot be repaired; it must be ON",
    )?;
    settings.demand(
        "innodb_flush_method",
        !["nosync", "littlesync"].contains(&&*settings.value("innodb_flush_method")),
        "nothing survives power loss; it must be O_DIRECT or fsync",
    )?;
    let has_log = ["on", "1"].contains(&&*settings.value("log_bin"));
    settings.demand(
        "sync_binlog",
        !has_log || settings.value("sync_binlog") == "1",
        "with log_bin = ON a commit that is not in the binary log yet is undone after power loss; \
         it must be 1",
    )?;
    let packet = settings.value("max_allowed_packet");
    if packet.parse().is_ok_and(|bytes: i64| bytes < PACKET_MIN) {
        let detail = format!(
            "the server says max_allowed_packet = {packet}: a commit may not fit; it must be at \
             least {PACKET_MIN}"
        );
        return Err(StoreError::Refused { detail });
    }
    let product = match link.kind {
        Kind::MySql => "MySQL",
        Kind::MariaDb => "MariaDB",
    };
    let version = link.version.split('-').next().unwrap_or_default();
    let binary_log = if has_log { ", sync_binlog=1" } else { "" };
    let detail = format!(
        "{product} {version}, innodb_flush_log_at_trx_commit=1, innodb_doublewrite={}{binary_log}: \
         every answer waits for the disk",
        settings.value("innodb_doublewrite")
    );
    Ok(Durability {
        level: "disk",
        detail,
    })
}
