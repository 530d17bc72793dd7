//! Counts and latencies of a run that can be added up: each worker has its own, and they are joined
//! a few times a second for the screen. Knows nothing of single orders.

use std::time::Instant;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::response::Response;

/// The longest latency that is told apart, in microseconds: one hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// A number of things of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The code of the problem, or what failed.
    pub code: String,
    /// How many orders (of a refusal) or requests (of an error).
    pub count: u64,
}

/// Counts and latencies that can be added up.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests sent.
    pub requests_sent: u64,
    /// Requests that were answered or have failed.
    pub requests_ended: u64,
    /// Orders in the requests sent.
    pub orders_sent: u64,
    /// Orders accepted.
    pub accepted: u64,
    /// Orders that were there already.
    pub existing: u64,
    /// Orders refused, by status and code.
    pub refusals: Vec<Counted>,
    /// Requests and connections that failed, by what failed.
    pub errors: Vec<Counted>,
    /// Orders whose request failed: nobody knows what became of them.
    pub unanswered: u64,
    /// Microseconds until the answer, of requests with an order that was accepted.
    pub latency: Histogram<u64>,
    /// Microseconds until the answer, of all other answered requests.
    pub refused_latency: Histogram<u64>,
    /// Microseconds that requests were sent later than planned (open loop only).
    pub send_delay: Histogram<u64>,
    /// When the last answer came.
    pub last_answer: Option<Instant>,
    /// What went over the wire.
    pub traffic: Traffic,
}

/// Bytes of requests and of their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Of all requests.
    pub sent: u64,
    /// Of all answers, without the framing of chunked ones.
    pub received: u64,
    /// Of the bodies of the answers.
    pub bodies: u64,
    /// Of the longest body.
    pub longest_body: u64,
}

impl Traffic {
    /// An answer has come.
    pub fn answered(&mut self, response: &Response<'_>) {
        let body = response.body.len() as u64;
        self.received += response.head.len() as u64 + body;
        self.bodies += body;
        self.longest_body = self.longest_body.max(body);
    }

    fn absorb(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.bodies += other.bodies;
        self.longest_body = self.longest_body.max(other.longest_body);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests_sent: 0,
            requests_ended: 0,
            orders_sent: 0,
            accepted: 0,
            existing: 0,
            refusals: Vec::new(),
            errors: Vec::new(),
            unanswered: 0,
            latency: histogram(),
            refused_latency: histogram(),
            send_delay: histogram(),
            last_answer: None,
            traffic: Traffic::default(),
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that hdrhistogram allows"
)]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("valid bounds")
}

impl Tally {
    /// Adds another tally and empties it.
    pub fn absorb(&mut self, other: &mut Self) {
        for (sum, part) in [
            (&mut self.requests_sent, &mut other.requests_sent),
            (&mut self.requests_ended, &mut other.requests_ended),
            (&mut self.orders_sent, &mut other.orders_sent),
            (&mut self.accepted, &mut other.accepted),
            (&mut self.existing, &mut other.existing),
            (&mut self.unanswered, &mut other.unanswered),
        ] {
            *sum += std::mem::take(part);
        }
        for (sum, part) in [
            (&mut self.latency, &mut other.latency),
            (&mut self.refused_latency, &mut other.refused_latency),
            (&mut self.send_delay, &mut other.send_delay),
        ] {
            if !part.is_empty() && sum.add(&*part).is_ok() {
                part.reset();
            }
        }
        for kind in other.refusals.drain(..) {
            count(&mut self.refusals, kind.status, &kind.code, kind.count);
        }
        for kind in other.errors.drain(..) {
            count(&mut self.errors, kind.status, &kind.code, kind.count);
        }
        self.last_answer = self.last_answer.max(other.last_answer);
        self.traffic.absorb(std::mem::take(&mut other.traffic));
    }

    /// Requests that wait for their answer.
    pub fn in_flight(&self) -> u64 {
        self.requests_sent.saturating_sub(self.requests_ended)
    }

    /// Orders refused, all reasons together.
    pub fn refused(&self) -> u64 {
        self.refusals.iter().map(|kind| kind.count).sum()
    }

    /// Requests and connections that failed, all kinds together.
    pub fn failed(&self) -> u64 {
        self.errors.iter().map(|kind| kind.count).sum()
    }
}

/// Counts `more` things of a kind.
pub fn count(kinds: &mut Vec<Counted>, status: u16, code: &str, more: u64) {
    match kinds
        .iter_mut()
        .find(|kind| kind.status == status && kind.code == code)
    {
        Some(kind) => kind.count += more,
        None => kinds.push(Counted {
            status,
            code: code.to_owned(),
            count: more,
        }),
    }
}
