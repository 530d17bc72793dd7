//! A hold: while one is open, no new step of its order starts.
//!
//! It stands beside the status and never changes it. Data only: the shard decides what a hold keeps
//! from starting, and when it is over.

use std::borrow::Cow;

use super::change::Signature;
use super::new_order::Fault;
use crate::clock::Timestamp;

/// A hold as somebody wrote it, not checked.
#[derive(Clone, Debug, Default)]
pub struct HoldDraft<'a> {
    /// Why.
    pub reason: Cow<'a, str>,
    /// Who asks.
    pub by: Option<Cow<'a, str>>,
    /// RFC 3339 time of the end.
    pub until: Option<Cow<'a, str>>,
}

/// A hold that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// Why, for people: 1 to 1,024 characters, no control characters.
    pub reason: Box<str>,
    /// Who asks, if they said: 1 to 255 characters, no control characters.
    pub by: Option<Box<str>>,
    /// When it is to be released without anybody's doing. `None`: only by a person.
    pub until: Option<Timestamp>,
}

/// Why an order is held back, by whom, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, for people.
    pub reason: Box<str>,
    /// Who holds it, if they said.
    pub by: Option<Box<str>>,
    /// Since when.
    pub since: Timestamp,
    /// When it is released without anybody's doing. `None`: only by a person.
    pub until: Option<Timestamp>,
}

impl NewHold {
    /// Checks what somebody wrote. The faults point to `/reason`, `/by` and `/until`.
    pub fn check(draft: &HoldDraft<'_>) -> Result<Self, Vec<Fault>> {
        let signed = Signature::check(Some(&draft.reason), draft.by.as_deref());
        let until = draft.until.as_deref().map(Timestamp::parse_rfc3339);
        let mut faults = Vec::new();
        let signature = signed.unwrap_or_else(|found| {
            faults.extend(found);
            Signature::default()
        });
        if until == Some(None) {
            faults.push(Fault::new("/until", "invalid-time", Timestamp::FORM));
        }
        match signature.reason {
            Some(reason) if faults.is_empty() => Ok(Self {
                reason,
                by: signature.by,
                until: until.flatten(),
            }),
            _ => Err(faults),
        }
    }

    /// The same hold from `since` on.
    pub fn since(self, since: Timestamp) -> Hold {
        Hold {
            reason: self.reason,
            by: self.by,
            since,
            until: self.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(reason: &'static str, until: Option<&'static str>) -> HoldDraft<'static> {
        HoldDraft {
            reason: reason.into(),
            by: Some("ada".into()),
            until: until.map(Cow::Borrowed),
        }
    }

    #[test]
    fn a_hold_has_a_reason_and_perhaps_an_end() {
        let hold = NewHold::check(&draft("fraud?", Some("1970-01-01T00:00:01Z"))).unwrap();
        let hold = hold.since(Timestamp(7));
        assert_eq!((&*hold.reason, hold.by.as_deref()), ("fraud?", Some("ada")));
        assert_eq!(
            (hold.since, hold.until),
            (Timestamp(7), Some(Timestamp(1_000_000)))
        );
        let faults = NewHold::check(&draft("", Some("noon"))).unwrap_err();
        let told: Vec<_> = faults.iter().map(|it| (&*it.pointer, it.code)).collect();
        assert_eq!(
            told,
            [("/reason", "invalid-length"), ("/until", "invalid-time")]
        );
    }
}
