//! How many requests were answered, by route and status class. Counters only: no locks, no labels
//! from outside.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::Method;

/// A route, as far as metrics tell routes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /v1/orders`
    Create,
    /// `GET /v1/orders`
    List,
    /// `POST /v1/orders/batch`
    Batch,
    /// `GET /v1/orders/{id}`
    Read,
    /// `GET /v1/orders/{id}/events`
    History,
    /// `GET /v1/events`
    Events,
    /// `GET /v1/stats`
    Stats,
    /// Health, metrics, documents.
    Operations,
    /// Everything else, which is answered 404 or 405.
    Other,
}

impl Route {
    /// All routes, in the order of the enum.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::List,
        Self::Batch,
        Self::Read,
        Self::History,
        Self::Events,
        Self::Stats,
        Self::Operations,
        Self::Other,
    ];

    /// The route that a request goes to. The router decides for itself; this only names it.
    pub fn of(method: &Method, path: &str) -> Self {
        let is_post = method == Method::POST;
        if !is_post && method != Method::GET && method != Method::HEAD {
            return Self::Other;
        }
        let Some(rest) = path.strip_prefix("/v1/") else {
            return Self::operations(path);
        };
        match (is_post, rest) {
            (true, "orders") => Self::Create,
            (true, "orders/batch") => Self::Batch,
            (true, _) => Self::Other,
            (false, "orders") => Self::List,
            (false, "events") => Self::Events,
            (false, "stats") => Self::Stats,
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

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Batch => "batch",
            Self::Read => "read",
            Self::History => "history",
            Self::Events => "events",
            Self::Stats => "stats",
            Self::Operations => "operations",
            Self::Other => "other",
        }
    }
}

/// The status classes that are counted: 1xx is never answered.
pub const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Counters of answered requests.
#[derive(Debug, Default)]
pub struct RequestCount([[AtomicU64; CLASSES.len()]; Route::ALL.len()]);

impl RequestCount {
    /// Counts one answer.
    pub fn count(&self, route: Route, status: u16) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.0[route as usize][class].fetch_add(1, Ordering::Relaxed);
    }

    /// Answers so far to this route, by class as in `CLASSES`.
    pub fn of(&self, route: Route) -> [u64; CLASSES.len()] {
        std::array::from_fn(|class| self.0[route as usize][class].load(Ordering::Relaxed))
    }
}
