//! The native HTTP API: one file per noun, each with its routes first, then its structs, then its handlers.
//!
//! Handlers extract, call once or twice, and answer: writes go to the engine, reads to the store. `wire` is
//! what comes in, `render` what goes out, `error` alone chooses status codes, `front` stands before every
//! route, and `server` owns the sockets. Nothing here decides what becomes of an order.

mod body;
mod code;
mod connection;
mod diagnosis;
mod error;
mod front;
mod orders;
mod prefer;
pub mod render;
mod request_count;
mod server;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use utoipa_axum::router::OpenApiRouter;

pub use body::{BATCH_BYTES_MAX, BodyBudget, ORDER_BYTES_MAX};
pub use code::{CODES, Code, Entry, FIELD_CODES};
pub use error::ApiError;
pub use front::Front;
pub use request_count::{RequestCount, Route};
pub use server::{ServerSettings, serve};

use crate::clock::Clock;
use crate::engine::Handle;
use crate::order::Processes;
use crate::store::Store;

/// How long the whole body of a request may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Room for all bodies above 64 KiB that are in memory at once, in bytes.
pub const BODY_BUDGET_BYTES: usize = 256 << 20;

/// What the handlers work with.
pub struct App {
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
    /// Counts answers, for the metrics.
    pub requests: Arc<RequestCount>,
    /// Random bits from the composition root: the first half of the request ids of this run.
    pub request_id_prefix: u32,
}

/// Every route. Requests must come through [`Front`], which gives them ids and finishes errors.
pub fn router(app: Arc<App>) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().merge(orders::router())
}

async fn route_not_found(uri: Uri) -> ApiError {
    let detail = format!("there is nothing at {}", uri.path());
    ApiError::new(Code::RouteNotFound, detail)
}

async fn method_not_allowed() -> ApiError {
    let detail = "the path exists, but not with this method; see the Allow header";
    ApiError::new(Code::MethodNotAllowed, detail)
}
