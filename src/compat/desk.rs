//! The desk of one dialect: takes its orders in, looks them up, and refuses what no dialect takes.
//!
//! The only way from a dialect to the engine and the store, so that every order comes through the
//! same checks and none of another process is ever shown. Knows no wire format.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request};
use axum::http::{HeaderMap, request};
use axum::response::Response;
use serde::Deserialize;

use super::Parts;
use super::counters::Counters;
use super::refusal::{Code, FieldNames, Refusal};
use crate::config::DialectSettings;
use crate::engine::Silence;
use crate::order::{
    Dialect, Draft, DraftRules, KeptAnswer, NewKey, NewOrder, Order, OrderId, Process, RequestKey,
};
use crate::server::idempotency::{self, Refused};
use crate::server::{ORDER_BYTES_MAX, Route};

/// Where the orders of one dialect are taken in and looked up.
pub struct Desk {
    /// What it works with.
    pub parts: Parts,
    /// What the dialect is told.
    pub settings: DialectSettings,
    /// All dialects behind the same door, itself included.
    pub neighbours: Arc<[Dialect]>,
}

impl Desk {
    /// An order of this dialect to fill in: its process, its currency, the rules of old formats.
    pub fn draft<'a>(&self) -> Draft<'a> {
        Draft {
            process: Some(self.process_name().into()),
            currency: self.settings.currency.code().into(),
            rules: DraftRules::Dialect,
            ..Draft::default()
        }
    }

    /// Checks a draft against the limits that all orders have.
    ///
    /// # Errors
    ///
    /// The first fault, under the dialect's own name for the field.
    pub fn check(&self, draft: &Draft<'_>, names: &FieldNames) -> Result<Box<NewOrder>, Refusal> {
        let checked = NewOrder::check(draft, &self.parts.processes);
        checked
            .map(Box::new)
            .map_err(|faults| Refusal::of_faults(&faults, names))
    }

    /// A create from its beginning to its end: reads the request, has its order accepted, and
    /// answers. The same request under the same idempotency key gets the first answer again. When
    /// this is no error, the order is on disk.
    ///
    /// `read` makes an order of the body, and says how to answer once it is accepted; the answer is
    /// kept with the order if there is a key.
    ///
    /// # Errors
    ///
    /// Those of `read` and of [`Self::check`]; `body-too-large`, `request-timeout`; `order-exists`,
    /// those of the key, and what is answered with 503. Nothing is stored then, except perhaps with
    /// `outcome-unknown`.
    pub async fn create<A>(
        &self,
        request: Request,
        read: impl FnOnce(&[u8]) -> Result<(Box<NewOrder>, A), Refusal>,
    ) -> Result<Response, Refusal>
    where
        A: Fn(&Order) -> KeptAnswer + Clone + Send + 'static,
    {
        let (head, body) = request.into_parts();
        let (order, answer, key, room) = {
            let body = self.parts.bodies.read(body, ORDER_BYTES_MAX).await?;
            let key = self.key(&head.headers, &body.bytes);
            match read(&body.bytes) {
                Ok((order, answer)) => (order, answer, key?, body.room),
                Err(refusal) => {
                    drop(body);
                    // It may have been accepted before, by a server with other settings.
                    let key = key.unwrap_or_default();
                    let first = self.first_answer(key.as_ref(), refusal).await?;
                    return Ok(idempotency::replayed(first));
                }
            }
        };
        let kept = key.clone().map(|key| {
            let answer = Box::new(answer.clone());
            Box::new(NewKey { key, answer })
        });
        let mut response = match self.parts.engine.submit_under(kept, order, false).await {
            Ok(accepted) => idempotency::sent(answer(&accepted.order)),
            Err(error) => {
                let first = self.first_answer(key.as_ref(), error.into()).await?;
                idempotency::replayed(first)
            }
        };
        // The answer is no larger than what was sent, or not by much.
        room.keep(&mut response);
        Ok(response)
    }

    /// Under which idempotency key a request came, if it has one. Each dialect has keys of its own.
    fn key(&self, headers: &HeaderMap, sent: &[u8]) -> Result<Option<RequestKey>, Refusal> {
        let scope = Route::Compat(self.settings.dialect).name();
        idempotency::request_key(headers, scope, sent)
            .map_err(|_| Refusal::new(Code::BadIdempotencyKey, "Idempotency-Key"))
    }

    /// What was answered to a request that is not accepted now, if it is a repetition.
    async fn first_answer(
        &self,
        key: Option<&RequestKey>,
        refusal: Refusal,
    ) -> Result<KeptAnswer, Refusal> {
        let (store, expired_before) = (&*self.parts.store, self.parts.engine.keys_expired_before());
        idempotency::first_answer_or(store, key, expired_before, refusal).await
    }

    /// An order of this dialect.
    ///
    /// # Errors
    ///
    /// `order-not-found`, also for an order of another process; `store-unavailable`.
    pub async fn order(&self, id: &str) -> Result<Order, Refusal> {
        let not_found = || Refusal::new(Code::OrderNotFound, "no order here has this id");
        let id = OrderId::parse(id).map_err(|_| not_found())?;
        let order = self.parts.store.order(&id).await?;
        let is_own = |order: &Order| *order.process == *self.process_name();
        order.filter(is_own).ok_or_else(not_found)
    }

    /// The process that new orders of this dialect run. `None` if the server has none of its name.
    pub fn process(&self) -> Option<&Process> {
        let processes = &self.parts.processes;
        let index = processes.find(self.process_name())?;
        Some(processes.at(index))
    }

    /// The dialect's counters.
    ///
    /// # Errors
    ///
    /// `draining`: the engine has ended; `store-unavailable`: it waits for the store.
    pub async fn counters(&self) -> Result<Counters, Refusal> {
        let engine = &self.parts.engine;
        let tally = engine.process_tally_soon(self.process_name()).await;
        tally.map(Counters).map_err(|silence| match silence {
            Silence::Ended => Refusal::new(Code::Draining, "the server is shutting down"),
            Silence::HeldUp => Refusal::new(Code::StoreUnavailable, "the engine does not answer"),
        })
    }

    /// Whether a new order would be taken now: nothing is draining, and there is room.
    pub async fn is_open(&self) -> bool {
        let engine = &self.parts.engine;
        let (Ok(stats), true) = (engine.stats_soon().await, engine.is_accepting()) else {
            return false;
        };
        let mut tallies = stats.processes.iter();
        let own = tallies.find(|tally| *tally.process == *self.process_name());
        let own_open = own.map_or(0, |own| own.tally.open());
        let own_max = self.process().map_or(0, |process| process.open_orders_max);
        let is_below = |open: i64, max: u64| u64::try_from(open).is_ok_and(|open| open < max);
        is_below(stats.tally.open(), stats.open_orders_max)
            && (own_max == 0 || is_below(own_open, own_max))
    }

    fn process_name(&self) -> &'static str {
        self.settings.dialect.name()
    }
}

/// What was ordered with it: the part of an order that is kept as it was sent.
///
/// # Errors
///
/// `internal`: it does not have the form that all orders have.
pub fn payload<'a, T: Deserialize<'a>>(order: &'a Order) -> Result<T, Refusal> {
    serde_json::from_str(&order.payload).map_err(|error| {
        tracing::error!(order_id = %order.id, %error, "a stored payload breaks a rule");
        Refusal::new(Code::Internal, "a stored row breaks a rule")
    })
}

/// The order id in a path. One that is not even text is nobody's.
pub struct IdInPath(pub String);

impl FromRequestParts<Arc<Desk>> for IdInPath {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut request::Parts,
        desk: &Arc<Desk>,
    ) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, desk).await;
        path.map(|Path(id)| Self(id))
            .map_err(|_| Refusal::new(Code::OrderNotFound, "no order has this id"))
    }
}

impl Refused for Refusal {
    fn is_id_taken(&self) -> bool {
        self.code == Code::OrderExists
    }

    fn is_key_in_use(&self) -> bool {
        self.code == Code::IdempotencyKeyInUse
    }

    fn key_reused() -> Self {
        let at = "another request was accepted under this key";
        Self::new(Code::IdempotencyKeyReused, at)
    }

    fn outcome_unknown() -> Self {
        let at = "the answer under this key cannot be read now";
        Self::new(Code::OutcomeUnknown, at)
    }
}
