//! Chance for commands that need a little of it: ids and secrets.
//!
//! Comes from the system; nothing below makes its own.

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

/// A generator that nobody can foretell.
///
/// # Errors
///
/// The system gives no randomness.
pub fn generator() -> anyhow::Result<StdRng> {
    StdRng::try_from_rng(&mut SysRng).context("the system gives no randomness")
}
