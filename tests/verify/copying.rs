//! `orderd copy` between all backends: what arrives is what was there, as somebody sees who asks
//! the databases themselves; what is broken off is served by nobody and gone on with.

use orderd::cli::copy::{CopyError, Report, copy};
use orderd::store::StoreError;
use orderd::store::transfer::{self, Cell, Page};

use super::databases::{Place, mysql, postgres, sqlite};
use super::dump;
use super::scene::Scene;

type Fresh = fn() -> Option<Box<dyn Place>>;

const BACKENDS: [Fresh; 3] = [sqlite::place, postgres::place, mysql::place];

/// A store with a past, and with rows that are seldom.
pub fn unusual() -> Scene {
    let scene = Scene::new();
    let odd = "Zoë 💶 \u{1}\u{7f} \\N \\. ''\"\" \u{10ffff} \r\n\t 漢字";
    let odd_sql = odd.replace('\'', "''");
    for sql in [
        format!("UPDATE orders SET customer_id = '{odd_sql}' WHERE seq = 3"),
        "UPDATE orders SET payload = json_object('items', json_array('a\\u0000b', '💶'))
          WHERE seq = 4"
            .into(),
        "UPDATE orders SET total_minor = 9223372036854775807, currency = 'JPY' WHERE seq = 5"
            .into(),
        "INSERT INTO processes
         SELECT 'gone-' || name, 0, char(10) || '  ' || definition || '  ' FROM processes"
            .into(),
        "UPDATE orders SET imported_at = ended_at + 1
          WHERE seq = (SELECT max(seq) FROM orders WHERE status = 7)"
            .into(),
        format!(
            "INSERT INTO idempotency_keys VALUES
               (7, 'POST /v1/orders', 'K 1', randomblob(32), 3, -1, 201, 'application/json',
                '/v1/orders/x', '\"1\"', CAST('{odd_sql}' AS BLOB)),
               (9223372036854775806, 'POST /v1/orders/x/cancel', '4#K', zeroblob(32), NULL,
                9223372036854775807, 200, '', NULL, NULL, x'00ff00')"
        ),
    ] {
        scene.plant(&sql);
    }
    // What was planted is not what the histories say, but nothing that a proof looks at.
    scene
}

pub fn url(scene: &Scene) -> String {
    format!("sqlite:{}", scene.path().display())
}

fn copied(from: &str, to: &str) -> Result<Report, CopyError> {
    copy(from, to, false, &mut |_| ())
}

fn assert_whole(report: &Report) {
    let findings = &report.proof.findings;
    assert!(findings.are_none(), "{findings:?}");
    assert!(report.proof.orders > 100, "{report:?}");
}

#[test]
fn databases_differ_only_in_what_they_fill_themselves() {
    let theirs = |fresh: Fresh| {
        let place = fresh()?;
        drop(orderd::store::open(&place.url(), 1).unwrap());
        Some(transfer::source(&place.url()).unwrap().tables().unwrap())
    };
    let sqlite = theirs(sqlite::place).unwrap();
    let own = |name: &&str| !["lingering", "lingering_to", "imported_orders"].contains(name);
    let names = |tables: &[transfer::Table]| {
        let names = tables.iter().flat_map(|table| {
            let columns = table.columns.iter().map(String::as_str).filter(own);
            let columns = columns.map(|column| format!("{}.{column}", table.name));
            columns.filter(|_| own(&&*table.name)).collect::<Vec<_>>()
        });
        names.collect::<std::collections::BTreeSet<_>>()
    };
    for other in BACKENDS.into_iter().filter_map(theirs) {
        assert_eq!(names(&sqlite), names(&other));
    }
    assert!(names(&sqlite).len() > 50);
}

#[test]
fn a_store_goes_to_every_backend_and_comes_back() {
    let scene = unusual();
    let before = dump::all(&url(&scene));
    assert!(before.contains("漢字") && before.lines().count() > 300);
    for fresh in BACKENDS {
        let Some((first, untouched)) = fresh().zip(fresh()) else {
            continue;
        };
        assert_whole(&copied(&url(&scene), &first.url()).unwrap());
        assert_eq!(dump::all(&first.url()), before);
        assert_eq!(dump::imported(&first.url()), dump::imported(&url(&scene)));
        for second in BACKENDS.iter().filter_map(|fresh| fresh()) {
            assert_whole(&copied(&first.url(), &second.url()).unwrap());
            assert_eq!(dump::all(&second.url()), before);
        }
        assert_eq!(dump::schema(&first.url()), {
            drop(orderd::store::open(&untouched.url(), 1).unwrap());
            dump::schema(&untouched.url())
        });
        // It serves, under a new epoch; then the next copy is of another state.
        let store = orderd::store::open(&first.url(), 1).unwrap();
        store.open_shard(orderd::order::ShardNumber(0)).unwrap();
    }
}

/// Begins a copy and breaks it off after so many pages of keys.
fn begin(from: &str, to: &str, pages: usize) {
    let mut source = transfer::source(from).unwrap();
    let mut target = transfer::destination(to).unwrap();
    let tables = source.tables().unwrap();
    let mut shards = Page::default();
    let mut table = tables
        .iter()
        .find(|it| it.name == "shards")
        .unwrap()
        .clone();
    // What every database has.
    table.columns.truncate(5);
    source
        .read(&table, None, &mut |page| {
            shards = page;
            Ok(())
        })
        .unwrap();
    use sha2::Digest;
    let mark = sha2::Sha256::digest(shards.bytes());
    let mark: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
    target.begin(&mark).unwrap();
    target.prepare(&tables).unwrap();
    let keys = tables
        .iter()
        .find(|it| it.name == "idempotency_keys")
        .unwrap();
    assert_eq!(target.resume(keys).unwrap(), None);
    let mut left = pages;
    let read = source.read(keys, None, &mut |page| {
        left = left.checked_sub(1).ok_or(StoreError::Fenced)?;
        target.write(keys, &page)
    });
    assert!(matches!(read, Err(StoreError::Fenced)), "{read:?}");
    // Neither table nor copy are ended: as after a kill.
}

#[test]
fn what_is_broken_off_is_refused_and_gone_on_with() {
    let scene = unusual();
    scene.plant(
        "WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 24000)
         INSERT INTO idempotency_keys
         SELECT n, 'POST /v1/orders', 'key-' || (n * 7919 % 100003), zeroblob(32), NULL, n, 201,
                'application/json', NULL, NULL, zeroblob(1000) FROM n",
    );
    let before = dump::all(&url(&scene));
    for target in BACKENDS.iter().filter_map(|fresh| fresh()) {
        begin(&url(&scene), &target.url(), 20);
        let refused = orderd::store::open(&target.url(), 1).err();
        assert!(
            matches!(refused, Some(StoreError::HalfCopied)),
            "{refused:?}"
        );
        let refused = orderd::store::snapshot(&target.url()).err();
        assert!(
            matches!(refused, Some(StoreError::HalfCopied)),
            "{refused:?}"
        );
        let refused = transfer::source(&target.url()).err();
        assert!(
            matches!(refused, Some(StoreError::HalfCopied)),
            "{refused:?}"
        );
        let report = copied(&url(&scene), &target.url()).unwrap();
        assert_whole(&report);
        assert!(report.rows_before > 10_000, "{}", report.rows_before);
        assert_eq!(dump::all(&target.url()), before);
        drop(orderd::store::open(&target.url(), 1).unwrap());
    }
}

#[test]
fn a_part_of_another_store_is_not_gone_on_with() {
    for target in BACKENDS.iter().filter_map(|fresh| fresh()) {
        let scene = unusual();
        scene.plant(
            "WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
             INSERT INTO idempotency_keys
             SELECT n, 'POST /v1/orders', n, zeroblob(32), NULL, n, 201, '', NULL, NULL,
                    zeroblob(1000) FROM n",
        );
        begin(&url(&scene), &target.url(), 1);
        // A server takes the source over in between, and so it is another one.
        let store = orderd::store::open(&url(&scene), 1).unwrap();
        store.open_shard(orderd::order::ShardNumber(0)).unwrap();
        drop(store);
        let refused = copied(&url(&scene), &target.url()).unwrap_err();
        assert!(matches!(refused, CopyError::Other), "{refused}");
        assert_whole(&copy(&url(&scene), &target.url(), true, &mut |_| ()).unwrap());
        assert_eq!(dump::all(&target.url()), dump::all(&url(&scene)));
        assert_eq!(dump::schema(&target.url()).contains("orders_id_key"), {
            target.url().starts_with("postgres")
        });
    }
}

#[test]
fn a_target_with_orders_and_a_store_in_use_are_refused() {
    let (scene, other) = (unusual(), Scene::new());
    // One start more: no longer the same store.
    let store = orderd::store::open(&url(&other), 1).unwrap();
    store.open_shard(orderd::order::ShardNumber(0)).unwrap();
    drop(store);
    let refused = copied(&url(&scene), &url(&other)).unwrap_err();
    assert!(matches!(refused, CopyError::Taken), "{refused}");
    for place in BACKENDS.iter().filter_map(|fresh| fresh()) {
        let store = orderd::store::open(&place.url(), 1).unwrap();
        let in_use = |error| matches!(error, StoreError::Locked { .. } | StoreError::InUse { .. });
        match copied(&place.url(), &url(&scene)) {
            Err(CopyError::Source(error)) => assert!(in_use(error)),
            other => panic!("{other:?}"),
        }
        // It lives, which its database wants to know.
        store.tidy_up();
        match copied(&url(&scene), &place.url()) {
            Err(CopyError::Target(error)) => assert!(in_use(error)),
            other => panic!("{other:?}"),
        }
        // It was opened, and an epoch taken, but there are no orders: it may be filled.
        store.open_shard(orderd::order::ShardNumber(0)).unwrap();
        drop(store);
        assert_whole(&copied(&url(&scene), &place.url()).unwrap());
        assert_eq!(dump::all(&place.url()), dump::all(&url(&scene)));
    }
}

#[test]
fn a_whole_copy_is_compared_again_and_a_difference_is_named() {
    let scene = unusual();
    for target in BACKENDS.iter().filter_map(|fresh| fresh()) {
        copied(&url(&scene), &target.url()).unwrap();
        assert_whole(&copied(&url(&scene), &target.url()).unwrap());
        for (sql, what) in [
            (
                "UPDATE orders SET customer_id = 'eve' WHERE seq = 7",
                "table orders, row 7: customer_id is \"eve\" and not \"ada\"",
            ),
            (
                "DELETE FROM idempotency_keys WHERE number = 7",
                "table idempotency_keys, row 7: number is 9223372036854775806 and not 7",
            ),
        ] {
            dump::run(&target.url(), sql);
            let refused = copied(&url(&scene), &target.url()).unwrap_err();
            assert!(refused.to_string().contains(what), "{refused}");
        }
    }
}

#[test]
fn a_text_that_postgres_cannot_keep_is_named() {
    let Some(target) = postgres::place() else {
        return;
    };
    let scene = Scene::new();
    scene.plant("UPDATE orders SET customer_id = 'a' || char(0) WHERE seq = 9");
    let refused = copied(&url(&scene), &target.url()).unwrap_err();
    let named = "orders row seq 9 has a bad customer_id: it holds U+0000";
    assert!(refused.to_string().contains(named), "{refused}");
    let refused = orderd::store::open(&target.url(), 1).err();
    assert!(
        matches!(refused, Some(StoreError::HalfCopied)),
        "{refused:?}"
    );
}

mod any_rows {
    use super::*;
    use proptest::prelude::*;

    type Row = (String, Vec<u8>, Option<i64>, i64, i32, Option<String>);

    fn row() -> impl Strategy<Value = Row> {
        (
            "[^\u{0}]{0,30}",
            proptest::collection::vec(any::<u8>(), 0..300),
            any::<Option<i64>>(),
            any::<i64>(),
            any::<i32>(),
            proptest::option::of("[^\u{0}]{0,9}"),
        )
    }

    fn page(rows: &[Row]) -> Page {
        let mut page = Page::default();
        for (number, (text, bytes, seq, at, status, tag)) in (-5..).zip(rows) {
            page.push(Cell::Number(number));
            page.push(Cell::Text(text));
            page.push(Cell::Text(&format!("{number}{text}")));
            page.push(Cell::Blob(&[number as u8; 32]));
            page.push(seq.map_or(Cell::Null, Cell::Number));
            page.push(Cell::Number(*at));
            page.push(Cell::Number((*status).into()));
            page.push(Cell::Text(text));
            page.push(tag.as_deref().map_or(Cell::Null, Cell::Text));
            page.push(Cell::Null);
            page.push(Cell::Blob(bytes));
            page.end_row();
        }
        page
    }

    #[test]
    fn they_are_read_as_they_were_written() {
        let tables = transfer::source(&url(&Scene::new()))
            .unwrap()
            .tables()
            .unwrap();
        for place in BACKENDS.iter().filter_map(|fresh| fresh()) {
            let mut target = transfer::destination(&place.url()).unwrap();
            target.begin("a test").unwrap();
            target.prepare(&tables).unwrap();
            let keys = tables
                .iter()
                .find(|it| it.name == "idempotency_keys")
                .unwrap();
            let target = std::cell::RefCell::new(target);
            let rows = proptest::collection::vec(row(), 0..9);
            proptest!(ProptestConfig::with_cases(40), |(rows in rows)| {
                let mut target = target.borrow_mut();
                dump::run(&place.url(), "DELETE FROM idempotency_keys");
                let page = page(&rows);
                target.write(keys, &page).unwrap();
                target.end_table().unwrap();
                let mut read = Page::default();
                target.read(keys, None, &mut |page| { read = page; Ok(()) }).unwrap();
                prop_assert!(read == page);
            });
        }
    }
}
