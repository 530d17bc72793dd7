//! Which fault a test build was asked for. Compiled with the feature `faults` only.
//!
//! Read from the environment once, when it is looked for first.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Bug;

/// What was asked for in a variable: `name`, `name:nth` or `name:nth:microseconds`.
struct Wish {
    name: String,
    /// How often the place is still passed, this time included.
    left: AtomicU64,
    delay: Duration,
}

impl Wish {
    fn from_environment(variable: &str) -> Option<Self> {
        let wish = std::env::var(variable).ok()?;
        let mut parts = wish.split(':');
        let name = parts.next().unwrap_or_default().to_owned();
        let mut number = |default| {
            parts
                .next()
                .map_or(default, |text| text.parse().unwrap_or(default))
        };
        Some(Self {
            name,
            left: AtomicU64::new(number(1)),
            delay: Duration::from_micros(number(0)),
        })
    }

    /// Whether this is the place, and the time.
    fn is_due(&self, name: &str) -> bool {
        self.name == name && is_gate_open() && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

static FAULT: OnceLock<Option<Wish>> = OnceLock::new();
static FAIL: OnceLock<Option<Wish>> = OnceLock::new();
static BUG: OnceLock<Option<Bug>> = OnceLock::new();
/// Until the file exists that `ORDERD_FAULT_GATE` names, no place counts.
static GATE: OnceLock<Option<PathBuf>> = OnceLock::new();

fn is_gate_open() -> bool {
    let gate = GATE.get_or_init(|| std::env::var_os("ORDERD_FAULT_GATE").map(PathBuf::from));
    gate.as_ref().is_none_or(|file| file.exists())
}

/// Dies if this is the point that was asked for, now or in a moment.
pub(super) fn point(name: &str) {
    let fault = FAULT.get_or_init(|| Wish::from_environment("ORDERD_FAULT"));
    let Some(fault) = fault.as_ref().filter(|fault| fault.is_due(name)) else {
        return;
    };
    let delay = fault.delay;
    if delay.is_zero() {
        die();
    } else {
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            die();
        });
    }
}

/// Whether this is the failure that was asked for.
pub(super) fn fails(name: &str) -> bool {
    let fail = FAIL.get_or_init(|| Wish::from_environment("ORDERD_FAIL"));
    fail.as_ref().is_some_and(|fail| fail.is_due(name))
}

/// The bug that was asked for.
pub(super) fn bug() -> Option<Bug> {
    *BUG.get_or_init(|| {
        let wanted = std::env::var("ORDERD_BUG").ok()?;
        Bug::from_name(&wanted)
    })
}

fn die() {
    let this = rustix::process::getpid();
    let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
}
