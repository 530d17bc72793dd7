//! The open loop: requests become due by the schedule, whether or not the server keeps up.
//!
//! A thread of its own releases them, because the timers of the runtime tick in milliseconds.
//! A request that finds no free connection stays released and its wait counts as latency; it is
//! never skipped and its planned time never moves (no coordinated omission, G. Tene).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::schedule::Schedule;
use super::worker::Phase;
use crate::clock;

/// The shortest and the longest sleep of the pacing thread: how exact it is, and how soon it sees
/// that the run is over.
const NAP_MIN: Duration = Duration::from_micros(500);
const NAP_MAX: Duration = Duration::from_millis(50);

/// Requests as they become due. The semaphore is the queue of those that wait for a connection.
#[derive(Debug)]
pub struct Arrivals {
    schedule: Schedule,
    start: OnceLock<Instant>,
    queue: Semaphore,
    released: AtomicU64,
}

impl Arrivals {
    /// Nothing is due until [`Arrivals::pace`] runs.
    pub fn new(schedule: Schedule) -> Self {
        let (start, queue) = (OnceLock::new(), Semaphore::new(0));
        Self {
            schedule,
            start,
            queue,
            released: AtomicU64::new(0),
        }
    }

    /// Waits for a request that is due; `false` when the run is over.
    pub async fn wait(&self) -> bool {
        match self.queue.acquire().await {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// When request `number` should be sent; `None` before the start.
    pub fn due(&self, number: u64) -> Option<Instant> {
        self.start
            .get()
            .map(|start| *start + self.schedule.due(number))
    }

    /// How many requests have become due.
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Releases `requests` requests by the schedule, from `start` on, until the phase changes.
    /// Blocks: it is the work of a thread of its own.
    ///
    /// `connections` wait in vain when all requests are taken, so as many are released on top.
    pub fn pace(&self, start: Instant, phase: &watch::Receiver<Phase>, bounds: Bounds) {
        let start = *self.start.get_or_init(|| start);
        while *phase.borrow() == Phase::Sending {
            let elapsed = clock::monotonic().saturating_duration_since(start);
            let (more, nap) = self.step(elapsed, bounds.requests);
            self.queue.add_permits(more);
            let Some(nap) = nap else {
                return self.queue.add_permits(bounds.connections);
            };
            std::thread::sleep(nap);
        }
        self.queue.close();
    }

    /// How many more requests are due at `elapsed`, and how long to sleep; `None` after the last.
    fn step(&self, elapsed: Duration, requests: u64) -> (usize, Option<Duration>) {
        let due = self.schedule.due_by(elapsed).min(requests);
        let more = due.saturating_sub(self.released.swap(due, Ordering::Relaxed));
        let nap = self
            .schedule
            .due(due)
            .saturating_sub(elapsed)
            .clamp(NAP_MIN, NAP_MAX);
        (more as usize, (due < requests).then_some(nap))
    }
}

/// How far the pacing goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests in all.
    pub requests: u64,
    /// Connections that wait for them.
    pub connections: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_what_is_due_once_and_then_ends() {
        let arrivals = Arrivals::new(Schedule::new(1_000, 1));
        assert_eq!(
            arrivals.step(Duration::ZERO, 100),
            (1, Some(Duration::from_millis(1)))
        );
        assert_eq!(arrivals.step(Duration::ZERO, 100).0, 0);
        let late = Duration::from_micros(10_400);
        assert_eq!(
            arrivals.step(late, 100),
            (10, Some(Duration::from_micros(600)))
        );
        assert_eq!(arrivals.step(Duration::from_secs(9), 100), (89, None));
        assert_eq!(arrivals.released(), 100);
    }

    #[tokio::test]
    async fn a_request_keeps_its_planned_time_however_late_it_is_taken() {
        let arrivals = Arrivals::new(Schedule::new(1_000, 1));
        let (_over, phase) = watch::channel(Phase::Sending);
        let start = clock::monotonic()
            .checked_sub(Duration::from_secs(5))
            .unwrap();
        arrivals.pace(
            start,
            &phase,
            Bounds {
                requests: 3,
                connections: 1,
            },
        );
        for _ in 0..4 {
            assert!(arrivals.wait().await);
        }
        assert_eq!(arrivals.due(2), Some(start + Duration::from_millis(2)));
    }

    #[tokio::test]
    async fn nobody_waits_for_requests_after_the_end() {
        let arrivals = Arrivals::new(Schedule::new(1, 1));
        let (_over, phase) = watch::channel(Phase::Draining);
        arrivals.pace(
            clock::monotonic(),
            &phase,
            Bounds {
                requests: 3,
                connections: 1,
            },
        );
        assert!(!arrivals.wait().await);
    }
}
