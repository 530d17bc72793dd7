//! Chance for commands that need a little of it: ids and secrets.
//!
//! Comes from the system; nothing below makes its own.

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

use super::exit::{Failure, OF_THE_SYSTEM, OrFail};

/// A generator that nobody can foretell.
///
/// # Errors
///
/// The system gives no randomness.
pub fn generator() -> Result<StdRng, Failure> {
    let made = StdRng::try_from_rng(&mut SysRng);
    made.or_fail("the system gives no randomness", OF_THE_SYSTEM)
}

/// An idempotency key that nobody else has.
///
/// # Errors
///
/// As [`generator`].
pub fn key() -> Result<String, Failure> {
    let mut random = generator()?;
    Ok(format!(
        "cli-{:016x}{:016x}",
        random.next_u64(),
        random.next_u64()
    ))
}
