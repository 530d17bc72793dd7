//! The engine runs a shard: one thread, one loop, no locks around what is decided.
//!
//! Drain the inbox, let the shard decide, commit once, release the answers. While a commit is being flushed
//! the inbox fills; the next turn takes everything: group commit that clocks itself.

mod handle;
mod inbox;
mod stats;

pub use handle::{Accepted, Handle, SubmitError};
pub use stats::{BUCKETS_US, Distribution, Stats};
