//! A receiver: what somebody asked for, how far it is, and what of both others may see.
//!
//! Settings are changed by people, progress by the courier.

use std::sync::Mutex;

use tokio::sync::watch;

use super::kept::{Pause, Progress, Replay, Settings, text};
use super::{WebhookError, lock};
use crate::clock::Timestamp;
use crate::store::{EventPlace, KeptWebhook};
use crate::telling::Filter;

/// What somebody asks for; checked.
#[derive(Clone, Debug, Default)]
pub struct NewWebhook {
    /// Where it is.
    pub url: Box<str>,
    /// What it is, for people.
    pub description: Option<Box<str>>,
    /// What it wants to be told.
    pub filter: Filter,
}

/// A receiver with its courier.
pub(super) struct Endpoint {
    pub(super) id: Box<str>,
    state: Mutex<State>,
    /// Rises when somebody changes something.
    changed: watch::Sender<u64>,
    /// Writes to the store one after the other.
    writing: tokio::sync::Mutex<()>,
}

struct State {
    settings: Settings,
    progress: Progress,
    is_over: bool,
}

/// How a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookStatus {
    /// Deliveries go through.
    Active,
    /// The last delivery failed; it is tried again.
    Failing,
    /// No deliveries are made.
    Paused,
}

/// A receiver as others see it.
#[derive(Clone, Debug)]
pub struct WebhookView {
    /// Its id.
    pub id: Box<str>,
    /// Where it is.
    pub url: Box<str>,
    /// What it is, for people.
    pub description: Option<Box<str>>,
    /// What it is told.
    pub filter: Filter,
    /// How it is.
    pub status: WebhookStatus,
    /// Why no deliveries are made, if none are.
    pub pause: Option<Pause>,
    /// Since when deliveries fail, and why.
    pub failing: Option<(Timestamp, Box<str>)>,
    /// Everything up to here is delivered, or not wanted.
    pub at: EventPlace,
    /// The part that is delivered again, if one is.
    pub replay: Option<Replay>,
    /// Deliveries that went through.
    pub delivered: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Endpoint {
    pub(super) fn new(id: Box<str>, settings: Settings, progress: Progress) -> Self {
        Self {
            id,
            state: Mutex::new(State {
                settings,
                progress,
                is_over: false,
            }),
            changed: watch::Sender::new(0),
            writing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn read(kept: &KeptWebhook) -> serde_json::Result<Self> {
        let settings = serde_json::from_str(&kept.settings)?;
        let progress = serde_json::from_str(&kept.progress)?;
        Ok(Self::new(kept.id.clone(), settings, progress))
    }

    pub(super) fn kept(&self) -> KeptWebhook {
        let state = lock(&self.state);
        KeptWebhook {
            id: self.id.clone(),
            settings: text(&state.settings),
            progress: text(&state.progress),
        }
    }

    /// A copy with a change, which this one has not.
    pub(super) fn with(&self, change: impl FnOnce(&mut Settings, &mut Progress)) -> Self {
        let state = lock(&self.state);
        let (mut settings, mut progress) = (state.settings.clone(), state.progress.clone());
        drop(state);
        change(&mut settings, &mut progress);
        Self::new(self.id.clone(), settings, progress)
    }

    pub(super) fn settings(&self) -> Settings {
        lock(&self.state).settings.clone()
    }

    /// Looks at how far it is, or moves it.
    pub(super) fn progress<T>(&self, look: impl FnOnce(&mut Progress) -> T) -> T {
        look(&mut lock(&self.state).progress)
    }

    /// Changes it, and tells its courier.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Settings, &mut Progress)) {
        let mut state = lock(&self.state);
        let State {
            settings, progress, ..
        } = &mut *state;
        change(settings, progress);
        drop(state);
        self.changed.send_modify(|number| *number += 1);
    }

    /// Waits for a turn to write it to the store.
    ///
    /// # Errors
    ///
    /// It was forgotten meanwhile.
    pub(super) async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, WebhookError> {
        let turn = self.writing.lock().await;
        match self.is_over() {
            false => Ok(turn),
            true => Err(WebhookError::NotFound),
        }
    }

    pub(super) fn end(&self) {
        lock(&self.state).is_over = true;
        self.changed.send_modify(|number| *number += 1);
    }

    pub(super) fn is_over(&self) -> bool {
        lock(&self.state).is_over
    }

    pub(super) fn is_paused(&self) -> bool {
        lock(&self.state).settings.pause.is_some()
    }

    pub(super) fn is_replaying(&self) -> bool {
        lock(&self.state).progress.replay.is_some()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn view(&self) -> WebhookView {
        let state = lock(&self.state);
        let State {
            settings, progress, ..
        } = &*state;
        let status = match (&settings.pause, &progress.failing) {
            (Some(_), _) => WebhookStatus::Paused,
            (None, Some(_)) => WebhookStatus::Failing,
            (None, None) => WebhookStatus::Active,
        };
        let failing = progress.failing.clone();
        WebhookView {
            id: self.id.clone(),
            url: settings.url.clone(),
            description: settings.description.clone(),
            filter: settings.filter(),
            status,
            pause: settings.pause.clone(),
            failing: failing.map(|failing| (failing.since, failing.error)),
            at: progress.at.into(),
            replay: progress.replay,
            delivered: progress.delivered,
            created_at: Timestamp(settings.created_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::kept::Failing;
    use super::*;
    use crate::order::{OrderId, Position};
    use crate::outbound::Secret;

    #[test]
    fn what_is_kept_reads_back() {
        let secret = Secret::random(&mut StdRng::seed_from_u64(1));
        let new = NewWebhook {
            url: "https://shop.example/hook".into(),
            description: Some("the \"shop\"".into()),
            filter: Filter {
                types: vec!["order.dead".into()],
                order_id: OrderId::parse("a").ok(),
                customer_id: Some("c".into()),
                process: Some("p".into()),
            },
        };
        let filter = new.filter.clone();
        let settings = Settings::new(new, &secret, Timestamp(7));
        let place = EventPlace {
            position: Position(17),
            index: 3,
        };
        let mut progress = Progress::at(place);
        progress.failing = Some(Failing {
            since: Timestamp(9),
            error: "x".into(),
        });
        let endpoint = Endpoint::new("wh_1".into(), settings, progress);
        let again = Endpoint::read(&endpoint.kept()).unwrap();
        assert_eq!(again.kept(), endpoint.kept());
        let view = again.view();
        assert_eq!((view.at, view.filter), (place, filter));
        assert_eq!(view.status, WebhookStatus::Failing);
        assert_eq!(again.settings().secrets(Timestamp(9)), [secret]);
    }
}
