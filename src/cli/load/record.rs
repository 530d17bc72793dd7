//! What a worker writes down: counts and latencies ([`Tally`]), and what is needed at the end
//! ([`Haul`]). Each worker has its own; tallies are added up a few times a second for the screen.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::answers::{self, Outcome, Unreadable, Wanted};
use super::ids::Ids;
use super::reconcile::Reconciliation;
use super::source::Job;
use crate::cli::client::ExchangeError;
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

fn count(kinds: &mut Vec<Counted>, status: u16, code: &str, more: u64) {
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

/// What a run must still know when it is over.
#[derive(Clone, Debug, Default)]
pub struct Haul {
    /// The ids that the server acknowledged.
    pub acknowledged: Ids,
    /// The ids that were there already.
    pub existing: Ids,
    /// What became of the lines, if they came from a file.
    pub reconciliation: Reconciliation,
}

impl Haul {
    /// An empty haul; `prefix` is what the ids of this run begin with.
    pub fn new(prefix: &str) -> Self {
        let ids = Ids::new(prefix);
        Self {
            acknowledged: ids.clone(),
            existing: ids,
            reconciliation: Reconciliation::default(),
        }
    }

    /// Adds what another worker has.
    pub fn absorb(&mut self, other: Self) {
        self.acknowledged.append(other.acknowledged);
        self.existing.append(other.existing);
        self.reconciliation.absorb(other.reconciliation);
    }
}

/// Writes down what happens to the requests of a worker.
#[derive(Debug, Default)]
pub struct Recorder {
    /// The counts since they were last taken away.
    pub tally: Tally,
    /// What stays until the end.
    pub haul: Haul,
}

impl Recorder {
    /// An empty recorder; `prefix` is what the ids of this run begin with.
    pub fn new(prefix: &str) -> Self {
        Self {
            tally: Tally::default(),
            haul: Haul::new(prefix),
        }
    }

    /// A request goes out, so much later than planned if it was planned.
    pub fn sent(&mut self, job: &Job, delay: Option<Duration>) {
        self.tally.requests_sent += 1;
        self.tally.orders_sent += job.count as u64;
        if let Some(delay) = delay {
            self.tally.send_delay.saturating_record(us(delay));
        }
    }

    /// The answer of a request, `latency` after it was sent or should have been.
    pub fn answered(&mut self, job: &Job, response: &Response<'_>, latency: Duration) {
        let accepted = self.tally.accepted;
        match self.outcomes(job, response) {
            Ok(()) => self.tally.requests_ended += 1,
            Err(Unreadable) => return self.failed(job, "unreadable answer"),
        }
        if self.tally.accepted > accepted {
            self.tally.latency.saturating_record(us(latency));
        } else {
            self.tally.refused_latency.saturating_record(us(latency));
        }
    }

    /// A request failed: nobody knows what became of its orders.
    pub fn failed(&mut self, job: &Job, kind: &str) {
        self.tally.requests_ended += 1;
        self.tally.unanswered += job.count as u64;
        count(&mut self.tally.errors, 0, kind, 1);
        job.lines
            .iter()
            .for_each(|&line| self.haul.reconciliation.fail(line, kind));
    }

    /// A connection could not be opened; no order was in it.
    pub fn not_connected(&mut self, kind: &str) {
        count(&mut self.tally.errors, 0, kind, 1);
    }

    fn outcomes(&mut self, job: &Job, response: &Response<'_>) -> Result<(), Unreadable> {
        let wanted = if job.lines.is_empty() {
            Wanted::Id
        } else {
            Wanted::Total
        };
        if job.is_batch {
            let outcomes = answers::read_batch(response.status, &response.body, job.count)?;
            for (place, outcome) in outcomes.iter().enumerate() {
                self.outcome(job, place, outcome);
            }
        } else {
            self.outcome(
                job,
                0,
                &answers::read_one(response.status, &response.body, wanted)?,
            );
        }
        Ok(())
    }

    fn outcome(&mut self, job: &Job, place: usize, outcome: &Outcome<'_>) {
        let line = job.lines.get(place).copied();
        match outcome {
            Outcome::Accepted { id, total } => {
                self.tally.accepted += 1;
                self.haul.acknowledged.push(id);
                if let Some(expected) = job.numbered_from.map(|first| first + place as u64)
                    && self.haul.acknowledged.number_of(id).map(u64::from) != Some(expected)
                {
                    count(&mut self.tally.errors, 0, "answer names another order", 1);
                }
                if line.is_some() {
                    self.haul.reconciliation.accept(total.as_ref());
                }
            }
            Outcome::Existing { id } => {
                self.tally.existing += 1;
                if let Some(id) = id {
                    self.haul.existing.push(id);
                }
                if line.is_some() {
                    self.haul.reconciliation.exists();
                }
            }
            Outcome::Refused(refusal) => {
                count(&mut self.tally.refusals, refusal.status, &refusal.code, 1);
                if let Some(line) = line {
                    self.haul.reconciliation.refuse(line, refusal);
                }
            }
        }
    }
}

/// What failed, in a few words that many failures share.
pub fn kind_of(error: &ExchangeError) -> String {
    match error {
        ExchangeError::Io(error) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
            kind => kind.to_string(),
        },
        ExchangeError::Malformed(malformed) => malformed.to_string(),
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn response(status: u16, body: &'static str) -> Response<'static> {
        Response {
            status,
            head: b"",
            body: Cow::Borrowed(body.as_bytes()),
            closes: false,
        }
    }

    fn job(first: u64) -> Job {
        Job {
            count: 1,
            numbered_from: Some(first),
            ..Job::default()
        }
    }

    #[test]
    fn every_order_sent_is_counted_once() {
        let mut recorder = Recorder::new("load-r-");
        let answers = [
            response(201, r#"{"order_id":"load-r-000000000"}"#),
            response(
                409,
                r#"{"code":"order-exists","order_id":"load-r-000000001"}"#,
            ),
            response(422, r#"{"code":"invalid-order"}"#),
            response(201, "nonsense"),
        ];
        for (number, answer) in answers.iter().enumerate() {
            let job = job(number as u64);
            recorder.sent(&job, None);
            recorder.answered(&job, answer, Duration::from_millis(2));
        }
        let mut sum = Tally::default();
        sum.absorb(&mut recorder.tally);
        let parts = (sum.accepted, sum.existing, sum.refused(), sum.unanswered);
        assert_eq!((sum.orders_sent, parts), (4, (1, 1, 1, 1)));
        assert_eq!((sum.in_flight(), sum.failed()), (0, 1));
        assert_eq!((sum.latency.len(), sum.refused_latency.len()), (1, 2));
        assert_eq!(
            (recorder.tally.orders_sent, recorder.tally.latency.len()),
            (0, 0)
        );
        assert_eq!(recorder.haul.acknowledged.len(), 1);
    }

    #[test]
    fn an_answer_about_another_order_is_an_error() {
        let mut recorder = Recorder::new("load-r-");
        let answer = response(201, r#"{"order_id":"load-r-000000009"}"#);
        recorder.answered(&job(1), &answer, Duration::ZERO);
        assert_eq!(recorder.tally.errors[0].code, "answer names another order");
    }

    #[test]
    fn a_refused_batch_refuses_each_of_its_orders() {
        let mut recorder = Recorder::new("");
        let job = Job {
            count: 3,
            is_batch: true,
            lines: vec![4, 5, 6],
            ..Job::default()
        };
        recorder.answered(
            &job,
            &response(503, r#"{"code":"overloaded"}"#),
            Duration::ZERO,
        );
        assert_eq!(
            (
                recorder.tally.refused(),
                recorder.haul.reconciliation.refused
            ),
            (3, 3)
        );
    }
}
