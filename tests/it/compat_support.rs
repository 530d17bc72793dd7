//! A server that speaks all dialects, each on a free port in place of its usual one, for one test.
//!
//! Its clock stands still until the test moves it, so work of any length takes no time. Requests
//! are written as the commands that their users type, answers as in the documentation.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use orderd::clock::{self, ManualClock, Timestamp};
use orderd::compat;
use orderd::config::DialectSettings;
use orderd::engine::{self, Engine};
use orderd::http;
use orderd::order::{Currency, Dialect, Process, ShardNumber, StatusKind};
use orderd::outbound;
use orderd::server::{self, BodyBudget, Door, Front, Requests, ServerSettings};
use orderd::store::{self, Store};
use orderd::telling::{Feed, FeedSettings, WebhookParts, WebhookSettings, Webhooks};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::chosen;
use crate::compat_curl::{self, check};
use crate::compat_faults::{Faults, Faulty};
use crate::databases::Place;
use crate::support::{Connection, Reply, within};

/// The usual port of the native API alone.
pub const NATIVE: u16 = 7070;
/// When the clock of a test begins.
const START: Timestamp = Timestamp(1_795_231_450_000_000);

/// What a server is started with.
#[derive(Clone)]
pub struct Setup {
    pub engine: engine::Settings,
    pub server: ServerSettings,
    pub dialects: Vec<DialectSettings>,
    pub processes: Vec<Process>,
}

impl Default for Setup {
    /// All dialects with the processes that they come with.
    fn default() -> Self {
        Self::of(&Dialect::ALL)
    }
}

impl Setup {
    /// These dialects only.
    pub fn of(dialects: &[Dialect]) -> Self {
        let settings = |dialect: &Dialect| DialectSettings {
            dialect: *dialect,
            listen: Vec::new(),
            currency: Currency::from_code("USD").unwrap(),
            completed_word: "processed".into(),
            is_profiling: false,
        };
        let processes = dialects.iter().map(|dialect| dialect.built_in_process());
        Self {
            engine: engine::Settings::default(),
            server: ServerSettings::default(),
            dialects: dialects.iter().map(settings).collect(),
            processes: processes.chain([Process::built_in()]).collect(),
        }
    }

    /// The process of a dialect, to be changed.
    pub fn process(&mut self, dialect: Dialect) -> &mut Process {
        let mut processes = self.processes.iter_mut();
        processes
            .find(|process| *process.name == *dialect.name())
            .unwrap()
    }
}

/// A running server. It is drained and its engine joined by `stop`.
pub struct CompatServer {
    pub clock: ManualClock,
    pub handle: engine::Handle,
    setup: Setup,
    pub faults: Arc<Faults>,
    addresses: BTreeMap<u16, SocketAddr>,
    engine: Engine,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    place: Box<dyn Place>,
}

impl CompatServer {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        Self::begin(setup, chosen::place(), ManualClock::new(START)).await
    }

    async fn begin(setup: Setup, place: Box<dyn Place>, clock: ManualClock) -> Self {
        let faults = Arc::new(Faults::default());
        let store = store::open(&place.url(), 2).unwrap();
        let store: Arc<dyn Store> = Arc::new(Faulty::new(store, Arc::clone(&faults)));
        let engine = Engine::start(engine::Start {
            store: Arc::clone(&store),
            shard: ShardNumber::default(),
            processes: setup.processes.clone(),
            settings: setup.engine.clone(),
            clock: Arc::new(clock.clone()),
            random: StdRng::seed_from_u64(1),
        })
        .unwrap();
        let (doors, app) = doors(&setup, &engine, &store, &clock).await;
        let addresses = doors.iter().map(|(port, door)| {
            let address = door.listener.local_addr().unwrap();
            (*port, address)
        });
        let addresses = addresses.collect();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
            app.begin_drain();
        };
        let doors = doors.into_iter().map(|(_, door)| door).collect();
        let served = tokio::spawn(server::serve(doors, setup.server.clone(), shutdown));
        Self {
            clock,
            handle: engine.handle(),
            setup,
            faults,
            addresses,
            engine,
            stop,
            served,
            place,
        }
    }

    /// Sends the shutdown, and waits until everything has ended well.
    pub async fn stop(self) {
        self.end().await;
    }

    /// Ends it well, and starts another on the same data.
    pub async fn restart(self) -> Self {
        let (setup, clock) = (self.setup.clone(), self.clock.clone());
        let place = self.end().await;
        Self::begin(setup, place, clock).await
    }

    async fn end(self) -> Box<dyn Place> {
        self.stop.send(()).unwrap();
        within(self.served).await.unwrap();
        self.handle.drain();
        let engine = self.engine;
        let joined = tokio::task::spawn_blocking(move || engine.join());
        within(joined).await.unwrap().unwrap();
        self.place
    }

    /// From now on reads of the store fail, or do so no longer.
    pub fn fail_reads(&self, wants_failure: bool) {
        self.faults
            .reads_fail
            .store(wants_failure, Ordering::SeqCst);
    }

    /// Sends what `curl` would send for this command, to the door that stands for the port in it.
    pub async fn curl(&self, command: &str) -> Reply {
        let request = compat_curl::parse(command);
        let headers: Vec<&str> = request.headers.iter().map(String::as_str).collect();
        let mut connection = self.connect(request.port).await;
        connection.write(request.bytes(&headers)).await;
        connection.reply().await
    }

    /// Types a command and checks the answer, written as `status content-type | body`. Gives what
    /// stood in the places of its placeholders.
    pub async fn says(&self, command: &str, expected: &str) -> Vec<String> {
        check(&self.curl(command).await, expected)
    }

    pub async fn connect(&self, port: u16) -> Connection {
        let address = self.addresses.get(&port);
        let address = address.unwrap_or_else(|| panic!("nothing listens for {port}"));
        Connection(TcpStream::connect(address).await.unwrap())
    }

    /// One request on a connection of its own. `headers` are whole lines without their ends.
    pub async fn send(
        &self,
        port: u16,
        start: &str,
        headers: &[&str],
        body: impl AsRef<[u8]>,
    ) -> Reply {
        let mut connection = self.connect(port).await;
        connection.request(start, headers, body.as_ref()).await;
        if start.starts_with("HEAD ") {
            connection.head_reply().await
        } else {
            connection.reply().await
        }
    }

    pub async fn get(&self, port: u16, path: &str) -> Reply {
        self.send(port, &format!("GET {path}"), &[], "").await
    }

    pub async fn post(&self, port: u16, path: &str, body: impl AsRef<[u8]>) -> Reply {
        let json = "Content-Type: application/json";
        self.send(port, &format!("POST {path}"), &[json], body)
            .await
    }

    /// Posts each body and checks the answer to it.
    pub async fn refuses(&self, port: u16, path: &str, cases: &[(&str, &str)]) {
        for (body, expected) in cases {
            let reply = self.post(port, path, body).await;
            let told = reply.header("orderd-error");
            assert!(told.contains("; "), "{body}: {told}");
            check(&reply, expected);
        }
    }

    /// Posts all bodies at once, each on a connection of its own.
    pub async fn at_once(
        &self,
        port: u16,
        path: &str,
        bodies: impl IntoIterator<Item = String>,
    ) -> Vec<Reply> {
        let (address, start) = (self.addresses[&port], format!("POST {path}"));
        let all = bodies.into_iter().map(|body| {
            let start = start.clone();
            tokio::spawn(async move {
                let mut connection = Connection(TcpStream::connect(address).await.unwrap());
                let headers = ["Content-Type: application/json", "Connection: close"];
                connection.request(&start, &headers, body.as_bytes()).await;
                connection.reply().await
            })
        });
        let mut replies = Vec::new();
        for one in all.collect::<Vec<_>>() {
            replies.push(one.await.unwrap());
        }
        replies
    }

    /// How many orders are stored.
    pub async fn count(&self) -> i64 {
        self.handle.stats().await.unwrap().tally.total()
    }

    /// How many orders wait, and how many are being worked on.
    async fn open(&self) -> (i64, i64) {
        let tally = self.handle.stats().await.unwrap().tally;
        let now = |status| tally.by_status(status);
        (now(StatusKind::Pending), now(StatusKind::Processing))
    }

    /// Waits until every order that has room is being worked on: each look is a turn of the
    /// engine, and nothing has moved for some.
    pub async fn begin_work(&self) {
        let mut seen = self.open().await;
        let mut same = 0;
        while same < 4 {
            let now = self.open().await;
            same = if now == seen { same + 1 } else { 0 };
            seen = now;
        }
    }

    /// Lets the clock run, a second at a time, until no order is waiting or being worked on.
    pub async fn finish_work(&self) {
        let finished = async {
            loop {
                self.begin_work().await;
                if self.open().await == (0, 0) {
                    return;
                }
                self.clock.advance(clock::MICROS_PER_SECOND);
            }
        };
        within(finished).await;
    }
}

/// A door for each usual port, and the native API.
async fn doors(
    setup: &Setup,
    engine: &Engine,
    store: &Arc<dyn Store>,
    clock: &ManualClock,
) -> (Vec<(u16, Door)>, Arc<http::App>) {
    let spoken = setup.dialects.iter().map(|settings| settings.dialect);
    let requests = Arc::new(Requests::new(0x1234_abcd, spoken.collect()));
    let bodies = BodyBudget::new(server::BODY_BUDGET_BYTES, server::BODY_TIMEOUT);
    let feed = Feed::new(
        Arc::clone(store),
        engine.handle().head(),
        http::render::event,
        FeedSettings::default(),
    );
    let webhooks = Webhooks::new(WebhookParts {
        feed: Arc::clone(&feed),
        store: Arc::clone(store),
        client: outbound::Client::new(outbound::ClientSettings {
            allowed: outbound::Allowed::everything(),
            ..outbound::ClientSettings::default()
        }),
        clock: Arc::new(clock.clone()),
        random: StdRng::seed_from_u64(2),
        settings: WebhookSettings::default(),
    });
    let app = Arc::new(http::App::new(http::Parts {
        engine: engine.handle(),
        store: Arc::clone(store),
        processes: engine.processes(),
        clock: Arc::new(clock.clone()),
        bodies: bodies.clone(),
        requests: Arc::clone(&requests),
        feed,
        webhooks,
        pushes: None,
    }));
    let parts = compat::Parts {
        engine: engine.handle(),
        store: Arc::clone(store),
        processes: engine.processes(),
        clock: Arc::new(clock.clone()),
        bodies,
        started: clock::monotonic(),
    };
    let mut doors = Vec::new();
    for port in [8080, 8000, 3000, NATIVE] {
        let dialects = setup.dialects.iter();
        let dialects = dialects.filter(|settings| settings.dialect.port() == port);
        let dialects: Vec<_> = dialects.cloned().collect();
        let is_native = port == 8080 || port == NATIVE;
        let router = is_native.then(|| http::router(Arc::clone(&app)));
        let router = compat::router(&parts, &dialects, router);
        let voice = compat::voice(&dialects, is_native.then(http::voice));
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        // Room for everybody who comes at once, as `serve` has it.
        let listener = socket.listen(4_096).unwrap();
        let api = Front::new(router, voice, Arc::clone(&requests));
        doors.push((port, Door { listener, api }));
    }
    (doors, app)
}
