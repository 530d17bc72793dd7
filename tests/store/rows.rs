//! Every invariant stands twice: the schema refuses what breaks it, and a row that breaks it all
//! the same is a named error for whoever reads it.

use orderd::order::{OrderId, Position, Seq, ShardNumber, Status};
use orderd::store::{EventPlace, ListQuery, StoreError};

use super::backend::{Backend, Hand, wait};
use super::reads::STATUSES;

fn bad(error: Option<StoreError>) -> (&'static str, &'static str, String) {
    match error {
        Some(StoreError::BadRow {
            table, column, key, ..
        }) => (table, column, key),
        other => panic!("should be a bad row: {other:?}"),
    }
}

pub fn a_bad_row_is_named_and_shown_to_nobody(backend: &Backend) {
    let mut hand = Hand::new(backend);
    let damages = [
        ("id", "'a blank'"),
        ("status", "11"),
        ("status", "3"),
        ("priority", "0"),
        ("currency", "'xxx'"),
        ("total_minor", "-1"),
        ("attempt", "70000"),
        ("item_count", "70000"),
        ("version", "-1"),
        ("process_version", "-1"),
        ("hold", "'{\"reason\":1}'"),
    ];
    for (number, (column, value)) in (1_i64..).zip(damages) {
        let id = format!("order-{number}");
        hand.accept(&[&id]);
        let sql = format!("UPDATE orders SET {column} = {value} WHERE seq = {number}");
        backend.sql_unchecked(&sql);
        let expected = (
            "orders",
            if value == "3" { "lease" } else { column },
            number.to_string(),
        );
        if column != "id" {
            let id = OrderId::parse(&id).unwrap();
            assert_eq!(bad(wait(hand.store.order(&id)).err()), expected);
        }
        let query = ListQuery {
            limit: 10,
            ..ListQuery::default()
        };
        let page = wait(hand.store.orders(query)).unwrap();
        assert_eq!((page.orders.len(), page.left_out), (0, 1), "{expected:?}");
        if !["id", "currency", "total_minor", "item_count"].contains(&column) {
            let read = hand.store.open_orders(Seq(number - 1), Seq(number), 9);
            assert_eq!(bad(read.err()), expected);
        }
        backend.sql_unchecked(&format!("DELETE FROM orders WHERE seq = {number}"));
    }
}

pub fn a_bad_output_is_named(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    backend.sql_unchecked("INSERT INTO step_outputs VALUES (1, 300, 'check', '{}')");
    let read = wait(hand.store.order(&OrderId::parse("a").unwrap())).err();
    assert_eq!(bad(read), ("orders", "outputs", "1".into()));
    assert_eq!(hand.store.open_orders(Seq(0), Seq(9), 9).unwrap().len(), 1);
}

pub fn a_bad_journal_row_is_named(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    hand.accept(&["b"]);
    let read = || wait(hand.store.events(EventPlace::default(), 9)).err();
    let id = OrderId::parse("b").unwrap();
    backend
        .sql_unchecked("UPDATE journal SET entries = '[[2,1,\"sold\",2,0,0]]' WHERE position = 2");
    assert_eq!(bad(read()), ("journal", "entries", "2".into()));
    let history = wait(hand.store.history(&id, EventPlace::default(), 9)).err();
    assert_eq!(bad(history), ("journal", "entries", "2".into()));
    backend.sql_unchecked("UPDATE journal SET entries = '[]' WHERE position = 2");
    assert_eq!(bad(read()), ("journal", "hash", "2".into()));
    let history = wait(hand.store.history(&id, EventPlace::default(), 9)).err();
    assert_eq!(bad(history), ("journal", "hash", "2".into()));
    backend.sql_unchecked("UPDATE orders SET position = 1 WHERE id = 'b'");
    let history = wait(hand.store.history(&id, EventPlace::default(), 9)).err();
    assert_eq!(bad(history), ("orders", "position", "2".into()));
    backend.sql_unchecked("DELETE FROM orders WHERE id = 'a'");
    assert_eq!(bad(read()), ("journal", "entries", "1".into()));
    backend.sql_unchecked("INSERT INTO processes VALUES ('p', 1, '{}')");
    let opened = hand.store.open_shard(ShardNumber(0)).err();
    assert_eq!(bad(opened), ("processes", "definition", "p".into()));
    assert_eq!(wait(hand.store.journal(Position(0), 9)).unwrap().len(), 2);
}

/// Which of due_at, lease, target, ended_at a status has.
fn data_of(status: Status) -> [bool; 4] {
    match status {
        Status::Scheduled { .. }
        | Status::Pending { .. }
        | Status::Waiting { .. }
        | Status::Dead { .. } => [true, false, false, false],
        Status::Processing { .. } => [false, true, false, false],
        Status::Compensating { .. } => [false, false, true, false],
        _ => [false, false, false, true],
    }
}

pub fn a_status_has_its_data_and_only_its_own(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    let started = backend.sql("UPDATE orders SET started_at = 5");
    assert_eq!(started, Ok(1));
    let mut refused = 0;
    for status in STATUSES {
        for bits in 0..16 {
            let has: [bool; 4] = std::array::from_fn(|bit| bits >> bit & 1 == 1);
            let [due, lease, target, ended] = has.map(|is| if is { "8" } else { "NULL" });
            let number = status.kind().number();
            let set = backend.sql(&format!(
                "UPDATE orders SET status = {number}, due_at = {due}, lease = {lease},
                        target = {target}, ended_at = {ended}"
            ));
            assert_eq!(
                set.is_ok(),
                has == data_of(status),
                "{status:?} with {has:?}: {set:?}"
            );
            refused += u32::from(set.is_err());
        }
    }
    assert_eq!(refused, 12 * 15);
}

pub fn what_was_started_says_when(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    for (set, is_allowed) in [
        (
            "status = 3, lease = 1, due_at = NULL, started_at = NULL",
            false,
        ),
        (
            "status = 7, ended_at = 9, due_at = NULL, started_at = NULL",
            false,
        ),
        ("status = 3, lease = 1, due_at = NULL, started_at = 5", true),
        (
            "status = 2, lease = NULL, due_at = 6, started_at = NULL",
            true,
        ),
        (
            "status = 8, ended_at = 9, due_at = NULL, started_at = NULL",
            true,
        ),
    ] {
        let updated = backend.sql(&format!("UPDATE orders SET {set}"));
        assert_eq!(updated.is_ok(), is_allowed, "{set}: {updated:?}");
    }
}

pub fn other_columns_have_their_bounds(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a", "b"]);
    let (long, short_hash) = ("x".repeat(65), backend.zeros(1));
    let long_id = format!("orders SET id = '{long}'");
    let hashes = ["shards", "journal"].map(|it| format!("{it} SET hash = {short_hash}"));
    let made = [&long_id, &hashes[0], &hashes[1]].map(String::as_str);
    for set in [
        "orders SET status = 0",
        "orders SET status = 11",
        "orders SET priority = 0",
        "orders SET priority = 4",
        "orders SET total_minor = -1",
        "orders SET currency = 'EU'",
        "orders SET customer_id = ''",
        "orders SET version = 0",
        "orders SET attempt = -1",
        "orders SET item_count = -1",
        "orders SET id = ''",
        "orders SET id = 'same'",
        "orders SET payload = NULL",
        "orders SET created_at = 'noon'",
        "orders SET hold = 'no json'",
        "orders SET imported_at = 4000000000000000",
        "orders SET status = 7, due_at = NULL, ended_at = 1, hold = '{}'",
        "orders SET status = 6, due_at = NULL, target = 7",
        "shards SET epoch = 0",
        "shards SET shard = 1024",
        "tally SET orders = -1",
        "tally SET status = 11",
        "tally SET priority = 0",
    ]
    .into_iter()
    .chain(made)
    {
        let refused = backend.sql(&format!("UPDATE {set}"));
        assert!(refused.is_err(), "{set} should be refused");
    }
    for insert in [
        "processes VALUES ('p', 1, 'no json')",
        "processes VALUES ('p', -1, '{}')",
        "step_outputs VALUES (1, 0, 'check', 'no json')",
        "step_outputs VALUES (1, -1, 'check', '{}')",
        "tally_times VALUES (0, 'p', -1, 0)",
        "tally_times VALUES (0, 'p', 0, -1)",
        "order_status VALUES (11, 'lost', 2)",
    ] {
        let refused = backend.sql(&format!("INSERT INTO {insert}"));
        assert!(refused.is_err(), "{insert} should be refused");
    }
}

pub fn what_is_written_fits_the_schema(backend: &Backend) {
    let mut hand = Hand::new(backend);
    hand.accept(&["a"]);
    // The CHECKs above are the reason why this says something.
    let touched = backend.sql("UPDATE orders SET status = status, priority = priority");
    assert_eq!(touched, Ok(1));
    for view in ["order_list", "order_item", "order_event"] {
        let sql = format!("CREATE TABLE copy_of_{view} AS SELECT * FROM {view}");
        assert!(backend.sql(&sql).is_ok(), "{view} cannot be read");
        let rows = backend.sql(&format!("DELETE FROM copy_of_{view} WHERE order_id = 'a'"));
        assert_eq!(rows, Ok(1), "{view}");
    }
}
