//! The engine runs a shard: one thread, one loop, no locks around what is decided.
//!
//! Drain the inbox, let the shard decide, commit once, release the answers. While a commit is being
//! flushed the inbox fills; the next turn takes everything: group commit that clocks itself.
//! Nothing is answered before it is flushed.

mod away;
mod batch;
mod change;
mod content;
mod handle;
mod inbox;
mod leases;
mod log;
mod meter;
mod pressure;
mod push;
mod recovery;
mod refusal;
mod reopen;
mod replies;
mod retry_after;
mod run;
mod silence;
mod stats;
#[cfg(test)]
mod tests;
mod time;

use std::sync::Arc;
use std::thread::JoinHandle;

use rand::rngs::StdRng;
use thiserror::Error;
use tokio::sync::watch;

pub use batch::Batch;
pub use change::{Answering, ChangeAnswer, Decided, KeyOfChanges};
pub use content::read_leased;
pub use handle::{Accepted, Handle, SubmitError};
pub use inbox::Answer;
use inbox::Inbox;
pub use leases::{Lease, Wanted};
use pressure::Pressure;
pub use push::{BreakerSettings, ENDS, LineView, PushParts, PushView, Pushes, ServiceView, Words};
use recovery::{Pages, Reader};
pub use run::Turns;
pub use silence::Silence;
pub use stats::{BUCKETS_US, Distribution, QueueStats, Stats};

use crate::clock::Clock;
use crate::order::{Process, Processes, ShardNumber, VersionReused};
use crate::shard::{Allowances, Shard, ShardSettings};
use crate::store::{Store, StoreError};

/// What an engine may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most orders that may be open at once, 1 to 1,000,000,000. Beyond it, new ones are refused.
    pub open_orders_max: u64,
    /// Head starts in the queue.
    pub allowances: Allowances,
    /// How long an idempotency key counts, in microseconds, from 1.
    pub key_retention_us: i64,
}

impl Default for Settings {
    /// 1,000,000 open orders, the usual allowances, keys for 7 days.
    fn default() -> Self {
        Self {
            open_orders_max: 1_000_000,
            allowances: Allowances::default(),
            key_retention_us: 7 * 24 * 3_600 * 1_000_000,
        }
    }
}

/// Everything an engine is made of.
pub struct Start {
    /// Where orders are kept.
    pub store: Arc<dyn Store>,
    /// Which shard to run.
    pub shard: ShardNumber,
    /// The processes that new orders may name.
    pub processes: Vec<Process>,
    /// Limits and head starts.
    pub settings: Settings,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub random: StdRng,
}

/// Why an engine did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The shard could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A process changed without a new version.
    #[error(transparent)]
    Process(#[from] VersionReused),
    /// The system gave no thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// A running engine. Dropping it lets it drain in the background.
pub struct Engine {
    handle: Handle,
    processes: Arc<Processes>,
    ended: watch::Receiver<()>,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl Engine {
    /// Opens the shard, so that whoever had it before is fenced, and starts working. New orders are
    /// taken at once; open orders from before are loaded meanwhile.
    pub fn start(start: Start) -> Result<Self, StartError> {
        let Opened {
            handle,
            processes,
            turns,
        } = open(start, Pages::ahead)?;
        let (alive, ended) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                let end = turns.run();
                drop(alive);
                end
            });
        let thread = thread.map_err(StartError::Thread)?;
        Ok(Self {
            handle,
            processes,
            ended,
            thread,
        })
    }

    /// The same engine without its thread, for a simulation: whoever has the `Turns` decides when
    /// each turn is taken. A turn brings back at most `page` open orders from before the start.
    pub fn by_hand(start: Start, page: usize) -> Result<(Handle, Turns), StartError> {
        let pages = move |reader: Reader| Ok(Pages::AsAsked(reader.in_pages_of(page)));
        let opened = open(start, pages)?;
        Ok((opened.handle, opened.turns))
    }

    /// For sending commands.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// All processes that are known: the configured ones, and older versions that orders pin.
    pub fn processes(&self) -> Arc<Processes> {
        Arc::clone(&self.processes)
    }

    /// Resolves when the engine has ended, for whatever reason; `join` tells which.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut ended = self.ended.clone();
        async move { while ended.changed().await.is_ok() {} }
    }

    /// Waits until the engine has ended. `Ok` after a drain; otherwise the error that ended it.
    pub fn join(self) -> Result<(), StoreError> {
        let panicked = |_| StoreError::Unknown {
            detail: "the engine panicked".into(),
        };
        self.thread.join().map_err(panicked)?
    }
}

/// An engine that is ready for its first turn.
struct Opened {
    handle: Handle,
    processes: Arc<Processes>,
    turns: Turns,
}

fn open(
    start: Start,
    pages_of: impl Fn(Reader) -> std::io::Result<Pages> + Send + 'static,
) -> Result<Opened, StartError> {
    let opening = start.store.open_shard(start.shard)?;
    let processes = Processes::new(start.processes, opening.definitions.clone())?;
    let processes = Arc::new(processes);
    let settings = ShardSettings {
        shard: start.shard,
        open_orders_max: start.settings.open_orders_max,
        allowances: start.settings.allowances,
        key_retention_us: start.settings.key_retention_us,
    };
    let shard = Shard::new(settings, &opening, Arc::clone(&processes), start.random);
    let inbox = Arc::new(Inbox::default());
    let reader = Reader::new(Arc::clone(&start.store), start.shard, opening.last_seq);
    let pressure = Arc::new(Pressure::new(processes.all()));
    let (head, followed) = watch::channel(opening.position);
    let parts = run::Parts {
        store: start.store,
        clock: start.clock,
        shard,
        shard_number: start.shard,
        open_orders_max: start.settings.open_orders_max,
        inbox: Arc::clone(&inbox),
        pressure: Arc::clone(&pressure),
        head,
        pages: pages_of(reader).map_err(StartError::Thread)?,
        pages_of: Box::new(pages_of),
    };
    let turns = Turns::new(parts, opening.last_at);
    let handle = Handle::new(inbox, pressure, followed);
    Ok(Opened {
        handle,
        processes,
        turns,
    })
}
