//! Puts routes and a voice behind each door: those of the native API, of dialects, or of both.
//!
//! Only wires together what others have built.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::doors::Place;
use super::listen::Opened;
use crate::clock::{self, Clock};
use crate::compat;
use crate::config::{CompatSettings, Config, DialectSettings};
use crate::engine::{BreakerSettings, Engine, PushParts, Pushes};
use crate::http::{self, App};
use crate::order::{Dialect, Step, StepKind};
use crate::outbound::{Client, ClientSettings};
use crate::server::{self, BodyBudget, Door, Front, Requests};
use crate::store::Store;
use crate::telling::{Feed, FeedSettings, WebhookParts, WebhookSettings, Webhooks};

/// Connections to a service that does steps that are kept while nothing is called.
const CALLS_KEPT: usize = 256;

/// What the doors lead to.
pub struct Behind<'a> {
    /// The native API.
    pub app: Arc<App>,
    /// What the dialects work with.
    pub compat: compat::Parts,
    /// How they are set.
    pub settings: &'a CompatSettings,
    /// The requests of all doors.
    pub requests: Arc<Requests>,
    /// The receivers of events.
    pub webhooks: Arc<Webhooks>,
    /// The steps that are sent to addresses.
    pub pushes: Arc<Pushes>,
}

impl<'a> Behind<'a> {
    /// All of it over this engine and its store. `random` gives ids and secrets.
    pub fn new(
        config: &'a Config,
        engine: &Engine,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        mut random: StdRng,
    ) -> Self {
        let dialects = config.compat.dialects.iter().map(|known| known.dialect);
        let requests = Arc::new(Requests::new(random.next_u32(), dialects.collect()));
        let bodies = BodyBudget::new(server::BODY_BUDGET_BYTES, config.server.body_timeout);
        let feed = Feed::new(
            Arc::clone(store),
            engine.handle().head(),
            http::render::event,
            FeedSettings {
                readers_max: usize::try_from(config.events.readers_max).unwrap_or(usize::MAX),
                heartbeat: config.events.heartbeat,
            },
        );
        let pushes = Pushes::start(PushParts {
            engine: engine.handle(),
            processes: engine.processes(),
            store: Arc::clone(store),
            client: step_client(config),
            clock: Arc::clone(clock),
            random: StdRng::from_rng(&mut random),
            words: http::WORDS,
            breaker: BreakerSettings::default(),
        });
        let webhooks = Webhooks::new(WebhookParts {
            feed: Arc::clone(&feed),
            store: Arc::clone(store),
            client: webhook_client(config),
            clock: Arc::clone(clock),
            random,
            settings: WebhookSettings {
                timeout: config.webhooks.timeout,
                give_up_after: config.webhooks.give_up_after,
                ..WebhookSettings::default()
            },
        });
        let app = App::new(http::Parts {
            engine: engine.handle(),
            store: Arc::clone(store),
            processes: engine.processes(),
            clock: Arc::clone(clock),
            bodies: bodies.clone(),
            requests: Arc::clone(&requests),
            feed,
            webhooks: Arc::clone(&webhooks),
            pushes: Some(Arc::clone(&pushes)),
        });
        let compat = compat::Parts {
            engine: engine.handle(),
            store: Arc::clone(store),
            processes: engine.processes(),
            clock: Arc::clone(clock),
            bodies,
            started: clock::monotonic(),
        };
        Self {
            app: Arc::new(app),
            compat,
            settings: &config.compat,
            requests,
            webhooks,
            pushes,
        }
    }

    /// A door for each opened place. Those with the same dialects lead to the same routes.
    pub fn doors(&self, opened: Vec<Opened>) -> Vec<Door> {
        let mut fronts: Vec<(Vec<Dialect>, Front)> = Vec::new();
        let mut doors = Vec::new();
        for Opened { place, listener } in opened {
            let known = fronts
                .iter()
                .find(|(dialects, _)| *dialects == place.dialects);
            let api = match known {
                Some((_, front)) => front.clone(),
                None => {
                    let front = self.front(&place);
                    fronts.push((place.dialects, front.clone()));
                    front
                }
            };
            doors.push(Door { listener, api });
        }
        doors
    }

    fn front(&self, place: &Place) -> Front {
        let requests = Arc::clone(&self.requests);
        let native = || http::router(Arc::clone(&self.app));
        if place.dialects.is_empty() {
            return Front::new(native(), http::voice(), requests);
        }
        let settings = place.dialects.iter().filter_map(|it| self.settings.of(*it));
        let settings: Vec<DialectSettings> = settings.cloned().collect();
        let has_native_api = place.has_native_api();
        let router = compat::router(&self.compat, &settings, has_native_api.then(native));
        let voice = compat::voice(&settings, has_native_api.then(http::voice));
        Front::new(router, voice, requests)
    }
}

/// How long a connection for a step may take: less than the step, so that a call that was never
/// sent is told from one that is slow.
fn connect_limit(config: &Config) -> Duration {
    let steps = config.processes.iter().flat_map(|process| &process.steps);
    let timeout = |step: &Step| match &step.kind {
        StepKind::Push(push) => u64::try_from(push.timeout_us).ok(),
        _ => None,
    };
    let shortest = steps.filter_map(timeout).min().map(Duration::from_micros);
    let limit = config.outbound.connect_timeout;
    shortest.map_or(limit, |shortest| limit.min(shortest * 3 / 4))
}

/// Calls the services of steps.
fn step_client(config: &Config) -> Client {
    client(config, CALLS_KEPT, connect_limit(config))
}

/// Calls the receivers of webhooks.
fn webhook_client(config: &Config) -> Client {
    let kept = ClientSettings::default().idle_per_host_max;
    client(config, kept, config.outbound.connect_timeout)
}

/// Calls others; keeps so many connections to each host that nothing is called over.
fn client(config: &Config, idle_per_host_max: usize, connect_timeout: Duration) -> Client {
    Client::new(ClientSettings {
        allowed: config.outbound.allowed(),
        connect_timeout,
        idle_per_host_max,
        ..ClientSettings::default()
    })
}
