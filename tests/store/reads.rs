//! Reading back what was committed: whole orders, histories, the journal and its feed.
//! Each is compared with what was written, never with what another read said.

use orderd::clock::Timestamp;
use orderd::order::{
    Changed, Currency, EventKind, Money, OrderId, Output, Position, Priority, Seq, Status,
    StatusKind, StepOutput, Target,
};
use orderd::store::{EventPlace, EventView, ListQuery, Store, journal};

use super::backend::{Backend, Hand, START, change, event, recount, wait};

const AT: Timestamp = Timestamp(START.0 + 77);

/// One of each status, with its data.
pub const STATUSES: [Status; 12] = [
    Status::Scheduled { start_at: AT },
    Status::Pending { ready_at: AT },
    Status::Processing { lease: 12 },
    Status::Waiting { until: AT },
    Status::Dead { since: AT },
    Status::Compensating {
        target: Target::Cancelled,
    },
    Status::Compensating {
        target: Target::Rejected,
    },
    Status::Compensating {
        target: Target::Expired,
    },
    Status::Completed { ended_at: AT },
    Status::Cancelled { ended_at: AT },
    Status::Rejected { ended_at: AT },
    Status::Expired { ended_at: AT },
];

pub fn every_status_survives_the_way_through_the_store(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let ids: Vec<_> = (0..STATUSES.len())
        .map(|at| format!("order-{at}"))
        .collect();
    hand.accept(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    for (id, status) in ids.iter().zip(STATUSES) {
        let before = hand.order(id).unwrap();
        let mut state = before.state.clone();
        let mut commit = hand.blank();
        state.status = status;
        state.version += 1;
        state.attempt = 3;
        state.started_at = Some(AT);
        state.step = "pack".into();
        state.reason = Some("because of \"quotes\", ümlauts and \u{1F4E6}".into());
        state.updated_at = AT;
        state.position = commit.position;
        change(&mut commit, &before, state.clone(), EventKind::Replayed);
        hand.commit(&commit);
        assert_eq!(hand.order(id).unwrap().state, state);
    }
}

pub fn everything_that_was_ordered_survives(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    for (at, id) in ["!~", &"x".repeat(64), "ordinary"].iter().enumerate() {
        hand.create(&mut commit, id);
        let order = commit.created.last_mut().unwrap();
        order.customer_id = "Ada O'Neill \u{1F4E6} \\ \" %_".into();
        order.priority = Priority::ALL[at];
        order.payload = r#"{"items":["\u0000","é"],"notes":"a\nb"}"#.into();
        order.total = Money::new(i64::MAX, Currency::from_code("JPY").unwrap()).unwrap();
        order.start_at = Some(Timestamp(0));
        order.expires_at = (at > 0).then_some(Timestamp::MAX);
        order.process = "other".into();
        order.process_version = u32::MAX;
        order.state.version = u32::MAX;
        order.state.attempt = u16::MAX;
        order.state.started_at = (at > 1).then_some(Timestamp(-1));
        order.item_count = [0, 1_000, u16::MAX][at];
    }
    recount(&mut commit);
    hand.commit(&commit);
    for order in &commit.created {
        assert_eq!(hand.order(order.id.as_str()).as_ref(), Some(&**order));
    }
    assert_eq!(hand.order("another"), None);
    assert_eq!(
        hand.order("ORDINARY"),
        None,
        "ids are compared byte for byte"
    );
}

pub fn the_journal_is_chained(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b"]);
    hand.accept(&["a"]);
    hand.accept(&["c"]);
    let mut hand = Hand::on(hand.store);
    hand.accept(&["d"]);
    let rows = wait(hand.store.journal(Position(0), 9)).unwrap();
    let mut before = journal::GENESIS;
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!(row.position, Position(number));
        let hash = journal::hash(&before, row.position, row.epoch, row.at, &row.entries);
        assert_eq!(row.hash, hash, "{row:?}");
        before = hash;
    }
    assert_eq!(
        rows.iter().map(|row| row.epoch).collect::<Vec<_>>(),
        [1, 1, 1, 2]
    );
    let counts = rows.iter().map(|row| journal::decode(row).unwrap().len());
    assert_eq!(counts.collect::<Vec<_>>(), [2, 0, 1, 1]);
    let paged = [0, 1, 2, 3, 4].map(|after| wait(hand.store.journal(Position(after), 1)).unwrap());
    let paged: Vec<_> = paged.into_iter().flatten().collect();
    assert_eq!(paged, rows);
}

/// Lets an order make attempts, some of them within one commit. Answers how many events that is.
fn live(hand: &mut Hand, id: &str, attempts: u16) -> u32 {
    let order = hand.order(id).unwrap();
    let mut state = order.state;
    for attempt in 1..=attempts {
        let mut commit = hand.blank();
        let lease = Status::Processing { lease: 1 };
        let pending = Status::Pending {
            ready_at: commit.at,
        };
        for (kind, status) in [(EventKind::Started, lease), (EventKind::Retried, pending)] {
            let previous = state.position;
            state.status = status;
            state.version += 1;
            state.attempt = attempt;
            state.updated_at = commit.at.plus(i64::from(state.version));
            state.position = commit.position;
            commit.events.push(event(&state, order.seq, kind, previous));
        }
        let (seq, state) = (order.seq, state.clone());
        commit.changed.push(Changed::to(seq, state));
        hand.commit(&commit);
    }
    state.version
}

fn place(view: &EventView) -> EventPlace {
    view.place
}

pub fn a_history_goes_back_to_the_beginning(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b", "c"]);
    let versions = ["a", "b", "a"].map(|id| live(&mut hand, id, 4));
    assert_eq!(versions, [9, 9, 17]);
    for (id, events) in [("a", 17), ("b", 9), ("c", 1)] {
        let id = OrderId::parse(id).unwrap();
        let page = |after, limit| wait(hand.store.history(&id, after, limit)).unwrap();
        let history = page(EventPlace::default(), 99).unwrap();
        for limit in 1..=history.len() {
            let mut paged = Vec::new();
            while paged.len() < history.len() {
                let after = paged.last().map_or(EventPlace::default(), place);
                let next = page(after, limit).unwrap();
                assert!((1..=limit).contains(&next.len()), "{next:?}");
                paged.extend(next);
            }
            assert_eq!(paged, history);
            assert_eq!(
                page(place(&history[events as usize - 1]), limit),
                Some(vec![])
            );
        }
        let versions: Vec<_> = history.iter().map(|view| view.version).collect();
        assert_eq!(versions, (1..=events).collect::<Vec<_>>());
        assert!(history.iter().all(|view| view.order_id == id));
        assert!(history.is_sorted_by_key(|view| view.place));
        assert_eq!(history[0].kind, EventKind::Accepted);
        let state = hand.order(id.as_str()).unwrap().state;
        let last = history.last().unwrap();
        assert_eq!(
            (last.status, last.at),
            (state.status.kind(), state.updated_at)
        );
        let fences = history.iter().filter(|view| view.fence != (1, 0)).count();
        assert_eq!(
            fences as u32,
            events / 2,
            "started events carry their fence"
        );
    }
    let nobody = OrderId::parse("nobody").unwrap();
    let found = wait(hand.store.history(&nobody, EventPlace::default(), 9));
    assert_eq!(found.unwrap(), None);
}

pub fn the_feed_of_events_is_read_in_pages_of_any_size(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b", "c"]);
    hand.accept(&["a"]);
    live(&mut hand, "b", 3);
    hand.accept(&["d", "e"]);
    let read = |limit| {
        let mut all: Vec<EventView> = Vec::new();
        loop {
            let after = all.last().map_or(EventPlace::default(), |view| view.place);
            let page = wait(hand.store.events(after, limit)).unwrap();
            if page.is_empty() {
                return all;
            }
            assert!(page.len() <= limit);
            all.extend(page);
        }
    };
    let all = read(100);
    assert_eq!(all.len(), 3 + 6 + 2);
    assert!(all.is_sorted_by(|one, next| one.place < next.place));
    for limit in 1..=4 {
        assert_eq!(read(limit), all, "{limit} at a time");
    }
    let far = EventPlace {
        position: Position(9_999),
        index: 0,
    };
    assert!(wait(hand.store.events(far, 9)).unwrap().is_empty());
}

pub fn open_orders_are_read_in_pages(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let ids: Vec<_> = (0..12).map(|at| format!("order-{at}")).collect();
    hand.accept(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let mut commit = hand.blank();
    for seq in [3, 4, 9] {
        let mut state = hand.order(&ids[seq - 1]).unwrap().state;
        state.status = Status::Completed {
            ended_at: commit.at,
        };
        state.started_at = Some(commit.at);
        state.position = commit.position;
        let seq = Seq(seq as i64);
        commit.changed.push(Changed::to(seq, state));
    }
    hand.commit(&commit);
    let read = |after, last, limit| -> Vec<i64> {
        let page = hand
            .store
            .open_orders(Seq(after), Seq(last), limit)
            .unwrap();
        page.into_iter().map(|order| order.seq.0).collect()
    };
    assert_eq!(read(0, 12, 100), [1, 2, 5, 6, 7, 8, 10, 11, 12]);
    assert_eq!(read(0, 12, 3), [1, 2, 5]);
    assert_eq!(read(5, 12, 3), [6, 7, 8]);
    assert_eq!(read(8, 11, 3), [10, 11]);
    assert_eq!(read(12, 99, 3), [] as [i64; 0]);
    let whole = hand.store.open_orders(Seq(0), Seq(1), 1).unwrap().remove(0);
    let order = hand.order("order-0").unwrap();
    assert_eq!(
        (whole.process, whole.process_version),
        (order.process, order.process_version)
    );
    assert_eq!(
        (whole.priority, whole.created_at),
        (order.priority, order.created_at)
    );
    assert_eq!(whole.state, order.state);
}

/// Some backends keep the open orders among the old ones apart from the young ones.
pub fn orders_that_stay_open_for_long_are_not_forgotten(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let end = |hand: &mut Hand, ids: &[&str]| {
        let mut commit = hand.blank();
        for id in ids {
            let order = hand.order(id).unwrap();
            let mut state = order.state.clone();
            state.status = Status::Completed {
                ended_at: commit.at,
            };
            (state.version, state.started_at) = (2, Some(commit.at));
            state.position = commit.position;
            change(&mut commit, &order, state, EventKind::Completed);
        }
        hand.commit(&commit);
    };
    let open = |store: &dyn Store| -> Vec<i64> {
        let page = store.open_orders(Seq(0), Seq(i64::MAX), 100).unwrap();
        page.iter().map(|order| order.seq.0).collect()
    };
    hand.accept(&["a", "b", "c", "d"]);
    end(&mut hand, &["a"]);
    for (skipped, id) in [(16_383, "e"), (1, "f"), (40_000, "g")] {
        hand.skip(skipped);
        hand.accept(&[id]);
    }
    end(&mut hand, &["c", "g"]);
    assert_eq!(open(&*hand.store), [2, 4, 16_388, 16_390]);
    end(&mut hand, &["f"]);
    hand.accept(&["h"]);
    end(&mut hand, &["b", "h"]);
    assert_eq!(open(&*hand.store), [4, 16_388]);
    drop(hand);
    assert_eq!(backend.integrity(), [""; 0]);
    let hand = Hand::new(backend);
    assert_eq!(open(&*hand.store), [4, 16_388]);
    let query = ListQuery {
        status: Some(StatusKind::Pending),
        limit: 1,
        ..ListQuery::default()
    };
    let page = wait(hand.store.orders(query)).unwrap();
    assert_eq!(page.orders[0].id.as_str(), "e");
}

pub fn what_steps_said_is_read_with_their_order(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b"]);
    let said = |step: &str, output: &str| StepOutput {
        step: step.into(),
        output: output.into(),
    };
    let outputs = [
        (1, 11, said("pack", r#"{"a":"\"","b":[1.50]}"#)),
        (1, 2, said("check", "1")),
        (2, 0, said("check", "null")),
        (1, 2, said("check", r#"{"label":"again"}"#)),
    ];
    for (seq, number, output) in outputs {
        let mut commit = hand.blank();
        let seq = Seq(seq);
        commit.outputs.push(Output {
            seq,
            number,
            output,
        });
        hand.commit(&commit);
    }
    let expected = [
        said("check", r#"{"label":"again"}"#),
        said("pack", r#"{"a":"\"","b":[1.50]}"#),
    ];
    assert_eq!(hand.order("a").unwrap().outputs, expected);
    hand.accept(&["c"]);
    let query = ListQuery {
        limit: 9,
        ..ListQuery::default()
    };
    let listed = wait(hand.store.orders(query)).unwrap().orders;
    let listed: Vec<_> = listed.into_iter().map(|order| order.outputs).collect();
    let null = vec![said("check", "null")];
    assert_eq!(listed, [vec![], null, expected.to_vec()]);
}

pub fn orders_are_read_by_their_numbers(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b", "c"]);
    let seqs = ["c", "a"].map(|id| hand.order(id).unwrap().seq);
    let read = |seqs: &[Seq]| hand.store.orders_at(seqs).unwrap();
    let mut all = read(&[seqs[0], Seq(999), seqs[1]]);
    all.sort_by_key(|order| order.seq);
    let expected = ["a", "c"].map(|id| hand.order(id).unwrap());
    assert_eq!(all, expected);
    assert_eq!(read(&[]), []);
}
