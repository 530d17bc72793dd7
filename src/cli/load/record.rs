//! What a worker writes down: counts and latencies ([`Tally`]), and what is needed at the end
//! ([`Haul`]). Each worker has its own; it judges nothing.

use std::time::Duration;

use super::answers::{self, Outcome, Unreadable, Wanted};
use super::ids::Ids;
use super::receipt;
use super::reconcile::Reconciliation;
use super::source::Job;
use super::tally::{Tally, count};
use crate::cli::client::ExchangeError;
use crate::cli::response::Response;
use crate::cli::scenario::Door;

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
    /// Whose answers are read, if not those of the native API.
    door: Option<Door>,
}

impl Recorder {
    /// An empty recorder; `prefix` is what the ids of this run begin with. It reads answers of the
    /// native API, or those given at a dialect's door.
    pub fn new(prefix: &str, door: Option<Door>) -> Self {
        Self {
            tally: Tally::default(),
            haul: Haul::new(prefix),
            door,
        }
    }

    /// A request goes out, so much later than planned if it was planned.
    pub fn sent(&mut self, job: &Job, delay: Option<Duration>) {
        self.tally.requests_sent += 1;
        self.tally.orders_sent += job.count as u64;
        self.tally.traffic.sent += job.request.len() as u64;
        if let Some(delay) = delay {
            self.tally.send_delay.saturating_record(us(delay));
        }
    }

    /// The answer of a request, `latency` after it was sent or should have been.
    pub fn answered(&mut self, job: &Job, response: &Response<'_>, latency: Duration) {
        let accepted = self.tally.accepted;
        self.tally.traffic.answered(response);
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
        if let Some(door) = &self.door {
            let sent = job.id.as_deref();
            let outcome = receipt::read(door, sent, response)?;
            self.outcome(job, 0, &outcome);
        } else if job.is_batch {
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
                let expected = job.numbered_from.map(|first| first + place as u64);
                let number = || self.haul.acknowledged.number_of(id).map(u64::from);
                if expected.is_some_and(|expected| number() != Some(expected))
                    || job.id.as_ref().is_some_and(|sent| sent != id)
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
        let mut recorder = Recorder::new("load-r-", None);
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
        let mut recorder = Recorder::new("load-r-", None);
        let answer = response(201, r#"{"order_id":"load-r-000000009"}"#);
        recorder.answered(&job(1), &answer, Duration::ZERO);
        assert_eq!(recorder.tally.errors[0].code, "answer names another order");
    }

    #[test]
    fn a_refused_batch_refuses_each_of_its_orders() {
        let mut recorder = Recorder::new("", None);
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
