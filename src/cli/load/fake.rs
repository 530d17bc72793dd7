//! A small server for tests: keeps orders in memory, has ended them when it answers, and can be
//! told to misbehave. It is the contract of the HTTP API as far as the load generator needs it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cli::scenario;

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Every tenth order is acknowledged and forgotten.
    Forgets,
    /// Every tenth order ends twice in its history.
    EndsTwice,
    /// Every tenth order is accepted twice in its history.
    AcceptsTwice,
    /// Every tenth order never ends.
    NeverEnds,
    /// Every tenth order is answered with the id of the one before.
    AnswersTwice,
    /// Every tenth request is cut off without an answer.
    HangsUp,
    /// Every tenth request is never answered.
    Silent,
    /// Whatever is asked once orders have come is cut off.
    Leaves,
    /// Every order is refused for lack of room.
    Overloaded,
}

enum Reply {
    Answer(u16, Value),
    HangUp,
    Silence,
}

#[derive(Default)]
struct Orders {
    statuses: HashMap<String, (&'static str, usize)>,
    last: String,
    count: usize,
}

/// A server that accepts every order and completes it at once, but for its fault.
pub struct Server {
    fault: Fault,
    orders: Mutex<Orders>,
}

impl Server {
    /// Starts a server that goes on as long as the test; answers its URL.
    pub async fn start(fault: Fault) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::new(Self {
            fault,
            orders: Mutex::default(),
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let answer = service_fn(move |request| {
                    let server = server.clone();
                    async move { server.answer(request).await }
                });
                let io = TokioIo::new(stream);
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { http.serve_connection(io, answer).await });
            }
        });
        url
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let path = request.uri().path().to_owned();
        let Ok(collected) = request.into_body().collect().await else {
            return Err("cut off");
        };
        let body = collected.to_bytes();
        let (status, answer) = match self.reply(&path, &body) {
            Reply::Answer(status, answer) => (status, answer),
            Reply::HangUp => return Err("hangs up"),
            Reply::Silence => std::future::pending().await,
        };
        let status = StatusCode::from_u16(status).unwrap();
        let text = match answer {
            // A line of text, as a dialect may answer.
            Value::String(line) => line,
            answer => answer.to_string(),
        };
        let body = Full::new(Bytes::from(text));
        Ok(Response::builder().status(status).body(body).unwrap())
    }

    fn reply(&self, path: &str, body: &[u8]) -> Reply {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, answer) = match path {
            "/v1/orders" => self.create(&mut orders, body),
            "/v1/orders/batch" => (200, self.create_all(&mut orders, body)),
            path if is_door(path) => self.create_there(&mut orders, path, body),
            _ if self.fault == Fault::Leaves && orders.count > 0 => return Reply::HangUp,
            "/v1/stats" => (200, stats(&orders)),
            path => read(&orders, path.trim_start_matches("/v1/orders/")),
        };
        let tenth = (path == "/v1/orders" || is_door(path)) && orders.count.is_multiple_of(10);
        match self.fault {
            Fault::HangsUp if tenth => Reply::HangUp,
            Fault::Silent if tenth => Reply::Silence,
            _ => Reply::Answer(status, answer),
        }
    }

    fn create_all(&self, orders: &mut Orders, body: &[u8]) -> Value {
        let lines = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let result = |line| match self.create(orders, line) {
            (201, order) => json!({"status": 201, "order": order}),
            (status, problem) => json!({"status": status, "problem": problem}),
        };
        json!({ "results": lines.map(result).collect::<Vec<_>>() })
    }

    /// Creates an order at the door of a dialect.
    fn create_there(&self, orders: &mut Orders, path: &str, body: &[u8]) -> (u16, Value) {
        let order: Value = serde_json::from_slice(body).unwrap_or_default();
        let chosen = order.get("id").or(order.get("order_id"));
        let order = chosen.map_or_else(|| json!({}), |id| json!({ "order_id": id }));
        let (status, created) = self.create(orders, order.to_string().as_bytes());
        let id = created["order_id"].as_str().unwrap_or_default();
        match (status, path) {
            (201, "/order") => (200, format!("Received order {id}\n").into()),
            (201, "/order-service/order/create") => (200, json!({"message": "created"})),
            (201, "/api/v1/orders") => (202, json!({ "message": id })),
            (201, _) => (201, json!({ "id": id, "order_id": id })),
            (status, _) => (status, json!({ "error": created["code"] })),
        }
    }

    fn create(&self, orders: &mut Orders, body: &[u8]) -> (u16, Value) {
        let Ok(order) = serde_json::from_slice::<Value>(body) else {
            return (400, json!({"code": "malformed-json", "detail": "no JSON"}));
        };
        if self.fault == Fault::Overloaded {
            return (503, json!({"code": "overloaded", "detail": "full"}));
        }
        let items = order["items"].as_array().cloned().unwrap_or_default();
        if let Some(place) = items
            .iter()
            .position(|item| item["quantity"].as_i64() < Some(1))
        {
            let pointer = format!("/items/{place}/quantity");
            let field = json!({"pointer": pointer, "code": "out-of-range", "detail": "is 0"});
            return (
                422,
                json!({"code": "invalid-order", "detail": "bad", "errors": [field]}),
            );
        }
        orders.count += 1;
        let tenth = orders.count.is_multiple_of(10);
        let chosen = order["order_id"].as_str().map(str::to_owned);
        let id = chosen.unwrap_or_else(|| format!("server-{}", orders.count));
        if orders.statuses.contains_key(&id) {
            return (409, json!({"code": "order-exists", "order_id": id}));
        }
        let (status, ends) = match self.fault {
            Fault::NeverEnds if tenth => ("pending", 0),
            Fault::EndsTwice if tenth => ("completed", 2),
            Fault::AcceptsTwice if tenth => ("completed", 12),
            _ => ("completed", 1),
        };
        if !(tenth && self.fault == Fault::Forgets) {
            orders.statuses.insert(id.clone(), (status, ends));
        }
        let before = std::mem::replace(&mut orders.last, id.clone());
        let id = if tenth && self.fault == Fault::AnswersTwice {
            before
        } else {
            id
        };
        (
            201,
            json!({"order_id": id, "total": order["total"], "status": "pending"}),
        )
    }
}

fn is_door(path: &str) -> bool {
    scenario::all().any(|scenario| scenario.door.path == path)
}

fn stats(orders: &Orders) -> Value {
    let pending = orders
        .statuses
        .values()
        .filter(|(status, _)| *status == "pending")
        .count();
    json!({"orders": {"by_status": {"scheduled": 0, "pending": pending, "processing": 0,
        "waiting": 0, "compensating": 0, "dead": 0, "completed": 5}}})
}

fn read(orders: &Orders, path: &str) -> (u16, Value) {
    let (id, wants_events) = match path.strip_suffix("/events") {
        Some(id) => (id, true),
        None => (path, false),
    };
    let Some((status, ends)) = orders.statuses.get(id) else {
        return (404, json!({"code": "order-not-found"}));
    };
    if !wants_events {
        return (200, json!({"order_id": id, "status": status}));
    }
    let mut events = vec![
        json!({"type": "order.accepted"}),
        json!({"type": "order.started"}),
    ];
    events.extend((0..ends / 10).map(|_| json!({"type": "order.accepted"})));
    events.extend((0..ends % 10).map(|_| json!({"type": "order.completed"})));
    (
        200,
        json!({"data": events, "has_more": false, "next_cursor": null}),
    )
}
