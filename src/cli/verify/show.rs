//! How a proof is shown: a list of checks with their figures, the violations by name, or JSON.
//!
//! Text only; printing is left to the command.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::findings::Check;
use super::walk::Report;

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Letters only.
    Plain,
    /// Ticks and crosses in colour.
    Coloured,
}

/// The proof for people.
pub fn text(report: &Report, took: Duration, paint: Paint) -> String {
    let mut text = String::new();
    for check in Check::ALL {
        let finding = report.findings.of(check);
        let (promise, counted) = check.promise();
        let mark = match (finding.violations == 0, paint) {
            (true, Paint::Plain) => "✓",
            (false, Paint::Plain) => "✗",
            (true, Paint::Coloured) => "\x1b[32m✓\x1b[0m",
            (false, Paint::Coloured) => "\x1b[1;31m✗\x1b[0m",
        };
        let examined = grouped(finding.examined);
        let _ = write!(text, "{mark} {promise:<40} {examined:>14} {counted:<8}");
        if finding.violations > 0 {
            let _ = write!(text, " {:>10} wrong", grouped(finding.violations));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    violations(&mut text, report);
    let verdict = if report.findings.are_none() {
        "Everything holds"
    } else {
        "Something is wrong"
    };
    let _ = writeln!(
        text,
        "\n{verdict}: {} orders ({} open), {} events in {} commits, {:.1} s, {:.1} MiB remembered.",
        grouped(report.orders),
        grouped(report.open),
        grouped(report.events),
        grouped(report.rows),
        took.as_secs_f64(),
        mebibytes(report.memory_bytes as u64),
    );
    text
}

fn violations(text: &mut String, report: &Report) {
    for check in Check::ALL {
        let finding = report.findings.of(check);
        if finding.violations == 0 {
            continue;
        }
        let _ = writeln!(text, "\n{}:", check.name());
        for violation in &finding.named {
            let (table, key, what) = (violation.table, &violation.key, &violation.what);
            let _ = writeln!(text, "  {table} {key}: {what}");
        }
        let others = finding.violations - finding.named.len() as u64;
        if others > 0 {
            let _ = writeln!(text, "  and {} more", grouped(others));
        }
    }
}

/// The proof for programs.
pub fn json(report: &Report, store: &str, took: Duration) -> Value {
    let checks = Check::ALL.map(|check| {
        let finding = report.findings.of(check);
        json!({
            "check": check.name(),
            "ok": finding.violations == 0,
            "examined": finding.examined,
            "violations": finding.violations,
            "first": finding.named,
        })
    });
    json!({
        "store": store,
        "ok": report.findings.are_none(),
        "shards": report.shards,
        "commits": report.rows,
        "events": report.events,
        "orders": report.orders,
        "open": report.open,
        "memory_bytes": report.memory_bytes,
        "seconds": took.as_secs_f64(),
        "checks": checks,
    })
}

/// A number of bytes in MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A number with a comma after each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::findings::Findings;
    use super::*;

    fn report(findings: Findings) -> Report {
        Report {
            shards: 1,
            rows: 2,
            events: 3,
            orders: 1_234_567,
            open: 1,
            memory_bytes: 3 << 20,
            findings,
        }
    }

    #[test]
    fn a_sound_store_has_only_ticks() {
        let report = report(Findings::default());
        let text = text(&report, Duration::from_millis(1_500), Paint::Plain);
        assert_eq!(text.matches('✓').count(), Check::ALL.len());
        assert!(
            text.contains("Everything holds: 1,234,567 orders"),
            "{text}"
        );
        assert!(!text.contains('\x1b'));
        assert_eq!(json(&report, "x", Duration::ZERO)["ok"], true);
    }

    #[test]
    fn violations_are_named_and_the_rest_counted() {
        let mut findings = Findings::default();
        for seq in 1..=25 {
            findings.add(Check::EndedOnce, "journal", seq, "completed after it ended");
        }
        let report = report(findings);
        let text = text(&report, Duration::ZERO, Paint::Coloured);
        assert!(
            text.contains("\nended-once:\n  journal 1: completed"),
            "{text}"
        );
        assert!(text.contains("  and 5 more\n"), "{text}");
        assert!(text.contains("\x1b[1;31m✗"), "{text}");
        let json = json(&report, "x", Duration::ZERO);
        assert_eq!(
            (&json["ok"], &json["checks"][8]["violations"]),
            (&false.into(), &25.into())
        );
    }
}
