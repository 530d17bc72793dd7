//! Database servers that are stopped, killed, full, locked and slow: new orders are refused in time
//! with nothing kept, reads say so, the process lives on, and service resumes by itself.
//!
//! Each server is the test's own; `Machine` says what can be done to it.

use std::time::Duration;

use orderd::clock::monotonic;
use orderd::engine;
use orderd::store::Timeouts;
use serde_json::json;

use super::databases;
use super::machines::{Machine, machines};
use super::proxy::{Mode, Proxy};
use super::support::{Reply, Setup, TestServer, order_with};

/// Longest until service resumes.
const RESUMES: Duration = Duration::from_secs(5);
/// Longest wait for the answer to whoever comes while it is known that the database is away.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long is waited for the servers of these tests.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    commit: Duration::from_secs(2),
    read: Duration::from_secs(1),
};
/// Longest wait for the answer to whoever finds out that it is away: a commit and a try to reach.
const FINDS_OUT: Duration = Duration::from_secs(4);
/// Most open orders: more than a test has stored, fewer than it has refused.
const OPEN_MAX: u64 = 60;
/// One that writes, two for single orders, two for lists, one for what is kept beside orders.
const SESSIONS_MAX: u64 = 6;
/// Connections of a server: for orderd and a few more.
const CONNECTIONS: u32 = 12;

/// A database by another way.
struct Proxied(String);

impl databases::Place for Proxied {
    fn url(&self) -> String {
        self.0.clone()
    }
}

struct Scene {
    machine: Box<dyn Machine>,
    proxy: Proxy,
    server: TestServer,
    /// Orders that were accepted.
    accepted: Vec<String>,
    refused: Vec<String>,
}

impl Scene {
    async fn on(machine: Box<dyn Machine>) -> Self {
        let proxy = Proxy::before(&machine.url(), machine.socket());
        let place = Box::new(Proxied(machine.url_by(proxy.port)));
        let setup = Setup {
            engine: engine::Settings {
                open_orders_max: OPEN_MAX,
                ..engine::Settings::default()
            },
            timeouts: TIMEOUTS,
            place: Some(place),
            ..Setup::default()
        };
        Self {
            server: TestServer::with(setup).await,
            machine,
            proxy,
            accepted: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Sends an order that starts another day, so that nothing but its acceptance is committed.
    async fn send(&mut self, id: &str) -> Reply {
        let order = json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"});
        let body = order_with(order).to_string();
        let reply = self.server.post("/v1/orders", body).await;
        match reply.status {
            201 => self.accepted.push(id.to_owned()),
            _ if reply.code() == "store-unavailable" => self.refused.push(id.to_owned()),
            _ => assert_eq!(reply.code(), "outcome-unknown"),
        }
        reply
    }

    /// What every outage is like, from the first order that meets it: nothing is accepted, soon
    /// everything is refused at once, and readiness says so.
    async fn is_away(&mut self, name: &str) {
        let began_at = monotonic();
        let first = self.send(&format!("{name}-first")).await;
        assert_eq!(first.status, 503, "{}", first.text());
        assert!(began_at.elapsed() < FINDS_OUT, "{:?}", began_at.elapsed());
        while self.server.get("/readyz").await.status == 200 {
            assert!(began_at.elapsed() < RESUMES, "readiness does not go down");
        }
        let began_at = monotonic();
        for number in 0..OPEN_MAX {
            let refused = self.send(&format!("{name}-{number}")).await;
            assert_eq!(refused.code(), "store-unavailable");
        }
        let cancel = format!("/v1/orders/{}/cancel", self.accepted[0]);
        let refused = self.server.post(&cancel, "{}").await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(self.server.get("/livez").await.status, 200);
        assert!(began_at.elapsed() < FINDS_OUT, "{:?}", began_at.elapsed());
        let unready = self.server.get("/readyz").await.json();
        assert_eq!(unready["checks"]["storage"], "unreachable");
    }

    /// Reads are answered 503, and soon.
    async fn refuses_reads(&self) {
        let began_at = monotonic();
        for path in ["/v1/orders/before", "/v1/orders", "/v1/events"] {
            let read = self.server.get(path).await;
            assert_eq!(read.code(), "store-unavailable");
        }
        assert!(began_at.elapsed() < 3 * (TIMEOUTS.read + AT_ONCE));
    }

    /// Sends one order after the other until one is taken; then everything is as it was told.
    async fn resumes(&mut self, name: &str) {
        let began_at = monotonic();
        for number in 0.. {
            let reply = self.send(&format!("{name}-again-{number}")).await;
            if reply.status == 201 {
                break;
            }
            assert!(began_at.elapsed() < RESUMES, "{}", reply.text());
        }
        let ready = self.server.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        for id in &self.accepted {
            let read = self.server.get(&format!("/v1/orders/{id}")).await;
            assert_eq!(read.json()["status"], "scheduled", "{}", read.text());
        }
        for id in &self.refused {
            let read = self.server.get(&format!("/v1/orders/{id}")).await;
            assert_eq!(read.status, 404, "{}", read.text());
        }
        self.refused.clear();
        let began_at = monotonic();
        while self.machine.sessions() > SESSIONS_MAX {
            assert!(began_at.elapsed() < RESUMES, "sessions leak");
        }
    }
}

#[tokio::test]
async fn a_server_may_be_stopped_and_killed_and_is_found_again() {
    for machine in machines(CONNECTIONS) {
        let mut scene = Scene::on(machine).await;
        assert_eq!(scene.send("before").await.status, 201);
        for name in ["stopped", "killed"] {
            match name {
                "stopped" => scene.machine.stop(),
                _ => scene.machine.kill(),
            }
            scene.is_away(name).await;
            scene.refuses_reads().await;
            scene.machine.start();
            scene.resumes(name).await;
        }
        scene.server.stop().await;
    }
}

#[tokio::test]
async fn a_server_without_connections_is_waited_for() {
    for machine in machines(CONNECTIONS) {
        let mut scene = Scene::on(machine).await;
        assert_eq!(scene.send("before").await.status, 201);
        let held = scene.machine.take_connections();
        scene.is_away("full").await;
        drop(held);
        scene.resumes("full").await;
        scene.server.stop().await;
    }
}

#[tokio::test]
async fn orders_that_wait_for_a_lock_are_refused_and_leave_no_sessions() {
    for machine in machines(CONNECTIONS) {
        let mut scene = Scene::on(machine).await;
        assert_eq!(scene.send("before").await.status, 201);
        for name in ["once", "twice"] {
            let held = scene.machine.lock_orders();
            scene.is_away(name).await;
            scene.refuses_reads().await;
            drop(held);
            scene.resumes(name).await;
        }
        scene.server.stop().await;
    }
}

#[tokio::test]
async fn slow_answers_are_waited_for_and_too_slow_ones_are_an_outage() {
    for machine in machines(CONNECTIONS) {
        let mut scene = Scene::on(machine).await;
        for (name, millis) in [("a", 50), ("b", 300)] {
            scene.proxy.slow_down(Duration::from_millis(millis));
            assert_eq!(scene.send(name).await.status, 201);
        }
        scene.proxy.slow_down(Duration::from_secs(5));
        scene.is_away("slow").await;
        scene.proxy.slow_down(Duration::ZERO);
        scene.resumes("slow").await;
        scene.server.stop().await;
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_holds_nobody_up() {
    for machine in machines(CONNECTIONS) {
        let mut scene = Scene::on(machine).await;
        assert_eq!(scene.send("before").await.status, 201);
        scene.proxy.set(Mode::Hold);
        scene.is_away("held").await;
        scene.refuses_reads().await;
        scene.proxy.set(Mode::Pass);
        scene.resumes("held").await;
        scene.server.stop().await;
    }
}
