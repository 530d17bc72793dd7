//! Steps that are sent to an address: a POST for each attempt, and what is answered is what became
//! of it.
//!
//! For the shard such a step is a queue like that of any other worker, and the worker is here: it
//! leases over a [`Handle`] and reports with the fence it was given. It never runs on the engine's
//! thread.

mod answer;
mod breaker;
mod call;
mod desk;
mod line;
mod service;
mod tally;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use breaker::BreakerSettings;
use desk::Desk;
pub use desk::Words;
use line::Line;
pub use service::ServiceView;
use service::{Service, target_of};
pub use tally::ENDS;

use super::meter::Spread;
use super::{Distribution, Handle};
use crate::clock::Clock;
use crate::order::{Processes, QueueIndex};
use crate::outbound::Client;
use crate::store::Store;

/// Most calls of one step that are under way at once, whatever its settings say.
const CALLS_MAX: u32 = 10_000;

/// What is needed to send steps to addresses.
pub struct PushParts {
    /// Whose orders.
    pub engine: Handle,
    /// Which steps.
    pub processes: Arc<Processes>,
    /// Where orders are read.
    pub store: Arc<dyn Store>,
    /// Makes the calls.
    pub client: Client,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub random: StdRng,
    /// How is spoken.
    pub words: Words,
    /// When services rest.
    pub breaker: BreakerSettings,
}

/// All steps that are sent to addresses. Nothing runs if there are none.
pub struct Pushes {
    desk: Arc<Desk>,
    lines: Vec<Arc<Line>>,
    services: Vec<Arc<Service>>,
    closing: watch::Sender<bool>,
    running: Mutex<JoinSet<()>>,
}

/// The calls of one step.
#[derive(Clone, Debug)]
pub struct LineView {
    /// The name of its queue.
    pub queue: Arc<str>,
    /// How many are under way.
    pub under_way: usize,
    /// How many ended in each of [`ENDS`].
    pub ended: [u64; ENDS.len()],
}

/// What is known of calls since the start.
#[derive(Clone, Debug, Default)]
pub struct PushView {
    /// By step.
    pub lines: Vec<LineView>,
    /// By address.
    pub services: Vec<ServiceView>,
    /// How long calls took, in microseconds.
    pub call_time: Distribution,
}

impl Pushes {
    /// Begins to send orders. To be called where tasks can be spawned.
    pub fn start(parts: PushParts) -> Arc<Self> {
        let (breaker, mut random) = (parts.breaker, parts.random);
        let desk = Arc::new(Desk {
            engine: parts.engine,
            processes: parts.processes,
            store: parts.store,
            client: parts.client,
            clock: parts.clock,
            words: parts.words,
            took: Mutex::new(Spread::new()),
        });
        let mut all = Self {
            desk,
            lines: Vec::new(),
            services: Vec::new(),
            closing: watch::Sender::new(false),
            running: Mutex::default(),
        };
        let processes = Arc::clone(&all.desk.processes);
        let names = processes.queues().names().iter();
        for (queue, name) in (0..).map(QueueIndex).zip(names) {
            let Some(push) = processes.queues().push(queue) else {
                continue;
            };
            let line = Arc::new(Line {
                desk: Arc::clone(&all.desk),
                queue,
                name: Arc::clone(name),
                service: all.service(target_of(&push.url), breaker, &mut random),
                calls_max: calls_max(&processes, name),
                under_way: AtomicUsize::new(0),
                calls: tally::Calls::default(),
            });
            let closing = all.closing.subscribe();
            let mut running = all.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.spawn(line::run(Arc::clone(&line), closing));
            drop(running);
            all.lines.push(line);
        }
        Arc::new(all)
    }

    /// The service at an address.
    fn service(
        &mut self,
        target: &str,
        breaker: BreakerSettings,
        random: &mut StdRng,
    ) -> Arc<Service> {
        let known = self.services.iter().find(|known| known.target == target);
        known.map(Arc::clone).unwrap_or_else(|| {
            let new = Service::new(target.into(), breaker, random);
            let new = Arc::new(new);
            self.services.push(Arc::clone(&new));
            new
        })
    }

    /// What is known of calls.
    pub fn view(&self) -> PushView {
        let view = |line: &Arc<Line>| LineView {
            queue: Arc::clone(&line.name),
            under_way: line.under_way.load(Ordering::Relaxed),
            ended: line.calls.all(),
        };
        PushView {
            lines: self.lines.iter().map(view).collect(),
            services: self.services.iter().map(|service| service.view()).collect(),
            call_time: self.desk.took(),
        }
    }

    /// Takes no further orders.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// The same, and waits for the calls that are under way, at most so long. Those that take
    /// longer are made again after the next start. The engine must still run.
    pub async fn finish(&self, patience: Duration) {
        self.close();
        let mut running = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
        };
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("some calls are still under way; they are made again after the start");
        }
    }
}

/// How many calls of a step may be under way.
fn calls_max(processes: &Processes, queue: &str) -> usize {
    let steps = processes.all().iter().flat_map(|process| &process.steps);
    let of_queue = steps.filter(|step| step.kind.queue().is_some_and(|name| **name == *queue));
    let most = of_queue.map(|step| step.concurrency).max().unwrap_or(1);
    usize::try_from(most.min(CALLS_MAX)).unwrap_or(1)
}
