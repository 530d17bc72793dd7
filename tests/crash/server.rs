//! The server as a process of its own: started, killed, ended in order, and proved afterwards.
//! Nothing here knows what the server does.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orderd::clock::monotonic;
use serde_json::Value;

use super::http::Client;

/// Two steps, some failures, and everything fast: at any moment some orders wait, some run, some
/// end.
const SETTINGS: &str = r#"
[process.default]
version = 1

[[process.default.step]]
name = "pay"
kind = "simulate"
duration = "0ms..40ms"
failure_rate = 0.1
attempts = 100
retry_base = "5ms"
retry_cap = "20ms"

[[process.default.step]]
name = "pack"
kind = "simulate"
duration = "0ms..10ms"
"#;

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    spawned_at: Instant,
    /// Reads what the server says, so that it never waits for somebody to listen.
    listener: Option<std::thread::JoinHandle<String>>,
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderd"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

impl Server {
    /// Starts a server on the data in `folder`, and waits until it says that it is ready.
    pub fn start(folder: &Path) -> Self {
        std::fs::write(folder.join("orderd.toml"), SETTINGS).unwrap();
        let spawned_at = monotonic();
        let mut child = Self::spawn(folder);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let mut address = None;
        for line in lines.by_ref() {
            let line = line.unwrap();
            let url = line.split_once("http://").filter(|_| line.contains("API"));
            if let Some((_, rest)) = url {
                address = rest.split('/').next().and_then(|text| text.parse().ok());
            }
            said.push_str(&line);
            said.push('\n');
            if line.starts_with("Ready") {
                break;
            }
        }
        let listener = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                said.push_str(&line);
                said.push('\n');
            }
            said
        });
        let Some(address) = address else {
            panic!("did not start: {}", listener.join().unwrap());
        };
        Self {
            child,
            address,
            spawned_at,
            listener: Some(listener),
        }
    }

    fn spawn(folder: &Path) -> Child {
        command(folder)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts a server and kills it after a moment, wherever its start has come to.
    pub fn stumble(folder: &Path, moment: Duration) {
        let mut child = Self::spawn(folder);
        let started = monotonic();
        while started.elapsed() < moment {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// Waits until all open orders from before are back; answers how long that took from the start
    /// of the process.
    pub fn recover(&self) -> Duration {
        let mut client = self.client();
        loop {
            let (status, stats) = client.get("/v1/stats").unwrap();
            assert_eq!(status, 200, "{stats}");
            if stats["shard"]["recovering"] == false {
                return self.spawned_at.elapsed();
            }
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "ended by itself: {}", self.said());
    }

    /// SIGTERM; everything that was answered for is flushed.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.said());
    }

    fn said(&mut self) -> String {
        self.listener
            .take()
            .map_or(String::new(), |it| it.join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone, unless a test failed in between.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `orderd verify` on the data in `folder`; answers with what is wrong.
pub fn verify(folder: &Path) -> Result<(), String> {
    let output = command(folder).args(["verify", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if output.status.code() == Some(0) && report["ok"] == true {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "orderd verify: {}, {said} {report:#}",
        output.status
    ))
}
