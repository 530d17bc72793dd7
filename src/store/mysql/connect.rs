//! Connections: where to, with which settings, and what is sent over them.
//!
//! Shows passwords to nobody: a database is named by host, port and name only.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts, Params, Row};

pub(super) use super::role::Role;
use super::role::SETTINGS;
use super::{error, url};
use crate::clock;
use crate::store::{StoreError, Timeouts};

/// A connection that was answered on less than this ago is taken to be there. Between the commits
/// of a busy server less time passes.
const FRESH: Duration = Duration::from_millis(1);

/// Longest wait for a sign of life.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// A database, and how to get there.
#[derive(Clone)]
pub(super) struct Target {
    options: Opts,
    /// Without TLS, if the server has none.
    plain: Option<Opts>,
    pub(super) timeouts: Timeouts,
    /// For people.
    name: Arc<str>,
}

impl Target {
    /// Reads a URL, and the certificates that it names.
    pub(super) fn of_url(text: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        let url::Parts {
            options,
            plain,
            name,
        } = url::read(text)?;
        let name = name.into();
        Ok(Self {
            options,
            plain,
            timeouts,
            name,
        })
    }

    /// The database for people, `orders on db.internal:3306`.
    pub(super) fn name(&self) -> String {
        self.name.to_string()
    }

    /// Makes a connection.
    pub(super) async fn connect(&self, role: Role) -> Result<Link, StoreError> {
        let unreachable = |detail: String| StoreError::Unreachable {
            database: self.name(),
            detail,
        };
        let connecting = async {
            let conn = match (Conn::new(self.options.clone()).await, &self.plain) {
                (Err(Error::Driver(DriverError::NoClientSslFlagFromServer)), Some(plain)) => {
                    Conn::new(plain.clone()).await
                }
                (connected, _) => connected,
            };
            Link::set_up(conn?, role, self.timeouts).await
        };
        let patience = self.timeouts.connect;
        let connected = tokio::time::timeout(patience, connecting).await;
        let late = |_| unreachable(format!("no answer within {} s", patience.as_secs_f32()));
        connected
            .map_err(late)?
            .map_err(|error| unreachable(error::text(&error)))
    }
}

/// Which server it is. Only where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    MySql,
    MariaDb,
}

/// A session of the server: it holds a lock with a name that nobody else uses, because sessions are
/// numbered anew when the server starts.
#[derive(Clone, Default)]
pub(super) struct Session(Option<String>);

/// A connection.
pub(super) struct Link {
    conn: Conn,
    pub(super) kind: Kind,
    /// What the server says of itself, `10.11.6-MariaDB`.
    pub(super) version: String,
    pub(super) session: Session,
    /// Longest request that the server takes, in bytes.
    packet_max: usize,
    answered_at: Instant,
    is_ended: bool,
}

/// Why a transaction that was sent in one go is not done, or may be.
pub(super) enum Failed {
    /// It has so many bytes, more than the server takes, and was not sent.
    Unsent(usize),
    /// A statement before the last one failed: COMMIT was not looked at.
    Statement(Error),
    /// The last one failed.
    Commit(Error),
}

impl Link {
    async fn set_up(mut conn: Conn, role: Role, timeouts: Timeouts) -> Result<Self, Error> {
        conn.query_drop(format!("{SETTINGS}; {}", role.settings()))
            .await?;
        let sql = "SELECT VERSION(), CAST(@@max_allowed_packet AS CHAR), UUID()";
        let about: Option<(String, String, String)> = conn.query_first(sql).await?;
        let (version, packet_max, token) = about.unwrap_or_default();
        let is_mariadb = version.contains("MariaDB");
        let mut link = Self {
            conn,
            kind: if is_mariadb {
                Kind::MariaDb
            } else {
                Kind::MySql
            },
            version,
            session: Session::default(),
            packet_max: packet_max.parse().unwrap_or(usize::MAX),
            answered_at: clock::monotonic(),
            is_ended: false,
        };
        match (role, link.kind) {
            (Role::Writer, _) => {
                link.conn.exec_drop("DO GET_LOCK(?, 0)", (&token,)).await?;
                link.session = Session(Some(token));
                link.limit_locks(timeouts.statement()).await?;
            }
            (Role::Reader, Kind::MariaDb) => {
                let seconds = timeouts.read.as_secs_f64();
                let limit = format!("SET SESSION max_statement_time = {seconds}");
                link.conn.query_drop(limit).await?;
            }
            (Role::Reader, Kind::MySql) => {
                let millis = timeouts.read.as_millis();
                let limit = format!("SET SESSION max_execution_time = {millis}");
                link.conn.query_drop(limit).await?;
            }
            (Role::Snapshot | Role::Moving, Kind::MariaDb) => {
                link.conn
                    .query_drop("SET SESSION max_statement_time = 0")
                    .await?;
            }
            (Role::Snapshot | Role::Moving, Kind::MySql) => {
                link.conn
                    .query_drop("SET SESSION max_execution_time = 0")
                    .await?;
            }
            (Role::Clerk, _) => {}
        }
        Ok(link)
    }

    /// How long locks are waited for, in whole seconds, and not less than one.
    pub(super) async fn limit_locks(&mut self, patience: Duration) -> Result<(), Error> {
        let seconds = patience.as_secs().max(1);
        self.batch(format!(
            "SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}"
        ))
        .await
    }

    /// Ends another session of ours that may still be at work. It may be gone, or not be ours to
    /// end; then whatever it does is waited for.
    pub(super) async fn end(&mut self, Session(token): &Session) {
        let Some(token) = token else {
            return;
        };
        let ended = async {
            let sql = "SELECT IS_USED_LOCK(?)";
            let holder: Option<Option<u64>> = self.conn.exec_first(sql, (token,)).await?;
            match holder.flatten() {
                Some(number) => self.conn.query_drop(format!("KILL {number}")).await,
                None => Ok(()),
            }
        };
        if let Err(error) = ended.await {
            let error = error::text(&error);
            tracing::warn!(%error, "the session that was lost cannot be ended");
        }
    }

    /// Whether the connection has ended, as far as a sign of life tells.
    pub(super) async fn has_ended(&mut self) -> bool {
        if !self.is_ended && self.answered_at.elapsed() > FRESH {
            let ping = tokio::time::timeout(PING_TIMEOUT, self.asking().ping()).await;
            if let Ok(answer) = ping {
                // What it says is kept in mind.
                drop(self.heard(answer));
            }
        }
        self.is_ended
    }

    /// Whether an error has shown that the connection is of no use any more.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// What to ask on. Whoever stops waiting for the answer leaves a connection that is of no use,
    /// because the answer may still come; so it counts as ended until then.
    fn asking(&mut self) -> &mut Conn {
        self.is_ended = true;
        &mut self.conn
    }

    /// Keeps in mind what an answer says about the connection.
    fn heard<T>(&mut self, answer: Result<T, Error>) -> Result<T, Error> {
        self.answered_at = clock::monotonic();
        self.is_ended = answer.as_ref().is_err_and(error::is_end);
        answer
    }

    /// Asks a question.
    pub(super) async fn query(
        &mut self,
        sql: &'static str,
        values: impl Into<Params> + Send,
    ) -> Result<Vec<Row>, StoreError> {
        let answer = self.asking().exec(sql, values.into()).await;
        self.heard(answer).map_err(error::unreadable)
    }

    /// Asks a question and looks at one row after the other, until `look` answers `Break`; the rest
    /// is read and forgotten.
    pub(super) async fn each(
        &mut self,
        sql: &'static str,
        values: Params,
        mut look: impl FnMut(&Row) -> Result<ControlFlow<()>, StoreError> + Send,
    ) -> Result<(), StoreError> {
        let mut looked = Ok(ControlFlow::Continue(()));
        let conn = self.asking();
        let asked = async {
            let mut rows = conn.exec_iter(sql, values).await?;
            while let (Ok(ControlFlow::Continue(())), Some(row)) = (&looked, rows.next().await?) {
                looked = look(&row);
            }
            rows.drop_result().await
        };
        let asked = asked.await;
        self.heard(asked).map_err(error::unreadable)?;
        looked.map(drop)
    }

    /// Goes through all rows of a statement. An error of `look` ends that, and the connection.
    pub(super) async fn each_of(
        &mut self,
        sql: String,
        mut look: impl FnMut(&Row) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        let conn = self.asking();
        let mut rows = conn.exec_iter(sql, ()).await.map_err(error::unreadable)?;
        while let Some(row) = rows.next().await.map_err(error::unreadable)? {
            look(&row)?;
        }
        let ended = rows.drop_result().await;
        self.heard(ended).map_err(error::unreadable)
    }

    /// Whether the server takes a request of so many bytes.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        bytes < self.packet_max
    }

    /// Asks a question whose text has its values in it.
    pub(super) async fn ask(&mut self, sql: Vec<u8>) -> Result<Vec<Row>, StoreError> {
        let answer = self.asking().query(sql).await;
        self.heard(answer).map_err(error::unreadable)
    }

    /// Sends statements in one go. Answers with the rows of each; those that have none answer with
    /// none.
    pub(super) async fn ask_all(&mut self, sql: Vec<u8>) -> Result<Vec<Vec<Row>>, Error> {
        let conn = self.asking();
        let asked = async {
            let mut answers = conn.query_iter(sql).await?;
            let mut sets = vec![answers.collect::<Row>().await?];
            while !answers.is_empty() {
                sets.push(answers.collect::<Row>().await?);
            }
            answers.drop_result().await?;
            Ok(sets)
        };
        let asked = asked.await;
        self.heard(asked)
    }

    /// Does something and waits for the answer.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        values: impl Into<Params> + Send,
    ) -> Result<(), Error> {
        let answer = self.asking().exec_drop(sql, values.into()).await;
        self.heard(answer)
    }

    /// Sends statements in one go; they are done one after the other, up to the first that fails.
    pub(super) async fn batch(&mut self, sql: impl Into<Vec<u8>> + Send) -> Result<(), Error> {
        let answer = self.asking().query_drop(sql.into()).await;
        self.heard(answer)
    }

    /// Sends a transaction of so many statements in one go, the last of which is COMMIT.
    pub(super) async fn transact(&mut self, sql: Vec<u8>, count: usize) -> Result<(), Failed> {
        if !self.takes(sql.len()) {
            return Err(Failed::Unsent(sql.len()));
        }
        // The one whose answer is looked at, from 1.
        let mut statement = 1;
        let conn = self.asking();
        let done = async {
            let mut answers = conn.query_iter(sql).await?;
            while !answers.is_empty() {
                answers.collect::<Row>().await?;
                statement += 1;
            }
            // The driver keeps what the server says of the last one until it is asked for more.
            answers.drop_result().await
        };
        let done = done.await;
        self.heard(done).map_err(|error| {
            if statement < count {
                Failed::Statement(error)
            } else {
                Failed::Commit(error)
            }
        })
    }

    /// Undoes a transaction that has failed. The next one would commit what is left of it, so
    /// without an answer the connection is given up.
    pub(super) async fn roll_back(&mut self) {
        let done = tokio::time::timeout(PING_TIMEOUT, self.batch("ROLLBACK")).await;
        if !matches!(done, Ok(Ok(()))) {
            self.is_ended = true;
        }
    }
}
