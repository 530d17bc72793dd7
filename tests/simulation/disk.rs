//! A store in memory that is small enough to be believed, and that fails when it is told to.
//!
//! What is in it survives every crash of the simulated process. It is no second backend: it exists
//! to inject faults, and keeps no promise beyond a run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use orderd::clock::{ManualClock, Timestamp};
use orderd::order::{
    ChangeKey, Commit, Fingerprint, KeptKey, KeyRecord, OpenOrder, Opening, Order, OrderId,
    Position, Process, ProcessTally, Receipt, RequestKey, Seq, ShardNumber,
};
use orderd::store::{
    Durability, EventPlace, EventView, JournalRow, ListQuery, Page, Reading, Reopened, Store,
    StoreError, journal,
};

use rand::RngExt;
use rand::rngs::StdRng;

use super::plan;
use super::stored::{Crash, Medium, Stored};

/// What happens to the next commit, or to the next opening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Refused,
    Full,
    UnknownStored,
    UnknownLost,
    /// And the store cannot be opened anew; or it is, but the process crashes meanwhile.
    UnknownForGood,
    UnknownCrash,
    CrashBefore,
    CrashAfter,
    CrashWhileOpening,
    Unreadable,
    /// Takes so many microseconds.
    Slow(i64),
}

/// A mistake that a store could have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Planted {
    AnswersWithoutStoring,
    StoresWhatItRefuses,
    HasNoFence,
    TakesAnIdTwice,
    TakesAKeyTwice,
    ForgetsAChangeKey,
    ForgetsAChange,
    CountsCollisions,
    HidesAnOpenOrder,
    ForgetsAnOutput,
    LosesWhatIsStored,
    FindsWhatIsLost,
}

/// What is stored beside that of which promises speak, and what goes wrong next.
#[derive(Default)]
struct Data {
    epoch: i64,
    last_seq: Seq,
    definitions: Vec<Process>,
    /// The last commit, by its epoch and position.
    last: Option<(i64, Position, Receipt)>,
    fault: Option<Fault>,
    /// What happens to the next opening anew.
    next: Option<Fault>,
    commits: u64,
}

pub struct Disk {
    /// Taken before what is stored.
    data: Mutex<Data>,
    stored: Mutex<Stored>,
    clock: ManualClock,
    planted: Option<Planted>,
}

impl Disk {
    pub fn new(clock: ManualClock, planted: Option<Planted>) -> Self {
        Self {
            data: Mutex::default(),
            stored: Mutex::default(),
            clock,
            planted,
        }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next chance to fail like this is taken. `None`: nothing fails.
    fn arm(&self, fault: Option<Fault>) {
        self.data().fault = fault;
    }

    fn crash(&self) -> ! {
        std::panic::resume_unwind(Box::new(Crash))
    }

    fn apply(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        let data = &mut *self.data();
        let stored = &mut *self.stored();
        let is_current = commit.epoch == data.epoch && commit.position == stored.position.next();
        if !is_current && self.planted != Some(Planted::HasNoFence) {
            stored.count("fenced", 1);
            return Err(StoreError::Fenced);
        }
        data.commits += 1;
        let is_unlucky = data.commits.is_multiple_of(7);
        if is_unlucky && self.planted == Some(Planted::AnswersWithoutStoring) {
            return Ok(Receipt::default());
        }
        let receipt = stored.create(commit, self.planted);
        let Receipt {
            collided,
            keys_taken,
        } = &receipt;
        stored.count("key taken", keys_taken.len() as u64);
        stored.count("collided", collided.len() as u64);
        if self.planted != Some(Planted::ForgetsAChangeKey) {
            stored.keep(commit);
        }
        if self.planted != Some(Planted::ForgetsAnOutput) {
            stored.say(commit);
        }
        stored.change(
            commit,
            is_unlucky && self.planted == Some(Planted::ForgetsAChange),
        );
        data.definitions.extend(commit.definitions.iter().cloned());
        let counts_all = self.planted == Some(Planted::CountsCollisions);
        let counted: &[usize] = if counts_all { &[] } else { collided };
        for change in commit.tally_changes(counted).iter() {
            ProcessTally::among(&mut stored.tallies, &change.process).add(change);
        }
        let newest = commit.created.last().map(|order| order.seq);
        data.last_seq = data.last_seq.max(newest.unwrap_or_default());
        stored.append(commit, collided);
        data.last = Some((commit.epoch, commit.position, receipt.clone()));
        Ok(receipt)
    }
}

impl Data {
    fn opening(&self, stored: &Stored) -> Opening {
        Opening {
            epoch: self.epoch,
            last_seq: self.last_seq,
            position: stored.position,
            last_at: stored.journal.last().map_or(Timestamp(0), |row| row.at),
            tallies: stored.tallies.clone(),
            definitions: self.definitions.clone(),
        }
    }
}

impl Stored {
    /// Takes the new orders with their keys, but for those whose id or key is taken.
    fn create(&mut self, commit: &Commit, planted: Option<Planted>) -> Receipt {
        let mut receipt = Receipt::default();
        let mut records = commit.keys.iter().peekable();
        for (at, order) in commit.created.iter().enumerate() {
            let record = records.next_if(|record| record.created == at);
            let is_taken = |record: &KeyRecord| {
                let kept = self.keys.get(&record.key.key);
                kept.is_some_and(|kept| kept.kept_at >= commit.keys_expired_before)
            };
            if record.is_some_and(is_taken) && planted != Some(Planted::TakesAKeyTwice) {
                receipt.collided.push(at);
                receipt.keys_taken.push(at);
                continue;
            }
            let is_taken = self.ids.contains_key(&order.id);
            if is_taken && planted != Some(Planted::TakesAnIdTwice) {
                receipt.collided.push(at);
                continue;
            }
            if let Some(KeyRecord { key, answer, .. }) = record {
                let kept = KeptKey {
                    fingerprint: key.fingerprint,
                    answer: answer.clone(),
                    kept_at: commit.keys_kept_at,
                };
                self.keys.insert(key.key.clone(), kept);
            }
            self.ids.insert(order.id.clone(), order.seq);
            self.count("imported", order.imported_at.is_some().into());
            self.orders.insert(order.seq, (**order).clone());
        }
        receipt
    }

    /// Keeps the answers to changes.
    fn keep(&mut self, commit: &Commit) {
        for ChangeKey { key, answer, .. } in &commit.change_keys {
            let kept = KeptKey {
                fingerprint: key.fingerprint,
                answer: answer.clone(),
                kept_at: commit.keys_kept_at,
            };
            if self.keys.insert(key.key.clone(), kept).is_some() {
                panic!("(3) another change under {}", key.key);
            }
        }
    }

    fn change(&mut self, commit: &Commit, forgets_one: bool) {
        for changed in commit.changed.iter().skip(usize::from(forgets_one)) {
            match self.orders.get_mut(&changed.seq) {
                Some(order) => order.apply(changed),
                None => panic!(
                    "(2) a change of order {}, which is not stored",
                    changed.seq.0
                ),
            }
        }
    }

    fn say(&mut self, commit: &Commit) {
        for said in &commit.outputs {
            if let Some(order) = self.orders.get_mut(&said.seq) {
                order.outputs.retain(|it| it.step != said.output.step);
                order.outputs.push(said.output.clone());
            }
        }
    }

    fn append(&mut self, commit: &Commit, collided: &[usize]) {
        let entries = journal::encode(commit.at, commit.surviving_events(collided));
        let (position, epoch, at) = (commit.position, commit.epoch, commit.at);
        let hash = journal::hash(&self.hash, position, epoch, at, &entries);
        (self.position, self.hash) = (position, hash);
        self.journal.push(JournalRow {
            position,
            epoch,
            at,
            entries: entries.into(),
            hash,
        });
    }
}

impl Store for Disk {
    fn open_shard(&self, _: ShardNumber) -> Result<Opening, StoreError> {
        let mut data = self.data();
        data.next = None;
        data.epoch += 1;
        if data.fault == Some(Fault::CrashWhileOpening) {
            data.fault = None;
            self.stored().count("crash while opening", 1);
            drop(data);
            self.crash();
        }
        Ok(data.opening(&self.stored()))
    }

    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError> {
        let mut data = self.data();
        if commit.epoch != data.epoch {
            return Err(StoreError::Fenced);
        }
        match data.next.take() {
            Some(Fault::UnknownForGood) => {
                self.stored().count("not opened anew", 1);
                let detail = "as planned".into();
                return Err(StoreError::Unreadable { detail });
            }
            Some(_) => {
                data.epoch += 1;
                self.stored().count("crash while opening anew", 1);
                drop(data);
                self.crash();
            }
            None => {}
        }
        let last = data.last.as_ref();
        let is_it =
            |last: &&(i64, Position, Receipt)| (last.0, last.1) == (commit.epoch, commit.position);
        let fate = last.filter(is_it).map(|last| last.2.clone());
        let fate = match self.planted {
            Some(Planted::LosesWhatIsStored) => None,
            Some(Planted::FindsWhatIsLost) => Some(fate.unwrap_or_default()),
            _ => fate,
        };
        data.epoch += 1;
        let mut stored = self.stored();
        stored.count("opened anew", 1);
        let opening = data.opening(&stored);
        Ok(Reopened { opening, fate })
    }

    fn sent_under(
        &self,
        key: &RequestKey,
        expired: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        let stored = self.stored();
        let kept = stored.keys.get(&key.key);
        let counts = kept.filter(|kept| kept.kept_at >= expired);
        Ok(counts.map(|kept| kept.fingerprint))
    }

    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        let fault = {
            let mut data = self.data();
            let (what, fault) = match data.fault {
                Some(fault @ Fault::Refused) => ("refused", fault),
                Some(fault @ Fault::Full) => ("full", fault),
                Some(fault @ Fault::UnknownStored) => ("unknown, stored", fault),
                Some(fault @ Fault::UnknownLost) => ("unknown, not stored", fault),
                Some(fault @ (Fault::UnknownForGood | Fault::UnknownCrash)) => {
                    data.next = Some(fault);
                    ("unknown", fault)
                }
                Some(fault @ Fault::CrashBefore) => ("crash before a commit", fault),
                Some(fault @ Fault::CrashAfter) => ("crash after a commit", fault),
                Some(fault @ Fault::Slow(_)) => ("slow", fault),
                _ => {
                    drop(data);
                    return self.apply(commit);
                }
            };
            data.fault = None;
            self.stored().count(what, 1);
            fault
        };
        let detail = || "as planned".to_owned();
        match fault {
            Fault::Refused => {
                if self.planted == Some(Planted::StoresWhatItRefuses) {
                    self.apply(commit)?;
                }
                Err(StoreError::Refused { detail: detail() })
            }
            Fault::Full => Err(StoreError::Full { detail: detail() }),
            Fault::UnknownLost => Err(StoreError::Unknown { detail: detail() }),
            Fault::UnknownStored | Fault::UnknownForGood | Fault::UnknownCrash => {
                self.apply(commit)?;
                Err(StoreError::Unknown { detail: detail() })
            }
            Fault::CrashAfter => {
                self.apply(commit)?;
                self.crash()
            }
            Fault::Slow(micros) => {
                self.clock.advance(micros);
                self.apply(commit)
            }
            _ => self.crash(),
        }
    }

    fn tidy_up(&self) {}

    fn durability(&self) -> Durability {
        Durability {
            level: "none",
            detail: "a simulation".into(),
        }
    }

    fn open_orders(
        &self,
        after: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError> {
        let mut data = self.data();
        if data.fault == Some(Fault::Unreadable) {
            data.fault = None;
            self.stored().count("unreadable while recovering", 1);
            let detail = "as planned".into();
            return Err(StoreError::Unreadable { detail });
        }
        let hides_one = self.planted == Some(Planted::HidesAnOpenOrder);
        let stored = self.stored();
        let open = stored.orders.values().filter(|order| {
            let is_asked = order.seq > after && order.seq <= last;
            is_asked && order.state.status.is_open() && !(hides_one && order.seq.0 % 5 == 0)
        });
        let page = open.take(limit).map(|order| OpenOrder {
            seq: order.seq,
            process: order.process.clone(),
            process_version: order.process_version,
            priority: order.priority,
            total_minor: order.total.minor(),
            item_count: order.item_count,
            expires_at: order.expires_at,
            created_at: order.created_at,
            marks: order.marks,
            hold: order.hold.clone(),
            state: order.state.clone(),
        });
        Ok(page.collect())
    }

    fn orders_at(&self, seqs: &[Seq]) -> Result<Vec<Order>, StoreError> {
        let stored = self.stored();
        let orders = seqs.iter().filter_map(|seq| stored.orders.get(seq));
        Ok(orders.cloned().collect())
    }

    fn kept_key<'a>(&'a self, _: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>> {
        let kept = self.stored().keys.get(key).cloned();
        Box::pin(async move { Ok(kept) })
    }

    fn order<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Order>> {
        let stored = self.stored();
        let order = stored.ids.get(id).and_then(|seq| stored.orders.get(seq));
        let order = order.cloned();
        Box::pin(async move { Ok(order) })
    }

    fn orders(&self, _: ListQuery) -> Reading<'_, Page> {
        Box::pin(async { Err(no_part()) })
    }

    fn history<'a>(
        &'a self,
        _: &'a OrderId,
        _: EventPlace,
        _: usize,
    ) -> Reading<'a, Option<Vec<EventView>>> {
        Box::pin(async { Err(no_part()) })
    }

    fn events(&self, _: EventPlace, _: usize) -> Reading<'_, Vec<EventView>> {
        Box::pin(async { Err(no_part()) })
    }

    fn journal(&self, _: Position, _: usize) -> Reading<'_, Vec<JournalRow>> {
        Box::pin(async { Err(no_part()) })
    }
}

impl Medium for Disk {
    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan_trouble(&self, random: &mut StdRng) {
        self.arm(Some(plan::fault(random)));
    }

    fn plan_start(&self, random: &mut StdRng) {
        match random.random_range(0..12) {
            0 => self.arm(Some(Fault::CrashWhileOpening)),
            1 => self.arm(Some(Fault::Unreadable)),
            _ => {}
        }
    }

    fn calm(&self) {
        self.arm(None);
    }
}

fn no_part() -> StoreError {
    StoreError::Unreadable {
        detail: "no part of the simulation".into(),
    }
}
