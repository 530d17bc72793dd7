//! What is kept of receivers of webhooks: beside the orders, over a restart, newest reports first,
//! and by nobody who has lost the shard.
//!
//! Each case writes and reads through the store alone; takeovers are made behind its back.

use orderd::order::{KeptAnswer, RequestKey};
use orderd::store::{AnswerUnder, KeptWebhook, Note, Store, StoreError};

use super::backend::{Backend, Hand, START, wait};

fn kept(id: &str, url: &str) -> KeptWebhook {
    KeptWebhook {
        id: id.into(),
        settings: format!("{{\"url\":\"{url}\"}}").into(),
        progress: "{\"at\":1}".into(),
    }
}

pub fn receivers_are_kept_over_a_restart(backend: &Backend) {
    {
        let store = Hand::new(backend).store;
        let ledger = store.ledger().unwrap();
        assert_eq!(wait(ledger.webhooks()).unwrap(), []);
        wait(ledger.keep_webhook(kept("b", "http://b/"), None)).unwrap();
        wait(ledger.keep_webhook(kept("a", "http://a/"), None)).unwrap();
        wait(ledger.keep_webhook(kept("b", "http://\u{fc}/\\\"'"), None)).unwrap();
    }
    let store = Hand::new(backend).store;
    let ledger = store.ledger().unwrap();
    let expected = [kept("a", "http://a/"), kept("b", "http://\u{fc}/\\\"'")];
    assert_eq!(wait(ledger.webhooks()).unwrap(), expected);
    wait(ledger.forget_webhook("a".into())).unwrap();
    wait(ledger.forget_webhook("a".into())).unwrap();
    assert_eq!(wait(ledger.webhooks()).unwrap(), expected[1..]);
}

pub fn progress_and_reports_are_noted_together(backend: &Backend) {
    let store = Hand::new(backend).store;
    let ledger = store.ledger().unwrap();
    wait(ledger.keep_webhook(kept("a", "http://a/"), None)).unwrap();
    wait(ledger.keep_webhook(kept("b", "http://b/"), None)).unwrap();
    let note = |webhook: &str, from: u32, count: u32| Note {
        webhook: webhook.into(),
        progress: format!("{{\"at\":{from}}}").into(),
        reports: (from..from + count)
            .map(|at| format!("{{\"n\":{at}}}").into())
            .collect(),
        reports_max: 10,
    };
    wait(ledger.note(note("a", 0, 4))).unwrap();
    wait(ledger.note(note("b", 100, 1))).unwrap();
    wait(ledger.note(note("gone", 200, 1))).unwrap();
    let reports = |webhook: &str, before, limit| {
        let page = wait(ledger.deliveries(webhook.into(), before, limit)).unwrap();
        assert!(page.windows(2).all(|two| two[0].number > two[1].number));
        page
    };
    let all = reports("a", i64::MAX, 100);
    let texts: Vec<&str> = all.iter().map(|it| &*it.report).collect();
    assert_eq!(texts, ["{\"n\":3}", "{\"n\":2}", "{\"n\":1}", "{\"n\":0}"]);
    assert_eq!(reports("a", all[1].number, 1), all[2..3]);
    assert_eq!(reports("b", i64::MAX, 9).len(), 1);
    assert_eq!(reports("gone", i64::MAX, 9), []);
    let progress = wait(ledger.webhooks()).unwrap()[0].progress.clone();
    assert_eq!(&*progress, "{\"at\":0}");
    for round in 1..=5 {
        wait(ledger.note(note("a", round * 10, 8))).unwrap();
        assert!((10..=18).contains(&reports("a", i64::MAX, 100).len()));
    }
    assert_eq!(&*reports("a", i64::MAX, 1)[0].report, "{\"n\":57}");
    wait(ledger.forget_webhook("a".into())).unwrap();
    assert_eq!(reports("a", i64::MAX, 9), []);
    assert_eq!(reports("b", i64::MAX, 9).len(), 1);
}

/// An answer that is kept at a second after the start, where keys count for ten.
fn under(key: &str, second: i64) -> AnswerUnder {
    AnswerUnder {
        key: RequestKey::new("scope", key.as_bytes(), [7; 32]).unwrap(),
        answer: KeptAnswer {
            status: 201,
            content_type: "application/json".into(),
            location: None,
            etag: Some("\"1\"".into()),
            body: format!("{{\"said\":\"at '{second}\\\\\"}}")
                .into_bytes()
                .into(),
        },
        kept_at: START.plus(second * 1_000_000),
        expired_before: START.plus((second - 10) * 1_000_000),
    }
}

pub fn an_answer_is_kept_with_its_receiver_or_neither(backend: &Backend) {
    let store = Hand::new(backend).store;
    let ledger = store.ledger().unwrap();
    let keep = |id, url, under| wait(ledger.keep_webhook(kept(id, url), Some(under))).unwrap();
    let answer = |key| wait(store.kept_key("scope", key)).unwrap().unwrap();
    assert!(keep("a", "http://a/", under("k", 0)));
    assert!(!keep("a", "http://changed/", under("k", 10)), "taken");
    assert!(!keep("b", "http://b/", under("k", 10)), "taken");
    assert_eq!(wait(ledger.webhooks()).unwrap(), [kept("a", "http://a/")]);
    let first = under("k", 0);
    let found = answer("k");
    assert_eq!((found.answer, found.kept_at), (first.answer, first.kept_at));
    assert_eq!(found.fingerprint, first.key.fingerprint);
    assert!(keep("a", "http://later/", under("k", 11)), "it is over");
    assert!(keep("b", "http://b/", under("other", 11)));
    assert_eq!(answer("k").answer, under("k", 11).answer);
    let all = [kept("a", "http://later/"), kept("b", "http://b/")];
    assert_eq!(wait(ledger.webhooks()).unwrap(), all);
}

pub fn who_has_lost_the_shard_notes_nothing(backend: &Backend) {
    let store = Hand::new(backend).store;
    let ledger = store.ledger().unwrap();
    wait(ledger.keep_webhook(kept("a", "http://a/"), None)).unwrap();
    backend.sql("UPDATE shards SET epoch = epoch + 1").unwrap();
    are_fenced(&*store);
    assert_eq!(wait(ledger.webhooks()).unwrap(), [kept("a", "http://a/")]);
    assert_eq!(
        wait(ledger.deliveries("a".into(), i64::MAX, 9)).unwrap(),
        []
    );
    assert!(wait(store.kept_key("scope", "k")).unwrap().is_none());
    // Who opens the shard has it again, and who never has may write nothing.
    let store = Hand::on(store).store;
    let ledger = store.ledger().unwrap();
    wait(ledger.note(note("b"))).unwrap();
    wait(ledger.forget_webhook("a".into())).unwrap();
    drop(store);
    are_fenced(&*backend.open().unwrap());
}

fn note(progress: &str) -> Note {
    Note {
        webhook: "a".into(),
        progress: format!("{{\"at\":\"{progress}\"}}").into(),
        reports: vec!["{}".into()],
        reports_max: 9,
    }
}

/// Nothing is written, and it is said why.
fn are_fenced(store: &dyn Store) {
    let ledger = store.ledger().unwrap();
    let changed = || kept("a", "http://old/");
    let said = [
        wait(ledger.note(note("old"))).err(),
        wait(ledger.keep_webhook(changed(), None)).err(),
        wait(ledger.keep_webhook(changed(), Some(under("k", 0)))).err(),
        wait(ledger.keep_webhook(kept("late", "http://late/"), None)).err(),
        wait(ledger.forget_webhook("a".into())).err(),
    ];
    for error in said {
        assert!(matches!(error, Some(StoreError::Fenced)), "{error:?}");
    }
}
