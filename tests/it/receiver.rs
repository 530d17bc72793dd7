//! A receiver of webhooks and steps for tests: writes down what comes, and answers as it is told.
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
    pub path: String,
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

/// What is answered.
pub struct Said {
    pub status: u16,
    /// Whole lines without their ends.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl From<i32> for Said {
    fn from(status: i32) -> Self {
        (status, "").into()
    }
}

impl From<(i32, &str)> for Said {
    fn from((status, body): (i32, &str)) -> Self {
        Self {
            status: status.try_into().unwrap(),
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

impl From<(i32, Value)> for Said {
    fn from((status, body): (i32, Value)) -> Self {
        (status, &*body.to_string()).into()
    }
}

type Answer = Box<dyn FnMut(&Message) -> Option<Said> + Send>;

fn boxed<A: Into<Said>>(mut answer: impl FnMut(&Message) -> Option<A> + Send + 'static) -> Answer {
    Box::new(move |message| answer(message).map(Into::into))
}

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
    pub async fn answering<A: Into<Said>>(
        answer: impl FnMut(&Message) -> Option<A> + Send + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    pub async fn at<A: Into<Said>>(
        address: SocketAddr,
        answer: impl FnMut(&Message) -> Option<A> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            answer: Mutex::new(boxed(answer)),
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

    pub fn answer<A: Into<Said>>(
        &self,
        answer: impl FnMut(&Message) -> Option<A> + Send + 'static,
    ) {
        *self.shared.answer.lock().unwrap() = boxed(answer);
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
        self.wait_for(count, Self::taken).await
    }

    /// Waits until it has seen so many, whatever it answered, and gives them.
    pub async fn see(&self, count: usize) -> Vec<Message> {
        self.wait_for(count, Self::seen).await
    }

    async fn wait_for(&self, count: usize, of: fn(&Self) -> Vec<Message>) -> Vec<Message> {
        within(async {
            loop {
                let arrived = self.shared.arrived.notified();
                let taken = of(self);
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
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let lines = head.lines().filter_map(|line| line.split_once(": "));
                let headers: BTreeMap<String, String> = lines
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                    .collect();
                let length: usize = headers["content-length"].parse().unwrap();
                if bytes.len() >= head.len() + 4 + length {
                    break ((path, headers), head.len() + 4 + length);
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
            path: head.0,
            headers: head.1,
            body: text.split_once("\r\n\r\n").unwrap().1.to_owned(),
            status: 0,
        };
        let answer = (shared.answer.lock().unwrap())(&message);
        message.status = answer.as_ref().map_or(0, |said| said.status);
        shared.seen.lock().unwrap().push(message);
        shared.arrived.notify_waiters();
        let Some(said) = answer else {
            // Silent until the other side has enough.
            let _ = stream.read(&mut [0; 1]).await;
            return;
        };
        let headers: String = said.headers.iter().map(|it| format!("{it}\r\n")).collect();
        let (status, length) = (said.status, said.body.len());
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n");
        let answer = [head.as_bytes(), &said.body].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
