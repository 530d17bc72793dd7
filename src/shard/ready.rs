//! The ready queue: which waiting order runs next, and how many may run at once.
//!
//! An order's rank is `ready_at + allowance`, the smallest runs first. Priority is a head start in
//! time, so all waiting orders age alike and none starves. Limits are per process and per step.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::clock::Timestamp;
use crate::faults::{self, Bug};
use crate::order::{Priority, Process, ProcessIndex, Processes, QueueIndex, Seq};

/// By how much a fresh order of each priority stands back, and a begun one comes forward; in
/// microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// Medium orders, from 0.
    pub medium_us: i64,
    /// Low orders, not below medium: no low order waits longer than this behind fresh high ones.
    pub low_us: i64,
    /// Orders that have begun come forward by this, so that started work is finished first.
    pub begun_head_start_us: i64,
}

impl Default for Allowances {
    /// 10 s, 60 s and 60 s.
    fn default() -> Self {
        Self {
            medium_us: 10_000_000,
            low_us: 60_000_000,
            begun_head_start_us: 60_000_000,
        }
    }
}

impl Allowances {
    fn of(&self, class: Class) -> i64 {
        let allowance = match class.priority {
            Priority::High => 0,
            Priority::Medium => self.medium_us,
            Priority::Low if faults::is_planted(Bug::LowPriorityStarves) => i64::MAX / 4,
            Priority::Low => self.low_us,
        };
        if class.is_begun {
            allowance - self.begun_head_start_us
        } else {
            allowance
        }
    }
}

/// Orders with the same allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) priority: Priority,
    pub(super) is_begun: bool,
}

const CLASSES: [Class; 6] = [
    class(Priority::High, true),
    class(Priority::Medium, true),
    class(Priority::Low, true),
    class(Priority::High, false),
    class(Priority::Medium, false),
    class(Priority::Low, false),
];

const fn class(priority: Priority, is_begun: bool) -> Class {
    Class { priority, is_begun }
}

impl Class {
    fn index(self) -> usize {
        self.priority.index() + if self.is_begun { 0 } else { 3 }
    }
}

/// Where an attempt runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) process: ProcessIndex,
    pub(super) step: u8,
    /// It is undone there.
    pub(super) is_undo: bool,
}

/// Who takes the orders that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    /// The shard itself, as soon as they may run.
    Shard,
    /// Workers that ask for them.
    Workers(QueueIndex),
}

impl Taker {
    fn index(self) -> usize {
        match self {
            Self::Shard => 0,
            Self::Workers(queue) => 1 + usize::from(queue.0),
        }
    }
}

/// All orders that wait for their turn, and how many attempts are running.
pub(super) struct Ready {
    allowances: Allowances,
    processes: Vec<ProcessQueue>,
    /// By taker.
    lines: Vec<Line>,
}

/// The steps with one taker.
#[derive(Default)]
struct Line {
    places: Vec<Place>,
    /// Orders that wait. Those that ended while they waited do not count; their entries go when it
    /// is their turn.
    waiting: usize,
}

struct ProcessQueue {
    /// What is done at each step, then how each step is undone.
    steps: Vec<StepQueue>,
    running: u32,
    running_max: u32,
}

#[derive(Default)]
struct StepQueue {
    /// By class; within a class the earliest `ready_at` first, then the lowest sequence number.
    classes: [BinaryHeap<Reverse<(Timestamp, Seq)>>; 6],
    /// Entries that were taken back and are still in a heap, but never at its top.
    withdrawn: BTreeSet<(usize, Timestamp, Seq)>,
    running: u32,
    running_max: u32,
    /// Place of its taker's line.
    line: usize,
}

impl ProcessQueue {
    fn index(&self, place: Place) -> usize {
        let undos = if place.is_undo {
            self.steps.len() / 2
        } else {
            0
        };
        undos + usize::from(place.step)
    }

    fn at_mut(&mut self, place: Place) -> &mut StepQueue {
        let at = self.index(place);
        &mut self.steps[at]
    }
}

impl StepQueue {
    /// An entry that was taken back is still there, and only has to count again.
    fn push(&mut self, class: usize, ready_at: Timestamp, seq: Seq) {
        if !self.withdrawn.remove(&(class, ready_at, seq)) {
            self.classes[class].push(Reverse((ready_at, seq)));
        }
    }

    fn pop(&mut self, class: usize) -> Option<(Timestamp, Seq)> {
        let Reverse(first) = self.classes[class].pop()?;
        self.clear_top(class);
        Some(first)
    }

    fn withdraw(&mut self, class: usize, ready_at: Timestamp, seq: Seq) {
        self.withdrawn.insert((class, ready_at, seq));
        self.clear_top(class);
    }

    fn clear_top(&mut self, class: usize) {
        while !self.withdrawn.is_empty()
            && let Some(Reverse((ready_at, seq))) = self.classes[class].peek().copied()
            && self.withdrawn.remove(&(class, ready_at, seq))
        {
            self.classes[class].pop();
        }
    }
}

impl Ready {
    pub(super) fn new(processes: &Processes, allowances: Allowances) -> Self {
        let queues = processes.queues();
        let lines = 1 + queues.names().len();
        let mut lines: Vec<_> = (0..lines).map(|_| Line::default()).collect();
        let mut process = |(index, process): (ProcessIndex, &Process)| {
            let places = [false, true].map(|is_undo| {
                let steps = (0..).zip(&process.steps);
                steps.map(move |(step, _)| (step, is_undo))
            });
            let steps = places.into_iter().flatten().map(|(step, is_undo)| {
                let work = process.work(step, is_undo);
                let queue = queues.of_step(&work.kind);
                let line = queue.map_or(Taker::Shard, Taker::Workers).index();
                // Nobody ever waits to undo what cannot be undone.
                if !is_undo || process.steps[usize::from(step)].undo.is_some() {
                    lines[line].places.push(Place {
                        process: index,
                        step,
                        is_undo,
                    });
                }
                StepQueue {
                    running_max: work.concurrency,
                    line,
                    ..StepQueue::default()
                }
            });
            ProcessQueue {
                steps: steps.collect(),
                running: 0,
                running_max: process.concurrency,
            }
        };
        let all = (0..).map(ProcessIndex).zip(processes.all());
        let processes = all.map(&mut process).collect();
        Self {
            allowances,
            processes,
            lines,
        }
    }

    pub(super) fn enqueue(&mut self, place: Place, class: Class, ready_at: Timestamp, seq: Seq) {
        let step = self.step(place);
        step.push(class.index(), ready_at, seq);
        let line = step.line;
        self.lines[line].waiting += 1;
    }

    /// Takes an order back that was enqueued like this and was not leased since.
    pub(super) fn withdraw(&mut self, place: Place, class: Class, ready_at: Timestamp, seq: Seq) {
        let step = self.step(place);
        step.withdraw(class.index(), ready_at, seq);
        let line = step.line;
        self.lines[line].waiting -= 1;
    }

    /// Takes the order with the smallest rank among those that may run, and counts it as running.
    pub(super) fn lease(&mut self, taker: Taker) -> Option<(Place, Timestamp, Seq)> {
        let (place, class) = self.next(taker)?;
        let queue = &mut self.processes[usize::from(place.process.0)];
        let step = queue.at_mut(place);
        let (ready_at, seq) = step.pop(class.index())?;
        step.running += 1;
        queue.running += 1;
        Some((place, ready_at, seq))
    }

    /// Counts an attempt as running that was never leased here.
    pub(super) fn take(&mut self, place: Place) {
        let queue = &mut self.processes[usize::from(place.process.0)];
        queue.running += 1;
        queue.at_mut(place).running += 1;
    }

    /// An order waits no more: it was leased and is there, or it has ended while it waited.
    pub(super) fn leave(&mut self, place: Place) {
        let line = self.step(place).line;
        self.lines[line].waiting -= 1;
    }

    /// How many orders wait for a taker, and how many attempts it makes now.
    pub(super) fn load(&self, taker: Taker) -> (usize, u32) {
        let line = &self.lines[taker.index()];
        let step = |place: &Place| {
            let process = &self.processes[usize::from(place.process.0)];
            &process.steps[process.index(*place)]
        };
        let running = line.places.iter().map(|place| step(place).running);
        (line.waiting, running.sum())
    }

    /// An attempt has ended, or the order that was leased turned out not to be there.
    pub(super) fn release(&mut self, place: Place) {
        let queue = &mut self.processes[usize::from(place.process.0)];
        queue.running -= 1;
        queue.at_mut(place).running -= 1;
    }

    /// Whether an order could be leased now.
    pub(super) fn can_lease(&self, taker: Taker) -> bool {
        self.lines[taker.index()].waiting > 0 && self.next(taker).is_some()
    }

    /// Since when the order that has waited longest has been ready, of those that still wait: for
    /// each line, first that of the shard, then the queues.
    ///
    /// Whoever ended while it waited is taken out on the way.
    pub(super) fn oldest(
        &mut self,
        waits: impl Fn(Timestamp, Seq) -> bool,
    ) -> Vec<Option<Timestamp>> {
        let steps = self.processes.iter_mut().flat_map(|it| &mut it.steps);
        let mut oldest = vec![None; self.lines.len()];
        for step in steps {
            for class in 0..CLASSES.len() {
                while let Some(Reverse((ready_at, seq))) = step.classes[class].peek().copied() {
                    if waits(ready_at, seq) {
                        let oldest: &mut Option<Timestamp> = &mut oldest[step.line];
                        *oldest = Some(oldest.map_or(ready_at, |other| other.min(ready_at)));
                        break;
                    }
                    step.pop(class);
                }
            }
        }
        oldest
    }

    fn step(&mut self, place: Place) -> &mut StepQueue {
        self.processes[usize::from(place.process.0)].at_mut(place)
    }

    fn next(&self, taker: Taker) -> Option<(Place, Class)> {
        let steps = self.lines[taker.index()].places.iter().map(|place| {
            let process = &self.processes[usize::from(place.process.0)];
            (*place, process, &process.steps[process.index(*place)])
        });
        let free = steps.filter(|(_, process, step)| {
            process.running < process.running_max && step.running < step.running_max
        });
        let heads = free.flat_map(|(place, _, step)| {
            CLASSES.into_iter().filter_map(move |class| {
                let Reverse((ready_at, seq)) = step.classes[class.index()].peek()?;
                let rank = ready_at.plus(self.allowances.of(class));
                Some((rank, *seq, place, class))
            })
        });
        let first = heads.min_by_key(|(rank, seq, _, _)| (*rank, *seq))?;
        Some((first.2, first.3))
    }
}
