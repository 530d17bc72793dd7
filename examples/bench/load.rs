//! The open loop: `orderd load` at a fixed rate or with a fixed number of orders, and its report.
//!
//! Latency counts from the planned time of a request, so a server that stalls cannot hide it.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::stage::{Figures, Stage, figures};

/// What is sent. Ids are the server's; nothing is read back.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// The server.
    pub address: SocketAddr,
    /// How much, and how fast.
    pub amount: Amount,
    /// Connections.
    pub connections: u32,
}

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// Orders per second, one a request, for so many seconds.
    Rate(u64, u32),
    /// So many orders as fast as possible, 1,000 a request.
    Orders(u64),
}

/// A load generator that runs.
pub struct Running(Child);

impl Sending {
    /// Starts to send.
    ///
    /// # Errors
    ///
    /// The program is not there.
    pub fn start(&self, stage: &Stage) -> anyhow::Result<Running> {
        let mut command = Command::new(&stage.programs.orderd);
        command
            .arg("load")
            .arg("--url")
            .arg(format!("http://{}", self.address));
        command.args(["--no-verify", "--no-client-ids", "--json", "--no-tui"]);
        command.args(["--connections", &self.connections.to_string()]);
        match self.amount {
            Amount::Rate(rate, seconds) => {
                command.args(["--rate", &rate.to_string()]);
                command.args(["--duration", &format!("{seconds}s")]);
            }
            Amount::Orders(orders) => {
                command.args(["--orders", &orders.to_string(), "--batch", "1000"]);
            }
        }
        let complaints = File::create(stage.path("load.log"))?;
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints);
        Ok(Running(
            command.spawn().context("cannot start orderd load")?,
        ))
    }

    /// Sends, and waits for the end.
    ///
    /// # Errors
    ///
    /// As [`Running::finish`].
    pub fn run(&self, stage: &Stage) -> anyhow::Result<Report> {
        self.start(stage)?.finish(stage)
    }
}

impl Running {
    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// There is no report, or orders were refused or failed.
    pub fn finish(self, stage: &Stage) -> anyhow::Result<Report> {
        let output = self.0.wait_with_output()?;
        let report = Report::parse(&output.stdout).with_context(|| {
            let complaints = std::fs::read_to_string(stage.path("load.log")).unwrap_or_default();
            format!("orderd load ended with {}: {complaints}", output.status)
        })?;
        if report.refused + report.failed > 0.0 {
            bail!(
                "{} orders refused, {} requests failed",
                report.refused,
                report.failed
            );
        }
        Ok(report)
    }
}

/// What `orderd load --json` says, as far as the benchmark asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Orders accepted.
    pub accepted: f64,
    /// Orders accepted per second.
    pub per_second: f64,
    refused: f64,
    failed: f64,
    never_sent: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

impl Report {
    fn parse(output: &[u8]) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_slice(output).context("its report is no JSON")?;
        Self::read(&value).context("its report lacks a member")
    }

    fn read(value: &Value) -> Option<Self> {
        let total = |name: &str| value["totals"][name].as_f64();
        let latency = &value["latency"];
        let percentile = |name: &str| Some(latency["percentiles_us"][name].as_f64()? / 1e3);
        Some(Self {
            accepted: total("accepted")?,
            per_second: total("accepted_rate")?,
            refused: total("refused")?,
            failed: total("failed")?,
            never_sent: total("never_sent")?,
            p50_ms: percentile("p50")?,
            p99_ms: percentile("p99")?,
            p999_ms: percentile("p99.9")?,
            max_ms: latency["max_us"].as_f64()? / 1e3,
        })
    }

    /// The figures of a block.
    pub fn figures(&self) -> Figures {
        figures([
            ("per_second", self.per_second),
            ("never_sent", self.never_sent),
            ("p50_ms", self.p50_ms),
            ("p99_ms", self.p99_ms),
            ("p999_ms", self.p999_ms),
            ("max_ms", self.max_ms),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_read() {
        let text = br#"{"format":1,"totals":{"accepted":10,"accepted_rate":5.5,"refused":0,
            "failed":0,"never_sent":2},"latency":{"percentiles_us":
            {"p50":1500,"p99":2500,"p99.9":4000},"max_us":9000}}"#;
        let report = Report::parse(text).unwrap();
        assert_eq!((report.accepted, report.per_second), (10.0, 5.5));
        let figures = report.figures();
        assert_eq!((figures["p50_ms"], figures["p999_ms"]), (1.5, 4.0));
        assert_eq!((figures["max_ms"], figures["never_sent"]), (9.0, 2.0));
        assert!(Report::parse(b"{}").is_err());
        assert!(Report::parse(b"").is_err());
    }
}
