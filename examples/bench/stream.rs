//! The open loop in this process: one request after the other at planned times, on connections that
//! are kept, with the answers of each second counted by themselves.
//!
//! Latency counts from the planned time. Judges nothing and never sends anything again.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use orderd::cli::client::{Connection, Target};
use orderd::cli::response::Response;
use orderd::clock::monotonic;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::wrk::{CUSTOMER, ORDER};

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent, how fast and how long.
#[derive(Clone, Debug)]
pub struct Stream {
    target: Target,
    request: Vec<u8>,
    /// Requests per second.
    pub rate: u32,
    /// Seconds.
    pub seconds: u32,
    /// Connections; one request at a time on each.
    pub connections: usize,
}

/// What became of the requests that were planned for one second, or for many.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Answered with success.
    pub accepted: u64,
    /// Answered with 503.
    pub refused: u64,
    /// Of the refused: those with a `Retry-After` of 1 to 60 seconds.
    pub told: u64,
    /// Answered with anything else, or not at all.
    pub failed: u64,
    /// Microseconds until success.
    pub accepted_us: Histogram<u64>,
    /// Microseconds until a refusal.
    pub refused_us: Histogram<u64>,
    /// The times of `Retry-After`, in seconds.
    pub retry_after: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            accepted: 0,
            refused: 0,
            told: 0,
            failed: 0,
            accepted_us: histogram(),
            refused_us: histogram(),
            retry_after: histogram(),
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that are allowed"
)]
/// Microseconds up to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds")
}

impl Tally {
    fn answered(&mut self, response: &Response<'_>, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        match response.status {
            200..300 => {
                self.accepted += 1;
                self.accepted_us.saturating_record(us);
            }
            503 => {
                self.refused += 1;
                self.refused_us.saturating_record(us);
                let seconds = response.header("retry-after");
                let seconds = seconds.and_then(|seconds| seconds.trim().parse::<u64>().ok());
                if let Some(seconds @ 1..=60) = seconds {
                    self.told += 1;
                    self.retry_after.saturating_record(seconds);
                }
            }
            _ => self.failed += 1,
        }
    }

    /// All requests.
    pub fn offered(&self) -> u64 {
        self.accepted + self.refused + self.failed
    }

    /// The sum of many seconds.
    ///
    /// # Errors
    ///
    /// None that can happen: all have the same form.
    pub fn sum(seconds: &[Self]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for one in seconds {
            sum.accepted += one.accepted;
            sum.refused += one.refused;
            sum.told += one.told;
            sum.failed += one.failed;
            sum.accepted_us.add(&one.accepted_us)?;
            sum.refused_us.add(&one.refused_us)?;
            sum.retry_after.add(&one.retry_after)?;
        }
        Ok(sum)
    }
}

/// A percentile in milliseconds, 0 of nothing.
pub fn millis(histogram: &Histogram<u64>, percent: f64) -> f64 {
    match histogram.is_empty() {
        true => 0.0,
        false => histogram.value_at_quantile(percent / 100.0) as f64 / 1e3,
    }
}

impl Stream {
    /// Orders, one a request.
    ///
    /// # Errors
    ///
    /// The address is none.
    pub fn orders(address: SocketAddr, rate: u32, seconds: u32) -> anyhow::Result<Self> {
        let target = Target::parse(&address.to_string())?;
        let mut request = Vec::new();
        let kind = "application/json";
        target.write_post("/v1/orders", kind, ORDER.len(), &mut request);
        request.extend_from_slice(ORDER.as_bytes());
        Ok(Self {
            target,
            request,
            rate,
            seconds,
            connections: 256,
        })
    }

    /// The same orders, of another customer.
    pub fn by(mut self, customer: &str) -> Self {
        let body = ORDER.replace(CUSTOMER, customer);
        self.request.clear();
        let kind = "application/json";
        self.target
            .write_post("/v1/orders", kind, body.len(), &mut self.request);
        self.request.extend_from_slice(body.as_bytes());
        self
    }

    /// Reads of one path.
    ///
    /// # Errors
    ///
    /// The address is none.
    pub fn reads(address: SocketAddr, path: &str, rate: u32, seconds: u32) -> anyhow::Result<Self> {
        let target = Target::parse(&address.to_string())?;
        let mut request = Vec::new();
        target.write_get(path, &mut request);
        Ok(Self {
            target,
            request,
            rate,
            seconds,
            connections: 8,
        })
    }

    /// Sends everything, and answers with a tally for each second of the plan.
    ///
    /// # Errors
    ///
    /// There is no runtime, or a connection cannot be opened before the start.
    pub fn run(self) -> anyhow::Result<Vec<Tally>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, self.send())
    }

    async fn send(self) -> anyhow::Result<Vec<Tally>> {
        let mut opened = Vec::new();
        for _ in 0..self.connections {
            let open = Connection::open(&self.target).await;
            opened.push(open.context("cannot connect")?);
        }
        let tallies = vec![Tally::default(); self.seconds as usize];
        let shared = Rc::new(Shared {
            begun: Instant::from_std(monotonic()),
            next: Cell::new(0),
            tallies: RefCell::new(tallies),
            stream: self,
        });
        let mut lanes = JoinSet::new();
        for connection in opened {
            lanes.spawn_local(lane(Rc::clone(&shared), connection));
        }
        while let Some(ended) = lanes.join_next().await {
            ended?;
        }
        Ok(shared.tallies.take())
    }
}

struct Shared {
    stream: Stream,
    begun: Instant,
    next: Cell<u64>,
    tallies: RefCell<Vec<Tally>>,
}

/// Sends the requests that nobody else has taken, on one connection or one in its place.
async fn lane(shared: Rc<Shared>, connection: Connection) {
    let stream = &shared.stream;
    let total = u64::from(stream.rate) * u64::from(stream.seconds);
    let mut connection = Some(connection);
    while shared.next.get() < total {
        let number = shared.next.replace(shared.next.get() + 1);
        let second = (number / u64::from(stream.rate)) as usize;
        let after = number as f64 / f64::from(stream.rate);
        let due = shared.begun + Duration::from_secs_f64(after);
        tokio::time::sleep_until(due).await;
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(&stream.target).await {
                Ok(open) => open,
                Err(_) => {
                    shared.tallies.borrow_mut()[second].failed += 1;
                    continue;
                }
            },
        };
        let answer = tokio::time::timeout(PATIENCE, open.exchange(&stream.request)).await;
        let latency = Instant::from_std(monotonic()).saturating_duration_since(due);
        let tally = &mut shared.tallies.borrow_mut()[second];
        match answer {
            Ok(Ok(response)) => {
                tally.answered(&response, latency);
                if !response.closes {
                    connection = Some(open);
                }
            }
            _ => tally.failed += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn response(status: u16, head: &[u8]) -> Response<'_> {
        Response {
            status,
            head,
            body: Cow::Borrowed(b""),
            closes: false,
        }
    }

    #[test]
    fn answers_are_told_apart_and_add_up() {
        let mut one = Tally::default();
        let ms = Duration::from_millis;
        one.answered(&response(201, b"HTTP/1.1 201 Created\r\n\r\n"), ms(2));
        let told = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\n\r\n";
        one.answered(&response(503, told), ms(4));
        let not_told = b"HTTP/1.1 503 No\r\nRetry-After: 0\r\n\r\n";
        one.answered(&response(503, not_told), ms(4));
        one.answered(&response(500, b"HTTP/1.1 500 No\r\n\r\n"), ms(4));
        let sum = Tally::sum(&[one.clone(), one]).unwrap();
        assert_eq!((sum.accepted, sum.refused, sum.told), (2, 4, 2));
        assert_eq!((sum.failed, sum.offered()), (2, 8));
        assert_eq!(sum.retry_after.max(), 7);
        assert_eq!(millis(&sum.accepted_us, 99.0).round(), 2.0);
        assert_eq!(millis(&histogram(), 99.0), 0.0);
    }
}
