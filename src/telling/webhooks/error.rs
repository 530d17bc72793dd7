//! Why something that was asked of webhooks was not done, and whether that is certain.
//!
//! Chooses no status code.

use thiserror::Error;

use super::WEBHOOKS_MAX;
use crate::store::StoreError;

/// Why something asked of webhooks was not done.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// There is none with this id.
    #[error("there is no such webhook")]
    NotFound,
    /// There are as many as may be.
    #[error("there are {WEBHOOKS_MAX} webhooks already")]
    TooMany,
    /// The idempotency key is taken; nothing is changed.
    #[error("the idempotency key is taken")]
    KeyTaken,
    /// Nothing is changed, unless it is not [definite](Self::is_definite).
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WebhookError {
    /// Whether the change is not stored, for certain.
    pub fn is_definite(&self) -> bool {
        !matches!(
            self,
            Self::Store(
                StoreError::Unknown { .. }
                    | StoreError::Lost { .. }
                    | StoreError::Unreadable { .. }
            )
        )
    }
}
