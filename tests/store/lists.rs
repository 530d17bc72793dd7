//! Lists of orders, compared with a plain search through everything that was stored.
//! The search is the definition; the store only has to be as right, and faster.

use orderd::clock::Timestamp;
use orderd::order::{Order, Priority, Seq, Status, StatusKind};
use orderd::store::ListQuery;

use super::backend::{Backend, Hand, START, hold, recount, wait};

const CUSTOMERS: [&str; 3] = ["ada", "bob", "Ada"];
const PROCESSES: [&str; 2] = ["default", "express"];

/// A hundred orders of all sorts, some numbers missing, several with the same time. Newest first.
fn fill(hand: &mut Hand) -> Vec<Order> {
    let mut stored = Vec::new();
    for batch in 0..25_usize {
        let mut commit = hand.blank();
        if batch % 10 == 9 {
            // What came before is old, for a backend that makes a difference.
            hand.skip(20_000);
        }
        for item in 0..4_usize {
            let number = batch * 4 + item;
            // Every ninth id is taken, so that its number is missing.
            let id = if number % 9 == 8 { 0 } else { number };
            hand.create(&mut commit, &format!("order-{id}"));
            let order = commit.created.last_mut().unwrap();
            order.customer_id = CUSTOMERS[number % 3].into();
            order.process = PROCESSES[number / 2 % 2].into();
            order.priority = Priority::ALL[number / 3 % 3];
            order.created_at = START.plus(1_000_000 * (batch as i64 / 2));
            if number % 5 == 0 {
                order.hold = Some(Box::new(hold(order.created_at)));
            }
            if number % 4 == 1 {
                if number % 3 == 0 {
                    // It was finished elsewhere, long before it came here.
                    order.imported_at = Some(order.created_at);
                    order.created_at = order.created_at.plus(-1_000_000 * (number as i64 % 11));
                }
                let ended_at = order.created_at;
                order.state.status = Status::Completed { ended_at };
                order.state.started_at = Some(ended_at);
                order.hold = None;
            } else if number % 7 == 2 {
                let since = order.created_at;
                order.state.status = Status::Dead { since };
            }
        }
        recount(&mut commit);
        let receipt = hand.commit(&commit);
        let is_stored = |at: &usize| !receipt.collided.contains(at);
        let orders = (0..4)
            .filter(is_stored)
            .map(|at| (*commit.created[at]).clone());
        stored.extend(orders);
    }
    stored.reverse();
    stored
}

fn matches(order: &Order, query: &ListQuery) -> bool {
    let status = order.state.status.kind();
    query.status.is_none_or(|it| it == status)
        && query
            .customer_id
            .as_ref()
            .is_none_or(|it| *it == order.customer_id)
        && query.priority.is_none_or(|it| it == order.priority)
        && query
            .process
            .as_ref()
            .is_none_or(|it| **it == *order.process)
        && query.is_held.is_none_or(|it| it == order.hold.is_some())
        && query.created_after.is_none_or(|it| order.created_at >= it)
        && query.created_before.is_none_or(|it| order.created_at < it)
        && query.before.is_none_or(|it| order.seq < it)
}

/// All pages of a query, as numbers.
fn read(hand: &Hand, query: &ListQuery) -> Vec<i64> {
    let mut query = query.clone();
    let mut seqs = Vec::new();
    for _ in 0..1_000 {
        let page = wait(hand.store.orders(query.clone())).unwrap();
        assert!(page.orders.len() <= query.limit);
        seqs.extend(page.orders.iter().map(|order| order.seq.0));
        match page.next {
            Some(next) => query.before = Some(next),
            None => return seqs,
        }
    }
    panic!("a list without end: {query:?}");
}

fn search(stored: &[Order], query: &ListQuery) -> Vec<i64> {
    let found = stored.iter().filter(|order| matches(order, query));
    found.map(|order| order.seq.0).collect()
}

pub fn lists_give_what_a_search_from_end_to_end_gives(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let stored = fill(&mut hand);
    for filters in 0..256_u32 {
        let has = |bit: u32| filters >> bit & 1 == 1;
        let statuses = [StatusKind::Pending, StatusKind::Completed, StatusKind::Dead];
        for status in statuses {
            let query = ListQuery {
                status: has(0).then_some(status),
                customer_id: has(1).then(|| "ada".into()),
                priority: has(2).then_some(Priority::Low),
                process: has(3).then(|| "express".into()),
                is_held: has(6).then_some(has(7)),
                step: None,
                reason: None,
                created_after: has(4).then(|| START.plus(3_500_000)),
                created_before: has(5).then(|| START.plus(9_000_000)),
                limit: 7,
                before: None,
            };
            assert_eq!(read(&hand, &query), search(&stored, &query), "{query:?}");
        }
    }
}

pub fn a_list_is_paged_without_gaps_or_repetitions(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let stored = fill(&mut hand);
    for limit in [1, 2, 5, 99, 100, 1_000] {
        let query = ListQuery {
            limit,
            ..ListQuery::default()
        };
        assert_eq!(
            read(&hand, &query),
            search(&stored, &query),
            "{limit} at a time"
        );
    }
    let newest = wait(hand.store.orders(ListQuery {
        limit: 1,
        ..ListQuery::default()
    }));
    assert_eq!(newest.unwrap().orders[0], stored[0]);
}

pub fn time_ranges_are_found_among_missing_numbers(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let stored = fill(&mut hand);
    for from in (-1..15).map(|half| START.plus(half * 1_000_000 - half % 2)) {
        for until in [
            Timestamp(0),
            from,
            from.plus(1),
            from.plus(2_000_000),
            Timestamp::MAX,
        ] {
            let query = ListQuery {
                created_after: Some(from),
                created_before: Some(until),
                limit: 1_000,
                ..ListQuery::default()
            };
            assert_eq!(read(&hand, &query), search(&stored, &query), "{query:?}");
        }
    }
}

pub fn an_empty_store_lists_nothing(backend: &Backend) {
    let hand = Hand::new(backend);
    for before in [None, Some(Seq(0)), Some(Seq(i64::MAX))] {
        let query = ListQuery {
            before,
            created_after: Some(START),
            limit: 10,
            ..ListQuery::default()
        };
        assert!(read(&hand, &query).is_empty());
    }
}

/// Imports between ordinary orders, each with a past of its own length.
pub fn orders_that_came_later_than_they_were_made_are_found_by_their_times(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut stored = Vec::new();
    for batch in 0..20_i64 {
        let mut commit = hand.blank();
        for item in 0..5 {
            hand.create(&mut commit, &format!("order-{batch}-{item}"));
            let order = commit.created.last_mut().unwrap();
            if (batch / 4) % 2 == 1 || (batch + item) % 7 == 0 {
                let ended_at = commit.at.plus(-1_000_000 * (batch * item % 13));
                order.state.status = Status::Completed { ended_at };
                order.imported_at = Some(commit.at);
                order.created_at = ended_at.plus(-500_000 * item);
                order.state.started_at = Some(order.created_at);
            }
        }
        recount(&mut commit);
        hand.commit(&commit);
        stored.extend(commit.created.iter().map(|order| (**order).clone()));
    }
    stored.reverse();
    let moments = (-15..25).map(|second| START.plus(second * 1_000_000));
    for moment in moments.clone() {
        for limit in [2, 1_000] {
            for status in [None, Some(StatusKind::Completed), Some(StatusKind::Pending)] {
                let query = ListQuery {
                    status,
                    limit,
                    ..ListQuery::default()
                };
                let before = ListQuery {
                    created_before: Some(moment),
                    ..query.clone()
                };
                assert_eq!(read(&hand, &before), search(&stored, &before), "{before:?}");
                let between = ListQuery {
                    created_after: Some(moment),
                    created_before: Some(moment.plus(4_000_000)),
                    ..query
                };
                assert_eq!(
                    read(&hand, &between),
                    search(&stored, &between),
                    "{between:?}"
                );
            }
        }
    }
}

/// Dead orders by step and by words of their last failure.
pub fn open_orders_are_listed_by_step_and_reason(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    let reasons = [
        None,
        Some("timed out"),
        Some("declined: 50 %_"),
        Some("Timed out"),
    ];
    let mut stored = Vec::new();
    for number in 0..24 {
        hand.create(&mut commit, &format!("order-{number}"));
        let order = commit.created.last_mut().unwrap();
        let since = commit.at;
        order.state.status = Status::Dead { since };
        order.state.step = ["pay", "pack"][number % 2].into();
        order.state.reason = reasons[number % 4].map(Into::into);
        stored.push((**order).clone());
    }
    recount(&mut commit);
    hand.commit(&commit);
    stored.reverse();
    for step in [None, Some("pay"), Some("pa")] {
        for reason in [None, Some("timed"), Some("imed out"), Some("%_"), Some("")] {
            let query = ListQuery {
                status: Some(StatusKind::Dead),
                step: step.map(Into::into),
                reason: reason.map(Into::into),
                limit: 5,
                ..ListQuery::default()
            };
            let is_it = |order: &&Order| {
                let said = order.state.reason.as_deref();
                step.is_none_or(|step| *order.state.step == *step)
                    && reason.is_none_or(|text| said.is_some_and(|said| said.contains(text)))
            };
            let expected = stored.iter().filter(is_it).map(|order| order.seq.0);
            assert_eq!(
                read(&hand, &query),
                expected.collect::<Vec<_>>(),
                "{query:?}"
            );
        }
    }
}
