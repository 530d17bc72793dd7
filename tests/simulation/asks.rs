//! Changes that people ask of orders they were told about, and what must be true of the answers.
//!
//! Each change is signed with a name of its own, so that the journal says which ones were made.
//! Some come under a key of that name, and are asked for again.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use orderd::clock::Timestamp;
use orderd::engine::{ChangeAnswer, Handle, KeyOfChanges, SubmitError};
use orderd::order::{
    Action, Change, Commit, Event, EventKind, KeptAnswer, NewHold, Position, Priority, Refusal,
    RequestKey, Seq, Signal, Signature, Status, StepOutput, Target,
};
use orderd::shard::Effect;
use rand::RngExt;
use rand::rngs::StdRng;

use super::proof::Broken;
use super::stored::Stored;

/// What somebody was told about a change.
pub type Answer = Result<Effect, NotMade>;

/// Why somebody was told that a change is not made.
#[derive(Debug, PartialEq)]
pub enum NotMade {
    Refused(Refusal),
    Failed(SubmitError),
}

/// What became of one change, as far as whoever asked knows.
#[derive(Debug)]
pub enum Fate {
    InFlight,
    Told(Answer),
    /// Nobody answered.
    Unknown,
}

/// One change that was asked for.
#[derive(Debug)]
pub struct Asked {
    pub change: Change,
    pub kind: EventKind,
    /// The number that it is signed with: its own, or that of the one which it repeats.
    pub number: usize,
    /// It was asked for under a key of its number.
    pub has_key: bool,
    /// The same was asked before.
    pub is_again: bool,
    /// The same was asked again later.
    pub is_repeated: bool,
    /// The last one before it was told that it is made, or that there is nothing to do.
    pub was_told: bool,
    pub fate: Fate,
}

impl Asked {
    pub fn new(change: Change, number: usize, has_key: bool) -> Self {
        Self {
            kind: kind(&change),
            change,
            number,
            has_key,
            is_again: false,
            is_repeated: false,
            was_told: false,
            fate: Fate::InFlight,
        }
    }

    /// The same once more, under the same key.
    pub fn again(&mut self) -> Self {
        self.is_repeated = true;
        Self {
            is_again: true,
            was_told: self.was_told || matches!(self.fate, Fate::Told(Ok(_))),
            ..Self::new(self.change.clone(), self.number, true)
        }
    }

    /// Whether a client may ask again: nobody said that it was refused.
    pub fn is_open(&self) -> bool {
        let is_open = match &self.fate {
            Fate::InFlight => false,
            Fate::Unknown | Fate::Told(Ok(_)) => true,
            Fate::Told(Err(error)) => *error == NotMade::Failed(SubmitError::OutcomeUnknown),
        };
        self.has_key && !self.is_repeated && is_open
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

    /// One change under a key. What is kept is what the journal should say.
    pub fn under(handle: Handle, at: usize, asked: &Asked) -> Self {
        let answer = |answers: &[ChangeAnswer], commit: &Commit| {
            answers[0].ok().map(|effect| KeptAnswer {
                status: 200,
                content_type: "text/plain".into(),
                location: None,
                etag: None,
                body: body(effect, commit.position).into_bytes().into(),
            })
        };
        let key = KeyOfChanges {
            key: RequestKey::new("changes", name(asked.number).as_bytes(), [0; 32]).unwrap(),
            answer: Box::new(answer),
            answer_bytes: 0,
        };
        let changes = vec![asked.change.clone()];
        let future = async move {
            let decided = handle.change_under(key, changes).await?;
            let is_kept = decided.answers[0].is_ok();
            assert_eq!(decided.kept.is_some(), is_kept, "{decided:?}");
            Ok(decided.answers)
        };
        Self {
            asked: vec![at],
            future: Box::pin(future),
        }
    }

    /// The answers, if they are there.
    pub fn poll(&mut self) -> Option<Vec<(usize, Answer)>> {
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(answers) = self.future.as_mut().poll(&mut context) else {
            return None;
        };
        let refused = |error: &SubmitError| Err(NotMade::Failed(error.clone()));
        let answers: Vec<Answer> = match answers {
            Ok(answers) => answers
                .into_iter()
                .map(|answer| answer.map_err(NotMade::Refused))
                .collect(),
            Err(error) => self.asked.iter().map(|_| refused(&error)).collect(),
        };
        assert_eq!(answers.len(), self.asked.len(), "a change was not answered");
        Some(self.asked.iter().copied().zip(answers).collect())
    }
}

/// What is kept under the key of a change that had this effect in this commit.
fn body(effect: Effect, position: Position) -> String {
    match effect {
        Effect::Made { version } => format!("version {version} at {}", position.0),
        Effect::Nothing | Effect::Extended { .. } => "nothing".into(),
    }
}

/// A random change of an order, signed with its number.
pub fn change(random: &mut StdRng, seq: Seq, number: usize, now: Timestamp) -> Change {
    let by: Option<Box<str>> = Some(name(number).into());
    let signature = Signature {
        reason: random.random_ratio(1, 2).then(|| "because".into()),
        by: by.clone(),
    };
    let action = match random.random_range(0..18) {
        14.. => Action::Signal(Box::new(Signal {
            name: format!("step-{}", random.random_range(0..3)).into(),
            output: format!("{:?}", name(number)).into(),
        })),
        0..3 => Action::Cancel(signature),
        10..12 => Action::Retry(signature),
        12..14 => Action::Prioritize(Priority::ALL[random.random_range(0..3)], signature),
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
        Action::Signal(_) => EventKind::Signalled,
        // Not asked for here: what workers say has a place of its own.
        Action::Report(_) => EventKind::CameLate,
    }
}

fn name(number: usize) -> String {
    format!("change-{number}")
}

/// The changes that the journal says were made, by their number.
#[derive(Default)]
pub struct Made(BTreeMap<usize, Event>);

/// Whether an order has a version because of an event that was asked for. One that waited for a
/// signal goes on, with the version after it.
fn leads_to(made: &Event, version: u32) -> bool {
    let goes_on = u32::from(made.kind == EventKind::Signalled);
    (made.version..=made.version + goes_on).contains(&version)
}

impl Made {
    /// Notes an event if it was asked for. A signal is signed by what it says.
    pub fn follow(&mut self, event: &Event, all: &[Asked], data: &Stored) -> Result<(), Broken> {
        let said = data.orders.get(&event.seq).map(|order| &order.outputs);
        let of_step = |it: &&StepOutput| Some(&it.step) == event.step.as_ref();
        let said = said.and_then(|said| said.iter().find(of_step));
        let by = match event.kind {
            EventKind::Signalled => said.map(|said| said.output.trim_matches('"')),
            _ => event.by.as_deref(),
        };
        let Some(by) = by else {
            return Ok(());
        };
        let number = by
            .strip_prefix("change-")
            .and_then(|text| text.parse().ok());
        let asked = number.and_then(|number: usize| Some((number, all.get(number)?)));
        let Some((number, asked)) = asked else {
            return Err(format!("(2) nobody asked for {event:?}"));
        };
        let is_turned_back = event.kind == EventKind::Compensating
            && matches!(asked.kind, EventKind::Cancelled | EventKind::Replayed);
        let is_of_kind = event.kind == asked.kind || is_turned_back;
        if asked.change.seq != event.seq || !is_of_kind {
            return Err(format!("(2) {asked:?} was asked, but made {event:?}"));
        }
        match self.0.insert(number, event.clone()) {
            None => Ok(()),
            Some(_) => Err(format!("(3) {asked:?} was made twice")),
        }
    }

    /// Whoever was told something was told the truth. To be asked at any time after.
    pub fn told(&self, asked: &Asked, data: &Stored) -> Result<(), Broken> {
        let made = self.0.get(&asked.number);
        let Fate::Told(answer) = &asked.fate else {
            return Ok(());
        };
        let lie = || format!("(7) {asked:?}, but the journal says {made:?}");
        let is_true = match answer {
            Ok(_) | Err(NotMade::Refused(_)) if asked.was_told => {
                return Err(format!("(3) {asked:?} was answered anew"));
            }
            Ok(Effect::Made { version }) => made.is_some_and(|made| leads_to(made, *version)),
            Ok(Effect::Nothing) if asked.kind == EventKind::Cancelled => {
                made.is_none() && is_being_cancelled(asked.change.seq, data)
            }
            Err(NotMade::Failed(SubmitError::OutcomeUnknown)) => true,
            Err(NotMade::Failed(SubmitError::KeyTaken)) => self.is_kept(asked, data),
            // It may have been made the time before.
            Err(NotMade::Failed(_)) if asked.is_again => true,
            Err(NotMade::Refused(Refusal::NotOpen)) => {
                let order = data.orders.get(&asked.change.seq);
                let has_ended = order.is_some_and(|order| !order.state.status.is_open());
                made.is_none() && has_ended
            }
            _ => made.is_none(),
        };
        is_true.then_some(()).ok_or_else(lie)
    }

    /// What is kept under the key of a change is what the journal says about it.
    fn is_kept(&self, asked: &Asked, data: &Stored) -> bool {
        let kept = data.keys.get(&*name(asked.number));
        let kept = kept.map(|kept| String::from_utf8_lossy(&kept.answer.body));
        let is_told = |kept: &str| match self.0.get(&asked.number) {
            None => kept.starts_with("nothing"),
            Some(made) => {
                let version = kept.split(' ').nth(1).and_then(|it| it.parse().ok());
                version.is_some_and(|version| leads_to(made, version))
            }
        };
        kept.is_some_and(|kept| is_told(&kept))
    }
}

/// Whether an order is cancelled, or on its way there, even if it is stuck.
fn is_being_cancelled(seq: Seq, data: &Stored) -> bool {
    data.orders.get(&seq).is_some_and(|order| {
        let is_cancelled = matches!(order.state.status, Status::Cancelled { .. });
        is_cancelled || order.marks.undoing == Some(Target::Cancelled)
    })
}
