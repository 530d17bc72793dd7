//! What a simulation knows of what is stored, and what it asks of whatever stores it. Decides
//! nothing.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use orderd::order::{KeptKey, Order, OrderId, Position, ProcessTally, Seq};
use orderd::store::{JournalRow, Store, journal};
use rand::rngs::StdRng;

use super::Happened;
use super::proof::Broken;

/// Everything that is stored, and what happened until now.
#[derive(Clone)]
pub struct Stored {
    pub position: Position,
    pub hash: [u8; 32],
    pub tallies: Vec<ProcessTally>,
    pub orders: BTreeMap<Seq, Order>,
    pub ids: BTreeMap<OrderId, Seq>,
    /// What is kept under a key.
    pub keys: BTreeMap<Box<str>, KeptKey>,
    pub journal: Vec<JournalRow>,
    pub happened: Happened,
}

impl Default for Stored {
    fn default() -> Self {
        Self {
            position: Position(0),
            hash: journal::GENESIS,
            tallies: Vec::new(),
            orders: BTreeMap::new(),
            ids: BTreeMap::new(),
            keys: BTreeMap::new(),
            journal: Vec::new(),
            happened: Happened::new(),
        }
    }
}

impl Stored {
    pub fn count(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.happened.entry(what).or_default() += times;
        }
    }
}

/// The process is gone: what a crash throws through the engine.
pub struct Crash;

/// A store that fails when it is told to, and that survives the process.
pub trait Medium: Store + 'static {
    fn stored(&self) -> MutexGuard<'_, Stored>;

    /// Lets something go wrong soon.
    fn plan_trouble(&self, random: &mut StdRng);

    /// Lets something go wrong, or not, while it is opened or read for the first time.
    fn plan_start(&self, random: &mut StdRng);

    /// Nothing goes wrong from now on.
    fn calm(&self);

    /// It may fail to open, because something has gone wrong.
    fn may_fail_to_open(&self) -> bool {
        false
    }

    /// What was done to it that must not be done.
    fn complaint(&self) -> Option<Broken> {
        None
    }

    /// The process ended, in order or not.
    fn process_ended(&self, _is_in_order: bool, _random: &mut StdRng) {}

    /// Everybody was told everything: what is stored now must last.
    fn prove_at_rest(&self) -> Result<(), Broken> {
        Ok(())
    }
}
