//! The real SQLite store as a medium: over the files of a computer that loses, tears and refuses.
//!
//! What is stored is read back after every call that says it stored something, by another
//! connection, as anybody would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use orderd::cli::verify;
use orderd::clock::Timestamp;
use orderd::order::{
    Commit, Fingerprint, KeptKey, OpenOrder, Opening, Order, OrderId, Position, Receipt,
    RequestKey, Seq, ShardNumber,
};
use orderd::store::Snapshot as _;
use orderd::store::sqlite::{FileSystem, Snapshot, Sqlite};
use orderd::store::{
    Durability, EventPlace, EventView, JournalRow, ListQuery, Options, Page, Reading, Reopened,
    Room, Store, StoreError,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::computer::Computer;
use super::platter::{Fate, Platter};
use super::proof::Broken;
use super::stored::{Crash, Medium, Stored};
use super::trouble::{Down, Trouble};

const SHARD: ShardNumber = ShardNumber(0);
/// Pages that the writer of every second computer keeps in memory.
const FEW_PAGES: u32 = 10;
/// Pages in the log from which it is copied into the database.
const LOG_PAGES: u64 = 60;

/// A computer with the store on it, if the process runs.
pub struct OnFiles {
    pub computer: Arc<Computer>,
    store: Mutex<Option<Arc<Sqlite>>>,
    stored: Mutex<Stored>,
    complaint: Mutex<Option<Broken>>,
    /// Every key that was ever to be stored, with its scope.
    keys: Mutex<BTreeMap<Box<str>, String>>,
    /// What was stored when, for whoever records it.
    moments: Mutex<Option<Vec<Moment>>>,
    /// It is opened again after something went wrong.
    was_hurt: AtomicBool,
    /// The writer has a small cache.
    has_few_pages: bool,
}

/// What was stored after so many actions, and answered for.
pub struct Moment {
    pub actions: usize,
    pub stored: Stored,
}

/// Locks what no panic leaves half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything in the database at `path`.
pub fn read(path: &str) -> Result<Stored, StoreError> {
    let snapshot = Snapshot::open(path.as_ref(), false)?;
    let mut stored = Stored::default();
    if let Some(head) = snapshot.head(SHARD)? {
        (stored.position, stored.hash) = (head.position, head.hash);
    }
    stored.tallies = snapshot.tallies(SHARD)?;
    stored.journal = snapshot.journal(Position(i64::MIN), usize::from(u16::MAX))?;
    for order in snapshot.orders(Seq(i64::MIN), usize::from(u16::MAX))? {
        stored.ids.insert(order.id.clone(), order.seq);
        stored.orders.insert(order.seq, order);
    }
    Ok(stored)
}

impl OnFiles {
    pub fn new(seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed ^ 0x5eed);
        Self {
            computer: Computer::new(Platter::default(), random),
            store: Mutex::default(),
            stored: Mutex::default(),
            complaint: Mutex::default(),
            keys: Mutex::default(),
            moments: Mutex::default(),
            was_hurt: AtomicBool::new(false),
            has_few_pages: seed % 2 == 1,
        }
    }

    /// The same, and everything that is done to the files is written down.
    pub fn recording(seed: u64) -> Self {
        let this = Self::new(seed);
        this.computer.state().trace = Some(Vec::new());
        *lock(&this.moments) = Some(Vec::new());
        this
    }

    /// The same on a disk that says of a flush that it is done, and does nothing.
    pub fn ignoring_flushes(seed: u64) -> Self {
        let this = Self::new(seed);
        this.computer.state().ignores_flushes = true;
        this
    }

    /// The same, and everything that happens is printed.
    pub fn telling(seed: u64) -> Self {
        let this = Self::new(seed);
        this.computer.state().is_told = true;
        this
    }

    /// What was written down.
    pub fn moments(&self) -> Vec<Moment> {
        lock(&self.moments).take().unwrap_or_default()
    }

    fn store(&self) -> Arc<Sqlite> {
        let store = lock(&self.store);
        Arc::clone(store.as_ref().unwrap())
    }

    /// What a call answered, if the process lived to hear it.
    fn survive<T>(&self, answer: T) -> T {
        if self.computer.state().down.is_some() {
            drop(answer);
            std::panic::resume_unwind(Box::new(Crash));
        }
        answer
    }

    fn count(&self, what: &'static str, times: usize) {
        if times > 0 {
            self.computer.state().tell(what);
        }
        lock(&self.stored).count(what, times as u64);
    }

    /// Reads what is stored now.
    fn look(&self) {
        let path = self.computer.database();
        match self.computer.quietly(|| read(&path)) {
            Ok(mut new) => {
                let mut stored = lock(&self.stored);
                new.happened = std::mem::take(&mut stored.happened);
                new.keys = self.computer.quietly(|| self.kept());
                *stored = new;
                if let Some(moments) = &mut *lock(&self.moments) {
                    let trace = self.computer.state().trace.as_ref().map(Vec::len);
                    let actions = trace.unwrap_or_default();
                    let stored = stored.clone();
                    moments.push(Moment { actions, stored });
                }
            }
            Err(error) => {
                let what = format!("what is stored cannot be read: {error}");
                lock(&self.complaint).get_or_insert(what);
            }
        }
    }

    /// What is kept under every key.
    fn kept(&self) -> BTreeMap<Box<str>, KeptKey> {
        let store = self.store();
        let mut all = BTreeMap::new();
        for (key, scope) in &*lock(&self.keys) {
            let mut reading = store.kept_key(scope, key);
            let read = reading
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(Ok(Some(kept))) = read {
                all.insert(key.clone(), kept);
            }
        }
        all
    }

    fn open(&self) -> Result<Sqlite, StoreError> {
        // The log is copied as soon as it has some pages. Nothing is set apart on a disk that does
        // not tell its size at first.
        let is_asked = AtomicBool::new(false);
        let gauge = move || {
            is_asked
                .swap(true, Ordering::Relaxed)
                .then_some(FileSystem {
                    free: 1 << 40,
                    total: LOG_PAGES * 16 * 4_096,
                })
        };
        let options = Options {
            free_space_min: Some(1),
            ..Options::readers(1)
        };
        let path = self.computer.database();
        let computer = Arc::clone(&self.computer);
        let renew = Box::new(move || computer.renew_log());
        let opened = Sqlite::open_on(path.as_ref(), &options, Box::new(gauge), renew);
        let store = self.survive(opened)?;
        self.keep_few_pages(&store)?;
        Ok(store)
    }

    fn keep_few_pages(&self, store: &Sqlite) -> Result<(), StoreError> {
        match self.has_few_pages {
            true => store.keep_pages(FEW_PAGES),
            false => Ok(()),
        }
    }
}

impl Store for OnFiles {
    fn open_shard(&self, shard: ShardNumber) -> Result<Opening, StoreError> {
        self.computer.state().was_in_trouble = false;
        let before = lock(&self.store).take();
        // A server that still runs comes to an orderly end.
        drop(before);
        let store = self.survive(self.open())?;
        let opening = self.survive(store.open_shard(shard))?;
        *lock(&self.store) = Some(Arc::new(store));
        if self.was_hurt.swap(false, Ordering::Relaxed) {
            self.count("opened after a crash", 1);
        }
        self.look();
        Ok(opening)
    }

    fn commit(&self, commit: &Commit) -> Result<Receipt, StoreError> {
        {
            let new = commit.keys.iter().map(|record| &record.key);
            let changes = commit.change_keys.iter().map(|record| &record.key);
            let new = new.chain(changes);
            lock(&self.keys).extend(new.map(|key| (key.key.clone(), key.scope.to_string())));
        }
        let answer = self.survive(self.store().commit(commit));
        match &answer {
            Ok(receipt) => {
                self.count("collided", receipt.collided.len());
                self.look();
            }
            Err(StoreError::Fenced) => self.count("fenced", 1),
            Err(StoreError::Full { .. }) => self.count("full", 1),
            Err(StoreError::Unknown { .. }) => self.count("unknown", 1),
            Err(_) => self.count("refused", 1),
        }
        answer
    }

    fn reopen(&self, commit: &Commit) -> Result<Reopened, StoreError> {
        let answer = self.survive(self.store().reopen(commit));
        match &answer {
            Ok(Reopened { fate: Some(_), .. }) => self.count("unknown, stored", 1),
            Ok(Reopened { fate: None, .. }) => self.count("unknown, not stored", 1),
            Err(_) => self.count("not opened anew", 1),
        }
        if answer.is_ok() {
            self.keep_few_pages(&self.store())?;
            self.look();
        }
        answer
    }

    fn sent_under(
        &self,
        key: &RequestKey,
        expired: Timestamp,
    ) -> Result<Option<Fingerprint>, StoreError> {
        self.survive(self.store().sent_under(key, expired))
    }

    fn tidy_up(&self) {
        let store = self.store();
        store.tidy_up();
        // What goes on beside a commit depends on the machine: a run must not.
        while store.is_copying() {
            std::thread::yield_now();
        }
        self.survive(());
    }

    fn room(&self) -> Room {
        self.store().room()
    }

    fn durability(&self) -> Durability {
        self.store().durability()
    }

    fn open_orders(
        &self,
        after: Seq,
        last: Seq,
        limit: usize,
    ) -> Result<Vec<OpenOrder>, StoreError> {
        let answer = self.survive(self.store().open_orders(after, last, limit));
        self.count("unreadable while recovering", usize::from(answer.is_err()));
        answer
    }

    fn orders_at(&self, seqs: &[Seq]) -> Result<Vec<Order>, StoreError> {
        self.store().orders_at(seqs)
    }

    fn kept_key<'a>(&'a self, scope: &'a str, key: &'a str) -> Reading<'a, Option<KeptKey>> {
        let store = self.store();
        Box::pin(async move { store.kept_key(scope, key).await })
    }

    fn order<'a>(&'a self, id: &'a OrderId) -> Reading<'a, Option<Order>> {
        let store = self.store();
        Box::pin(async move { store.order(id).await })
    }

    fn orders(&self, query: ListQuery) -> Reading<'_, Page> {
        let store = self.store();
        Box::pin(async move { store.orders(query).await })
    }

    fn history<'a>(
        &'a self,
        id: &'a OrderId,
        after: EventPlace,
        limit: usize,
    ) -> Reading<'a, Option<Vec<EventView>>> {
        let store = self.store();
        Box::pin(async move { store.history(id, after, limit).await })
    }

    fn events(&self, after: EventPlace, limit: usize) -> Reading<'_, Vec<EventView>> {
        let store = self.store();
        Box::pin(async move { store.events(after, limit).await })
    }

    fn journal(&self, after: Position, limit: usize) -> Reading<'_, Vec<JournalRow>> {
        let store = self.store();
        Box::pin(async move { store.journal(after, limit).await })
    }
}

impl Medium for OnFiles {
    fn stored(&self) -> MutexGuard<'_, Stored> {
        lock(&self.stored)
    }

    fn plan_trouble(&self, random: &mut StdRng) {
        self.computer.state().trouble = Some(Trouble::soon(random));
    }

    fn plan_start(&self, random: &mut StdRng) {
        if random.random_ratio(1, 3) {
            self.plan_trouble(random);
        }
    }

    fn calm(&self) {
        self.computer.state().trouble = None;
    }

    fn may_fail_to_open(&self) -> bool {
        self.computer.state().was_in_trouble
    }

    fn complaint(&self) -> Option<Broken> {
        let broken = self.computer.state().broken.clone();
        broken.or_else(|| lock(&self.complaint).clone())
    }

    fn process_ended(&self, is_in_order: bool, random: &mut StdRng) {
        if is_in_order {
            let closed = lock(&self.store).take();
            drop(closed);
        }
        // What is written down knows nothing of a power cut.
        let is_recorded = lock(&self.moments).is_some();
        let down = match random.random() && !is_recorded {
            true => Down::PowerCut,
            false => Down::Killed,
        };
        {
            let mut state = self.computer.state();
            let down = *state.down.get_or_insert(down);
            let what = match (down, is_in_order) {
                (Down::Killed, true) => "ended in order",
                (Down::PowerCut, true) => "power cut after the end",
                (Down::Killed, false) => "process gone",
                (Down::PowerCut, false) => "power cut",
            };
            *state.happened.entry(what).or_default() += 1;
            state.tell(what);
        }
        self.was_hurt.store(true, Ordering::Relaxed);
        self.computer.restart();
        // It has handles from an earlier life, which do nothing any more.
        let gone = lock(&self.store).take();
        drop(gone);
    }

    fn prove_at_rest(&self) -> Result<(), Broken> {
        {
            let state = &mut *self.computer.state();
            state.platter = state.platter.after_cut(&mut || Fate::Dropped);
        }
        self.computer.restart();
        drop(lock(&self.store).take());
        let path = self.computer.database();
        let store = Sqlite::open(path.as_ref(), 1);
        let store = store.map_err(|error| format!("not opened after the end: {error}"))?;
        let lasting = read(&path).map_err(|error| error.to_string())?;
        let stored = &mut *lock(&self.stored);
        if (lasting.position, lasting.hash) != (stored.position, stored.hash) {
            let (then, now) = (stored.position, lasting.position);
            return Err(format!(
                "(1) stored until {then:?}, after a power cut {now:?}"
            ));
        }
        if lasting.orders != stored.orders || lasting.tallies != stored.tallies {
            return Err("(1) after a power cut orders are others".into());
        }
        let report =
            verify::prove(&format!("sqlite:{path}"), &mut |_| ()).map_err(|it| it.to_string())?;
        if !report.findings.are_none() {
            return Err(format!("orderd verify finds {:?}", report.findings));
        }
        drop(store);
        for (what, times) in std::mem::take(&mut self.computer.state().happened) {
            stored.count(what, times);
        }
        Ok(())
    }
}
