//! What is asked of webhooks under an idempotency key: the answer is kept with the change, and a
//! repetition is told that the key is taken.
//!
//! What the answer says is up to whoever asks; it has to follow from the change alone.

use super::{WebhookError, WebhookView};
use crate::clock::Timestamp;
use crate::order::{KeptAnswer, RequestKey};
use crate::outbound::Secret;
use crate::store::{AnswerUnder, KeptWebhook, Ledger};

/// A receiver as a change leaves it.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The receiver.
    pub view: WebhookView,
    /// Its secret, if the change has made it.
    pub secret: Option<Secret>,
}

/// Writes the answer to a change.
pub type Answering = fn(&Changed) -> KeptAnswer;

/// The key that a change is asked for under.
#[derive(Clone, Debug)]
pub struct Under {
    /// The key.
    pub key: RequestKey,
    /// What time it is, on the clock by which keys age.
    pub kept_at: Timestamp,
    /// What was kept under the key before this time is over.
    pub expired_before: Timestamp,
    /// What is answered.
    pub answer: Answering,
}

/// Keeps a receiver as a change leaves it, and the answer to that.
pub(super) async fn keep(
    ledger: &dyn Ledger,
    kept: KeptWebhook,
    changed: &Changed,
    under: Option<Under>,
) -> Result<(), WebhookError> {
    let under = under.map(|under| AnswerUnder {
        answer: (under.answer)(changed),
        key: under.key,
        kept_at: under.kept_at,
        expired_before: under.expired_before,
    });
    match ledger.keep_webhook(kept, under).await? {
        true => Ok(()),
        false => Err(WebhookError::KeyTaken),
    }
}
