//! The book of open orders: a slab of compact records, and an index from sequence number to slot.
//!
//! 64 bytes for a record and about 10 for the index; what was ordered stays in the store. Nothing
//! here decides.

use hashbrown::HashTable;

use crate::clock::Timestamp;
use crate::order::{Position, Priority, ProcessIndex, Seq, Status, StatusKind, Target};

/// What the shard remembers of an open order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) seq: Seq,
    pub(super) status: PackedStatus,
    /// The journal row with its last event. Equal to that of the commit being built: changed in it.
    pub(super) position: Position,
    /// The time of its live timer; a timer with another time is stale.
    pub(super) due: Timestamp,
    pub(super) created_at: Timestamp,
    /// When its first step was started first; `NEVER` until then.
    pub(super) started_at: Timestamp,
    pub(super) version: u32,
    /// Its place among the changes of the commit being built, if it is one of them.
    pub(super) change: u32,
    pub(super) process: ProcessIndex,
    pub(super) step: u8,
    /// Attempts of that step that were started.
    pub(super) attempt: u16,
    pub(super) priority: Priority,
    /// An entry of the ready queue means it.
    pub(super) is_queued: bool,
}

const _: () = assert!(
    size_of::<Record>() <= 64,
    "the book is budgeted at 64 bytes for a record"
);

/// `Record::started_at` of an order that was never started.
pub(super) const NEVER: Timestamp = Timestamp(i64::MIN);

impl Record {
    /// When its first step was started first, if it was.
    pub(super) fn started_at(&self) -> Option<Timestamp> {
        (self.started_at != NEVER).then_some(self.started_at)
    }
}

/// A status in 9 bytes without alignment, where the enum takes 16.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedStatus {
    kind: StatusKind,
    /// The time, the lease, or the number of the target.
    data: [u8; 8],
}

impl From<Status> for PackedStatus {
    fn from(status: Status) -> Self {
        let data = match status {
            Status::Scheduled { start_at: at }
            | Status::Pending { ready_at: at }
            | Status::Waiting { until: at }
            | Status::Dead { since: at }
            | Status::Completed { ended_at: at }
            | Status::Cancelled { ended_at: at }
            | Status::Rejected { ended_at: at }
            | Status::Expired { ended_at: at } => at.0,
            Status::Processing { lease } => lease,
            Status::Compensating { target } => target.kind().number().into(),
        };
        Self {
            kind: status.kind(),
            data: data.to_ne_bytes(),
        }
    }
}

impl PackedStatus {
    pub(super) fn get(self) -> Status {
        let data = i64::from_ne_bytes(self.data);
        let at = Timestamp(data);
        match self.kind {
            StatusKind::Scheduled => Status::Scheduled { start_at: at },
            StatusKind::Pending => Status::Pending { ready_at: at },
            StatusKind::Processing => Status::Processing { lease: data },
            StatusKind::Waiting => Status::Waiting { until: at },
            StatusKind::Dead => Status::Dead { since: at },
            StatusKind::Compensating => Status::Compensating {
                target: match StatusKind::from_number(data) {
                    Some(StatusKind::Rejected) => Target::Rejected,
                    Some(StatusKind::Expired) => Target::Expired,
                    _ => Target::Cancelled,
                },
            },
            StatusKind::Completed => Status::Completed { ended_at: at },
            StatusKind::Cancelled => Status::Cancelled { ended_at: at },
            StatusKind::Rejected => Status::Rejected { ended_at: at },
            StatusKind::Expired => Status::Expired { ended_at: at },
        }
    }
}

/// `Record::change` of an order that is new in the commit being built.
pub(super) const IS_NEW: u32 = u32::MAX;

/// The sequence number in a slot that is free: orders have others, from 1.
const NOBODY: Seq = Seq(0);

/// Place of a record in the slab. Given to another order after this one is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// Records in chunks that never move: a single vector that grows would hold its old and its new
/// memory at once, and copy a million records between two answers.
#[derive(Default)]
struct Slab {
    chunks: Vec<Vec<Record>>,
}

/// Records of a chunk: 256 KiB.
const CHUNK: usize = 4_096;

impl Slab {
    fn at(&self, slot: u32) -> &Record {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn at_mut(&mut self, slot: u32) -> &mut Record {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// Puts a record behind all others; answers with its place.
    fn push(&mut self, record: Record) -> u32 {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = &mut self.chunks[before / CHUNK];
        chunk.push(record);
        // `open_orders_max` is checked to be below 2^32 - 1.
        (before + chunk.len() - 1) as u32
    }
}

/// All open orders of a shard.
#[derive(Default)]
pub(super) struct Book {
    records: Slab,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// How many there are, by process.
    by_process: Vec<u64>,
    /// How many were removed, by process.
    left_by_process: Vec<u64>,
}

impl Book {
    pub(super) fn new(processes: usize) -> Self {
        Self {
            by_process: vec![0; processes],
            left_by_process: vec![0; processes],
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many orders of a process there are.
    pub(super) fn len_of(&self, process: ProcessIndex) -> u64 {
        self.by_process[usize::from(process.0)]
    }

    /// How many orders were removed.
    pub(super) fn left(&self) -> u64 {
        self.left_by_process.iter().sum()
    }

    /// How many orders of a process were removed.
    pub(super) fn left_of(&self, process: ProcessIndex) -> u64 {
        self.left_by_process[usize::from(process.0)]
    }

    pub(super) fn insert(&mut self, record: Record) -> Slot {
        self.by_process[usize::from(record.process.0)] += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.records.at_mut(slot) = record;
                slot
            }
            None => self.records.push(record),
        };
        let records = &self.records;
        let hasher = |slot: &u32| hash(records.at(*slot).seq);
        self.index.insert_unique(hash(record.seq), slot, hasher);
        Slot(slot)
    }

    pub(super) fn find(&self, seq: Seq) -> Option<Slot> {
        let is_it = |slot: &u32| self.records.at(*slot).seq == seq;
        self.index.find(hash(seq), is_it).copied().map(Slot)
    }

    /// Whether the order is still at the slot where it was put: much cheaper than to `find` it.
    pub(super) fn holds(&self, slot: Slot, seq: Seq) -> bool {
        self.records.at(slot.0).seq == seq
    }

    pub(super) fn at(&self, slot: Slot) -> &Record {
        self.records.at(slot.0)
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> &mut Record {
        self.records.at_mut(slot.0)
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let Record { seq, process, .. } = *self.at(slot);
        if let Ok(entry) = self.index.find_entry(hash(seq), |other| *other == slot.0) {
            entry.remove();
            self.by_process[usize::from(process.0)] -= 1;
            self.left_by_process[usize::from(process.0)] += 1;
            self.records.at_mut(slot.0).seq = NOBODY;
            self.free.push(slot.0);
        }
    }
}

/// Spreads consecutive numbers over the table: Fibonacci hashing (Knuth, TAOCP 3, 6.4), folded so
/// that the upper bits, which the table uses too, differ. Nobody outside chooses sequence numbers.
fn hash(seq: Seq) -> u64 {
    let spread = (seq.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    spread ^ (spread >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn record(seq: i64) -> Record {
        Record {
            seq: Seq(seq),
            status: Status::Pending {
                ready_at: Timestamp(0),
            }
            .into(),
            position: Position(0),
            due: Timestamp(0),
            created_at: Timestamp(0),
            started_at: NEVER,
            version: 1,
            change: IS_NEW,
            process: ProcessIndex(0),
            step: 0,
            attempt: 0,
            priority: Priority::Medium,
            is_queued: false,
        }
    }

    #[test]
    fn a_packed_status_is_the_same_status() {
        let at = Timestamp(-7);
        let targets = [Target::Cancelled, Target::Rejected, Target::Expired];
        let mut all = vec![
            Status::Scheduled { start_at: at },
            Status::Pending { ready_at: at },
            Status::Processing { lease: i64::MAX },
            Status::Waiting { until: at },
            Status::Dead { since: at },
            Status::Completed { ended_at: at },
            Status::Cancelled { ended_at: at },
            Status::Rejected { ended_at: at },
            Status::Expired { ended_at: at },
        ];
        all.extend(targets.map(|target| Status::Compensating { target }));
        for status in all {
            assert_eq!(PackedStatus::from(status).get(), status);
        }
    }

    #[test]
    fn records_are_found_beyond_the_first_chunk() {
        let mut book = Book::new(1);
        (1..=3 * CHUNK as i64).for_each(|seq| {
            book.insert(record(seq));
        });
        let last = book.find(Seq(3 * CHUNK as i64)).unwrap();
        assert_eq!(last, Slot(3 * CHUNK as u32 - 1));
        assert!((1..=3 * CHUNK as i64).all(|seq| book.find(Seq(seq)).is_some()));
    }

    #[test]
    fn a_slot_holds_an_order_until_it_is_removed() {
        let mut book = Book::new(1);
        let slot = book.insert(record(1));
        assert!(book.holds(slot, Seq(1)) && !book.holds(slot, Seq(2)));
        book.remove(slot);
        assert!(!book.holds(slot, Seq(1)));
        assert_eq!(book.insert(record(2)), slot);
        assert!(book.holds(slot, Seq(2)) && !book.holds(slot, Seq(1)));
    }

    proptest! {
        #[test]
        fn the_book_is_a_set_of_sequence_numbers(
            moves in proptest::collection::vec((1..41_i64, any::<bool>()), 0..200),
        ) {
            let (mut book, mut model) = (Book::new(1), BTreeSet::new());
            for (seq, is_insert) in moves {
                if is_insert && model.insert(seq) {
                    book.insert(record(seq));
                } else if !is_insert && model.remove(&seq) {
                    let slot = book.find(Seq(seq)).unwrap();
                    book.remove(slot);
                }
                prop_assert_eq!(book.len(), model.len());
                prop_assert_eq!(book.len_of(ProcessIndex(0)), model.len() as u64);
            }
            for seq in 1..41 {
                let found = book.find(Seq(seq)).map(|slot| book.at(slot).seq);
                prop_assert_eq!(found, model.get(&seq).map(|seq| Seq(*seq)));
            }
        }
    }
}
