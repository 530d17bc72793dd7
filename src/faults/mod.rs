//! Faults on purpose, for test builds: named points at which the process dies, failures that it is
//! made to believe in, and planted bugs.
//!
//! Without the feature `faults` every function here is empty and the compiler removes the call; no
//! release is built with it. Never decides anything in a build that users run.

#[cfg(feature = "faults")]
mod armed;
mod bugs;
mod points;

pub use bugs::Bug;
pub use points::{FAILURES, POINTS, comes_past};

/// A place in the code where a test build can be made to die, as if by `kill -9`.
///
/// `ORDERD_FAULT=name` dies the first time that the point is reached, `ORDERD_FAULT=name:n` the
/// n-th time, `ORDERD_FAULT=name:n:us` so many microseconds after that, wherever the process is
/// then. With `ORDERD_FAULT_GATE=file` nothing counts before that file exists. Without the feature
/// `faults` this does nothing.
#[inline(always)]
pub fn point(_name: &'static str) {
    #[cfg(feature = "faults")]
    armed::point(_name);
}

/// Whether a test build is to behave as if something had failed here: with `ORDERD_FAIL=name` once,
/// the first time that the place is reached, with `ORDERD_FAIL=name:n` the n-th time. Always
/// `false` without the feature `faults`.
#[inline(always)]
pub fn fails(_name: &'static str) -> bool {
    #[cfg(feature = "faults")]
    return armed::fails(_name);
    #[cfg(not(feature = "faults"))]
    false
}

/// Whether this process was asked, with `ORDERD_BUG=name`, to have the mistake. Always `false`
/// without the feature `faults`.
#[inline(always)]
pub fn is_planted(_bug: Bug) -> bool {
    #[cfg(feature = "faults")]
    return armed::bug() == Some(_bug);
    #[cfg(not(feature = "faults"))]
    false
}
