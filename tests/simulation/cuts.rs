//! A power cut after every single call of a scripted run: the store must open on whatever is left,
//! with everything that was answered by then, and with nothing half done.
//!
//! `ORDERD_CUTS=n` tries n random combinations of what is lost after each call.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use orderd::cli::verify;
use orderd::order::ShardNumber;
use orderd::store::Store;
use orderd::store::sqlite::Sqlite;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::computer::Computer;
use super::files::{Moment, OnFiles, read};
use super::number;
use super::platter::{Action, Fate, Platter};
use super::proof::Broken;
use super::world::{Act, World};

/// The world of which the script is played: its processes have steps that fail, and rules.
const SEED: u64 = 7;

/// Every kind of commit, an orderly end, and work that goes on after it.
const SCRIPT: [Act; 22] = [
    Act::Open,
    Act::SendOne,
    Act::Turn,
    Act::SendMany,
    Act::Turn,
    Act::Pass,
    Act::SendMany,
    Act::Turn,
    Act::Ask,
    Act::Turn,
    Act::Pass,
    Act::SendMany,
    Act::Ask,
    Act::Turn,
    Act::Pass,
    Act::Drain,
    Act::Open,
    Act::SendMany,
    Act::Turn,
    Act::Ask,
    Act::Turn,
    Act::Rest,
];

/// What was done to the files, and what was stored at which moment.
struct Recorded {
    actions: Vec<Action>,
    moments: Vec<Moment>,
}

fn record() -> Recorded {
    let mut world = World::new(SEED, |_| OnFiles::recording(SEED));
    for act in SCRIPT {
        world.act(act).unwrap();
    }
    let medium = world.medium();
    let actions = medium.computer.state().trace.take().unwrap();
    let moments = medium.moments();
    assert!(moments.len() > SCRIPT.len() / 2, "too little was stored");
    Recorded { actions, moments }
}

impl Recorded {
    /// Opens what is left, as after a power cut after so many actions, and compares.
    fn check(&self, done: usize, left: Platter, is_thorough: bool) -> Result<(), Broken> {
        let computer = Computer::new(left, StdRng::seed_from_u64(0));
        let path = computer.database();
        let store = Sqlite::open(path.as_ref(), 1).map_err(|it| format!("not opened: {it}"))?;
        let opened = store.open_shard(ShardNumber(0));
        opened.map_err(|error| format!("the shard is not opened: {error}"))?;
        let found = read(&path).map_err(|error| format!("not read: {error}"))?;
        // All that was answered by then; and perhaps what was being stored.
        let answered = self
            .moments
            .partition_point(|moment| moment.actions <= done);
        let may_be = answered.saturating_sub(1)..self.moments.len().min(answered + 1);
        let at = found.position;
        let moment = self.moments[may_be]
            .iter()
            .find(|moment| moment.stored.position == at);
        match moment.map(|moment| &moment.stored) {
            None if answered == 0 && found.orders.is_empty() && at.0 == 0 => {}
            None => {
                return Err(format!(
                    "(1) {answered} commits were answered, found {at:?}"
                ));
            }
            Some(then) => {
                if then.hash != found.hash || then.orders != found.orders {
                    return Err(format!("(1) half a commit is there at {at:?}"));
                }
                if then.tallies != found.tallies || then.journal != found.journal {
                    return Err(format!("(5) other counters or events at {at:?}"));
                }
            }
        }
        if is_thorough {
            let report = verify::prove(&format!("sqlite:{path}"), &mut |_| ());
            let report = report.map_err(|error| error.to_string())?;
            if !report.findings.are_none() {
                return Err(format!("orderd verify finds {:?}", report.findings));
            }
        }
        Ok(())
    }
}

/// What may be left after so many actions.
fn lefts(platter: &Platter, random: &mut StdRng, combinations: u64) -> Vec<Platter> {
    let pending = platter.pending();
    let cut = |choose: &mut dyn FnMut(usize) -> Fate| {
        let mut at = 0;
        platter.after_cut(&mut || {
            at += 1;
            choose(at - 1)
        })
    };
    let mut lefts = vec![cut(&mut |_| Fate::Kept), cut(&mut |_| Fate::Dropped)];
    if pending == 0 {
        return lefts;
    }
    // All but one; which one is chosen if there are too many.
    let least = (pending as u64).min(1 + combinations) as usize;
    for number in 0..least {
        let lost = match least == pending {
            true => number,
            false => random.random_range(0..pending),
        };
        lefts.push(cut(&mut |at| {
            [Fate::Kept, Fate::Dropped][usize::from(at == lost)]
        }));
    }
    let sectors = random.random();
    let torn = pending - 1;
    lefts.push(cut(&mut |at| {
        [Fate::Kept, Fate::Torn(sectors)][usize::from(at == torn)]
    }));
    for _ in 0..combinations {
        lefts.push(cut(&mut |_| {
            let fates = [
                Fate::Kept,
                Fate::Dropped,
                Fate::Torn(random.random()),
                Fate::Hollow,
            ];
            fates[random.random_range(0..4)]
        }));
    }
    lefts
}

#[test]
fn a_power_cut_after_every_call_leaves_a_store_that_opens() {
    let combinations = number("ORDERD_CUTS").unwrap_or(1);
    let recorded = record();
    let mut random = StdRng::seed_from_u64(combinations);
    let mut platter = Platter::default();
    let mut seen = BTreeSet::new();
    for done in 0..=recorded.actions.len() {
        for left in lefts(&platter, &mut random, combinations) {
            let mut hasher = DefaultHasher::new();
            left.hash(&mut hasher);
            if !seen.insert((done, hasher.finish())) {
                continue;
            }
            let checked = recorded.check(done, left, seen.len() % 64 == 0);
            checked.unwrap_or_else(|broken| {
                let action = &recorded.actions[done.saturating_sub(1)];
                panic!(
                    "a power cut after call {done} ({}): {broken}",
                    action.name()
                )
            });
        }
        if let Some(action) = recorded.actions.get(done) {
            platter.act(action);
        }
    }
    println!(
        "{} calls, {} disks opened",
        recorded.actions.len(),
        seen.len()
    );
    assert!(seen.len() > recorded.actions.len());
}
