//! What the engine tells about itself, as one consistent picture between two turns.
//!
//! Data only; how it is gathered is in `meter`.

use std::sync::Arc;

use crate::order::{Position, ProcessTally, ShardNumber, Tally};
use crate::store::Room;

/// A picture of the engine between two turns.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Since the engine started, in microseconds.
    pub uptime_us: i64,
    /// Orders by status and priority, over the life of the store.
    pub tally: Tally,
    /// The same and the times of completed orders, for each process that is known.
    pub processes: Vec<ProcessTally>,
    /// Open orders of each version of a process, in the order of the registry; while orders from
    /// before the start are being loaded, those that are there.
    pub open_by_version: Vec<u64>,
    /// Open orders that are held back.
    pub held_orders: usize,
    /// Orders accepted per second over the last 1 s, 1 min and 5 min.
    pub accepted_per_second: [f64; 3],
    /// Orders completed per second over the last 1 s, 1 min and 5 min.
    pub completed_per_second: [f64; 3],
    /// From first start to completion, of orders completed since the start.
    pub processing_time: Distribution,
    /// From ready to leased, of attempts started since the start.
    pub queue_wait: Distribution,
    /// From arrival in the inbox to the answer, of orders accepted since the start.
    pub accept_time: Distribution,
    /// How long commits took since the start.
    pub commit_time: Distribution,
    /// How many orders commits touched since the start; the numbers are orders, not microseconds.
    pub commit_orders: Distribution,
    /// Time by which the longest waiting order has been ready, in microseconds. `None`: nobody
    /// waits.
    pub oldest_waiting_us: Option<i64>,
    /// What there is to do for workers, by queue.
    pub queues: Vec<QueueStats>,
    /// The shard.
    pub shard: ShardNumber,
    /// Its epoch.
    pub epoch: i64,
    /// Its last commit.
    pub position: Position,
    /// Open orders from before the start are still being loaded.
    pub is_recovering: bool,
    /// Most orders that may be open at once.
    pub open_orders_max: u64,
    /// Orders refused because there was no room, since the start.
    pub refused_overloaded: u64,
    /// Orders refused because too little was free on the disk, since the start.
    pub refused_full: u64,
    /// The room on the disk.
    pub room: Room,
    /// The store refuses what was decided about accepted orders; it is tried again and again, and
    /// nothing new is taken meanwhile.
    pub is_refused: bool,
    /// How often the store was opened anew after a commit of unknown fate, since the start.
    pub reopenings: u64,
    /// How often the wall clock jumped by more than 30 s, since the start.
    pub clock_jumps: u64,
}

/// What there is to do in a queue, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// Its name.
    pub queue: Arc<str>,
    /// Orders that wait in it.
    pub waiting: usize,
    /// Orders that workers have.
    pub leased: u32,
    /// Workers that wait for work.
    pub workers: usize,
    /// Time by which the longest waiting order has been ready, in microseconds. `None`: none waits.
    pub oldest_waiting_us: Option<i64>,
}

/// How a measured quantity is spread; microseconds unless said otherwise.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// How many were measured.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// For each of [`BUCKETS_US`]: how many were at most that.
    pub buckets: Vec<u64>,
}

/// Upper ends of the buckets of a [`Distribution`]: 100 µs to 100 s in steps of 1, 2.5 and 5.
pub const BUCKETS_US: [u64; 19] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
];

impl Distribution {
    /// The mean, 0 if nothing was measured.
    pub fn average(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        }
    }
}
