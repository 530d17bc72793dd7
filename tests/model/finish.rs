//! How an attempt of simulated work may end, and when it is tried again.
//!
//! Chance decides which; here is only what it may decide.

use orderd::order::{Changed, Detail, Event, EventKind, RetryPolicy, Status};

use super::model::{Difference, Model, Place};

/// What simulated work says when it fails for good.
pub const FOR_GOOD: &str = "simulated failure for good";

impl Model {
    /// An attempt has ended as `event` says.
    pub fn finish(
        &mut self,
        at: usize,
        event: &Event,
        changed: &[Changed],
    ) -> Result<(), Difference> {
        if self.orders[at].is_undoing() {
            return self.undo_finished(at, event);
        }
        if let Some(rules) = self.rules(at) {
            return self.verdict(at, &rules, event);
        }
        if self.lease_end(at).is_some() {
            return self.lost(at, event, changed);
        }
        let now = event.at;
        let (work, retry, is_last) = self.work(at);
        let entry = &self.orders[at];
        let is_failure = matches!(event.kind, EventKind::Retried | EventKind::Dead);
        if (is_failure && work.failures_ppm == 0) || (!is_failure && work.failures_ppm >= 1_000_000)
        {
            return Err(format!("{event:?} of work with {} ppm", work.failures_ppm));
        }
        let is_exhausted = entry.attempt >= retry.attempts_max;
        let is_for_good = event.reason.as_deref() == Some(FOR_GOOD);
        let (least, most) = match is_for_good {
            true => (1, 1_000_000),
            false => (0, 999_999),
        };
        if is_failure && !(least..=most).contains(&work.permanent_ppm) {
            return Err(format!("{event:?} of work with {work:?}"));
        }
        if event.kind != EventKind::Completed {
            self.note_begun(at);
        }
        let entry = &self.orders[at];
        match event.kind {
            EventKind::Completed if is_last => {
                self.apply(at, event.kind, Status::Completed { ended_at: now }, now);
                self.orders[at].place = Place::Nothing;
            }
            EventKind::StepCompleted if !is_last => {
                self.apply(at, event.kind, Status::Pending { ready_at: now }, now);
                let entry = &mut self.orders[at];
                (entry.step, entry.attempt) = (entry.step + 1, 0);
                self.orders[at].place = self.place_of_next_step(at, now);
            }
            EventKind::Dead if is_exhausted || is_for_good => {
                self.apply(at, event.kind, Status::Dead { since: now }, now);
                self.orders[at].place = Place::Nothing;
            }
            EventKind::Retried if !is_exhausted && !is_for_good => {
                self.retried(at, event, changed)?;
            }
            _ => return Err(format!("{event:?} of {entry:?}")),
        }
        if is_failure {
            let reason = if is_for_good {
                FOR_GOOD
            } else {
                "simulated failure"
            };
            let reason: Option<Box<str>> = Some(reason.into());
            self.orders[at].reason.clone_from(&reason);
            if let Some(event) = self.events.last_mut() {
                event.reason = reason;
            }
        }
        self.expect(event)
    }

    /// It failed for now, and waits: for as long as it wished, or for a random time.
    fn retried(&mut self, at: usize, event: &Event, changed: &[Changed]) -> Result<(), Difference> {
        let now = event.at;
        let (work, retry, _) = self.work(at);
        let attempt = self.orders[at].attempt;
        let state = changed.iter().find(|it| it.seq == event.seq);
        let status = state.map(|it| it.state.status);
        let Some(Status::Pending { ready_at }) = status else {
            return Err(format!("{event:?}, but will be written as {status:?}"));
        };
        let wait = ready_at.micros_since(now);
        let (least, most) = match work.retry_after_us {
            Some(wish) => (wish, wish + retry.base_us),
            None => (0, longest_wait_us(&retry, attempt)),
        };
        if !(least..=most).contains(&wait) {
            return Err(format!("waits {wait} us after {event:?} under {retry:?}"));
        }
        self.apply(at, event.kind, Status::Pending { ready_at }, now);
        if let (Some(_), Some(event)) = (work.retry_after_us, self.events.last_mut()) {
            event.detail = Some(Detail::Until(ready_at));
        }
        self.orders[at].place = Place::Commit;
        Ok(())
    }
}

/// The back-off's upper end, doubled step by step.
pub fn longest_wait_us(retry: &RetryPolicy, attempt: u16) -> i64 {
    let doubled = (1..attempt).fold(retry.base_us, |us, _| us.saturating_mul(2));
    doubled.min(retry.cap_us)
}
