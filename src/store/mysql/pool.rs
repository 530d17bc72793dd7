//! A few connections beside that of the commits. Each answers one question at a time; who finds
//! none free waits, but not longer than for an answer.
//!
//! A connection that turns out to have ended is replaced, and its question is asked once more. If
//! no other can be had, one that comes back from somebody else will do.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use super::connect::{Link, Role, Target};
use super::read::Read;
use crate::clock;
use crate::store::StoreError;

/// An answer that is under way.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Read<T>> + Send + 'a>>;

#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// Where the connections live.
    runtime: Handle,
}

struct Shared {
    target: Target,
    role: Role,
    idle: Mutex<Vec<Link>>,
    /// How many connections answer a question.
    busy: AtomicUsize,
    /// Told whenever one of them is done.
    done: Notify,
    permits: Arc<Semaphore>,
    /// When the last try to make a connection failed, and why.
    failed: Mutex<Option<(Instant, String)>>,
}

impl Pool {
    /// At most `size` connections, made when they are needed.
    pub(super) fn new(target: Target, runtime: Handle, size: usize) -> Self {
        Self::of(target, runtime, size, Role::Reader)
    }

    /// The same, for connections that write something small.
    pub(super) fn that_writes(target: Target, runtime: Handle, size: usize) -> Self {
        Self::of(target, runtime, size, Role::Clerk)
    }

    fn of(target: Target, runtime: Handle, size: usize, role: Role) -> Self {
        let shared = Shared {
            target,
            role,
            idle: Mutex::default(),
            busy: AtomicUsize::new(0),
            done: Notify::new(),
            permits: Arc::new(Semaphore::new(size.max(1))),
            failed: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            runtime,
        }
    }

    /// Asks a question. Once it has been asked it runs to its end even if nobody waits for the
    /// answer any more: a connection on which half an answer lies is of no use.
    pub(super) async fn ask<T, Q>(&self, question: Q) -> Read<T>
    where
        T: Send + 'static,
        Q: for<'a> Fn(&'a mut Link) -> Answer<'a, T> + Send + Sync + 'static,
    {
        let asked_at = clock::monotonic();
        let shared = Arc::clone(&self.shared);
        let turn = Arc::clone(&shared.permits).acquire_owned();
        let turn = tokio::time::timeout(shared.target.timeouts.read, turn).await;
        let turn = turn.map_err(|_| shared.late())?;
        let asked = self.runtime.spawn(async move {
            let _turn = turn;
            shared.ask(&question, asked_at).await
        });
        let answer = asked.await.map_err(|error| StoreError::Unreadable {
            detail: error.to_string(),
        });
        answer?
    }
}

impl Shared {
    async fn ask<T, Q>(&self, question: &Q, asked_at: Instant) -> Read<T>
    where
        T: Send,
        Q: for<'a> Fn(&'a mut Link) -> Answer<'a, T> + Send + Sync,
    {
        let known = self.idle().pop();
        if let Some(link) = known {
            if let Some(answer) = self.ask_on(link, question).await? {
                return answer;
            }
            // All that are as old as this one have probably ended with it.
            self.idle().clear();
        }
        let link = self.another(asked_at).await?;
        let answer = self.ask_on(link, question).await?;
        answer.unwrap_or_else(|| Err(self.unreachable("the connection was lost".into())))
    }

    /// A connection for whoever asked at a time: a new one, or if it cannot be had one that comes
    /// back.
    async fn another(&self, asked_at: Instant) -> Read<Link> {
        // Somebody tried while this one waited for its turn.
        let failed = self.failed().clone().filter(|(at, _)| *at >= asked_at);
        let error = match failed {
            Some((_, detail)) => self.unreachable(detail),
            None => match self.target.connect(self.role).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    let detail = match &error {
                        StoreError::Unreachable { detail, .. } => detail.clone(),
                        other => other.to_string(),
                    };
                    *self.failed() = Some((clock::monotonic(), detail));
                    error
                }
            },
        };
        let back = tokio::time::timeout(self.target.timeouts.connect, self.one_back()).await;
        back.ok().flatten().ok_or(error)
    }

    /// The next connection that is done with a question. `None`: there is none that could be.
    async fn one_back(&self) -> Option<Link> {
        loop {
            let done = self.done.notified();
            if let Some(link) = self.idle().pop() {
                return Some(link);
            }
            if self.busy.load(Ordering::SeqCst) == 0 {
                return None;
            }
            done.await;
        }
    }

    /// Asks on one connection, which is kept if it is still of use. `None`: it has ended.
    async fn ask_on<T, Q>(&self, mut link: Link, question: &Q) -> Read<Option<Read<T>>>
    where
        T: Send,
        Q: for<'a> Fn(&'a mut Link) -> Answer<'a, T> + Send + Sync,
    {
        self.busy.fetch_add(1, Ordering::SeqCst);
        let patience = self.target.timeouts.read;
        let asked = tokio::time::timeout(patience, question(&mut link)).await;
        let is_of_use = asked.is_ok() && !link.is_ended();
        if is_of_use {
            self.idle().push(link);
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
        self.done.notify_waiters();
        let answer = asked.map_err(|_| self.late())?;
        Ok(is_of_use.then_some(answer))
    }

    fn late(&self) -> StoreError {
        let patience = self.target.timeouts.read;
        self.unreachable(format!("no answer within {} s", patience.as_secs_f32()))
    }

    fn unreachable(&self, detail: String) -> StoreError {
        StoreError::Unreachable {
            database: self.target.name(),
            detail,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
