//! What a shard learns from its store when it is opened: where it stands, and its open orders.
//!
//! Data only.

use std::sync::Arc;

use super::{Hold, Marks, OrderState, Position, Priority, Process, ProcessTally, Seq};
use crate::clock::Timestamp;

/// Where a shard stands when it is opened.
#[derive(Debug, Default)]
pub struct Opening {
    /// The new epoch, already stored.
    pub epoch: i64,
    /// The highest sequence number ever given, or the shard's base.
    pub last_seq: Seq,
    /// The position of the last commit, or the shard's base.
    pub position: Position,
    /// The time of that commit; nothing later was ever written down.
    pub last_at: Timestamp,
    /// Counters as of that commit, by process, for every process that ever had an order.
    pub tallies: Vec<ProcessTally>,
    /// Every process that an order ever pinned.
    pub definitions: Vec<Process>,
}

/// An open order as the shard needs it after a restart.
#[derive(Clone, Debug)]
pub struct OpenOrder {
    /// Its sequence number.
    pub seq: Seq,
    /// Name of its process.
    pub process: Arc<str>,
    /// Version of the process that it pins.
    pub process_version: u32,
    /// Its head start.
    pub priority: Priority,
    /// What it costs, in minor units.
    pub total_minor: i64,
    /// How many items it has.
    pub item_count: u16,
    /// No first step starts after.
    pub expires_at: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The hold that is open.
    pub hold: Option<Box<Hold>>,
    /// What is remembered of its steps.
    pub marks: Marks,
    /// Its state when it was written last.
    pub state: OrderState,
}
