//! The workers in `examples/workers`, each with a real server: they do what waits, and what they
//! said is shown with the orders. Their languages must be installed; `scripts/test` sees to it.

use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::http_queues::{start, start_at};
use crate::support::{TestServer, order_with, within};

/// A worker that is ended with its test.
struct Worker(Child);

impl Worker {
    fn start(program: &str, file: &str, server: &TestServer) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/workers");
        let url = format!("http://{}", server.address);
        let child = Command::new(program)
            .arg(path.join(file))
            .args([&url, "pickers"])
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Orders come, the server is started anew while the worker waits for more, and orders come.
async fn is_worked_off(program: &str, file: &str, output: impl Fn(&Value) -> bool) {
    let server = start().await;
    let worker = Worker::start(program, file, &server);
    work_off(&server, 0..5, &output).await;
    let address = Some(server.address);
    let place = Some(server.stop().await);
    let server = start_at(address, place).await;
    work_off(&server, 5..8, &output).await;
    drop(worker);
    server.stop().await;
}

async fn work_off(server: &TestServer, orders: Range<usize>, output: impl Fn(&Value) -> bool) {
    for at in orders.clone() {
        let fields = json!({"order_id": format!("order-{at}"), "process": "shop"});
        server.create(&order_with(fields)).await;
    }
    for at in orders {
        let path = format!("/v1/orders/order-{at}");
        let done = within(async {
            loop {
                let order = server.get(&path).await.json();
                if order["step"] == "pack" {
                    break order;
                }
            }
        });
        let said = done.await["outputs"]["pick"].clone();
        assert!(output(&said), "{said}");
    }
}

#[tokio::test]
async fn the_one_in_python_does_its_work() {
    is_worked_off("python3", "worker.py", |said| said["packed"] == 1).await;
}

#[tokio::test]
async fn the_one_for_node_does_its_work() {
    is_worked_off("node", "worker.mjs", |said| said["packed"] == 1).await;
}

#[tokio::test]
async fn the_one_for_the_shell_does_its_work() {
    is_worked_off("sh", "worker.sh", |said| said["packed"] == true).await;
}
