//! A commit that outgrows SQLite's cache is written in the middle of its statements, and a log that
//! begins again is flushed there: what fails then must be taken for what it is. And what a failed
//! flush has lost, but everybody still sees, must not end as half a commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use orderd::clock::{Now, Timestamp};
use orderd::order::{
    Action, Change, Currency, Money, NewOrder, Opening, Priority, Process, ProcessIndex, Processes,
    Seq, ShardNumber, Signature, Spelling, WantedId,
};
use orderd::shard::{Allowances, Shard, ShardSettings};
use orderd::store::{Store, StoreError};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::files::OnFiles;
use super::stored::Medium;
use super::trouble::{Call, Down, Trouble, What};

/// Orders in a commit: some hundred pages, many more than the writer keeps.
const MANY: usize = 200;
/// Orders in a commit after which the log is copied.
const ENOUGH: usize = 120;

fn now() -> Now {
    Timestamp(1_800_000_000_000_000).into()
}

fn shard(opening: &Opening) -> Shard {
    let settings = ShardSettings {
        shard: ShardNumber(0),
        open_orders_max: 1_000_000,
        allowances: Allowances::default(),
        key_retention_us: 1,
    };
    let processes = Processes::new(vec![Process::built_in()], Vec::new()).unwrap();
    let random = StdRng::seed_from_u64(1);
    Shard::new(settings, opening, Arc::new(processes), random)
}

fn submit_many(shard: &mut Shard) {
    submit(shard, MANY);
}

fn submit(shard: &mut Shard, orders: usize) {
    for _ in 0..orders {
        let order = NewOrder {
            id: WantedId::Made(Spelling::Uuid),
            idempotency_key: None,
            customer_id: "ada".into(),
            total: Money::new(1, Currency::from_code("EUR").unwrap()).unwrap(),
            item_count: 1,
            priority: Priority::Medium,
            process: ProcessIndex(0),
            payload: format!(r#"{{"items":["{}"]}}"#, "tea ".repeat(500)).into(),
            start_at: None,
            expires_at: None,
            past: None,
            hold: None,
        };
        shard.submit(order, now()).unwrap();
    }
}

/// A shard whose next commit is large and is the first in a log that begins again.
fn before_a_large_commit() -> (OnFiles, Shard) {
    let medium = OnFiles::new(1);
    let mut shard = shard(&medium.open_shard(ShardNumber(0)).unwrap());
    medium.room();
    submit_many(&mut shard);
    let receipt = medium.commit(shard.commit()).unwrap();
    shard.committed(&receipt, now());
    // A thread copies most of the log, the writer the rest.
    (0..2).for_each(|_| medium.tidy_up());
    assert!(medium.computer.state().happened.contains_key("log copied"));
    submit_many(&mut shard);
    (medium, shard)
}

fn fail(medium: &OnFiles, call: Call, what: What) {
    medium.computer.state().trouble = Some(Trouble {
        call: Some(call),
        after: 0,
        what,
    });
}

#[test]
fn a_failure_in_the_middle_of_a_commit_opens_the_store_anew() {
    let lost = |is_still_seen| (Call::Flush, What::Loses { is_still_seen });
    let write = (Call::Write, What::Fails);
    for (call, what) in [(Call::Flush, What::Fails), lost(true), lost(false), write] {
        let (medium, mut shard) = before_a_large_commit();
        fail(&medium, call, what);
        let error = medium.commit(shard.commit()).unwrap_err();
        assert!(
            matches!(error, StoreError::Unknown { .. }),
            "{what:?}: {error}"
        );
        let reopened = medium.reopen(shard.commit()).unwrap();
        assert_eq!(reopened.fate, None, "{what:?}");
        shard.reopen(&reopened.opening);
        submit_many(&mut shard);
        medium.commit(shard.commit()).unwrap();
        assert_eq!(medium.complaint(), None, "{what:?}");
        medium.prove_at_rest().unwrap();
    }
}

/// A read that fails says nothing against the handle.
#[test]
fn a_read_that_fails_in_the_middle_of_a_commit_refuses_it() {
    let (medium, shard) = before_a_large_commit();
    fail(&medium, Call::Read, What::Fails);
    let error = medium.commit(shard.commit()).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    medium.commit(shard.commit()).unwrap();
}

/// In the middle of a commit as at its end.
#[cfg(target_os = "linux")]
#[test]
fn a_quota_that_is_used_up_is_a_full_disk() {
    let (medium, mut shard) = before_a_large_commit();
    fail(&medium, Call::Write, What::OverQuota);
    let error = medium.commit(shard.commit()).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let receipt = medium.commit(shard.commit()).unwrap();
    shard.committed(&receipt, now());
    // A small one is written by COMMIT.
    shard.advance(now());
    fail(&medium, Call::Write, What::OverQuota);
    let error = medium.commit(shard.commit()).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    medium.commit(shard.commit()).unwrap();
    medium.prove_at_rest().unwrap();
}

/// A store of which the log was copied, and in the log that began then a small commit. Then one
/// whose flush is lost although everybody sees it, with pages that the small one does not have.
fn after_a_lost_flush(seed: u64) -> (OnFiles, Shard) {
    let medium = OnFiles::new(seed);
    let mut shard = shard(&medium.open_shard(ShardNumber(0)).unwrap());
    medium.room();
    for orders in [ENOUGH, 1] {
        submit(&mut shard, orders);
        let receipt = medium.commit(shard.commit()).unwrap();
        shard.committed(&receipt, now());
        (0..2).for_each(|_| medium.tidy_up());
    }
    assert!(medium.computer.state().happened.contains_key("log copied"));
    let cancel = Change {
        seq: Seq(1),
        versions: None,
        action: Action::Cancel(Signature::default()),
    };
    shard.change(cancel, now()).unwrap();
    let is_still_seen = true;
    fail(&medium, Call::Flush, What::Loses { is_still_seen });
    let error = medium.commit(shard.commit()).unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    (medium, shard)
}

/// The power is cut at any point of opening the store anew.
#[test]
fn what_a_flush_has_lost_and_everybody_sees_is_never_half_there() {
    let mut cuts = 0;
    for (after, seed) in (0..).flat_map(|after| (0..4).map(move |seed| (after, seed))) {
        let (medium, shard) = after_a_lost_flush(2 * seed);
        medium.computer.state().trouble = Some(Trouble {
            call: None,
            after,
            what: What::Ends(Down::PowerCut),
        });
        let reopened = catch_unwind(AssertUnwindSafe(|| medium.reopen(shard.commit())));
        if reopened.is_ok() {
            // It was over before.
            break;
        }
        cuts += 1;
        medium.process_ended(false, &mut StdRng::seed_from_u64(seed));
        medium.open_shard(ShardNumber(0)).unwrap();
        medium.prove_at_rest().unwrap();
    }
    assert!(cuts > 20, "{cuts}");
}
