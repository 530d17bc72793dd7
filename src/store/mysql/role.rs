//! What connections are for, and the settings of their sessions.
//! Nothing here depends on what the server's own settings are.

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Commits.
    Writer,
    /// Questions.
    Reader,
    /// Writing what is kept beside orders.
    Clerk,
    /// Going through everything once.
    Snapshot,
    /// Moving everything here or from here.
    Moving,
}

impl Role {
    /// Settings of the session, beside those of all.
    pub(super) fn settings(self) -> &'static str {
        match self {
            // A lock that is not given in time is a definite refusal, before anybody calls the
            // connection lost. The server ends a session that says nothing for long: whoever had
            // it is gone, and a standby waits for its lock. One that lives says something every
            // second.
            Self::Writer => {
                "SET SESSION autocommit = 1, sql_safe_updates = 0,
                             wait_timeout = 5, net_read_timeout = 5, net_write_timeout = 5;
                 SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
            }
            Self::Clerk => {
                "SET SESSION autocommit = 1, sql_safe_updates = 0, wait_timeout = 31536000;
                 SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
            }
            // What steps said is gathered into one text; it must not be cut off.
            Self::Reader => {
                "SET SESSION group_concat_max_len = 1073741824, wait_timeout = 31536000;
                 SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY"
            }
            // The other side may take its time. A number is what it is, even if it is 0.
            Self::Moving => {
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO', autocommit = 1,
                             sql_safe_updates = 0, wait_timeout = 31536000,
                             net_read_timeout = 3600, net_write_timeout = 3600;
                 SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
            }
            Self::Snapshot => {
                "SET SESSION group_concat_max_len = 1073741824, wait_timeout = 31536000;
                 SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            }
        }
    }
}

/// Settings of every session: texts are compared byte for byte, values that do not fit are refused,
/// no answer is cut off, and errors have the words that `error` knows.
pub(super) const SETTINGS: &str = "SET NAMES utf8mb4 COLLATE utf8mb4_bin;
    SET SESSION sql_mode = 'STRICT_ALL_TABLES', sql_select_limit = 18446744073709551615,
                lc_messages = 'en_US'";
