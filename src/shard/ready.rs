//! The ready queue: which waiting order runs next, and how many may run at once.
//!
//! An order's rank is `ready_at + allowance`, the smallest runs first. Priority is a head start in
//! time, so all waiting orders age alike and none starves. Limits are per process and per step.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::clock::Timestamp;
use crate::faults::{self, Bug};
use crate::order::{Priority, Process, ProcessIndex, Seq};

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
    Class {
        priority: Priority::High,
        is_begun: true,
    },
    Class {
        priority: Priority::Medium,
        is_begun: true,
    },
    Class {
        priority: Priority::Low,
        is_begun: true,
    },
    Class {
        priority: Priority::High,
        is_begun: false,
    },
    Class {
        priority: Priority::Medium,
        is_begun: false,
    },
    Class {
        priority: Priority::Low,
        is_begun: false,
    },
];

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
}

/// All orders that wait for their turn, and how many attempts are running.
pub(super) struct Ready {
    allowances: Allowances,
    processes: Vec<ProcessQueue>,
    waiting: usize,
}

struct ProcessQueue {
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
    pub(super) fn new(processes: &[Process], allowances: Allowances) -> Self {
        let step = |running_max| StepQueue {
            running_max,
            ..StepQueue::default()
        };
        let process = |process: &Process| ProcessQueue {
            steps: process.steps.iter().map(|s| step(s.concurrency)).collect(),
            running: 0,
            running_max: process.concurrency,
        };
        Self {
            allowances,
            processes: processes.iter().map(process).collect(),
            waiting: 0,
        }
    }

    pub(super) fn enqueue(&mut self, place: Place, class: Class, ready_at: Timestamp, seq: Seq) {
        self.step(place).push(class.index(), ready_at, seq);
        self.waiting += 1;
    }

    /// Takes an order back that was enqueued like this and was not leased since.
    pub(super) fn withdraw(&mut self, place: Place, class: Class, ready_at: Timestamp, seq: Seq) {
        self.step(place).withdraw(class.index(), ready_at, seq);
        self.waiting -= 1;
    }

    /// Takes the order with the smallest rank among those that may run, and counts it as running.
    pub(super) fn lease(&mut self) -> Option<(Place, Timestamp, Seq)> {
        let (place, class) = self.next()?;
        let queue = &mut self.processes[usize::from(place.process.0)];
        let step = &mut queue.steps[usize::from(place.step)];
        let (ready_at, seq) = step.pop(class.index())?;
        step.running += 1;
        queue.running += 1;
        self.waiting -= 1;
        Some((place, ready_at, seq))
    }

    /// Counts an attempt as running that was never leased here.
    pub(super) fn take(&mut self, place: Place) {
        let queue = &mut self.processes[usize::from(place.process.0)];
        queue.running += 1;
        queue.steps[usize::from(place.step)].running += 1;
    }

    /// An attempt has ended, or the order that was leased turned out not to be there.
    pub(super) fn release(&mut self, place: Place) {
        let queue = &mut self.processes[usize::from(place.process.0)];
        queue.running -= 1;
        queue.steps[usize::from(place.step)].running -= 1;
    }

    /// Whether an order could be leased now.
    pub(super) fn can_lease(&self) -> bool {
        self.waiting > 0 && self.next().is_some()
    }

    /// Since when the order that has waited longest has been ready, of those that still wait.
    ///
    /// Whoever ended while it waited is taken out on the way.
    pub(super) fn oldest(&mut self, waits: impl Fn(Timestamp, Seq) -> bool) -> Option<Timestamp> {
        let steps = self.processes.iter_mut().flat_map(|it| &mut it.steps);
        let mut oldest: Option<Timestamp> = None;
        for step in steps {
            for class in 0..CLASSES.len() {
                while let Some(Reverse((ready_at, seq))) = step.classes[class].peek().copied() {
                    if waits(ready_at, seq) {
                        oldest = Some(oldest.map_or(ready_at, |other| other.min(ready_at)));
                        break;
                    }
                    step.pop(class);
                    self.waiting -= 1;
                }
            }
        }
        oldest
    }

    fn step(&mut self, place: Place) -> &mut StepQueue {
        &mut self.processes[usize::from(place.process.0)].steps[usize::from(place.step)]
    }

    fn next(&self) -> Option<(Place, Class)> {
        let processes = (0..).map(ProcessIndex).zip(&self.processes);
        let free = processes.filter(|(_, queue)| queue.running < queue.running_max);
        let steps = free.flat_map(|(process, queue)| {
            (0..)
                .zip(&queue.steps)
                .map(move |(step, queue)| (Place { process, step }, queue))
        });
        let free = steps.filter(|(_, step)| step.running < step.running_max);
        let heads = free.flat_map(|(place, step)| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: Place = Place {
        process: ProcessIndex(0),
        step: 0,
    };

    fn ready(concurrency: u32) -> Ready {
        let process = Process {
            concurrency,
            ..Process::built_in()
        };
        Ready::new(&[process], Allowances::default())
    }

    fn fresh(priority: Priority) -> Class {
        Class {
            priority,
            is_begun: false,
        }
    }

    #[test]
    fn priority_is_a_head_start_and_not_a_queue() {
        let mut ready = ready(9);
        let second = 1_000_000;
        ready.enqueue(PLACE, fresh(Priority::Low), Timestamp(0), Seq(1));
        ready.enqueue(
            PLACE,
            fresh(Priority::Medium),
            Timestamp(49 * second),
            Seq(2),
        );
        ready.enqueue(PLACE, fresh(Priority::High), Timestamp(59 * second), Seq(3));
        ready.enqueue(PLACE, fresh(Priority::High), Timestamp(61 * second), Seq(4));
        let order: Vec<_> = std::iter::from_fn(|| ready.lease())
            .map(|(_, _, seq)| seq.0)
            .collect();
        assert_eq!(order, [2, 3, 1, 4]);
    }

    #[test]
    fn limits_hold_until_somebody_leaves() {
        let mut ready = ready(1);
        ready.enqueue(PLACE, fresh(Priority::High), Timestamp(0), Seq(1));
        ready.enqueue(PLACE, fresh(Priority::High), Timestamp(0), Seq(2));
        assert!(ready.lease().is_some());
        assert!(!ready.can_lease());
        assert_eq!(ready.lease(), None);
        ready.release(PLACE);
        assert_eq!(ready.lease(), Some((PLACE, Timestamp(0), Seq(2))));
    }

    proptest! {
        #[test]
        fn leases_follow_rank_then_sequence(
            orders in proptest::collection::vec((0..100_000_000_i64, 0..6_usize), 0..60),
        ) {
            let mut ready = ready(u32::MAX);
            let mut model = Vec::new();
            for (seq, (ready_at, class)) in (1..).zip(orders) {
                let class = CLASSES[class];
                ready.enqueue(PLACE, class, Timestamp(ready_at), Seq(seq));
                model.push((ready_at + Allowances::default().of(class), seq));
            }
            model.sort();
            let leased: Vec<_> = std::iter::from_fn(|| ready.lease()).map(|l| l.2.0).collect();
            prop_assert_eq!(leased, model.into_iter().map(|(_, seq)| seq).collect::<Vec<_>>());
        }
    }
}
