//! The checker's own journal: what it was going to ask, before it asked, and what it was told. A
//! line counts only once it is flushed to disk; many lines share a flush.
//!
//! At the end it is read back from the file, and nothing else is believed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::request::Request;

pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    lines: Mutex<Lines>,
    changed: Condvar,
}

/// Lines on their way to the disk.
#[derive(Default)]
struct Lines {
    waiting: String,
    acknowledged_waiting: u64,
    /// Acknowledged orders whose lines are flushed.
    acknowledged: u64,
    is_closing: bool,
    /// Something happened that whoever waits should look at.
    is_alarmed: bool,
}

/// What the journal says of one order that was asked for.
#[derive(Clone, Debug)]
pub struct Entry {
    pub request: Request,
    /// The start of the server, counted from 1, to which it was sent last.
    pub run: u32,
    /// The ids it was acknowledged with: there must be one at most.
    pub ids: Vec<String>,
    /// Some request for it was answered: definitely not stored.
    is_refused: bool,
    /// Some request for it was not answered.
    is_unheard: bool,
}

impl Entry {
    /// Whether it must not be there.
    pub fn must_be_absent(&self) -> bool {
        self.is_refused && !self.is_unheard && self.ids.is_empty()
    }
}

/// What was asked of orders that were there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How many events it must have made; `None`: nobody knows.
    pub made: Option<u64>,
}

/// Everything that is in a journal.
#[derive(Debug, Default)]
pub struct Book {
    pub orders: BTreeMap<u64, Entry>,
    /// By the name with which they were signed.
    pub changes: BTreeMap<String, Asked>,
}

impl Journal {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            file: Mutex::new(File::create(path).unwrap()),
            lines: Mutex::new(Lines::default()),
            changed: Condvar::new(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap()
    }

    fn note(&self, line: &str) {
        self.note_acknowledged(line, 0);
    }

    fn note_acknowledged(&self, line: &str, count: u64) {
        let mut lines = self.lines();
        lines.waiting.push_str(line);
        lines.waiting.push('\n');
        lines.acknowledged_waiting += count;
        drop(lines);
        self.changed.notify_all();
    }

    pub fn starts(&self) {
        self.note("starts");
    }

    pub fn asks(&self, request: &Request) {
        self.note(&format!("asks {request}"));
    }

    /// `count` is 1, or 0 for an order that was acknowledged before.
    pub fn is_told(&self, number: u64, id: &str, count: u64) {
        self.note_acknowledged(&format!("told {number} {id}"), count);
    }

    pub fn is_refused(&self, number: u64) {
        self.note(&format!("refused {number}"));
    }

    pub fn hears_nothing(&self, request: &Request) {
        self.note(&format!("unheard {request}"));
    }

    pub fn asks_change(&self, name: &str, id: &str) {
        self.note(&format!("asks-change {name} {id}"));
    }

    /// So many events must bear this name from now on.
    pub fn change_made(&self, name: &str, events: u64) {
        self.note(&format!("change-made {name} {events}"));
    }

    /// Writes out and flushes everything that was noted.
    pub fn flush(&self) {
        let mut file = self.file.lock().unwrap();
        let mut lines = self.lines();
        let text = std::mem::take(&mut lines.waiting);
        let acknowledged = std::mem::take(&mut lines.acknowledged_waiting);
        drop(lines);
        file.write_all(text.as_bytes()).unwrap();
        file.sync_data().unwrap();
        self.lines().acknowledged += acknowledged;
        self.changed.notify_all();
    }

    /// Flushes again and again until `close`: what comes meanwhile shares the next flush.
    pub fn keep_flushing(&self) {
        loop {
            let idle = |lines: &mut Lines| lines.waiting.is_empty() && !lines.is_closing;
            let lines = self.changed.wait_while(self.lines(), idle).unwrap();
            let is_closing = lines.is_closing;
            drop(lines);
            self.flush();
            if is_closing {
                self.lines().is_closing = false;
                return;
            }
        }
    }

    pub fn close(&self) {
        self.lines().is_closing = true;
        self.changed.notify_all();
    }

    /// Wakes whoever waits in `wait_for`.
    pub fn alarm(&self) {
        self.lines().is_alarmed = true;
        self.changed.notify_all();
    }

    /// Forgets an alarm that nobody waited for.
    pub fn calm(&self) {
        self.lines().is_alarmed = false;
    }

    /// Acknowledged orders whose lines are flushed.
    pub fn acknowledged(&self) -> u64 {
        self.lines().acknowledged
    }

    /// Waits until so many orders are acknowledged in all, an alarm is raised, or time is up.
    pub fn wait_for(&self, acknowledged: u64, patience: Duration) {
        let waits = |lines: &mut Lines| lines.acknowledged < acknowledged && !lines.is_alarmed;
        let waited = self
            .changed
            .wait_timeout_while(self.lines(), patience, waits);
        waited.unwrap().0.is_alarmed = false;
    }

    /// Everything in it, read back from the file.
    pub fn read(&self) -> Book {
        self.flush();
        Book::of(&std::fs::read_to_string(&self.path).unwrap())
    }
}

impl Book {
    pub fn of(text: &str) -> Self {
        let mut book = Self::default();
        let mut run = 0;
        for line in text.lines() {
            let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
            match what {
                "starts" => run += 1,
                "asks" => book.asks(rest.parse().unwrap(), run),
                "unheard" => {
                    for number in rest.parse::<Request>().unwrap().numbers() {
                        book.order(number).is_unheard = true;
                    }
                }
                "told" => {
                    let (number, id) = rest.split_once(' ').unwrap();
                    let entry = book.order(number.parse().unwrap());
                    if !entry.ids.iter().any(|known| known == id) {
                        entry.ids.push(id.to_owned());
                    }
                }
                "refused" => book.order(rest.parse().unwrap()).is_refused = true,
                "asks-change" => {
                    let name = rest.split(' ').next().unwrap();
                    book.changes.entry(name.to_owned()).or_default();
                }
                "change-made" => {
                    let (name, events) = rest.split_once(' ').unwrap();
                    let asked = book.changes.get_mut(name).unwrap();
                    asked.made = Some(events.parse().unwrap());
                }
                _ => panic!("nobody wrote: {line}"),
            }
        }
        book
    }

    fn asks(&mut self, request: Request, run: u32) {
        for number in request.numbers() {
            let entry = self.orders.entry(number).or_insert_with(|| Entry {
                request,
                run,
                ids: Vec::new(),
                is_refused: false,
                is_unheard: false,
            });
            entry.run = run;
        }
    }

    fn order(&mut self, number: u64) -> &mut Entry {
        self.orders.get_mut(&number).unwrap()
    }
}
