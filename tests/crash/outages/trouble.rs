//! What can happen to a database, and to the way there: begun, kept up for a while, and ended.
//!
//! Chosen from a seed; each kind gets its turn.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::super::machines::{Held, Machine};
use super::super::proxy::{Mode, Proxy};

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Stopped,
    Killed,
    WithoutConnections,
    Locked,
    /// Something happens to the connections.
    Way(&'static str, Mode),
    Slow,
}

/// Every kind.
const KINDS: [Kind; 12] = [
    Kind::Stopped,
    Kind::Killed,
    Kind::WithoutConnections,
    Kind::Locked,
    Kind::Way("all connections cut", Mode::Refuse),
    Kind::Way("nothing gets through", Mode::Hold),
    Kind::Way("cut before COMMIT", Mode::CutBeforeCommit),
    Kind::Way("cut after COMMIT", Mode::CutAfterCommit),
    Kind::Way("cut after COMMIT, and away", Mode::CutAfterCommitAndRefuse),
    Kind::Way("silent before COMMIT", Mode::HoldBeforeCommit),
    Kind::Way("silent after COMMIT", Mode::HoldAfterCommit),
    Kind::Slow,
];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "server stopped",
            Self::Killed => "server killed",
            Self::WithoutConnections => "no connections left",
            Self::Locked => "orders locked",
            Self::Way(name, _) => name,
            Self::Slow => "slow answers",
        }
    }
}

/// Trouble to come.
pub struct Trouble {
    pub kind: Kind,
    pub lasting: Duration,
    /// By how much answers are late, if that is the trouble.
    delay: Duration,
}

/// Chooses, and remembers which kinds were chosen how often.
pub struct Chooser {
    pub random: StdRng,
    chosen: BTreeMap<Kind, u32>,
    lasting_ms: Range<u64>,
}

impl Chooser {
    pub fn new(random: StdRng, lasting_ms: Range<u64>) -> Self {
        Self {
            random,
            chosen: KINDS.into_iter().map(|kind| (kind, 0)).collect(),
            lasting_ms,
        }
    }

    pub fn next(&mut self) -> Trouble {
        let fewest = self.chosen.values().min().copied().unwrap_or_default();
        let kinds = self.chosen.iter().filter(|(_, times)| **times == fewest);
        let kinds: Vec<Kind> = kinds.map(|(kind, _)| *kind).collect();
        let kind = kinds[self.random.random_range(0..kinds.len())];
        *self.chosen.entry(kind).or_default() += 1;
        let lasting = self.random.random_range(self.lasting_ms.clone());
        let delay = self.random.random_range(50..5_000);
        Trouble {
            kind,
            lasting: Duration::from_millis(lasting),
            delay: Duration::from_millis(delay),
        }
    }
}

impl Trouble {
    pub fn begin(&self, machine: &dyn Machine, proxy: &Proxy) -> Option<Held> {
        match self.kind {
            Kind::Stopped => machine.stop(),
            Kind::Killed => machine.kill(),
            Kind::WithoutConnections => return Some(machine.take_connections()),
            Kind::Locked => return Some(machine.lock_orders()),
            Kind::Way(_, mode) => proxy.set(mode),
            Kind::Slow => proxy.slow_down(self.delay),
        }
        None
    }

    /// Answers whether it took effect: a cut that waits for a COMMIT may have met none.
    pub fn end(&self, machine: &dyn Machine, proxy: &Proxy, held: Option<Held>) -> bool {
        drop(held);
        let mut has_met = true;
        match self.kind {
            Kind::Stopped | Kind::Killed => machine.start(),
            Kind::Way(_, mode) => {
                let waits = !matches!(mode, Mode::Refuse | Mode::Hold);
                has_met = !waits || proxy.mode() != mode;
                proxy.set(Mode::Pass);
            }
            Kind::Slow => proxy.slow_down(Duration::ZERO),
            Kind::WithoutConnections | Kind::Locked => {}
        }
        has_met
    }
}
