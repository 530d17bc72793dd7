//! The final report as data: what `--json` prints, and what the text report is made from.
//! It only gathers figures; nothing is measured or decided here but the exit code.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use super::apache::Comparison;
use super::arguments::Settings;
use super::conduct::Sent;
use super::facts::{CLOSED, Facts};
use super::reconcile::Reconciliation;
use super::tally::Counted;
use super::thresholds::{Judgement, Measured, Threshold};
use super::verify::Verification;
use super::view::{Bar, bars};
use crate::cli::exit;

/// The version of the JSON document; it rises when a member changes its meaning.
const FORMAT: u32 = 1;

/// Everything there is to say about a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this document.
    pub format: u32,
    /// What was run.
    pub run: Facts,
    /// What the load tool of a scenario would have printed, line by line.
    pub told: Vec<String>,
    /// The run beside published figures, if there are any.
    pub comparison: Option<Comparison>,
    /// The thresholds, in the order they were given.
    pub thresholds: Vec<Judgement>,
    /// The sums.
    pub totals: Totals,
    /// Latency of requests with an accepted order.
    pub latency: Distribution,
    /// Latency of all other answered requests.
    pub refused_latency: Distribution,
    /// How much later than planned requests were sent (open loop only).
    pub send_delay: Option<Distribution>,
    /// What became of the lines of a file.
    pub reconciliation: Option<Reconciliation>,
    /// What was read back.
    pub verification: Option<Verification>,
    /// Why the run is a failure; empty if it is none.
    pub problems: Vec<String>,
    /// The exit code.
    pub exit_code: u8,
}

/// What came out of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was sent.
    pub sent: Sent,
    /// What the load tool of a scenario would have printed.
    pub told: Vec<String>,
    /// The run beside published figures.
    pub comparison: Option<Comparison>,
    /// What was read back.
    pub verification: Option<Verification>,
}

impl Outcome {
    /// Of a run without a scenario, not verified yet.
    pub fn plain(sent: Sent) -> Self {
        Self {
            sent,
            told: Vec::new(),
            comparison: None,
            verification: None,
        }
    }
}

/// The sums of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Requests sent.
    pub requests: u64,
    /// Requests per second.
    pub request_rate: f64,
    /// Orders sent.
    pub orders: u64,
    /// Orders accepted.
    pub accepted: u64,
    /// Orders accepted per second.
    pub accepted_rate: f64,
    /// Orders that were there already.
    pub existing: u64,
    /// Orders refused.
    pub refused: u64,
    /// Refused orders by status and code.
    pub refusals: Vec<Counted>,
    /// Requests and connections that failed.
    pub failed: u64,
    /// Failures by what failed.
    pub errors: Vec<Counted>,
    /// Orders whose request failed.
    pub unanswered: u64,
    /// Orders on their way when the time was over, and given up.
    pub aborted: u64,
    /// Orders that were due but found no free connection in time.
    pub never_sent: u64,
    /// Acknowledged orders that had ended, per second from the start until nothing was open.
    pub final_rate: Option<f64>,
    /// Seconds from the start until nothing was open.
    pub settled_seconds: Option<f64>,
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Distribution {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min_us: u64,
    /// The average.
    pub mean_us: f64,
    /// Percentiles by name.
    #[serde(serialize_with = "as_map")]
    pub percentiles_us: Vec<(&'static str, u64)>,
    /// The longest.
    pub max_us: u64,
    /// The histogram.
    pub bars: Vec<Bar>,
}

fn as_map<S: Serializer>(pairs: &[(&str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

const PERCENTILES: [(&str, f64); 7] = [
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
];

impl Distribution {
    /// The figures of a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |(name, percentile)| (name, histogram.value_at_percentile(percentile));
        Self {
            count: histogram.len(),
            min_us: histogram.min(),
            mean_us: histogram.mean(),
            percentiles_us: PERCENTILES.map(at).into(),
            max_us: histogram.max(),
            bars: bars(histogram),
        }
    }

    fn value(&self, name: &str) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        match name {
            "min" => Some(self.min_us as f64),
            "mean" => Some(self.mean_us),
            "max" => Some(self.max_us as f64),
            _ => {
                let mut percentiles = self.percentiles_us.iter();
                percentiles
                    .find(|(known, _)| *known == name)
                    .map(|(_, us)| *us as f64)
            }
        }
    }
}

impl Report {
    /// Gathers the figures of a run and judges it.
    pub fn new(settings: &Settings, label: &str, outcome: Outcome) -> Self {
        let Outcome {
            sent, verification, ..
        } = outcome;
        let run = Facts::of(settings, label, sent.interrupted);
        let is_open_loop = run.mode != CLOSED;
        let totals = Totals::of(&sent, verification.as_ref());
        let mut reconciliation = settings.file.is_some().then_some(sent.haul.reconciliation);
        if let Some(reconciliation) = &mut reconciliation {
            reconciliation.aborted = totals.aborted;
        }
        let mut report = Self {
            format: FORMAT,
            run,
            told: outcome.told,
            comparison: outcome.comparison,
            thresholds: Vec::new(),
            totals,
            latency: Distribution::of(&sent.tally.latency),
            refused_latency: Distribution::of(&sent.tally.refused_latency),
            send_delay: is_open_loop.then(|| Distribution::of(&sent.tally.send_delay)),
            reconciliation,
            verification,
            problems: Vec::new(),
            exit_code: exit::OK,
        };
        if let Some(error) = sent.file_error {
            report
                .problems
                .push(format!("{:#}", anyhow::Error::new(error)));
        }
        report.judge(&settings.thresholds, settings.arguments.allow_open);
        report
    }

    fn judge(&mut self, thresholds: &[Threshold], allow_open: bool) {
        self.thresholds = thresholds
            .iter()
            .map(|threshold| threshold.judge(self))
            .collect();
        if self
            .reconciliation
            .as_ref()
            .is_some_and(|found| !found.is_settled())
        {
            let again = "some lines have no definite answer: send the file again, \
                         what is there already is not doubled";
            self.problems.push(again.to_owned());
        }
        if let Some(found) = &self.verification {
            self.problems.extend(found.problems(allow_open));
        }
        let nothing_worked = self.totals.failed > 0
            && self.totals.accepted + self.totals.existing + self.totals.refused == 0;
        if nothing_worked {
            self.problems.push("no request was answered".to_owned());
        }
        self.exit_code = if !self.problems.is_empty() {
            exit::FAILURE
        } else if self.thresholds.iter().any(|judgement| !judgement.met) {
            exit::THRESHOLD
        } else {
            exit::OK
        };
    }
}

impl Measured for Report {
    fn value(&self, name: &str) -> Option<f64> {
        let verified = |pick: fn(&Verification) -> u64| {
            self.verification.as_ref().map(|found| pick(found) as f64)
        };
        match name {
            "accepted_rate" => Some(self.totals.accepted_rate),
            "request_rate" => Some(self.totals.request_rate),
            "final_rate" => self.totals.final_rate,
            "accepted" => Some(self.totals.accepted as f64),
            "existing" => Some(self.totals.existing as f64),
            "refused" => Some(self.totals.refused as f64),
            "errors" => Some(self.totals.failed as f64),
            "aborted" => Some((self.totals.aborted + self.totals.never_sent) as f64),
            "missing" => verified(|found| found.missing),
            "open" => verified(|found| found.open),
            "dead" => verified(|found| found.dead),
            "refused_p99" => self.refused_latency.value("p99"),
            latency => self.latency.value(latency),
        }
    }

    fn orders_sent(&self) -> f64 {
        self.totals.orders as f64
    }
}

impl Totals {
    fn of(sent: &Sent, verification: Option<&Verification>) -> Self {
        let tally = &sent.tally;
        let known = tally.accepted + tally.existing + tally.refused() + tally.unanswered;
        let settled = verification.and_then(|found| found.settled_at);
        let settled = settled.map(|at| at.saturating_duration_since(sent.start));
        let ended = verification.map_or(0, |found| found.final_once);
        Self {
            seconds: sent.elapsed.as_secs_f64(),
            requests: tally.requests_sent,
            request_rate: rate(tally.requests_ended, sent.elapsed),
            orders: tally.orders_sent,
            accepted: tally.accepted,
            accepted_rate: rate(tally.accepted, sent.elapsed),
            existing: tally.existing,
            refused: tally.refused(),
            refusals: tally.refusals.clone(),
            failed: tally.failed(),
            errors: tally.errors.clone(),
            unanswered: tally.unanswered,
            aborted: tally.orders_sent.saturating_sub(known),
            never_sent: sent.never_sent,
            final_rate: settled.map(|settled| rate(ended, settled)),
            settled_seconds: settled.map(|settled| settled.as_secs_f64()),
        }
    }
}

fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count as f64 / time.as_secs_f64()
    }
}
