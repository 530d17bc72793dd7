//! Idempotency keys: a client may send a request again under the same key and gets the first
//! answer, byte for byte, instead of a second order or a second change.
//!
//! The record is made durable together with the order or the change, by the same commit. Nothing
//! here decides whether a key is taken.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::{Order, Seq};
use crate::clock::Timestamp;

/// Longest key, in characters.
pub const KEY_LENGTH_MAX: usize = 255;

/// SHA-256 of what was sent under a key.
pub type Fingerprint = [u8; 32];

/// A key, for whom and what it counts, and what was asked under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// What the key counts for: the same key means something else on another route.
    pub scope: Cow<'static, str>,
    /// The client's key: 1 to 255 visible ASCII characters.
    pub key: Box<str>,
    /// SHA-256 of what was sent under it.
    pub fingerprint: Fingerprint,
}

/// A key has another length or other characters than 1 to 255 visible ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be 1 to {KEY_LENGTH_MAX} visible ASCII characters")]
pub struct BadKey;

impl RequestKey {
    /// Checks the key. `fingerprint` is the SHA-256 of what was sent.
    pub fn new(
        scope: impl Into<Cow<'static, str>>,
        key: &[u8],
        fingerprint: Fingerprint,
    ) -> Result<Self, BadKey> {
        let fits = (1..=KEY_LENGTH_MAX).contains(&key.len());
        if !fits || !key.iter().all(u8::is_ascii_graphic) {
            return Err(BadKey);
        }
        Ok(Self {
            scope: scope.into(),
            key: String::from_utf8_lossy(key).into(),
            fingerprint,
        })
    }

    /// Whether this is the same key for the same route, whatever was sent under it.
    pub fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && self.scope == other.scope
    }

    /// The key of one order in a batch that came under this key.
    pub fn of_item(&self, place: usize) -> Self {
        Self {
            key: format!("{place}#{}", self.key).into(),
            ..self.clone()
        }
    }
}

/// An answer as it left, kept under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: Box<str>,
    /// The path of what was made.
    pub location: Option<Box<str>>,
    /// The entity tag of what was made.
    pub etag: Option<Box<str>>,
    /// The body.
    pub body: Box<[u8]>,
}

/// Writes the answer to an order once the shard has given it its id and its time.
pub type Answering = Box<dyn FnOnce(&Order) -> KeptAnswer + Send>;

/// The key that a new order came with.
pub struct NewKey {
    /// The key.
    pub key: RequestKey,
    /// What to answer. Called at most once, before the order is durable; pure.
    pub answer: Answering,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// A key and an answer, for the store to keep with a new order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Index of the order in `Commit::created`.
    pub created: usize,
    /// The key.
    pub key: RequestKey,
    /// The answer.
    pub answer: KeptAnswer,
}

/// A key and an answer, for the store to keep with changes of accepted orders, or with a batch of
/// new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeKey {
    /// The order that was asked about; `None` if it was not exactly one.
    pub seq: Option<Seq>,
    /// It goes with new orders: if those are taken out of the commit, it is, too.
    pub is_of_new: bool,
    /// The key, which was free when the changes were decided.
    pub key: RequestKey,
    /// The answer.
    pub answer: KeptAnswer,
}

/// What a store has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// SHA-256 of what was sent under it.
    pub fingerprint: Fingerprint,
    /// The first answer.
    pub answer: KeptAnswer,
    /// When it was kept, on the clock by which keys age.
    pub kept_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_within_bounds() {
        let is_good = |key: &[u8]| RequestKey::new("test", key, [0; 32]).is_ok();
        assert!(is_good(b"a") && is_good(&[b'~'; KEY_LENGTH_MAX]));
        assert!(!is_good(b"") && !is_good(&[b'~'; KEY_LENGTH_MAX + 1]));
        assert!(!is_good(b"a b") && !is_good(b"a\x7f") && !is_good("ä".as_bytes()));
    }
}
