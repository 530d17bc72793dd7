//! Workers that ask for work: those that there is some for, and those that wait until there is.
//!
//! They are answered from memory, in the order in which they came; nobody waits for a flush. What
//! does not reach its worker goes back into its queue, and the attempt does not count.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;

use super::inbox::Command;
use super::run::Turns;
use super::{Handle, SubmitError};
use crate::clock::Now;
use crate::order::{Action, Change, QueueIndex};
use crate::shard::{Leased, Shard};

/// Most workers that wait for work at once; each has a connection.
const WAITING_MAX: usize = 16_384;
/// When those beyond may come back, in seconds.
const RETRY_SECONDS: u32 = 1;

/// Work that a worker asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// From which queue.
    pub queue: QueueIndex,
    /// At most so many orders, from 1.
    pub max: usize,
    /// Who asks; the orders' histories say so.
    pub worker: Option<Box<str>>,
}

type Answer = Result<Vec<Leased>, SubmitError>;

/// A worker that asks.
pub(super) struct Request {
    wanted: Wanted,
    /// Whether it waits until there is something.
    is_patient: bool,
    reply: oneshot::Sender<Answer>,
}

impl Request {
    /// Tells that there is nothing, and why.
    pub(super) fn refuse(self, error: SubmitError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Orders that were leased. Dropped before it is kept, it gives them back: the worker that asked
/// for them has gone away.
pub struct Lease {
    handle: Handle,
    orders: Vec<Leased>,
}

impl Lease {
    /// The orders.
    pub fn orders(&self) -> &[Leased] {
        &self.orders
    }

    /// The worker has the first so many of them; the others are given back.
    pub fn keep(mut self, count: usize) -> Vec<Leased> {
        let count = count.min(self.orders.len());
        self.orders.drain(..count).collect()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.orders.is_empty() {
            self.handle.hand_back(&self.orders);
        }
    }
}

/// An answer that is on its way. What it brings after nobody waits for it any more is given back.
struct Expected {
    handle: Handle,
    answer: oneshot::Receiver<Answer>,
}

impl Expected {
    fn lease(&self, answer: Answer) -> Result<Lease, SubmitError> {
        answer.map(|orders| Lease {
            handle: self.handle.clone(),
            orders,
        })
    }

    /// What has come at the last moment, or nothing.
    fn last_look(&mut self) -> Result<Lease, SubmitError> {
        self.answer.close();
        let answer = self.answer.try_recv();
        self.lease(answer.unwrap_or_else(|_| Ok(Vec::new())))
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        // Dropping a lease gives it back.
        drop(self.last_look());
    }
}

impl Handle {
    /// Leases waiting orders to a worker. If none waits, waits up to `patience` for one; zero: not
    /// at all. An empty lease means that there was none.
    pub async fn lease(&self, wanted: Wanted, patience: Duration) -> Result<Lease, SubmitError> {
        self.check_store()?;
        let (reply, answer) = oneshot::channel();
        let is_patient = !patience.is_zero();
        self.push(Command::Lease(Box::new(Request {
            wanted,
            is_patient,
            reply,
        })))?;
        let handle = self.clone();
        let mut expected = Expected { handle, answer };
        // The engine answers those at once who do not wait; it may be in a flush.
        let answer = if is_patient {
            tokio::time::timeout(patience, &mut expected.answer).await
        } else {
            Ok((&mut expected.answer).await)
        };
        match answer {
            Ok(answer) => expected.lease(answer.unwrap_or(Err(SubmitError::Draining))),
            Err(_) => expected.last_look(),
        }
    }

    /// Gives leased orders back that will not be worked on. Nobody waits for it: if it fails, their
    /// leases run out.
    fn hand_back(&self, orders: &[Leased]) {
        let _ = self.ask_later(orders.iter().map(change).collect());
    }
}

fn change(leased: &Leased) -> Change {
    Change {
        seq: leased.fence.seq,
        versions: None,
        action: Action::Report(Box::new(leased.hand_back())),
    }
}

/// Everybody who asks for work.
#[derive(Default)]
pub(super) struct Leases {
    /// Those who asked since the last turn.
    asking: Vec<Request>,
    /// Those who wait, by queue.
    waiting: Vec<VecDeque<Request>>,
}

impl Leases {
    /// Somebody asks. It is answered in this turn if it does not wait.
    pub(super) fn ask(&mut self, request: Request) {
        self.asking.push(request);
    }

    /// Gives out what may be given out: first to those who wait, then to those who came.
    pub(super) fn give(&mut self, shard: &mut Shard, now: Now) {
        for queue in &mut self.waiting {
            while let Some(first) = queue.pop_front() {
                if let Some(first) = give(first, shard, now) {
                    queue.push_front(first);
                    break;
                }
            }
        }
        for request in std::mem::take(&mut self.asking) {
            if let Some(request) = give(request, shard, now) {
                self.wait(request);
            }
        }
    }

    fn wait(&mut self, request: Request) {
        let at = usize::from(request.wanted.queue.0);
        if self.waiting.len() <= at {
            self.waiting.resize_with(at + 1, VecDeque::new);
        }
        let count =
            |waiting: &[VecDeque<Request>]| waiting.iter().map(VecDeque::len).sum::<usize>();
        if count(&self.waiting) >= WAITING_MAX {
            for queue in &mut self.waiting {
                queue.retain(|request| !request.reply.is_closed());
            }
        }
        if count(&self.waiting) >= WAITING_MAX {
            return request.refuse(SubmitError::Overloaded {
                retry_after_seconds: RETRY_SECONDS,
            });
        }
        self.waiting[at].push_back(request);
    }

    /// How many workers wait for work of a queue.
    pub(super) fn waiting(&self, queue: usize) -> usize {
        let waiting = self.waiting.get(queue).into_iter().flatten();
        waiting.filter(|it| !it.reply.is_closed()).count()
    }

    /// Whether there is work for somebody who waits.
    pub(super) fn is_due(&self, shard: &Shard) -> bool {
        let first = self.waiting.iter().filter_map(VecDeque::front);
        !self.asking.is_empty() || first.into_iter().any(|it| shard.can_lease(it.wanted.queue))
    }

    /// Nobody gets anything.
    pub(super) fn refuse(&mut self, error: &SubmitError) {
        let waiting = self.waiting.iter_mut().flat_map(|queue| queue.drain(..));
        for request in self.asking.drain(..).chain(waiting) {
            request.refuse(error.clone());
        }
    }
}

impl Turns {
    /// Lets workers have what waits for them, unless nothing that they say could be kept.
    pub(super) fn give_work(&mut self, is_open: bool) {
        let refused = self.refused.as_ref().map(|(error, _)| error);
        match refused.or((!is_open).then_some(&SubmitError::Draining)) {
            Some(error) => self.leases.refuse(error),
            None => self.leases.give(&mut self.parts.shard, self.now),
        }
    }
}

/// Gives somebody what there is. Comes back if that is nothing and it waits.
fn give(request: Request, shard: &mut Shard, now: Now) -> Option<Request> {
    if request.reply.is_closed() {
        return None;
    }
    let wanted = &request.wanted;
    let orders = shard.lease(wanted.queue, wanted.max, wanted.worker.as_deref(), now);
    if orders.is_empty() && request.is_patient {
        return Some(request);
    }
    // It went away at this very moment.
    if let Err(Ok(orders)) = request.reply.send(Ok(orders)) {
        for leased in &orders {
            let _ = shard.change(change(leased), now);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::engine::change::ChangeAnswer;
    use crate::engine::tests::{by_hand, order};
    use crate::order::{OrderId, Process, Pull, StatusKind, StepKind, Verdict};
    use crate::shard::Effect;
    use crate::store::Store;
    use crate::store::sqlite::Sqlite;

    const LEASE_US: i64 = 30_000_000;
    /// Of one worker, that does not wait.
    const WANTED: Wanted = Wanted {
        queue: QueueIndex(0),
        max: 10,
        worker: None,
    };

    /// An engine with an order that waits for a worker.
    struct Scene {
        _folder: tempfile::TempDir,
        clock: ManualClock,
        store: Arc<Sqlite>,
        handle: Handle,
        turns: Turns,
    }

    impl Scene {
        fn new() -> Self {
            let mut process = Process::built_in();
            process.steps[0].kind = StepKind::Pull(Pull {
                queue: "q".into(),
                lease_us: LEASE_US,
            });
            let folder = tempfile::tempdir().unwrap();
            let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
            let (store, handle, turns) = by_hand(folder.path(), &clock, process);
            let mut scene = Self {
                _folder: folder,
                clock,
                store,
                handle,
                turns,
            };
            let handle = scene.handle.clone();
            let accepted = handle.submit(Box::new(order(Some("a"))), false);
            assert!(scene.ask(accepted).is_some_and(|it| it.is_ok()));
            scene
        }

        fn turn(&mut self) {
            assert!(self.turns.turn(Duration::ZERO).unwrap().is_continue());
        }

        /// Lets somebody ask, takes two turns, and answers with what was said by then.
        fn ask<T>(&mut self, asked: impl Future<Output = T>) -> Option<T> {
            let mut asked = pin!(asked);
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..2 {
                if let Poll::Ready(answer) = asked.as_mut().poll(&mut context) {
                    return Some(answer);
                }
                self.turn();
            }
            match asked.poll(&mut context) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            }
        }

        fn lease(&mut self) -> Leased {
            let handle = self.handle.clone();
            let lease = self.ask(handle.lease(WANTED, Duration::ZERO));
            lease.unwrap().unwrap().keep(1).remove(0)
        }

        /// What is said of work, and the answer.
        fn say(&mut self, leased: &Leased, verdict: Verdict) -> Result<ChangeAnswer, SubmitError> {
            let mut change = change(leased);
            if let Action::Report(report) = &mut change.action {
                report.verdict = verdict;
            }
            let handle = self.handle.clone();
            let answers = self.ask(handle.change(vec![change])).unwrap();
            answers.map(|all| all[0])
        }

        fn status(&self) -> StatusKind {
            let id = OrderId::parse("a").unwrap();
            let mut read = pin!(self.store.order(&id));
            let mut context = Context::from_waker(Waker::noop());
            match read.as_mut().poll(&mut context) {
                Poll::Ready(order) => order.unwrap().unwrap().state.status.kind(),
                Poll::Pending => panic!("it waits"),
            }
        }
    }

    #[test]
    fn a_lease_that_is_beaten_does_not_end_because_the_store_refuses() {
        let mut scene = Scene::new();
        let leased = scene.lease();
        // The next commit is refused, and tried again, and refused.
        let other = scene.handle.clone();
        let other = other.submit(Box::new(order(Some("b"))), false);
        scene.ask(other).unwrap().unwrap();
        let held = scene.lease();
        scene.store.run("ALTER TABLE journal RENAME TO elsewhere");
        scene.handle.hand_back(&[held]);
        scene.turn();
        for _ in 0..5 {
            scene.clock.advance(LEASE_US / 2);
            let told = scene.say(&leased, Verdict::Beat);
            assert!(matches!(told, Ok(Ok(Effect::Extended { .. }))), "{told:?}");
        }
        scene.store.run("ALTER TABLE elsewhere RENAME TO journal");
        scene.clock.advance(LEASE_US / 2);
        scene.turn();
        assert_eq!(scene.status(), StatusKind::Processing);
        let outcome = crate::order::Outcome::Complete { output: None };
        let told = scene.say(&leased, Verdict::Ended(outcome));
        assert!(matches!(told, Ok(Ok(Effect::Made { .. }))), "{told:?}");
        assert_eq!(scene.status(), StatusKind::Completed);
    }

    #[test]
    fn who_asks_for_work_while_the_store_is_away_is_told_so_at_once() {
        let scene = Scene::new();
        scene.turns.parts.pressure.tell_away(true);
        // Nobody takes a turn: the engine's thread may be looking for the store.
        for patience in [Duration::ZERO, Duration::from_secs(10)] {
            let asked = pin!(scene.handle.lease(WANTED, patience));
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(Err(told)) = asked.poll(&mut context) else {
                panic!("it waits, or was leased something");
            };
            assert!(matches!(told, SubmitError::StoreUnavailable { .. }));
        }
    }
}
