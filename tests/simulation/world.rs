//! One run: a disk, an engine on it that comes and goes, clients, and a clock. Everything that
//! happens is drawn from the seed.

mod changing;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use orderd::clock::{Clock, ManualClock, Timestamp};
use orderd::engine::{Engine, Handle, Settings, Start, StartError, SubmitError, Turns};
use orderd::order::{ProcessTally, Processes, ShardNumber, StatusKind};
use orderd::store::{Store, StoreError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Happened;
use super::asks::{self, Asked};
use super::client::{self, Attempt, Fate, Request, Told};
use super::disk::{Crash, Disk, Fault, Planted};
use super::plan;
use super::proof::{Broken, Proof};

/// Steps of a run before it is left to come to rest.
const STEPS: usize = 90;
/// Turns in which everything must have come to rest.
const TURNS_MAX: usize = 3_000;

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

pub struct World {
    random: StdRng,
    clock: ManualClock,
    disk: Arc<Disk>,
    registry: Processes,
    open_orders_max: u64,
    engine: Option<Running>,
    attempts: Vec<Attempt>,
    asked: Vec<Asked>,
    proof: Proof,
    /// Time that went by, but of each wait at most an hour, in microseconds.
    simulated_us: i64,
}

impl World {
    pub fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let clock = ManualClock::new(Timestamp(1_800_000_000_000_000));
        let registry = Processes::new(plan::processes(&mut random), Vec::new()).unwrap();
        Self {
            open_orders_max: [6, 40, 1_000_000][random.random_range(0..3)],
            random,
            disk: Arc::new(Disk::new(clock.clone(), planted)),
            clock,
            registry,
            engine: None,
            attempts: Vec::new(),
            asked: Vec::new(),
            proof: Proof::default(),
            simulated_us: 0,
        }
    }

    fn count(&self, what: &'static str) {
        self.disk.data().count(what, 1);
    }

    /// Plays the whole run, then proves everything once more.
    pub fn play(mut self) -> Result<End, Broken> {
        for _ in 0..STEPS {
            self.step()?;
            self.check()?;
        }
        self.come_to_rest()?;
        let data = self.disk.data();
        for (number, attempt) in self.attempts.iter().enumerate() {
            self.proof.told(number, attempt, &data)?;
        }
        for asked in &self.asked {
            self.proof.made.told(asked, &data)?;
        }
        Ok(End {
            hash: data.hash,
            simulated_us: self.simulated_us.unsigned_abs(),
            happened: data.happened.clone(),
        })
    }

    fn check(&mut self) -> Result<(), Broken> {
        let mut data = self.disk.data();
        let sent = (&*self.attempts, &*self.asked);
        self.proof.follow(&mut data, sent, &self.registry)
    }

    fn step(&mut self) -> Result<(), Broken> {
        if self.engine.is_none() {
            return self.start();
        }
        match self.random.random_range(0..100) {
            0..34 => self.send_one(),
            34..42 => self.send_many(),
            42..46 => self.send_again(),
            46..54 => self.ask(),
            54..78 => return self.turn(),
            78..86 => {
                self.pass();
                return self.turn();
            }
            86..94 => self.arm(),
            94..96 => self.crash("crash between turns"),
            96..97 => return self.take_over(),
            97..98 => return self.drain(),
            _ => return self.compare_counters(),
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
        match self.random.random_range(0..12) {
            0 => self.disk.arm(Some(Fault::CrashWhileOpening)),
            1 => self.disk.arm(Some(Fault::Unreadable)),
            _ => {}
        }
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
            Ok(Err(StartError::Store(error))) => Err(format!("did not start: {error}")),
            Ok(Err(error)) => Err(format!("did not start: {error}")),
            Err(panic) if panic.is::<Crash>() => Ok(None),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn arm(&mut self) {
        let fault = plan::fault(&mut self.random);
        self.disk.arm(Some(fault));
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
        self.disk.data().count("refused at once", refused);
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
        let count = self.random.random_range(2..7);
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
        let turned = catch_unwind(AssertUnwindSafe(|| engine.turns.turn(Duration::ZERO)));
        let is_over = match turned {
            Ok(Ok(flow)) => {
                engine.is_recovering = engine.turns.is_recovering();
                flow == ControlFlow::Break(())
            }
            Ok(Err(StoreError::Unknown { .. } | StoreError::Unreadable { .. })) => true,
            Ok(Err(error)) => return Err(format!("the engine ended: {error}")),
            Err(panic) if panic.is::<Crash>() => {
                self.lose_engine();
                return self.check();
            }
            Err(panic) => resume_unwind(panic),
        };
        self.check()?;
        self.listen()?;
        if is_over {
            self.lose_engine();
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
            self.disk.data().count("change deferred", deferred);
        }
        for (number, answer) in changes {
            self.hear_change(number, answer)?;
        }
        for told in told {
            self.hear(told)?;
        }
        self.hear_ends()
    }

    fn hear(&mut self, told: Told) -> Result<(), Broken> {
        let number = told.attempt;
        let attempt = &mut self.attempts[number];
        let mut data = self.disk.data();
        let is_repeat = attempt.repeats.is_some();
        attempt.end = told.end;
        attempt.fate = match told.answer {
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
                    let key = attempt.order.idempotency_key.as_deref().unwrap_or_default();
                    let kept = data.keys.get(key);
                    let order = kept.and_then(|(seq, _)| data.orders.get(seq));
                    let is_told = |order: &orderd::order::Order| {
                        kept.is_some_and(|(_, it)| *it.answer.body == *order.id.as_str().as_bytes())
                    };
                    if !order.is_some_and(is_told) {
                        return Err(format!("(3) {key} is said to be taken by {order:?}"));
                    }
                }
                let is_overload = matches!(error, SubmitError::Overloaded { .. });
                data.count("overloaded", u64::from(is_overload));
                Fate::Refused(error)
            }
        };
        self.proof.told(number, attempt, &data)
    }

    /// Whoever waits for an end hears of it after it is on disk.
    fn hear_ends(&mut self) -> Result<(), Broken> {
        let mut data = self.disk.data();
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
        self.disk.arm(None);
    }

    /// A second server opens the shard; the first one does not know, and must not do harm.
    fn take_over(&mut self) -> Result<(), Broken> {
        self.disk.arm(None);
        self.send_one();
        let Some(second) = self.open()? else {
            return Ok(());
        };
        let Some(first) = &mut self.engine else {
            return Ok(());
        };
        let rows = self.disk.data().journal.len();
        let turned = first.turns.turn(Duration::ZERO);
        let is_fenced = matches!(turned, Err(StoreError::Fenced));
        if self.disk.data().journal.len() != rows {
            return Err("wrote after it was taken over: no fence".into());
        }
        self.listen()?;
        if is_fenced {
            self.lose_engine();
        } else {
            // It had nothing to write: overloaded.
            self.crash("crash between turns");
        }
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

    /// The engine's own counters are those on disk.
    fn compare_counters(&mut self) -> Result<(), Broken> {
        self.disk.arm(None);
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let handle = engine.handle.clone();
        let mut stats = Box::pin(async move { handle.stats().await });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(stats.as_mut().poll(&mut context).is_pending());
        let mut kept = self.disk.data().tallies.clone();
        kept.retain(|tally| !tally.is_zero());
        self.turn()?;
        let std::task::Poll::Ready(stats) = stats.as_mut().poll(&mut context) else {
            return Err("asked for statistics, not answered".into());
        };
        let mut counted = stats.map_or(Vec::new(), |stats| stats.processes);
        counted.retain(|tally| !tally.is_zero());
        let is_kept = |tally: &ProcessTally| kept.contains(tally);
        if counted.iter().all(is_kept) && counted.len() == kept.len() {
            return Ok(());
        }
        Err(format!("(8) counted {counted:?}, kept {kept:?}"))
    }

    /// Without faults and new orders everything ends, and nobody waits for an answer.
    fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.disk.arm(None);
        if self.engine.is_none() {
            self.engine = self.open()?;
        }
        self.run_out()?;
        self.release_all();
        self.run_out()?;
        let waiting = |it: &Running| it.requests.len() + it.changes.len();
        let waiting = self.engine.as_ref().map_or(0, waiting);
        if waiting > 0 {
            return Err(format!("{waiting} requests were never answered"));
        }
        let data = self.disk.data();
        let moves = |order: &&orderd::order::Order| {
            order.state.status.is_open() && order.state.status.kind() != StatusKind::Dead
        };
        match data.orders.values().find(moves) {
            Some(order) => Err(format!("forgotten: {order:?}")),
            None => Ok(()),
        }
    }

    /// Turn after turn, until there is nothing left to do.
    fn run_out(&mut self) -> Result<(), Broken> {
        for _ in 0..TURNS_MAX {
            self.turn()?;
            let engine = self
                .engine
                .as_ref()
                .ok_or("the engine ended without a fault")?;
            let Some(deadline) = engine.turns.deadline() else {
                break;
            };
            self.wait(deadline.micros_since(self.clock.now()).max(0));
        }
        Ok(())
    }
}
