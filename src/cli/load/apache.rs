//! The table that ApacheBench prints, with the figures of this run beside published ones.
//! Pure. The published run was on another machine: only the table says so, nothing is judged.

use serde::Serialize;

use super::conduct::Sent;
use super::tally::Traffic;
use crate::cli::scenario::{Published, Scenario};

/// A run beside a published one.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Where orders went.
    pub path: &'static str,
    /// Requests at once.
    pub concurrency: u32,
    /// Requests sent.
    pub requests: u64,
    /// Requests without an acknowledgement.
    pub failed: u64,
    /// Of those, how many were answered with another status.
    pub non_2xx: u64,
    /// Bytes of the longest body of an answer.
    pub document_bytes: u64,
    /// Bytes of all requests.
    pub sent_bytes: u64,
    /// Bytes of all answers.
    pub received_bytes: u64,
    /// Bytes of the bodies of all answers.
    pub document_bytes_total: u64,
    /// Time taken for all.
    pub seconds: Pair,
    /// Requests per second.
    pub rate: Pair,
    /// Mean time of a request.
    pub mean_ms: Pair,
    /// Times within which so many per cent of the requests were served.
    pub percentiles: Vec<Percentile>,
}

/// A figure of this run, and the published one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// In this run.
    pub measured: f64,
    /// As published.
    pub published: f64,
}

/// A time within which so many per cent of the requests were served.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentile {
    /// Per cent; 100 is the longest request.
    pub percent: u8,
    /// The time.
    pub ms: Pair,
}

impl Comparison {
    /// The figures of what was sent, beside published ones.
    pub fn of(scenario: &Scenario, published: &Published, sent: &Sent) -> Self {
        let tally = &sent.tally;
        let seconds = sent.elapsed.as_secs_f64();
        let concurrency = scenario.stages.iter().map(|stage| stage.connections).max();
        let concurrency = concurrency.unwrap_or(1);
        let requests = tally.requests_sent;
        let Traffic {
            sent: sent_bytes,
            received: received_bytes,
            bodies: document_bytes_total,
            longest_body: document_bytes,
        } = tally.traffic;
        let pair = |measured, published| Pair {
            measured,
            published,
        };
        let percentile = |&(percent, published)| {
            let us = tally.latency.value_at_percentile(f64::from(percent));
            let ms = pair(us as f64 / 1_000.0, published);
            Percentile { percent, ms }
        };
        let each = seconds / (requests.max(1) as f64);
        Self {
            path: scenario.door.path,
            concurrency,
            requests,
            failed: requests.saturating_sub(tally.accepted),
            non_2xx: tally.refused() + tally.existing,
            document_bytes,
            sent_bytes,
            received_bytes,
            document_bytes_total,
            seconds: pair(seconds, published.total_ms / 1_000.0),
            rate: pair(1.0 / each.max(f64::MIN_POSITIVE), published.rate),
            mean_ms: pair(each * f64::from(concurrency) * 1_000.0, published.mean_ms),
            percentiles: published.percentiles_ms.iter().map(percentile).collect(),
        }
    }

    /// The table.
    pub fn lines(&self) -> Vec<String> {
        let fact = |name: &str, value: String| format!("{name:<24}{value}");
        let pair = |name: &str, pair: Pair, digits| {
            let Pair {
                measured,
                published,
            } = pair;
            format!("{name:<32}{measured:>12.digits$}{published:>12.digits$}")
        };
        let mut lines = vec![
            fact("Document Path:", self.path.to_owned()),
            fact("Document Length:", format!("{} bytes", self.document_bytes)),
            String::new(),
            fact("Concurrency Level:", self.concurrency.to_string()),
            fact("Complete requests:", self.requests.to_string()),
            fact("Failed requests:", self.failed.to_string()),
            fact("Non-2xx responses:", self.non_2xx.to_string()),
            fact(
                "Total transferred:",
                format!("{} bytes", self.received_bytes),
            ),
            fact("Total body sent:", self.sent_bytes.to_string()),
            fact(
                "HTML transferred:",
                format!("{} bytes", self.document_bytes_total),
            ),
            String::new(),
            format!("{:<32}{:>12}{:>12}", "", "this run", "published"),
            pair("Time taken for tests [s]", self.seconds, 3),
            pair("Requests per second [#/sec]", self.rate, 2),
            pair("Time per request (mean) [ms]", self.mean_ms, 0),
            String::new(),
            "Percentage of the requests served within a certain time (ms)".to_owned(),
        ];
        for Percentile { percent, ms } in &self.percentiles {
            let longest = match percent {
                100 => " (longest request)",
                _ => "",
            };
            lines.push(pair(&format!("{percent:>4}%{longest}"), *ms, 0));
        }
        let factor = self.rate.measured / self.rate.published;
        lines.push(String::new());
        lines.push(format!(
            "{factor:.2} times the published requests per second, which another machine served"
        ));
        lines
    }
}
