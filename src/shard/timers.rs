//! Timers of open orders: a heap of due times, nothing else. No task and no thread per order.
//!
//! A timer is not taken out when it comes to mean nothing; whoever is woken by it checks. All of
//! those go together once they are most of the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Timestamp;
use crate::order::Seq;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKind {
    /// The order's next move: its start time, its retry, the end of its simulated work.
    Move,
    /// The time after which its first step does not start any more.
    Expiry,
    /// The end of its hold.
    Release,
}

/// Timers, the earliest first; equal times in the order of the sequence numbers.
#[derive(Default)]
pub(super) struct Timers {
    /// Due time, and sequence number with the kind in its lowest bits: 16 bytes for each order.
    heap: BinaryHeap<Reverse<(Timestamp, i64)>>,
}

impl Timers {
    pub(super) fn set(&mut self, due: Timestamp, seq: Seq, kind: TimerKind) {
        // A sequence number has 58 bits.
        self.heap.push(Reverse((due, seq.0 << 2 | kind as i64)));
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Takes those out that mean nothing any more.
    pub(super) fn sweep(&mut self, mut means: impl FnMut(Timestamp, Seq, TimerKind) -> bool) {
        self.heap.retain(|Reverse((due, key))| {
            let (seq, kind) = taken_apart(*key);
            means(*due, seq, kind)
        });
        self.heap.shrink_to(2 * self.heap.len());
    }

    /// Takes the earliest timer if it is due.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, Seq, TimerKind)> {
        let is_due = self.next_due().is_some_and(|due| due <= now);
        let Reverse((due, key)) = if is_due {
            self.heap.pop()?
        } else {
            return None;
        };
        let (seq, kind) = taken_apart(key);
        Some((due, seq, kind))
    }
}

fn taken_apart(key: i64) -> (Seq, TimerKind) {
    let kind = match key & 3 {
        0 => TimerKind::Move,
        1 => TimerKind::Expiry,
        _ => TimerKind::Release,
    };
    (Seq(key >> 2), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_the_order_of_their_times_and_not_before() {
        let mut timers = Timers::default();
        timers.set(Timestamp(30), Seq(1), TimerKind::Move);
        timers.set(Timestamp(10), Seq(3), TimerKind::Expiry);
        timers.set(Timestamp(10), Seq(2), TimerKind::Release);
        assert_eq!(timers.next_due(), Some(Timestamp(10)));
        assert_eq!(timers.pop_due(Timestamp(9)), None);
        let mut pop = || {
            timers
                .pop_due(Timestamp(30))
                .map(|(_, seq, kind)| (seq.0, kind))
        };
        assert_eq!(pop(), Some((2, TimerKind::Release)));
        assert_eq!(pop(), Some((3, TimerKind::Expiry)));
        assert_eq!(pop(), Some((1, TimerKind::Move)));
        assert_eq!(pop(), None);
    }
}
