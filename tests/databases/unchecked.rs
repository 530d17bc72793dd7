//! SQL behind a store's back, whatever the CHECK constraints of the schema say to it.
//! For damage: what is asked for here, no orderd would write.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::databases::{mysql, postgres};

/// Runs SQL in the database of a URL. Answers how many rows it touched.
pub fn run(url: &str, sql: &str) -> Result<u64, String> {
    match url.split_once(':').unwrap() {
        ("sqlite", path) => {
            let connection = rusqlite::Connection::open(path).unwrap();
            let anything = "PRAGMA ignore_check_constraints = ON; PRAGMA busy_timeout = 5000";
            connection.execute_batch(anything).unwrap();
            let changed = connection.execute(sql, []).map(|rows| rows as u64);
            changed.map_err(|error| error.to_string())
        }
        // There they cannot be passed over, so they are taken away for good.
        ("mysql", _) => mysql::on(url, async |conn| forget_checks(conn).await)
            .and_then(|()| mysql::run(url, sql)),
        _ => postgres::run(url, FORGET_CHECKS).and_then(|_| postgres::run(url, sql)),
    }
}

/// Takes away the constraints of a database, in words that MySQL and MariaDB share.
async fn forget_checks(conn: &mut Conn) -> Result<(), mysql_async::Error> {
    let forget = "SELECT concat('ALTER TABLE ', table_name, ' DROP CONSTRAINT ', constraint_name)
        FROM information_schema.table_constraints
        WHERE constraint_type = 'CHECK' AND constraint_schema = DATABASE()";
    for forget in conn.query::<String, _>(forget).await? {
        conn.query_drop(forget).await?;
    }
    Ok(())
}

const FORGET_CHECKS: &str = "DO $$ DECLARE it record; BEGIN
    FOR it IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint
               WHERE contype = 'c' AND conrelid <> 0 LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', it.owner, it.conname);
    END LOOP; END $$";
