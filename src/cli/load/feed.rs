//! The thread that turns the lines of a file into jobs: batches them, plans when each is due, and
//! passes them on through a bounded channel, so that a file of any size takes little memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::arguments::{Settings, Tempo};
use super::file::{self, FileError, Lines};
use super::schedule::Schedule;
use super::source::Job;
use super::worker::Phase;
use crate::cli::client::Target;
use crate::clock;

/// Jobs that may wait between the reading thread and the connections.
pub const JOBS_WAITING_MAX: usize = 64;
/// Bytes of a batch at most: below the server's limit of 16 MiB.
const BATCH_BYTES_MAX: usize = 15 * 1024 * 1024;
/// The longest sleep of the reading thread: how soon it sees that the run is over.
const NAP_MAX: Duration = Duration::from_millis(50);

/// Reads a file and feeds the connections.
pub struct Feeder {
    lines: Lines,
    pacing: Pacing,
    target: Target,
    batch: usize,
    lines_max: u64,
    outlet: Outlet,
}

/// Where a feeder's jobs go.
#[derive(Debug)]
pub struct Outlet {
    /// To the connections.
    pub jobs: mpsc::Sender<Job>,
    /// Counts the orders that have become due.
    pub due: Arc<AtomicU64>,
    /// How far the run is: the feeder stops when it is no longer sending.
    pub phase: watch::Receiver<Phase>,
}

impl Feeder {
    /// Feeds the lines into `outlet` while the run is sending.
    pub fn new(lines: Lines, settings: &Settings, outlet: Outlet) -> Self {
        let batch = settings.arguments.batch;
        Self {
            lines,
            pacing: Pacing::new(settings.tempo, batch),
            target: settings.target.clone(),
            batch: batch as usize,
            lines_max: settings.orders_max,
            outlet,
        }
    }

    /// Reads to the end, to the last line wanted, or until the run is over. Blocks.
    ///
    /// # Errors
    ///
    /// [`FileError::Read`]: what was read before has been passed on.
    pub fn run(mut self, start: Instant) -> Result<(), FileError> {
        let mut body = Vec::new();
        let mut numbers = Vec::new();
        let mut left = self.lines_max;
        loop {
            let line = if left == 0 {
                None
            } else {
                self.lines.advance()?
            };
            let ends = line.is_none();
            let full = line.is_some_and(|(_, line)| {
                numbers.len() == self.batch || body.len() + line.len() > BATCH_BYTES_MAX
            });
            let next = line.map(|(number, line)| (number, line.to_vec()));
            if (full || ends) && !numbers.is_empty() {
                let job = self.job(&mut body, &mut numbers);
                if !self.pass_on(job, start) {
                    return Ok(());
                }
            }
            let Some((number, line)) = next else {
                return Ok(());
            };
            left -= 1;
            self.pacing.see(&line);
            numbers.push(number);
            body.extend_from_slice(&line);
            body.push(b'\n');
        }
    }

    fn job(&self, body: &mut Vec<u8>, numbers: &mut Vec<u64>) -> Job {
        let is_batch = self.batch > 1;
        let (path, media_type) = match is_batch {
            true => ("/v1/orders/batch", "application/x-ndjson"),
            false => ("/v1/orders", "application/json"),
        };
        if !is_batch {
            body.pop();
        }
        let mut request = Vec::with_capacity(body.len() + 256);
        self.target
            .write_post(path, media_type, body.len(), &mut request);
        request.append(body);
        let lines = std::mem::take(numbers);
        Job {
            request,
            count: lines.len(),
            is_batch,
            lines,
            ..Job::default()
        }
    }

    /// Waits until the job is due and passes it on; `false` when the run is over.
    fn pass_on(&mut self, mut job: Job, start: Instant) -> bool {
        job.due = self.pacing.due().map(|due| start + due);
        while *self.outlet.phase.borrow() == Phase::Sending {
            let wait = job
                .due
                .map(|due| due.saturating_duration_since(clock::monotonic()));
            match wait {
                Some(wait) if !wait.is_zero() => std::thread::sleep(wait.min(NAP_MAX)),
                _ => {
                    if job.due.is_some() {
                        self.outlet
                            .due
                            .fetch_add(job.count as u64, Ordering::Relaxed);
                    }
                    return self.outlet.jobs.blocking_send(job).is_ok();
                }
            }
        }
        false
    }
}

/// When the jobs of a file are due, as a pure function of what was read.
#[derive(Clone, Debug)]
enum Pacing {
    /// At once.
    None,
    /// By the schedule; the number is that of the next job.
    Rate(Schedule, u64),
    /// As they were placed.
    Pace(Pace),
}

/// The pace of a file: the time since its first order, divided by a factor.
#[derive(Clone, Debug)]
struct Pace {
    factor: f64,
    first_us: Option<i64>,
    due: Duration,
}

impl Pacing {
    fn new(tempo: Tempo, batch: u32) -> Self {
        match tempo {
            Tempo::Closed => Self::None,
            Tempo::Rate(rate) => Self::Rate(Schedule::new(rate, batch), 0),
            Tempo::Pace(factor) => Self::Pace(Pace {
                factor,
                first_us: None,
                due: Duration::ZERO,
            }),
        }
    }

    /// A line is added to the job that comes next.
    fn see(&mut self, line: &[u8]) {
        if let Self::Pace(pace) = self
            && let Some(placed_us) = file::placed_at(line)
        {
            pace.see(placed_us);
        }
    }

    /// When the job that comes next is due, from the start of the run.
    fn due(&mut self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Rate(schedule, number) => {
                let due = schedule.due(*number);
                *number += 1;
                Some(due)
            }
            Self::Pace(pace) => Some(pace.due),
        }
    }
}

impl Pace {
    /// An order placed at this time comes next. It is never due before the one before it.
    fn see(&mut self, placed_us: i64) {
        let first = *self.first_us.get_or_insert(placed_us);
        let since_us = placed_us.saturating_sub(first).max(0) as f64 / self.factor;
        self.due = self.due.max(Duration::from_micros(since_us as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32) -> Vec<u8> {
        format!(r#"{{"metadata":{{"placed_at":"2017-01-01T00:00:{second:02}Z"}}}}"#).into_bytes()
    }

    #[test]
    fn a_file_at_its_own_pace_is_as_fast_as_asked_and_never_goes_back() {
        let mut pacing = Pacing::new(Tempo::Pace(10.0), 1);
        let mut due = |second| {
            pacing.see(&line(second));
            pacing.due()
        };
        assert_eq!(due(5), Some(Duration::ZERO));
        assert_eq!(due(7), Some(Duration::from_millis(200)));
        assert_eq!(due(6), Some(Duration::from_millis(200)));
        assert_eq!(due(15), Some(Duration::from_secs(1)));
        pacing.see(b"{}");
        assert_eq!(pacing.due(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_file_at_a_fixed_rate_follows_the_schedule() {
        let mut pacing = Pacing::new(Tempo::Rate(100), 10);
        let due: Vec<_> = (0..3).map(|_| pacing.due().unwrap()).collect();
        assert_eq!(due, [0, 100, 200].map(Duration::from_millis));
        assert_eq!(Pacing::new(Tempo::Closed, 1).due(), None);
    }
}
