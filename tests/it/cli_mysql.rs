//! The real binary on a MariaDB database: it serves, keeps the database to itself, shows no
//! password, comes back after a restart and is proved.

use super::cli_support::{Place, Server};
use super::databases::mysql;

/// The password in the URLs of the tests.
const PASSWORD: &str = "hush";

fn end(mut server: Server) {
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    assert!(
        server.heard.iter().all(|line| !line.contains(PASSWORD)),
        "{:?}",
        server.heard
    );
}

#[test]
fn it_serves_keeps_the_database_to_itself_and_comes_back() {
    let Some(database) = mysql::place() else {
        return;
    };
    let url = database.url();
    let place = Place::new();
    let server = place.serve(&["--store", &url]);
    let shown = server.heard.join("\n");
    assert!(shown.contains("mysql://orderd:***@"), "{shown}");
    assert!(
        shown.contains("innodb_flush_log_at_trx_commit=1"),
        "{shown}"
    );
    let item = ["--item", "tea:1:9.00", "--total", "9.00 EUR"];
    let create = ["orders", "create", "--id", "A-1", "--customer", "ada"];
    let arguments = [&create[..], &item, &["--url", &server.url]].concat();
    place.run(&arguments).expect(0);
    let second = place.run(&["serve", "--listen", "127.0.0.1:0", "--store", &url]);
    assert_eq!(second.code, Some(6), "{second:?}");
    assert!(
        second.err.contains("in use by another orderd"),
        "{second:?}"
    );
    assert!(!second.err.contains(PASSWORD), "{second:?}");
    end(server);
    let environment = [("DATABASE_URL", url.as_str())];
    let proof = place.run_with(&["verify"], &environment).expect(0);
    assert!(proof.contains("Everything holds"), "{proof}");
    let server = place.serve(&["--store", &url]);
    let order = place.run(&["orders", "get", "A-1", "--url", &server.url]);
    assert!(order.expect(0).contains("ada"));
    end(server);
}

#[test]
fn a_database_that_is_not_there_is_told_without_the_password() {
    let place = Place::new();
    let url = "mysql://me:hush@127.0.0.1:1/orders";
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--store", url]);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    let message = "cannot reach the database orders on 127.0.0.1:1: ";
    assert!(refused.err.contains(message), "{refused:?}");
    assert!(!refused.err.contains(PASSWORD), "{refused:?}");
    let shown = place.run_with(&["config", "show"], &[("DATABASE_URL", url)]);
    let shown = shown.expect(0);
    assert!(
        shown.contains("mysql://me:***@127.0.0.1:1/orders"),
        "{shown}"
    );
}

/// On servers of its own, because these settings are those of the whole server.
#[test]
fn settings_that_do_not_keep_a_commit_are_refused_by_name() {
    if mysql::place().is_none() {
        return;
    }
    for (settings, name) in [
        (
            "--innodb-flush-log-at-trx-commit=2",
            "innodb_flush_log_at_trx_commit = 2",
        ),
        ("--log-bin=log --sync-binlog=0", "sync_binlog = 0"),
        (
            "--innodb-flush-log-at-trx-commit=0",
            "innodb_flush_log_at_trx_commit = 0",
        ),
        ("--skip-innodb-doublewrite", "innodb_doublewrite = off"),
        (
            "--innodb-flush-method=nosync",
            "innodb_flush_method = nosync",
        ),
        ("--max-allowed-packet=1M", "max_allowed_packet = 1048576"),
    ] {
        let server = mysql::Server::start(settings);
        let url = server.url(&server.database());
        let place = Place::new();
        let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--store", &url]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(name), "{refused:?}");
    }
}
