//! The past of an order that another service has finished, for those who move over.
//!
//! Such an order comes in as it ended, with its own times; nothing is done with it. Data and its
//! checks only: the shard writes its history.

use std::borrow::Cow;

use super::change::Signature;
use super::new_order::{Fault, NewOrder, time};
use crate::clock::Timestamp;

/// How an order can have ended before it came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEnd {
    /// All of it was done.
    Completed,
    /// It was stopped.
    Cancelled,
}

/// What happened to an order before it came here. Times never run backwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// How it ended.
    pub end: PastEnd,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its work began; a completed order has begun.
    pub started_at: Option<Timestamp>,
    /// When it ended; not after it came here.
    pub ended_at: Timestamp,
    /// Why it ended like this, for people.
    pub reason: Option<Box<str>>,
}

/// The past of an order as somebody wrote it, not checked.
#[derive(Clone, Debug, Default)]
pub struct PastDraft<'a> {
    /// `completed` or `cancelled`.
    pub status: Cow<'a, str>,
    /// RFC 3339 time at which it was accepted.
    pub created_at: Cow<'a, str>,
    /// RFC 3339 time at which its work began; that of a completed order is `created_at` if absent.
    pub started_at: Option<Cow<'a, str>>,
    /// RFC 3339 time at which it ended.
    pub ended_at: Cow<'a, str>,
    /// Why it ended like this.
    pub reason: Option<Cow<'a, str>>,
    /// When it comes here: nothing in its past is later.
    pub now: Timestamp,
}

impl Past {
    /// Checks what somebody wrote. The faults point to the fields beside the order's own.
    pub fn check(draft: &PastDraft<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let end = end(&draft.status, &mut faults);
        let created_at = time("/created_at", Some(&draft.created_at), &mut faults);
        let started_at = time("/started_at", draft.started_at.as_deref(), &mut faults);
        let ended_at = time("/ended_at", Some(&draft.ended_at), &mut faults);
        let signature = Signature::check(draft.reason.as_deref(), None);
        let signature = signature.unwrap_or_else(|found| {
            faults.extend(found);
            Signature::default()
        });
        let (Some(end), Some(created_at), Some(ended_at), true) =
            (end, created_at, ended_at, faults.is_empty())
        else {
            return Err(faults);
        };
        let past = Self {
            end,
            created_at,
            started_at: match end {
                PastEnd::Completed => started_at.or(Some(created_at)),
                PastEnd::Cancelled => started_at,
            },
            ended_at,
            reason: signature.reason,
        };
        past.in_order(draft.now)
    }

    /// Checks an order together with its past; fails with the faults of both.
    pub fn of(
        order: Result<NewOrder, Vec<Fault>>,
        draft: &PastDraft<'_>,
    ) -> Result<NewOrder, Vec<Fault>> {
        match (order, Self::check(draft)) {
            (Ok(order), Ok(_)) if order.hold.is_some() => {
                let detail = "an order that has ended cannot be held back";
                Err(vec![Fault::new("/hold", "unknown-field", detail)])
            }
            (Ok(order), Ok(past)) => Ok(NewOrder {
                past: Some(Box::new(past)),
                ..order
            }),
            (order, past) => {
                let mut faults = order.err().unwrap_or_default();
                faults.extend(past.err().unwrap_or_default());
                Err(faults)
            }
        }
    }

    /// The same if its times do not run backwards.
    fn in_order(self, now: Timestamp) -> Result<Self, Vec<Fault>> {
        let started_at = self.started_at.unwrap_or(self.created_at);
        let fault = if started_at < self.created_at {
            ("/started_at", "must not be before created_at")
        } else if self.ended_at < started_at {
            ("/ended_at", "must not be before created_at or started_at")
        } else if self.ended_at > now {
            ("/ended_at", "must not be in the future")
        } else {
            return Ok(self);
        };
        Err(vec![Fault::new(fault.0, "out-of-range", fault.1)])
    }
}

fn end(status: &str, faults: &mut Vec<Fault>) -> Option<PastEnd> {
    match status {
        "completed" => Some(PastEnd::Completed),
        "cancelled" => Some(PastEnd::Cancelled),
        _ => {
            let detail = "must be completed or cancelled";
            faults.push(Fault::new("/status", "unknown-status", detail));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(status: &'static str, times: [&'static str; 3]) -> PastDraft<'static> {
        let [created_at, started_at, ended_at] = times;
        PastDraft {
            status: status.into(),
            created_at: created_at.into(),
            started_at: (!started_at.is_empty()).then_some(started_at.into()),
            ended_at: ended_at.into(),
            reason: None,
            now: Timestamp(10_000_000),
        }
    }

    const ONE: &str = "1970-01-01T00:00:01Z";
    const TWO: &str = "1970-01-01T00:00:02Z";
    const TEN: &str = "1970-01-01T00:00:10Z";
    const LATE: &str = "1970-01-01T00:00:10.000001Z";

    #[test]
    fn a_completed_order_has_begun_and_a_cancelled_one_need_not() {
        let past = Past::check(&draft("completed", [ONE, "", TEN])).unwrap();
        assert_eq!(past.started_at, Some(past.created_at));
        assert_eq!(past.ended_at, Timestamp(10_000_000));
        let past = Past::check(&draft("cancelled", [ONE, "", ONE])).unwrap();
        assert_eq!(past.started_at, None);
        let past = Past::check(&draft("cancelled", [ONE, TWO, TEN])).unwrap();
        assert_eq!(past.started_at, Some(Timestamp(2_000_000)));
    }

    #[test]
    fn times_do_not_run_backwards_nor_into_the_future() {
        let told = |status, times| {
            let faults = Past::check(&draft(status, times)).err().unwrap_or_default();
            let told = faults.into_iter().map(|it| (it.pointer, it.code));
            told.collect::<Vec<_>>()
        };
        let at = |pointer: &str, code| vec![(pointer.to_owned(), code)];
        for (status, times, expected) in [
            (
                "completed",
                [TWO, ONE, TEN],
                at("/started_at", "out-of-range"),
            ),
            ("completed", [TWO, "", ONE], at("/ended_at", "out-of-range")),
            (
                "completed",
                [ONE, TEN, TWO],
                at("/ended_at", "out-of-range"),
            ),
            (
                "completed",
                [ONE, "", LATE],
                at("/ended_at", "out-of-range"),
            ),
            ("rejected", [ONE, "", TWO], at("/status", "unknown-status")),
            (
                "completed",
                ["noon", "", TWO],
                at("/created_at", "invalid-time"),
            ),
        ] {
            assert_eq!(told(status, times), expected, "{times:?}");
        }
    }
}
