//! The shortest trace of a failure that can be found in the time there is: steps are left out, and
//! fewer orders sent, as long as the same promise is broken.
//!
//! Delta debugging: A. Zeller, R. Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*,
//! IEEE Transactions on Software Engineering 28(2), 2002.

use std::time::{Duration, Instant};

use orderd::clock::monotonic;

use super::proof::Broken;
use super::steps::{Kind, Step};
use super::stored::Medium;
use super::trace::Trace;
use super::world::World;
use super::{number, outcome};

/// What is left of a run, and what it still breaks.
pub struct Shrunk {
    pub steps: Vec<Step>,
    pub broken: Broken,
}

/// Which promise is broken: its number, or the first words of what went wrong.
pub fn class(broken: &str) -> String {
    let words = broken.split_whitespace();
    let count = if broken.starts_with('(') { 1 } else { 3 };
    words.take(count).collect::<Vec<_>>().join(" ")
}

/// The shortest run that breaks the same promise as the whole one, and its trace; looked for at
/// most that long. `None`: nothing is broken.
pub fn shortest<M: Medium>(
    world: &dyn Fn() -> World<M>,
    patience: Duration,
) -> Option<(Shrunk, Trace)> {
    let run = |steps: &[Step], trace| outcome(|| world().play_steps(steps, trace)).err();
    let steps = world().steps();
    let broken = run(&steps, None)?;
    let whole = Shrunk { steps, broken };
    let shrunk = shrink(whole, patience, &|steps| run(steps, None));
    let trace = Trace::default();
    run(&shrunk.steps, Some(trace.clone()))?;
    Some((shrunk, trace))
}

/// A broken promise, and the shortest way there that was found.
pub fn explain<M: Medium>(broken: &str, world: &dyn Fn() -> World<M>) -> String {
    let seconds = number("ORDERD_SHRINK_SECONDS").unwrap_or(20);
    if seconds == 0 {
        return broken.into();
    }
    let Some((shrunk, trace)) = shortest(world, Duration::from_secs(seconds)) else {
        return format!("{broken}\n(played again, it holds: there is chance from outside)");
    };
    let (left, trace, still) = (shrunk.steps.len(), trace.text(), shrunk.broken);
    format!("{broken}\nThe shortest trace that was found has {left} steps:\n{trace}\n{still}")
}

/// Something that fails, and how to find out whether it still does.
struct Search<'a> {
    run: &'a dyn Fn(&[Step]) -> Option<Broken>,
    class: String,
    until: Instant,
    best: Shrunk,
}

/// Shrinks a run that fails, as long as there is time. `run` answers with what is broken.
fn shrink(failed: Shrunk, patience: Duration, run: &dyn Fn(&[Step]) -> Option<Broken>) -> Shrunk {
    let mut search = Search {
        run,
        class: class(&failed.broken),
        until: monotonic() + patience,
        best: failed,
    };
    while search.leave_out() | search.send_less() {}
    search.best
}

impl Search<'_> {
    fn has_time(&self) -> bool {
        monotonic() < self.until
    }

    /// Takes these steps if they break the same promise.
    fn takes(&mut self, steps: Vec<Step>) -> bool {
        let broken = (self.run)(&steps).filter(|broken| class(broken) == self.class);
        let Some(broken) = broken else {
            return false;
        };
        self.best = Shrunk { steps, broken };
        true
    }

    /// Leaves out ever smaller parts, from the end. Whether anything was left out.
    fn leave_out(&mut self) -> bool {
        let before = self.best.steps.len();
        let mut size = before.div_ceil(2).max(1);
        loop {
            let mut end = self.best.steps.len();
            while end > 0 && self.has_time() {
                let from = end.saturating_sub(size);
                let mut fewer = self.best.steps.clone();
                fewer.drain(from..end);
                self.takes(fewer);
                end = from;
            }
            if size == 1 || !self.has_time() {
                return self.best.steps.len() < before;
            }
            size = size.div_ceil(2);
        }
    }

    /// Sends one order or change where there may have been several. Whether that was enough
    /// anywhere.
    fn send_less(&mut self) -> bool {
        let mut is_less = false;
        for at in 0..self.best.steps.len() {
            let mut steps = self.best.steps.clone();
            let sends_many = matches!(steps[at].kind, Kind::SendMany | Kind::Ask);
            if sends_many && steps[at].most > 1 && self.has_time() {
                steps[at].most = 1;
                is_less |= self.takes(steps);
            }
        }
        is_less
    }
}
