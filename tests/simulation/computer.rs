//! A computer: files below SQLite that many handles share, with the troubles that are planned for
//! it. The process on it may die, and the power may be cut, in the middle of any call.
//!
//! SQLite reaches it by the path `/NUMBER/...` of the file system [`NAME`]. It says itself what a
//! store does wrong with it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rand::RngExt;
use rand::rngs::StdRng;
use sqlite_file_layer::{
    Answer, Code, File, Files, Kind, Lock, REGION_BYTES, Region, SlotLock, codes, register,
    set_system_error,
};

use super::Happened;
use super::platter::{Action, Fate, NodeNumber, Platter};
use super::trouble::{Call, Down, Trouble, What};

/// The name under which SQLite knows the files of all computers.
const NAME: &str = "simulated";
/// `EDQUOT` of Linux.
const OVER_QUOTA: i32 = 122;
/// Slots of the shared memory that can be locked.
const SLOTS: usize = 8;

/// What the connections on a computer share about one file.
#[derive(Default)]
struct Shared {
    locks: BTreeMap<u64, Lock>,
    regions: Vec<Region>,
    /// Handles that have the shared memory, each with its slots: shared, exclusive.
    users: BTreeMap<u64, (u8, u8)>,
}

/// Everything about a computer.
pub struct State {
    pub platter: Platter,
    shared: BTreeMap<NodeNumber, Shared>,
    /// Handles from an earlier life of the process do nothing any more.
    life: u64,
    next_handle: u64,
    pub down: Option<Down>,
    pub random: StdRng,
    pub trouble: Option<Trouble>,
    /// A trouble came over somebody since it was planned.
    pub was_in_trouble: bool,
    /// Whoever asks is the test itself: nothing happens to it.
    is_quiet: bool,
    /// Flushes do nothing, and say that they did.
    pub ignores_flushes: bool,
    pub happened: Happened,
    /// What happens is printed.
    pub is_told: bool,
    /// What was done, for whoever wants to know.
    pub trace: Option<Vec<Action>>,
    /// What must not be done, and was.
    pub broken: Option<String>,
}

/// A computer with its files.
pub struct Computer {
    number: u64,
    state: Mutex<State>,
}

fn computers() -> MutexGuard<'static, BTreeMap<u64, Weak<Computer>>> {
    static ALL: Mutex<BTreeMap<u64, Weak<Computer>>> = Mutex::new(BTreeMap::new());
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Computer {
    pub fn new(platter: Platter, random: StdRng) -> Arc<Self> {
        static REGISTERED: OnceLock<()> = OnceLock::new();
        REGISTERED.get_or_init(|| register(NAME, Network).unwrap());
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let state = State {
            platter,
            shared: BTreeMap::new(),
            life: 0,
            next_handle: 0,
            down: None,
            random,
            trouble: None,
            was_in_trouble: false,
            is_quiet: false,
            ignores_flushes: false,
            happened: Happened::new(),
            is_told: false,
            trace: None,
            broken: None,
        };
        let computer = Arc::new(Self {
            number,
            state: Mutex::new(state),
        });
        computers().insert(number, Arc::downgrade(&computer));
        computer
    }

    /// The URI of a database on this computer.
    pub fn database(&self) -> String {
        format!("file:/{}/orders.db?vfs={NAME}", self.number)
    }

    /// Writes what everybody sees of the log once more, and flushes it, as a program would.
    pub fn renew_log(&self) -> io::Result<()> {
        let path = format!("/{}/orders.db-wal", self.number);
        let renew = || {
            if !Network.exists(&path)? {
                return Ok(());
            }
            let mut log = Network.open(Some(&path), Kind::Log, false)?;
            let mut bytes = vec![0; log.length()? as usize];
            log.read(0, &mut bytes)?;
            log.write(0, &bytes)?;
            log.flush()
        };
        renew().map_err(|Code(code)| io::Error::other(format!("SQLite's code {code}")))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing happens to what is done meanwhile.
    pub fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        self.state().is_quiet = true;
        let done = work();
        self.state().is_quiet = false;
        done
    }

    /// The process dies, or the power is cut, as it may have been already: nobody's handle is good
    /// any more. After a power cut the disk is what it is.
    pub fn restart(&self) {
        let state = &mut *self.state();
        state.life += 1;
        state.shared.clear();
        if state.down.take() == Some(Down::PowerCut) {
            let mut tally = Happened::new();
            let random = &mut state.random;
            let style = random.random_range(0..4);
            let platter = state
                .platter
                .after_cut(&mut || fate(random, style, &mut tally));
            state.platter = platter;
            for (what, times) in tally {
                *state.happened.entry(what).or_default() += times;
            }
        }
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        computers().remove(&self.number);
    }
}

/// What becomes of a change: all are lost, or all but few, or anything happens to each.
fn fate(random: &mut StdRng, style: u32, happened: &mut Happened) -> Fate {
    let fate = match (style, random.random_range(0..8)) {
        (0, _) | (1, 1..) | (_, 0..3) => Fate::Dropped,
        (1, _) | (_, 3..6) => Fate::Kept,
        (_, 6) => Fate::Torn(random.random()),
        _ => Fate::Hollow,
    };
    let what = match fate {
        Fate::Kept => "write kept without a flush",
        Fate::Dropped => "write dropped",
        Fate::Torn(_) => "write torn",
        Fate::Hollow => "write left a hole",
    };
    *happened.entry(what).or_default() += 1;
    fate
}

impl State {
    fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
        self.tell(what);
    }

    /// For whoever replays a run.
    pub fn tell(&self, what: &str) {
        if self.is_told {
            println!("{what}, in life {}", self.life);
        }
    }

    fn act(&mut self, action: Action) {
        self.tell(&action.name());
        self.platter.act(&action);
        if let Some(trace) = &mut self.trace {
            trace.push(action);
        }
    }

    /// The trouble that comes over this call, if any.
    fn trouble(&mut self, call: Call) -> Option<What> {
        let trouble = self.trouble.as_mut().filter(|_| !self.is_quiet)?;
        if !trouble.concerns(call) {
            return None;
        }
        if trouble.after > 0 {
            trouble.after -= 1;
            return None;
        }
        let what = trouble.what;
        match &mut trouble.what {
            What::Full(times) if *times > 1 => *times -= 1,
            _ => self.trouble = None,
        }
        self.was_in_trouble = true;
        self.count(what.name());
        if let What::Ends(down) = what {
            self.down = Some(down);
        }
        Some(what)
    }

    fn flush(&mut self, handle: &mut Handle) -> Answer<()> {
        // With a journal beside it SQLite goes back to where it was, and flushes that.
        let is_going_back = self
            .platter
            .find(&format!("{}-journal", handle.path))
            .is_some();
        if handle.has_failed && !is_going_back {
            let what = format!("{} was flushed again after a flush failed", handle.path);
            self.broken.get_or_insert(what);
        }
        let failed = Err(Code(codes::SQLITE_IOERR_FSYNC));
        match self.trouble(Call::Flush) {
            None => {}
            Some(What::Ends(_)) => return failed,
            Some(what) => {
                handle.has_failed = true;
                if is_copying() {
                    self.count("flush failed while the log was copied");
                }
                if let What::Loses { is_still_seen } = what {
                    let random = &mut self.random;
                    let mut some = || match random.random_range(0..4) {
                        0 => Fate::Kept,
                        _ => Fate::Dropped,
                    };
                    self.platter.lose(handle.node, &mut some, is_still_seen);
                }
                return failed;
            }
        }
        if !self.ignores_flushes {
            self.act(Action::Flush(handle.node, handle.has_new_name));
            handle.has_new_name = false;
            if is_copying() && &*handle.path == "orders.db" {
                self.count("log copied");
            }
        }
        Ok(())
    }

    fn write(&mut self, handle: &Handle, at: usize, bytes: &[u8]) -> Answer<()> {
        let is_growing = at + bytes.len() > self.platter.seen(handle.node).len();
        let call = if is_growing { Call::Grow } else { Call::Write };
        let (count, answer) = match self.trouble(call) {
            None => (bytes.len(), Ok(())),
            Some(What::Full(_)) => (0, Err(Code(codes::SQLITE_FULL))),
            Some(What::OverQuota) => {
                set_system_error(OVER_QUOTA);
                (0, Err(Code(codes::SQLITE_IOERR_WRITE)))
            }
            Some(What::Short) => {
                let count = self.random.random_range(0..bytes.len());
                (count, Err(Code(codes::SQLITE_FULL)))
            }
            Some(What::Ends(_)) => {
                let count = [0, bytes.len()][self.random.random_range(0..2)];
                (count, Err(Code(codes::SQLITE_IOERR_WRITE)))
            }
            Some(_) => (0, Err(Code(codes::SQLITE_IOERR_WRITE))),
        };
        if count > 0 {
            self.act(Action::Write(handle.node, at, bytes[..count].into()));
        }
        answer
    }
}

/// Whether this is the store's thread that copies the log.
fn is_copying() -> bool {
    std::thread::current().name() == Some("checkpoint")
}

/// All computers, as one file system.
struct Network;

/// The computer that a path leads to, and the file's name on it.
fn find(path: &str) -> Answer<(Arc<Computer>, &str)> {
    let split = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let found = split.and_then(|(number, name)| {
        let number = number.parse().ok()?;
        Some((computers().get(&number)?.upgrade()?, name))
    });
    found.ok_or(Code(codes::SQLITE_CANTOPEN))
}

/// The state of a computer that is up.
fn up(computer: &Computer) -> Answer<MutexGuard<'_, State>> {
    let state = computer.state();
    match state.down {
        None => Ok(state),
        Some(_) => Err(Code(codes::SQLITE_IOERR)),
    }
}

impl Files for Network {
    type File = Handle;

    fn open(&self, path: Option<&str>, kind: Kind, is_read_only: bool) -> Answer<Handle> {
        // Without a name nobody needs it later, and it needs no computer.
        let Some(path) = path else {
            return Err(Code(codes::SQLITE_CANTOPEN));
        };
        let (computer, path) = find(path)?;
        let mut state = up(&computer)?;
        let found = state.platter.find(path);
        if found.is_none() && matches!(state.trouble(Call::Make), Some(What::Ends(_))) {
            return Err(Code(codes::SQLITE_IOERR));
        }
        let node = found.unwrap_or_else(|| {
            let node = state.platter.next_node();
            state.act(Action::Make(path.into()));
            node
        });
        let (life, number) = (state.life, state.next_handle);
        state.next_handle += 1;
        drop(state);
        Ok(Handle {
            computer,
            life,
            number,
            node,
            path: path.into(),
            has_new_name: kind == Kind::Log,
            has_failed: false,
            is_read_only,
        })
    }

    fn delete(&self, path: &str, is_flushed: bool) -> Answer<()> {
        let (computer, path) = find(path)?;
        let mut state = up(&computer)?;
        if state.platter.find(path).is_none() {
            return Err(Code(codes::SQLITE_IOERR_DELETE_NOENT));
        }
        match state.trouble(Call::Remove) {
            None => {}
            Some(_) => return Err(Code(codes::SQLITE_IOERR_DELETE)),
        }
        state.act(Action::Remove(path.into()));
        if is_flushed && !state.ignores_flushes {
            state.act(Action::FlushNames);
        }
        Ok(())
    }

    fn exists(&self, path: &str) -> Answer<bool> {
        let (computer, path) = find(path)?;
        let state = up(&computer)?;
        let node = state.platter.find(path);
        Ok(node.is_some_and(|node| !state.platter.seen(node).is_empty()))
    }
}

/// A file that somebody opened.
struct Handle {
    computer: Arc<Computer>,
    life: u64,
    number: u64,
    node: NodeNumber,
    path: Box<str>,
    /// Its first flush makes the names durable, as that of SQLite's own logs does.
    has_new_name: bool,
    /// A flush through it failed.
    has_failed: bool,
    is_read_only: bool,
}

impl Handle {
    fn with<T>(&mut self, work: impl FnOnce(&mut State, &mut Self) -> Answer<T>) -> Answer<T> {
        let computer = Arc::clone(&self.computer);
        let mut state = up(&computer)?;
        if state.life != self.life {
            return Err(Code(codes::SQLITE_IOERR));
        }
        work(&mut state, self)
    }

    fn shared<T>(&mut self, work: impl FnOnce(&mut Shared, u64) -> Answer<T>) -> Answer<T> {
        self.with(|state, handle| work(state.shared.entry(handle.node).or_default(), handle.number))
    }
}

impl Handle {
    fn may_write(&self) -> Answer<()> {
        match self.is_read_only {
            false => Ok(()),
            true => Err(Code(codes::SQLITE_IOERR)),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.unlock(Lock::None);
        self.leave_regions(false);
    }
}

impl File for Handle {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Answer<usize> {
        self.with(|state, handle| {
            if state.trouble(Call::Read).is_some() {
                return Err(Code(codes::SQLITE_IOERR_READ));
            }
            let seen = state.platter.seen(handle.node);
            let from = seen.len().min(at as usize);
            let to = seen.len().min(at as usize + into.len());
            into[..to - from].copy_from_slice(&seen[from..to]);
            Ok(to - from)
        })
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Answer<()> {
        self.with(|state, handle| {
            handle.may_write()?;
            state.write(handle, at as usize, bytes)
        })
    }

    fn truncate(&mut self, length: u64) -> Answer<()> {
        self.with(|state, handle| {
            handle.may_write()?;
            if state.trouble(Call::Truncate).is_some() {
                return Err(Code(codes::SQLITE_IOERR_TRUNCATE));
            }
            state.act(Action::Truncate(handle.node, length as usize));
            Ok(())
        })
    }

    fn flush(&mut self) -> Answer<()> {
        self.with(State::flush)
    }

    fn length(&mut self) -> Answer<u64> {
        self.with(|state, handle| Ok(state.platter.seen(handle.node).len() as u64))
    }

    fn lock(&mut self, to: Lock) -> Answer<()> {
        if to > Lock::Shared {
            self.may_write()?;
        }
        self.shared(|shared, own| {
            let others = shared.locks.iter().filter(|(number, _)| **number != own);
            let highest = others.map(|(_, lock)| *lock).max().unwrap_or(Lock::None);
            let is_free = match to {
                Lock::None | Lock::Shared => highest < Lock::Pending,
                Lock::Reserved => highest < Lock::Reserved,
                Lock::Pending | Lock::Exclusive => highest == Lock::None,
            };
            if is_free {
                shared.locks.insert(own, to);
                return Ok(());
            }
            if to == Lock::Exclusive && highest == Lock::Shared {
                shared.locks.insert(own, Lock::Pending);
            }
            Err(Code(codes::SQLITE_BUSY))
        })
    }

    fn unlock(&mut self, to: Lock) {
        let unlocked = self.shared(|shared, own| {
            match to {
                Lock::None => drop(shared.locks.remove(&own)),
                _ => drop(shared.locks.insert(own, to)),
            }
            Ok(())
        });
        // A process that is gone has no locks.
        let _ = unlocked;
    }

    fn is_reserved(&mut self) -> bool {
        let highest = self.shared(|shared, _| Ok(shared.locks.values().max().copied()));
        highest.is_ok_and(|highest| highest >= Some(Lock::Reserved))
    }

    fn region(&mut self, number: usize, is_made: bool) -> Answer<Option<Region>> {
        self.shared(|shared, own| {
            shared.users.entry(own).or_default();
            while is_made && shared.regions.len() <= number {
                let words = [const { AtomicU32::new(0) }; REGION_BYTES / 4];
                shared.regions.push(Arc::new(words));
            }
            Ok(shared.regions.get(number).cloned())
        })
    }

    fn lock_slots(&mut self, slots: Range<usize>, how: SlotLock) -> Answer<()> {
        self.shared(|shared, own| {
            let mask = slots.fold(0_u8, |mask, slot| mask | 1 << (slot % SLOTS));
            let others = shared.users.iter().filter(|(number, _)| **number != own);
            let (theirs, alone) = others.fold((0, 0), |(shared, alone), (_, user)| {
                (shared | user.0, alone | user.1)
            });
            let in_the_way = match how {
                SlotLock::Free => 0,
                SlotLock::Shared => alone,
                SlotLock::Exclusive => alone | theirs,
            };
            if in_the_way & mask != 0 {
                return Err(Code(codes::SQLITE_BUSY));
            }
            let user = shared.users.entry(own).or_default();
            user.0 &= !mask;
            user.1 &= !mask;
            match how {
                SlotLock::Free => {}
                SlotLock::Shared => user.0 |= mask,
                SlotLock::Exclusive => user.1 |= mask,
            }
            Ok(())
        })
    }

    fn leave_regions(&mut self, _: bool) {
        let left = self.shared(|shared, own| {
            shared.users.remove(&own);
            if shared.users.is_empty() {
                // The next one finds it empty, as it does after a restart.
                shared.regions.clear();
            }
            Ok(())
        });
        // A process that is gone has no shared memory.
        let _ = left;
    }
}
