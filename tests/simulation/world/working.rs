//! Workers in a run: they lease, beat, say how their work ended, say it again, and vanish.
//!
//! What must be true of it is in `work`, and of what is stored in `proof`.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use orderd::engine::{ChangeAnswer, SubmitError, Wanted};
use orderd::order::{QueueIndex, StatusKind, Verdict};
use rand::RngExt;

use super::World;
use crate::proof::Broken;
use crate::stored::Medium;
use crate::work::Saying;

/// A worker speaks of one of its last few leases, over or not.
const RECENT: usize = 6;

impl<M: Medium> World<M> {
    /// A worker does something.
    pub(super) fn work(&mut self) -> Result<(), Broken> {
        let count = self.workers.held.len();
        if count == 0 || self.random.random_ratio(1, 3) {
            let queues = self.registry.queues().names().len() as u16;
            if queues > 0 {
                let queue = QueueIndex(self.random.random_range(0..queues));
                let max = self.random.random_range(1..4);
                self.ask_for_work(queue, max);
            }
            return Ok(());
        }
        let unsaid = self.workers.held.iter().rposition(|held| !held.is_said);
        let at = match unsaid {
            Some(at) if self.random.random_ratio(2, 3) => at,
            _ => count - 1 - self.random.random_range(0..count.min(RECENT)),
        };
        if self.random.random_ratio(1, 8) {
            self.workers.held[at].is_gone = true;
            return Ok(());
        }
        let verdict = self.workers.verdict(at, &mut self.random);
        self.say(at, verdict)
    }

    fn ask_for_work(&mut self, queue: QueueIndex, max: usize) {
        let Some(engine) = &self.engine else {
            return;
        };
        let wanted = Wanted {
            queue,
            max,
            worker: None,
        };
        let handle = engine.handle.clone();
        let mut asking = Box::pin(async move { handle.lease(wanted, Duration::ZERO).await });
        let mut context = Context::from_waker(Waker::noop());
        // Refused at once, while the store is away.
        if asking.as_mut().poll(&mut context).is_ready() {
            return;
        }
        if self.random.random_ratio(1, 8) {
            // What it is given after that must find its way back.
            self.count("worker gone while it asked");
            return;
        }
        self.workers.asking.push(asking);
    }

    fn say(&mut self, at: usize, verdict: Verdict) -> Result<(), Broken> {
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let change = self.workers.say(at, &verdict);
        let handle = engine.handle.clone();
        self.workers.saying.push(Saying {
            at,
            verdict,
            answer: Box::pin(async move { handle.change(vec![change]).await }),
        });
        // Handed in; refused at once, while the store is away.
        self.hear_said()
    }

    /// Workers read their answers.
    pub(super) fn hear_workers(&mut self) -> Result<(), Broken> {
        let mut context = Context::from_waker(Waker::noop());
        let mut still = Vec::new();
        for mut asking in std::mem::take(&mut self.workers.asking) {
            match asking.as_mut().poll(&mut context) {
                Poll::Pending => still.push(asking),
                Poll::Ready(Err(_)) => self.count("work refused"),
                Poll::Ready(Ok(lease)) => {
                    let count = lease.orders().len();
                    let kept = match self.random.random_range(0..10) {
                        0 => self.random.random_range(0..=count),
                        _ => count,
                    };
                    self.disk.stored().count("leased", kept as u64);
                    for leased in lease.keep(kept) {
                        self.workers.take(leased, self.turned_at)?;
                    }
                }
            }
        }
        self.workers.asking = still;
        self.hear_said()
    }

    fn hear_said(&mut self) -> Result<(), Broken> {
        let mut context = Context::from_waker(Waker::noop());
        let mut still = Vec::new();
        for mut saying in std::mem::take(&mut self.workers.saying) {
            let Poll::Ready(answer) = saying.answer.as_mut().poll(&mut context) else {
                still.push(saying);
                continue;
            };
            let answer: Result<ChangeAnswer, SubmitError> = answer.map(|all| all[0]);
            let mut data = self.disk.stored();
            let heard = (&*data, self.turned_at);
            let what = self
                .workers
                .hear(saying.at, &saying.verdict, answer, heard)?;
            data.count(what, 1);
        }
        self.workers.saying = still;
        Ok(())
    }

    /// Workers do everything that there is, and those who have vanished do not come back. Whether
    /// there is more.
    pub(super) fn work_off(&mut self) -> Result<bool, Broken> {
        for at in 0..self.workers.held.len() {
            let held = &self.workers.held[at];
            if !held.is_said && !held.is_gone {
                self.say(at, self.workers.done(at))?;
            }
        }
        for queue in 0..self.registry.queues().names().len() as u16 {
            self.ask_for_work(QueueIndex(queue), 100);
        }
        let data = self.disk.stored();
        let has_work = data.orders.values().any(|order| {
            let kind = order.state.status.kind();
            let is_moving = matches!(kind, StatusKind::Pending | StatusKind::Processing);
            is_moving && order.hold.is_none()
        });
        Ok(has_work)
    }
}
