//! Settings of the queue: how much may wait, and how far ahead a priority is.
//!
//! Data and its relations only; the bounds of single values are in the table of settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Breach, duration};

/// What the queue is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// Most orders that are open at once, 1 to 100,000,000; more are refused. Default 1,000,000.
    pub max_open_orders: u64,
    /// How much older a medium order must be to go before a high one. Default 10 s.
    #[serde(with = "duration")]
    pub allowance_medium: Duration,
    /// How much older a low order must be to go before a high one. Default 60 s.
    #[serde(with = "duration")]
    pub allowance_low: Duration,
    /// How far an order that has begun goes before one that has not. Default 60 s.
    #[serde(with = "duration")]
    pub begun_head_start: Duration,
    /// How long an idempotency key counts, 1 s to 365 d. Default 7 d.
    #[serde(with = "duration")]
    pub idempotency_retention: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            max_open_orders: 1_000_000,
            allowance_medium: Duration::from_secs(10),
            allowance_low: Duration::from_secs(60),
            begun_head_start: Duration::from_secs(60),
            idempotency_retention: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

impl QueueSettings {
    pub(super) fn check(&self) -> Result<(), Breach> {
        if self.allowance_low < self.allowance_medium {
            let detail = format!(
                "is {}, below queue.allowance_medium ({}): low orders would go first; raise it",
                duration::format(self.allowance_low),
                duration::format(self.allowance_medium)
            );
            return Err(Breach::new("queue.allowance_low", detail));
        }
        Ok(())
    }
}
