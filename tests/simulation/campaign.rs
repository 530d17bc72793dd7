//! Many seeds on all cores: counts what happened, shows how far it has come, and says in the end
//! what was played.
//!
//! One seed knows nothing of the others.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orderd::clock::monotonic;

use super::Happened;
use super::world::End;

/// How often a long campaign says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What was played.
#[derive(Default)]
pub struct Summary {
    pub seeds: u64,
    /// Time that went by in the simulated worlds, in microseconds.
    pub simulated_us: u64,
    pub took: Duration,
    pub happened: Happened,
    /// Broken promises by seed.
    pub broken: BTreeMap<u64, String>,
}

/// How it is told while it goes on.
#[derive(Clone, Copy, PartialEq)]
pub enum Progress {
    Silent,
    Shown,
}

/// Plays seeds until one breaks a promise or there are no more.
pub fn play_all(
    seeds: std::ops::Range<u64>,
    progress: Progress,
    play: impl Fn(u64) -> Result<End, String> + Sync,
) -> Summary {
    let started = monotonic();
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new((Summary::default(), started));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let end = play(seed);
            // All seeds before it are played to their end: the lowest that fails is known then.
            let mut all = all.lock().unwrap();
            let (summary, said_at) = &mut *all;
            match end {
                Ok(end) => summary.add(&end),
                Err(broken) => {
                    summary.broken.insert(seed, broken);
                    next.store(seeds.end, Ordering::Relaxed);
                }
            }
            if progress == Progress::Shown && said_at.elapsed() >= PROGRESS_EVERY {
                *said_at = monotonic();
                summary.show(seeds.end - seeds.start, started);
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).for_each(|_| drop(scope.spawn(work)));
    });
    let (mut summary, _) = all.into_inner().unwrap();
    summary.took = started.elapsed();
    summary
}

impl Summary {
    fn add(&mut self, end: &End) {
        self.seeds += 1;
        self.simulated_us += end.simulated_us;
        for (what, times) in &end.happened {
            *self.happened.entry(what).or_default() += times;
        }
    }

    fn show(&self, all: u64, started: Instant) {
        let per_second = self.seeds as f64 / started.elapsed().as_secs_f64();
        let end = if std::io::stderr().is_terminal() {
            '\r'
        } else {
            '\n'
        };
        eprint!(
            "{:>9} of {all} seeds, {per_second:.0} per second{end}",
            self.seeds
        );
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.happened {
            writeln!(f, "{times:>12}  {what}")?;
        }
        let simulated = self.simulated_us as f64 / 1e6;
        let real = self.took.as_secs_f64();
        writeln!(f, "{:>12}  seeds", self.seeds)?;
        writeln!(
            f,
            "{:>12.1}  hours simulated (an hour at most for each wait) in {real:.1} s: \
             {:.0} times as fast",
            simulated / 3_600.0,
            simulated / real.max(1e-6)
        )?;
        write!(f, "{:>12}  broken promises", self.broken.len())
    }
}
