//! The server as a process of its own, with its data on the small disk and everything else
//! elsewhere. Nothing here knows what the server does.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::Client;

/// Work that takes a while, so that orders are open when the disk is full.
const SETTINGS: &str = r#"
[process.default]
version = 1

[[process.default.step]]
name = "pay"
kind = "simulate"
duration = "1s..3s"

[[process.default.step]]
name = "pack"
kind = "simulate"
duration = "0ms..500ms"
"#;

/// Where servers run, and where their data is.
pub struct Place {
    folder: TempDir,
    data: PathBuf,
}

impl Place {
    pub fn new(disk: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("orderd.toml"), SETTINGS).unwrap();
        let data = disk.join("data");
        Self { folder, data }
    }

    fn command(&self, command: &str) -> Command {
        let mut orderd = Command::new(env!("CARGO_BIN_EXE_orderd"));
        orderd.current_dir(self.folder.path()).stdin(Stdio::null());
        orderd.arg(command);
        orderd
    }

    /// Starts a server, and waits until it says that it is ready.
    pub fn start(&self) -> Server {
        let mut command = self.command("serve");
        command.args(["--listen", "127.0.0.1:0", "--log", "warn", "--data"]);
        let child = command.arg(&self.data).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let mut address = None;
        for line in lines.by_ref().map_while(Result::ok) {
            let url = line.split_once("http://").filter(|_| line.contains("API"));
            if let Some((_, rest)) = url {
                address = rest.split('/').next().and_then(|text| text.parse().ok());
            }
            said.push_str(&format!("{line}\n"));
            if line.starts_with("Ready") {
                break;
            }
        }
        let listener = std::thread::spawn(move || {
            let told = lines.map_while(Result::ok);
            told.fold(said, |said, line| said + &line + "\n")
        });
        let Some(address) = address else {
            panic!("did not start: {}", listener.join().unwrap());
        };
        Server {
            child,
            address,
            listener: Some(listener),
        }
    }

    /// What `orderd verify` finds wrong.
    pub fn verify(&self) -> Result<(), String> {
        let mut command = self.command("verify");
        let output = command.arg("--json").arg("--data").arg(&self.data).output();
        let output = output.unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() && report["ok"] == true {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}, {said} {report:#}", output.status))
    }
}

pub struct Server {
    child: Child,
    address: SocketAddr,
    /// Reads what the server says, so that it never waits for somebody to listen.
    listener: Option<JoinHandle<String>>,
}

impl Server {
    pub fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "ended by itself: {}", self.said());
    }

    /// SIGTERM; answers with what it said.
    pub fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
        let status = self.child.wait().unwrap();
        let said = self.said();
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }

    fn said(&mut self) -> String {
        let listener = self.listener.take();
        listener.map_or(String::new(), |it| it.join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone, unless a test failed in between.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
    }
}
