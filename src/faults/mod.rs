//! Faults on purpose, for test builds: named points at which the process dies, and planted bugs.
//!
//! Without the feature `faults` every function here is empty and the compiler removes the call; no
//! release is built with it. Never decides anything in a build that users run.

#[cfg(feature = "faults")]
mod armed;
mod bugs;

pub use bugs::Bug;

/// A place in the code where a test build can be made to die, as if by `kill -9`.
///
/// `ORDERD_FAULT=name` dies the first time that the point is reached, `ORDERD_FAULT=name:n` the
/// n-th time. Without the feature `faults` this does nothing.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "faults")]
    armed::point(name);
    #[cfg(not(feature = "faults"))]
    let _ = name;
}

/// Whether this process was asked, with `ORDERD_BUG=name`, to have the mistake. Always `false`
/// without the feature `faults`.
#[inline]
pub fn is_planted(bug: Bug) -> bool {
    #[cfg(feature = "faults")]
    return armed::bug() == Some(bug);
    #[cfg(not(feature = "faults"))]
    {
        let _ = bug;
        false
    }
}
