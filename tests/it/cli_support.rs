//! Runs the real binary in a folder of its own: commands to their end, and servers that die with
//! the test. Waits for what a server says, never for time.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

/// A folder to work in, with nothing of the machine's settings.
pub struct Place {
    folder: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A running server.
pub struct Server {
    child: Child,
    told: Lines<BufReader<ChildStderr>>,
    /// What it has said so far.
    pub heard: Vec<String>,
    /// Such as `http://127.0.0.1:34567`.
    pub url: String,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub fn with(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderd"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end that is allowed only so many open files unless it asks for more.
    pub fn run_with_files(&self, files: u32, arguments: &[&str]) -> Outcome {
        let script = format!("ulimit -Sn {files}; exec \"$0\" \"$@\"");
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_orderd")])
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        outcome(command.output().unwrap())
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    /// Starts a command, to be ended by [`Outcome::of`].
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        outcome(command.output().unwrap())
    }

    /// Starts a server on a free port and waits until it is ready.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_at("127.0.0.1:0", arguments)
    }

    /// The same on another address.
    pub fn serve_at(&self, address: &str, arguments: &[&str]) -> Server {
        let mut server = self.serve_later(address, arguments);
        server.is_up();
        server
    }

    /// Starts a server that may have to wait before it is ready.
    pub fn serve_later(&self, address: &str, arguments: &[&str]) -> Server {
        let mut command = self.command(&[&["serve", "--listen", address], arguments].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = String::new();
        let heard = Vec::new();
        Server {
            child,
            told,
            heard,
            url,
        }
    }
}

/// Sends a signal to a process, such as `TERM`.
pub fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success(), "{kill}");
}

fn outcome(output: Output) -> Outcome {
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Server {
    /// Waits until it says that it is ready, and where.
    pub fn is_up(&mut self) {
        let line = self.hears("/v1/orders");
        let from = line.find("http://").unwrap();
        let to = line.find("/v1/orders").unwrap();
        self.url = line[from..to].into();
        // In a JSON log it is all in one line.
        if !line.contains("\"ready\"") {
            self.hears("Ready");
        }
    }

    /// The next line of stderr with these words.
    pub fn hears(&mut self, words: &str) -> String {
        for line in self.told.by_ref() {
            let line = line.unwrap();
            self.heard.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
        panic!("the server never said {words:?}, only {:#?}", self.heard);
    }

    /// Everything it says until its end.
    pub fn last_words(&mut self) -> Vec<String> {
        self.told.by_ref().map(Result::unwrap).collect()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// What a command that was started left behind; waits for its end.
    pub fn of(child: Child) -> Self {
        outcome(child.wait_with_output().unwrap())
    }

    /// It ended with this code; its data.
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self.out
    }

    /// It failed with this code and one line, this one.
    #[track_caller]
    pub fn expect_error(self, code: i32, message: &str) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.err.trim_end(), format!("orderd: {message}"));
        assert_eq!(self.out, "");
    }
}
