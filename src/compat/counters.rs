//! What a dialect counts: its own orders by status, and the means of how long they took.
//!
//! Read from the engine's counters, which are written with every commit; nothing is counted here.

use serde::{Serialize, Serializer};

use super::decimal::Mean;
use super::words;
use crate::order::{ProcessTally, StatusKind};

/// Decimals of a sum of microseconds, as seconds.
const MICROS: u32 = 6;
/// Decimals of a sum of microseconds, as milliseconds.
const MICROS_OF_MILLIS: u32 = 3;

/// The counters of a dialect's orders.
#[derive(Clone, Debug)]
pub struct Counters(pub ProcessTally);

impl Counters {
    /// Orders that are now in a status.
    pub fn of(&self, status: StatusKind) -> i64 {
        self.0.tally.by_status(status)
    }

    /// Orders that nobody works on yet.
    pub fn pending(&self) -> i64 {
        self.of(StatusKind::Scheduled) + self.of(StatusKind::Pending)
    }

    /// Orders that are being worked on.
    pub fn in_work(&self) -> i64 {
        let at_work = [
            StatusKind::Processing,
            StatusKind::Waiting,
            StatusKind::Compensating,
        ];
        at_work.map(|status| self.of(status)).iter().sum()
    }

    /// Orders that are done.
    pub fn completed(&self) -> i64 {
        self.of(StatusKind::Completed)
    }

    /// Orders ever accepted.
    pub fn all(&self) -> i64 {
        self.0.tally.total()
    }

    /// Time of work, in seconds: from the first start to completion, without the wait before it.
    pub fn work_seconds(&self) -> Mean {
        self.mean(self.0.work_us, MICROS)
    }

    /// The same in milliseconds.
    pub fn work_millis(&self) -> Mean {
        self.mean(self.0.work_us, MICROS_OF_MILLIS)
    }

    /// Time from acceptance to completion, in seconds: each order's is whole, rounded down.
    pub fn turnaround_seconds(&self) -> Mean {
        self.mean(self.0.turnaround_s, 0)
    }

    /// The counts of statuses that the old services did not know, where they are not zero.
    pub fn extra(&self) -> Extra {
        let counts = words::EXTRA.map(|status| (words::capital(status), self.of(status)));
        Extra(
            counts
                .into_iter()
                .filter(|(_, count)| *count != 0)
                .collect(),
        )
    }

    /// The counts of all words: the three that the old services knew are always there, then the
    /// extra ones.
    pub fn by_word(&self) -> Extra {
        let mut words = vec![
            (words::capital(StatusKind::Pending), self.pending()),
            (words::capital(StatusKind::Processing), self.in_work()),
            (words::capital(StatusKind::Completed), self.completed()),
        ];
        words.extend(self.extra().0);
        Extra(words)
    }

    fn mean(&self, sum: i64, places: u32) -> Mean {
        Mean {
            sum,
            places,
            count: self.completed(),
        }
    }
}

/// Words and how many orders they stand for. Written as the members of an object, to be flattened
/// into the end of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra(pub Vec<(&'static str, i64)>);

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Priority;

    fn counters(counts: &[(StatusKind, i64)]) -> Counters {
        let mut tally = ProcessTally::new("p".into());
        for (status, count) in counts {
            tally.tally.count(*status, Priority::Low, *count);
        }
        Counters(tally)
    }

    #[test]
    fn every_status_is_counted_once() {
        let places: Vec<_> = StatusKind::ALL
            .into_iter()
            .map(|status| {
                let counters = counters(&[(status, 7)]);
                let counts = [
                    counters.pending(),
                    counters.in_work(),
                    counters.completed(),
                    counters.extra().0.iter().map(|(_, count)| count).sum(),
                ];
                assert_eq!(counters.all(), 7);
                assert_eq!(counts.iter().sum::<i64>(), 7, "{status:?}");
                counts.iter().position(|count| *count == 7).unwrap()
            })
            .collect();
        assert_eq!(places, [0, 0, 1, 1, 3, 1, 2, 3, 3, 3]);
    }

    #[test]
    fn extra_counts_are_there_only_when_there_are_some() {
        #[derive(Serialize)]
        struct Counts {
            all: i64,
            #[serde(flatten)]
            extra: Extra,
        }
        let written = |counts: &[(StatusKind, i64)]| {
            let counters = counters(counts);
            let (all, extra) = (counters.all(), counters.extra());
            serde_json::to_string(&Counts { all, extra }).unwrap()
        };
        assert_eq!(written(&[(StatusKind::Completed, 1)]), r#"{"all":1}"#);
        let some = [(StatusKind::Expired, 1), (StatusKind::Dead, 2)];
        assert_eq!(written(&some), r#"{"all":3,"Failed":2,"Expired":1}"#);
    }

    #[test]
    fn three_words_are_always_counted() {
        let written = |counts: &[(StatusKind, i64)]| {
            serde_json::to_string(&counters(counts).by_word()).unwrap()
        };
        let none = r#"{"Pending":0,"Processing":0,"Completed":0}"#;
        assert_eq!(written(&[]), none);
        let some = [
            (StatusKind::Scheduled, 1),
            (StatusKind::Waiting, 2),
            (StatusKind::Rejected, 3),
        ];
        let expected = r#"{"Pending":1,"Processing":2,"Completed":0,"Rejected":3}"#;
        assert_eq!(written(&some), expected);
    }

    #[test]
    fn means_are_over_completed_orders() {
        let mut two = counters(&[(StatusKind::Completed, 2), (StatusKind::Dead, 9)]);
        two.0.work_us = 4_011_235;
        two.0.turnaround_s = 11;
        assert_eq!(two.work_seconds().number(6).get(), "2.005618");
        assert_eq!(two.work_seconds().number(3).get(), "2.006");
        assert_eq!(two.work_millis().number(3).get(), "2005.618");
        assert_eq!(two.turnaround_seconds().number(4).get(), "5.5");
        let none = counters(&[(StatusKind::Pending, 1)]);
        assert_eq!(none.work_seconds().number(3).get(), "0");
    }
}
