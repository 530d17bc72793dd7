//! Somebody changes the settings of a database server while orderd runs: it is noticed, said, and
//! no new order is taken until a commit survives power loss again.

use std::time::Duration;

use orderd::clock::monotonic;
use serde_json::{Value, json};

use super::databases::{self, mysql, postgres};
use super::support::{Setup, TestServer, order_with};

/// Longest until a change is noticed.
const NOTICED: Duration = Duration::from_secs(10);

/// A database on a server of the test's own, whose settings are those of the whole server.
enum Own {
    Postgres(postgres::Server, String),
    Mysql(mysql::Server, String),
}

impl databases::Place for Own {
    fn url(&self) -> String {
        match self {
            Self::Postgres(server, name) => server.url(name),
            Self::Mysql(server, name) => server.url(name),
        }
    }
}

async fn ready(server: &TestServer) -> (u16, Value) {
    let reply = server.get("/readyz").await;
    (reply.status, reply.json()["checks"]["storage"].clone())
}

async fn until(server: &TestServer, expected: (u16, &str)) {
    let began_at = monotonic();
    loop {
        let (status, storage) = ready(server).await;
        if (status, &storage) == (expected.0, &json!(expected.1)) {
            return;
        }
        assert!(began_at.elapsed() < NOTICED, "{status} {storage}");
    }
}

/// Sends an order that starts another day, so that nothing but its acceptance is committed.
async fn send(server: &TestServer, id: &str) -> (u16, String) {
    let order = json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"});
    let body = order_with(order).to_string();
    let reply = server.post("/v1/orders", body).await;
    (reply.status, reply.text())
}

/// `change` makes a setting weak or good again; the text is how the server names it.
async fn noticed(place: Own, change: impl Fn(&str, bool), name: &str) {
    let url = databases::Place::url(&place);
    let setup = Setup {
        settings_every: Duration::from_millis(100),
        place: Some(Box::new(place)),
        ..Setup::default()
    };
    let server = TestServer::with(setup).await;
    assert_eq!(send(&server, "before").await.0, 201);
    for round in 0..2 {
        change(&url, true);
        until(&server, (503, "not-durable")).await;
        let (status, said) = send(&server, "refused").await;
        assert_eq!(status, 503, "{said}");
        assert!(said.contains("store-unavailable"), "{said}");
        let stats = server.get("/v1/stats").await.json();
        assert_eq!(stats["durability"]["level"], "weak");
        let detail = stats["durability"]["detail"].as_str().unwrap();
        assert!(detail.contains(name), "{detail}");
        let read = server.get("/v1/orders/before").await;
        assert_eq!(read.status, 200);
        change(&url, false);
        until(&server, (200, "ok")).await;
        assert_eq!(send(&server, &format!("after-{round}")).await.0, 201);
        let stats = server.get("/v1/stats").await.json();
        assert_eq!(stats["durability"]["level"], "disk");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_setting_of_postgres_that_becomes_weak_is_noticed() {
    if postgres::place().is_none() {
        return;
    }
    for setting in ["synchronous_commit", "fsync", "full_page_writes"] {
        let server = postgres::Server::start("");
        let name = server.database();
        let change = |url: &str, is_weak: bool| {
            let value = if is_weak { "off" } else { "on" };
            let set = format!("ALTER SYSTEM SET {setting} = {value}");
            postgres::run(url, &set).unwrap();
            postgres::run(url, "SELECT pg_reload_conf()").unwrap();
        };
        let named = format!("{setting} = off");
        noticed(Own::Postgres(server, name), change, &named).await;
    }
}

#[tokio::test]
async fn a_setting_of_mariadb_that_becomes_weak_is_noticed() {
    if mysql::place().is_none() {
        return;
    }
    let server = mysql::Server::start("");
    let name = server.database();
    let change = |url: &str, is_weak: bool| {
        let value = if is_weak { 2 } else { 1 };
        let set = format!("SET GLOBAL innodb_flush_log_at_trx_commit = {value}");
        mysql::run(url, &set).unwrap();
    };
    let named = "innodb_flush_log_at_trx_commit = 2";
    noticed(Own::Mysql(server, name), change, named).await;
}
