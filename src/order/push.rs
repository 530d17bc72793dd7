//! Work that is sent to the address of a step: where to, and how long is waited for an answer.
//!
//! Data only. Where a step is done is no part of what is done, so orders of older versions of a
//! process are sent to the address that the current version has.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Beyond the time for answers, what is said of a call may take so long to be taken, in
/// microseconds: the store may be away for a while.
const REPORT_US: i64 = 300_000_000;

/// Work that is sent to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Name of its queue: those of the process and of the step, with a dot between them. No other
    /// queue has a dot in its name.
    pub queue: Arc<str>,
    /// Where to: an `http` or `https` URL that was checked.
    pub url: Arc<str>,
    /// The step has an effect that must not be made twice, and here is told whether it was made.
    #[serde(default)]
    pub lookup: Option<Arc<str>>,
    /// How long an answer may take, in microseconds, from 1.
    #[serde(skip, default = "Push::usual_timeout_us")]
    pub timeout_us: i64,
    /// How long the result may take if the answer is that it comes later, in microseconds, from 1.
    #[serde(skip, default = "Push::usual_callback_us")]
    pub callback_us: i64,
    /// What calls are signed with; none: they are not signed.
    #[serde(skip)]
    pub secrets: Vec<Hidden>,
}

impl Push {
    /// 10 s.
    pub fn usual_timeout_us() -> i64 {
        10_000_000
    }

    /// One hour.
    pub fn usual_callback_us() -> i64 {
        3_600_000_000
    }

    /// The name of the queue of a step.
    pub fn queue_of(process: &str, step: &str) -> Arc<str> {
        format!("{process}.{step}").into()
    }

    /// How long nothing may be heard of an attempt: a question, a call, and the report.
    pub fn lease_us(&self) -> i64 {
        self.timeout_us.saturating_mul(2).saturating_add(REPORT_US)
    }

    /// Whether an attempt must not be made again unless it is known that the one before had no
    /// effect.
    pub fn has_effect(&self) -> bool {
        self.lookup.is_some()
    }
}

/// A text that is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Box<str>);

impl Hidden {
    /// Hides a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_neither_stored_nor_shown() {
        let push = Push {
            queue: Push::queue_of("shop", "pay"),
            url: "https://pay.example/take".into(),
            lookup: None,
            timeout_us: 1,
            callback_us: 1,
            secrets: vec![Hidden::new("whsec_abc")],
        };
        let stored = serde_json::to_string(&push).unwrap();
        assert!(!stored.contains("whsec") && !format!("{push:?}").contains("whsec"));
        let read: Push = serde_json::from_str(&stored).unwrap();
        assert_eq!((&*read.queue, read.url), ("shop.pay", push.url));
        assert_eq!(read.timeout_us, Push::usual_timeout_us());
        assert_eq!(push.secrets[0].reveal(), "whsec_abc");
    }
}
