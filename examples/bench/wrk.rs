//! The closed loop: `wrk` with a script, and what it reports.
//!
//! `wrk` sends the next request as soon as the last one is answered, so it finds the ceiling of a
//! server; its latencies are those at that ceiling.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::stage::{Figures, figures};

const POST: &str = concat!(include_str!("post.lua"), include_str!("done.lua"));
const KEYED: &str = concat!(include_str!("keyed.lua"), include_str!("done.lua"));
const READ: &str = concat!(include_str!("read.lua"), include_str!("done.lua"));

/// What is sent.
#[derive(Clone, Debug)]
pub struct Requests {
    script: PathBuf,
    path: &'static str,
    arguments: Vec<String>,
    /// Orders in each request.
    pub orders: u32,
    /// Connections.
    pub connections: u32,
}

impl Requests {
    /// The same order in every request, on 256 connections.
    ///
    /// # Errors
    ///
    /// The folder cannot be written to.
    pub fn single(folder: &Path) -> anyhow::Result<Self> {
        Self::post(folder, ("/v1/orders", "application/json"), 1, 256)
    }

    /// The same order in every request, each with another value of this header, on 256 connections.
    ///
    /// # Errors
    ///
    /// The folder cannot be written to.
    pub fn keyed(folder: &Path, header: &str) -> anyhow::Result<Self> {
        let mut requests = Self::single(folder)?;
        requests.script = write_script(folder, "keyed.lua", KEYED)?;
        requests.arguments.push(header.to_owned());
        Ok(requests)
    }

    /// A hundred orders in every request, on 16 connections.
    ///
    /// # Errors
    ///
    /// The folder cannot be written to.
    pub fn batch(folder: &Path) -> anyhow::Result<Self> {
        Self::post(
            folder,
            ("/v1/orders/batch", "application/x-ndjson"),
            100,
            16,
        )
    }

    fn post(
        folder: &Path,
        (path, kind): (&'static str, &str),
        orders: u32,
        connections: u32,
    ) -> anyhow::Result<Self> {
        let body = folder.join(format!("body-{orders}"));
        fs::write(&body, lines(orders))?;
        Ok(Self {
            script: write_script(folder, "post.lua", POST)?,
            path,
            arguments: vec![body.display().to_string(), kind.to_owned()],
            orders,
            connections,
        })
    }

    /// Reads of these orders, on 64 connections.
    ///
    /// # Errors
    ///
    /// The folder cannot be written to.
    pub fn reads(folder: &Path, ids: &[String]) -> anyhow::Result<Self> {
        let list = folder.join("ids");
        fs::write(&list, ids.join("\n"))?;
        Ok(Self {
            script: write_script(folder, "read.lua", READ)?,
            path: "/v1/orders",
            arguments: vec![list.display().to_string()],
            orders: 1,
            connections: 64,
        })
    }

    /// Sends for some seconds.
    ///
    /// # Errors
    ///
    /// `wrk` is not there, a request was refused, or nothing was answered.
    pub fn send(&self, address: SocketAddr, seconds: u32) -> anyhow::Result<Report> {
        let connections = self.connections.to_string();
        let output = Command::new("wrk")
            .args(["-t2", "-c", &connections, "-d", &seconds.to_string()])
            .args(["--timeout", "30s", "-s"])
            .arg(&self.script)
            .arg(format!("http://{address}{}", self.path))
            .args(&self.arguments)
            .output()
            .context("cannot run wrk; scripts/bench installs it")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let report = Report::parse(&text).with_context(|| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            format!("wrk reported nothing: {text} {complaint}")
        })?;
        if report.refused > 0 || report.requests == 0 {
            bail!(
                "{} of {} requests were refused",
                report.refused,
                report.requests
            );
        }
        Ok(report)
    }
}

/// What `wrk` counted.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Report {
    /// Requests that were answered.
    pub requests: u64,
    duration_us: f64,
    /// Answers that were no success.
    pub refused: u64,
    failed: u64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

impl Report {
    fn parse(output: &str) -> anyhow::Result<Self> {
        let mut lines = output
            .lines()
            .filter_map(|line| line.strip_prefix("RESULT "));
        let line = lines.next().context("there is no result line")?;
        Ok(serde_json::from_str(line)?)
    }

    /// Requests answered per second.
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 * 1e6 / self.duration_us.max(1.0)
    }

    /// The figures of a block whose requests carried this many orders.
    pub fn figures(&self, orders: u32) -> Figures {
        figures([
            ("per_second", self.requests_per_second() * f64::from(orders)),
            ("requests", self.requests as f64),
            ("failed", self.failed as f64),
            ("p50_ms", self.p50_us / 1e3),
            ("p99_ms", self.p99_us / 1e3),
            ("p999_ms", self.p999_us / 1e3),
        ])
    }
}

/// Whose the order is.
pub const CUSTOMER: &str = "customer-00004711";

/// An order as it is sent, one of them or one a line: 250 bytes, two priced items, a priority.
pub const ORDER: &str = concat!(
    r#"{"customer_id":"customer-00004711","items":["#,
    r#"{"sku":"sku-00042","quantity":2,"unit_price":4500},"#,
    r#"{"sku":"sku-90210","quantity":1,"unit_price":999}],"#,
    r#""total":{"amount":9999,"currency":"USD"},"priority":1,"#,
    r#""address":"1 Main Street, 12345 Springfield"}"#
);

/// So many orders, one a line.
pub fn lines(orders: u32) -> String {
    vec![ORDER; orders as usize].join("\n")
}

fn write_script(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_line_is_found_between_what_wrk_prints_itself() {
        let output = "Running 8s test @ http://127.0.0.1:1/v1/orders\n  2 threads\n\
            Requests/sec:  1.00\nRESULT {\"requests\":1000,\"duration_us\":2000000,\"refused\":3,\
            \"failed\":1,\"p50_us\":5000,\"p99_us\":9000,\"p999_us\":12500}\n";
        let report = Report::parse(output).unwrap();
        assert_eq!((report.requests, report.refused), (1_000, 3));
        let figures = report.figures(100);
        assert_eq!(figures["per_second"], 50_000.0);
        assert_eq!(figures["p50_ms"], 5.0);
        assert_eq!(figures["p999_ms"], 12.5);
        assert_eq!(figures["failed"], 1.0);
    }

    #[test]
    fn output_without_a_result_is_an_error() {
        assert!(Report::parse("unable to connect\n").is_err());
        assert!(Report::parse("RESULT {\"requests\":1}\n").is_err());
    }

    #[test]
    fn the_order_is_json_of_about_250_bytes_and_adds_up() {
        let order: serde_json::Value = serde_json::from_str(ORDER).unwrap();
        assert!((240..=260).contains(&ORDER.len()), "{}", ORDER.len());
        assert_eq!(order["total"]["amount"], 2 * 4_500 + 999);
        assert_eq!(lines(100).lines().count(), 100);
    }
}
