//! Changes that people ask of orders they were told about, and what must be true of the answers.
//!
//! Each change is signed with a name of its own, so that the journal says which ones were made.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use orderd::clock::Timestamp;
use orderd::engine::{ChangeAnswer, ChangeError, Handle, SubmitError};
use orderd::order::{
    Action, Change, Event, EventKind, NewHold, Priority, Refusal, Seq, Signature, Status, Target,
};
use orderd::shard::Effect;
use rand::RngExt;
use rand::rngs::StdRng;

use super::disk::Data;
use super::proof::Broken;

/// What became of one change, as far as whoever asked knows.
#[derive(Debug)]
pub enum Fate {
    InFlight,
    Told(ChangeAnswer),
    /// Nobody answered.
    Unknown,
}

/// One change that was asked for.
#[derive(Debug)]
pub struct Asked {
    pub seq: Seq,
    pub kind: EventKind,
    pub fate: Fate,
}

impl Asked {
    pub fn new(change: &Change) -> Self {
        Self {
            seq: change.seq,
            kind: kind(change),
            fate: Fate::InFlight,
        }
    }
}

type Answers = Pin<Box<dyn Future<Output = Result<Vec<ChangeAnswer>, SubmitError>>>>;

/// Changes that were handed to an engine and not answered yet.
pub struct Pending {
    pub asked: Vec<usize>,
    future: Answers,
}

impl Pending {
    pub fn new(handle: Handle, first: usize, changes: Vec<Change>) -> Self {
        let asked = (first..first + changes.len()).collect();
        let future = Box::pin(async move { handle.change(changes).await });
        Self { asked, future }
    }

    /// The answers, if they are there.
    pub fn poll(&mut self) -> Option<Vec<(usize, ChangeAnswer)>> {
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(answers) = self.future.as_mut().poll(&mut context) else {
            return None;
        };
        let refused = |error: SubmitError| {
            let all = self
                .asked
                .iter()
                .map(|_| Err(ChangeError::Failed(error.clone())));
            all.collect::<Vec<_>>()
        };
        let answers = answers.unwrap_or_else(refused);
        assert_eq!(answers.len(), self.asked.len(), "a change was not answered");
        Some(self.asked.iter().copied().zip(answers).collect())
    }
}

/// A random change of an order, signed with its number.
pub fn change(random: &mut StdRng, seq: Seq, number: usize, now: Timestamp) -> Change {
    let by: Option<Box<str>> = Some(name(number).into());
    let signature = Signature {
        reason: random.random_ratio(1, 2).then(|| "because".into()),
        by: by.clone(),
    };
    let action = match random.random_range(0..14) {
        0..3 => Action::Cancel(signature),
        10..12 => Action::Retry(signature),
        12.. => Action::Prioritize(Priority::ALL[random.random_range(0..3)], signature),
        3..7 => Action::Hold(NewHold {
            reason: "wait".into(),
            by,
            until: random
                .random_ratio(1, 2)
                .then(|| now.plus(random.random_range(-1_000_000..30_000_000))),
        }),
        _ => Action::Release(signature),
    };
    let versions = random
        .random_ratio(1, 4)
        .then(|| [random.random_range(1..5)].into());
    Change {
        seq,
        versions,
        action,
    }
}

/// The end of a hold, signed with its number.
pub fn release(seq: Seq, number: usize) -> Change {
    let signature = Signature {
        reason: None,
        by: Some(name(number).into()),
    };
    Change {
        seq,
        versions: None,
        action: Action::Release(signature),
    }
}

/// What the journal says if a change is made.
fn kind(change: &Change) -> EventKind {
    match change.action {
        Action::Cancel(_) => EventKind::Cancelled,
        Action::Hold(_) => EventKind::Held,
        Action::Release(_) => EventKind::Released,
        Action::Retry(_) => EventKind::Replayed,
        Action::Prioritize(..) => EventKind::PriorityChanged,
    }
}

fn name(number: usize) -> String {
    format!("change-{number}")
}

/// The changes that the journal says were made, by their number.
#[derive(Default)]
pub struct Made(BTreeMap<usize, (Seq, EventKind, u32)>);

impl Made {
    /// Notes an event if it was asked for.
    pub fn follow(&mut self, event: &Event, all: &[Asked]) -> Result<(), Broken> {
        let Some(by) = &event.by else {
            return Ok(());
        };
        let number = by
            .strip_prefix("change-")
            .and_then(|text| text.parse().ok());
        let asked = number.and_then(|number: usize| Some((number, all.get(number)?)));
        let Some((number, asked)) = asked else {
            return Err(format!("(2) nobody asked for {event:?}"));
        };
        if (asked.seq, asked.kind) != (event.seq, event.kind) {
            return Err(format!("(2) {asked:?} was asked, but made {event:?}"));
        }
        let made = (event.seq, event.kind, event.version);
        match self.0.insert(number, made) {
            None => Ok(()),
            Some(_) => Err(format!("(3) {asked:?} was made twice")),
        }
    }

    /// Whoever was told something was told the truth. To be asked at any time after.
    pub fn told(&self, number: usize, asked: &Asked, data: &Data) -> Result<(), Broken> {
        let made = self.0.get(&number);
        let Fate::Told(answer) = &asked.fate else {
            return Ok(());
        };
        let is_true = match answer {
            Ok(Effect::Made { version }) => made.is_some_and(|made| made.2 == *version),
            Ok(Effect::Nothing) if asked.kind == EventKind::Cancelled => {
                made.is_none() && is_being_cancelled(asked.seq, data)
            }
            Err(ChangeError::Failed(SubmitError::OutcomeUnknown)) => true,
            Err(ChangeError::Refused(Refusal::NotOpen)) => {
                let order = data.orders.get(&asked.seq);
                let has_ended = order.is_some_and(|order| !order.state.status.is_open());
                made.is_none() && has_ended
            }
            _ => made.is_none(),
        };
        let lie = || format!("(7) {asked:?}, but the journal says {made:?}");
        is_true.then_some(()).ok_or_else(lie)
    }
}

/// Whether an order is cancelled, or on its way there.
fn is_being_cancelled(seq: Seq, data: &Data) -> bool {
    let status = data.orders.get(&seq).map(|order| order.state.status);
    let target = Target::Cancelled;
    matches!(status, Some(Status::Cancelled { .. }))
        || status == Some(Status::Compensating { target })
}
