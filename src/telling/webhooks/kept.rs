//! What is kept of a receiver, as two JSON objects: what somebody asked for, and how far it is.
//!
//! Fields may be added; those that are there keep their names.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::endpoint::NewWebhook;
use crate::clock::Timestamp;
use crate::order::{OrderId, Position};
use crate::outbound::{Secret, Target};
use crate::store::EventPlace;
use crate::telling::Filter;

/// Secrets that sign at the same time at most.
const SECRETS_MAX: usize = 3;

/// What somebody asked for, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) url: Box<str>,
    pub(super) description: Option<Box<str>>,
    types: Vec<Box<str>>,
    order_id: Option<Box<str>>,
    customer_id: Option<Box<str>>,
    process: Option<Box<str>>,
    /// Newest first.
    secrets: Vec<KeptSecret>,
    pub(super) created_at: i64,
    pub(super) pause: Option<Pause>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptSecret {
    text: Box<str>,
    /// It signs until this time; `None`: it is the one that counts.
    until: Option<i64>,
}

/// Why no deliveries are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// For people.
    pub reason: Box<str>,
    /// Since when.
    #[serde(with = "micros")]
    pub since: Timestamp,
    /// Whether the server decided it.
    pub is_automatic: bool,
}

/// A place in the journal, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPlace {
    position: i64,
    index: u32,
}

impl From<EventPlace> for KeptPlace {
    fn from(place: EventPlace) -> Self {
        Self {
            position: place.position.0,
            index: place.index,
        }
    }
}

impl From<KeptPlace> for EventPlace {
    fn from(place: KeptPlace) -> Self {
        Self {
            position: Position(place.position),
            index: place.index,
        }
    }
}

/// A part of the journal that is delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Everything up to here is delivered again.
    pub at: KeptPlace,
    /// Where it ends.
    pub until: KeptPlace,
}

/// Deliveries do not go through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failing {
    #[serde(with = "micros")]
    pub(super) since: Timestamp,
    pub(super) error: Box<str>,
}

/// How far a receiver is, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Everything up to here is delivered, or not wanted.
    pub(super) at: KeptPlace,
    pub(super) replay: Option<Replay>,
    pub(super) failing: Option<Failing>,
    pub(super) delivered: u64,
}

impl Progress {
    pub(super) fn at(place: EventPlace) -> Self {
        Self {
            at: place.into(),
            replay: None,
            failing: None,
            delivered: 0,
        }
    }
}

mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::Timestamp;

    pub fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(time.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp)
    }
}

/// The JSON text of what is kept.
pub(super) fn text(value: &impl Serialize) -> Box<str> {
    // Texts, numbers and truth values always have a JSON form.
    serde_json::to_string(value).unwrap_or_default().into()
}

impl Settings {
    pub(super) fn new(new: NewWebhook, secret: &Secret, now: Timestamp) -> Self {
        let NewWebhook {
            url,
            description,
            filter,
        } = new;
        Self {
            url,
            description,
            types: filter.types,
            order_id: filter.order_id.map(|id| id.as_str().into()),
            customer_id: filter.customer_id,
            process: filter.process,
            secrets: vec![KeptSecret {
                text: secret.text().into(),
                until: None,
            }],
            created_at: now.0,
            pause: None,
        }
    }

    /// Another secret; the one that counted signs on for a while.
    pub(super) fn rotate(&mut self, secret: &Secret, now: Timestamp, overlap: Duration) {
        let overlap = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
        let until = now.plus(overlap).0;
        for old in &mut self.secrets {
            old.until = Some(old.until.map_or(until, |its| its.min(until)));
        }
        self.secrets.retain(|old| old.until > Some(now.0));
        let text = secret.text().into();
        self.secrets.insert(0, KeptSecret { text, until: None });
        self.secrets.truncate(SECRETS_MAX);
    }

    /// What signs now.
    pub(super) fn secrets(&self, now: Timestamp) -> Vec<Secret> {
        let counts = |kept: &&KeptSecret| kept.until.is_none_or(|until| until > now.0);
        let texts = self.secrets.iter().filter(counts);
        texts
            .filter_map(|kept| Secret::parse(&kept.text).ok())
            .collect()
    }

    pub(super) fn target(&self) -> Option<Target> {
        Target::parse(&self.url).ok()
    }

    pub(super) fn filter(&self) -> Filter {
        Filter {
            types: self.types.clone(),
            order_id: self
                .order_id
                .as_deref()
                .and_then(|id| OrderId::parse(id).ok()),
            customer_id: self.customer_id.clone(),
            process: self.process.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_secret_that_was_rotated_away_signs_for_a_while() {
        let mut random = StdRng::seed_from_u64(1);
        let [first, second, third] = std::array::from_fn(|_| Secret::random(&mut random));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let mut settings = Settings::new(NewWebhook::default(), &first, at(0));
        settings.rotate(&second, at(10), Duration::from_secs(60));
        let both = [second.clone(), first.clone()];
        assert_eq!(settings.secrets(at(69)), both);
        assert_eq!(settings.secrets(at(70)), std::slice::from_ref(&second));
        settings.rotate(&third, at(20), Duration::ZERO);
        assert_eq!(settings.secrets(at(20)), [third]);
    }
}
