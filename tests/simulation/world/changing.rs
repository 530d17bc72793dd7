//! Somebody asks for changes of orders in a run: some under a key, again and again.
//!
//! What must be true of the answers is in `asks`.

use orderd::clock::Clock;
use orderd::engine::SubmitError;
use orderd::order::{Change, Refusal};
use orderd::shard::Effect;
use rand::RngExt;

use super::World;
use crate::asks::{self, Asked, NotMade};
use crate::client::Fate;
use crate::proof::Broken;
use crate::stored::Medium;

impl<M: Medium> World<M> {
    /// Asks for some changes of orders that somebody was told about.
    pub(super) fn ask(&mut self) {
        if self.random.random_ratio(1, 3) {
            return self.ask_again();
        }
        let told = self
            .attempts
            .iter()
            .filter_map(|attempt| match &attempt.fate {
                Fate::Accepted(order) => Some(order.seq),
                _ => None,
            });
        let told: Vec<_> = told.collect();
        if told.is_empty() {
            return;
        }
        let (first, now) = (self.asked.len(), self.clock.now());
        let count = self.random.random_range(1..4);
        let changes = (first..first + count).map(|number| {
            let seq = told[self.random.random_range(0..told.len())];
            asks::change(&mut self.random, seq, number, now)
        });
        let mut changes: Vec<_> = changes.take(self.most).collect();
        if self.random.random_ratio(1, 2) {
            self.hand_in(changes);
        } else {
            self.hand_in_one(Asked::new(changes.swap_remove(0), first, true));
        }
    }

    /// Asks once more for a change under a key, although it may be made by now.
    fn ask_again(&mut self) {
        let open = (0..self.asked.len()).filter(|at| self.asked[*at].is_open());
        let open: Vec<_> = open.collect();
        if !open.is_empty() {
            let at = open[self.random.random_range(0..open.len())];
            let again = self.asked[at].again();
            self.hand_in_one(again);
        }
    }

    fn hand_in_one(&mut self, asked: Asked) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        let mut pending = asks::Pending::under(engine.handle.clone(), self.asked.len(), &asked);
        self.asked.push(asked);
        assert!(
            pending.poll().is_none(),
            "answered before anything was done"
        );
        engine.changes.push(pending);
    }

    fn hand_in(&mut self, changes: Vec<Change>) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        let first = self.asked.len();
        let asked = (first..).zip(&changes);
        self.asked
            .extend(asked.map(|(number, change)| Asked::new(change.clone(), number, false)));
        let mut pending = asks::Pending::new(engine.handle.clone(), first, changes);
        assert!(
            pending.poll().is_none(),
            "answered before anything was done"
        );
        engine.changes.push(pending);
    }

    pub(super) fn hear_change(&mut self, at: usize, answer: asks::Answer) -> Result<(), Broken> {
        let what = match &answer {
            Ok(Effect::Made { .. }) => "change made",
            Ok(Effect::Nothing | Effect::Extended { .. }) => "nothing to change",
            Err(NotMade::Refused(Refusal::NotOpen)) => "change too late",
            Err(NotMade::Refused(_)) => "change of another version",
            Err(NotMade::Failed(SubmitError::OutcomeUnknown)) => "change unknown",
            Err(NotMade::Failed(SubmitError::KeyTaken)) => "change asked again, replayed",
            Err(NotMade::Failed(_)) => "change refused",
        };
        let mut data = self.disk.stored();
        data.count(what, 1);
        let asked = &mut self.asked[at];
        let is_made_now = asked.number != at && matches!(answer, Ok(Effect::Made { .. }));
        data.count("change asked again, made", is_made_now.into());
        asked.fate = asks::Fate::Told(answer);
        self.proof.made.told(asked, &data)
    }

    /// Somebody lets everything go on that is held back.
    pub(super) fn release_all(&mut self) {
        let held: Vec<_> = {
            let data = self.disk.stored();
            let held = data.orders.values().filter(|order| order.hold.is_some());
            held.map(|order| order.seq).collect()
        };
        let release = |number, seq| asks::release(seq, number);
        let first = self.asked.len();
        let changes = (first..)
            .zip(held)
            .map(|(number, seq)| release(number, seq));
        self.hand_in(changes.collect());
    }
}
