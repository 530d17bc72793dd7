//! The floor of the benchmark: a bare axum server with the same routes, bodies and answers as
//! orderd, but without engine and store. What orderd loses against it is the price of keeping
//! orders.
//!
//! `cargo run --release --example floor -- --listen 127.0.0.1:7071`. Never for real orders: it
//! keeps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::service::TowerToHyperService;
use mimalloc::MiMalloc;
use orderd::clock::Timestamp;
use orderd::http::{self, ApiError, Code, batch, wire};
use orderd::order::{
    Marks, NewOrder, Order, OrderId, OrderState, Position, Process, Processes, Seq, Status,
    WantedId,
};
use orderd::server::{self, Door, ServerSettings};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// 2026-11-21T03:24:10.123456Z: every order is from then.
const THEN: Timestamp = Timestamp(1_795_231_450_123_456);

/// The order that every read answers: as long as those that the benchmark sends.
const SENT: &[u8] = br#"{"customer_id":"customer-00004711","items":[
{"sku":"sku-00042","quantity":2,"unit_price":4500},
{"sku":"sku-90210","quantity":1,"unit_price":999}],"total":{"amount":9999,"currency":"USD"},
"priority":1,"address":"1 Main Street, 12345 Springfield"}"#;

struct Floor {
    processes: Processes,
    /// What reads answer; reading one back from a store is what the floor leaves out.
    kept: Option<Order>,
    orders: AtomicU64,
    requests: AtomicU64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut address = "127.0.0.1:7071".to_owned();
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--listen", Some(value)) => address = value,
            _ => return Err("usage: floor [--listen ADDRESS]".into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&address))
}

async fn serve(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut floor = Floor {
        processes: Processes::new(vec![Process::built_in()], Vec::new())?,
        kept: None,
        orders: AtomicU64::new(0),
        requests: AtomicU64::new(0),
    };
    let sent = wire::order(SENT, &floor.processes).and_then(|new| floor.accept(new));
    floor.kept = Some(sent.map_err(|error| format!("{error:?}"))?);
    let floor = Arc::new(floor);
    let router: Router = Router::new()
        .route("/v1/orders", post(create))
        .route("/v1/orders/batch", post(create_batch))
        .route("/v1/orders/{id}", get(read))
        .route("/livez", get(livez))
        .route("/readyz", get(livez))
        .layer(DefaultBodyLimit::max(server::BATCH_BYTES_MAX))
        .with_state(floor);
    let listener = tokio::net::TcpListener::bind(address).await?;
    let api = TowerToHyperService::new(router);
    let stop = async {
        // Without a signal to wait for it runs until it is killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    let doors = vec![Door { listener, api }];
    server::serve(doors, ServerSettings::default(), stop).await;
    Ok(())
}

impl Floor {
    /// What the shard would have made of it.
    fn accept(&self, new: NewOrder) -> Result<Order, ApiError> {
        let number = self.orders.fetch_add(1, Ordering::Relaxed);
        let made_up = || OrderId::parse(&format!("019aa3f0-6c3b-7d52-8a55-{number:012x}"));
        let process = self.processes.at(new.process);
        let id = match new.id {
            WantedId::Chosen(id) => Ok(id),
            WantedId::Made(_) => made_up(),
        };
        Ok(Order {
            seq: Seq(1),
            id: id.map_err(|error| ApiError::new(Code::Internal, error.to_string()))?,
            customer_id: new.customer_id,
            process: Arc::clone(&process.name),
            process_version: process.version,
            priority: new.priority,
            total: new.total,
            item_count: new.item_count,
            payload: new.payload,
            start_at: new.start_at,
            expires_at: new.expires_at,
            marks: Marks::default(),
            hold: None,
            imported_at: None,
            created_at: THEN,
            state: OrderState {
                status: Status::Pending { ready_at: THEN },
                version: 1,
                step: Arc::clone(&process.steps[0].name),
                attempt: 0,
                started_at: None,
                updated_at: THEN,
                reason: None,
                position: Position(1),
            },
            outputs: Vec::new(),
        })
    }

    fn finish(&self, mut response: Response) -> Response {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("00000000{number:012x}");
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }
}

async fn create(State(floor): State<Arc<Floor>>, body: Bytes) -> Result<Response, ApiError> {
    let order = floor.accept(wire::order(&body, &floor.processes)?)?;
    Ok(floor.finish(http::created(&order, None)))
}

async fn create_batch(
    State(floor): State<Arc<Floor>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let is_lines = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == "application/x-ndjson");
    let read = if is_lines {
        batch::lines(&body, &floor.processes)?
    } else {
        batch::array(&body, &floor.processes)?
    };
    let mut results = Vec::with_capacity(read.len());
    for item in read {
        results.push(match item {
            Ok(item) => batch::ItemResult::Accepted(Box::new(floor.accept(item.order)?)),
            Err(unfit) => batch::ItemResult::Refused(unfit.error),
        });
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    let response = (json, batch::results(&results)).into_response();
    Ok(floor.finish(response))
}

async fn read(State(floor): State<Arc<Floor>>) -> Result<Response, ApiError> {
    let order = floor.kept.as_ref().ok_or_else(ApiError::order_not_found)?;
    let mut body = Vec::with_capacity(http::render::ORDER_SIZE_HINT);
    http::render::order(&mut body, order);
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok(floor.finish((json, body).into_response()))
}

async fn livez() -> &'static str {
    "ok"
}
