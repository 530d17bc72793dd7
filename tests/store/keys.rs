//! Idempotency keys: claimed with an order, by one order, until they are over.
//! Whether a client gets an old answer is not decided here.

use orderd::clock::Timestamp;
use orderd::order::{Commit, KeptAnswer, KeyRecord, RequestKey};

use super::backend::{Backend, Hand, START, wait};

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

fn kept(hand: &Hand, key: &str) -> Option<(KeptAnswer, Timestamp)> {
    let kept = wait(hand.store.kept_key("scope", key)).unwrap()?;
    assert_eq!(kept.fingerprint, [7; 32]);
    Some((kept.answer, kept.kept_at))
}

pub fn an_answer_is_kept_with_its_order(backend: &dyn Backend) {
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

pub fn a_taken_key_leaves_the_order_out(backend: &dyn Backend) {
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

pub fn an_order_that_is_left_out_leaves_its_key_free(backend: &dyn Backend) {
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

pub fn a_refused_commit_keeps_no_key(backend: &dyn Backend) {
    let mut hand = Hand::new(backend);
    let mut commit = hand.blank();
    create(&mut hand, &mut commit, "a", "k");
    commit
        .created
        .push(super::backend::order(commit.created[0].seq, "b", &commit));
    assert!(hand.store.commit(&commit).is_err());
    assert_eq!(kept(&hand, "k"), None);
}

pub fn a_key_that_is_over_is_given_again_and_in_the_end_removed(backend: &dyn Backend) {
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

pub fn a_lost_receipt_is_found_again(backend: &dyn Backend) {
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
