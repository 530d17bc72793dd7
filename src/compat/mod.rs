//! Five existing wire formats over the same engine, so that their clients go on working.
//!
//! A dialect's file translates its requests to the types of orders, and orders back to its answers;
//! nothing else. What dialects share is in the files beside them: `json`, `decimal` and `fields`
//! read, `desk` takes orders in, `refusal` says what is wrong, `words` and `answer` say it in the
//! old way; `openapi` and `page` describe them. Nothing here knows how orders are kept.

pub mod accept;
pub mod answer;
mod api_v1;
pub mod counters;
pub mod decimal;
pub mod desk;
pub mod fields;
pub mod json;
pub mod lines;
pub mod media_type;
pub mod openapi;
mod order_service;
mod orders_api;
pub mod page;
mod profile;
#[cfg(unix)]
mod profile_file;
mod realtime;
pub mod refusal;
mod sampling;
mod speaker;
mod two_queue;
pub mod words;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::response::Response;
use tower::ServiceExt;

use self::answer::Wording;
use self::desk::Desk;
use self::refusal::{Code, Refusal};
use self::speaker::Speaker;
use crate::clock::Clock;
use crate::config::DialectSettings;
use crate::engine::Handle;
use crate::order::{Dialect, Processes};
use crate::server::{BodyBudget, RequestHead, Voice};
use crate::store::Store;

/// The dialects that are spoken. A path that two of one door own is the first one's.
const WIRES: [&Wire; 5] = [
    &two_queue::WIRE,
    &realtime::WIRE,
    &order_service::WIRE,
    &api_v1::WIRE,
    &orders_api::WIRE,
];

/// A wire format: all that the common code knows about a dialect.
pub struct Wire {
    /// Whose it is.
    pub dialect: Dialect,
    /// Whether it answers for a path, even if only to say that nothing is there.
    pub owns: fn(&str) -> bool,
    /// Its handlers. They may fail with a [`Refusal`], which is then worded.
    pub routes: fn(&Desk) -> Router<Arc<Desk>>,
    /// What it says to a refusal that has no text of its own, unless all dialects say the same
    /// ([`Wording::common`]).
    pub wording: fn(&RequestHead<'_>, &Refusal) -> Wording,
    /// How it sends what it says.
    pub envelope: fn(&RequestHead<'_>, &Refusal, &Wording) -> Response,
}

/// What the dialects need of the rest of the server.
#[derive(Clone)]
pub struct Parts {
    /// Takes orders.
    pub engine: Handle,
    /// Reads them.
    pub store: Arc<dyn Store>,
    /// The processes that there are.
    pub processes: Arc<Processes>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Bounds what request bodies take of memory and time.
    pub bodies: BodyBudget,
    /// When the server started.
    pub started: Instant,
}

/// The routes behind one door: those of its dialects, and everything else of the native API if that
/// is served there too.
pub fn router(parts: &Parts, dialects: &[DialectSettings], native: Option<Router>) -> Router {
    let neighbours: Arc<[Dialect]> = dialects.iter().map(|own| own.dialect).collect();
    let mut router = Router::new();
    for (wire, settings) in spoken(dialects) {
        let desk = Arc::new(Desk {
            parts: parts.clone(),
            settings: settings.clone(),
            neighbours: Arc::clone(&neighbours),
        });
        let routes = (wire.routes)(&desk)
            .method_not_allowed_fallback(method_not_allowed)
            .route_layer(middleware::from_fn_with_state(wire, speaker::word))
            .with_state(desk);
        router = router.merge(routes);
    }
    let speaker = Speaker::new(dialects, None);
    router.fallback(move |request| elsewhere(native, speaker, request))
}

/// The voice of the same door. `native` is that of the native API, if that is served there too.
pub fn voice(dialects: &[DialectSettings], native: Option<Arc<dyn Voice>>) -> Arc<dyn Voice> {
    Arc::new(Speaker::new(dialects, native))
}

/// The wire formats of these dialects, in the order of the table.
fn spoken(dialects: &[DialectSettings]) -> impl Iterator<Item = (&'static Wire, &DialectSettings)> {
    WIRES.into_iter().filter_map(|wire| {
        let mut settings = dialects.iter();
        let settings = settings.find(|settings| settings.dialect == wire.dialect)?;
        Some((wire, settings))
    })
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "see the Allow header")
}

/// What no route of a dialect takes.
async fn elsewhere(native: Option<Router>, speaker: Speaker, request: Request) -> Response {
    if let Some(native) = native
        && speaker::is_native(request.uri().path())
    {
        let Ok(response) = native.oneshot(request).await;
        return response;
    }
    let refusal = Refusal::new(Code::RouteNotFound, "there is nothing at this path");
    speaker.say_to(&request, &refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_has_its_wire_format() {
        assert_eq!(WIRES.map(|wire| wire.dialect), Dialect::ALL);
    }
}
