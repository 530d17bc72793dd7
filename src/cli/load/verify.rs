//! Proves a run: every acknowledged order exists and ended exactly once. It waits until nothing
//! is open any more, reads each order back, and reads the history of all or a seeded sample.
//! It believes nothing that was not read back through the API.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use super::ids::Ids;
use super::notation::grouped;
use super::plan::mix;
use super::progress::Meter;
use super::readback::read_active;
use super::record::Haul;
use super::sweep::{Findings, Question, Sweep};
use crate::cli::client::{Connection, Target};
use crate::clock;

/// Histories that are read; of more orders a sample of this many.
const HISTORIES_MAX: usize = 10_000;
/// Pauses between looks at the number of open orders.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Ids that are named for a finding.
const EXAMPLES_MAX: usize = 5;

/// What is verified against what.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The server.
    pub target: Target,
    /// Connections that read.
    pub connections: usize,
    /// How long to wait for orders to end, or for a server that is away.
    pub patience: Duration,
    /// Chooses the sample of histories.
    pub seed: u64,
    /// Orders that went on before the run and may still do; `None`: the server does not say.
    pub active_before: Option<u64>,
    /// Shows how far it is.
    pub meter: &'a Meter,
    /// Ends the verification early when it changes.
    pub interrupts: watch::Receiver<u32>,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Acknowledgements of this run, each counted once.
    pub acknowledged: u64,
    /// Orders that were there before and are verified too.
    pub existing: u64,
    /// Ids acknowledged twice, or accepted twice by their history.
    pub doubled: u64,
    /// Orders read back.
    pub found: u64,
    /// Orders that do not exist although they were acknowledged.
    pub missing: u64,
    /// Orders that have ended, once as far as their histories were read.
    pub final_once: u64,
    /// Orders whose history has more than one end.
    pub ended_twice: u64,
    /// Orders whose history lacks their acceptance or their end.
    pub broken_history: u64,
    /// Orders that still go on.
    pub open: u64,
    /// Orders that used up their attempts and stand still.
    pub dead: u64,
    /// Orders that could not be read: no answer, or not an order.
    pub unreadable: u64,
    /// Histories read.
    pub histories: u64,
    /// Whether these are a sample.
    pub is_sample: bool,
    /// Whether somebody ended the verification early.
    pub interrupted: bool,
    /// Orders that went wrong, a few of them, with what went wrong.
    pub examples: Vec<String>,
    /// When nothing was open any more.
    #[serde(skip)]
    pub settled_at: Option<Instant>,
}

impl Verification {
    /// What is not as it must be, in a sentence each; `allow_open` lets orders go on.
    pub fn problems(&self, allow_open: bool) -> Vec<String> {
        let open = if allow_open { 0 } else { self.open };
        let counted = [
            (self.missing, "acknowledged orders are missing"),
            (self.doubled, "orders were accepted twice"),
            (self.ended_twice, "orders ended twice"),
            (
                self.broken_history,
                "orders have a history without their acceptance or end",
            ),
            (self.unreadable, "orders could not be read back"),
            (open, "orders are still open (--allow-open lets them be)"),
            (u64::from(self.interrupted), "verification was interrupted"),
        ];
        let wrong = counted.into_iter().filter(|(count, _)| *count > 0);
        wrong
            .map(|(count, what)| format!("{} {what}", grouped(count)))
            .collect()
    }
}

/// Verifies the orders of a haul. Runs inside a `LocalSet`.
pub async fn verify(mut setup: Setup<'_>, haul: Haul) -> Verification {
    let Haul {
        mut acknowledged,
        existing,
        ..
    } = haul;
    let doubled = acknowledged.settle();
    let mut found = Verification {
        acknowledged: acknowledged.len() as u64,
        doubled,
        ..Verification::default()
    };
    acknowledged.append(existing);
    acknowledged.settle();
    found.existing = acknowledged.len() as u64 - found.acknowledged;
    let ids = Rc::new(acknowledged);
    if ids.is_empty() {
        found.settled_at = Some(clock::monotonic());
        return found;
    }
    let mut interrupts = setup.interrupts.clone();
    interrupts.mark_unchanged();
    let findings = Rc::new(RefCell::new(Findings::default()));
    let finished = tokio::select! {
        () = read_back(&mut setup, &ids, &findings, &mut found) => true,
        _ = interrupts.changed() => false,
    };
    found.interrupted = !finished;
    sum_up(&mut found, &findings.borrow(), &ids);
    found
}

async fn read_back(
    setup: &mut Setup<'_>,
    ids: &Rc<Ids>,
    findings: &Rc<RefCell<Findings>>,
    found: &mut Verification,
) {
    let give_up = clock::monotonic() + setup.patience;
    found.settled_at = settle(setup, give_up).await;
    let sweep = |question, places| Sweep {
        target: setup.target.clone(),
        question,
        ids: ids.clone(),
        places,
        findings: findings.clone(),
        patience: setup.patience,
    };
    let all: Vec<u32> = (0..ids.len() as u32).collect();
    if !sweep(Question::Standing, all)
        .run(setup.connections, setup.meter)
        .await
    {
        return;
    }
    let mut pause = PAUSE_MIN;
    while !findings.borrow().open.is_empty() && clock::monotonic() < give_up {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let open = std::mem::take(&mut findings.borrow_mut().open);
        sweep(Question::Standing, open)
            .run(setup.connections, setup.meter)
            .await;
    }
    found.is_sample = ids.len() > HISTORIES_MAX;
    let sample = sample(ids.len(), HISTORIES_MAX, setup.seed);
    findings.borrow_mut().sort();
    sweep(Question::History, sample)
        .run(setup.connections, setup.meter)
        .await;
}

/// Waits until no more orders are open than before the run, and answers when that was seen.
async fn settle(setup: &Setup<'_>, give_up: Instant) -> Option<Instant> {
    let active_before = setup.active_before?;
    let mut request = Vec::new();
    setup.target.write_get("/v1/stats", &mut request);
    let mut connection = None;
    let mut pause = PAUSE_MIN;
    loop {
        let active = ask_active(&setup.target, &mut connection, &request).await;
        let now = clock::monotonic();
        match active {
            Some(active) if active <= active_before => return Some(now),
            Some(active) => setup.meter.say(|| {
                let left = give_up.saturating_duration_since(now).as_secs();
                format!(
                    "verifying: {} orders still open, {left} s left",
                    grouped(active)
                )
            }),
            None => setup
                .meter
                .say(|| "verifying: no answer from the server".to_owned()),
        }
        if now + pause > give_up {
            return None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}

/// How many orders go on, by the server's statistics; `None` if it does not say.
async fn ask_active(
    target: &Target,
    connection: &mut Option<Connection>,
    request: &[u8],
) -> Option<u64> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(target).await.ok()?,
    };
    let active = match open.exchange(request).await {
        Ok(response) => read_active(&response.body).ok(),
        Err(_) => return None,
    };
    *connection = (!open.is_closing()).then_some(open);
    active
}

/// `most` places out of `count`, evenly spread and chosen by `seed`; all if there are no more.
fn sample(count: usize, most: usize, seed: u64) -> Vec<u32> {
    if count <= most {
        return (0..count as u32).collect();
    }
    let bound = |number: usize| (number as u128 * count as u128 / most as u128) as u64;
    let choose = |number: usize| {
        let (from, to) = (bound(number), bound(number + 1));
        (from + mix(seed, number as u64) % (to - from)) as u32
    };
    (0..most).map(choose).collect()
}

fn sum_up(found: &mut Verification, findings: &Findings, ids: &Ids) {
    found.missing = findings.missing.len() as u64;
    found.dead = findings.dead.len() as u64;
    found.open = findings.open.len() as u64;
    found.unreadable = findings.unreadable.len() as u64;
    found.ended_twice = findings.ended_twice.len() as u64;
    found.broken_history = findings.broken_history.len() as u64;
    found.doubled += findings.accepted_twice.len() as u64;
    found.histories = findings.histories;
    found.found = findings.ended + found.dead + found.open;
    found.final_once = findings
        .ended
        .saturating_sub(found.ended_twice + found.broken_history);
    for (places, what) in [
        (&findings.missing, "is missing"),
        (&findings.accepted_twice, "was accepted twice"),
        (&findings.ended_twice, "ended twice"),
        (
            &findings.broken_history,
            "has a history without its acceptance or its end",
        ),
        (&findings.unreadable, "cannot be read"),
        (&findings.open, "is still open"),
    ] {
        let named = places.iter().take(EXAMPLES_MAX);
        found
            .examples
            .extend(named.map(|place| format!("{} {what}", ids.text(*place as usize))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_all_and_the_same_for_a_seed() {
        assert_eq!(sample(3, 10, 1), [0, 1, 2]);
        let places = sample(1_000_000, 10_000, 1);
        assert_eq!(places.len(), 10_000);
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            places
                .iter()
                .enumerate()
                .all(|(k, place)| *place as usize / 100 == k)
        );
        assert_eq!(places, sample(1_000_000, 10_000, 1));
        assert_ne!(places, sample(1_000_000, 10_000, 2));
    }

    #[test]
    fn one_wrong_order_is_a_problem() {
        let good = Verification {
            found: 5,
            final_once: 5,
            ..Verification::default()
        };
        assert!(good.problems(false).is_empty());
        for wrong in [
            Verification {
                missing: 1,
                ..good.clone()
            },
            Verification {
                doubled: 1,
                ..good.clone()
            },
            Verification {
                ended_twice: 1,
                ..good.clone()
            },
            Verification {
                broken_history: 1,
                ..good.clone()
            },
            Verification {
                unreadable: 1,
                ..good.clone()
            },
            Verification {
                interrupted: true,
                ..good.clone()
            },
        ] {
            assert_eq!(wrong.problems(true).len(), 1, "{wrong:?}");
        }
        let open = Verification { open: 1, ..good };
        assert_eq!(open.problems(false).len(), 1);
        assert!(open.problems(true).is_empty());
    }
}
