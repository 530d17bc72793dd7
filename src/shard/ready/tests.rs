//! Tests of the ready queue: ranks are head starts and not classes, and limits hold.
//! What waits and what runs is compared with a sorted list.

use super::*;
use proptest::prelude::*;

const PLACE: Place = Place {
    process: ProcessIndex(0),
    step: 0,
    is_undo: false,
};

fn ready(concurrency: u32) -> Ready {
    let process = Process {
        concurrency,
        ..Process::built_in()
    };
    let processes = Processes::new(vec![process], Vec::new()).unwrap();
    Ready::new(&processes, Allowances::default())
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
    let order: Vec<_> = std::iter::from_fn(|| ready.lease(Taker::Shard))
        .map(|(_, _, seq)| seq.0)
        .collect();
    assert_eq!(order, [2, 3, 1, 4]);
}

#[test]
fn limits_hold_until_somebody_leaves() {
    let mut ready = ready(1);
    ready.enqueue(PLACE, fresh(Priority::High), Timestamp(0), Seq(1));
    ready.enqueue(PLACE, fresh(Priority::High), Timestamp(0), Seq(2));
    assert!(ready.lease(Taker::Shard).is_some());
    assert!(!ready.can_lease(Taker::Shard));
    assert_eq!(ready.lease(Taker::Shard), None);
    ready.release(PLACE);
    let second = Some((PLACE, Timestamp(0), Seq(2)));
    assert_eq!(ready.lease(Taker::Shard), second);
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
        let leased = std::iter::from_fn(|| ready.lease(Taker::Shard));
        let leased: Vec<_> = leased.map(|it| it.2.0).collect();
        prop_assert_eq!(leased, model.into_iter().map(|(_, seq)| seq).collect::<Vec<_>>());
    }
}
