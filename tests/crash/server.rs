//! The server as a process of its own: started, killed, ended in order, and proved afterwards.
//! Nothing here knows what the server does.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use orderd::clock::monotonic;
use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::http::Client;
use super::plan::Fault;

/// Two steps, some failures, and everything fast: at any moment some orders wait, some run, some
/// end. A process whose orders often use up their attempts, and one that workers do.
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

[process.fragile]
version = 1

[[process.fragile.step]]
name = "carry"
kind = "simulate"
duration = "0ms..10ms"
failure_rate = 0.6
attempts = 2
retry_base = "1ms"
retry_cap = "5ms"

[process.handed]
version = 1

[[process.handed.step]]
name = "hand"
kind = "pull"
queue = "hands"
lease = "1s"
attempts = 100
retry_base = "5ms"
retry_cap = "20ms"
"#;

/// What a test build is to do at some point.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub fault: Option<Fault>,
    /// A failure that it is to pretend.
    pub failure: Option<&'static str>,
    /// Whether both wait until `arm` is called.
    pub is_armed_later: bool,
    /// Where to listen; a free port without it.
    pub listen: Option<SocketAddr>,
    /// Further flags.
    pub flags: Vec<String>,
}

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    spawned_at: Instant,
    /// Reads what the server says, so that it never waits for somebody to listen.
    listener: Option<std::thread::JoinHandle<String>>,
    gate: PathBuf,
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderd"));
    command.current_dir(folder).stdin(Stdio::null());
    if let Ok(url) = std::fs::read_to_string(folder.join("store.url")) {
        command.env("ORDERD_STORE", url);
    }
    command
}

/// Waits a moment: nobody ends it early.
pub fn pause(moment: Duration) {
    let nobody = Condvar::new();
    let never = Mutex::new(());
    let waited = nobody.wait_timeout_while(never.lock().unwrap(), moment, |()| true);
    drop(waited.unwrap());
}

/// Waits until a process has ended; `None` if it does not in time.
fn end_of(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let started = monotonic();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if started.elapsed() >= patience {
            return None;
        }
        pause(Duration::from_micros(500));
    }
}

impl Server {
    /// Starts a server on the data in `folder`, and waits until it says that it is ready.
    pub fn start(folder: &Path, wishes: &Wishes) -> Self {
        Self::spawn_waiting(folder, wishes).up()
    }

    /// Starts a server that may have to wait for another one to end.
    pub fn spawn_waiting(folder: &Path, wishes: &Wishes) -> Starting {
        Starting {
            spawned_at: monotonic(),
            child: Self::spawn(folder, wishes),
            gate: folder.join("armed"),
        }
    }
}

/// A server that has not said yet that it is ready.
pub struct Starting {
    child: Child,
    spawned_at: Instant,
    gate: PathBuf,
}

impl Starting {
    /// Waits until it says that it is ready.
    pub fn up(self) -> Server {
        let Self {
            mut child,
            spawned_at,
            gate,
        } = self;
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
        Server {
            child,
            address,
            spawned_at,
            listener: Some(listener),
            gate,
        }
    }
}

impl Server {
    fn spawn(folder: &Path, wishes: &Wishes) -> Child {
        let listen = wishes
            .listen
            .map_or("127.0.0.1:0".into(), |it| it.to_string());
        std::fs::write(folder.join("orderd.toml"), SETTINGS).unwrap();
        let gate = folder.join("armed");
        let _ = std::fs::remove_file(&gate);
        let mut command = command(folder);
        command
            .args(["serve", "--listen", &listen, "--log", "warn"])
            .args(&wishes.flags)
            .stderr(Stdio::piped());
        if let Some(fault) = &wishes.fault {
            command.env("ORDERD_FAULT", fault.wish());
        }
        if let Some(failure) = wishes.failure {
            command.env("ORDERD_FAIL", failure);
        }
        if wishes.is_armed_later {
            command.env("ORDERD_FAULT_GATE", gate);
        }
        command.spawn().unwrap()
    }

    /// Starts a server that is to die on the way; answers whether it did.
    pub fn stumble(folder: &Path, stumble: &Result<Fault, Duration>) -> bool {
        let wishes = Wishes {
            fault: stumble.as_ref().ok().cloned(),
            ..Wishes::default()
        };
        let mut child = Self::spawn(folder, &wishes);
        if let Err(moment) = stumble {
            pause(*moment);
            child.kill().unwrap();
        }
        let status = end_of(&mut child, Duration::from_secs(10));
        let _ = child.kill();
        let _ = child.wait();
        status.is_some_and(|status| status.signal() == Some(9))
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// How long it took from the start of the process until it took orders.
    pub fn ready(&self) -> Duration {
        let mut client = self.client();
        while client.get("/readyz").unwrap().status != 200 {}
        self.spawned_at.elapsed()
    }

    /// Waits until all open orders from before are back.
    pub fn recover(&self) -> Duration {
        let mut client = self.client();
        loop {
            let reply = client.get("/v1/stats").unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
            if reply.json()["shard"]["recovering"] == false {
                return self.spawned_at.elapsed();
            }
        }
    }

    /// From now on faults and failures count.
    pub fn arm(&self) {
        std::fs::write(&self.gate, "").unwrap();
    }

    /// `kill -9`. It must not have ended before.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "ended by itself: {}", self.said());
    }

    /// Waits until it has died at a point; `false` if it did not, and had to be killed, or if
    /// it `may_end` in order and was faster.
    pub fn dies(mut self, patience: Duration, may_end: bool) -> bool {
        let status = end_of(&mut self.child, patience);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let has_died = status.is_some_and(|status| status.signal() == Some(9));
        let has_ended = status.is_some_and(|status| status.code() == Some(0));
        let is_fine = has_died || status.is_none() || (may_end && has_ended);
        assert!(is_fine, "{status:?}: {}", self.said());
        has_died
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Of a server that has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits for its end after `terminate`; everything that was answered for is flushed.
    pub fn ends(mut self) {
        let status = end_of(&mut self.child, Duration::from_secs(60));
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(0), "{}", self.said());
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
