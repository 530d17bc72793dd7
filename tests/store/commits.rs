//! The one write verb: all or nothing, under the current epoch, one id for one order.
//! What is decided is not checked here: stores decide nothing.

use orderd::order::{
    Changed, EventKind, Position, Priority, Process, Seq, ShardNumber, Status, StatusKind,
};
use orderd::store::StoreError;

use super::backend::{Backend, Hand, event, order, wait};

/// Nothing of the store changed but the orders named.
fn holds(hand: &Hand, orders: i64, rows: usize) {
    let journal = wait(hand.store.journal(Position(0), 100)).unwrap();
    assert_eq!(journal.len(), rows, "journal rows");
    let query = orderd::store::ListQuery {
        limit: 100,
        ..Default::default()
    };
    let page = wait(hand.store.orders(query)).unwrap();
    assert_eq!(page.orders.len() as i64, orders, "orders");
    let opening = hand.store.open_shard(ShardNumber(0)).unwrap();
    assert_eq!(opening.tally.total(), orders, "counters");
    assert_eq!(opening.position, Position(rows as i64), "position");
}

pub fn an_old_epoch_is_fenced(backend: &dyn Backend) {
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

pub fn an_old_epoch_is_fenced_even_at_a_position_that_is_taken(backend: &dyn Backend) {
    let mut old = Hand::new(backend);
    let mut commit = old.blank();
    old.create(&mut commit, "late");
    let mut new = Hand::on(old.store.clone());
    new.accept(&["b"]);
    let fenced = old.store.commit(&commit).unwrap_err();
    assert!(matches!(fenced, StoreError::Fenced), "{fenced:?}");
    holds(&new, 1, 1);
}

pub fn a_gap_and_a_repetition_are_refused(backend: &dyn Backend) {
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

pub fn a_taken_id_is_left_out_with_its_events_and_its_count(backend: &dyn Backend) {
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

pub fn a_batch_in_which_everything_collides_is_a_commit(backend: &dyn Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    assert_eq!(hand.accept(&["a", "a"]).collided, [0, 1]);
    hand.accept(&["b"]);
    holds(&hand, 2, 3);
}

pub fn a_commit_that_fails_in_the_middle_stores_nothing(backend: &dyn Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut commit = hand.blank();
    commit.definitions = vec![Process::built_in()];
    hand.create(&mut commit, "b");
    hand.create(&mut commit, "c");
    // The number of an order that is there: no collision of ids, but a mistake.
    commit.created.push(order(Seq(1), "d", &commit));
    let refused = hand.store.commit(&commit).unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
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

pub fn a_counter_below_zero_is_refused(backend: &dyn Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut commit = hand.blank();
    hand.create(&mut commit, "b");
    commit
        .tally
        .count(StatusKind::Pending, Priority::Medium, -3);
    let refused = hand.store.commit(&commit).unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    holds(&hand, 1, 1);
}

pub fn a_changed_order_is_written_in_its_latest_state(backend: &dyn Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b"]);
    let before = hand.order("a").unwrap();
    let mut commit = hand.blank();
    let mut state = before.state.clone();
    for (kind, status) in [
        (EventKind::Started, Status::Processing { lease: 1 }),
        (
            EventKind::Completed,
            Status::Completed {
                ended_at: commit.at,
            },
        ),
    ] {
        let previous = state.position;
        commit.tally.count(state.status.kind(), before.priority, -1);
        commit.tally.count(status.kind(), before.priority, 1);
        state.status = status;
        state.version += 1;
        state.attempt = 1;
        state.updated_at = commit.at;
        state.position = commit.position;
        commit
            .events
            .push(event(&state, before.seq, kind, previous));
    }
    let seq = before.seq;
    commit.changed.push(Changed {
        seq,
        state: state.clone(),
    });
    hand.commit(&commit);
    let after = hand.order("a").unwrap();
    assert_eq!(after.state, state);
    assert_eq!((after.id, after.payload), (before.id, before.payload));
    let tally = hand.store.open_shard(ShardNumber(0)).unwrap().tally;
    assert_eq!(tally.by_status(StatusKind::Completed), 1);
    assert_eq!(tally.by_status(StatusKind::Pending), 1);
}

pub fn processes_are_defined_once(backend: &dyn Backend) {
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
