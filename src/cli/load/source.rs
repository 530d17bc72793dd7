//! Where the next request comes from: generated or from a file, at once or when it is due.
//! Connections ask for a [`Job`] when they are free; that makes closed and open loop the same
//! loop, and the only difference is whether the job has a planned time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, mpsc};

use super::open::Arrivals;
use super::plan::Plan;
use super::script::Script;

/// A request to send. A connection keeps one and has it refilled.
#[derive(Debug, Default)]
pub struct Job {
    /// The whole request, head and body.
    pub request: Vec<u8>,
    /// When it should be sent; `None`: now.
    pub due: Option<Instant>,
    /// Orders in it.
    pub count: usize,
    /// Whether it goes to the batch route.
    pub is_batch: bool,
    /// The number of its first order, if the ids carry numbers.
    pub numbered_from: Option<u64>,
    /// The id of its only order, if a scenario has chosen one.
    pub id: Option<String>,
    /// The lines of the file that its orders come from; empty if they are generated.
    pub lines: Vec<u64>,
}

/// Hands out jobs to connections of all threads.
#[derive(Debug)]
pub enum Source {
    /// Orders that are made up.
    Generated(Box<Generated>),
    /// Orders read from a file.
    File(Parcels),
}

impl Source {
    /// Refills `job`; `false` when there will be no more. Waits until a planned job is due.
    pub async fn next(&self, job: &mut Job) -> bool {
        match self {
            Self::Generated(generated) => generated.next(job).await,
            Self::File(parcels) => parcels.next(job).await,
        }
    }

    /// Orders that were due and have not been sent yet. 0 in a closed loop.
    pub fn waiting(&self) -> u64 {
        match self {
            Self::Generated(generated) => generated.waiting(),
            Self::File(parcels) => parcels.waiting(),
        }
    }
}

/// What renders requests.
#[derive(Debug)]
pub enum Maker {
    /// Orders of the native API, alone or in batches.
    Plan(Plan),
    /// One order of a dialect each.
    Script(Box<Script>),
}

/// Orders that are made up, as many as there are to be.
#[derive(Debug)]
pub struct Generated {
    /// Renders the requests.
    pub maker: Maker,
    /// Orders in all.
    pub orders_max: u64,
    /// Orders per request, at least 1.
    pub batch: u32,
    /// Whether the ids carry the orders' numbers.
    pub is_numbered: bool,
    /// When requests are due; `None` in a closed loop.
    pub arrivals: Option<Arrivals>,
    /// Requests handed out, perhaps a few more than there are.
    pub taken: AtomicU64,
}

impl Generated {
    /// Requests in all.
    pub fn requests_max(&self) -> u64 {
        self.orders_max.div_ceil(u64::from(self.batch))
    }

    async fn next(&self, job: &mut Job) -> bool {
        if let Some(arrivals) = &self.arrivals
            && !arrivals.wait().await
        {
            return false;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        if number >= self.requests_max() {
            return false;
        }
        let first = number * u64::from(self.batch);
        let count = (self.orders_max - first).min(u64::from(self.batch)) as u32;
        match &self.maker {
            Maker::Plan(plan) => plan.render(first, count, &mut job.request),
            Maker::Script(script) => job.id = script.render(first, &mut job.request),
        }
        job.due = self
            .arrivals
            .as_ref()
            .and_then(|arrivals| arrivals.due(number));
        job.count = count as usize;
        job.is_batch = count > 1;
        job.numbered_from = self.is_numbered.then_some(first);
        true
    }

    fn waiting(&self) -> u64 {
        let Some(arrivals) = &self.arrivals else {
            return 0;
        };
        let taken = self.taken.load(Ordering::Relaxed).min(self.requests_max());
        arrivals.released().saturating_sub(taken) * u64::from(self.batch)
    }
}

/// Jobs made by the thread that reads a file, in the order of its lines.
#[derive(Debug)]
pub struct Parcels {
    receiver: Mutex<mpsc::Receiver<Job>>,
    due: Arc<AtomicU64>,
    taken: AtomicU64,
}

impl Parcels {
    /// Takes the jobs out of this channel; `due` counts the orders that have become due.
    pub fn new(receiver: mpsc::Receiver<Job>, due: Arc<AtomicU64>) -> Self {
        Self {
            receiver: Mutex::new(receiver),
            due,
            taken: AtomicU64::new(0),
        }
    }

    async fn next(&self, job: &mut Job) -> bool {
        let Some(next) = self.receiver.lock().await.recv().await else {
            return false;
        };
        if next.due.is_some() {
            self.taken.fetch_add(next.count as u64, Ordering::Relaxed);
        }
        *job = next;
        true
    }

    fn waiting(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.due.load(Ordering::Relaxed).saturating_sub(taken)
    }
}
