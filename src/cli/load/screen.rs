//! The live screen: rate, counts, percentiles, a latency histogram, the rate over time.
//! It draws views and reads the keyboard; it knows nothing of connections or tallies.

use std::io::{self, Stderr, stderr};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, LineGauge, Paragraph, Sparkline};
use ratatui::{Frame, Terminal};

use super::display::Heading;
use super::notation::{grouped, micros};
use super::view::{PERCENTILE_NAMES, View};

/// Reasons and failures that are listed one by one.
const KINDS_MAX: usize = 4;

/// The terminal while the screen is on it. Dropping it gives the terminal back as it was.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    painter: Painter,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// It is no terminal that can be drawn on.
    pub fn open(has_colour: bool) -> io::Result<Self> {
        enable_raw_mode()?;
        let opened = execute!(stderr(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stderr())));
        match opened {
            Ok(terminal) => Ok(Self {
                terminal,
                painter: Painter { has_colour },
            }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draws a view; `true` if a key was pressed that ends the run.
    pub fn draw(&mut self, heading: &Heading, view: &View) -> bool {
        let painter = self.painter;
        // A terminal that cannot be drawn on any more must not end the run.
        drop(
            self.terminal
                .draw(|frame| painter.draw(frame, heading, view)),
        );
        wants_to_stop()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // Nothing can be done about a terminal that does not take this.
    drop(execute!(stderr(), LeaveAlternateScreen, cursor::Show));
    drop(disable_raw_mode());
}

/// Reads all keys pressed since the last time.
fn wants_to_stop() -> bool {
    let mut stop = false;
    while event::poll(Duration::ZERO).unwrap_or(false) {
        if let Ok(Event::Key(key)) = event::read()
            && key.kind == KeyEventKind::Press
        {
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            stop |= match key.code {
                KeyCode::Char('q') | KeyCode::Esc => true,
                KeyCode::Char('c') => control,
                _ => false,
            };
        }
    }
    stop
}

/// Draws with colours or without.
#[derive(Clone, Copy, Debug)]
struct Painter {
    has_colour: bool,
}

impl Painter {
    fn draw(self, frame: &mut Frame<'_>, heading: &Heading, view: &View) {
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(2),
            Constraint::Fill(3),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [title, progress, middle, spark, footer] = rows.areas(frame.area());
        let columns = Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]);
        let [left, right] = columns.areas(middle);
        frame.render_widget(Paragraph::new(self.strong(heading.text.clone())), title);
        self.draw_progress(frame, progress, heading, view);
        let numbers = Paragraph::new(self.numbers(view));
        frame.render_widget(numbers.block(self.block(" orders ")), left);
        let latency = Paragraph::new(self.latency(view, right.width));
        frame.render_widget(
            latency.block(self.block(" latency of accepted requests ")),
            right,
        );
        self.draw_rate(frame, spark, view);
        let help = "q or Ctrl-C ends the run early and reports; twice gives up open requests";
        frame.render_widget(Paragraph::new(self.faint(help.to_owned())), footer);
    }

    fn draw_progress(self, frame: &mut Frame<'_>, area: Rect, heading: &Heading, view: &View) {
        let elapsed = view.elapsed.as_secs();
        let text = match (heading.duration, heading.orders) {
            (Some(duration), _) => format!("{elapsed} of {} s", duration.as_secs_f64()),
            (None, Some(orders)) => {
                format!(
                    "{} of {} orders",
                    grouped(view.orders_sent),
                    grouped(orders)
                )
            }
            (None, None) => format!("{elapsed} s, {} orders", grouped(view.orders_sent)),
        };
        let gauge = LineGauge::default()
            .ratio(heading.progress(view).unwrap_or(0.0))
            .label(text)
            .filled_style(self.coloured(Color::Cyan))
            .filled_symbol("━")
            .unfilled_symbol("─");
        frame.render_widget(gauge, area);
    }

    fn draw_rate(self, frame: &mut Frame<'_>, area: Rect, view: &View) {
        let room = usize::from(area.width.saturating_sub(2));
        let from = view.history.len().saturating_sub(room);
        let top = view.history[from..].iter().copied().max().unwrap_or(0);
        let spark = Sparkline::default()
            .data(&view.history[from..])
            .style(self.coloured(Color::Cyan))
            .block(self.block(&format!(" orders/s, top {} ", grouped(top))));
        frame.render_widget(spark, area);
    }

    fn numbers(self, view: &View) -> Vec<Line<'static>> {
        let mut lines = vec![
            self.row(
                "rate now",
                format!("{}/s", grouped(view.rate_now)),
                Color::Cyan,
            ),
            self.row(
                "rate average",
                format!("{}/s", grouped(view.rate_average)),
                Color::Reset,
            ),
            self.row("accepted", grouped(view.accepted), Color::Green),
        ];
        if view.existing > 0 {
            lines.push(self.row("there already", grouped(view.existing), Color::Reset));
        }
        lines.push(self.row("refused", grouped(view.refused), warning(view.refused)));
        for kind in view.refusals.iter().take(KINDS_MAX) {
            let name = format!("  {} {}", kind.status, kind.code);
            lines.push(self.row(&name, grouped(kind.count), Color::Yellow));
        }
        lines.push(self.row("errors", grouped(view.failed), danger(view.failed)));
        for kind in view.errors.iter().take(KINDS_MAX) {
            lines.push(self.row(&format!("  {}", kind.code), grouped(kind.count), Color::Red));
        }
        lines.push(self.row("in flight", grouped(view.in_flight), Color::Reset));
        if view.waiting > 0 {
            let waiting = grouped(view.waiting);
            lines.push(self.row("due, not sent", waiting, Color::Yellow));
        }
        lines
    }

    fn latency(self, view: &View, width: u16) -> Vec<Line<'static>> {
        let mut spans = Vec::new();
        for (name, us) in PERCENTILE_NAMES.into_iter().zip(view.percentiles) {
            spans.push(self.faint(format!("{name} ")));
            spans.push(self.strong(format!("{}  ", micros(us))));
        }
        let mut lines = vec![Line::from(spans), Line::default()];
        let most = view
            .bars
            .iter()
            .map(|bar| bar.count)
            .max()
            .unwrap_or(0)
            .max(1);
        let room = u64::from(width.saturating_sub(28));
        for bar in &view.bars {
            let length = (u128::from(bar.count) * u128::from(room)).div_ceil(u128::from(most));
            lines.push(Line::from(vec![
                self.faint(format!("{:>10} ", bar.label())),
                Span::styled("█".repeat(length as usize), self.coloured(Color::Cyan)),
                self.faint(format!(" {}", grouped(bar.count))),
            ]));
        }
        lines
    }

    fn row(self, name: &str, value: String, colour: Color) -> Line<'static> {
        let value = Span::styled(format!("{value:>14}"), self.coloured(colour));
        Line::from(vec![self.faint(format!("{name:<28.28}")), value])
    }

    fn block(self, title: &str) -> Block<'static> {
        Block::bordered()
            .title(title.to_owned())
            .border_style(self.coloured(Color::DarkGray))
    }

    fn strong(self, text: String) -> Span<'static> {
        Span::styled(text, Style::default().add_modifier(Modifier::BOLD))
    }

    fn faint(self, text: String) -> Span<'static> {
        Span::styled(text, self.coloured(Color::DarkGray))
    }

    fn coloured(self, colour: Color) -> Style {
        if self.has_colour {
            Style::default().fg(colour)
        } else {
            Style::default()
        }
    }
}

fn warning(count: u64) -> Color {
    if count == 0 {
        Color::Reset
    } else {
        Color::Yellow
    }
}

fn danger(count: u64) -> Color {
    if count == 0 { Color::Reset } else { Color::Red }
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::load::tally::Counted;
    use crate::cli::load::view::Bar;

    fn drawn(width: u16, height: u16, view: &View) -> String {
        let heading = Heading {
            text: "closed loop, 64 connections".to_owned(),
            duration: Some(Duration::from_secs(10)),
            orders: None,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let painter = Painter { has_colour: false };
        terminal
            .draw(|frame| painter.draw(frame, &heading, view))
            .unwrap();
        terminal.backend().to_string()
    }

    fn view() -> View {
        View {
            elapsed: Duration::from_secs(4),
            accepted: 123_456,
            refused: 7,
            rate_now: 31_000,
            percentiles: [1_200, 2_000, 5_100, 9_000, 12_000],
            refusals: vec![Counted {
                status: 503,
                code: "overloaded".to_owned(),
                count: 7,
            }],
            bars: vec![Bar {
                from_us: 1_000,
                to_us: 2_000,
                count: 99,
            }],
            history: vec![1, 2, 3],
            ..View::default()
        }
    }

    #[test]
    fn the_screen_shows_what_there_is_to_see() {
        let screen = drawn(110, 30, &view());
        for part in [
            "closed loop, 64 connections",
            "4 of 10 s",
            "31,000/s",
            "123,456",
            "503 overloaded",
            "p99 5.10 ms",
            "to 2.00 ms",
            "█ 99",
            "q or Ctrl-C",
        ] {
            assert!(screen.contains(part), "{part} is not on\n{screen}");
        }
    }

    #[test]
    fn any_size_of_terminal_will_do() {
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            drawn(width, height, &view());
            drawn(width, height, &View::default());
        }
    }
}
