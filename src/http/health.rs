//! For whoever watches the server: is it alive, does it take orders, which version is it.
//!
//! Never waits for the store: a slow disk must not get a living server killed.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

/// How long the engine may take to answer a question before it counts as stuck.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(healthz))
        .routes(routes!(version))
}

/// Whether the process runs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: String,
}

/// Whether the server takes orders, and why not.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// `ok` if every check is, otherwise `unready`; `standby` of a server that waits for the store
    /// of another one.
    #[schema(example = "ok")]
    pub status: String,
    /// Each check.
    pub checks: Checks,
}

/// What readiness depends on; each is `ok` or says what is wrong, `standby` for all of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Checks {
    /// New orders are taken: the server is not shutting down.
    #[schema(example = "ok")]
    pub accepting: String,
    /// The engine answers.
    #[schema(example = "ok")]
    pub engine: String,
    /// New orders can be stored. Otherwise `full`: there is no room for them on the disk, accepted
    /// ones go on and can be read and changed; `refusing`: a commit was refused for another reason
    /// and is tried again; `unreachable`: there is no way to the database; or `not-durable`: its
    /// settings were changed, and a commit would not survive power loss.
    #[schema(example = "ok")]
    pub storage: String,
}

/// Which orderd this is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Always `orderd`.
    #[schema(example = "orderd")]
    pub name: String,
    /// Its version.
    #[schema(example = "0.1.0")]
    pub version: String,
}

/// Is the process alive?
///
/// Always 200 while the process runs, whatever state it is in.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operations",
    operation_id = "livez",
    responses((status = 200, description = "The process runs.", body = Liveness))
)]
pub(super) async fn livez() -> Json<Liveness> {
    Json(Liveness { status: ok() })
}

/// Are orders taken?
///
/// 503 while the server shuts down, when its engine has ended or does not answer within 5 s, when
/// the disk is nearly full, when the store refuses, or when there is no way to the database: the
/// body says which. While the disk is full accepted orders go on, and can be read and changed.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    operation_id = "readyz",
    responses(
        (status = 200, description = "Orders are taken.", body = Readiness),
        (status = 503, description = "Orders are not taken.", body = Readiness)
    )
)]
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<Readiness>) {
    readiness(&app).await
}

/// Are orders taken? (alias)
///
/// The same as `/readyz`.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    operation_id = "healthz",
    responses(
        (status = 200, description = "Orders are taken.", body = Readiness),
        (status = 503, description = "Orders are not taken.", body = Readiness)
    )
)]
async fn healthz(State(app): State<Arc<App>>) -> (StatusCode, Json<Readiness>) {
    readiness(&app).await
}

/// Which orderd is this?
#[utoipa::path(
    get,
    path = "/version",
    tag = "operations",
    operation_id = "readVersion",
    responses((status = 200, description = "Name and version.", body = Version))
)]
pub(super) async fn version() -> Json<Version> {
    Json(Version {
        name: "orderd".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

fn ok() -> String {
    "ok".to_owned()
}

async fn readiness(app: &App) -> (StatusCode, Json<Readiness>) {
    let is_accepting = app.is_accepting();
    let mut storage = ok();
    let engine = match tokio::time::timeout(ENGINE_PATIENCE, app.engine.stats()).await {
        Ok(Some(stats)) => {
            if stats.room.is_away {
                storage = "unreachable".to_owned();
            } else if stats.room.is_weak {
                storage = "not-durable".to_owned();
            } else if stats.room.is_low {
                storage = "full".to_owned();
            } else if stats.is_refused {
                storage = "refusing".to_owned();
            }
            ok()
        }
        // A draining engine answers no questions any more, and that is no fault.
        Ok(None) if !is_accepting => "draining".to_owned(),
        Ok(None) => "ended".to_owned(),
        Err(_) => "does not answer".to_owned(),
    };
    let is_ready = is_accepting && engine == "ok" && storage == "ok";
    let accepting = if is_accepting { "ok" } else { "draining" }.to_owned();
    let (code, status) = if is_ready {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unready")
    };
    let body = Readiness {
        status: status.to_owned(),
        checks: Checks {
            accepting,
            engine,
            storage,
        },
    };
    (code, Json(body))
}
