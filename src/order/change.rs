//! What people ask of an order that was accepted: stop it, hold it back, let it go on, let it try
//! again, let it run sooner or later.
//!
//! A change is checked here once and decided by the shard. It names the order by its sequence
//! number, so whoever asks has read the order before.

use super::new_order::Fault;
use super::{NewHold, Order, Priority, Report, Seq, Signal, StatusKind};

/// Longest reason, in characters.
pub const REASON_LENGTH_MAX: usize = 1_024;
/// Longest name of who asks, in characters.
pub const BY_LENGTH_MAX: usize = 255;

/// Something that is asked of an accepted order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which order.
    pub seq: Seq,
    /// Only if the order has one of these versions; `None`: whatever it has.
    pub versions: Option<Box<[u32]>>,
    /// What.
    pub action: Action,
}

/// What can be asked of an accepted order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stop it for good. What a running attempt answers afterwards counts for nothing.
    Cancel(Signature),
    /// Start no further step until it is released. Replaces a hold that is open.
    Hold(NewHold),
    /// End the hold.
    Release(Signature),
    /// Let a dead order try its step again, with as many attempts as at first.
    Retry(Signature),
    /// Let it run sooner or later than others.
    Prioritize(Priority, Signature),
    /// Take what a worker says about the attempt that it has.
    Report(Box<Report>),
    /// What a step of it waits for has happened. Kept if the order has not come to the step yet.
    Signal(Box<Signal>),
}

impl Action {
    /// How many bytes it brings along beside its own.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Report(report) => report.bytes(),
            Self::Signal(signal) => signal.output.len(),
            _ => 0,
        }
    }

    /// Whether an order that has ended is as it should be, so that asking again is no mistake.
    pub fn is_met_by(&self, order: &Order) -> bool {
        match self {
            Self::Cancel(_) => order.state.status.kind() == StatusKind::Cancelled,
            Self::Signal(signal) => order.outputs.iter().any(|it| *it.step == *signal.name),
            _ => false,
        }
    }
}

/// Who asked for a change, and why; both for people, and kept in the order's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Why: 1 to 1,024 characters, no control characters.
    pub reason: Option<Box<str>>,
    /// Who: 1 to 255 characters, no control characters.
    pub by: Option<Box<str>>,
}

impl Signature {
    /// Checks both texts. The faults point to `/reason` and `/by`.
    pub fn check(reason: Option<&str>, by: Option<&str>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut text = |pointer: &str, value: Option<&str>, length_max: usize| {
            let fault = value.and_then(|value| fault(pointer, value, length_max));
            faults.extend(fault);
            value.map(Box::from)
        };
        let checked = Self {
            reason: text("/reason", reason, REASON_LENGTH_MAX),
            by: text("/by", by, BY_LENGTH_MAX),
        };
        if faults.is_empty() {
            Ok(checked)
        } else {
            Err(faults)
        }
    }
}

fn fault(pointer: &str, value: &str, length_max: usize) -> Option<Fault> {
    if value.is_empty() || value.chars().count() > length_max {
        let detail = format!("must have 1 to {length_max} characters");
        return Some(Fault::new(pointer, "invalid-length", detail));
    }
    let detail = "must not have control characters";
    let has_control = value.chars().any(char::is_control);
    has_control.then(|| Fault::new(pointer, "invalid-character", detail))
}

/// Why a change was not made. The order is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not open: it has ended, and how is in the store; or its process is not known here.
    NotOpen,
    /// It is not dead, so there is nothing to try again.
    NotDead {
        /// Where it is.
        status: StatusKind,
    },
    /// It has another version than those that were asked for.
    OtherVersion {
        /// The version that it has.
        version: u32,
    },
    /// Its steps are being undone, and it will end as something else.
    Undoing {
        /// What it will end as.
        target: StatusKind,
    },
    /// A worker says something under a lease that is over. The order's history has it.
    StaleFence,
    /// No step of its process waits for a signal of this name.
    NotAwaited,
    /// The step that waited for this signal is over, without it.
    SignalTooLate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_have_bounds() {
        let codes = |reason: Option<&str>, by: Option<&str>| -> Vec<_> {
            let faults = Signature::check(reason, by).err().unwrap_or_default();
            let told = faults.into_iter().map(|it| (it.pointer, it.code));
            told.collect()
        };
        let (reason, by) = ("ö".repeat(REASON_LENGTH_MAX), "ö".repeat(BY_LENGTH_MAX));
        assert_eq!(codes(None, None), []);
        assert_eq!(codes(Some(&reason), Some(&by)), []);
        let expected = [
            ("/reason".to_owned(), "invalid-length"),
            ("/by".to_owned(), "invalid-length"),
        ];
        assert_eq!(codes(Some(""), Some(&format!("{by}x"))), expected);
        assert_eq!(codes(Some(&format!("{reason}x")), Some("")), expected);
        let expected = [("/by".to_owned(), "invalid-character")];
        assert_eq!(codes(Some("late"), Some("a\nb")), expected);
    }
}
