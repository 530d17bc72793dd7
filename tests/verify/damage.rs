//! Each kind of damage, planted with SQL behind orderd's back, is found by the check that is there
//! for it, and named with its table and key.

use orderd::cli::verify::Check;

use super::proof;
use super::scene::Scene;

/// What is planted, and what must be found because of it.
struct Damage {
    sql: &'static str,
    /// All hashes are written anew, so that only the contents tell.
    is_forged: bool,
    check: Check,
    table: &'static str,
    key: &'static str,
    what: &'static str,
}

const fn plain(
    sql: &'static str,
    check: Check,
    (table, key): (&'static str, &'static str),
    what: &'static str,
) -> Damage {
    Damage {
        sql,
        is_forged: false,
        check,
        table,
        key,
        what,
    }
}

const fn forged(
    sql: &'static str,
    check: Check,
    (table, key): (&'static str, &'static str),
    what: &'static str,
) -> Damage {
    Damage {
        is_forged: true,
        ..plain(sql, check, (table, key), what)
    }
}

const JOURNAL: [Damage; 5] = [
    plain(
        "UPDATE journal SET entries = replace(entries, '\"completed\"', '\"rejected\"')
          WHERE position = (
           SELECT max(position) FROM journal WHERE entries LIKE '%\"completed\"%')",
        Check::HashChain,
        ("journal", "*"),
        "does not follow",
    ),
    plain(
        "UPDATE journal SET hash = (SELECT hash FROM journal WHERE position = 3)
          WHERE position = 2",
        Check::HashChain,
        ("journal", "2"),
        "does not follow",
    ),
    plain(
        "DELETE FROM journal WHERE position = 5",
        Check::HashChain,
        ("journal", "5"),
        "rows 5 to 5 are missing",
    ),
    plain(
        "DELETE FROM journal WHERE position = (SELECT max(position) FROM journal)",
        Check::Heads,
        ("shards", "0"),
        "the journal ends at",
    ),
    plain(
        "UPDATE shards SET hash = zeroblob(32)",
        Check::Heads,
        ("shards", "0"),
        "hash is not that of the last",
    ),
];

const ORDERS: [Damage; 19] = [
    plain(
        "UPDATE orders SET hold = NULL WHERE seq = 11",
        Check::LastEvents,
        ("orders", "11"),
        "has hold is not held",
    ),
    plain(
        "UPDATE orders SET hold = json_set(hold, '$.reason', 'somebody else') WHERE seq = 11",
        Check::LastEvents,
        ("orders", "11"),
        "has hold \"somebody else\" by nobody since",
    ),
    plain(
        "UPDATE orders SET hold = json_set(hold, '$.until', 1) WHERE seq = 11",
        Check::LastEvents,
        ("orders", "11"),
        "until 1970-01-01T00:00:00.000001Z, its history says",
    ),
    plain(
        "UPDATE orders SET priority = 4 - priority WHERE seq =
           (SELECT e.value ->> 0 FROM journal j, json_each(j.entries) e
             WHERE e.value ->> 2 = 'priority_changed' LIMIT 1)",
        Check::LastEvents,
        ("orders", "*"),
        "has priority",
    ),
    plain(
        "UPDATE orders SET status = 10 WHERE seq = (SELECT min(seq) FROM orders WHERE status = 7)",
        Check::LastEvents,
        ("orders", "*"),
        "status expired, its last event says completed",
    ),
    plain(
        "UPDATE orders SET position = position - 1 WHERE seq = 3",
        Check::LastEvents,
        ("orders", "3"),
        "has position",
    ),
    plain(
        "UPDATE orders SET ended_at = ended_at + 1
          WHERE seq = (SELECT min(seq) FROM orders WHERE status = 7)",
        Check::LastEvents,
        ("orders", "*"),
        "has ended_at",
    ),
    plain(
        "UPDATE orders SET started_at = started_at + 1
          WHERE seq = (SELECT min(seq) FROM orders WHERE status = 7)",
        Check::LastEvents,
        ("orders", "*"),
        "has started_at",
    ),
    plain(
        "UPDATE orders SET started_at = updated_at
          WHERE seq = (SELECT min(seq) FROM orders WHERE started_at IS NULL)",
        Check::LastEvents,
        ("orders", "*"),
        "its last event says none",
    ),
    plain(
        "DELETE FROM orders WHERE seq = 9",
        Check::Histories,
        ("orders", "9"),
        "the journal has its history",
    ),
    plain(
        "INSERT INTO orders SELECT 9999, 'planted', customer_id, process, process_version, priority,
           total_minor, currency, item_count, created_at, start_at, expires_at, imported_at, status,
           version, step, attempt, started_at, updated_at, due_at, lease, target, ended_at, reason,
           position, NULL, marks, payload
           FROM orders WHERE seq = 1",
        Check::Histories,
        ("orders", "9999"),
        "planted has no event",
    ),
    plain(
        "UPDATE orders SET status = 7, ended_at = updated_at, due_at = NULL, lease = NULL
          WHERE seq = (SELECT min(seq) FROM orders WHERE ended_at IS NULL)",
        Check::OpenOrders,
        ("orders", "*"),
        "is completed, its last event says",
    ),
    plain(
        "UPDATE orders SET payload = '[1]' WHERE seq = 2",
        Check::Contents,
        ("orders", "2"),
        "no JSON object",
    ),
    plain(
        "UPDATE orders SET currency = 'xxx' WHERE seq = 131",
        Check::Contents,
        ("orders", "131"),
        "currency",
    ),
    plain(
        "INSERT INTO step_outputs VALUES (9999, 0, 'check', '{}')",
        Check::Contents,
        ("step_outputs", "9999"),
        "step check said something about it, but it is not there",
    ),
    plain(
        "UPDATE step_outputs SET output = '{\"label\"' WHERE seq = 2",
        Check::Contents,
        ("step_outputs", "2"),
        "output of step check is no JSON",
    ),
    plain(
        "UPDATE step_outputs SET number = 300 WHERE seq = 2",
        Check::Contents,
        ("orders", "2"),
        "outputs",
    ),
    plain(
        "UPDATE orders SET process_version = 8 WHERE seq = 4",
        Check::Processes,
        ("orders", "4"),
        "version 8 is not defined",
    ),
    plain(
        "UPDATE shards SET last_seq = 5",
        Check::Heads,
        ("shards", "0"),
        "last_seq is 5",
    ),
];

const COUNTERS: [Damage; 6] = [
    plain(
        "UPDATE tally_times SET work_us = work_us + 1",
        Check::Counters,
        ("tally_times", "0/default"),
        "work_us is",
    ),
    plain(
        "UPDATE tally_times SET turnaround_s = turnaround_s - 1",
        Check::Counters,
        ("tally_times", "0/default"),
        "turnaround_s is",
    ),
    plain(
        "DELETE FROM tally_times",
        Check::Counters,
        ("tally_times", "0/default"),
        "work_us is 0, its completed orders took",
    ),
    plain(
        "INSERT INTO tally VALUES (0, 'nobody', 7, 1, 5)",
        Check::Counters,
        ("tally", "0/nobody/7/1"),
        "says 5 completed orders of priority 1, there are 0",
    ),
    plain(
        "UPDATE tally SET process = 'other' WHERE status = 7 AND priority = 1",
        Check::Counters,
        ("tally", "0/default/7/1"),
        "says 0 completed orders of priority 1",
    ),
    plain(
        "UPDATE orders SET created_at = created_at - 1000000
          WHERE seq = (SELECT min(seq) FROM orders WHERE status = 7)",
        Check::Counters,
        ("tally_times", "0/default"),
        "turnaround_s is",
    ),
];

const REST: [Damage; 9] = [
    forged(
        "UPDATE journal SET entries = replace(entries, '\"held\"', '\"released\"')
          WHERE position = 1",
        Check::Events,
        ("journal", "1"),
        "order 11: is released without a hold",
    ),
    plain(
        "UPDATE tally SET orders = orders + 1 WHERE status = 7 AND priority = 2",
        Check::Counters,
        ("tally", "0/default/7/2"),
        "completed orders of priority 2",
    ),
    plain(
        "UPDATE shards SET epoch = 1",
        Check::Heads,
        ("shards", "0"),
        "epoch is 1, the journal has 2",
    ),
    forged(
        "UPDATE journal SET epoch = 1 WHERE position = (SELECT max(position) FROM journal)",
        Check::Epochs,
        ("journal", "*"),
        "its epoch is 1, after 2",
    ),
    forged(
        "UPDATE journal SET entries = replace(entries, '\"started\",3', '\"parked\",4')
          WHERE position = 2",
        Check::Events,
        ("journal", "2"),
        "parked from pending to waiting is not legal",
    ),
    forged(
        "UPDATE journal SET entries = replace(entries, '[1,1,', '[1,2,') WHERE position = 1",
        Check::Versions,
        ("journal", "1"),
        "order 1: accepted has version 2, not 1",
    ),
    forged(
        "UPDATE journal SET entries = replace(entries, ',0,1,', ',0,0,') WHERE position = 2",
        Check::Pointers,
        ("journal", "2"),
        "as the one before",
    ),
    forged(
        "UPDATE journal SET entries = '[' || (
           SELECT group_concat(json_remove(e.value, '$[11]')) FROM json_each(entries) e
            WHERE e.key <> 0) || ']' WHERE position = 1",
        Check::AcceptedOnce,
        ("journal", "*"),
        "its history begins with",
    ),
    forged(
        "UPDATE journal SET entries = json_set(entries, '$[#]', json((
           SELECT e.value FROM json_each(entries) e
            WHERE e.value ->> 2 = 'completed' LIMIT 1)))
          WHERE position = (
           SELECT max(position) FROM journal WHERE entries LIKE '%\"completed\"%')",
        Check::EndedOnce,
        ("journal", "*"),
        "completed after it ended as completed",
    ),
];

const LEASES: [Damage; 3] = [
    forged(
        "UPDATE journal SET epoch = 2 WHERE position >= 8",
        Check::Leases,
        ("journal", "*"),
        "under a lease of epoch 1",
    ),
    forged(
        // The lease is the ninth value of an entry.
        "UPDATE journal SET entries = (
           SELECT json_group_array(CASE WHEN e.value ->> 2 = 'completed'
                    THEN json_set(e.value, '$[8]', 1) ELSE json(e.value) END)
             FROM json_each(entries) e)
          WHERE position = (
           SELECT max(position) FROM journal WHERE entries LIKE '%\"completed\"%')",
        Check::Leases,
        ("journal", "*"),
        "completed under lease 1, it has",
    ),
    forged(
        "UPDATE journal SET entries = (
           SELECT json_group_array(CASE WHEN e.value ->> 2 = 'started'
                    THEN json_set(e.value, '$[8]', 2) ELSE json(e.value) END)
             FROM json_each(entries) e)
          WHERE position = (
           SELECT max(position) FROM journal WHERE entries LIKE '%\"completed\"%')",
        Check::Leases,
        ("journal", "*"),
        "lease 2 is given after",
    ),
];

fn violations(report: &orderd::cli::verify::Report) -> Vec<String> {
    let all = Check::ALL.into_iter().flat_map(|check| {
        let named = report.findings.of(check).named.iter();
        named.map(move |violation| format!("{check:?}: {violation:?}"))
    });
    all.collect()
}

fn find(damage: &Damage) {
    let scene = Scene::new();
    scene.plant(damage.sql);
    if damage.is_forged {
        scene.forge_hashes();
    }
    let report = proof(&scene.path());
    let named = &report.findings.of(damage.check).named;
    let is_it = |violation: &&orderd::cli::verify::Violation| {
        violation.table == damage.table
            && (damage.key == "*" || violation.key == damage.key)
            && violation.what.contains(damage.what)
    };
    assert!(
        named.iter().any(|violation| is_it(&violation)),
        "{}\nshould be found by {:?}: {:#?}",
        damage.sql,
        damage.check,
        violations(&report)
    );
    let chain = report.findings.of(Check::HashChain).violations;
    assert!(!damage.is_forged || chain == 0, "hashes were not forged");
}

#[test]
fn damage_to_the_journal_is_named() {
    JOURNAL.iter().for_each(find);
}

#[test]
fn damage_to_orders_is_named() {
    ORDERS.iter().for_each(find);
}

#[test]
fn damage_to_counters_and_forged_histories_are_named() {
    REST.iter().for_each(find);
    COUNTERS.iter().for_each(find);
}

#[test]
fn forged_leases_are_named() {
    LEASES.iter().for_each(find);
}

#[test]
fn a_change_of_contents_alone_is_the_only_thing_found() {
    let scene = Scene::new();
    scene.plant("UPDATE tally SET orders = orders + 1 WHERE status = 7 AND priority = 2");
    let report = proof(&scene.path());
    for check in Check::ALL {
        let expected = u64::from(check == Check::Counters);
        assert_eq!(report.findings.of(check).violations, expected, "{check:?}");
    }
}

#[test]
fn a_row_that_cannot_be_read_does_not_hide_the_others() {
    let scene = Scene::new();
    scene.plant("UPDATE orders SET priority = 9 WHERE seq IN (5, 6, 140)");
    let report = proof(&scene.path());
    let keys = report.findings.of(Check::Contents).named.iter();
    let keys: Vec<_> = keys.map(|violation| violation.key.as_str()).collect();
    assert_eq!(keys, ["5", "6", "140"]);
    assert_eq!(report.findings.of(Check::Histories).violations, 0);
}

#[test]
fn a_broken_file_is_named() {
    let scene = Scene::new();
    let connection = scene.vandal();
    let pages = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.query_row(pages, [], |_| Ok(())).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'orders_open'";
    let page: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    drop(connection);
    let mut bytes = std::fs::read(scene.path()).unwrap();
    let at = (page as usize - 1) * 4_096;
    bytes[at + 100..at + 4_096].fill(0x5a);
    std::fs::write(scene.path(), bytes).unwrap();
    let report = proof(&scene.path());
    assert!(
        report.findings.of(Check::File).violations > 0,
        "{report:#?}"
    );
}
