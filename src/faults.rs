//! Faults on purpose, for test builds: named points at which the process dies, and planted bugs.
//!
//! Without the feature `faults` every function here is empty and the compiler removes the call; no
//! release is built with it. Never decides anything in a build that users run.

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

/// A mistake that a test build can be made to have, to prove that the tests would notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Answers leave before the commit is flushed.
    AnswerBeforeFlush,
}

impl Bug {
    /// All of them: a test goes through this list.
    pub const ALL: [Self; 1] = [Self::AnswerBeforeFlush];

    /// The name by which `ORDERD_BUG` asks for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AnswerBeforeFlush => "answer-before-flush",
        }
    }
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

#[cfg(feature = "faults")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Bug;

    /// The point to die at, and how often it is passed before.
    struct Fault {
        name: String,
        left: AtomicU64,
    }

    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();

    fn from_environment() -> Option<Fault> {
        let wanted = std::env::var("ORDERD_FAULT").ok()?;
        let (name, nth) = match wanted.split_once(':') {
            Some((name, nth)) => (name, nth.parse().unwrap_or(1)),
            None => (&*wanted, 1),
        };
        Some(Fault {
            name: name.into(),
            left: AtomicU64::new(nth),
        })
    }

    static BUG: OnceLock<Option<Bug>> = OnceLock::new();

    pub(super) fn bug() -> Option<Bug> {
        *BUG.get_or_init(|| {
            let wanted = std::env::var("ORDERD_BUG").ok()?;
            Bug::ALL.into_iter().find(|bug| bug.name() == wanted)
        })
    }

    pub(super) fn point(name: &str) {
        let Some(fault) = FAULT.get_or_init(from_environment) else {
            return;
        };
        if fault.name == name && fault.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let this = rustix::process::getpid();
            let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
        }
    }
}
