//! A receiver of webhooks for tests: writes down what comes, and answers as it is told.
//!
//! Ends with the test that started it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::within;

/// What came.
#[derive(Clone, Debug)]
pub struct Message {
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// What it was answered with.
    pub status: u16,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        &self.headers[name]
    }
}

type Answer = Box<dyn FnMut(&Message) -> Option<u16> + Send>;

pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    seen: Mutex<Vec<Message>>,
    answer: Mutex<Answer>,
    arrived: Notify,
}

impl Receiver {
    /// Answers 200 to everything.
    pub async fn start() -> Self {
        Self::answering(|_| Some(200)).await
    }

    /// Answers what is said; nothing at all if nothing is.
    pub async fn answering(answer: impl FnMut(&Message) -> Option<u16> + Send + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    pub async fn at(
        address: SocketAddr,
        answer: impl FnMut(&Message) -> Option<u16> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            answer: Mutex::new(Box::new(answer)),
            arrived: Notify::new(),
        });
        let own = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.spawn(serve(stream, Arc::clone(&own)));
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn answer(&self, answer: impl FnMut(&Message) -> Option<u16> + Send + 'static) {
        *self.shared.answer.lock().unwrap() = Box::new(answer);
    }

    pub fn seen(&self) -> Vec<Message> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Those that were answered with a success.
    pub fn taken(&self) -> Vec<Message> {
        let mut seen = self.seen();
        seen.retain(|message| message.status == 200);
        seen
    }

    /// Waits until it has taken so many, and gives them.
    pub async fn take(&self, count: usize) -> Vec<Message> {
        within(async {
            loop {
                let arrived = self.shared.arrived.notified();
                let taken = self.taken();
                if taken.len() >= count {
                    return taken;
                }
                arrived.await;
            }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut bytes = Vec::new();
    loop {
        let (head, length) = loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                let headers: BTreeMap<String, String> = lines
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                    .collect();
                let length: usize = headers["content-length"].parse().unwrap();
                if bytes.len() >= head.len() + 4 + length {
                    break (headers, head.len() + 4 + length);
                }
            }
            let mut buffer = [0; 4_096];
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        };
        let whole: Vec<u8> = bytes.drain(..length).collect();
        let text = String::from_utf8(whole).unwrap();
        let mut message = Message {
            headers: head,
            body: text.split_once("\r\n\r\n").unwrap().1.to_owned(),
            status: 0,
        };
        let answer = (shared.answer.lock().unwrap())(&message);
        message.status = answer.unwrap_or(0);
        shared.seen.lock().unwrap().push(message);
        shared.arrived.notify_waiters();
        let Some(status) = answer else {
            // Silent until the other side has enough.
            let _ = stream.read(&mut [0; 1]).await;
            return;
        };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
