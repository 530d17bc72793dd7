//! The part of an order that changes, and a whole order as it is read back.
//!
//! Data only: who may change it, and how, is in `status` and in the shard.

use std::sync::Arc;

use super::{Changed, Hold, Marks, Money, OrderId, Output, Position, Priority, Seq, Status};
use crate::clock::Timestamp;

/// The part of an order that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderState {
    /// Where the order is in its life.
    pub status: Status,
    /// Raised by every change, from 1.
    pub version: u32,
    /// The step it is at; stays at the last one when the order has ended.
    pub step: Arc<str>,
    /// Attempts of that step that were started, from 0.
    pub attempt: u16,
    /// When its first step was started first. Kept through retries and restarts.
    pub started_at: Option<Timestamp>,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// Why it is where it is, for people: the last failure, refusal or cancel.
    pub reason: Option<Box<str>>,
    /// The journal row with its last event.
    pub position: Position,
}

/// A whole order, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its sequence number.
    pub seq: Seq,
    /// The id that clients use.
    pub id: OrderId,
    /// Who ordered.
    pub customer_id: Box<str>,
    /// Name of its process.
    pub process: Arc<str>,
    /// Version of the process that it began with.
    pub process_version: u32,
    /// Its head start in the queue.
    pub priority: Priority,
    /// What it costs.
    pub total: Money,
    /// How many items it has, 0 to 1,000.
    pub item_count: u16,
    /// A JSON object with `items` and, if given, `address`, `notes` and `metadata`.
    pub payload: Box<str>,
    /// No step starts before.
    pub start_at: Option<Timestamp>,
    /// No first step starts after.
    pub expires_at: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it came here, if another service had finished it before. Then `created_at` is older.
    pub imported_at: Option<Timestamp>,
    /// Keeps further steps from starting while it is there; never there once the order has ended.
    pub hold: Option<Box<Hold>>,
    /// What is remembered of its steps.
    pub marks: Marks,
    /// The part that changes.
    pub state: OrderState,
    /// What its steps said about it so far, in the order of the steps.
    pub outputs: Vec<StepOutput>,
}

impl Order {
    /// The order after a change of it.
    pub fn apply(&mut self, changed: &Changed) {
        let reason = self.state.reason.take();
        self.state = changed.state.clone();
        if changed.keeps_reason && self.state.reason.is_none() {
            self.state.reason = reason;
        }
        if let Some(beside) = &changed.beside {
            self.priority = beside.priority;
            self.hold = beside.hold.clone().map(Box::new);
            self.marks = beside.marks;
        }
    }

    /// The order after its steps said this: it takes the place of what the same ones said before.
    pub fn say<'a>(&mut self, outputs: impl Iterator<Item = &'a Output>) {
        for said in outputs {
            self.outputs.retain(|it| it.step != said.output.step);
            self.outputs.push(said.output.clone());
        }
    }
}

/// What a step said about an order when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOutput {
    /// Name of the step.
    pub step: Arc<str>,
    /// A JSON text.
    pub output: Box<str>,
}
