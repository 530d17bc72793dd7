//! A round: some events on their way to one receiver, those of one order one after the other, those
//! of different orders side by side.
//!
//! While deliveries fail there is one at a time, after a wait, until one goes through.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, sleep_until};

use super::endpoint::Endpoint;
use super::health::Health;
use super::kept::{self, Failing};
use super::message::{self, Tried};
use super::{Desk, lock};
use crate::store::{EventPlace, EventView};
use crate::{clock, outbound};

/// Reports that wait to be written at most; older ones are dropped.
pub(super) const REPORTS_MAX: usize = 256;

/// What one courier and those who carry for it share.
pub(super) struct Hall {
    pub(super) desk: Arc<Desk>,
    pub(super) endpoint: Arc<Endpoint>,
    health: Mutex<Health>,
    /// Who holds it may try while deliveries fail.
    probe: tokio::sync::Mutex<()>,
    reports: Mutex<VecDeque<Box<str>>>,
    /// Something made it necessary to stop for good: why.
    pub(super) verdict: Mutex<Option<String>>,
    pub(super) judged: tokio::sync::Notify,
    /// The receiver was away and is back.
    recovered: tokio::sync::Notify,
}

impl Hall {
    pub(super) fn new(desk: Arc<Desk>, endpoint: Arc<Endpoint>) -> Self {
        Self {
            desk,
            endpoint,
            health: Mutex::default(),
            probe: tokio::sync::Mutex::default(),
            reports: Mutex::default(),
            verdict: Mutex::default(),
            judged: tokio::sync::Notify::new(),
            recovered: tokio::sync::Notify::new(),
        }
    }

    /// Begins anew with hope: somebody changed something.
    pub(super) fn forget_failures(&self) {
        *lock(&self.health) = Health::default();
        *lock(&self.verdict) = None;
    }

    pub(super) fn take_reports(&self) -> Vec<Box<str>> {
        lock(&self.reports).drain(..).collect()
    }

    /// Waits for a turn to try. The guard is there while deliveries fail.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if lock(&self.health).is_well() {
            return None;
        }
        let probe = self.probe.lock().await;
        let open_at = lock(&self.health).open_at()?;
        sleep_until(Instant::from_std(open_at)).await;
        Some(probe)
    }

    fn note(&self, tried: &Tried) {
        let mut reports = lock(&self.reports);
        if reports.len() == REPORTS_MAX {
            reports.pop_front();
        }
        reports.push_back(kept::text(&tried.report));
    }

    /// How long to wait after so many failures, the last of which was this one.
    fn wait(&self, failures: u32, tried: &Tried) -> Duration {
        use rand::Rng;
        let chance = f64::from(lock(&self.desk.random).next_u32()) / f64::from(u32::MAX);
        let settings = &self.desk.settings;
        let bounds = (settings.retry_base, settings.retry_cap);
        outbound::wait(failures, bounds, chance, tried.retry_after)
    }

    /// Notes a failure. `true`: it is one too many.
    fn failed(&self, tried: &Tried) {
        let (settings, now) = (&self.desk.settings, self.desk.clock.now());
        let times = (tried.began, clock::monotonic());
        lock(&self.health).failed(times, |failures| self.wait(failures, tried));
        let error = tried.report.error.clone().unwrap_or_default();
        let since = self.endpoint.progress(|progress| {
            let since = progress
                .failing
                .as_ref()
                .map_or(now, |failing| failing.since);
            let error = error.as_str().into();
            progress.failing = Some(Failing { since, error });
            since
        });
        let give_up_after = i64::try_from(settings.give_up_after.as_micros()).unwrap_or(i64::MAX);
        let event = tried.report.event_id.as_deref().unwrap_or_default();
        if tried.is_gone {
            self.judge(format!("the receiver answered 410 Gone to event {event}"));
        } else if now.micros_since(since) >= give_up_after {
            self.judge(format!(
                "event {event} did not go through since {since}: {error}"
            ));
        }
    }

    fn judge(&self, reason: String) {
        *lock(&self.verdict) = Some(reason);
        self.judged.notify_one();
    }
}

/// Events on their way.
pub(super) struct Round {
    hall: Arc<Hall>,
    events: Vec<EventView>,
    /// Of each event, whether it has arrived.
    is_settled: Vec<AtomicBool>,
    /// Of each order that nobody carries yet, its events.
    chains: Mutex<VecDeque<Vec<usize>>>,
    /// The end of what was looked at for these events.
    end: EventPlace,
}

impl Round {
    pub(super) fn new(hall: Arc<Hall>, events: Vec<EventView>, end: EventPlace) -> Self {
        let mut orders: BTreeMap<&str, usize> = BTreeMap::new();
        let mut chains: Vec<Vec<usize>> = Vec::new();
        for (at, event) in events.iter().enumerate() {
            let chain = *orders
                .entry(event.order_id.as_str())
                .or_insert(chains.len());
            if chain == chains.len() {
                chains.push(Vec::new());
            }
            chains[chain].push(at);
        }
        Self {
            is_settled: events.iter().map(|_| AtomicBool::new(false)).collect(),
            chains: Mutex::new(chains.into()),
            hall,
            events,
            end,
        }
    }

    /// How many may carry.
    pub(super) fn width(&self) -> usize {
        lock(&self.chains).len()
    }

    /// Everything up to here has arrived; `None`: nothing yet.
    pub(super) fn settled(&self) -> Option<EventPlace> {
        let is_open = |it: &AtomicBool| !it.load(Ordering::Acquire);
        match self.is_settled.iter().position(is_open) {
            None => Some(self.end),
            Some(0) => None,
            Some(open) => Some(self.events[open - 1].place),
        }
    }

    /// Carries the events of one order after the other, until all have arrived.
    pub(super) async fn carry(self: Arc<Self>) {
        loop {
            let chain = lock(&self.chains).pop_front();
            let Some(chain) = chain else { return };
            for at in chain {
                self.deliver(at).await;
            }
        }
    }

    async fn deliver(&self, at: usize) {
        let (hall, event) = (&*self.hall, &self.events[at]);
        for attempt in 1.. {
            let turn = hall.turn().await;
            let tried = message::event(&hall.desk, &hall.endpoint, event, attempt).await;
            hall.note(&tried);
            if tried.report.is_delivered() {
                if lock(&hall.health).succeeded(tried.began) {
                    hall.recovered.notify_waiters();
                }
                self.is_settled[at].store(true, Ordering::Release);
                hall.endpoint.progress(|progress| progress.delivered += 1);
                return;
            }
            hall.failed(&tried);
            drop(turn);
            // Others may go through meanwhile: this one has waits of its own.
            tokio::select! {
                () = sleep(hall.wait(attempt, &tried)) => {}
                () = hall.recovered.notified() => {}
            }
        }
    }
}
