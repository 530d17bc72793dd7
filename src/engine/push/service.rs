//! A service that does steps: whether it may be called, and what is known of it.
//!
//! Steps with the same address share it: who does not answer one does not answer the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::breaker::{Breaker, BreakerSettings, Failure, Permit};
use crate::clock;

/// What is known of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its address, without parameters.
    pub target: String,
    /// It is called as usual.
    pub is_closed: bool,
    /// Calls that failed in a row.
    pub failures: u32,
    /// Until it is tried again.
    pub rests_for: Option<Duration>,
    /// What the last call that failed said; kept until one succeeds.
    pub error: Option<Arc<str>>,
}

pub(super) struct Service {
    /// Its address, without parameters.
    pub(super) target: String,
    inner: Mutex<Inner>,
    /// Something changed for those who wait.
    changed: watch::Sender<()>,
}

struct Inner {
    breaker: Breaker,
    random: StdRng,
    error: Option<Arc<str>>,
}

/// What a failed call says about its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What it was, for people.
    pub(super) reason: Box<str>,
    /// The service asks not to be called for so long.
    pub(super) asked: Option<Duration>,
    /// It may know of the call.
    pub(super) was_sent: bool,
}

/// The one call that is made while a service rests. Dropped without a word, it was not made.
pub(super) struct Probe(Option<Arc<Service>>);

impl Probe {
    fn made(mut self) {
        self.0 = None;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(service) = self.0.take() {
            service.inner().breaker.not_probed(clock::monotonic());
            service.changed.send_replace(());
        }
    }
}

/// The address of a service, by which it is known: that of a step without parameters, which may
/// hold what nobody should read.
pub(super) fn target_of(url: &str) -> &str {
    url.split_once('?').map_or(url, |(address, _)| address)
}

impl Service {
    pub(super) fn new(target: String, settings: BreakerSettings, random: &mut StdRng) -> Self {
        let inner = Inner {
            breaker: Breaker::new(settings),
            random: random.fork(),
            error: None,
        };
        Self {
            target,
            inner: Mutex::new(inner),
            changed: watch::Sender::new(()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nobody panics while holding it: small changes only.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of changes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until it may be called; with a probe, once.
    pub(super) async fn admits(self: &Arc<Self>) -> Option<Probe> {
        loop {
            let mut changes = self.changes();
            let permit = self.inner().breaker.permit(clock::monotonic());
            match permit {
                Permit::All => return None,
                Permit::Probe => return Some(Probe(Some(Arc::clone(self)))),
                Permit::Nothing(until) => {
                    let rest = async {
                        match until {
                            Some(until) => sleep_until(Instant::from_std(until)).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = rest => {}
                        _ = changes.changed() => {}
                    }
                }
            }
        }
    }

    /// A call was answered.
    pub(super) fn succeeded(&self, probe: Option<Probe>) {
        if let Some(probe) = probe {
            probe.made();
        }
        let mut inner = self.inner();
        inner.error = None;
        let is_back = inner.breaker.succeeded();
        drop(inner);
        if is_back {
            tracing::info!(target_url = self.target, "a service answers again");
            self.changed.send_replace(());
        }
    }

    /// A call failed. Whether the attempt counts.
    pub(super) fn failed(&self, probe: Option<Probe>, trouble: &Trouble) -> bool {
        let mut inner = self.inner();
        let Inner {
            breaker, random, ..
        } = &mut *inner;
        let now = clock::monotonic();
        let chance = random.random_range(0.0..1.0);
        let failure = breaker.failed(now, probe.is_some(), trouble.asked, chance);
        let rests_for = breaker.resting_until().map(|until| until - now);
        let failures = breaker.failures();
        inner.error = Some((*trouble.reason).into());
        drop(inner);
        if let Some(probe) = probe {
            probe.made();
        }
        let reason = &*trouble.reason;
        match failure {
            Failure::Counted => return true,
            Failure::Late => return false,
            Failure::Opened => {
                let rests_for = rests_for.unwrap_or_default();
                tracing::warn!(
                    target_url = self.target,
                    failures,
                    reason,
                    ?rests_for,
                    "a service does not answer; its orders wait"
                );
            }
            Failure::OfProbe => {
                tracing::debug!(
                    target_url = self.target,
                    failures,
                    reason,
                    ?rests_for,
                    "not back"
                );
            }
        }
        self.changed.send_replace(());
        failure == Failure::Opened || trouble.was_sent
    }

    pub(super) fn view(&self) -> ServiceView {
        let inner = self.inner();
        let until = inner.breaker.resting_until();
        ServiceView {
            target: self.target.clone(),
            is_closed: inner.breaker.is_closed(),
            failures: inner.breaker.failures(),
            rests_for: until.map(|it| it.saturating_duration_since(clock::monotonic())),
            error: inner.error.clone(),
        }
    }
}
