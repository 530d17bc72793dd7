//! The doors of a server without sockets and threads of their own: requests go to the routers, and
//! the engine takes its turns in between, by hand and under a clock that stands still.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use orderd::clock::{self, ManualClock};
use orderd::compat;
use orderd::config::DialectSettings;
use orderd::engine::{self, Engine, Turns};
use orderd::http;
use orderd::order::{
    Currency, Dialect, Process, Processes, Pull, RetryPolicy, ShardNumber, Simulate, Step, StepKind,
};
use orderd::outbound;
use orderd::server::{self, BodyBudget, Requests, Voice};
use orderd::store::{self, Store};
use orderd::telling::{Feed, FeedSettings, WebhookParts, WebhookSettings, Webhooks};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tower::ServiceExt;

use super::place::{self, Place};
use super::way::NOW;

/// After so many requests the store is thrown away, so that it does not grow for ever.
const REQUESTS_MAX: usize = 2_000;
/// Longest that an answer may take that nobody asked to wait for.
const PATIENCE: Duration = Duration::from_secs(1);
/// When a client that asked to wait hangs up.
const HANG_UP: Duration = Duration::from_millis(2);
/// Longest answer that is looked at.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The native API.
pub const NATIVE: &str = "native";

/// An answer with all of its body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a header of text"))
    }
}

/// The doors by name: that of the native API and those of the dialects.
pub struct Doors {
    routers: BTreeMap<&'static str, Router>,
    voice: Arc<dyn Voice>,
    store: Arc<dyn Store>,
    turns: Turns,
    clock: ManualClock,
    requests: usize,
    folder: TempDir,
}

impl Doors {
    pub fn new() -> Self {
        let folder = place::folder();
        let url = format!("sqlite:{}", folder.path().join("orders.db").display());
        let store: Arc<dyn Store> = store::open(&url, 1).expect("a store");
        let (clock, processes) = (ManualClock::new(NOW), processes());
        let start = engine::Start {
            store: Arc::clone(&store),
            shard: ShardNumber(0),
            processes: processes.clone(),
            settings: engine::Settings::default(),
            clock: Arc::new(clock.clone()),
            random: StdRng::seed_from_u64(1),
        };
        let (handle, turns) = Engine::by_hand(start, 1_000).expect("an engine");
        let processes = Processes::new(processes, Vec::new()).expect("no name twice");
        let parts = compat::Parts {
            engine: handle,
            store: Arc::clone(&store),
            processes: Arc::new(processes),
            clock: Arc::new(clock.clone()),
            bodies: BodyBudget::new(server::BODY_BUDGET_BYTES, server::BODY_TIMEOUT),
            started: clock::monotonic(),
        };
        let mut routers: BTreeMap<_, _> = Dialect::ALL
            .into_iter()
            .map(|dialect| {
                (
                    dialect.name(),
                    compat::router(&parts, &[settings(dialect)], None),
                )
            })
            .collect();
        routers.insert(NATIVE, native(&parts));
        Self {
            routers,
            voice: http::voice(),
            store,
            turns,
            clock,
            requests: 0,
            folder,
        }
    }

    /// Whether it is time for others.
    pub fn is_worn_out(&self) -> bool {
        self.requests >= REQUESTS_MAX
    }

    /// Where the orders are.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The file of the store.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("orders.db")
    }

    /// Whether there is a door with this name.
    pub fn has(&self, name: &str) -> bool {
        self.routers.contains_key(name)
    }

    /// Sends a request through a door. `None`: it wanted to wait longer than anybody does here.
    pub fn send(&mut self, place: &Place, door: &str, request: Request<Body>) -> Option<Answer> {
        self.requests += 1;
        self.clock.advance(1_000);
        let is_lease = request.uri().path().ends_with("/lease");
        let patience = match is_lease || request.headers().contains_key("prefer") {
            true => HANG_UP,
            false => PATIENCE,
        };
        let router = self.routers[door].clone();
        let answer = place.wait(async {
            let mut answer = pin!(router.oneshot(request));
            let since = clock::monotonic();
            loop {
                tokio::select! {
                    biased;
                    Ok(answer) = &mut answer => return Some(answer),
                    () = tokio::task::yield_now() => self.turn(),
                }
                if clock::monotonic().duration_since(since) > patience {
                    return None;
                }
            }
        });
        assert!(
            answer.is_some() || patience == HANG_UP,
            "no answer within {PATIENCE:?}"
        );
        // What was accepted is done, as far as it takes no time.
        (0..4).for_each(|_| self.turn());
        let answer = answer?;
        let answer = match answer.status().is_success() || door != NATIVE {
            true => answer,
            false => self.voice.finish(answer, &HeaderValue::from_static("r-1")),
        };
        let (head, body) = answer.into_parts();
        let body = place.wait(to_bytes(body, ANSWER_BYTES_MAX));
        Some(Answer {
            status: head.status,
            headers: head.headers,
            body: body.expect("a whole body"),
        })
    }

    fn turn(&mut self) {
        let turned = self.turns.turn(Duration::ZERO).expect("a store that works");
        assert!(
            matches!(turned, ControlFlow::Continue(())),
            "the engine ended"
        );
    }
}

fn native(parts: &compat::Parts) -> Router {
    let feed = Feed::new(
        Arc::clone(&parts.store),
        parts.engine.head(),
        http::render::event,
        FeedSettings::default(),
    );
    let webhooks = Webhooks::new(WebhookParts {
        feed: Arc::clone(&feed),
        store: Arc::clone(&parts.store),
        client: outbound::Client::new(outbound::ClientSettings::default()),
        clock: Arc::clone(&parts.clock),
        random: StdRng::seed_from_u64(1),
        settings: WebhookSettings::default(),
    });
    let app = http::App::new(http::Parts {
        engine: parts.engine.clone(),
        store: Arc::clone(&parts.store),
        processes: Arc::clone(&parts.processes),
        clock: Arc::clone(&parts.clock),
        bodies: parts.bodies.clone(),
        requests: Arc::new(Requests::new(1, Vec::new())),
        feed,
        webhooks,
        pushes: None,
    });
    http::router(Arc::new(app))
}

fn settings(dialect: Dialect) -> DialectSettings {
    DialectSettings {
        dialect,
        listen: Vec::new(),
        currency: Currency::USD,
        completed_word: "processed".into(),
        is_profiling: false,
    }
}

/// Those of the dialects, one whose work takes no time, one that always fails, and one that workers
/// do.
fn processes() -> Vec<Process> {
    let own = [("default", 0), ("failing", 1_000_000)].map(|(name, failures_ppm)| Process {
        name: name.into(),
        version: 1,
        concurrency: u32::MAX,
        open_orders_max: 0,
        steps: vec![Step {
            undo: None,
            name: "work".into(),
            kind: StepKind::Simulate(Simulate {
                shortest_us: 0,
                longest_us: 0,
                failures_ppm,
                ..Simulate::default()
            }),
            concurrency: u32::MAX,
            retry: RetryPolicy {
                attempts_max: 1,
                ..RetryPolicy::default()
            },
        }],
    });
    let mut packed = Process {
        name: "packed".into(),
        ..Process::built_in()
    };
    packed.steps[0].name = "pack".into();
    packed.steps[0].kind = StepKind::Pull(Pull {
        queue: "warehouse".into(),
        lease_us: 2_000,
    });
    let dialects = Dialect::ALL.map(Dialect::built_in_process);
    let all = own.into_iter().chain([packed]).chain(dialects);
    all.collect()
}
