//! Connections: where to, with which settings, and the task that moves their bytes.
//!
//! Shows passwords to nobody: a database is named by host, port and name only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Row, Statement};

use tokio_postgres_rustls::MakeRustlsConnect;

use super::{error, tls, url};
use crate::store::{StoreError, Timeouts};

/// A connection on which nothing is said for so long is asked for a sign of life by the system.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A database, and how to get there.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: MakeRustlsConnect,
    pub(super) timeouts: Timeouts,
    /// For people.
    name: Arc<str>,
}

impl Target {
    /// Reads a URL, and the certificates that it names.
    pub(super) fn of_url(text: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        let url::Parts {
            mut config,
            mode,
            roots,
        } = url::read(text)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(timeouts.connect);
        }
        config.keepalives_idle(KEEPALIVE);
        config.tcp_user_timeout(KEEPALIVE);
        config.application_name("orderd");
        let tls = tls::settings(mode, roots.as_deref());
        let tls = tls.map_err(|detail| StoreError::BadUrl { detail })?;
        let name = url::name(&config).into();
        let tls = MakeRustlsConnect::new(tls);
        Ok(Self {
            config,
            tls,
            timeouts,
            name,
        })
    }

    /// The database for people, `orders on db.internal:5432`.
    pub(super) fn name(&self) -> String {
        self.name.to_string()
    }

    /// Makes a connection, whose bytes are moved by a task on the runtime that this runs on.
    pub(super) async fn connect(&self, role: Role) -> Result<Link, StoreError> {
        let unreachable = |error: tokio_postgres::Error| StoreError::Unreachable {
            database: self.name(),
            detail: error::text(&error),
        };
        let connected = self.config.connect(self.tls.clone()).await;
        let (client, connection) = connected.map_err(unreachable)?;
        let is_doubtful = Arc::new(AtomicBool::new(false));
        tokio::spawn(drive(connection, Arc::clone(&is_doubtful)));
        let mut link = Link {
            client,
            session: Session::default(),
            is_doubtful,
            is_given_up: AtomicBool::new(false),
            patience: match role {
                Role::Writer => self.timeouts.connect,
                Role::Reader | Role::Clerk => self.timeouts.read,
                Role::Snapshot | Role::Moving => Duration::MAX,
            },
            name: Arc::clone(&self.name),
            prepared: Mutex::default(),
        };
        link.set_up(role).await.map_err(unreachable)?;
        if matches!(role, Role::Reader | Role::Clerk) {
            link.limit(self.timeouts.read).await?;
        }
        Ok(link)
    }
}

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
    /// Settings of the session. What this server does not know is left alone.
    fn settings(self) -> &'static str {
        match self {
            // A statement is planned once, for tables of any size: by their indexes.
            Self::Writer => {
                "SELECT count(set_config(s.name, v.value, false)) FROM pg_settings s JOIN
                 (VALUES ('jit', 'off'), ('plan_cache_mode', 'force_generic_plan'),
                         ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'),
                         ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
                         ('statement_timeout', '0'), ('idle_session_timeout', '0'),
                         ('idle_in_transaction_session_timeout', '0'),
                         ('client_connection_check_interval', '1s'))
                   AS v (name, value) USING (name)"
            }
            Self::Reader => {
                "SELECT count(set_config(s.name, v.value, false)) FROM pg_settings s JOIN
                 (VALUES ('jit', 'off'), ('plan_cache_mode', 'force_generic_plan'),
                         ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'),
                         ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
                         ('default_transaction_read_only', 'on'),
                         ('idle_session_timeout', '0'), ('client_connection_check_interval', '1s'))
                   AS v (name, value) USING (name)"
            }
            Self::Clerk => {
                "SELECT count(set_config(s.name, v.value, false)) FROM pg_settings s JOIN
                 (VALUES ('jit', 'off'), ('idle_session_timeout', '0'),
                         ('client_connection_check_interval', '1s'))
                   AS v (name, value) USING (name)"
            }
            // Tables are read in the order of their keys, of which there is an index. Commits wait
            // for nothing, but are there in their order after a crash. The name keeps it apart from
            // a server that is silent because it is gone.
            Self::Moving => {
                "SELECT count(set_config(s.name, v.value, false)) FROM pg_settings s JOIN
                 (VALUES ('jit', 'off'), ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'),
                         ('enable_sort', 'off'), ('synchronous_commit', 'off'),
                         ('application_name', 'orderd copy'),
                         ('maintenance_work_mem', '256MB'), ('statement_timeout', '0'),
                         ('idle_session_timeout', '0'),
                         ('idle_in_transaction_session_timeout', '0'))
                   AS v (name, value) USING (name)"
            }
            Self::Snapshot => "SET default_transaction_read_only = on; SET statement_timeout = 0",
        }
    }
}

/// A session of the server: its process, and when that was started. Processes are numbered anew.
#[derive(Clone, Default)]
pub(super) struct Session {
    process: i32,
    started_at: String,
}

/// A connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) session: Session,
    is_doubtful: Arc<AtomicBool>,
    /// Nobody waits for its answers any more.
    is_given_up: AtomicBool,
    /// Longest wait for the answer to a question.
    patience: Duration,
    /// Of the database, for people.
    name: Arc<str>,
    /// Statements that were prepared on it, by their text.
    prepared: Mutex<HashMap<&'static str, Statement>>,
}

impl Link {
    async fn set_up(&mut self, role: Role) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(role.settings()).await?;
        if role == Role::Writer {
            let sql = "SELECT pid, backend_start::text FROM pg_stat_activity
                        WHERE pid = pg_backend_pid()";
            let row = self.client.query_one(sql, &[]).await?;
            let (process, started_at) = (row.try_get(0)?, row.try_get(1)?);
            self.session = Session {
                process,
                started_at,
            };
        }
        Ok(())
    }

    /// How long the server may be at one statement from now on.
    pub(super) async fn limit(&self, time: Duration) -> Result<(), StoreError> {
        let millis = time.as_millis();
        let sql = format!("SET statement_timeout = {millis}");
        self.client
            .batch_execute(&sql)
            .await
            .map_err(error::refused)
    }

    /// Whether something may be asked on it.
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed() && !self.is_given_up.load(Ordering::Relaxed)
    }

    /// Ends another session of ours that may still be at work. It may be gone, or not be ours to
    /// end; then whatever it does is waited for.
    pub(super) async fn end(&self, session: &Session) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE pid = $1 AND backend_start::text = $2";
        let values: [&(dyn ToSql + Sync); 2] = [&session.process, &session.started_at];
        if let Err(error) = self.query(sql, &values).await {
            tracing::warn!(%error, "the session that was lost cannot be ended");
        }
    }

    /// Whether the connection has ended, as far as what has arrived tells.
    pub(super) async fn has_ended(&self) -> bool {
        // Lets what has arrived be read: once for the system to say so, once for the task.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        self.client.is_closed()
    }

    /// The statement with this text, prepared when it is needed first.
    pub(super) async fn prepared(&self, sql: &'static str) -> Result<Statement, StoreError> {
        let known = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(statement) = known().get(sql).cloned() {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await;
        let statement = statement.map_err(|error| self.unanswered(error))?;
        known().insert(sql, statement.clone());
        Ok(statement)
    }

    /// Asks a question. A connection on which it is not answered in time is given up.
    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let asked = async {
            let statement = self.prepared(sql).await?;
            let rows = self.client.query(&statement, values).await;
            rows.map_err(|error| self.unanswered(error))
        };
        let answer = tokio::time::timeout(self.patience, asked).await;
        answer.unwrap_or_else(|_| {
            self.is_given_up.store(true, Ordering::Relaxed);
            let detail = format!("no answer within {} s", self.patience.as_secs_f32());
            Err(self.unreachable(detail))
        })
    }

    /// An error of a question.
    fn unanswered(&self, error: tokio_postgres::Error) -> StoreError {
        if error::is_about_the_way(&error) {
            self.unreachable(error::text(&error))
        } else {
            error::unreadable(error)
        }
    }

    /// The error for a question that was not answered.
    pub(super) fn unreachable(&self, detail: String) -> StoreError {
        StoreError::Unreachable {
            database: self.name.to_string(),
            detail,
        }
    }

    /// Every commit on this connection has reached the standbys, as far as the server has to wait
    /// for them.
    pub(super) fn check_standbys(&self) -> Result<(), StoreError> {
        if self.is_doubtful.load(Ordering::Acquire) {
            let detail = "the database stopped waiting for its standbys".into();
            return Err(StoreError::Lost { detail });
        }
        Ok(())
    }
}

/// Moves the bytes of a connection until it ends, and listens to what the server says beside.
async fn drive<S, T>(mut connection: Connection<S, T>, is_doubtful: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                // The wait for a standby was broken off: the commit is done here and perhaps
                // nowhere else.
                if notice.routine() == Some("SyncRepWaitForLSN") {
                    is_doubtful.store(true, Ordering::Release);
                }
                tracing::debug!(notice = notice.message(), "the database says");
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let error = error::text(&error);
                return tracing::debug!(%error, "a connection to the database ended");
            }
            None => return,
        }
    }
}
