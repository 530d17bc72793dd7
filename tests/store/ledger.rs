//! What is kept of receivers of webhooks: beside the orders, over a restart, newest reports first.
//!
//! Each case writes and reads through the store alone.

use orderd::store::{KeptWebhook, Note};

use super::backend::{Backend, wait};

fn kept(id: &str, url: &str) -> KeptWebhook {
    KeptWebhook {
        id: id.into(),
        settings: format!("{{\"url\":\"{url}\"}}").into(),
        progress: "{\"at\":1}".into(),
    }
}

pub fn receivers_are_kept_over_a_restart(backend: &Backend) {
    {
        let store = backend.open().unwrap();
        let ledger = store.ledger().unwrap();
        assert_eq!(wait(ledger.webhooks()).unwrap(), []);
        wait(ledger.keep_webhook(kept("b", "http://b/"))).unwrap();
        wait(ledger.keep_webhook(kept("a", "http://a/"))).unwrap();
        wait(ledger.keep_webhook(kept("b", "http://\u{fc}/\\\"'"))).unwrap();
    }
    let store = backend.open().unwrap();
    let ledger = store.ledger().unwrap();
    let expected = [kept("a", "http://a/"), kept("b", "http://\u{fc}/\\\"'")];
    assert_eq!(wait(ledger.webhooks()).unwrap(), expected);
    wait(ledger.forget_webhook("a".into())).unwrap();
    wait(ledger.forget_webhook("a".into())).unwrap();
    assert_eq!(wait(ledger.webhooks()).unwrap(), expected[1..]);
}

pub fn progress_and_reports_are_noted_together(backend: &Backend) {
    let store = backend.open().unwrap();
    let ledger = store.ledger().unwrap();
    wait(ledger.keep_webhook(kept("a", "http://a/"))).unwrap();
    wait(ledger.keep_webhook(kept("b", "http://b/"))).unwrap();
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
