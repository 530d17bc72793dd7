//! Settings of those who follow what happens: how many, and how often they are told that the
//! stream is alive.
//!
//! Data only; the bounds of single values are in the table of settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// What the event stream is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// Most clients that follow the event stream at once, 0 to 100,000. Default 1,000.
    pub readers_max: u32,
    /// How long a stream may be silent before a sign of life is sent, 100 ms to 1 h. Default 15 s.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            readers_max: 1_000,
            heartbeat: Duration::from_secs(15),
        }
    }
}
