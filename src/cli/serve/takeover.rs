//! Takes over from a server that is ending, or may fail: waits for its ports, then for its data.
//!
//! Without `server.takeover_timeout` nothing is waited for. Never takes anything by force; whether
//! a server is gone is for the store to say.

use std::time::{Duration, Instant};

use super::notice::Notices;
use crate::clock;
use crate::config::duration;

/// How often is tried whether something is free by now that another server has.
pub(super) const RETRY: Duration = Duration::from_millis(10);

/// The patience with the server before.
pub(super) struct Takeover {
    patience: Duration,
    until: Instant,
    notices: Notices,
}

impl Takeover {
    /// From now on, for so long.
    pub(super) fn new(patience: Duration, notices: Notices) -> Self {
        Self {
            patience,
            until: clock::monotonic() + patience,
            notices,
        }
    }

    /// Tries until it works, fails for a reason that does not pass, or time is up. `pause` tells of
    /// a reason that may pass how long to wait before the next try.
    pub(super) async fn get<T, E: std::fmt::Display>(
        &self,
        mut attempt: impl FnMut() -> Result<T, E>,
        pause: impl Fn(&E) -> Option<Duration>,
    ) -> Result<T, E> {
        let mut has_told = false;
        loop {
            let result = attempt();
            let pause = result.as_ref().err().and_then(&pause);
            match (result, pause) {
                (Err(error), Some(pause)) if clock::monotonic() < self.until => {
                    if !has_told {
                        let patience = duration::format(self.patience);
                        self.notices
                            .waiting(&format!("{error} (waiting up to {patience} for it)"));
                        has_told = true;
                    }
                    tokio::time::sleep(pause).await;
                }
                (result, _) => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use crate::telemetry::Colour;

    /// How many times it is tried, and what comes of it.
    async fn tried(patience: Duration, free_at: u32, error: &str) -> (u32, Result<(), String>) {
        let takeover = Takeover::new(patience, Notices::new(LogFormat::Json, Colour::Off));
        let mut times = 0;
        let attempt = || {
            times += 1;
            if times == free_at {
                Ok(())
            } else {
                Err(error.to_owned())
            }
        };
        let result = takeover
            .get(attempt, |error| (error == "taken").then_some(RETRY))
            .await;
        (times, result)
    }

    #[tokio::test]
    async fn only_what_is_taken_is_waited_for_and_not_for_ever() {
        let long = Duration::from_secs(60);
        assert_eq!(tried(long, 3, "taken").await, (3, Ok(())));
        assert_eq!(tried(long, 3, "broken").await, (1, Err("broken".into())));
        let short = Duration::ZERO;
        assert_eq!(tried(short, 3, "taken").await, (1, Err("taken".into())));
        let (times, result) = tried(Duration::from_millis(30), 1_000, "taken").await;
        assert!(times > 1 && result.is_err(), "{times}");
    }
}
