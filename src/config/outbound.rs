//! Settings of calls to the outside: who may be called, and for how long a connection is tried.
//!
//! Data and its check only; how calls are made is in `outbound`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Breach, duration};
use crate::outbound::Allowed;

/// What calls to the outside are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundSettings {
    /// Private networks, addresses and hosts that may be called, with commas between them. Default
    /// none: only public addresses.
    pub allow: String,
    /// How long a connection may take to be made, 100 ms to 1 m. Default 5 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            allow: String::new(),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl OutboundSettings {
    /// What may be called beside public addresses.
    pub fn allowed(&self) -> Allowed {
        Allowed::parse(&self.allow).unwrap_or_default()
    }

    pub(super) fn check(&self) -> Result<(), Breach> {
        let read = Allowed::parse(&self.allow).map(|_| ());
        read.map_err(|bad| Breach::new("outbound.allow", format!("is wrong: {bad}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_cannot_be_read_is_refused_with_the_part_that_is_wrong() {
        let mut settings = OutboundSettings::default();
        assert!(settings.check().is_ok());
        settings.allow = "10.0.0.0/8, pay.internal".into();
        assert!(settings.check().is_ok());
        assert_ne!(settings.allowed(), Allowed::default());
        settings.allow = "10.0.0.0/8, 10.0.0.0/99".into();
        let breach = settings.check().unwrap_err();
        assert_eq!(breach.key, "outbound.allow");
        assert!(breach.detail.contains("10.0.0.0/99"), "{}", breach.detail);
    }
}
