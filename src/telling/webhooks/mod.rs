//! Webhooks: receivers that are told what happens by a POST to their address, signed.
//!
//! Each has a courier of its own: one that is slow or away holds up nobody else. How far it is
//! stands in the store, so that it gets everything, in the order of each order, whenever it is
//! there. At least once: after a crash the last deliveries are made again under the same ids.

mod courier;
mod endpoint;
mod error;
mod health;
mod kept;
mod message;
mod round;
#[cfg(test)]
mod tests;
mod under;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use endpoint::Endpoint;
pub use endpoint::{NewWebhook, WebhookStatus, WebhookView};
pub use error::WebhookError;
pub use kept::{Pause, Replay};
use kept::{Progress, Settings};
pub use message::Report;
pub use under::{Answering, Changed, Under};

use super::feed::Feed;
use crate::clock::{Clock, Timestamp};
use crate::outbound::{Client, Secret, Target};
use crate::store::{EventPlace, Ledger, Store, StoreError};

/// Most receivers.
pub const WEBHOOKS_MAX: usize = 100;
/// How long couriers may take to note how far they are at the end.
const FINISH: Duration = Duration::from_secs(2);

/// How deliveries are made.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// The wait after a first failure; it doubles with each further one.
    pub retry_base: Duration,
    /// The longest wait.
    pub retry_cap: Duration,
    /// A receiver that is not got through to for so long is paused.
    pub give_up_after: Duration,
}

impl Default for WebhookSettings {
    /// 15 s for an answer, waits from 1 s to 10 min, paused after 5 days.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            retry_base: Duration::from_secs(1),
            retry_cap: Duration::from_secs(600),
            give_up_after: Duration::from_secs(5 * 86_400),
        }
    }
}

/// What webhooks are made of.
pub struct WebhookParts {
    /// What happens.
    pub feed: Arc<Feed>,
    /// Where receivers are kept.
    pub store: Arc<dyn Store>,
    /// Calls them.
    pub client: Client,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub random: StdRng,
    /// How deliveries are made.
    pub settings: WebhookSettings,
}

/// All receivers, and their couriers.
pub struct Webhooks {
    desk: Arc<Desk>,
    endpoints: Mutex<BTreeMap<Box<str>, Arc<Endpoint>>>,
    /// Held by who makes or forgets one, so that they are counted one after the other.
    making: tokio::sync::Mutex<()>,
    couriers: Mutex<JoinSet<()>>,
}

/// What couriers share.
pub(super) struct Desk {
    pub(super) feed: Arc<Feed>,
    pub(super) store: Arc<dyn Store>,
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Mutex<StdRng>,
    pub(super) settings: WebhookSettings,
}

impl Desk {
    pub(super) fn ledger(&self) -> Result<&dyn Ledger, StoreError> {
        self.store.ledger().ok_or_else(|| StoreError::Refused {
            detail: "this store keeps no webhooks".into(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked with it left a whole value: it is only ever replaced.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Webhooks {
    /// Of these parts; none so far.
    pub fn new(parts: WebhookParts) -> Arc<Self> {
        let desk = Arc::new(Desk {
            feed: parts.feed,
            store: parts.store,
            client: parts.client,
            clock: parts.clock,
            random: Mutex::new(parts.random),
            settings: parts.settings,
        });
        Arc::new(Self {
            desk,
            endpoints: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            couriers: Mutex::default(),
        })
    }

    /// Takes back all receivers that are kept; their couriers set out.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn load(&self) -> Result<(), StoreError> {
        let kept = match self.desk.store.ledger() {
            Some(ledger) => ledger.webhooks().await?,
            None => Vec::new(),
        };
        for kept in kept {
            if self.find(&kept.id).is_ok() {
                continue;
            }
            match Endpoint::read(&kept) {
                Ok(endpoint) => self.send_out(Arc::new(endpoint)),
                Err(error) => {
                    tracing::error!(webhook = %kept.id, %error, "a webhook is damaged; it rests");
                }
            }
        }
        Ok(())
    }

    fn send_out(&self, endpoint: Arc<Endpoint>) {
        let mut couriers = lock(&self.couriers);
        while couriers.try_join_next().is_some() {}
        couriers.spawn(courier::run(Arc::clone(&self.desk), Arc::clone(&endpoint)));
        lock(&self.endpoints).insert(endpoint.id.clone(), endpoint);
    }

    fn find(&self, id: &str) -> Result<Arc<Endpoint>, WebhookError> {
        let endpoints = lock(&self.endpoints);
        endpoints.get(id).cloned().ok_or(WebhookError::NotFound)
    }

    fn now(&self) -> Timestamp {
        self.desk.clock.now()
    }

    /// A new receiver, which is told what happens behind `after`, or from now on.
    ///
    /// # Errors
    ///
    /// There are too many, it cannot be kept, or the key is taken.
    pub async fn create(
        &self,
        new: NewWebhook,
        after: Option<EventPlace>,
        under: Option<Under>,
    ) -> Result<Changed, WebhookError> {
        let _turn = self.making.lock().await;
        if lock(&self.endpoints).len() >= WEBHOOKS_MAX {
            return Err(WebhookError::TooMany);
        }
        let (secret, id) = {
            let mut random = lock(&self.desk.random);
            let id = format!("wh_{:016x}", random.next_u64());
            (Secret::random(&mut *random), id.into_boxed_str())
        };
        let at = after.unwrap_or_else(|| self.desk.feed.latest());
        let settings = Settings::new(new, &secret, self.now());
        let endpoint = Arc::new(Endpoint::new(id, settings, Progress::at(at)));
        let changed = Changed {
            view: endpoint.view(),
            secret: Some(secret),
        };
        let kept = under::keep(self.desk.ledger()?, endpoint.kept(), &changed, under).await;
        if let Err(WebhookError::KeyTaken) = kept {
            // It may have been made although nobody knew whether it was.
            self.load().await?;
        }
        kept?;
        self.send_out(endpoint);
        Ok(changed)
    }

    /// All receivers, by id.
    pub fn list(&self) -> Vec<WebhookView> {
        let endpoints = lock(&self.endpoints);
        endpoints.values().map(|endpoint| endpoint.view()).collect()
    }

    /// One receiver.
    ///
    /// # Errors
    ///
    /// There is none with this id.
    pub fn get(&self, id: &str) -> Result<WebhookView, WebhookError> {
        self.find(id).map(|endpoint| endpoint.view())
    }

    /// Stops deliveries; what happens meanwhile is delivered when they are resumed.
    ///
    /// # Errors
    ///
    /// There is no such receiver, or it cannot be kept.
    pub async fn pause(
        &self,
        id: &str,
        reason: &str,
        under: Option<Under>,
    ) -> Result<Changed, WebhookError> {
        let pause = Pause {
            reason: reason.into(),
            since: self.now(),
            is_automatic: false,
        };
        self.change(id, under, |settings, _| {
            settings.pause = Some(pause.clone());
            None
        })
        .await
    }

    /// Lets deliveries go on, at once, from where they stopped.
    ///
    /// # Errors
    ///
    /// There is no such receiver, or it cannot be kept.
    pub async fn resume(&self, id: &str, under: Option<Under>) -> Result<Changed, WebhookError> {
        self.change(id, under, |settings, progress| {
            settings.pause = None;
            progress.failing = None;
            None
        })
        .await
    }

    /// A new secret; the one before signs too for `overlap`.
    ///
    /// # Errors
    ///
    /// There is no such receiver, or it cannot be kept.
    pub async fn rotate(
        &self,
        id: &str,
        overlap: Duration,
        under: Option<Under>,
    ) -> Result<Changed, WebhookError> {
        let secret = Secret::random(&mut *lock(&self.desk.random));
        let now = self.now();
        self.change(id, under, |settings, _| {
            settings.rotate(&secret, now, overlap);
            Some(secret.clone())
        })
        .await
    }

    /// Has what happened behind `after`, up to `until`, delivered again, under the same ids. Takes
    /// the place of a replay that is under way; with nothing between the two places it ends it.
    ///
    /// # Errors
    ///
    /// There is no such receiver, or it cannot be kept.
    pub async fn replay(
        &self,
        id: &str,
        (after, until): (EventPlace, Option<EventPlace>),
        under: Option<Under>,
    ) -> Result<Changed, WebhookError> {
        let latest = self.desk.feed.latest();
        let until = until.map_or(latest, |until| until.min(latest));
        let replay = (after < until).then(|| Replay {
            at: after.into(),
            until: until.into(),
        });
        self.change(id, under, |_, progress| {
            progress.replay = replay;
            None
        })
        .await
    }

    /// Forgets a receiver; what is on its way may still arrive.
    ///
    /// # Errors
    ///
    /// There is no such receiver, or the store refused.
    pub async fn delete(&self, id: &str) -> Result<(), WebhookError> {
        // Who looks what is kept meanwhile would take it for new.
        let _making = self.making.lock().await;
        let endpoint = self.find(id)?;
        let _turn = endpoint.turn().await?;
        self.desk.ledger()?.forget_webhook(id.into()).await?;
        lock(&self.endpoints).remove(id);
        endpoint.end();
        Ok(())
    }

    /// Sends a message of type `webhook.test` at once, and tells what came of it.
    ///
    /// # Errors
    ///
    /// There is no such receiver.
    pub async fn test(&self, id: &str) -> Result<Report, WebhookError> {
        let endpoint = self.find(id)?;
        Ok(message::test(&self.desk, &endpoint).await)
    }

    /// Reports about a receiver with numbers below `before`, newest first, at most `limit`; each a
    /// JSON object.
    ///
    /// # Errors
    ///
    /// There is no such receiver, or the store cannot be read.
    pub async fn deliveries(
        &self,
        id: &str,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, Box<str>)>, WebhookError> {
        self.find(id)?;
        let before = before.unwrap_or(i64::MAX);
        let kept = self.desk.ledger()?.deliveries(id.into(), before, limit);
        let kept = kept.await?.into_iter();
        Ok(kept.map(|kept| (kept.number, kept.report)).collect())
    }

    /// Waits, for a moment, until couriers have noted how far they are. The feed must be closed.
    pub async fn finish(&self) {
        let mut couriers = std::mem::take(&mut *lock(&self.couriers));
        let all = async { while couriers.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH, all).await.is_err() {
            tracing::warn!("some deliveries will be made again after the next start");
        }
    }

    /// Changes a receiver: in the store first, and then as it is by that time, because its courier
    /// goes on meanwhile. What may be stored is made as well: it must not come at the next start.
    async fn change(
        &self,
        id: &str,
        under: Option<Under>,
        change: impl Fn(&mut Settings, &mut Progress) -> Option<Secret>,
    ) -> Result<Changed, WebhookError> {
        let endpoint = self.find(id)?;
        let _turn = endpoint.turn().await?;
        let mut secret = None;
        let after = endpoint.with(|settings, progress| secret = change(settings, progress));
        let view = after.view();
        let changed = Changed { view, secret };
        let kept = under::keep(self.desk.ledger()?, after.kept(), &changed, under).await;
        if !matches!(&kept, Err(error) if error.is_definite()) {
            endpoint.edit(|settings, progress| drop(change(settings, progress)));
        }
        kept.map(|()| changed)
    }
}

/// Whether a URL can be that of a receiver.
pub fn is_receiver(url: &str) -> Result<(), crate::outbound::BadTarget> {
    Target::parse(url).map(|_| ())
}
