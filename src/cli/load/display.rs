//! Shows a run while it goes on: the live screen on a terminal, a plain line each second
//! otherwise. Everything goes to stderr; stdout is for the report.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use super::arguments::Settings;
use super::progress::Progress;
use super::screen::Screen;
use super::tally::Tally;
use super::view::{Follower, View};

/// What the screen says about the run itself.
#[derive(Clone, Debug)]
pub struct Heading {
    /// What runs: server, loop, connections.
    pub text: String,
    /// How long it will send.
    pub duration: Option<Duration>,
    /// How many orders it will send; `None` if nobody knows.
    pub orders: Option<u64>,
}

impl Heading {
    /// How much of the run is over, 0 to 1; `None` if it has no known end.
    pub fn progress(&self, view: &View) -> Option<f64> {
        let by_time = self
            .duration
            .map(|duration| view.elapsed.as_secs_f64() / duration.as_secs_f64());
        let by_orders = self
            .orders
            .map(|orders| view.orders_sent as f64 / orders as f64);
        let furthest = [by_time, by_orders].into_iter().flatten().reduce(f64::max);
        furthest.map(|part| part.clamp(0.0, 1.0))
    }
}

/// The way a run is shown.
pub struct Display {
    follower: Follower,
    view: View,
    heading: Heading,
    surface: Surface,
}

enum Surface {
    Screen(Box<Screen>),
    Lines(Progress),
}

impl Display {
    /// The live screen if stderr is a terminal, it is wanted and it can be set up; else lines.
    pub fn new(settings: &Settings, heading: Heading) -> Self {
        let wanted = !settings.arguments.no_tui && stderr().is_terminal();
        let has_colour = !settings.arguments.no_color;
        let screen = wanted.then(|| Screen::open(has_colour).ok()).flatten();
        let surface = match screen {
            Some(screen) => Surface::Screen(Box::new(screen)),
            None => Surface::Lines(Progress::default()),
        };
        Self {
            follower: Follower::default(),
            view: View::default(),
            heading,
            surface,
        }
    }

    /// Takes in how far the run is. Quick: the workers wait for the tally meanwhile.
    pub fn see(&mut self, elapsed: Duration, tally: &Tally, waiting: u64) {
        self.view = self.follower.view(elapsed, tally, waiting);
    }

    /// Draws what was seen last; `true` if the person at the terminal wants to stop.
    pub fn draw(&mut self) -> bool {
        match &mut self.surface {
            Surface::Screen(screen) => screen.draw(&self.heading, &self.view),
            Surface::Lines(progress) => {
                if let Some(line) = progress.line(&self.view) {
                    eprintln!("{line}");
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_is_as_far_as_its_nearest_end() {
        let heading = |duration, orders| Heading {
            text: String::new(),
            duration,
            orders,
        };
        let view = View {
            elapsed: Duration::from_secs(5),
            orders_sent: 900,
            ..View::default()
        };
        let ten = Some(Duration::from_secs(10));
        assert_eq!(heading(ten, None).progress(&view), Some(0.5));
        assert_eq!(heading(ten, Some(1_000)).progress(&view), Some(0.9));
        assert_eq!(heading(None, None).progress(&view), None);
        assert_eq!(heading(None, Some(10)).progress(&view), Some(1.0));
    }
}
