//! A database server goes away and comes back: new orders are refused meanwhile and nothing is
//! kept, the truth is told about commits that were under way, and service resumes by itself.
//!
//! The same for every database server; one is two lines at the end and its part of `Kind`.

use std::time::Duration;

use orderd::clock::monotonic;
use orderd::engine;
use orderd::store::Timeouts;
use serde_json::json;

use super::databases::{Place, mysql, postgres};
use super::proxy::{Mode, Proxy};
use super::support::{Reply, Setup, TestServer, order_with, together};

/// Longest until service resumes.
const RESUMES: Duration = Duration::from_secs(5);
/// Longest wait for a refusal.
const REFUSED: Duration = Duration::from_secs(2);

/// Shorter than usual, so that a test does not take long.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    commit: Duration::from_secs(5),
    read: Duration::from_secs(2),
};

/// Most open orders: more than a test has stored, fewer than it has refused.
const OPEN_MAX: u64 = 30;

/// A database by another way.
struct Proxied(String);

impl Place for Proxied {
    fn url(&self) -> String {
        self.0.clone()
    }
}

/// A database server.
#[derive(Clone, Copy)]
enum Kind {
    Postgres,
    Mysql,
}

impl Kind {
    /// A fresh database, and a way to it that can be cut. `None` if it is left out.
    fn database(self) -> Option<(Box<dyn Place>, Proxy, String)> {
        let database = match self {
            Self::Postgres => postgres::place()?,
            Self::Mysql => mysql::place()?,
        };
        let url = database.url();
        let (proxy, by_it) = match self {
            Self::Postgres => {
                let (before, folder) = url.split_once("?host=").unwrap();
                let name = before.rsplit('/').next().unwrap();
                let proxy = Proxy::to(format!("{folder}/.s.PGSQL.5432").into());
                let at = format!("orderd@127.0.0.1:{}", proxy.port);
                (proxy, format!("postgres://{at}/{name}?sslmode=disable"))
            }
            Self::Mysql => {
                let (before, socket) = url.split_once("?socket=").unwrap();
                let proxy = Proxy::to_mysql(socket.into());
                let at = format!("127.0.0.1:{}", proxy.port);
                let before = before.replace("localhost", &at);
                (proxy, format!("{before}?ssl-mode=DISABLED"))
            }
        };
        Some((database, proxy, by_it))
    }

    /// Sessions of orderd on a database.
    fn sessions(self, url: &str) -> u64 {
        let sessions = match self {
            Self::Postgres => postgres::run(
                url,
                "SELECT 1 FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'orderd'",
            ),
            Self::Mysql => mysql::run(
                url,
                "CREATE OR REPLACE TABLE sessions AS
                 SELECT 1 FROM information_schema.processlist
                  WHERE db = DATABASE() AND id <> CONNECTION_ID()",
            ),
        };
        sessions.unwrap()
    }
}

struct Scene {
    kind: Kind,
    database: Box<dyn Place>,
    proxy: Proxy,
    server: TestServer,
}

impl Scene {
    /// `None` if this database is left out.
    async fn new(kind: Kind) -> Option<Self> {
        let (database, proxy, url) = kind.database()?;
        let setup = Setup {
            engine: engine::Settings {
                open_orders_max: OPEN_MAX,
                ..engine::Settings::default()
            },
            timeouts: TIMEOUTS,
            place: Some(Box::new(Proxied(url))),
            ..Setup::default()
        };
        let server = TestServer::with(setup).await;
        Some(Self {
            kind,
            database,
            proxy,
            server,
        })
    }

    /// Sends an order that starts another day, so that nothing but its acceptance is committed.
    async fn send(&self, id: &str) -> Reply {
        let order = json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"});
        let body = order_with(order).to_string();
        self.server.post("/v1/orders", body).await
    }

    async fn is_there(&self, id: &str) -> bool {
        let reply = self.server.get(&format!("/v1/orders/{id}")).await;
        assert!(matches!(reply.status, 200 | 404), "{}", reply.text());
        reply.status == 200
    }

    /// Sends one order after the other until one is taken.
    async fn resumes(&self) {
        let began_at = monotonic();
        for number in 0.. {
            let reply = self.send(&format!("again-{number}")).await;
            if reply.status == 201 {
                break;
            }
            assert!(began_at.elapsed() < RESUMES, "{}", reply.text());
        }
        let ready = self.server.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
    }

    fn sessions(&self) -> u64 {
        self.kind.sessions(&self.database.url())
    }
}

async fn while_the_database_is_away_orders_are_refused_and_it_resumes_by_itself(scene: Scene) {
    assert_eq!(scene.send("before").await.status, 201);
    assert!(scene.is_there("before").await);
    for round in 0..3 {
        scene.proxy.set(Mode::Refuse);
        let began_at = monotonic();
        let id = format!("refused-{round}");
        let refused = scene.send(&id).await;
        assert!(began_at.elapsed() < REFUSED, "{:?}", began_at.elapsed());
        assert_eq!(refused.code(), "store-unavailable");
        for number in 0..OPEN_MAX {
            let refused = scene.send(&format!("refused-{round}-{number}")).await;
            assert_eq!(refused.code(), "store-unavailable");
        }
        assert_eq!(scene.server.get("/livez").await.status, 200);
        while scene.server.get("/readyz").await.status == 200 {
            assert!(began_at.elapsed() < RESUMES);
        }
        let unready = scene.server.get("/readyz").await.json();
        assert_eq!(unready["checks"]["storage"], "unreachable");
        let read = scene.server.get("/v1/orders/before").await;
        assert_eq!(read.status, 503, "{}", read.text());
        scene.proxy.set(Mode::Pass);
        scene.resumes().await;
        assert!(scene.is_there("before").await);
        assert!(!scene.is_there(&id).await, "a refused order was kept");
    }
    assert!(scene.sessions() <= 1 + 2 + 2, "{}", scene.sessions());
    scene.server.stop().await;
}

async fn a_connection_cut_in_a_commit_is_told_as_it_is(scene: Scene) {
    for round in 0..5 {
        let id = format!("stored-{round}");
        scene.proxy.set(Mode::CutAfterCommit);
        assert_eq!(scene.send(&id).await.status, 201);
        assert_eq!(scene.proxy.mode(), Mode::Pass, "nothing was cut");
        assert!(scene.is_there(&id).await);

        let id = format!("lost-{round}");
        scene.proxy.set(Mode::CutBeforeCommit);
        let refused = scene.send(&id).await;
        assert_eq!(refused.code(), "store-unavailable");
        assert_eq!(scene.proxy.mode(), Mode::Pass, "nothing was cut");
        assert!(!scene.is_there(&id).await);
        scene.resumes().await;
        assert!(!scene.is_there(&id).await);
    }
    assert!(scene.sessions() <= 1 + 2 + 2, "{}", scene.sessions());
    scene.server.stop().await;
}

async fn a_commit_whose_answer_is_lost_for_long_is_called_unknown_and_found_later(scene: Scene) {
    for round in 0..2 {
        let id = format!("unknown-{round}");
        scene.proxy.set(Mode::CutAfterCommitAndRefuse);
        assert_eq!(scene.send(&id).await.code(), "outcome-unknown");
        let refused = scene.send(&format!("refused-{round}")).await;
        assert_eq!(refused.code(), "store-unavailable");
        assert_eq!(scene.server.get("/readyz").await.status, 503);
        scene.proxy.set(Mode::Pass);
        scene.resumes().await;
        assert!(scene.is_there(&id).await);
        assert!(!scene.is_there(&format!("refused-{round}")).await);
        let again = scene.send(&id).await;
        assert_eq!(again.status, 409, "{}", again.text());
    }
    scene.server.stop().await;
}

async fn a_lost_answer_to_a_request_under_a_key_is_called_unknown_and_found_under_the_key(
    scene: Scene,
) {
    assert_eq!(scene.send("held").await.status, 201);
    let later = json!({"order_id": "single", "start_at": "2999-01-01T00:00:00Z"});
    let single = order_with(later).to_string();
    // Its order has a key of its own.
    let batch = single.replace("\"order_id\":\"single\"", "\"idempotency_key\":\"k\"");
    let batch = format!("[{batch}]");
    for (path, body) in [
        ("/v1/orders", &*single),
        ("/v1/orders/batch", &*batch),
        ("/v1/orders/held/hold", r#"{"reason": "fraud?"}"#),
    ] {
        let start = format!("POST {path}");
        let headers = ["Content-Type: application/json", "Idempotency-Key: k"];
        let headers = match path.ends_with("batch") {
            true => &headers[..1],
            false => &headers,
        };
        scene.proxy.set(Mode::CutAfterCommitAndRefuse);
        let lost = scene.server.send(&start, headers, body).await;
        assert!(lost.text().contains("outcome-unknown"), "{}", lost.text());
        scene.proxy.set(Mode::Pass);
        scene.resumes().await;
        let again = scene.server.send(&start, headers, body).await;
        assert_eq!(again.status / 100, 2, "{}", again.text());
        assert_eq!(again.header("idempotency-replayed"), "true", "{path}");
    }
    scene.server.stop().await;
}

async fn a_commit_is_known_though_the_answer_was_lost_twice(scene: Scene) {
    for round in 0..3 {
        let id = format!("twice-{round}");
        scene.proxy.set(Mode::CutAfterTwoCommits);
        let told = scene.send(&id).await;
        let is_known = told.status == 201 || told.code() == "outcome-unknown";
        assert!(is_known, "{}", told.text());
        scene.resumes().await;
        assert_eq!(scene.proxy.mode(), Mode::Pass, "not both were cut");
        assert!(scene.is_there(&id).await);
        assert_eq!(scene.send(&id).await.status, 409);
    }
    scene.server.stop().await;
}

/// Whoever waits for the turn of another one is told as soon as that is.
async fn reads_are_answered_in_time_while_nothing_comes_from_the_database(scene: Scene) {
    assert_eq!(scene.send("before").await.status, 201);
    assert!(scene.is_there("before").await);
    scene.proxy.set(Mode::Hold);
    let began_at = monotonic();
    let reads = (0..60).map(|_| scene.server.get("/v1/orders/before"));
    for read in together(reads).await {
        assert_eq!(read.code(), "store-unavailable");
    }
    let took = began_at.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    scene.proxy.set(Mode::Pass);
    scene.resumes().await;
    scene.server.stop().await;
}

/// Makes a test of each case for each database.
macro_rules! on_each {
    ($($module:ident: $kind:ident),+; $cases:tt) => {
        $(on_each!(# $module: $kind; $cases);)+
    };
    (# $module:ident: $kind:ident; [$($case:ident),+ $(,)?]) => {
        mod $module {
            use super::{Kind, Scene};

            $(#[tokio::test]
            async fn $case() {
                if let Some(scene) = Scene::new(Kind::$kind).await {
                    super::$case(scene).await;
                }
            })+
        }
    };
}

on_each! {
    on_postgres: Postgres, on_mysql: Mysql;
    [
        while_the_database_is_away_orders_are_refused_and_it_resumes_by_itself,
        a_connection_cut_in_a_commit_is_told_as_it_is,
        a_commit_whose_answer_is_lost_for_long_is_called_unknown_and_found_later,
        a_lost_answer_to_a_request_under_a_key_is_called_unknown_and_found_under_the_key,
        a_commit_is_known_though_the_answer_was_lost_twice,
        reads_are_answered_in_time_while_nothing_comes_from_the_database,
    ]
}
