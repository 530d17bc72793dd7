//! Opening a store: what it says of itself, who may open it, and what is there again.
//! Settings that are too weak cannot be planted from outside, so only the claim is looked at.

use orderd::order::{Position, Seq, ShardNumber, StatusKind, Tally};
use orderd::store::StoreError;

use super::backend::{Backend, Hand};

pub fn a_fresh_store_is_empty(backend: &Backend) {
    let store = backend.open().unwrap();
    let opening = store.open_shard(ShardNumber(0)).unwrap();
    assert_eq!(
        (opening.epoch, opening.last_seq, opening.position),
        (1, Seq(0), Position(0))
    );
    assert_eq!((opening.tallies.len(), opening.definitions.len()), (0, 0));
    let other = store.open_shard(ShardNumber(3)).unwrap();
    let base = ShardNumber(3).base();
    assert_eq!(
        (other.last_seq, other.position),
        (Seq(base), Position(base))
    );
}

pub fn the_epoch_rises_with_each_opening(backend: &Backend) {
    for epoch in 1..4 {
        let store = backend.open().unwrap();
        assert_eq!(store.open_shard(ShardNumber(0)).unwrap().epoch, epoch);
    }
}

pub fn what_was_committed_is_there_after_a_restart(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b"]);
    hand.accept(&["c"]);
    let before = hand.order("b").unwrap();
    drop(hand);
    let hand = Hand::new(backend);
    let opening = &hand.opening;
    assert_eq!(
        (opening.epoch, opening.last_seq, opening.position),
        (2, Seq(3), Position(2))
    );
    let tally = Tally::of_all(&opening.tallies);
    assert_eq!(tally.by_status(StatusKind::Pending), 3);
    assert_eq!(hand.order("b"), Some(before));
}

pub fn a_newer_schema_is_refused(backend: &Backend) {
    drop(backend.open().unwrap());
    backend.age();
    match backend.open().err() {
        Some(StoreError::Newer { found: 999, known }) => assert!(known < 999),
        other => panic!("{other:?}"),
    }
}

pub fn a_second_server_is_told_that_the_store_is_in_use(backend: &Backend) {
    let first = backend.open().unwrap();
    let refused = backend.open().err().unwrap();
    let is_in_use = matches!(
        refused,
        StoreError::Locked { .. } | StoreError::InUse { .. }
    );
    assert!(is_in_use, "{refused:?}");
    assert!(
        refused.to_string().contains("in use by another orderd"),
        "{refused}"
    );
    drop(first);
    assert!(backend.open().is_ok());
}

pub fn a_place_where_no_store_can_be_is_named(backend: &Backend) {
    let (opened, place) = backend.open_elsewhere();
    let refused = opened.err().unwrap();
    let is_nowhere = matches!(
        refused,
        StoreError::NotWritable { .. } | StoreError::Unreachable { .. }
    );
    assert!(is_nowhere, "{refused:?}");
    assert!(refused.to_string().contains(&place), "{refused}");
}

pub fn a_commit_survives_power_loss(backend: &Backend) {
    let durability = backend.open().unwrap().durability();
    assert!(["disk", "memory", "network"].contains(&durability.level));
    assert!(!durability.detail.is_empty());
}

pub fn housekeeping_changes_nothing(backend: &Backend) {
    let mut hand = Hand::new(backend);
    for number in 0..50 {
        hand.accept(&[&format!("order-{number}")]);
        hand.store.tidy_up();
    }
    assert!((0..50).all(|number| hand.order(&format!("order-{number}")).is_some()));
}

pub fn a_store_that_is_opened_anew_knows_what_became_of_a_commit(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut lost = hand.blank();
    hand.create(&mut lost, "b");
    let reopened = hand.store.reopen(&lost).unwrap();
    let opening = &reopened.opening;
    assert_eq!((opening.epoch, opening.position), (2, Position(1)));
    assert_eq!((reopened.fate, hand.order("b")), (None, None));
    let fenced = hand.store.commit(&lost).unwrap_err();
    assert!(matches!(fenced, StoreError::Fenced), "{fenced:?}");

    let mut hand = Hand::on(hand.store.clone());
    let mut stored = hand.blank();
    hand.create(&mut stored, "a");
    hand.create(&mut stored, "b");
    let receipt = hand.commit(&stored);
    assert_eq!(receipt.collided, [0]);
    let reopened = hand.store.reopen(&stored).unwrap();
    let opening = &reopened.opening;
    assert_eq!((opening.epoch, opening.position), (4, Position(2)));
    assert_eq!(opening.last_seq, Seq(3));
    assert_eq!(reopened.fate, Some(receipt));
    assert!(hand.order("b").is_some());
    Hand::on(hand.store.clone()).accept(&["c"]);
}

pub fn a_store_that_somebody_else_wrote_to_is_not_opened_anew(backend: &Backend) {
    for (sql, is_fenced) in [
        ("epoch = epoch + 1".into(), true),
        (format!("hash = {}", backend.zeros(32)), false),
        ("position = position + 2".into(), false),
    ] {
        let sql = format!("UPDATE shards SET {sql}");
        let mut hand = Hand::new(backend);
        hand.accept(&[]);
        let commit = hand.blank();
        backend.sql(&sql).unwrap();
        let error = hand.store.reopen(&commit).unwrap_err();
        assert_eq!(matches!(error, StoreError::Fenced), is_fenced, "{error:?}");
        let refused = hand.store.commit(&commit).unwrap_err();
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
        drop(hand);
        backend.sql("DELETE FROM journal").unwrap();
        backend.sql("DELETE FROM shards").unwrap();
    }
}
