//! One run: a disk, an engine on it that comes and goes, clients, and a clock. Everything that
//! happens is drawn from the seed.

mod changing;
mod rest;
mod script;
mod working;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use std::time::Duration;

use orderd::clock::{Clock, ManualClock, Timestamp};
use orderd::engine::{Engine, Handle, Settings, Start, StartError, SubmitError, Turns};
use orderd::order::{Processes, ShardNumber, StatusKind};
use orderd::store::{Store, StoreError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Happened;
use super::asks::{self, Asked};
use super::client::{self, Attempt, Fate, Request, Told, attempt_of};
use super::plan;
use super::proof::{Broken, Proof};
use super::steps::{self, Kind, Step};
use super::stored::{Crash, Medium};
use super::trace::{Trace, View};
use super::work::Workers;

/// Turns in which everything must have come to rest.
const TURNS_MAX: usize = 3_000;

pub use self::script::Act;

/// How a run ended: its journal's hash, and what happened in it.
pub struct End {
    pub hash: [u8; 32],
    /// Time that went by, but of each wait at most an hour, in microseconds.
    pub simulated_us: u64,
    pub happened: Happened,
}

/// An engine that runs, and who waits for it.
struct Running {
    handle: Handle,
    turns: Turns,
    requests: Vec<Request>,
    changes: Vec<asks::Pending>,
    is_recovering: bool,
}

pub struct World<M> {
    seed: u64,
    random: StdRng,
    /// Most orders or changes that are sent in this step.
    most: usize,
    trace: Option<Trace>,
    clock: ManualClock,
    disk: Arc<M>,
    registry: Processes,
    open_orders_max: u64,
    engine: Option<Running>,
    attempts: Vec<Attempt>,
    asked: Vec<Asked>,
    workers: Workers,
    proof: Proof,
    /// When the last turn began, on the monotonic clock.
    turned_at: i64,
    /// Time that went by, but of each wait at most an hour, in microseconds.
    simulated_us: i64,
}

impl<M: Medium> World<M> {
    /// `medium` is made with the clock of the run.
    pub fn new(seed: u64, medium: impl FnOnce(&ManualClock) -> M) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
        let registry = Processes::new(plan::processes(&mut random), Vec::new()).unwrap();
        Self {
            open_orders_max: [6, 40, 1_000_000][random.random_range(0..3)],
            seed,
            random,
            most: usize::MAX,
            trace: None,
            disk: Arc::new(medium(&clock)),
            clock,
            registry,
            engine: None,
            attempts: Vec::new(),
            asked: Vec::new(),
            workers: Workers::default(),
            proof: Proof::default(),
            turned_at: 0,
            simulated_us: 0,
        }
    }

    fn count(&self, what: &'static str) {
        self.disk.stored().count(what, 1);
    }

    /// Plays the whole run, then proves everything once more.
    pub fn play(mut self) -> Result<End, Broken> {
        let steps = steps::all(&mut self.random);
        self.play_steps(&steps, None)
    }

    /// The steps of a whole run.
    pub fn steps(mut self) -> Vec<Step> {
        steps::all(&mut self.random)
    }

    /// The same with some of its steps only.
    pub fn play_steps(mut self, steps: &[Step], trace: Option<Trace>) -> Result<End, Broken> {
        self.trace = trace;
        for step in steps {
            (self.random, self.most) = (StdRng::seed_from_u64(step.seed), step.most);
            let stepped = self.step(step.kind).and_then(|()| self.check());
            self.look();
            stepped?;
        }
        self.random = StdRng::seed_from_u64(self.seed);
        let rested = self.come_to_rest();
        self.look();
        rested?;
        self.disk.prove_at_rest()?;
        self.prove()
    }

    /// Whoever was told something was told the truth.
    fn prove(&self) -> Result<End, Broken> {
        let data = self.disk.stored();
        for (number, attempt) in self.attempts.iter().enumerate() {
            self.proof.told(number, attempt, &data)?;
        }
        for asked in &self.asked {
            self.proof.made.told(asked, &data)?;
        }
        self.workers.prove(&data)?;
        Ok(End {
            hash: data.hash,
            simulated_us: self.simulated_us.unsigned_abs(),
            happened: data.happened.clone(),
        })
    }

    fn check(&mut self) -> Result<(), Broken> {
        self.disk.complaint().map_or(Ok(()), Err)?;
        let mut data = self.disk.stored();
        let sent = (&*self.attempts, &*self.asked);
        self.proof.follow(&mut data, sent, &self.registry)
    }

    /// Lets whoever wants to know see what has changed.
    fn look(&self) {
        let Some(trace) = &self.trace else {
            return;
        };
        let data = self.disk.stored();
        trace.look(&View {
            micros: self.clock.ticks(),
            is_up: self.engine.is_some(),
            attempts: &self.attempts,
            asked: &self.asked,
            journal: &data.journal,
            happened: &data.happened,
        });
    }

    fn step(&mut self, kind: Kind) -> Result<(), Broken> {
        if self.engine.is_none() {
            return self.start();
        }
        match kind {
            Kind::SendOne => self.send_one(),
            Kind::SendMany => self.send_many(),
            Kind::SendAgain => self.send_again(),
            Kind::Ask => self.ask(),
            Kind::Work => return self.work(),
            Kind::Turn => return self.turn(),
            Kind::PassAndTurn => {
                self.pass();
                return self.turn();
            }
            Kind::Arm => self.arm(),
            Kind::Crash => self.crash("crash between turns"),
            Kind::TakeOver => return self.take_over(),
            Kind::Drain => return self.drain(),
            Kind::CompareCounters => return self.compare_counters(),
        }
        Ok(())
    }

    /// Starts an engine on the disk; the machine was off for a while, and its clock may be wrong.
    fn start(&mut self) -> Result<(), Broken> {
        match self.random.random_range(0..8) {
            0 => {
                self.clock.jump(-self.random.random_range(0..10_000_000));
                self.count("clock went back");
            }
            1..4 => self.clock.advance(self.random.random_range(0..60_000_000)),
            _ => {}
        }
        self.disk.plan_start(&mut self.random);
        self.engine = self.open()?;
        Ok(())
    }

    fn open(&mut self) -> Result<Option<Running>, Broken> {
        let start = Start {
            store: Arc::clone(&self.disk) as Arc<dyn Store>,
            shard: ShardNumber(0),
            processes: self.registry.current().to_vec(),
            settings: Settings {
                open_orders_max: self.open_orders_max,
                key_retention_us: i64::MAX,
                ..Settings::default()
            },
            clock: Arc::new(self.clock.clone()),
            random: StdRng::seed_from_u64(self.random.random()),
        };
        let page = self.random.random_range(1..5);
        let opened = catch_unwind(AssertUnwindSafe(|| Engine::by_hand(start, page)));
        match opened {
            Ok(Ok((handle, turns))) => Ok(Some(Running {
                handle,
                turns,
                requests: Vec::new(),
                changes: Vec::new(),
                is_recovering: true,
            })),
            Ok(Err(StartError::Store(_))) if self.disk.may_fail_to_open() => {
                self.count("not opened");
                self.disk.process_ended(false, &mut self.random);
                Ok(None)
            }
            Ok(Err(error)) => Err(format!("did not start: {error}")),
            Err(panic) if panic.is::<Crash>() => {
                self.disk.process_ended(false, &mut self.random);
                Ok(None)
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    fn arm(&mut self) {
        self.disk.plan_trouble(&mut self.random);
    }

    /// Lets time go by: to the next deadline of the engine, or just some.
    fn pass(&mut self) {
        let engine = self.engine.as_ref();
        let deadline = engine.and_then(|engine| engine.turns.deadline());
        let micros = match deadline {
            Some(at) if self.random.random_ratio(2, 3) => at.micros_since(self.clock.now()).max(0),
            _ => self.random.random_range(0..20_000_000),
        };
        if self.random.random_ratio(1, 8) {
            self.clock.jump(plan::jump(&mut self.random));
            self.count("clock jumped");
        }
        self.wait(micros);
    }

    fn wait(&mut self, micros: i64) {
        self.clock.advance(micros);
        self.simulated_us += micros.min(3_600_000_000);
    }

    fn send(&mut self, orders: Vec<client::Sent>) {
        let first = self.attempts.len();
        for sent in &orders {
            self.attempts.push(Attempt {
                order: sent.order.clone(),
                fate: Fate::InFlight,
                repeats: sent.repeats,
                end: None,
            });
        }
        let Some(engine) = &mut self.engine else {
            return;
        };
        let handle = engine.handle.clone();
        let mut orders: Vec<_> = orders.into_iter().map(|sent| sent.order).collect();
        let mut request = match orders.pop() {
            Some(order) if orders.is_empty() => {
                Request::single(handle, first, order, self.random.random_ratio(1, 4))
            }
            last => {
                orders.extend(last);
                Request::batch(handle, first, orders)
            }
        };
        let is_refused = request.hand_in();
        engine.requests.push(request);
        let refused = u64::from(is_refused);
        self.disk.stored().count("refused at once", refused);
    }

    fn fresh(&mut self, number: usize) -> client::Sent {
        let processes = self.registry.current().len() as u16;
        let now = self.clock.now();
        client::Sent {
            order: client::order(&mut self.random, number, now, processes),
            repeats: None,
        }
    }

    fn send_one(&mut self) {
        let order = self.fresh(self.attempts.len());
        self.send(vec![order]);
    }

    fn send_many(&mut self) {
        let first = self.attempts.len();
        let count = self.random.random_range(2..7).min(self.most);
        let orders = (first..first + count).map(|number| self.fresh(number));
        let orders = orders.collect();
        self.send(orders);
    }

    /// Sends an order again whose fate is not known.
    fn send_again(&mut self) {
        let is_open = |attempt: &Attempt| {
            let is_safe =
                attempt.order.id.chosen().is_some() || attempt.order.idempotency_key.is_some();
            is_safe && matches!(attempt.fate, Fate::Unknown)
        };
        let open = (0..self.attempts.len()).filter(|at| is_open(&self.attempts[*at]));
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            return;
        }
        let repeats = open[self.random.random_range(0..open.len())];
        let number = self.attempts.len();
        let order = client::again(&self.attempts[repeats].order, number);
        let repeats = Some(repeats);
        self.send(vec![client::Sent { order, repeats }]);
    }

    /// One turn of the engine, and everything that comes out of it.
    fn turn(&mut self) -> Result<(), Broken> {
        let Some(engine) = &mut self.engine else {
            return Ok(());
        };
        self.turned_at = self.clock.ticks();
        let turned = catch_unwind(AssertUnwindSafe(|| engine.turns.turn(Duration::ZERO)));
        let mut is_in_order = true;
        let is_over = match turned {
            Ok(Ok(flow)) => {
                engine.is_recovering = engine.turns.is_recovering();
                flow == ControlFlow::Break(())
            }
            Ok(Err(StoreError::Unknown { .. } | StoreError::Unreadable { .. })) => {
                is_in_order = false;
                true
            }
            Ok(Err(error)) => return Err(format!("the engine ended: {error}")),
            Err(panic) if panic.is::<Crash>() => {
                self.lose_engine();
                self.disk.process_ended(false, &mut self.random);
                return self.check();
            }
            Err(panic) => resume_unwind(panic),
        };
        self.check()?;
        self.listen()?;
        if is_over {
            self.lose_engine();
            self.disk.process_ended(is_in_order, &mut self.random);
        }
        Ok(())
    }

    /// Clients read their answers.
    fn listen(&mut self) -> Result<(), Broken> {
        let Some(engine) = &mut self.engine else {
            return Ok(());
        };
        let mut told = Vec::new();
        engine.requests.retain_mut(|request| match request.poll() {
            Some(answers) => {
                told.extend(answers);
                false
            }
            None => true,
        });
        let mut changes = Vec::new();
        let is_recovering = engine.is_recovering;
        engine.changes.retain_mut(|pending| match pending.poll() {
            Some(answers) => {
                changes.extend(answers);
                false
            }
            None => true,
        });
        let deferred = engine.changes.len() as u64;
        if is_recovering {
            self.disk.stored().count("change deferred", deferred);
        }
        for (number, answer) in changes {
            self.hear_change(number, answer)?;
        }
        for told in told {
            self.hear(told)?;
        }
        self.hear_workers()?;
        self.hear_ends()
    }

    fn hear(&mut self, told: Told) -> Result<(), Broken> {
        let number = told.attempt;
        let mut data = self.disk.stored();
        let is_repeat = self.attempts[number].repeats.is_some();
        let fate = match told.answer {
            Ok(order) => {
                data.count("sent again, accepted", u64::from(is_repeat));
                Fate::Accepted(order)
            }
            Err(SubmitError::OutcomeUnknown) => Fate::Unknown,
            Err(error) => {
                if let SubmitError::Exists { id } = &error {
                    data.count("sent again, found", u64::from(is_repeat));
                    if !data.ids.contains_key(id) {
                        return Err(format!("(3) told that {id} exists, but it does not"));
                    }
                }
                if error == SubmitError::KeyTaken {
                    data.count("sent again, replayed", u64::from(is_repeat));
                    let key = self.attempts[number].order.idempotency_key.as_deref();
                    let kept = key.and_then(|key| data.keys.get(key));
                    let order = data.orders.values().find(|order| {
                        let id = order.id.as_str().as_bytes();
                        kept.is_some_and(|kept| *kept.answer.body == *id)
                    });
                    let sent = order.and_then(|order| self.attempts.get(attempt_of(order)?));
                    if sent.is_none_or(|sent| sent.order.idempotency_key.as_deref() != key) {
                        return Err(format!("(3) {key:?} is said to be taken by {order:?}"));
                    }
                }
                let is_overload = matches!(error, SubmitError::Overloaded { .. });
                data.count("overloaded", u64::from(is_overload));
                Fate::Refused(error)
            }
        };
        let attempt = &mut self.attempts[number];
        (attempt.fate, attempt.end) = (fate, told.end);
        self.proof.told(number, attempt, &data)
    }

    /// Whoever waits for an end hears of it after it is on disk.
    fn hear_ends(&mut self) -> Result<(), Broken> {
        let mut data = self.disk.stored();
        for attempt in &mut self.attempts {
            let Some(Ok(told)) = attempt.end.as_mut().map(|end| end.try_recv()) else {
                continue;
            };
            attempt.end = None;
            data.count("end told", 1);
            let Fate::Accepted(order) = &attempt.fate else {
                return Err("told the end of an order that was not accepted".into());
            };
            let kind = told.status.kind();
            let stored = data.orders.get(&order.seq).map(|order| &order.state);
            let stands = kind.is_final() || kind == StatusKind::Dead;
            if stored != Some(&told) || !stands {
                return Err(format!("(1) told the end {told:?}, stored {stored:?}"));
            }
        }
        Ok(())
    }

    /// The process is gone; whoever was not answered knows nothing.
    fn crash(&mut self, what: &'static str) {
        self.count(what);
        if self.engine.as_ref().is_some_and(|it| it.is_recovering) {
            self.count("crash while recovering");
        }
        self.lose_engine();
        self.disk.process_ended(false, &mut self.random);
    }

    fn lose_engine(&mut self) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        for number in engine.requests.iter().flat_map(|request| &request.attempts) {
            self.attempts[*number].fate = Fate::Unknown;
        }
        for number in engine.changes.iter().flat_map(|pending| &pending.asked) {
            self.asked[*number].fate = asks::Fate::Unknown;
        }
        self.attempts.iter_mut().for_each(|it| it.end = None);
        self.workers.lose();
        self.disk.calm();
    }

    /// A second server opens the shard; the first one does not know, and must not do harm.
    fn take_over(&mut self) -> Result<(), Broken> {
        self.disk.calm();
        self.send_one();
        let Some(second) = self.open()? else {
            return Ok(());
        };
        let Some(first) = &mut self.engine else {
            return Ok(());
        };
        let rows = self.disk.stored().journal.len();
        self.turned_at = self.clock.ticks();
        let turned = first.turns.turn(Duration::ZERO);
        let is_fenced = matches!(turned, Err(StoreError::Fenced));
        if self.disk.stored().journal.len() != rows {
            return Err("wrote after it was taken over: no fence".into());
        }
        self.listen()?;
        if !is_fenced {
            // It had nothing to write: overloaded.
            self.count("crash between turns");
        }
        self.lose_engine();
        self.engine = Some(second);
        Ok(())
    }

    /// An orderly end: everything that was sent is answered.
    fn drain(&mut self) -> Result<(), Broken> {
        if let Some(engine) = &self.engine {
            engine.handle.drain();
        }
        while self.engine.is_some() {
            let unanswered = self.engine.as_ref().map_or(0, |it| it.requests.len());
            self.turn()?;
            if self.engine.is_none() && unanswered == 0 {
                break;
            }
        }
        self.count("drained");
        Ok(())
    }
}
