//! Takes the README apart, and does what a reader would do with the pieces.
//!
//! Only two things are replaced: how the binary is started, and the port, so that tests can run
//! side by side. A block of JSON after a command is its expected answer; `…` stands for anything.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A block of the README between two fences.
pub struct Block {
    pub language: String,
    pub text: String,
}

/// A server that dies with the test.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_inside = false;
    for line in readme.lines() {
        match line.strip_prefix("```") {
            Some(language) if !is_inside => {
                blocks.push(Block {
                    language: language.into(),
                    text: String::new(),
                });
                is_inside = true;
            }
            Some(_) => is_inside = false,
            None if is_inside => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// Starts the server of the README on a free port; answers with its address.
pub fn serve(folder: &Path) -> (Server, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_orderd"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut told = lines.map(|line| line.unwrap());
    let address = told.find_map(|line| {
        let (_, rest) = line.split_once("http://")?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
        Some(rest[..end.unwrap_or(rest.len())].to_owned())
    });
    // The server goes on talking; somebody has to listen.
    std::thread::spawn(move || told.for_each(drop));
    (
        Server(server),
        address.expect("the server says where it listens"),
    )
}

pub fn run(script: &str, folder: &Path, address: &str) -> String {
    let script = script
        .replace("target/release/orderd", env!("CARGO_BIN_EXE_orderd"))
        .replace("127.0.0.1:7070", address);
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(folder)
        .env("ORDERD_URL", format!("http://{address}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{script}\n{}\n{text}\n{errors}",
        output.status
    );
    text
}

/// Whether `text` is `pattern` with something for each `…`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.trim().split('…');
    let Some(mut rest) = parts
        .next()
        .and_then(|first| text.trim().strip_prefix(first))
    else {
        return false;
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    pattern.ends_with('…') || rest.is_empty() || pattern.trim().ends_with("…}")
}
