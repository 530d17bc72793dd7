//! How a copy is told, to people and to programs: its rows, where its journals end, the proof.
//! Nothing is decided here.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::Report;
use crate::cli::verify::show::{self, Paint, grouped};

/// The copy for people.
pub fn text(report: &Report, (from, to): &(String, String), took: Duration) -> String {
    let mut text = String::new();
    for (table, rows) in &report.tables {
        let _ = writeln!(text, "{:>15}  {table}", grouped(*rows));
    }
    for (shard, head) in &report.heads {
        let (shard, position, hash) = (shard.0, head.position.0, hex(&head.hash));
        let _ = writeln!(text, "Shard {shard} ends at commit {position} with {hash}.");
    }
    if !report.proof.findings.are_none() {
        text.push_str("\nEach row is there and equal, but the proof of the copy failed:\n");
        text.push_str(&show::text(&report.proof, took, Paint::Plain));
        return text;
    }
    let orders = report.proof.orders;
    let _ = writeln!(
        text,
        "\nThe copy is whole: {} orders, each row equal, everything holds. {:.1} s, {} orders/s.\n\
         Serve {to} now, and {from} no more: from here on they would part.",
        grouped(orders),
        took.as_secs_f64(),
        grouped(rate(orders, took)),
    );
    text
}

fn rate(orders: u64, took: Duration) -> u64 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    orders.saturating_mul(1_000) / millis
}

/// The copy for programs.
pub fn json(report: &Report, (from, to): &(String, String), took: Duration) -> Value {
    let tables = report.tables.iter();
    let tables = tables.map(|(table, rows)| (table.clone(), Value::from(*rows)));
    let heads = report.heads.iter().map(|(shard, head)| {
        json!({
            "shard": shard.0,
            "epoch": head.epoch,
            "position": head.position.0,
            "hash": hex(&head.hash),
        })
    });
    json!({
        "from": from,
        "to": to,
        "ok": report.proof.findings.are_none(),
        "tables": tables.collect::<serde_json::Map<_, _>>(),
        "heads": heads.collect::<Vec<_>>(),
        "rows_before": report.rows_before,
        "seconds": took.as_secs_f64(),
        "proof": show::json(&report.proof, to, took),
    })
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
