//! The services shown in `examples/services` do what is sent to them, check that it is signed, and
//! know what they have done. Needs python3 and node.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use orderd::clock::{Clock, SystemClock};
use orderd::outbound::Secret;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::http_push::{SECRET, ended, process, push, start};
use crate::support::{Connection, order_with, within};

/// A service that is ended with its test.
struct Service {
    child: Child,
    port: u16,
}

impl Service {
    async fn start(program: &str, file: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/services");
        let child = Command::new(program)
            .arg(path.join(file))
            .args([&port.to_string(), SECRET])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child =
            child.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
        let service = Self { child, port };
        within(async { while service.connect().await.is_err() {} }).await;
        service
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port)).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn does_its_work(program: &str, file: &str) {
    let service = Service::start(program, file).await;
    let url = format!("http://127.0.0.1:{}", service.port);
    let mut pay = push("shop", "pay", &format!("{url}/pay"));
    pay.lookup = Some(format!("{url}/lookup").into());
    let server = start(vec![process("shop", pay)]).await;
    for (id, amount, status) in [("a", 700, "completed"), ("b", 100_000, "rejected")] {
        let fields = json!({
            "order_id": id, "process": "shop",
            "items": ["A"], "total": {"amount": amount, "currency": "USD"},
        });
        server.create(&order_with(fields)).await;
        ended(&server, id, status).await;
    }
    let order = server.get("/v1/orders/a").await.json();
    assert_eq!(order["outputs"]["pay"], json!({"paid": 700}));
    for (key, said) in [
        ("a/pay", json!({"done": true, "output": {"paid": 700}})),
        ("z/pay", json!({"done": false})),
    ] {
        let question = json!({"effect_key": key}).to_string();
        let now = SystemClock::default().now().0 / 1_000_000;
        let signature = Secret::parse(SECRET).unwrap();
        let signature = signature.sign(key, now, question.as_bytes());
        let headers = [
            format!("webhook-id: {key}"),
            format!("webhook-timestamp: {now}"),
            format!("webhook-signature: {signature}"),
        ];
        let mut asked = Connection(service.connect().await.unwrap());
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        asked
            .request("POST /lookup", &headers, question.as_bytes())
            .await;
        assert_eq!(asked.reply().await.json(), said);
    }
    // Nobody else can have it do anything.
    let mut stranger = Connection(service.connect().await.unwrap());
    stranger
        .request("POST /pay", &["webhook-signature: v1,x"], b"{}")
        .await;
    assert_eq!(stranger.reply().await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn the_one_in_python_does_its_work() {
    does_its_work("python3", "service.py").await;
}

#[tokio::test]
async fn the_one_for_node_does_its_work() {
    does_its_work("node", "service.mjs").await;
}
