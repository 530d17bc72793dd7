//! A server for one test, and a client that sends exactly the bytes it is told to.
//!
//! Never shared between tests: each has its own port, folder and engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use orderd::clock::SystemClock;
use orderd::engine::{self, BreakerSettings, Engine, PushParts, Pushes};
use orderd::http;
use orderd::order::{Process, RetryPolicy, ShardNumber, Simulate, Step, StepKind};
use orderd::outbound;
use orderd::server::{self, BodyBudget, Door, Front, Requests, ServerSettings};
use orderd::store::sqlite::{Gauge, Sqlite};
use orderd::store::{self, Options, Store, Timeouts};
use orderd::telling::{Feed, FeedSettings, WebhookParts, WebhookSettings, Webhooks};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::chosen;
use super::compat_faults::{Faults, Faulty};
use super::databases::{Place, sqlite};
use super::unchecked;

/// Longest that any wait in a test may take before it counts as a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server is started with.
pub struct Setup {
    pub engine: engine::Settings,
    pub server: ServerSettings,
    pub feed: FeedSettings,
    pub webhooks: WebhookSettings,
    pub breaker: BreakerSettings,
    pub bodies: BodyBudget,
    pub processes: Vec<Process>,
    /// Says how much is free on the disk; there is a witness beside the database then. `None`:
    /// nobody looks.
    pub gauge: Option<Gauge>,
    /// How long is waited for a database server.
    pub timeouts: Timeouts,
    /// Where it listens. `None`: at a free port.
    pub address: Option<SocketAddr>,
    /// What goes wrong with the store.
    pub faults: Option<Arc<Faults>>,
    /// How often the settings of a database server are read.
    pub settings_every: Duration,
    /// With the data of a server that was stopped. `None`: with none.
    pub place: Option<Box<dyn Place>>,
}

impl Default for Setup {
    /// Processes: `default` is done at once, `slow` never, `failing` is dead after one attempt.
    fn default() -> Self {
        Self {
            engine: engine::Settings::default(),
            server: ServerSettings::default(),
            feed: FeedSettings::default(),
            webhooks: WebhookSettings::default(),
            breaker: BreakerSettings::default(),
            bodies: BodyBudget::new(server::BODY_BUDGET_BYTES, server::BODY_TIMEOUT),
            processes: vec![
                process("default", 0, 0),
                process("slow", 3_600_000_000, 0),
                process("failing", 0, 1_000_000),
            ],
            gauge: None,
            timeouts: Timeouts::default(),
            address: None,
            faults: None,
            settings_every: store::SETTINGS_EVERY,
            place: None,
        }
    }
}

/// A process of one step, which takes so long.
pub fn process(name: &str, micros: i64, failures_ppm: u32) -> Process {
    let simulate = Simulate {
        shortest_us: micros,
        longest_us: micros,
        failures_ppm,
        ..Simulate::default()
    };
    let retry = RetryPolicy {
        attempts_max: 1,
        ..RetryPolicy::default()
    };
    Process {
        name: name.into(),
        version: 1,
        concurrency: u32::MAX,
        open_orders_max: 0,
        steps: vec![Step {
            undo: None,
            name: "work".into(),
            kind: StepKind::Simulate(simulate),
            concurrency: u32::MAX,
            retry,
        }],
    }
}

/// A store on a disk of which the gauge tells how full it is. Only SQLite looks at its disk.
fn full_disk(gauge: Gauge, place: Option<Box<dyn Place>>) -> (Box<dyn Place>, Arc<dyn Store>) {
    let place = place.unwrap_or_else(|| sqlite::place().unwrap());
    let options = Options {
        free_space_min: None,
        wants_witness: true,
        ..Options::readers(2)
    };
    let url = place.url();
    let path = url.strip_prefix("sqlite:").unwrap();
    let store = Sqlite::open_on(path.as_ref(), &options, gauge, Box::new(|| Ok(())));
    (place, Arc::new(store.unwrap()))
}

/// Those who tell what happens; any address may be called.
async fn telling(
    store: &Arc<dyn Store>,
    engine: &Engine,
    (feed, webhooks): (FeedSettings, WebhookSettings),
) -> (Arc<Feed>, Arc<Webhooks>) {
    let head = engine.handle().head();
    let feed = Feed::new(Arc::clone(store), head, http::render::event, feed);
    let webhooks = Webhooks::new(WebhookParts {
        feed: Arc::clone(&feed),
        store: Arc::clone(store),
        client: client(),
        clock: Arc::new(SystemClock::default()),
        random: StdRng::seed_from_u64(2),
        settings: webhooks,
    });
    webhooks.load().await.unwrap();
    (feed, webhooks)
}

/// Calls whom it is told to.
fn client() -> outbound::Client {
    outbound::Client::new(outbound::ClientSettings {
        allowed: outbound::Allowed::everything(),
        ..outbound::ClientSettings::default()
    })
}

/// Those who send steps to their addresses; any may be called.
fn pushes(store: &Arc<dyn Store>, engine: &Engine, breaker: BreakerSettings) -> Arc<Pushes> {
    Pushes::start(PushParts {
        engine: engine.handle(),
        processes: engine.processes(),
        store: Arc::clone(store),
        client: client(),
        clock: Arc::new(SystemClock::default()),
        random: StdRng::seed_from_u64(3),
        words: http::WORDS,
        breaker,
    })
}

/// A running server. It is drained and its engine joined by `stop`.
pub struct TestServer {
    pub address: SocketAddr,
    pub handle: engine::Handle,
    engine: Engine,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    webhooks: Arc<Webhooks>,
    pushes: Arc<Pushes>,
    pub place: Box<dyn Place>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let (place, store) = match setup.gauge {
            None => {
                let place = setup.place.unwrap_or_else(chosen::place);
                let options = Options {
                    timeouts: setup.timeouts,
                    settings_every: setup.settings_every,
                    ..Options::readers(2)
                };
                let store = store::open_with(&place.url(), &options).unwrap();
                (place, store)
            }
            Some(gauge) => full_disk(gauge, setup.place),
        };
        let store = match setup.faults {
            Some(faults) => Arc::new(Faulty::new(store, faults)) as Arc<dyn Store>,
            None => store,
        };
        let engine = Engine::start(engine::Start {
            store: Arc::clone(&store),
            shard: ShardNumber::default(),
            processes: setup.processes,
            settings: setup.engine,
            clock: Arc::new(SystemClock::default()),
            random: StdRng::seed_from_u64(1),
        })
        .unwrap();
        let requests = Arc::new(Requests::new(0x1234_abcd, Vec::new()));
        let told = (setup.feed, setup.webhooks);
        let (feed, webhooks) = telling(&store, &engine, told).await;
        let pushes = pushes(&store, &engine, setup.breaker);
        let app = Arc::new(http::App::new(http::Parts {
            engine: engine.handle(),
            store,
            processes: engine.processes(),
            clock: Arc::new(SystemClock::default()),
            bodies: setup.bodies,
            requests: Arc::clone(&requests),
            feed,
            webhooks: Arc::clone(&webhooks),
            pushes: Some(Arc::clone(&pushes)),
        }));
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(setup.address.unwrap_or(free)).await;
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = http::router(Arc::clone(&app));
        let api = Front::new(router, http::voice(), requests);
        let shutdown = async move {
            let _ = stopped.await;
            app.begin_drain();
        };
        let served = tokio::spawn(server::serve(
            vec![Door { listener, api }],
            setup.server,
            shutdown,
        ));
        Self {
            address,
            handle: engine.handle(),
            engine,
            stop,
            served,
            webhooks,
            pushes,
            place,
        }
    }

    /// Changes the database behind the server's back, whatever the schema says to it.
    pub fn damage(&self, sql: &str) {
        assert!(unchecked::run(&self.place.url(), sql).unwrap() > 0, "{sql}");
    }

    /// Sends the shutdown, and waits until everything has ended well. Answers with its data.
    pub async fn stop(self) -> Box<dyn Place> {
        self.stop.send(()).unwrap();
        within(self.served).await.unwrap();
        self.pushes.finish(PATIENCE).await;
        self.webhooks.finish().await;
        self.handle.drain();
        let engine = self.engine;
        let joined = tokio::task::spawn_blocking(move || engine.join());
        within(joined).await.unwrap().unwrap();
        self.place
    }

    /// Tells the server to stop accepting, and gives what is left to wait for.
    pub fn begin_stop(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.served
    }

    pub async fn connect(&self) -> Connection {
        Connection(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request on a connection of its own. `headers` are whole lines without their ends.
    pub async fn send(&self, start: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Reply {
        let mut connection = self.connect().await;
        connection.request(start, headers, body.as_ref()).await;
        connection.reply().await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path}"), &[], "").await
    }

    pub async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        let json = "Content-Type: application/json";
        self.send(&format!("POST {path}"), &[json], body).await
    }

    /// Creates an order that must be accepted.
    pub async fn create(&self, order: &Value) -> Value {
        let reply = self.post("/v1/orders", order.to_string()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    /// How many orders are stored.
    pub async fn count(&self) -> i64 {
        self.get("/v1/stats").await.json()["orders"]["total"]
            .as_i64()
            .unwrap()
    }
}

/// A small good order.
pub fn order() -> Value {
    json!({
        "customer_id": "c1",
        "items": [{"sku": "A", "quantity": 2, "unit_price": 500}],
        "total": {"amount": 1_000, "currency": "USD"}
    })
}

/// The small good order with some fields changed.
pub fn order_with(fields: Value) -> Value {
    let mut order = order();
    for (key, value) in fields.as_object().unwrap() {
        order[key] = value.clone();
    }
    order
}

/// A connection that keeps open.
pub struct Connection(pub TcpStream);

impl Connection {
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    pub async fn request(&mut self, start: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("{start} HTTP/1.1\r\nHost: orders.test\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.write(&[head.as_bytes(), body].concat()).await;
        self.0.flush().await.unwrap();
    }

    /// Reads one answer by its `Content-Length`; an answer to HEAD has no body.
    pub async fn reply(&mut self) -> Reply {
        within(self.read_reply(true)).await
    }

    pub async fn head_reply(&mut self) -> Reply {
        within(self.read_reply(false)).await
    }

    async fn read_reply(&mut self, has_body: bool) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let mut reply = Reply::parse(&String::from_utf8(head).unwrap());
        let length = reply.headers.get("content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        if has_body {
            reply.body = vec![0; length];
            self.0.read_exact(&mut reply.body).await.unwrap();
        }
        reply
    }

    /// Everything until the server closes. A reset counts as closed.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    fn parse(head: &str) -> Self {
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// In how many seconds to try again.
    pub fn retry_after(&self) -> u32 {
        self.header("retry-after").parse().unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    /// The code of a problem, whose form is checked too.
    pub fn code(&self) -> String {
        let problem: http::schema::Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.r#type, format!("/errors/{}", problem.code));
        assert_eq!(
            problem.request_id.as_deref(),
            Some(self.header("x-request-id"))
        );
        let retry_after = problem.retry_after.map(|seconds| seconds.to_string());
        assert_eq!(self.headers.get("retry-after"), retry_after.as_ref());
        assert_eq!(retry_after.is_some(), self.status == 503);
        assert!(http::CODES.iter().any(|entry| entry.name == problem.code));
        problem.code
    }
}

/// The outcome of something that must not hang.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

/// All at once, on one task.
pub async fn together<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut pending {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if pending.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}
