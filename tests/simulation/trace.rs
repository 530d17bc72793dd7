//! What happened in a run, for people: one line for each thing, with its time and who did it.
//!
//! It looks at the world between two steps and knows nothing that is not to be seen there.

use std::cell::RefCell;
use std::rc::Rc;

use orderd::order::{Event, EventKind};
use orderd::store::{JournalRow, journal};

use super::Happened;
use super::asks::{self, Asked};
use super::client::{Attempt, Fate};

/// A trace that is being written; clones write the same one.
#[derive(Clone, Default)]
pub struct Trace(Rc<RefCell<Lines>>);

/// The lines, and what was seen last.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    micros: i64,
    is_up: bool,
    rows: usize,
    /// What was last known of each order and of each change.
    orders: Vec<String>,
    changes: Vec<String>,
    happened: Happened,
}

/// What can be seen of a world.
pub struct View<'a> {
    /// Since the run began.
    pub micros: i64,
    pub is_up: bool,
    pub attempts: &'a [Attempt],
    pub asked: &'a [Asked],
    pub journal: &'a [JournalRow],
    pub happened: &'a Happened,
}

impl Trace {
    /// Writes down what is new.
    pub fn look(&self, view: &View<'_>) {
        self.0.borrow_mut().look(view);
    }

    pub fn text(&self) -> String {
        self.0.borrow().lines.join("\n")
    }
}

impl Lines {
    fn say(&mut self, who: &str, what: &str) {
        let seconds = self.micros as f64 / 1e6;
        self.lines
            .push(format!("{seconds:>14.6} s  {who:<7} {what}"));
    }

    fn look(&mut self, view: &View<'_>) {
        self.micros = view.micros;
        if view.is_up && !self.is_up {
            self.say("server", "starts");
        }
        let is_new = self.orders.len()..view.attempts.len();
        for (number, attempt) in is_new.clone().zip(&view.attempts[is_new]) {
            self.say("client", &format!("sends order {number}{}", order(attempt)));
            self.orders.push(String::new());
        }
        let is_new = self.changes.len()..view.asked.len();
        for (number, asked) in is_new.clone().zip(&view.asked[is_new]) {
            let (kind, seq) = (asked.kind.name(), asked.change.seq.0);
            let text = format!("asks for change {number}: {kind}, of the order with number {seq}");
            self.say("client", &text);
            self.changes.push(String::new());
        }
        self.faults(view.happened);
        for row in &view.journal[self.rows..] {
            self.say("disk", &entry(row));
        }
        self.rows = view.journal.len();
        self.answers(view);
        if self.is_up && !view.is_up {
            self.say("server", "is gone");
        }
        self.is_up = view.is_up;
    }

    /// What went wrong, or was unusual.
    fn faults(&mut self, happened: &Happened) {
        let is_event = |what: &str| EventKind::ALL.iter().any(|kind| kind.name() == what);
        for (what, times) in happened {
            let before = self.happened.get(what).copied().unwrap_or(0);
            if *times > before && !is_event(what) && *what != "labelled" {
                self.say("world", what);
            }
        }
        self.happened.clone_from(happened);
    }

    fn answers(&mut self, view: &View<'_>) {
        for (number, attempt) in view.attempts.iter().enumerate() {
            let told = match &attempt.fate {
                Fate::InFlight => String::new(),
                Fate::Accepted(order) => format!("accepted, with number {}", order.seq.0),
                Fate::Refused(error) => format!("refused: {error}"),
                Fate::Unknown => "nobody knows".into(),
            };
            if self.orders[number] != told {
                self.say("client", &format!("is told of order {number}: {told}"));
                self.orders[number] = told;
            }
        }
        for (number, asked) in view.asked.iter().enumerate() {
            let told = match &asked.fate {
                asks::Fate::InFlight => String::new(),
                asks::Fate::Told(answer) => format!("{answer:?}"),
                asks::Fate::Unknown => "nobody knows".into(),
            };
            if self.changes[number] != told {
                self.say("client", &format!("is told of change {number}: {told}"));
                self.changes[number] = told;
            }
        }
    }
}

fn order(attempt: &Attempt) -> String {
    let order = &attempt.order;
    let mut text = String::new();
    if let Some(id) = order.id.chosen() {
        text += &format!(", id {id}");
    }
    if let Some(key) = &order.idempotency_key {
        text += &format!(", key {key}");
    }
    for (is_so, what) in [
        (order.start_at.is_some(), ", starts later"),
        (order.expires_at.is_some(), ", expires"),
        (order.hold.is_some(), ", held"),
        (order.past.is_some(), ", finished elsewhere"),
    ] {
        text += if is_so { what } else { "" };
    }
    if let Some(before) = attempt.repeats {
        text += &format!(", which is order {before} again");
    }
    text
}

fn entry(row: &JournalRow) -> String {
    let said = |event: &Event| {
        let lease = match event.lease {
            0 => String::new(),
            lease => format!(" (lease {lease})"),
        };
        format!("{} {}{lease}", event.seq.0, event.kind.name())
    };
    let events = match journal::decode(row) {
        Ok(events) => events.iter().map(said).collect::<Vec<_>>().join(", "),
        Err(error) => error.to_string(),
    };
    let (position, epoch) = (row.position.0, row.epoch);
    format!("row {position}, epoch {epoch}: {events}")
}
