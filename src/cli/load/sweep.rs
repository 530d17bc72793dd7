//! Reads many orders, or their histories, back: several connections, each with a few dozen requests
//! on their way at once. It sorts what it finds; it draws no conclusion about the run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::ids::Ids;
use super::notation::grouped;
use super::progress::Meter;
use super::readback::{History, Standing, read_history, read_standing};
use crate::cli::client::{Connection, Target, encoded};
use crate::cli::response::Response;
use crate::clock;

/// Requests on their way on one connection.
const PIPELINE: usize = 32;
/// How often the progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// Pauses after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What is asked about each order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Does it exist, and has it ended?
    Standing,
    /// How often was it accepted, how often did it end?
    History,
}

/// What was found, by places in the list of ids.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Orders that have ended.
    pub ended: u64,
    /// Orders that do not exist.
    pub missing: Vec<u32>,
    /// Orders that stand still.
    pub dead: Vec<u32>,
    /// Orders that go on.
    pub open: Vec<u32>,
    /// Orders that could not be read.
    pub unreadable: Vec<u32>,
    /// Histories read.
    pub histories: u64,
    /// Orders with more than one acceptance in their history.
    pub accepted_twice: Vec<u32>,
    /// Orders with more than one end in their history.
    pub ended_twice: Vec<u32>,
    /// Orders with no acceptance, or ended ones with no end, in their history.
    pub broken_history: Vec<u32>,
}

impl Findings {
    /// Makes the lists ready for [`Findings::has_ended`].
    pub fn sort(&mut self) {
        for list in [
            &mut self.missing,
            &mut self.dead,
            &mut self.open,
            &mut self.unreadable,
        ] {
            list.sort_unstable();
        }
    }

    /// Whether an order was found and has ended. The lists are sorted.
    fn has_ended(&self, place: u32) -> bool {
        [&self.missing, &self.dead, &self.open, &self.unreadable]
            .iter()
            .all(|list| list.binary_search(&place).is_err())
    }

    fn stands(&mut self, place: u32, standing: Standing) {
        match standing {
            Standing::Final => self.ended += 1,
            Standing::Dead => self.dead.push(place),
            Standing::Open => self.open.push(place),
        }
    }

    fn judge(&mut self, place: u32, history: &History) {
        self.histories += 1;
        if history.accepted > 1 {
            self.accepted_twice.push(place);
        }
        if history.ended > 1 {
            self.ended_twice.push(place);
        }
        let has_ended = self.has_ended(place);
        if history.accepted == 0 || (has_ended && history.ended == 0) {
            self.broken_history.push(place);
        }
    }
}

/// One pass over some places of the list.
#[derive(Debug)]
pub struct Sweep {
    /// The server.
    pub target: Target,
    /// What is asked.
    pub question: Question,
    /// The list of ids.
    pub ids: Rc<Ids>,
    /// The places that are asked about.
    pub places: Vec<u32>,
    /// Where the answers go.
    pub findings: Rc<RefCell<Findings>>,
    /// How long a connection goes on without any answer before it gives up.
    pub patience: Duration,
}

impl Sweep {
    /// Asks about all places, over at most so many connections; `false` if the server went away.
    /// Runs inside a `LocalSet`.
    pub async fn run(self, connections: usize, meter: &Meter) -> bool {
        let lanes = connections.min(self.places.len().div_ceil(PIPELINE));
        let shared = Rc::new((self, Cell::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..lanes {
            let shared = shared.clone();
            tasks.spawn_local(async move { shared.0.lane(&shared.1).await });
        }
        let mut all_answered = true;
        let mut ticks = tokio::time::interval(SHOW_EVERY);
        loop {
            tokio::select! {
                joined = tasks.join_next() => match joined {
                    Some(answered) => all_answered &= answered.unwrap_or(false),
                    None => return all_answered,
                },
                _ = ticks.tick() => meter.say(|| shared.0.progress(shared.1.get())),
            }
        }
    }

    fn progress(&self, next: usize) -> String {
        let what = match self.question {
            Question::Standing => "orders",
            Question::History => "histories",
        };
        let (done, all) = (grouped(next as u64), grouped(self.places.len() as u64));
        format!("verifying: {done} of {all} {what} read back")
    }

    /// One connection: takes the next places until there are none; `false` if it has given up.
    async fn lane(&self, next: &Cell<usize>) -> bool {
        let mut connection = None;
        loop {
            let from = next.get();
            let to = (from + PIPELINE).min(self.places.len());
            if from == to {
                return true;
            }
            next.set(to);
            let answered = self.ask(&mut connection, &self.places[from..to]).await;
            if from + answered < to {
                // Nobody is there: the places that no connection has taken are given up as well.
                let rest = next.replace(self.places.len());
                let mut findings = self.findings.borrow_mut();
                findings
                    .unreadable
                    .extend(&self.places[from + answered..to]);
                findings.unreadable.extend(&self.places[rest..]);
                return false;
            }
        }
    }

    /// Asks about these places until each has its answer or patience is at an end; how many have.
    async fn ask(&self, connection: &mut Option<Connection>, places: &[u32]) -> usize {
        let mut answered = 0;
        let mut pause = PAUSE_MIN;
        let mut give_up = clock::monotonic() + self.patience;
        while answered < places.len() {
            let more = self.try_to_ask(connection, &places[answered..]).await;
            answered += more;
            let now = clock::monotonic();
            if more > 0 {
                (give_up, pause) = (now + self.patience, PAUSE_MIN);
            } else if now >= give_up {
                break;
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        answered
    }

    /// Sends all the questions, then reads the answers; how many there were.
    async fn try_to_ask(&self, connection: &mut Option<Connection>, places: &[u32]) -> usize {
        let opened = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(&self.target).await,
        };
        let Ok(mut open) = opened else { return 0 };
        let ids: Vec<String> = places
            .iter()
            .map(|place| self.ids.text(*place as usize))
            .collect();
        let mut requests = Vec::new();
        ids.iter()
            .for_each(|id| self.target.write_get(&self.path(id), &mut requests));
        if open.send(&requests).await.is_err() {
            return 0;
        }
        let mut longer = Vec::new();
        for (answered, (place, id)) in places.iter().zip(&ids).enumerate() {
            let received = tokio::time::timeout(self.patience, open.receive()).await;
            let Ok(Ok(response)) = received else {
                return answered;
            };
            if response.status >= 500 {
                return answered;
            }
            match self.question {
                Question::Standing => self.take_order(*place, id, &response),
                Question::History => match read_history(&response.body).ok() {
                    Some(history) if history.next.is_some() => longer.push((*place, id, history)),
                    history => self.take_history(*place, history),
                },
            }
            if response.closes && longer.is_empty() {
                return answered + 1;
            }
        }
        for (place, id, history) in longer {
            self.take_history(place, self.rest_of(&mut open, id, history).await);
        }
        *connection = (!open.is_closing()).then_some(open);
        places.len()
    }

    fn path(&self, id: &str) -> String {
        let id = encoded(id);
        match self.question {
            Question::Standing => format!("/v1/orders/{id}"),
            Question::History => format!("/v1/orders/{id}/events"),
        }
    }

    fn take_order(&self, place: u32, id: &str, response: &Response<'_>) {
        let mut findings = self.findings.borrow_mut();
        match (response.status, read_standing(&response.body, id)) {
            (404, _) => findings.missing.push(place),
            (200, Ok(standing)) => findings.stands(place, standing),
            _ => findings.unreadable.push(place),
        }
    }

    fn take_history(&self, place: u32, history: Option<History>) {
        let mut findings = self.findings.borrow_mut();
        match history {
            Some(history) => findings.judge(place, &history),
            // An order that is missing has no history either: it is counted once.
            None if findings.has_ended(place) => findings.broken_history.push(place),
            None => {}
        }
    }

    /// Adds the further pages of a history; `None` if one cannot be read.
    async fn rest_of(&self, open: &mut Connection, id: &str, first: History) -> Option<History> {
        let mut sum = first;
        while let Some(cursor) = sum.next.take() {
            let mut request = Vec::new();
            let path = format!("{}?after={}", self.path(id), encoded(&cursor));
            self.target.write_get(&path, &mut request);
            let response = open.exchange(&request).await.ok()?;
            let page = read_history(&response.body).ok()?;
            sum.accepted += page.accepted;
            sum.ended += page.ended;
            sum.next = page.next;
        }
        Some(sum)
    }
}
