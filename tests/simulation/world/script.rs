//! A run whose steps are written down instead of drawn. What is in an order, and what is asked of
//! it, still follows from the seed.

use super::{Broken, Medium, World};

/// A step of a script.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Open,
    SendOne,
    SendMany,
    Ask,
    Turn,
    /// Time passes, and then a turn.
    Pass,
    Drain,
    /// Everything is worked off.
    Rest,
}

impl<M: Medium> World<M> {
    /// Does one step; nothing goes wrong in it.
    pub fn act(&mut self, act: Act) -> Result<(), Broken> {
        match act {
            Act::Open => self.engine = self.open()?,
            Act::SendOne => self.send_one(),
            Act::SendMany => self.send_many(),
            Act::Ask => self.ask(),
            Act::Turn => self.turn()?,
            Act::Pass => {
                self.pass();
                self.turn()?;
            }
            Act::Drain => self.drain()?,
            Act::Rest => self.come_to_rest()?,
        }
        self.check()
    }

    pub fn medium(&self) -> &M {
        &self.disk
    }
}
