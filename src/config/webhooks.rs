//! Settings of deliveries to webhooks: how long an answer may take, and when a receiver is given
//! up.
//!
//! Data only; the bounds of single values are in the table of settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// What deliveries to webhooks are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// How long a receiver may take to answer, 100 ms to 5 m. Default 15 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// A receiver that is not got through to for so long is paused, 1 m to 365 d. Default 5 d.
    #[serde(with = "duration")]
    pub give_up_after: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            give_up_after: Duration::from_secs(5 * 86_400),
        }
    }
}
