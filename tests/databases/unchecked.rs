//! SQL behind a store's back, whatever the CHECK constraints of the schema say to it.
//! For damage: what is asked for here, no orderd would write.

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
        ("mysql", _) if mysql::is_mariadb() => {
            mysql::run(url, &format!("SET check_constraint_checks = OFF; {sql}"))
        }
        // They cannot be passed over, so they are taken away for good.
        ("mysql", _) => {
            for forget in mysql::texts(url, CHECKS_OF_MYSQL) {
                mysql::run(url, &forget)?;
            }
            mysql::run(url, sql)
        }
        _ => postgres::run(url, FORGET_CHECKS).and_then(|_| postgres::run(url, sql)),
    }
}

/// The statements that take away the constraints of a database of MySQL.
const CHECKS_OF_MYSQL: &str =
    "SELECT concat('ALTER TABLE ', table_name, ' DROP CHECK ', constraint_name)
    FROM information_schema.table_constraints
    WHERE constraint_type = 'CHECK' AND constraint_schema = DATABASE()";

const FORGET_CHECKS: &str = "DO $$ DECLARE it record; BEGIN
    FOR it IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint
               WHERE contype = 'c' AND conrelid <> 0 LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', it.owner, it.conname);
    END LOOP; END $$";
