//! A thread that sends: its connections run as tasks on a runtime of its own, so that nothing is
//! shared on the way of a request. Each connection takes a job, sends it, waits for the answer.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use super::record::{Haul, Recorder, kind_of};
use super::source::{Job, Source};
use super::tally::Tally;
use crate::cli::client::{Connection, ExchangeError, Target};
use crate::cli::response::Response;
use crate::cli::scenario::Door;
use crate::clock;

/// How often a worker adds its tally to the common one.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// A connection that was silent for this long is looked at before it is used again.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Pauses between attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How far a run is. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connections are opened; nothing is sent yet.
    Connecting,
    /// Requests are sent.
    Sending,
    /// No new request is sent; those on their way are waited for.
    Draining,
    /// Requests on their way are given up.
    Over,
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The server.
    pub target: Target,
    /// Where jobs come from.
    pub source: Arc<Source>,
    /// The sum of all tallies, a tenth of a second behind.
    pub tally: Mutex<Tally>,
    /// How far the run is.
    pub phase: watch::Receiver<Phase>,
    /// How long a request may take.
    pub timeout: Duration,
    /// What the ids of this run begin with.
    pub id_prefix: String,
    /// Whose answers come back, if not those of the native API.
    pub door: Option<Door>,
    /// Whether each request has a connection of its own, whose making counts as its time.
    pub is_single: bool,
}

impl Shared {
    /// Looks at the common tally. Workers wait meanwhile: be quick.
    pub fn with_tally<T>(&self, look: impl FnOnce(&mut Tally) -> T) -> T {
        look(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a worker tells the run.
#[derive(Debug)]
pub enum Report {
    /// Its connections are open, or were tried.
    Ready,
    /// It has ended; this is what it has.
    Done(Box<Haul>),
}

/// Starts a worker with so many connections. It reports when it is ready and when it is done.
///
/// # Errors
///
/// The thread or its runtime cannot be started.
pub fn start(
    shared: Arc<Shared>,
    connections: usize,
    reports: mpsc::Sender<Report>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            let work = work(shared, connections, &reports);
            let haul = LocalSet::new().block_on(&runtime, work);
            // The run may have stopped listening; then nobody wants the haul.
            drop(reports.blocking_send(Report::Done(Box::new(haul))));
        })?;
    Ok(())
}

async fn work(shared: Arc<Shared>, connections: usize, reports: &mpsc::Sender<Report>) -> Haul {
    let recorder = Rc::new(RefCell::new(Recorder::new(&shared.id_prefix, shared.door)));
    let opened = match shared.is_single {
        true => std::iter::repeat_with(|| None).take(connections).collect(),
        false => open_all(&shared.target, connections, &recorder).await,
    };
    let mut phase = shared.phase.clone();
    let told = reports.send(Report::Ready).await.is_ok();
    if told
        && phase
            .wait_for(|phase| *phase != Phase::Connecting)
            .await
            .is_ok()
    {
        let mut tasks = JoinSet::new();
        for connection in opened {
            let lane = Lane {
                shared: shared.clone(),
                recorder: recorder.clone(),
            };
            tasks.spawn_local(lane.drive(connection));
        }
        let all_done = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = all_done => {}
            _ = phase.wait_for(|phase| *phase == Phase::Over) => {}
            () = publish(&shared, &recorder) => {}
        }
    }
    shared.with_tally(|tally| tally.absorb(&mut recorder.borrow_mut().tally));
    recorder.take().haul
}

/// Opens all connections at once; those that fail are tried again when they are needed.
async fn open_all(
    target: &Target,
    count: usize,
    recorder: &RefCell<Recorder>,
) -> Vec<Option<Connection>> {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let target = target.clone();
        opening.spawn_local(async move { Connection::open(&target).await });
    }
    let mut opened = Vec::with_capacity(count);
    while let Some(result) = opening.join_next().await {
        opened.push(match result {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => {
                recorder
                    .borrow_mut()
                    .not_connected(&kind_of(&ExchangeError::Io(error)));
                None
            }
            Err(_) => None,
        });
    }
    opened
}

async fn publish(shared: &Shared, recorder: &RefCell<Recorder>) {
    let mut ticks = tokio::time::interval(PUBLISH_EVERY);
    loop {
        ticks.tick().await;
        shared.with_tally(|tally| tally.absorb(&mut recorder.borrow_mut().tally));
    }
}

/// What came back, unless it took too long.
type Answer<'a> = Result<Result<Response<'a>, ExchangeError>, tokio::time::error::Elapsed>;

/// One connection's place in a worker; the connection itself is replaced when it fails.
struct Lane {
    shared: Arc<Shared>,
    recorder: Rc<RefCell<Recorder>>,
}

impl Lane {
    async fn drive(self, connection: Option<Connection>) {
        if self.shared.is_single {
            self.drive_singly().await;
        } else {
            self.drive_on(connection).await;
        }
    }

    /// Sends each request on a new connection, and gives up one that cannot be made in time.
    async fn drive_singly(self) {
        let mut job = Job::default();
        while *self.shared.phase.borrow() == Phase::Sending
            && self.shared.source.next(&mut job).await
        {
            let now = clock::monotonic();
            let begun = self.sends(&job, now);
            let mut opened = None;
            let answer = tokio::time::timeout(self.shared.timeout, async {
                let open = opened.insert(Connection::open(&self.shared.target).await?);
                open.exchange(&job.request).await
            });
            self.ends(&job, begun, answer.await);
        }
    }

    /// Sends one request after the other on the same connection.
    async fn drive_on(self, mut connection: Option<Connection>) {
        let mut job = Job::default();
        let mut last_answer = clock::monotonic();
        while let Some(mut open) = self.connected(connection.take()).await {
            if !self.shared.source.next(&mut job).await {
                return;
            }
            let mut now = clock::monotonic();
            if now.saturating_duration_since(last_answer) > IDLE_MAX && !open.is_usable() {
                let Some(fresh) = self.connected(None).await else {
                    let mut recorder = self.recorder.borrow_mut();
                    recorder.sent(&job, None);
                    return recorder.failed(&job, "connection closed");
                };
                open = fresh;
                now = clock::monotonic();
            }
            if self.exchange(&mut open, &job, now).await && !open.is_closing() {
                connection = Some(open);
            }
            last_answer = clock::monotonic();
        }
    }

    /// Sends a job and writes its answer down; `false` if the connection is of no use any more.
    async fn exchange(&self, open: &mut Connection, job: &Job, now: Instant) -> bool {
        let begun = self.sends(job, now);
        let answer = tokio::time::timeout(self.shared.timeout, open.exchange(&job.request)).await;
        self.ends(job, begun, answer)
    }

    /// Writes down that a job goes out, and answers from when its time counts.
    fn sends(&self, job: &Job, now: Instant) -> Instant {
        let delay = job.due.map(|due| now.saturating_duration_since(due));
        self.recorder.borrow_mut().sent(job, delay);
        job.due.unwrap_or(now)
    }

    /// Writes down how a job ended; `false` if its connection is of no use any more.
    fn ends(&self, job: &Job, begun: Instant, answer: Answer<'_>) -> bool {
        let mut recorder = self.recorder.borrow_mut();
        match answer {
            Ok(Ok(response)) => {
                let ended = clock::monotonic();
                recorder.answered(job, &response, ended.saturating_duration_since(begun));
                recorder.tally.last_answer = Some(ended);
                true
            }
            Ok(Err(error)) => {
                recorder.failed(job, &kind_of(&error));
                false
            }
            Err(_) => {
                recorder.failed(job, "timed out");
                false
            }
        }
    }

    /// The connection, or a new one as soon as there is a server; `None` when the run is over.
    async fn connected(&self, connection: Option<Connection>) -> Option<Connection> {
        let mut connection = connection;
        let mut pause = PAUSE_MIN;
        while *self.shared.phase.borrow() == Phase::Sending {
            if connection.is_some() {
                return connection;
            }
            match Connection::open(&self.shared.target).await {
                Ok(opened) => connection = Some(opened),
                Err(error) => {
                    let kind = kind_of(&ExchangeError::Io(error));
                    self.recorder.borrow_mut().not_connected(&kind);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        None
    }
}
