//! Readers of the stream of events, many in one thread: what each was told, and how late.
//!
//! An event is late by the time between what it says itself and its arrival: server and readers
//! have the same clock. Judges nothing.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use orderd::clock::{Clock, SystemClock, Timestamp};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stream::histogram;

/// How long readers may take to be told everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one reader was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Events.
    pub events: u64,
    /// Microseconds that they were late.
    pub late_us: Histogram<u64>,
    /// Whether each stood behind the one before.
    pub is_in_order: bool,
    last: (u64, u64),
    text: String,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            events: 0,
            late_us: histogram(),
            is_in_order: true,
            last: (0, 0),
            text: String::new(),
        }
    }
}

impl Told {
    /// Takes in what has come.
    fn hear(&mut self, bytes: &[u8], now: Timestamp) -> anyhow::Result<()> {
        self.text.push_str(std::str::from_utf8(bytes)?);
        let mut begin = 0;
        while let Some(length) = self.text[begin..].find("\n\n") {
            let block = &self.text[begin..begin + length];
            begin += length + 2;
            let Some((place, at)) = event(block) else {
                continue;
            };
            self.events += 1;
            self.is_in_order &= place > self.last;
            self.last = place;
            let late = u64::try_from(now.micros_since(at)).unwrap_or(0);
            self.late_us.saturating_record(late);
        }
        self.text.drain(..begin);
        Ok(())
    }
}

/// Place and time of an event, if the block is one.
fn event(block: &str) -> Option<((u64, u64), Timestamp)> {
    let (_, data) = block.split_once("\ndata: ")?;
    let (position, index) = block
        .strip_prefix("id: ")?
        .lines()
        .next()?
        .split_once('-')?;
    let (_, at) = data.split_once("\"at\":\"")?;
    let at = Timestamp::parse_rfc3339(at.split('"').next()?)?;
    Some(((position.parse().ok()?, index.parse().ok()?), at))
}

/// Readers that are open.
pub struct Readers {
    /// How many events each waits for.
    wanted: watch::Sender<u64>,
    thread: JoinHandle<anyhow::Result<Vec<Told>>>,
}

impl Readers {
    /// Opens so many, all at the end of the journal, with a filter. Returns when all are served.
    ///
    /// # Errors
    ///
    /// One is not.
    pub fn open(address: SocketAddr, count: u32, filter: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let path = format!("/v1/events/stream?after=latest{filter}");
        let bodies = runtime.block_on(async {
            let mut bodies = Vec::new();
            for _ in 0..count {
                bodies.push(open(address, &path).await?);
            }
            anyhow::Ok(bodies)
        })?;
        let (wanted, all) = watch::channel(u64::MAX);
        let thread = std::thread::spawn(move || runtime.block_on(follow(bodies, all)));
        Ok(Self { wanted, thread })
    }

    /// Waits until each was told so many events, and answers what.
    ///
    /// # Errors
    ///
    /// A stream ended, or one was not told all within a minute.
    pub fn finish(self, wanted: u64) -> anyhow::Result<Vec<Told>> {
        self.wanted.send_replace(wanted);
        let joined = self.thread.join();
        joined.map_err(|_| anyhow::anyhow!("the readers panicked"))?
    }
}

async fn open(address: SocketAddr, path: &str) -> anyhow::Result<Incoming> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    ensure!(status.is_success(), "a reader was answered {status}");
    Ok(answer.into_body())
}

async fn follow(bodies: Vec<Incoming>, wanted: watch::Receiver<u64>) -> anyhow::Result<Vec<Told>> {
    let mut readers = JoinSet::new();
    for body in bodies {
        readers.spawn(read(body, wanted.clone()));
    }
    let mut all = Vec::new();
    while let Some(told) = readers.join_next().await {
        all.push(told??);
    }
    Ok(all)
}

async fn read(mut body: Incoming, mut wanted: watch::Receiver<u64>) -> anyhow::Result<Told> {
    let (mut told, clock) = (Told::default(), SystemClock::default());
    let late = async |mut wanted: watch::Receiver<u64>| {
        let _ = wanted.wait_for(|wanted| *wanted < u64::MAX).await;
        tokio::time::sleep(PATIENCE).await;
    };
    let mut late = Box::pin(late(wanted.clone()));
    loop {
        if told.events >= *wanted.borrow_and_update() {
            return Ok(told);
        }
        tokio::select! {
            frame = body.frame() => {
                let frame = frame.context("a stream has ended")??;
                if let Ok(bytes) = frame.into_data() {
                    told.hear(&bytes, clock.now())?;
                }
            }
            _ = wanted.changed() => {}
            () = &mut late => anyhow::bail!(
                "a reader was told {} of {} events",
                told.events,
                *wanted.borrow()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_however_they_come_in() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let event = |place: &str, seconds| {
            let at = at(seconds);
            format!("id: {place}\nevent: x\ndata: {{\"a\":1,\"at\":\"{at}\"}}\n\n")
        };
        let text = format!("retry: 2000\nid: 1-9\n\n:\n\n{}", event("2-0", 5));
        let mut told = Told::default();
        for byte in text.bytes() {
            told.hear(&[byte], at(7)).unwrap();
        }
        assert_eq!((told.events, told.is_in_order), (1, true));
        assert_eq!(told.late_us.max() / 10_000, 200);
        told.hear(event("2-0", 7).as_bytes(), at(7)).unwrap();
        assert_eq!((told.events, told.is_in_order), (2, false));
    }
}
