//! A few connections beside that of the commits. Each answers one question at a time; who finds
//! none free waits.
//!
//! A connection that turns out to have ended is replaced, and its question is asked once more.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::connect::{Link, Role, Target};
use super::read::Read;
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
    permits: Semaphore,
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
            permits: Semaphore::new(size.max(1)),
        };
        Self {
            shared: Arc::new(shared),
            runtime,
        }
    }

    /// Asks a question. It runs to its end even if nobody waits for the answer any more: a
    /// connection on which half an answer lies is of no use.
    pub(super) async fn ask<T, Q>(&self, question: Q) -> Read<T>
    where
        T: Send + 'static,
        Q: for<'a> Fn(&'a mut Link) -> Answer<'a, T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let asked = self
            .runtime
            .spawn(async move { shared.ask(&question).await });
        let answer = asked.await.map_err(|error| StoreError::Unreadable {
            detail: error.to_string(),
        });
        answer?
    }
}

impl Shared {
    async fn ask<T, Q>(&self, question: &Q) -> Read<T>
    where
        T: Send,
        Q: for<'a> Fn(&'a mut Link) -> Answer<'a, T> + Send + Sync,
    {
        let _permit = self.permits.acquire().await;
        let known = self.idle().pop();
        if let Some(link) = known {
            if let Some(answer) = self.ask_on(link, question).await? {
                return answer;
            }
            // All that are as old as this one have probably ended with it.
            self.idle().clear();
        }
        let link = self.target.connect(self.role).await?;
        let ended = || StoreError::Unreachable {
            database: self.target.name(),
            detail: "the connection was lost".into(),
        };
        self.ask_on(link, question)
            .await?
            .unwrap_or_else(|| Err(ended()))
    }

    /// Asks on one connection, which is kept if it is still of use. `None`: it has ended.
    async fn ask_on<T, Q>(&self, mut link: Link, question: &Q) -> Read<Option<Read<T>>>
    where
        T: Send,
        Q: for<'a> Fn(&'a mut Link) -> Answer<'a, T> + Send + Sync,
    {
        let patience = self.target.timeouts.read;
        let late = |_| StoreError::Unreachable {
            database: self.target.name(),
            detail: format!("no answer within {} s", patience.as_secs_f32()),
        };
        let asked = tokio::time::timeout(patience, question(&mut link)).await;
        let answer = asked.map_err(late)?;
        if link.is_ended() {
            return Ok(None);
        }
        self.idle().push(link);
        Ok(Some(answer))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
