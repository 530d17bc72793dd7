//! The few answers of a server that waits for another one to end: it lives, it is not ready, and it
//! takes nothing.
//!
//! Knows no store and no engine, because there are none yet.

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};

use super::code::Code;
use super::error::ApiError;
use super::health::{self, Checks, Readiness};

/// What a server answers that waits for the store of another one.
pub fn standby() -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(unready))
        .route("/healthz", get(unready))
        .route("/version", get(health::version))
        .fallback(refuse)
}

async fn unready() -> (StatusCode, Json<Readiness>) {
    let standby = || "standby".to_owned();
    let body = Readiness {
        status: standby(),
        checks: Checks {
            accepting: standby(),
            engine: standby(),
            storage: standby(),
        },
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

async fn refuse() -> ApiError {
    let detail = "another server has the store; this one is a standby and waits for it";
    ApiError::new(Code::StoreUnavailable, detail)
}
