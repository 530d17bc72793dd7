//! The choices of a run as a list: what is tried in which order, each step with a seed of its own,
//! so that the others stay what they are when some are left out.
//!
//! What comes of a step depends on the world in which it is taken.

use rand::RngExt;
use rand::rngs::StdRng;

/// Steps of a run before it is left to come to rest.
const STEPS: usize = 90;

/// One choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Its place in the whole run.
    pub number: usize,
    pub kind: Kind,
    /// Where its chance comes from.
    pub seed: u64,
    /// Most orders or changes that are sent in it.
    pub most: usize,
}

/// What is tried. Without a server everything is its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    SendOne,
    SendMany,
    SendAgain,
    Ask,
    Work,
    Turn,
    PassAndTurn,
    Arm,
    Crash,
    TakeOver,
    Drain,
    CompareCounters,
}

impl Step {
    fn draw(number: usize, random: &mut StdRng) -> Self {
        let kind = match random.random_range(0..100) {
            0..24 => Kind::SendOne,
            24..30 => Kind::SendMany,
            30..34 => Kind::SendAgain,
            34..42 => Kind::Ask,
            42..54 => Kind::Work,
            54..78 => Kind::Turn,
            78..86 => Kind::PassAndTurn,
            86..94 => Kind::Arm,
            94..96 => Kind::Crash,
            96..97 => Kind::TakeOver,
            97..98 => Kind::Drain,
            _ => Kind::CompareCounters,
        };
        Self {
            number,
            kind,
            seed: random.random(),
            most: usize::MAX,
        }
    }
}

/// The steps of a whole run.
pub fn all(random: &mut StdRng) -> Vec<Step> {
    (0..STEPS).map(|at| Step::draw(at, random)).collect()
}
