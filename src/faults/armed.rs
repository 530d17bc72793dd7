//! Which fault a test build was asked for. Compiled with the feature `faults` only.
//!
//! Read from the environment once, when it is looked for first.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Bug;

/// The point to die at, and how often it is passed before.
struct Fault {
    name: String,
    left: AtomicU64,
}

static FAULT: OnceLock<Option<Fault>> = OnceLock::new();

static BUG: OnceLock<Option<Bug>> = OnceLock::new();

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

/// Dies if this is the point that was asked for.
pub(super) fn point(name: &str) {
    let Some(fault) = FAULT.get_or_init(from_environment) else {
        return;
    };
    if fault.name == name && fault.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        let this = rustix::process::getpid();
        let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
    }
}

/// The bug that was asked for.
pub(super) fn bug() -> Option<Bug> {
    *BUG.get_or_init(|| {
        let wanted = std::env::var("ORDERD_BUG").ok()?;
        Bug::ALL.into_iter().find(|bug| bug.name() == wanted)
    })
}
