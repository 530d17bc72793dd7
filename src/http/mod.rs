//! The native HTTP API: one file per noun, each with its routes first, then its structs, then its
//! handlers.
//!
//! Handlers extract, call once or twice, and answer: writes go to the engine, reads to the store.
//! `wire` is what comes in, `render` what goes out, `error` alone chooses status codes, and `voice`
//! speaks where no handler does. Nothing here decides what becomes of an order, or knows of
//! sockets.

mod aside;
pub mod batch;
mod changes;
mod changing;
mod code;
mod cursor;
mod dead;
mod diagnosis;
mod error;
mod events;
mod health;
mod idempotency;
mod if_match;
pub mod import;
mod leases;
mod list;
mod media_type;
mod metrics;
mod openapi;
mod orders;
mod outcome;
mod parameters;
mod prefer;
mod processes;
mod pushes;
mod queues;
pub mod render;
mod reports;
pub mod schema;
mod signals;
mod standby;
mod stats;
mod stream;
mod voice;
mod webhooks;
pub mod wire;
#[cfg(test)]
mod wire_tests;
mod work;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::Uri;
use tokio::sync::watch;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use code::{CODES, Code, Entry, FIELD_CODES};
pub use error::ApiError;
pub use events::{Event, EventPage, EventType};
pub use health::{Checks, Liveness, Readiness, Version};
pub use orders::created;
pub use standby::standby;
pub use stats::StatsView;
pub use voice::voice;
pub use work::WORDS;

use crate::clock::Clock;
use crate::engine::{Handle, Pushes};
use crate::order::Processes;
use crate::server::{BodyBudget, Requests, Room};
use crate::store::Store;
use crate::telling::{Feed, Webhooks};

/// How long a request waits for room for its answer.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);

/// What the handlers work with.
pub struct App {
    engine: Handle,
    store: Arc<dyn Store>,
    processes: Arc<Processes>,
    clock: Arc<dyn Clock>,
    bodies: BodyBudget,
    requests: Arc<Requests>,
    feed: Arc<Feed>,
    webhooks: Arc<Webhooks>,
    pushes: Option<Arc<Pushes>>,
    document: OnceLock<Bytes>,
    draining: watch::Sender<bool>,
}

/// What an [`App`] is made of.
pub struct Parts {
    /// Takes orders.
    pub engine: Handle,
    /// Reads them.
    pub store: Arc<dyn Store>,
    /// The processes that an order may name.
    pub processes: Arc<Processes>,
    /// Tells how long ago things were.
    pub clock: Arc<dyn Clock>,
    /// Bounds what request bodies take of memory and time.
    pub bodies: BodyBudget,
    /// Counts the requests of all doors.
    pub requests: Arc<Requests>,
    /// Tells what happens.
    pub feed: Arc<Feed>,
    /// Tells it to receivers.
    pub webhooks: Arc<Webhooks>,
    /// Sends steps to their addresses, if anybody does.
    pub pushes: Option<Arc<Pushes>>,
}

impl App {
    /// An app of these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            engine: parts.engine,
            store: parts.store,
            processes: parts.processes,
            clock: parts.clock,
            bodies: parts.bodies,
            requests: parts.requests,
            feed: parts.feed,
            webhooks: parts.webhooks,
            pushes: parts.pushes,
            document: OnceLock::new(),
            draining: watch::Sender::new(false),
        }
    }

    /// The server begins to shut down: it is not ready any more, and whoever waits for the end of
    /// an order is answered with its state now. Streams end.
    pub fn begin_drain(&self) {
        self.draining.send_replace(true);
        self.feed.close();
    }

    fn is_accepting(&self) -> bool {
        !*self.draining.borrow() && self.engine.is_accepting()
    }

    /// Room for an answer of about this many bytes, taken before anything is changed.
    async fn room(&self, bytes: usize) -> Result<Room, ApiError> {
        let room = self.requests.room(bytes, ROOM_PATIENCE).await;
        room.ok_or_else(ApiError::unread)
    }

    /// The OpenAPI document as text, made when it is first asked for.
    fn document(&self) -> Bytes {
        self.document
            .get_or_init(|| openapi::text(&openapi()))
            .clone()
    }
}

/// Every route. Requests must come through a [`crate::server::Front`] with the native [`voice`],
/// which finishes errors.
pub fn router(app: Arc<App>) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

/// The OpenAPI 3.1 document of every route.
pub fn openapi() -> OpenApi {
    openapi::of(routes().into_openapi())
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::empty())
        .merge(orders::router())
        .merge(changes::router())
        .merge(signals::router())
        .merge(dead::router())
        .merge(leases::router())
        .merge(queues::router())
        .merge(list::router())
        .merge(batch::router())
        .merge(import::router())
        .merge(events::router())
        .merge(stream::router())
        .merge(webhooks::router())
        .merge(stats::router())
        .merge(processes::router())
        .merge(health::router())
        .merge(metrics::router())
        .merge(openapi::router())
}

async fn route_not_found(uri: Uri) -> ApiError {
    let detail = format!("there is nothing at {}", uri.path());
    ApiError::new(Code::RouteNotFound, detail)
}

async fn method_not_allowed() -> ApiError {
    let detail = "the path exists, but not with this method; see the Allow header";
    ApiError::new(Code::MethodNotAllowed, detail)
}
