//! The commands for orders against a real server, as a person would use them.
//! What the server says is shown; what it refuses ends with the code of docs/cli.md.

use serde_json::Value;

use crate::cli_support::{Outcome, Place, Server};

const QUICK: &str = "[process.default]\nversion = 1\n[[process.default.step]]\nname = \"pack\"\n\
    kind = \"simulate\"\nduration = \"5ms\"\n";

struct Shop {
    place: Place,
    server: Server,
}

impl Shop {
    fn open(settings: &str) -> Self {
        let place = Place::new().with("orderd.toml", settings);
        let server = place.serve(&[]);
        Self { place, server }
    }

    fn orders(&self, arguments: &[&str]) -> Outcome {
        let arguments = [&["orders"], arguments].concat();
        self.place
            .run_with(&arguments, &[("ORDERD_URL", &self.server.url)])
    }

    fn create(&self, id: &str) -> Outcome {
        let item = ["--item", "tea:2:4.50", "--total", "9.00 EUR"];
        self.orders(&[&["create", "--id", id, "--customer", "ada"][..], &item].concat())
    }
}

#[test]
fn an_order_is_created_shown_listed_and_followed_to_its_end() {
    let shop = Shop::open(QUICK);
    assert_eq!(shop.create("A-1").expect(0), "A-1\n");
    let events = shop.orders(&["watch", "A-1"]).expect(0);
    let first = events.lines().next().unwrap();
    let last = events.lines().last().unwrap();
    assert!(first.contains("accepted"), "{events}");
    assert!(last.contains("completed"), "{events}");
    let shown = shop.orders(&["get", "A-1"]).expect(0);
    for part in ["A-1", "completed", "ada", "9.00 EUR", "tea", "4.50 EUR"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let json: Value =
        serde_json::from_str(&shop.orders(&["get", "A-1", "--json"]).expect(0)).unwrap();
    assert_eq!(json["status"], "completed");
    let listed = shop
        .orders(&["list", "--customer", "ada", "--status", "completed"])
        .expect(0);
    assert!(listed.contains("A-1"), "{listed}");
    let none = shop.orders(&["list", "--customer", "bob"]);
    assert_eq!(
        (none.code, &*none.out, &*none.err),
        (Some(0), "", "no orders\n")
    );
}

#[test]
fn refusals_have_their_own_codes_and_say_where_the_mistake_is() {
    let shop = Shop::open(QUICK);
    shop.create("A-1").expect(0);
    let twice = shop.create("A-1");
    assert_eq!(twice.code, Some(5));
    assert!(twice.err.contains("A-1"), "{}", twice.err);
    assert_eq!(shop.orders(&["get", "A-2"]).code, Some(3));
    assert_eq!(shop.orders(&["watch", "A-2"]).code, Some(3));
    shop.place.write(
        "bad.json",
        "{\"customer_id\": \"ada\", \"items\": [], \"total\": 3}",
    );
    let bad = shop.orders(&["create", "--file", "bad.json"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.err.contains("422"), "{}", bad.err);
    let bad = shop.orders(&["create", "--file", "bad.json", "--json"]);
    let problem: Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!(problem["status"], 422);
    let total = shop.orders(&[
        "create",
        "--customer",
        "a",
        "--item",
        "x:1",
        "--total",
        "1.999 USD",
    ]);
    assert_eq!(total.code, Some(2));
}

#[test]
fn a_list_goes_over_page_after_page() {
    let shop = Shop::open(QUICK);
    for number in 0..5 {
        shop.create(&format!("A-{number}")).expect(0);
    }
    let some = shop.orders(&["list", "--limit", "2"]);
    assert!(some.err.contains("there are more"), "{}", some.err);
    assert_eq!(some.out.matches("A-").count(), 2, "{}", some.out);
    assert!(some.out.contains("A-4"), "{}", some.out);
    let all = shop.orders(&["list", "--all", "--json"]).expect(0);
    let pages = all
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let orders: usize = pages
        .map(|page| page["data"].as_array().unwrap().len())
        .sum();
    assert_eq!(orders, 5);
}

#[test]
fn a_dead_order_ends_the_watch_with_a_failure() {
    let settings = format!("{QUICK}failure_rate = 1.0\nattempts = 1\n");
    let shop = Shop::open(&settings);
    shop.create("A-1").expect(0);
    let watched = shop.orders(&["watch", "A-1"]);
    assert_eq!(watched.code, Some(1));
    assert!(watched.out.contains("dead"), "{}", watched.out);
    assert!(watched.out.contains("simulated failure"), "{}", watched.out);
}

#[test]
fn an_order_is_held_released_and_cancelled() {
    let shop = Shop::open(QUICK);
    let item = ["--item", "tea:2:4.50", "--total", "9.00 EUR"];
    let held = [
        "create",
        "--id",
        "A-1",
        "--customer",
        "ada",
        "--hold",
        "fraud?",
    ];
    shop.orders(&[&held[..], &item].concat()).expect(0);
    let listed = shop.orders(&["list", "--held"]).expect(0);
    assert!(listed.contains("pending, held"), "{listed}");
    let words = ["--reason", "waiting for ada", "--by", "bob"];
    let until = ["--until", "2099-01-01T00:00:00Z"];
    let line = shop.orders(&[&["hold", "A-1"][..], &words, &until].concat());
    let expected = "A-1  pending, held: waiting for ada, by bob, until 2099-01-01 00:00:00 UTC\n";
    assert_eq!(line.expect(0), expected);
    let shown = shop.orders(&["get", "A-1"]).expect(0);
    assert!(shown.contains("waiting for ada, by bob"), "{shown}");
    let stale = shop.orders(&["release", "A-1", "--if-version", "2"]);
    assert_eq!(stale.code, Some(5), "{}", stale.err);
    let json = shop.orders(&["release", "A-1", "--if-version", "3", "--json"]);
    let json: Value = serde_json::from_str(&json.expect(0)).unwrap();
    assert_eq!(json["order_id"], "A-1");
    let events = shop.orders(&["watch", "A-1"]).expect(0);
    assert!(
        events.contains("by bob  until 2099-01-01 00:00:00: waiting"),
        "{events}"
    );
    let late = shop.orders(&["cancel", "A-1"]);
    assert_eq!(late.code, Some(5));
    assert!(
        late.err.contains("it is completed (409 order-ended)"),
        "{}",
        late.err
    );
    assert_eq!(shop.orders(&["cancel", "A-2"]).code, Some(3));
    for id in ["A-3", "A-4"] {
        let held = ["create", "--id", id, "--customer", "ada", "--hold", "x"];
        shop.orders(&[&held[..], &item].concat()).expect(0);
    }
    let both = shop.orders(&["cancel", "A-3", "A-4", "--reason", "closed"]);
    assert_eq!(both.expect(0), "A-3  cancelled\nA-4  cancelled\n");
}

#[test]
fn finished_orders_are_imported_from_a_file_once() {
    let shop = Shop::open(QUICK);
    let line = |id: &str, status: &str| {
        format!(
            "{{\"order_id\":\"{id}\",\"customer_id\":\"ada\",\"items\":[\"tea\"],\
             \"total\":{{\"amount\":900,\"currency\":\"EUR\"}},\"status\":\"{status}\",\
             \"created_at\":\"2025-01-01T00:00:00Z\",\"ended_at\":\"2025-01-02T00:00:00Z\"}}\n"
        )
    };
    let file = [
        line("A-1", "completed"),
        "\n".into(),
        line("A-2", "cancelled"),
    ]
    .concat();
    shop.place.write("finished.ndjson", &file);
    let first = shop.orders(&["import", "finished.ndjson"]);
    assert!(
        first
            .err
            .contains("2 imported, 0 were there already, 0 refused")
    );
    assert_eq!(first.expect(0), "A-1\nA-2\n");
    let again = shop.orders(&["import", "finished.ndjson"]);
    assert!(
        again.err.contains("0 imported, 2 were there already"),
        "{}",
        again.err
    );
    assert_eq!(again.expect(0), "");
    let shown = shop.orders(&["get", "A-1"]).expect(0);
    assert!(shown.contains("imported"), "{shown}");
    shop.place.write(
        "bad.ndjson",
        &[line("A-3", "completed"), line("A-4", "sold")].concat(),
    );
    let bad = shop.orders(&["import", "bad.ndjson"]);
    assert_eq!((bad.code, &*bad.out), (Some(1), "A-3\n"));
    assert!(
        bad.err.contains("line 2: /status: must be completed"),
        "{}",
        bad.err
    );
    assert_eq!(shop.orders(&["import", "none.ndjson"]).code, Some(1));
}

#[test]
fn dead_orders_are_listed_and_tried_again() {
    let settings = format!("{QUICK}failure_rate = 1.0\nattempts = 1\n");
    let shop = Shop::open(&settings);
    let dead = |arguments: &[&str]| {
        let arguments = [&["dead"], arguments].concat();
        shop.place
            .run_with(&arguments, &[("ORDERD_URL", &shop.server.url)])
    };
    let none = dead(&["list"]);
    assert_eq!((none.code, &*none.err), (Some(0), "no dead orders\n"));
    for id in ["A-1", "A-2"] {
        shop.create(id).expect(0);
        assert_eq!(shop.orders(&["watch", id]).code, Some(1));
    }
    let listed = dead(&["list", "--step", "pack"]).expect(0);
    for part in ["A-1", "A-2", "pack", "simulated failure"] {
        assert!(listed.contains(part), "{part} is not in\n{listed}");
    }
    assert_eq!(dead(&["replay"]).code, Some(2));
    let counted = dead(&["replay", "--failure", "simulated", "--dry-run"]);
    assert_eq!(counted.expect(0), "2 would be tried again\n");
    let replayed = dead(&["replay", "--all", "--by", "bob", "--json"]).expect(0);
    let replayed: Value = serde_json::from_str(&replayed).unwrap();
    assert_eq!(
        (&replayed["replayed"], &replayed["skipped"]),
        (&2.into(), &0.into())
    );
    let watched = shop.orders(&["watch", "A-1"]);
    assert!(watched.out.contains("replayed"), "{}", watched.out);
    assert!(watched.out.contains("by bob"), "{}", watched.out);
    let attempts = shop.orders(&["attempts", "A-1"]).expect(0);
    assert_eq!(attempts.matches("pack").count(), 2, "{attempts}");
    assert!(attempts.contains("dead"), "{attempts}");
    shop.orders(&["retry", "A-2", "--reason", "again"])
        .expect(0);
    let higher = shop.orders(&["prioritize", "A-2", "--priority", "1", "--json"]);
    let higher: Value = serde_json::from_str(&higher.expect(0)).unwrap();
    assert_eq!(higher["priority"], 1);
    let late = shop.orders(&["retry", "A-3"]);
    assert_eq!(late.code, Some(3));
}
