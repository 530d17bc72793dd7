//! Progress without a screen: a line each second while orders are sent, and a bar or lines while
//! they are read back. Everything goes to stderr.

use std::cell::Cell;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::notation::{grouped, micros};
use super::view::View;
use crate::clock;

const LINE_EVERY: Duration = Duration::from_secs(1);

/// Decides when a line is due.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    shown: Duration,
}

impl Progress {
    /// The line for this view, if a second has passed since the last one.
    pub fn line(&mut self, view: &View) -> Option<String> {
        if view.elapsed < self.shown + LINE_EVERY {
            return None;
        }
        self.shown = Duration::from_secs(view.elapsed.as_secs());
        let [p50, _, p99, _, max] = view.percentiles;
        let mut line = format!(
            "{:>4} s  {:>9}/s  accepted {}  refused {}  errors {}  in flight {}",
            self.shown.as_secs(),
            grouped(view.rate_now),
            grouped(view.accepted),
            grouped(view.refused),
            grouped(view.failed),
            grouped(view.in_flight),
        );
        if view.existing > 0 {
            line.push_str(&format!("  there already {}", grouped(view.existing)));
        }
        if view.waiting > 0 {
            line.push_str(&format!("  waiting {}", grouped(view.waiting)));
        }
        line.push_str(&format!(
            "  p50 {}  p99 {}  max {}",
            micros(p50),
            micros(p99),
            micros(max)
        ));
        Some(line)
    }
}

/// Shows how far the reading back is: a bar on a terminal, else a line each second.
#[derive(Debug)]
pub struct Meter {
    bar: Option<ProgressBar>,
    said: Cell<Option<Instant>>,
}

impl Meter {
    /// A meter for this terminal; `is_plain` wants lines in any case.
    pub fn new(is_plain: bool) -> Self {
        let bar = (!is_plain && stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Self {
            bar,
            said: Cell::new(None),
        }
    }

    /// Says how far it is; called as often as there is something to say.
    pub fn say(&self, message: impl FnOnce() -> String) {
        let now = clock::monotonic();
        let every = if self.bar.is_some() {
            LINE_EVERY / 10
        } else {
            LINE_EVERY
        };
        let recently = |said| now.saturating_duration_since(said) < every;
        if self.said.get().is_some_and(recently) {
            return;
        }
        self.said.set(Some(now));
        match &self.bar {
            Some(bar) => {
                bar.set_message(message());
                bar.tick();
            }
            None => eprintln!("{}", message()),
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_line_each_second_and_no_more() {
        let mut progress = Progress::default();
        let times = [0, 900, 1_100, 1_500, 2_050, 2_900, 5_000, 5_100];
        let shown = times.map(|ms| {
            let elapsed = Duration::from_millis(ms);
            progress
                .line(&View {
                    elapsed,
                    ..View::default()
                })
                .is_some()
        });
        assert_eq!(shown, [false, false, true, false, true, false, true, false]);
    }

    #[test]
    fn a_line_names_what_happened() {
        let view = View {
            elapsed: Duration::from_secs(3),
            rate_now: 12_345,
            accepted: 30_000,
            waiting: 7,
            percentiles: [1_500, 2_000, 9_000, 9_500, 20_000],
            ..View::default()
        };
        let line = Progress::default().line(&view).unwrap();
        for part in [
            "3 s",
            "12,345/s",
            "accepted 30,000",
            "waiting 7",
            "p99 9.00 ms",
        ] {
            assert!(line.contains(part), "{line}");
        }
    }
}
