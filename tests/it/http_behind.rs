//! A store that stands behind what was flushed: a log that was cut, an older copy, another
//! database. SQLite takes each for sound; a start refuses them and names the way out.

use std::fs;
use std::path::{Path, PathBuf};

use orderd::cli::verify::{Check, prove};
use orderd::order::ShardNumber;
use orderd::store::sqlite::{FileSystem, Sqlite};
use orderd::store::{Options, Store, StoreError};
use serde_json::json;

use super::databases::Place;
use super::support::{Setup, TestServer, order_with};

async fn server(place: Option<Box<dyn Place>>) -> TestServer {
    let total = 1 << 40;
    let gauge = move || Some(FileSystem { free: total, total });
    let setup = Setup {
        gauge: Some(Box::new(gauge)),
        place,
        ..Setup::default()
    };
    TestServer::with(setup).await
}

async fn create(server: &TestServer, id: &str) {
    server.create(&order_with(json!({"order_id": id}))).await;
}

fn start(folder: &Path) -> Result<(), StoreError> {
    let options = Options {
        wants_witness: true,
        ..Options::readers(1)
    };
    let store = Sqlite::open_with(&folder.join("orders.db"), &options)?;
    store.open_shard(ShardNumber(0)).map(drop)
}

/// A start is refused, `orderd verify` says the same, and without the witness it goes on.
fn is_refused(folder: &Path, because: &str) {
    let witness = folder.join("orders.db.witness");
    let error = start(folder).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
    assert!(error.contains(&witness.display().to_string()), "{error}");
    let report = prove(
        &format!("sqlite:{}", folder.join("orders.db").display()),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(report.findings.of(Check::Heads).violations, 1);
    fs::remove_file(witness).unwrap();
    start(folder).unwrap();
}

/// A database with its log: one without the other is none.
const DATABASE: [&str; 2] = ["orders.db", "orders.db-wal"];

fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        } else if to.join(name).exists() {
            fs::remove_file(to.join(name)).unwrap();
        }
    }
}

/// The folder of a store.
fn folder(place: &dyn Place) -> PathBuf {
    let url = place.url();
    let path = Path::new(url.strip_prefix("sqlite:").unwrap());
    path.parent().unwrap().to_owned()
}

#[tokio::test]
async fn an_older_copy_is_not_taken_for_the_newest() {
    let older = tempfile::tempdir().unwrap();
    let running = server(None).await;
    create(&running, "a").await;
    let place = running.stop().await;
    let data = folder(&*place);
    start(&data).unwrap();
    copy(&data, older.path(), &DATABASE);
    let running = server(Some(place)).await;
    create(&running, "b").await;
    let _place = running.stop().await;
    start(&data).unwrap();
    copy(older.path(), &data, &DATABASE);
    is_refused(&data, "an older copy was put in its place");
}

#[tokio::test]
async fn a_log_that_was_cut_is_noticed() {
    let cut = tempfile::tempdir().unwrap();
    let running = server(None).await;
    for number in 0..20 {
        create(&running, &format!("order-{number}")).await;
    }
    let data = folder(&*running.place);
    // As a crash leaves it: the log is not copied yet.
    copy(&data, cut.path(), &DATABASE);
    let _place = running.stop().await;
    copy(&data, cut.path(), &["orders.db.witness"]);
    let log = cut.path().join("orders.db-wal");
    let length = fs::metadata(&log).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(length / 2).unwrap();
    is_refused(cut.path(), "its write-ahead log was cut or removed");
}

#[tokio::test]
async fn another_database_is_noticed() {
    let [one, other] = [server(None).await, server(None).await];
    create(&one, "a").await;
    create(&other, "b").await;
    create(&other, "c").await;
    let places = [one.stop().await, other.stop().await];
    let [one, other] = places.each_ref().map(|place| folder(&**place));
    copy(&other, &one, &DATABASE);
    let error = start(&one).unwrap_err().to_string();
    assert!(
        error.contains("another database was put in its place"),
        "{error}"
    );
}
