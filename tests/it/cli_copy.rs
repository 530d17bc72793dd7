//! `orderd copy` as people run it: orders are answered alike after the move, a copy that is killed
//! at any stage is refused by a server and completed by the same command, and refusals have their
//! codes.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use super::cli_support::{Outcome, Place, signal};
use super::databases::{mysql, postgres, sqlite};

/// A folder whose `old.db` has some orders that stay as they are, and what the server said of them.
fn moved() -> (Place, String) {
    let place = Place::new();
    let server = place.serve(&["--store", "sqlite:old.db"]);
    for (id, customer) in [("A-1", "ada"), ("A-2", "Zoë 漢字"), ("A-3", "grace")] {
        let create = ["orders", "create", "--id", id, "--customer", customer];
        let rest = [
            "--item",
            "tea:2:4.50",
            "--total",
            "9.00 EUR",
            "--hold",
            "to be looked at",
        ];
        let url = ["--url", &server.url];
        place.run(&[&create[..], &rest, &url].concat()).expect(0);
    }
    let cancel = [
        "orders",
        "cancel",
        "A-3",
        "--reason",
        "twice",
        "--url",
        &server.url,
    ];
    place.run(&cancel).expect(0);
    let said = answers(&place, &server.url);
    end(server);
    (place, said)
}

fn answers(place: &Place, url: &str) -> String {
    let mut said = place
        .run(&["orders", "list", "--json", "--url", url])
        .expect(0);
    for id in ["A-1", "A-2", "A-3"] {
        said += &place
            .run(&["orders", "get", id, "--json", "--url", url])
            .expect(0);
        said += &place
            .run(&["orders", "attempts", id, "--json", "--url", url])
            .expect(0);
    }
    said
}

fn end(mut server: super::cli_support::Server) {
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

fn copy(place: &Place, from: &str, to: &str, more: &[&str]) -> Outcome {
    place.run(&[&["copy", "--from", from, "--to", to], more].concat())
}

#[test]
fn orders_are_answered_alike_after_a_move_and_back() {
    for database in [postgres::place(), mysql::place(), sqlite::place()] {
        let Some(database) = database else {
            continue;
        };
        let (place, said) = moved();
        let middle = database.url();
        let told = copy(&place, "sqlite:old.db", &middle, &[]).expect(0);
        assert!(told.contains("The copy is whole: 3 orders"), "{told}");
        let server = place.serve(&["--store", &middle]);
        assert_eq!(answers(&place, &server.url), said);
        end(server);
        let told = copy(&place, &middle, "sqlite:new.db", &["--json"]).expect(0);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            (&told["ok"], &told["tables"]["orders"]),
            (&true.into(), &3.into())
        );
        let server = place.serve(&["--store", "sqlite:new.db"]);
        assert_eq!(answers(&place, &server.url), said);
    }
}

#[test]
fn a_copy_that_is_killed_at_any_stage_is_completed_later() {
    let (place, said) = moved();
    let old = rusqlite::Connection::open(place.path().join("old.db")).unwrap();
    let many = "WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 30000)
                INSERT INTO idempotency_keys
                SELECT n, 'POST /v1/orders', 'key-' || n, zeroblob(32), NULL, n, 201,
                       'application/json', NULL, NULL, zeroblob(1000) FROM n";
    old.execute_batch(many).unwrap();
    drop(old);
    let databases = [postgres::place(), mysql::place()];
    let targets = databases.iter().flatten().map(|it| it.url());
    for target in targets.chain(["sqlite:new.db".into()]) {
        let stages = [
            "copy idempotency_keys",
            "copy orders",
            "build indexes",
            "compare idempotency_keys",
            "prove the orders",
        ];
        let killed = stages
            .iter()
            .filter(|stage| kill_at(&place, &target, stage))
            .count();
        // The last stages are short: it may have got through before the signal.
        assert!(killed >= 2, "only {killed} were killed before their end");
        let told = copy(&place, "sqlite:old.db", &target, &[]).expect(0);
        assert!(told.contains("The copy is whole: 3 orders"), "{told}");
        assert!(told.contains("29,905  idempotency_keys"), "{told}");
        let server = place.serve(&["--store", &target]);
        assert_eq!(answers(&place, &server.url), said);
        end(server);
    }
}

/// Kills a copy when it comes to a stage. Whether the target is half copied then: no server opens
/// it.
fn kill_at(place: &Place, target: &str, stage: &str) -> bool {
    let mut child = place.start(&["copy", "--from", "sqlite:old.db", "--to", target]);
    let mut said = Vec::new();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let has_come = lines.map(Result::unwrap).any(|line| {
        said.push(line);
        said.last().unwrap().starts_with(stage)
    });
    assert!(has_come, "{target} never came to {stage}: {said:#?}");
    signal(&child, "KILL");
    let has_ended = child.wait().unwrap().success();
    // The signal may come when all is done and only the report is not.
    if has_ended || place.run(&["verify", "--store", target]).code == Some(0) {
        return false;
    }
    let served = place.run(&["serve", "--listen", "127.0.0.1:0", "--store", target]);
    assert_eq!(served.code, Some(6), "{served:?}");
    assert!(
        served.err.contains("start the same orderd copy again"),
        "{served:?}"
    );
    true
}

#[test]
fn refusals_have_their_codes() {
    let (place, _) = moved();
    let copy = |from: &str, to: &str| copy(&place, from, to, &[]);
    copy("sqlite:old.db", "sqlite:old.db").expect_error(
        2,
        "--from and --to are the same store; name an empty one with --to",
    );
    copy("sqlite:nowhere.db", "sqlite:new.db").expect_error(
        3,
        "there is no store at nowhere.db; name another one with --from",
    );
    copy("sqlite:old.db", "oracle://me:hush@db/x").expect_error(
        8,
        "cannot copy to oracle://me:***@db/x: there is no store for \"oracle\" URLs; use \
         sqlite:PATH, postgres:// or mysql://",
    );
    let server = place.serve(&["--store", "sqlite:old.db"]);
    let refused = copy("sqlite:old.db", "sqlite:new.db");
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(
        refused.err.contains("in use by another orderd"),
        "{refused:?}"
    );
    end(server);
    let server = place.serve(&["--store", "sqlite:other.db"]);
    let create = [
        "orders",
        "create",
        "--customer",
        "ada",
        "--total",
        "9.00 EUR",
    ];
    place
        .run(&[&create[..], &["--item", "tea:1", "--url", &server.url]].concat())
        .expect(0);
    end(server);
    copy("sqlite:old.db", "sqlite:other.db").expect_error(
        5,
        "cannot copy to other.db: it has orders of its own; name a database without",
    );
    let old = rusqlite::Connection::open(place.path().join("old.db")).unwrap();
    let newer = "INSERT INTO refinery_schema_history
                 SELECT 999, 'later', applied_on, checksum FROM refinery_schema_history LIMIT 1";
    old.execute_batch(newer).unwrap();
    drop(old);
    let refused = copy("sqlite:old.db", "sqlite:new.db");
    assert_eq!(refused.code, Some(7), "{refused:?}");
}
