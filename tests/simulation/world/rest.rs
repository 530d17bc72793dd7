//! How a run comes to its end: counters compared, everything worked off, nobody left waiting.
//! Nothing goes wrong here any more.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use orderd::clock::Clock;
use orderd::order::{Order, Process, ProcessTally, StatusKind};

use super::{Broken, Medium, Running, TURNS_MAX, World};

/// After so many turns in which workers were given nothing they have done everything.
const IDLE_MAX: usize = 10;

impl<M: Medium> World<M> {
    /// The engine's own counters are those on disk.
    pub(super) fn compare_counters(&mut self) -> Result<(), Broken> {
        self.disk.calm();
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let mut context = Context::from_waker(Waker::noop());
        let processes = self.registry.current().iter();
        let ask = |process: &Process| {
            let (handle, name) = (engine.handle.clone(), Arc::clone(&process.name));
            Box::pin(async move { handle.process_tally(&name).await })
        };
        let mut asked: Vec<_> = processes.map(ask).collect();
        for tally in &mut asked {
            assert!(tally.as_mut().poll(&mut context).is_pending());
        }
        let mut kept = self.disk.stored().tallies.clone();
        kept.retain(|tally| !tally.is_zero());
        self.turn()?;
        let mut counted = Vec::new();
        for tally in &mut asked {
            match tally.as_mut().poll(&mut context) {
                Poll::Ready(tally) => counted.extend(tally),
                Poll::Pending => return Err("asked for counters, not answered".into()),
            }
        }
        counted.retain(|tally| !tally.is_zero());
        let is_kept = |tally: &ProcessTally| kept.contains(tally);
        if counted.iter().all(is_kept) && counted.len() == kept.len() {
            return Ok(());
        }
        Err(format!("(8) counted {counted:?}, kept {kept:?}"))
    }

    /// Without faults and new orders everything ends, and nobody waits for an answer.
    pub(super) fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.disk.calm();
        if self.engine.is_none() {
            self.engine = self.open()?;
        }
        // A write that was lost before may be noticed only now, and a second unknown fate within a
        // minute ends the engine.
        self.wait(61_000_000);
        self.run_out()?;
        self.release_all();
        self.run_out()?;
        let waiting = |it: &Running| it.requests.len() + it.changes.len();
        let waiting = self.engine.as_ref().map_or(0, waiting);
        if waiting > 0 {
            return Err(format!("{waiting} requests were never answered"));
        }
        let data = self.disk.stored();
        let moves = |order: &&Order| {
            order.state.status.is_open() && order.state.status.kind() != StatusKind::Dead
        };
        match data.orders.values().find(moves) {
            Some(order) => Err(format!("forgotten: {order:?}")),
            None => Ok(()),
        }
    }

    /// Turn after turn, until there is nothing left to do.
    fn run_out(&mut self) -> Result<(), Broken> {
        let (mut given, mut idle) = (0, 0);
        for _ in 0..TURNS_MAX {
            self.turn()?;
            let before = std::mem::replace(&mut given, self.workers.held.len());
            let has_work = self.work_off()?;
            let engine = self
                .engine
                .as_ref()
                .ok_or("the engine ended without a fault")?;
            let Some(deadline) = engine.turns.deadline() else {
                idle = if given > before { 0 } else { idle + 1 };
                if has_work && idle < IDLE_MAX {
                    continue;
                }
                break;
            };
            self.wait(deadline.micros_since(self.clock.now()).max(0));
        }
        Ok(())
    }
}
