//! Whether a service may be called: after failures in a row it rests, then single calls try
//! whether it is back. Pure: time and chance are arguments.

use std::time::{Duration, Instant};

use crate::outbound;

/// When a service rests, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// After so many failures in a row, from 1.
    pub failures_max: u32,
    /// The first rest; each further one is twice as long.
    pub rest_base: Duration,
    /// The longest rest.
    pub rest_cap: Duration,
}

impl Default for BreakerSettings {
    /// 5 failures, 1 s to 1 min.
    fn default() -> Self {
        Self {
            failures_max: 5,
            rest_base: Duration::from_secs(1),
            rest_cap: Duration::from_secs(60),
        }
    }
}

/// What may be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// As much as there is.
    All,
    /// One call, to see whether the service is back. It must be told what became of it.
    Probe,
    /// Nothing until this time, or until something changes.
    Nothing(Option<Instant>),
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// One more; the service is called on.
    Counted,
    /// One too many: it rests from now on.
    Opened,
    /// It rests already: this call began before.
    Late,
    /// It is not back yet.
    OfProbe,
}

#[derive(Debug)]
enum State {
    /// It is called.
    Closed,
    /// It is not, for the time being. The number counts the rests since it was called last.
    Resting(Instant, u32),
    /// One call is under way.
    Probing(u32),
}

/// The state of one service.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    failures: u32,
    state: State,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            failures: 0,
            state: State::Closed,
        }
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it is called as usual.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Until when it rests.
    pub(super) fn resting_until(&self) -> Option<Instant> {
        match self.state {
            State::Resting(until, _) => Some(until),
            State::Closed | State::Probing(_) => None,
        }
    }

    /// What may be called.
    pub(super) fn permit(&mut self, now: Instant) -> Permit {
        match self.state {
            State::Closed => Permit::All,
            State::Resting(until, rests) if until <= now => {
                self.state = State::Probing(rests);
                Permit::Probe
            }
            State::Resting(until, _) => Permit::Nothing(Some(until)),
            State::Probing(_) => Permit::Nothing(None),
        }
    }

    /// The probe was not made after all: there was nothing to call for.
    pub(super) fn not_probed(&mut self, now: Instant) {
        if let State::Probing(rests) = self.state {
            self.state = State::Resting(now, rests);
        }
    }

    /// A call was answered. Whether that is news.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        !matches!(
            std::mem::replace(&mut self.state, State::Closed),
            State::Closed
        )
    }

    /// A call failed; the service may have asked for patience.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        is_probe: bool,
        asked: Option<Duration>,
        chance: f64,
    ) -> Failure {
        let (rests, failure) = match self.state {
            State::Closed if self.failures + 1 < self.settings.failures_max => {
                self.failures += 1;
                return Failure::Counted;
            }
            State::Closed => (1, Failure::Opened),
            State::Probing(rests) if is_probe => (rests.saturating_add(1), Failure::OfProbe),
            State::Probing(_) | State::Resting(..) => return Failure::Late,
        };
        self.failures = self.failures.saturating_add(1);
        let settings = &self.settings;
        let bounds = (settings.rest_base, settings.rest_cap);
        let rest = outbound::wait(rests, bounds, chance, asked);
        self.state = State::Resting(now + rest, rests);
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> (Breaker, Instant) {
        let breaker = Breaker::new(BreakerSettings::default());
        (breaker, crate::clock::monotonic())
    }

    fn open(breaker: &mut Breaker, now: Instant) {
        (0..4).for_each(|_| {
            assert_eq!(breaker.failed(now, false, None, 1.0), Failure::Counted);
        });
        assert_eq!(breaker.failed(now, false, None, 1.0), Failure::Opened);
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_itself() {
        let (mut breaker, start) = breaker();
        for _ in 0..4 {
            breaker.failed(start, false, None, 1.0);
        }
        assert!(!breaker.succeeded());
        open(&mut breaker, start);
        assert_eq!(breaker.failed(start, false, None, 1.0), Failure::Late);
        let until = start + SECOND;
        assert_eq!(breaker.permit(start), Permit::Nothing(Some(until)));
        assert_eq!(breaker.permit(until), Permit::Probe);
        assert_eq!(breaker.permit(until), Permit::Nothing(None));
        assert!(breaker.succeeded() && breaker.is_closed());
        assert_eq!(breaker.permit(until), Permit::All);
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn an_hour_costs_its_probes_and_no_more() {
        let (mut breaker, start) = breaker();
        open(&mut breaker, start);
        let (mut probes, mut now) = (0, start);
        while now < start + 3_600 * SECOND {
            match breaker.permit(now) {
                Permit::Probe => {
                    assert_eq!(breaker.permit(now), Permit::Nothing(None));
                    // One that began before it opened ends now.
                    assert_eq!(breaker.failed(now, false, None, 1.0), Failure::Late);
                    assert_eq!(breaker.failed(now, true, None, 1.0), Failure::OfProbe);
                    probes += 1;
                }
                Permit::Nothing(Some(until)) => now = until,
                other => panic!("{other:?}"),
            }
        }
        // After 1 s, 2, 4, 8, 16, 32, and then every minute.
        assert_eq!(probes, 6 + (3_600 - 63) / 60);
    }

    #[test]
    fn patience_that_is_asked_for_is_kept() {
        let (mut breaker, start) = breaker();
        (0..4).for_each(|_| {
            breaker.failed(start, false, None, 1.0);
        });
        breaker.failed(start, false, Some(30 * SECOND), 1.0);
        assert_eq!(breaker.resting_until(), Some(start + 30 * SECOND));
        let later = start + 30 * SECOND;
        assert_eq!(breaker.permit(later), Permit::Probe);
        breaker.failed(later, true, Some(100_000 * SECOND), 1.0);
        assert_eq!(breaker.resting_until(), Some(later + 3_600 * SECOND));
    }

    #[test]
    fn a_probe_that_was_not_made_comes_again() {
        let (mut breaker, start) = breaker();
        open(&mut breaker, start);
        let later = start + SECOND;
        assert_eq!(breaker.permit(later), Permit::Probe);
        breaker.not_probed(later);
        assert_eq!(breaker.permit(later), Permit::Probe);
        breaker.failed(later, true, None, 1.0);
        assert_eq!(breaker.resting_until(), Some(later + 2 * SECOND));
    }
}
