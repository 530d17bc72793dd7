//! How each run of the server ends: at a random moment, at a fault point, in order; and what it
//! goes through before. Chosen from a seed; each point gets its turn.
//!
//! Without the feature `faults` there are no points, and only the moment is chosen.

use std::collections::BTreeMap;
use std::time::Duration;

use orderd::faults::{FAILURES, POINTS, comes_past};
use rand::RngExt;
use rand::rngs::StdRng;

/// A point to die at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub point: &'static str,
    /// The how manieth time it is reached.
    pub nth: u64,
    /// How long after that.
    pub delay: Duration,
}

impl Fault {
    /// As the server wants to hear it.
    pub fn wish(&self) -> String {
        format!("{}:{}:{}", self.point, self.nth, self.delay.as_micros())
    }
}

/// How a run ends.
#[derive(Clone, Debug)]
pub enum End {
    /// `kill -9`, so long after enough orders were acknowledged.
    Moment(Duration),
    /// It dies at a point that is reached under load.
    Point(Fault),
    /// A commit fails, it has the store opened anew, and dies on the way.
    Reopening(&'static str, Fault),
    /// A commit fails, it has the store opened anew and goes on; then `kill -9`.
    Failure(&'static str, Duration),
    /// SIGTERM; it ends in order.
    Drain,
    /// SIGTERM; it dies at a point on the way.
    Draining(Fault),
}

/// What is to happen in one cycle.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Starts that are broken off: at a point, or after a moment.
    pub stumbles: Vec<Result<Fault, Duration>>,
    /// Orders that are acknowledged before the end comes.
    pub enough: u64,
    pub end: End,
}

/// Chooses, and remembers which points were chosen how often.
pub struct Planner {
    pub random: StdRng,
    chosen: BTreeMap<&'static str, u32>,
    /// Failures that this store comes past.
    failures: Vec<&'static str>,
    is_file: bool,
    enough: std::ops::Range<u64>,
}

impl Planner {
    /// `is_file`: the store is in one, and not on a database server.
    pub fn new(random: StdRng, enough: std::ops::Range<u64>, is_file: bool) -> Self {
        let passed = |name: &&str| comes_past(name, is_file);
        let points = POINTS.into_iter().filter(passed);
        Self {
            random,
            chosen: points.map(|point| (point, 0)).collect(),
            failures: FAILURES.into_iter().filter(passed).collect(),
            is_file,
            enough,
        }
    }

    fn failure(&mut self) -> &'static str {
        self.failures[self.random.random_range(0..self.failures.len())]
    }

    /// `is_fresh`: there is no store yet.
    pub fn next(&mut self, is_fresh: bool) -> Plan {
        let mut stumbles = Vec::new();
        if is_fresh && cfg!(feature = "faults") {
            let points: &[_] = if self.is_file {
                &[
                    "opening-migrates",
                    "opening-migrated",
                    "opening-epoch-raised",
                ]
            } else {
                &["opening-server-ready", "opening-server-owned"]
            };
            let point = points[self.random.random_range(0..points.len())];
            let delay = self.micros(0..3_000);
            stumbles.push(Ok(Fault {
                point,
                nth: 1,
                delay,
            }));
        }
        if self.random.random_ratio(1, 5) {
            stumbles.push(Err(self.micros(0..40_000)));
        }
        let end = match self.random.random_range(0..100) {
            0..34 if cfg!(feature = "faults") => self.at_a_point(&mut stumbles),
            34..37 if cfg!(feature = "faults") => {
                End::Failure(self.failure(), self.micros(0..30_000))
            }
            37..40 => End::Drain,
            _ => End::Moment(self.micros(0..30_000)),
        };
        Plan {
            stumbles,
            enough: self.random.random_range(self.enough.clone()),
            end,
        }
    }

    fn at_a_point(&mut self, stumbles: &mut Vec<Result<Fault, Duration>>) -> End {
        let fault = self.fault();
        let is_of = |group: &str| fault.point.starts_with(group);
        if is_of("opening-") || is_of("recovery-") {
            stumbles.push(Ok(Fault { nth: 1, ..fault }));
            End::Moment(self.micros(0..30_000))
        } else if is_of("drain-") {
            End::Draining(Fault { nth: 1, ..fault })
        } else if is_of("reopening-") {
            End::Reopening(self.failure(), Fault { nth: 1, ..fault })
        } else {
            End::Point(fault)
        }
    }

    /// One of the points that had the fewest turns.
    fn fault(&mut self) -> Fault {
        let fewest = self.chosen.values().min().copied().unwrap_or_default();
        let points: Vec<_> = self
            .chosen
            .iter()
            .filter(|(_, times)| **times == fewest)
            .collect();
        let point = *points[self.random.random_range(0..points.len())].0;
        *self.chosen.entry(point).or_default() += 1;
        let is_rare = point.starts_with("checkpoint-");
        let nth = if is_rare {
            1
        } else {
            self.random.random_range(1..6)
        };
        let is_late = self.random.random_ratio(1, 3);
        let delay = if is_late {
            self.micros(1..3_000)
        } else {
            Duration::ZERO
        };
        Fault { point, nth, delay }
    }

    fn micros(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_micros(self.random.random_range(range))
    }
}
