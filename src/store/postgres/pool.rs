//! A few connections that only read, shared by everybody who asks.
//!
//! Requests on one connection are sent without waiting for one another, so nobody owns one. A
//! connection that has ended is replaced when it is needed next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::connect::{Link, Role, Target};
use crate::store::StoreError;

pub(super) struct Pool {
    target: Target,
    role: Role,
    /// Where the connections live.
    runtime: Handle,
    slots: Vec<Mutex<Option<Arc<Link>>>>,
    next: AtomicUsize,
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

    /// The next connection in turn.
    pub(super) async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let mut slot = self.slots[turn].lock().await;
        if let Some(link) = slot.as_ref().filter(|link| !link.client.is_closed()) {
            return Ok(Arc::clone(link));
        }
        let (target, role) = (self.target.clone(), self.role);
        let task = self
            .runtime
            .spawn(async move { target.connect(role).await });
        let link = task.await.map_err(|error| StoreError::Unreadable {
            detail: error.to_string(),
        })?;
        let link = Arc::new(link?);
        *slot = Some(Arc::clone(&link));
        Ok(link)
    }
}
