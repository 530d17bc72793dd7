//! Conducts a run: starts the workers together, ends it when the time is over, the orders are used
//! up or somebody interrupts, and shows how it goes. It sends nothing itself.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::arguments::{Settings, Tempo};
use super::display::Display;
use super::feed::{Feeder, JOBS_WAITING_MAX, Outlet};
use super::file::{FileError, Lines};
use super::open::{Arrivals, Bounds};
use super::plan::{Mix, Plan};
use super::record::Haul;
use super::schedule::Schedule;
use super::script::Script;
use super::source::{Generated, Maker, Parcels, Source};
use super::tally::Tally;
use super::worker::{self, Phase, Report, Shared};
use crate::cli::exit::{FAILURE, Failure, OF_OURS, OF_THE_SYSTEM, OrFail};
use crate::cli::scenario::{Door, Stage, Wire};
use crate::clock;

/// How often the screen is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// What came out of the sending.
#[derive(Debug)]
pub struct Sent {
    /// The sum of all workers.
    pub tally: Tally,
    /// The ids, and what became of the lines of a file.
    pub haul: Haul,
    /// When the first request was sent.
    pub start: Instant,
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// Orders that were due but never sent.
    pub never_sent: u64,
    /// Whether somebody ended it early.
    pub interrupted: bool,
    /// Why the file could not be read to its end.
    pub file_error: Option<FileError>,
}

impl Sent {
    /// Adds what a later stage of the same run sent.
    pub fn absorb(&mut self, mut later: Self) {
        let end = later.start + later.elapsed;
        self.tally.absorb(&mut later.tally);
        self.haul.absorb(later.haul);
        self.elapsed = end.saturating_duration_since(self.start);
        self.never_sent += later.never_sent;
        self.interrupted |= later.interrupted;
        self.file_error = self.file_error.take().or(later.file_error);
    }
}

/// A run that has not begun.
pub struct Run {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    feeder: Option<Feeder>,
    connections: usize,
    threads: usize,
    duration: Option<Duration>,
    grace: Duration,
}

impl Run {
    /// Prepares a run whose generated ids begin with `id_prefix`.
    ///
    /// # Errors
    ///
    /// The file of orders cannot be opened.
    pub fn new(settings: &Settings, id_prefix: &str) -> Result<Self, FileError> {
        let (phase, phases) = watch::channel(Phase::Connecting);
        let (source, feeder) = match &settings.file {
            Some(path) => file_source(settings, path, phases.clone())?,
            None => (generated_source(settings, id_prefix), None),
        };
        let shared = Shared {
            target: settings.target.clone(),
            source: Arc::new(source),
            tally: Mutex::default(),
            phase: phases,
            timeout: settings.arguments.timeout,
            id_prefix: id_prefix.to_owned(),
            door: None,
            is_single: false,
        };
        let connections = settings.arguments.connections as usize;
        Ok(Self {
            shared: Arc::new(shared),
            phase,
            feeder,
            connections,
            threads: (settings.arguments.threads as usize).min(connections),
            duration: settings.duration,
            grace: settings.arguments.grace,
        })
    }

    /// Prepares a stage of a scenario whose chosen ids end with `suffix`.
    pub fn staged(settings: &Settings, door: Door, stage: Stage, suffix: &str) -> Self {
        let (phase, phases) = watch::channel(Phase::Connecting);
        let arguments = &settings.arguments;
        let script = Script::new(&settings.target, door, stage, (arguments.seed, suffix));
        let source = Source::Generated(Box::new(Generated {
            maker: Maker::Script(Box::new(script)),
            orders_max: stage.orders.into(),
            batch: 1,
            is_numbered: false,
            arrivals: stage.rate.map(|rate| Arrivals::new(Schedule::new(rate, 1))),
            taken: AtomicU64::new(0),
        }));
        let shared = Shared {
            target: settings.target.clone(),
            source: Arc::new(source),
            tally: Mutex::default(),
            phase: phases,
            timeout: stage.timeout.unwrap_or(arguments.timeout),
            id_prefix: String::new(),
            door: Some(door),
            is_single: stage.wire != Wire::Kept,
        };
        let connections = stage.connections as usize;
        Self {
            shared: Arc::new(shared),
            phase,
            feeder: None,
            connections,
            threads: (arguments.threads as usize).min(connections),
            duration: None,
            grace: arguments.grace,
        }
    }

    /// Runs it. `interrupts` counts how often somebody wanted to stop: once ends the sending,
    /// twice also gives up what is on its way.
    ///
    /// # Errors
    ///
    /// A thread cannot be started, or has died.
    pub async fn conduct(
        mut self,
        display: &mut Display,
        interrupts: &watch::Sender<u32>,
    ) -> anyhow::Result<Sent> {
        let mut reports = self.start_workers()?;
        for _ in 0..self.threads {
            reports.recv().await.ok_or_else(died)?;
        }
        let start = clock::monotonic();
        self.phase.send_replace(Phase::Sending);
        let pacer = self.start_pacer(start)?;
        let feeder = self.start_feeder(start)?;
        let mut watched = Watched {
            haul: Haul::new(&self.shared.id_prefix),
            done: 0,
        };
        let interrupted = self
            .watch(&mut watched, &mut reports, display, (start, interrupts))
            .await?;
        self.phase.send_replace(Phase::Over);
        let never_sent = self.shared.source.waiting();
        let tally = self.shared.with_tally(std::mem::take);
        // The feeder may wait for room in the channel: it wakes up when the receiver is gone.
        drop(self);
        let file_error = join(feeder)?.and_then(Result::err);
        join(pacer)?;
        let end = tally.last_answer.unwrap_or_else(clock::monotonic);
        let elapsed = end.saturating_duration_since(start);
        Ok(Sent {
            tally,
            haul: watched.haul,
            start,
            elapsed,
            never_sent,
            interrupted,
            file_error,
        })
    }

    fn start_workers(&self) -> anyhow::Result<mpsc::Receiver<Report>> {
        let (sender, receiver) = mpsc::channel(self.threads * 2);
        for number in 0..self.threads {
            let share = self.connections / self.threads
                + usize::from(number < self.connections % self.threads);
            worker::start(self.shared.clone(), share, sender.clone())
                .or_fail("cannot start a sending thread", OF_THE_SYSTEM)?;
        }
        Ok(receiver)
    }

    fn start_pacer(&self, start: Instant) -> anyhow::Result<Option<JoinHandle<()>>> {
        let is_paced = match &*self.shared.source {
            Source::Generated(generated) => generated.arrivals.is_some(),
            Source::File(_) => false,
        };
        if !is_paced {
            return Ok(None);
        }
        let (shared, connections) = (self.shared.clone(), self.connections);
        let pace = move || {
            if let Source::Generated(generated) = &*shared.source
                && let Some(arrivals) = &generated.arrivals
            {
                let bounds = Bounds {
                    requests: generated.requests_max(),
                    connections,
                };
                arrivals.pace(start, &shared.phase, bounds);
            }
        };
        spawn("pace", pace).map(Some)
    }

    fn start_feeder(
        &mut self,
        start: Instant,
    ) -> anyhow::Result<Option<JoinHandle<Result<(), FileError>>>> {
        self.feeder
            .take()
            .map(|feeder| spawn("read", move || feeder.run(start)))
            .transpose()
    }

    /// Watches the run until all workers are done; answers whether it was interrupted.
    async fn watch(
        &self,
        watched: &mut Watched,
        reports: &mut mpsc::Receiver<Report>,
        display: &mut Display,
        (start, interrupts): (Instant, &watch::Sender<u32>),
    ) -> anyhow::Result<bool> {
        let mut ticks = tokio::time::interval(DRAW_EVERY);
        let mut interrupted = interrupts.subscribe();
        let mut next_phase = self.duration.map(|duration| start + duration);
        while watched.done < self.threads {
            tokio::select! {
                report = reports.recv() => watched.take(report)?,
                () = until(next_phase) => next_phase = self.advance(),
                changed = interrupted.changed() => {
                    changed?;
                    next_phase = self.advance();
                }
                _ = ticks.tick() => {
                    let elapsed = clock::monotonic().saturating_duration_since(start);
                    let waiting = self.shared.source.waiting();
                    self.shared.with_tally(|tally| display.see(elapsed, tally, waiting));
                    if display.draw() {
                        interrupts.send_modify(|count| *count += 1);
                    }
                }
            }
        }
        let asked = *interrupts.borrow() > 0;
        Ok(asked)
    }

    /// Goes to the next phase and answers when it ends at the latest.
    fn advance(&self) -> Option<Instant> {
        let sending = *self.phase.borrow() == Phase::Sending;
        let next = if sending {
            Phase::Draining
        } else {
            Phase::Over
        };
        self.phase.send_replace(next);
        sending.then(|| clock::monotonic() + self.grace)
    }
}

/// What the workers have handed in so far.
struct Watched {
    haul: Haul,
    done: usize,
}

impl Watched {
    fn take(&mut self, report: Option<Report>) -> anyhow::Result<()> {
        match report {
            Some(Report::Ready) => {}
            Some(Report::Done(haul)) => {
                self.haul.absorb(*haul);
                self.done += 1;
            }
            None => return Err(died().into()),
        }
        Ok(())
    }
}

fn generated_source(settings: &Settings, id_prefix: &str) -> Source {
    let arguments = &settings.arguments;
    let is_numbered = !arguments.no_client_ids;
    let mix = Mix {
        seed: arguments.seed,
        priorities: arguments.priorities,
        customers: arguments.customers,
        items: arguments.items,
        process: arguments.process.clone(),
        id_prefix: is_numbered.then(|| id_prefix.to_owned()),
    };
    let schedule = match settings.tempo {
        Tempo::Rate(rate) => Some(Schedule::new(rate, arguments.batch)),
        Tempo::Closed | Tempo::Pace(_) => None,
    };
    let planned = schedule.zip(settings.duration).map(|(schedule, duration)| {
        let requests = schedule.due_by(duration.saturating_sub(Duration::from_nanos(1)));
        requests.saturating_mul(u64::from(arguments.batch))
    });
    Source::Generated(Box::new(Generated {
        maker: Maker::Plan(Plan::new(&mix, &settings.target)),
        orders_max: settings.orders_max.min(planned.unwrap_or(u64::MAX)),
        batch: arguments.batch,
        is_numbered,
        arrivals: schedule.map(Arrivals::new),
        taken: AtomicU64::new(0),
    }))
}

fn file_source(
    settings: &Settings,
    path: &Path,
    phase: watch::Receiver<Phase>,
) -> Result<(Source, Option<Feeder>), FileError> {
    let (jobs, receiver) = mpsc::channel(JOBS_WAITING_MAX);
    let due = Arc::new(AtomicU64::new(0));
    let outlet = Outlet {
        jobs,
        due: due.clone(),
        phase,
    };
    let feeder = Feeder::new(Lines::open(path)?, settings, outlet);
    Ok((Source::File(Parcels::new(receiver, due)), Some(feeder)))
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<JoinHandle<T>> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let what = format_args!("cannot start the thread '{name}'");
    Ok(thread.spawn(work).or_fail(what, OF_THE_SYSTEM)?)
}

/// The error of a run one of whose threads is gone.
fn died() -> Failure {
    Failure::new(FAILURE, "a sending thread has died", OF_OURS)
}

fn join<T>(thread: Option<JoinHandle<T>>) -> anyhow::Result<Option<T>> {
    thread
        .map(|thread| thread.join().map_err(|_| died().into()))
        .transpose()
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
