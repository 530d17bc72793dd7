//! The queue of one step that is sent to an address: takes orders from it, has calls made for
//! them, and says what became of each.
//!
//! A task for each call that is under way, and none for an order that waits. What it takes it
//! either reports on or gives back; if it is killed, the leases end with the epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answer::{self, Judged};
use super::call::Attempt;
use super::desk::Desk;
use super::service::{Probe, Service};
use super::tally::Calls;
use crate::clock;
use crate::engine::{SubmitError, Wanted, read_leased};
use crate::order::{
    Action, Change, Order, Outcome, Push, QueueIndex, Report, RetryPolicy, Seq, StepKind, Verdict,
};
use crate::outbound::BadTarget;
use crate::shard::Leased;

/// How long is waited for orders before it is looked around.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same with the only call that a service may have now: another step may have an order for it.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// How long is waited if the engine cannot be asked.
const AWAY: Duration = Duration::from_millis(100);
/// Most orders that are taken at once.
const TAKEN_MAX: usize = 64;

/// A step that is sent to an address.
pub(super) struct Line {
    pub(super) desk: Arc<Desk>,
    pub(super) queue: QueueIndex,
    pub(super) name: Arc<str>,
    pub(super) service: Arc<Service>,
    /// Most calls that are under way.
    pub(super) calls_max: usize,
    pub(super) under_way: AtomicUsize,
    pub(super) calls: Calls,
}

/// One call that is under way.
struct UnderWay<'a>(&'a Line);

impl<'a> UnderWay<'a> {
    fn begin(line: &'a Line) -> Self {
        line.under_way.fetch_add(1, Ordering::Relaxed);
        Self(line)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Has calls made until it is told to end; then waits for those that are under way.
pub(super) async fn run(line: Arc<Line>, mut closing: watch::Receiver<bool>) {
    let mut calls = JoinSet::new();
    let is_closing = async move {
        let _ = closing.wait_for(|is_closing| *is_closing).await;
    };
    tokio::pin!(is_closing);
    loop {
        tokio::select! {
            biased;
            () = &mut is_closing => break,
            () = line.turn(&mut calls) => {}
        }
    }
    while calls.join_next().await.is_some() {}
}

impl Line {
    /// Takes what it may, and has it called for.
    async fn turn(self: &Arc<Self>, calls: &mut JoinSet<()>) {
        while calls.try_join_next().is_some() {}
        if calls.len() >= self.calls_max {
            calls.join_next().await;
            return;
        }
        let mut changes = self.service.changes();
        let mut probe = self.service.admits().await;
        let room = self.calls_max - calls.len();
        let (max, patience) = match probe {
            Some(_) => (1, PROBE_PATIENCE),
            None => (room.min(TAKEN_MAX), PATIENCE),
        };
        let wanted = Wanted {
            queue: self.queue,
            max,
            worker: None,
        };
        let lease = tokio::select! {
            lease = self.desk.engine.lease(wanted, patience) => lease,
            // It rests from now on, perhaps.
            _ = changes.changed(), if probe.is_none() => return,
        };
        let lease = match lease {
            Ok(lease) => lease,
            Err(SubmitError::Draining) => return std::future::pending().await,
            Err(_) => return sleep(AWAY).await,
        };
        let seqs: Vec<Seq> = lease.orders().iter().map(|it| it.fence.seq).collect();
        if seqs.is_empty() {
            // Another step may have an order for the only call.
            if probe.take().is_some() {
                sleep(AWAY).await;
            }
            return;
        }
        let store = Arc::clone(&self.desk.store);
        let read = tokio::task::spawn_blocking(move || read_leased(&*store, &seqs)).await;
        // Dropping the lease gives it back.
        let Ok(Ok((mut found, asked))) = read else {
            drop(lease);
            return sleep(AWAY).await;
        };
        // The others are too large to be read beside these, and go back.
        for leased in lease.keep(asked) {
            let order = found.remove(&leased.fence.seq);
            let line = Arc::clone(self);
            calls.spawn(line.attempt(leased, order, probe.take()));
        }
    }

    /// Makes one attempt, and reports on it.
    async fn attempt(self: Arc<Self>, leased: Leased, order: Option<Order>, probe: Option<Probe>) {
        let _under_way = UnderWay::begin(&self);
        let (fence, queue) = (leased.fence, leased.queue);
        let verdict = match order {
            Some(order) => {
                let push = self.push_of(&order, &leased);
                let has_effect = push.is_some_and(|(push, _)| push.has_effect());
                // After a crash the next attempt must not look like the first one.
                if has_effect && leased.state.attempt == 1 && !self.is_begun(&leased).await {
                    return;
                }
                let began = clock::monotonic();
                let judged = self.call(leased, order).await;
                self.desk.measure(began.elapsed());
                self.weigh(judged, probe, has_effect)
            }
            None => Verdict::Ended(Outcome::Fail {
                reason: "what is stored of the order is damaged".into(),
            }),
        };
        self.calls.count(&verdict);
        let report = Report {
            fence,
            queue,
            verdict,
        };
        self.report(report).await;
    }

    /// How the step of an order is sent, and tried again.
    fn push_of(&self, order: &Order, leased: &Leased) -> Option<(&Push, RetryPolicy)> {
        let processes = &self.desk.processes;
        let (_, process) = processes.find_version(&order.process, order.process_version)?;
        let at = process.step_index(&leased.state.step)?;
        let step = &process.steps[usize::from(at)];
        match &step.kind {
            StepKind::Push(push) => Some((push, step.retry)),
            _ => None,
        }
    }

    /// Asks what became of the attempt before, if that must be known; then makes the call.
    async fn call(&self, mut leased: Leased, order: Order) -> Judged {
        let Some((push, retry)) = self.push_of(&order, &leased) else {
            let reason = "the step is not one that is sent to an address".into();
            return Judged::said(Outcome::Fail { reason });
        };
        let (id, step) = (order.id.clone(), Arc::clone(&leased.state.step));
        let fence = leased.fence.text(&id, &step);
        let attempt = Attempt {
            push,
            id: &id,
            step: &step,
            fence: &fence,
        };
        let timeout = Duration::from_micros(push.timeout_us.max(1).unsigned_abs());
        if let Some(lookup) = &push.lookup
            && leased.state.attempt > 1
        {
            if let Some(judged) = self.ask(&attempt, lookup, timeout).await {
                return judged;
            }
            // One that is proved not to have been made may be made, also after the only one.
            if leased.state.attempt > retry.attempts_max.max(2) {
                let reason = "the attempt before was not made, and there is no further one";
                return Judged::said(Outcome::Fail {
                    reason: reason.into(),
                });
            }
        }
        let now = self.desk.clock.now();
        leased.until = now.plus(push.timeout_us);
        let mut body = Vec::with_capacity(1_024 + order.payload.len());
        (self.desk.words.write)(&mut body, &self.name, &leased, order);
        let answered = match attempt.call(body, now) {
            Ok(call) => self.desk.client.call(call, timeout).await,
            Err(bad) => return Judged::said(bad_address(&bad)),
        };
        answer::judge(answered, self.desk.words.read, push.has_effect())
    }

    async fn ask(&self, attempt: &Attempt<'_>, lookup: &str, timeout: Duration) -> Option<Judged> {
        let answered = match attempt.question(lookup, self.desk.clock.now()) {
            Ok(call) => self.desk.client.call(call, timeout).await,
            Err(bad) => return Some(Judged::said(bad_address(&bad))),
        };
        answer::judge_lookup(answered, self.desk.words.read_lookup)
    }

    /// What is reported, if the state of the service is considered: while it rests, an attempt that
    /// failed by its fault does not count.
    fn weigh(&self, judged: Judged, probe: Option<Probe>, has_effect: bool) -> Verdict {
        let Judged { verdict, trouble } = judged;
        let Some(trouble) = trouble else {
            self.service.succeeded(probe);
            return verdict;
        };
        let counts = self.service.failed(probe, &trouble);
        // That something may have had its effect must not be forgotten.
        let counts = counts || (has_effect && trouble.was_sent);
        match verdict {
            Verdict::Ended(Outcome::Retry { reason, .. } | Outcome::Unknown { reason })
                if !counts =>
            {
                let reason = Some(reason);
                Verdict::HandBack { reason }
            }
            verdict => verdict,
        }
    }

    /// Waits until it is on disk that an attempt began. Whether the lease is still the current one.
    async fn is_begun(&self, leased: &Leased) -> bool {
        let check = Report {
            verdict: Verdict::Check,
            ..leased.hand_back()
        };
        self.report(check).await
    }

    /// Says something about an attempt until it is heard. Whether it counts.
    async fn report(&self, report: Report) -> bool {
        loop {
            let change = Change {
                seq: report.fence.seq,
                versions: None,
                action: Action::Report(Box::new(report.clone())),
            };
            match self.desk.engine.change(vec![change]).await {
                // One that came too late is in the order's history.
                Ok(answers) => return answers.iter().all(Result::is_ok),
                Err(SubmitError::Draining) => return false,
                // It was decided. Either it will be on disk, or the lease is over with the epoch.
                Err(SubmitError::OutcomeUnknown) if report.verdict != Verdict::Check => {
                    return true;
                }
                Err(_) => sleep(AWAY).await,
            }
        }
    }
}

fn bad_address(bad: &BadTarget) -> Outcome {
    Outcome::Fail {
        reason: format!("the URL {bad}").into(),
    }
}
