//! The desk of one dialect: takes its orders in, looks them up, and refuses what no dialect takes.
//!
//! The only way from a dialect to the engine and the store, so that every order comes through the
//! same checks and none of another process is ever shown. Knows no wire format.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request;
use serde::Deserialize;

use super::Parts;
use super::counters::Counters;
use super::refusal::{Code, FieldNames, Refusal};
use crate::config::DialectSettings;
use crate::order::{Dialect, Draft, DraftRules, NewOrder, Order, OrderId, Process};
use crate::server::{BodyError, ORDER_BYTES_MAX, WholeBody};

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
    /// Reads the body of a request with one order.
    ///
    /// # Errors
    ///
    /// `body-too-large`, `overloaded`, `request-timeout`; `malformed-json` if it breaks off.
    pub async fn read(&self, body: Body) -> Result<WholeBody, Refusal> {
        let read = self.parts.bodies.read(body, ORDER_BYTES_MAX).await;
        read.map_err(|error| match error {
            BodyError::TooLarge { .. } => {
                Refusal::new(Code::BodyTooLarge, "a body here may have 1 MiB")
            }
            BodyError::NoRoom => {
                Refusal::new(Code::Overloaded, "too many large bodies are being read")
            }
            BodyError::Broken => {
                Refusal::new(Code::MalformedJson, "the body broke off before its end")
            }
            BodyError::TooSlow { .. } => {
                Refusal::new(Code::RequestTimeout, "the body did not arrive in time")
            }
        })
    }

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

    /// Has an order accepted. When it returns one, the order is on disk.
    ///
    /// # Errors
    ///
    /// `order-exists`, and what is answered with 503. Nothing is stored then, except perhaps with
    /// `outcome-unknown`.
    pub async fn accept(&self, order: Box<NewOrder>) -> Result<Box<Order>, Refusal> {
        Ok(self.parts.engine.submit(order, false).await?.order)
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
    /// `draining`: the engine has ended.
    pub async fn counters(&self) -> Result<Counters, Refusal> {
        let tally = self.parts.engine.process_tally(self.process_name()).await;
        let ended = || Refusal::new(Code::Draining, "the server is shutting down");
        tally.map(Counters).ok_or_else(ended)
    }

    /// Whether a new order would be taken now: nothing is draining, and there is room.
    pub async fn is_open(&self) -> bool {
        let engine = &self.parts.engine;
        let (Some(stats), true) = (engine.stats().await, engine.is_accepting()) else {
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
