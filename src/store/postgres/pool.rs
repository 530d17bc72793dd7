//! A few connections that only read, shared by everybody who asks.
//!
//! Requests on one connection are sent without waiting for one another, so nobody owns one. A
//! connection that has ended is replaced when it is needed next. Nobody waits for a database that
//! is away longer than one try takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::connect::{Link, Role, Target};
use crate::clock;
use crate::store::StoreError;

pub(super) struct Pool {
    target: Target,
    role: Role,
    /// Where the connections live.
    runtime: Handle,
    slots: Vec<Mutex<Slot>>,
    next: AtomicUsize,
}

/// A place for a connection.
#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    /// When the last try to make one failed, and why.
    failed: Option<(Instant, String)>,
}

impl Slot {
    fn open(&self) -> Option<Arc<Link>> {
        self.link.as_ref().filter(|link| link.is_open()).cloned()
    }
}

impl Pool {
    /// At most `size` connections, made when they are needed.
    pub(super) fn new(target: Target, runtime: Handle, size: usize) -> Self {
        Self {
            target,
            role: Role::Reader,
            runtime,
            slots: (0..size.max(1)).map(|_| Mutex::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// The same, for connections that write something small.
    pub(super) fn that_writes(self) -> Self {
        Self {
            role: Role::Clerk,
            ..self
        }
    }

    /// The next connection in turn, or any other if no more can be had.
    pub(super) async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let asked_at = clock::monotonic();
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let mut slot = self.slots[turn].lock().await;
        if let Some(link) = slot.open() {
            return Ok(link);
        }
        // Somebody tried while this one waited for its turn.
        let failed = slot.failed.as_ref().filter(|(at, _)| *at >= asked_at);
        let error = match failed {
            Some((_, detail)) => self.unreachable(detail.clone()),
            None => match self.connect().await {
                Ok(link) => {
                    let link = Arc::new(link);
                    slot.link = Some(Arc::clone(&link));
                    return Ok(link);
                }
                Err(error) => {
                    let detail = match &error {
                        StoreError::Unreachable { detail, .. } => detail.clone(),
                        other => other.to_string(),
                    };
                    slot.failed = Some((clock::monotonic(), detail));
                    error
                }
            },
        };
        self.any_open().ok_or(error)
    }

    async fn connect(&self) -> Result<Link, StoreError> {
        let (target, role) = (self.target.clone(), self.role);
        let patience = target.timeouts.connect;
        let task = self.runtime.spawn(async move {
            let connecting = target.connect(role);
            tokio::time::timeout(patience, connecting).await
        });
        let late = || self.unreachable(format!("no answer within {} s", patience.as_secs_f32()));
        let ended = task.await.map_err(|error| StoreError::Unreadable {
            detail: error.to_string(),
        });
        ended?.map_err(|_| late())?
    }

    fn any_open(&self) -> Option<Arc<Link>> {
        let free = self.slots.iter().filter_map(|slot| slot.try_lock().ok());
        free.filter_map(|slot| slot.open()).next()
    }

    fn unreachable(&self, detail: String) -> StoreError {
        StoreError::Unreachable {
            database: self.target.name(),
            detail,
        }
    }
}
