//! How a step is undone, from the configuration: what does it, and how often it is tried.
//!
//! Its form and the relations between its keys; bounds of single values are in the table of
//! settings.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Breach;
use super::process::is_name;
use super::step::{LEASE_US, WrittenRetry, duration_range, micros, micros_of, parts_per_million};
use crate::order::{Pull, Simulate, Step, StepKind};

/// How a step is undone, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenUndo {
    url: Option<IgnoredAny>,
    queue: Option<String>,
    #[serde(default, deserialize_with = "micros")]
    lease: Option<i64>,
    #[serde(default, deserialize_with = "range")]
    duration: Option<(Duration, Duration)>,
    #[serde(default, deserialize_with = "rate")]
    failure_rate: Option<u32>,
    concurrency: Option<u32>,
    attempts: Option<u16>,
    #[serde(default, deserialize_with = "micros")]
    retry_base: Option<i64>,
    #[serde(default, deserialize_with = "micros")]
    retry_cap: Option<i64>,
}

impl WrittenUndo {
    /// How the step of this name is undone.
    pub(super) fn step(self, name: &str) -> Result<Box<Step>, Breach> {
        let breach = |key: &str, detail: String| Breach::new(format!("compensate.{key}"), detail);
        if self.url.is_some() {
            let detail = "is not built yet in this version; use queue or duration";
            return Err(breach("url", detail.into()));
        }
        let kind = match (&self.queue, self.duration) {
            (Some(queue), None) => {
                if !is_name(queue) {
                    let detail = format!(
                        "is {queue:?}; it must be 1 to 64 lower-case letters, digits, '_' or '-'"
                    );
                    return Err(breach("queue", detail));
                }
                StepKind::Pull(Pull {
                    queue: queue.as_str().into(),
                    lease_us: self.lease.unwrap_or(LEASE_US),
                })
            }
            (None, Some((shortest, longest))) => StepKind::Simulate(Simulate {
                shortest_us: micros_of(shortest),
                longest_us: micros_of(longest),
                failures_ppm: self.failure_rate.unwrap_or_default(),
                ..Simulate::default()
            }),
            _ => {
                let detail = "says nothing of who undoes the step, or too much; give queue or \
                              duration";
                return Err(Breach::new("compensate", detail.into()));
            }
        };
        for (key, is_given, needs, is_there) in [
            ("lease", self.lease.is_some(), "queue", self.queue.is_some()),
            (
                "failure_rate",
                self.failure_rate.is_some(),
                "duration",
                self.duration.is_some(),
            ),
        ] {
            if is_given && !is_there {
                return Err(breach(key, format!("means something only with {needs}")));
            }
        }
        let retry = WrittenRetry {
            attempts: self.attempts,
            base_us: self.retry_base,
            cap_us: self.retry_cap,
        };
        let retry = retry.policy();
        Ok(Box::new(Step {
            concurrency: self.concurrency.unwrap_or(u32::MAX),
            retry: retry.map_err(|it| Breach::new(format!("compensate.{}", it.key), it.detail))?,
            ..Step::new(name, kind)
        }))
    }
}

fn range<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<(Duration, Duration)>, D::Error> {
    duration_range(from).map(Some)
}

fn rate<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    parts_per_million(from).map(Some)
}
