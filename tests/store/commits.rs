//! The one write verb: all or nothing, under the current epoch, one id for one order.
//! What is decided is not checked here: stores decide nothing.

use orderd::order::{
    Beside, Changed, EventKind, Hold, Marks, OrderState, Position, Priority, Process, ProcessTally,
    Seq, ShardNumber, Status, StatusKind, Tally, Target,
};
use orderd::store::StoreError;

use super::backend::{Backend, Hand, change, hold, order, recount, wait};

/// Nothing of the store changed but the orders named.
fn holds(hand: &Hand, orders: i64, rows: usize) {
    let journal = wait(hand.store.journal(Position(0), 100)).unwrap();
    assert_eq!(journal.len(), rows, "journal rows");
    let query = orderd::store::ListQuery {
        limit: 1_000,
        ..Default::default()
    };
    let page = wait(hand.store.orders(query)).unwrap();
    assert_eq!(page.orders.len() as i64, orders, "orders");
    let opening = hand.store.open_shard(ShardNumber(0)).unwrap();
    let tally = Tally::of_all(&opening.tallies);
    assert_eq!(tally.total(), orders, "counters");
    assert_eq!(opening.position, Position(rows as i64), "position");
}

pub fn an_old_epoch_is_fenced(backend: &Backend) {
    let mut old = Hand::new(backend);
    old.accept(&["a"]);
    let mut commit = old.blank();
    old.create(&mut commit, "late");
    let mut new = Hand::on(old.store.clone());
    let fenced = old.store.commit(&commit).unwrap_err();
    assert!(matches!(fenced, StoreError::Fenced), "{fenced:?}");
    assert_eq!(new.order("late"), None);
    new.accept(&["b"]);
    holds(&new, 2, 2);
}

pub fn an_old_epoch_is_fenced_even_at_a_position_that_is_taken(backend: &Backend) {
    let mut old = Hand::new(backend);
    let mut commit = old.blank();
    old.create(&mut commit, "late");
    let mut new = Hand::on(old.store.clone());
    new.accept(&["b"]);
    let fenced = old.store.commit(&commit).unwrap_err();
    assert!(matches!(fenced, StoreError::Fenced), "{fenced:?}");
    holds(&new, 1, 1);
}

pub fn a_gap_and_a_repetition_are_refused(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    for position in [1, 3, 0] {
        let mut commit = hand.blank();
        commit.position = Position(position);
        hand.create(&mut commit, "b");
        let refused = hand.store.commit(&commit).unwrap_err();
        assert!(
            matches!(refused, StoreError::Fenced),
            "{position}: {refused:?}"
        );
    }
    let mut commit = hand.blank();
    commit.shard = ShardNumber(5);
    let refused = hand.store.commit(&commit).unwrap_err();
    assert!(
        matches!(refused, StoreError::Fenced),
        "never opened: {refused:?}"
    );
    holds(&hand, 1, 1);
}

pub fn a_taken_id_is_left_out_with_its_events_and_its_count(backend: &Backend) {
    let mut hand = Hand::new(backend);
    assert!(hand.accept(&["a", "b"]).collided.is_empty());
    let receipt = hand.accept(&["c", "a", "d", "c", "b"]);
    assert_eq!(receipt.collided, [1, 3, 4]);
    assert_eq!(hand.order("a").unwrap().seq, Seq(1));
    assert_eq!(hand.order("c").unwrap().seq, Seq(3));
    let rows = wait(hand.store.journal(Position(1), 9)).unwrap();
    let events = orderd::store::journal::decode(&rows[0]).unwrap();
    let seqs: Vec<_> = events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, [3, 5]);
    holds(&hand, 4, 2);
    let opening = hand.store.open_shard(ShardNumber(0)).unwrap();
    assert_eq!(
        opening.last_seq,
        Seq(7),
        "numbers of left out orders are not given again"
    );
}

pub fn a_batch_in_which_everything_collides_is_a_commit(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    assert_eq!(hand.accept(&["a", "a"]).collided, [0, 1]);
    hand.accept(&["b"]);
    holds(&hand, 2, 3);
}

/// Ordinary and imported orders, with changes of others, in commits with and without collisions.
pub fn collisions_come_and_go(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["taken"]);
    let mut stored = 1;
    for round in 0..80 {
        let mut commit = hand.blank();
        hand.create(&mut commit, &format!("first-{round}"));
        let collides = round % 40 < 3;
        let id = if collides {
            "taken"
        } else {
            &*format!("second-{round}")
        };
        hand.create(&mut commit, id);
        if round % 2 == 0 {
            let order = commit.created.last_mut().unwrap();
            let ended_at = order.created_at;
            order.state.status = Status::Cancelled { ended_at };
            order.imported_at = Some(ended_at);
            recount(&mut commit);
        }
        let before = hand.order("taken").unwrap();
        let mut state = before.state.clone();
        state.version += 1;
        state.position = commit.position;
        change(&mut commit, &before, state, EventKind::Retried);
        let expected: &[usize] = if collides { &[1] } else { &[] };
        assert_eq!(hand.commit(&commit).collided, expected, "{round}");
        stored += 2 - i64::from(collides);
        assert_eq!(hand.order("taken").unwrap().state.version, round + 2);
    }
    holds(&hand, stored, 81);
}

pub fn a_commit_that_fails_in_the_middle_stores_nothing(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut commit = hand.blank();
    commit.definitions = vec![Process::built_in()];
    hand.create(&mut commit, "b");
    hand.create(&mut commit, "c");
    // The number of an order that is there: no collision of ids, but a mistake.
    commit.created.push(order(Seq(1), "d", &commit));
    let refused = hand.store.commit(&commit).unwrap_err();
    assert!(matches!(refused, StoreError::BadRow { .. }), "{refused:?}");
    assert!(hand.order("b").is_none() && hand.order("c").is_none());
    commit.created.pop();
    commit.definitions.clear();
    hand.commit(&commit);
    holds(&hand, 3, 2);
    assert!(
        hand.store
            .open_shard(ShardNumber(0))
            .unwrap()
            .definitions
            .is_empty()
    );
}

pub fn a_counter_below_zero_is_refused(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut commit = hand.blank();
    hand.create(&mut commit, "b");
    let counters = ProcessTally::among(&mut commit.tallies, &"default".into());
    counters
        .tally
        .count(StatusKind::Pending, Priority::Medium, -3);
    let refused = hand.store.commit(&commit).unwrap_err();
    assert!(matches!(refused, StoreError::BadRow { .. }), "{refused:?}");
    holds(&hand, 1, 1);
}

pub fn a_changed_order_is_written_in_its_latest_state(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b"]);
    let before = hand.order("a").unwrap();
    let mut commit = hand.blank();
    let ended_at = commit.at;
    let mut after = before.clone();
    for (kind, status) in [
        (EventKind::Started, Status::Processing { lease: 1 }),
        (EventKind::Completed, Status::Completed { ended_at }),
    ] {
        let state = OrderState {
            status,
            version: after.state.version + 1,
            attempt: 1,
            started_at: Some(commit.at),
            updated_at: commit.at,
            position: commit.position,
            ..after.state.clone()
        };
        after = change(&mut commit, &after, state, kind);
    }
    let state = after.state;
    hand.commit(&commit);
    let after = hand.order("a").unwrap();
    assert_eq!(after.state, state);
    assert_eq!((after.id, after.payload), (before.id, before.payload));
    let opening = hand.store.open_shard(ShardNumber(0)).unwrap();
    assert_eq!(opening.last_seq, Seq(2), "a commit without new orders");
    let tally = Tally::of_all(&opening.tallies);
    assert_eq!(tally.by_status(StatusKind::Completed), 1);
    assert_eq!(tally.by_status(StatusKind::Pending), 1);
}

pub fn counters_are_kept_by_process(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    for (id, process) in [
        ("a", "default"),
        ("b", "express"),
        ("a", "express"),
        ("c", "express"),
    ] {
        hand.create(&mut commit, id);
        let order = commit.created.last_mut().unwrap();
        order.process = process.into();
    }
    // One is completed from the start, and one of those that collide.
    for at in [2, 3] {
        let order = &mut commit.created[at];
        let ended_at = order.created_at.plus(2_500_000);
        order.state.status = Status::Completed { ended_at };
        order.state.started_at = Some(order.created_at.plus(1_000_000));
    }
    recount(&mut commit);
    assert_eq!(hand.commit(&commit).collided, [2]);
    for (id, took) in [("a", 1_999_999), ("b", 900_000)] {
        let before = hand.order(id).unwrap();
        let mut commit = hand.blank();
        let ended_at = before.created_at.plus(took);
        let state = OrderState {
            status: Status::Completed { ended_at },
            started_at: Some(before.created_at.plus(1)),
            version: 2,
            position: commit.position,
            ..before.state.clone()
        };
        change(&mut commit, &before, state, EventKind::Completed);
        hand.commit(&commit);
    }
    let mut tallies = hand.store.open_shard(ShardNumber(0)).unwrap().tallies;
    tallies.sort_by(|one, other| one.process.cmp(&other.process));
    let kept: Vec<_> = tallies
        .iter()
        .map(|it| {
            let completed = it.tally.by_status(StatusKind::Completed);
            let counts = (it.tally.total(), completed);
            (&*it.process, counts, it.work_us, it.turnaround_s)
        })
        .collect();
    let express = ("express", (2, 2), 1_500_000 + 899_999, 2);
    assert_eq!(kept, [("default", (1, 1), 1_999_998, 1), express]);
}

pub fn sums_stay_at_their_highest_value(backend: &Backend) {
    let mut hand = Hand::new(backend);
    for _ in 0..3 {
        let mut commit = hand.blank();
        let sums = ProcessTally::among(&mut commit.tallies, &"default".into());
        (sums.work_us, sums.turnaround_s) = (i64::MAX - 1, i64::MAX);
        hand.commit(&commit);
    }
    let kept = hand.store.open_shard(ShardNumber(0)).unwrap().tallies;
    let sums: Vec<_> = kept
        .iter()
        .map(|it| (it.work_us, it.turnaround_s))
        .collect();
    assert_eq!(sums, [(i64::MAX, i64::MAX)]);
}

pub fn processes_are_defined_once(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let second = Process {
        version: 2,
        ..Process::built_in()
    };
    for definitions in [
        vec![Process::built_in()],
        vec![Process::built_in(), second.clone()],
    ] {
        let mut commit = hand.blank();
        commit.definitions = definitions;
        hand.commit(&commit);
    }
    let kept = hand.store.open_shard(ShardNumber(0)).unwrap().definitions;
    let names: Vec<_> = kept.iter().map(|it| (&*it.name, it.version)).collect();
    assert_eq!(names, [("default", 0), ("default", 2)]);
    let steps = |process: &Process| -> Vec<_> {
        let steps = process.steps.iter();
        steps
            .map(|step| (step.name.clone(), step.kind.clone()))
            .collect()
    };
    assert_eq!(steps(&kept[1]), steps(&second));
}

pub fn what_stands_beside_is_kept_until_it_is_over(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    let seq = hand.create(&mut commit, "a");
    let held = hold(commit.at);
    commit.created[0].hold = Some(Box::new(held.clone()));
    commit.created[0].state.reason = Some("late".into());
    hand.commit(&commit);
    let stored = hand.order("a").unwrap();
    assert_eq!(stored.hold.as_deref(), Some(&held));
    let open = hand.store.open_orders(Seq(0), Seq(9), 9).unwrap();
    assert_eq!(open[0].hold.as_deref(), Some(&held));
    let other = Hold {
        by: None,
        until: None,
        ..held
    };
    let signalled = Marks {
        signalled: [0, 99].into_iter().collect(),
        begun: [7].into_iter().collect(),
        undoing: Some(Target::Rejected),
    };
    for (hold, marks) in [(Some(other), signalled), (None, Marks::default())] {
        let mut commit = hand.blank();
        let mut state = hand.order("a").unwrap().state;
        state.version += 1;
        state.position = commit.position;
        state.reason = None;
        commit.changed.push(Changed {
            keeps_reason: true,
            beside: Some(Box::new(Beside {
                priority: Priority::High,
                hold: hold.clone(),
                marks,
            })),
            ..Changed::to(seq, state)
        });
        hand.commit(&commit);
        let stored = hand.order("a").unwrap();
        assert_eq!(stored.hold.as_deref(), hold.as_ref());
        assert_eq!((stored.priority, stored.marks), (Priority::High, marks));
        let open = hand.store.open_orders(Seq(0), Seq(9), 9).unwrap();
        assert_eq!(open[0].marks, marks);
        assert_eq!(stored.state.reason.as_deref(), Some("late"));
    }
}

pub fn an_order_that_ends_in_the_commit_that_releases_it_has_no_hold(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    let seq = hand.create(&mut commit, "a");
    commit.created[0].hold = Some(Box::new(hold(commit.at)));
    hand.commit(&commit);
    let mut commit = hand.blank();
    let mut state = hand.order("a").unwrap().state;
    let ended_at = commit.at;
    state.status = Status::Cancelled { ended_at };
    state.position = commit.position;
    commit.changed.push(Changed {
        beside: Some(Box::new(Beside {
            priority: Priority::Low,
            hold: None,
            marks: Marks::default(),
        })),
        ..Changed::to(seq, state.clone())
    });
    hand.commit(&commit);
    let stored = hand.order("a").unwrap();
    assert_eq!((stored.hold, stored.state), (None, state));
}
