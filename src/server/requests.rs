//! What is known of all requests together: the id of each, and how many were answered, by route and
//! status class. Counters only: no locks, no labels from outside.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::room::{ANSWER_BUDGET_BYTES, AnswerBudget, Room};
use crate::order::Dialect;

/// The header with a request's id, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken over from a client, in bytes.
const REQUEST_ID_LENGTH_MAX: usize = 64;

const MASK_48: u64 = (1 << 48) - 1;

/// A route, as far as metrics tell routes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /v1/orders`
    Create,
    /// `GET /v1/orders`, `GET /v1/dead-letters`
    List,
    /// `POST /v1/orders/batch`
    Batch,
    /// `POST /v1/orders/import`
    Import,
    /// `POST /v1/orders/{id}/…`, `POST /v1/dead-letters/replay`
    Change,
    /// `POST /v1/queues/{queue}/…`
    Queues,
    /// `GET /v1/orders/{id}`
    Read,
    /// `GET /v1/orders/{id}/events`
    History,
    /// `GET /v1/events`, `GET /v1/events/stream`
    Events,
    /// `/v1/webhooks` and below
    Webhooks,
    /// `GET /v1/stats`, `GET /v1/processes` and below
    Stats,
    /// Health, metrics, documents.
    Operations,
    /// Everything else, which is answered 404 or 405.
    Other,
    /// All paths of a dialect.
    Compat(Dialect),
}

impl Route {
    /// The routes of the native API.
    const NATIVE: [Self; 13] = [
        Self::Create,
        Self::List,
        Self::Batch,
        Self::Import,
        Self::Change,
        Self::Queues,
        Self::Read,
        Self::History,
        Self::Events,
        Self::Webhooks,
        Self::Stats,
        Self::Operations,
        Self::Other,
    ];
    const COUNT: usize = Self::NATIVE.len() + Dialect::ALL.len();

    /// The native route that a request goes to, or `Other`. The router decides for itself; this
    /// only names it.
    pub fn native(method: &Method, path: &str) -> Self {
        let is_post = method == Method::POST;
        if path == "/v1/webhooks" || path.starts_with("/v1/webhooks/") {
            return Self::Webhooks;
        }
        if !is_post && method != Method::GET && method != Method::HEAD {
            return Self::Other;
        }
        let Some(rest) = path.strip_prefix("/v1/") else {
            return Self::operations(path);
        };
        match (is_post, rest) {
            (true, "orders") => Self::Create,
            (true, "orders/batch") => Self::Batch,
            (true, "orders/import") => Self::Import,
            (true, "dead-letters/replay") => Self::Change,
            (true, rest) if rest.starts_with("orders/") => Self::Change,
            (true, rest) if rest.starts_with("queues/") => Self::Queues,
            (true, _) => Self::Other,
            (false, "orders") => Self::List,
            (false, "dead-letters") => Self::List,
            (false, "events" | "events/stream") => Self::Events,
            (false, "stats" | "processes") => Self::Stats,
            (false, rest) if rest.starts_with("processes/") => Self::Stats,
            (false, _) => match rest
                .strip_prefix("orders/")
                .map(|rest| rest.split_once('/'))
            {
                Some(None) => Self::Read,
                Some(Some((_, "events"))) => Self::History,
                _ => Self::Other,
            },
        }
    }

    fn operations(path: &str) -> Self {
        match path {
            "/livez" | "/readyz" | "/healthz" | "/metrics" | "/openapi.json" | "/version" => {
                Self::Operations
            }
            _ if path.starts_with("/errors/") => Self::Operations,
            _ => Self::Other,
        }
    }

    fn index(self) -> usize {
        let dialect = |dialect| Dialect::ALL.iter().position(|known| *known == dialect);
        match self {
            Self::Create => 0,
            Self::List => 1,
            Self::Batch => 2,
            Self::Import => 3,
            Self::Change => 4,
            Self::Queues => 5,
            Self::Read => 6,
            Self::History => 7,
            Self::Events => 8,
            Self::Webhooks => 9,
            Self::Stats => 10,
            Self::Operations => 11,
            Self::Other => 12,
            Self::Compat(own) => Self::NATIVE.len() + dialect(own).unwrap_or_default(),
        }
    }

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Batch => "batch",
            Self::Import => "import",
            Self::Change => "change",
            Self::Queues => "queues",
            Self::Read => "read",
            Self::History => "history",
            Self::Events => "events",
            Self::Webhooks => "webhooks",
            Self::Stats => "stats",
            Self::Operations => "operations",
            Self::Other => "other",
            Self::Compat(Dialect::TwoQueue) => "compat/two_queue",
            Self::Compat(Dialect::Realtime) => "compat/realtime",
            Self::Compat(Dialect::OrderService) => "compat/order_service",
            Self::Compat(Dialect::ApiV1) => "compat/api_v1",
            Self::Compat(Dialect::OrdersApi) => "compat/orders_api",
        }
    }
}

/// The status classes that are counted: 1xx is never answered.
pub const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// All requests of a server, whichever door they came through.
#[derive(Debug)]
pub struct Requests {
    id_prefix: u32,
    last: AtomicU64,
    dialects: Vec<Dialect>,
    /// Room for the large ones among the answers.
    pub(super) room: AnswerBudget,
    answers: [[AtomicU64; CLASSES.len()]; Route::COUNT],
}

impl Requests {
    /// None so far. `id_prefix` is random and becomes the first half of the ids of this run;
    /// `dialects` are spoken.
    pub fn new(id_prefix: u32, dialects: Vec<Dialect>) -> Self {
        Self {
            id_prefix,
            last: AtomicU64::new(0),
            dialects,
            room: AnswerBudget::new(ANSWER_BUDGET_BYTES),
            answers: Default::default(),
        }
    }

    /// Room for an answer of about this many bytes, after waiting for it; `None` if there is none
    /// for that long.
    pub async fn room(&self, bytes: usize, patience: Duration) -> Option<Room> {
        self.room.wait(bytes, patience).await
    }

    /// The client's id if it is fit to be repeated, otherwise a new one.
    pub(super) fn id(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(id) = headers.get(X_REQUEST_ID) {
            let bytes = id.as_bytes();
            let fits = !bytes.is_empty() && bytes.len() <= REQUEST_ID_LENGTH_MAX;
            if fits && bytes.iter().all(u8::is_ascii_graphic) {
                return id.clone();
            }
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let bits = (u128::from(self.id_prefix) << 48) | u128::from(number & MASK_48);
        let text: Vec<u8> = (0..20)
            .map(|at| b"0123456789abcdef"[(bits >> (76 - 4 * at)) as usize & 15])
            .collect();
        HeaderValue::from_maybe_shared(Bytes::from(text))
            .unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    /// Counts one answer.
    pub fn count(&self, route: Route, status: u16) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.answers[route.index()][class].fetch_add(1, Ordering::Relaxed);
    }

    /// The routes that can be answered: those of the native API, then the dialects.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        let dialects = self.dialects.iter().map(|dialect| Route::Compat(*dialect));
        Route::NATIVE.into_iter().chain(dialects)
    }

    /// Answers so far to this route, by class as in `CLASSES`.
    pub fn of(&self, route: Route) -> [u64; CLASSES.len()] {
        std::array::from_fn(|class| self.answers[route.index()][class].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_route_has_a_place_and_a_name_of_its_own() {
        let requests = Requests::new(0, Dialect::ALL.into());
        let routes: Vec<Route> = requests.routes().collect();
        let places: Vec<usize> = routes.iter().map(|route| route.index()).collect();
        assert_eq!(places, (0..Route::COUNT).collect::<Vec<_>>());
        let names: BTreeSet<&str> = routes.iter().map(|route| route.name()).collect();
        assert_eq!(names.len(), Route::COUNT);
        for dialect in Dialect::ALL {
            let name = format!("compat/{}", dialect.name());
            assert_eq!(Route::Compat(dialect).name(), name);
        }
    }

    #[test]
    fn answers_are_counted_by_route_and_class() {
        let requests = Requests::new(0, Vec::new());
        for status in [200, 201, 404, 503] {
            requests.count(Route::Compat(Dialect::ApiV1), status);
        }
        assert_eq!(requests.of(Route::Compat(Dialect::ApiV1)), [2, 0, 1, 1]);
        let lease = Route::native(&Method::POST, "/v1/queues/warehouse/lease");
        assert_eq!(lease, Route::Queues);
        assert_eq!(requests.of(Route::Compat(Dialect::OrdersApi)), [0; 4]);
        assert!(
            !requests
                .routes()
                .any(|route| route == Route::Compat(Dialect::ApiV1))
        );
    }
}
