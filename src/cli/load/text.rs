//! The final report as text: thresholds, then totals, then distributions, then what was proved.
//! Pure: a report goes in, lines come out.

use super::notation::{grouped, micros};
use super::reconcile::{Reason, Reconciliation};
use super::report::{Distribution, Report};
use super::verify::Verification;

/// The longest bar of a histogram, in characters.
const BAR_WIDTH: u128 = 40;

/// Renders the report, with colours or without.
pub fn render(report: &Report, has_colour: bool) -> String {
    let mut page = Page {
        text: String::new(),
        has_colour,
    };
    page.line(&report.run.line());
    page.thresholds(report);
    page.totals(report);
    page.distribution("latency of accepted requests", &report.latency);
    page.distribution("latency of all other answers", &report.refused_latency);
    if let Some(delay) = &report.send_delay {
        page.distribution("sent later than planned", delay);
    }
    if let Some(reconciliation) = &report.reconciliation {
        page.reconciliation(reconciliation);
    }
    if let Some(verification) = &report.verification {
        page.verification(verification);
    }
    page.verdict(report);
    page.text
}

struct Page {
    text: String,
    has_colour: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn title(&mut self, title: &str) {
        self.line("");
        self.line(&self.painted("1", title));
    }

    fn row(&mut self, name: &str, value: &str) {
        self.line(&format!("  {name:<32}{value:>16}"));
    }

    fn count(&mut self, name: &str, count: u64) {
        self.row(name, &grouped(count));
    }

    fn note(&mut self, name: &str, value: &str, note: &str) {
        self.line(&format!("  {name:<32}{value:>16}  {note}"));
    }

    fn mark(&self, is_good: bool) -> String {
        if is_good {
            self.painted("32", "✓")
        } else {
            self.painted("31", "✗")
        }
    }

    /// The text in a colour or weight of the terminal.
    fn painted(&self, code: &str, text: &str) -> String {
        if self.has_colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn thresholds(&mut self, report: &Report) {
        if report.thresholds.is_empty() {
            return;
        }
        self.title("thresholds");
        for judgement in &report.thresholds {
            let mark = self.mark(judgement.met);
            let (threshold, measured) = (&judgement.threshold, &judgement.measured);
            self.line(&format!("  {mark} {threshold:<30}{measured:>16}"));
        }
    }

    fn totals(&mut self, report: &Report) {
        let totals = &report.totals;
        self.title("totals");
        self.row("run", &report.run.label);
        self.row("seed", &report.run.seed.to_string());
        let early = if report.run.interrupted {
            "ended early by hand"
        } else {
            ""
        };
        self.note("time", &format!("{:.2} s", totals.seconds), early);
        self.note(
            "requests",
            &grouped(totals.requests),
            &per_second(totals.request_rate),
        );
        self.count("orders sent", totals.orders);
        self.note(
            "accepted",
            &grouped(totals.accepted),
            &per_second(totals.accepted_rate),
        );
        if totals.existing > 0 {
            self.count("there already", totals.existing);
        }
        self.count("refused", totals.refused);
        for kind in &totals.refusals {
            self.count(&format!("  {} {}", kind.status, kind.code), kind.count);
        }
        self.count("errors", totals.failed);
        for kind in &totals.errors {
            self.count(&format!("  {}", kind.code), kind.count);
        }
        for (name, count) in [
            ("orders without an answer", totals.unanswered),
            ("aborted at the deadline", totals.aborted),
            ("due, but never sent", totals.never_sent),
        ] {
            if count > 0 {
                self.count(name, count);
            }
        }
    }

    fn distribution(&mut self, title: &str, latency: &Distribution) {
        if latency.count == 0 {
            return;
        }
        self.title(title);
        let mean = latency.mean_us.round() as u64;
        let mut names = format!("  {:>9} {:>9}", "min", "mean");
        let mut values = format!("  {:>9} {:>9}", micros(latency.min_us), micros(mean));
        for (name, us) in &latency.percentiles_us {
            names.push_str(&format!(" {name:>9}"));
            values.push_str(&format!(" {:>9}", micros(*us)));
        }
        self.line(&format!("{names} {:>9}", "max"));
        self.line(&format!("{values} {:>9}", micros(latency.max_us)));
        self.line("");
        let most = latency
            .bars
            .iter()
            .map(|bar| bar.count)
            .max()
            .unwrap_or(0)
            .max(1);
        for bar in &latency.bars {
            let length = (u128::from(bar.count) * BAR_WIDTH).div_ceil(u128::from(most));
            let blocks = self.painted("36", &"█".repeat(length as usize));
            self.line(&format!(
                "  {:>12} {blocks} {}",
                bar.label(),
                grouped(bar.count)
            ));
        }
    }

    fn reconciliation(&mut self, found: &Reconciliation) {
        self.title("reconciliation");
        self.count("lines sent", found.lines + found.aborted);
        self.count("accepted", found.accepted);
        self.count("there already", found.existing);
        self.count("refused", found.refused);
        found.refusals.iter().for_each(|reason| self.reason(reason));
        if found.unanswered + found.aborted > 0 {
            self.count("without an answer", found.unanswered + found.aborted);
            found.failures.iter().for_each(|reason| self.reason(reason));
        }
        for (currency, sum) in &found.accepted_totals {
            self.note(
                &format!("accepted {currency}"),
                &grouped(*sum),
                "minor units",
            );
        }
        if found.without_total > 0 {
            self.count("accepted without a total", found.without_total);
        }
    }

    fn reason(&mut self, reason: &Reason) {
        let status = reason
            .status
            .map(|status| format!("{status} "))
            .unwrap_or_default();
        let field = match (&reason.field_code, &reason.field) {
            (Some(code), Some(field)) => format!(": {code} {field}"),
            _ => String::new(),
        };
        let name = format!("  {status}{}{field}", reason.code);
        if name.len() > 32 {
            self.line(&format!("  {name}"));
            self.count("", reason.count);
        } else {
            self.count(&name, reason.count);
        }
        for example in &reason.examples {
            let pointer = example.pointer.as_deref().unwrap_or_default();
            let text = format!("      line {} {pointer}  {}", example.line, example.detail);
            self.line(&text);
        }
    }

    fn verification(&mut self, found: &Verification) {
        self.title("verification");
        self.count("acknowledged", found.acknowledged);
        if found.existing > 0 {
            self.count("there before, verified too", found.existing);
        }
        self.count("found", found.found);
        self.checked("missing", found.missing);
        self.checked("doubled", found.doubled);
        self.count("final once", found.final_once);
        self.checked("ended twice", found.ended_twice);
        self.checked("still open", found.open);
        self.count("dead", found.dead);
        if found.broken_history > 0 {
            self.checked("history broken", found.broken_history);
        }
        if found.unreadable > 0 {
            self.checked("could not be read", found.unreadable);
        }
        let note = if found.is_sample {
            "a seeded sample"
        } else {
            "all"
        };
        self.note("histories read", &grouped(found.histories), note);
        found
            .examples
            .iter()
            .for_each(|example| self.line(&format!("      {example}")));
    }

    fn checked(&mut self, name: &str, count: u64) {
        let mark = self.mark(count == 0);
        self.note(name, &grouped(count), &mark);
    }

    fn verdict(&mut self, report: &Report) {
        if let (Some(seconds), Some(rate)) =
            (report.totals.settled_seconds, report.totals.final_rate)
        {
            let when = format!("{seconds:.2} s");
            self.note("nothing open after", &when, &per_second(rate));
        }
        if !report.problems.is_empty() {
            self.line("");
        }
        for problem in &report.problems {
            let mark = self.mark(false);
            self.line(&format!("{mark} {problem}"));
        }
    }
}

fn per_second(rate: f64) -> String {
    format!("{}/s", grouped(rate.round() as i128))
}
