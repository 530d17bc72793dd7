//! Idempotency keys: claimed with an order, by one order, or with a change, until they are over.
//! Whether a client gets an old answer is not decided here.

use orderd::clock::Timestamp;
use orderd::order::{
    ChangeKey, Commit, EventKind, KeptAnswer, KeyRecord, OrderState, RequestKey, Status,
};

use super::backend::{self, Backend, Hand, START, wait};

fn answer(id: &str) -> KeptAnswer {
    KeptAnswer {
        status: 201,
        content_type: "application/json".into(),
        location: Some(format!("/v1/orders/{id}").into()),
        etag: Some("\"1\"".into()),
        body: id.as_bytes().into(),
    }
}

/// Adds a new order under a key.
fn create(hand: &mut Hand, commit: &mut Commit, id: &str, key: &str) {
    commit.keys.push(KeyRecord {
        created: commit.created.len(),
        key: RequestKey::new("scope", key.as_bytes(), [7; 32]).unwrap(),
        answer: answer(id),
    });
    hand.create(commit, id);
}

fn of_changes(key: &str) -> RequestKey {
    RequestKey::new("scope", key.as_bytes(), [7; 32]).unwrap()
}

/// Cancels an order under a key.
fn cancel(hand: &Hand, commit: &mut Commit, id: &str, key: &str) {
    let before = hand.order(id).unwrap();
    let cancelled = Status::Cancelled {
        ended_at: commit.at,
    };
    let state = OrderState {
        status: cancelled,
        version: before.state.version + 1,
        position: commit.position,
        ..before.state.clone()
    };
    backend::change(commit, &before, state, EventKind::Cancelled);
    commit.change_keys.push(ChangeKey {
        seq: Some(before.seq),
        is_of_new: false,
        key: of_changes(key),
        answer: answer(id),
    });
}

fn is_taken(hand: &Hand, key: &str, expired_before: Timestamp) -> bool {
    let key = of_changes(key);
    let sent = hand.store.sent_under(&key, expired_before).unwrap();
    assert!(sent.is_none_or(|sent| sent == key.fingerprint));
    sent.is_some()
}

fn kept(hand: &Hand, key: &str) -> Option<(KeptAnswer, Timestamp)> {
    let kept = wait(hand.store.kept_key("scope", key)).unwrap()?;
    assert_eq!(kept.fingerprint, [7; 32]);
    Some((kept.answer, kept.kept_at))
}

pub fn an_answer_is_kept_with_its_order(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    hand.create(&mut commit, "a");
    create(&mut hand, &mut commit, "b", "k");
    let receipt = hand.commit(&commit);
    assert!(receipt.collided.is_empty());
    assert_eq!(kept(&hand, "k"), Some((answer("b"), START)));
    assert_eq!(kept(&hand, "K"), None);
    assert!(wait(hand.store.kept_key("other", "k")).unwrap().is_none());
}

pub fn a_taken_key_leaves_the_order_out(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "a", "k");
    create(&mut hand, &mut commit, "b", "k");
    let receipt = hand.commit(&commit);
    assert_eq!(
        (&*receipt.collided, &*receipt.keys_taken),
        (&[1][..], &[1][..])
    );
    let mut commit = hand.blank();
    hand.create(&mut commit, "c");
    create(&mut hand, &mut commit, "a", "k");
    hand.create(&mut commit, "a");
    let receipt = hand.commit(&commit);
    assert_eq!(
        (&*receipt.collided, &*receipt.keys_taken),
        (&[1, 2][..], &[1][..])
    );
    assert!(hand.order("b").is_none() && hand.order("c").is_some());
    assert_eq!(kept(&hand, "k"), Some((answer("a"), START)));
}

pub fn an_order_that_is_left_out_leaves_its_key_free(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "a", "k");
    let receipt = hand.commit(&commit);
    assert_eq!(
        (&*receipt.collided, &*receipt.keys_taken),
        (&[0][..], &[][..])
    );
    assert_eq!(kept(&hand, "k"), None);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "b", "k");
    assert!(hand.commit(&commit).collided.is_empty());
}

pub fn a_refused_commit_keeps_no_key(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "a", "k");
    commit
        .created
        .push(backend::order(commit.created[0].seq, "b", &commit));
    assert!(hand.store.commit(&commit).is_err());
    assert_eq!(kept(&hand, "k"), None);
}

pub fn a_key_that_is_over_is_given_again_and_in_the_end_removed(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "a", "k");
    create(&mut hand, &mut commit, "b", "old");
    hand.commit(&commit);
    let mut commit = hand.blank();
    commit.keys_expired_before = START;
    create(&mut hand, &mut commit, "c", "k");
    assert_eq!(hand.commit(&commit).keys_taken, [0], "it is not over yet");
    assert!(kept(&hand, "old").is_some());
    let mut commit = hand.blank();
    commit.keys_expired_before = START.plus(1);
    create(&mut hand, &mut commit, "d", "k");
    assert!(hand.commit(&commit).collided.is_empty());
    assert_eq!(kept(&hand, "k"), Some((answer("d"), commit.at)));
    assert_eq!(kept(&hand, "old"), None);
}

/// Keys from a time when the clock was ahead stay for longer, and hold up nobody.
pub fn keys_from_the_future_hold_up_no_others(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let future = START.plus(400 * 24 * 3_600 * 1_000_000);
    let mut commit = hand.blank();
    commit.keys_kept_at = future;
    for at in 0..5 {
        create(
            &mut hand,
            &mut commit,
            &format!("f-{at}"),
            &format!("f-{at}"),
        );
    }
    hand.commit(&commit);
    for id in ["old-0", "old-1", "old-2"] {
        let mut commit = hand.blank();
        create(&mut hand, &mut commit, id, id);
        hand.commit(&commit);
    }
    let expired_before = hand.blank().keys_kept_at;
    for at in 0..6 {
        let mut commit = hand.blank();
        commit.keys_expired_before = expired_before;
        create(
            &mut hand,
            &mut commit,
            &format!("n-{at}"),
            &format!("n-{at}"),
        );
        hand.commit(&commit);
    }
    for id in ["old-0", "old-1", "old-2"] {
        assert_eq!(kept(&hand, id), None, "{id}");
    }
    for at in 0..5 {
        let id = format!("f-{at}");
        assert_eq!(kept(&hand, &id), Some((answer(&id), future)));
    }
    for at in 0..6 {
        assert!(kept(&hand, &format!("n-{at}")).is_some(), "{at}");
    }
}

pub fn a_lost_receipt_is_found_again(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "a", "k");
    hand.commit(&commit);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "a", "free");
    create(&mut hand, &mut commit, "b", "k");
    create(&mut hand, &mut commit, "c", "own");
    let receipt = hand.commit(&commit);
    assert_eq!(
        (&*receipt.collided, &*receipt.keys_taken),
        (&[0, 1][..], &[1][..])
    );
    assert_eq!(hand.store.reopen(&commit).unwrap().fate, Some(receipt));
}

pub fn an_answer_is_kept_with_its_change(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    assert!(!is_taken(&hand, "k", START));
    let mut commit = hand.blank();
    // Keys have a clock of their own.
    let kept_at = commit.at.plus(-1_000_000_000);
    commit.keys_kept_at = kept_at;
    cancel(&hand, &mut commit, "a", "k");
    create(&mut hand, &mut commit, "b", "own");
    hand.commit(&commit);
    assert_eq!(kept(&hand, "k"), Some((answer("a"), kept_at)));
    assert_eq!(kept(&hand, "own"), Some((answer("b"), kept_at)));
    assert!(is_taken(&hand, "k", kept_at) && !is_taken(&hand, "k", kept_at.plus(1)));
    assert!(!is_taken(&hand, "K", START));
    // An answer may be kept without anything that changes.
    let mut commit = hand.blank();
    commit.change_keys.push(ChangeKey {
        seq: None,
        is_of_new: false,
        key: of_changes("alone"),
        answer: answer("c"),
    });
    assert!(!commit.is_empty());
    hand.commit(&commit);
    assert_eq!(kept(&hand, "alone"), Some((answer("c"), commit.at)));
}

pub fn a_refused_commit_keeps_no_key_of_a_change(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut commit = hand.blank();
    cancel(&hand, &mut commit, "a", "k");
    commit.epoch -= 1;
    assert!(hand.store.commit(&commit).is_err());
    assert!(!is_taken(&hand, "k", START) && kept(&hand, "k").is_none());
}

pub fn a_key_of_a_change_is_over_like_any_other(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b", "c"]);
    let mut commit = hand.blank();
    cancel(&hand, &mut commit, "a", "k");
    cancel(&hand, &mut commit, "b", "old");
    hand.commit(&commit);
    let expired_before = commit.at.plus(1);
    let mut commit = hand.blank();
    commit.keys_expired_before = expired_before;
    cancel(&hand, &mut commit, "c", "k");
    hand.commit(&commit);
    assert_eq!(kept(&hand, "k"), Some((answer("c"), commit.at)));
    assert_eq!(kept(&hand, "old"), None, "pruned");
}

pub fn changes_under_a_key_are_found_again(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let mut commit = hand.blank();
    cancel(&hand, &mut commit, "a", "k");
    let receipt = hand.commit(&commit);
    assert_eq!(hand.store.reopen(&commit).unwrap().fate, Some(receipt));
    assert!(is_taken(&hand, "k", START));
}

/// One commit in which the same keys and ids occur again and again: each key counts for the first
/// order under it that is stored, and for no other.
pub fn a_key_that_occurs_twice_in_a_commit_counts_for_the_first_order_stored(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["taken"]);
    for round in 0..3 {
        let mut commit = hand.blank();
        for (id, key) in [
            ("taken", "k"),
            ("a", "k"),
            ("b", "k"),
            ("a", "l"),
            ("c", "l"),
            ("c", "m"),
            ("taken", "l"),
        ] {
            let id = if id == "taken" {
                id.into()
            } else {
                format!("{id}-{round}")
            };
            create(&mut hand, &mut commit, &id, &format!("{key}-{round}"));
        }
        let receipt = hand.commit(&commit);
        assert_eq!(
            (&*receipt.collided, &*receipt.keys_taken),
            (&[0, 2, 3, 5, 6][..], &[2, 6][..])
        );
        let body = |key: &str| kept(&hand, &format!("{key}-{round}")).map(|(answer, _)| answer);
        assert_eq!(body("k"), Some(answer(&format!("a-{round}"))));
        assert_eq!(body("l"), Some(answer(&format!("c-{round}"))));
        assert_eq!(body("m"), None);
        assert_eq!(hand.store.reopen(&commit).unwrap().fate.unwrap(), receipt);
        hand = Hand::on(hand.store);
    }
}
