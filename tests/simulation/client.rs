//! The other side of the engine: clients that send orders, remember what they were told, and ask
//! again when they were told nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use orderd::clock::Timestamp;
use orderd::engine::{Handle, SubmitError};
use orderd::order::{
    Currency, KeptAnswer, Money, NewHold, NewKey, NewOrder, Order, OrderId, OrderState, Past,
    PastEnd, Priority, ProcessIndex, RequestKey, Spelling, WantedId,
};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::oneshot;

/// What a client knows of an order that it sent.
#[derive(Debug)]
pub enum Fate {
    InFlight,
    /// Told that it is accepted.
    Accepted(Box<Order>),
    /// Told that it is not, and why.
    Refused(SubmitError),
    /// Told that nobody knows, or told nothing.
    Unknown,
}

/// One order sent once. Sending it again is another attempt, with the same id.
pub struct Attempt {
    pub order: NewOrder,
    pub fate: Fate,
    /// The attempt that this one repeats.
    pub repeats: Option<usize>,
    pub end: Option<oneshot::Receiver<OrderState>>,
}

/// The answer to one attempt, as it comes out of an engine.
pub struct Told {
    pub attempt: usize,
    pub answer: Result<Box<Order>, SubmitError>,
    pub end: Option<oneshot::Receiver<OrderState>>,
}

/// A request that an engine has not answered yet.
pub struct Request {
    pub attempts: Vec<usize>,
    future: Pin<Box<dyn Future<Output = Vec<Told>>>>,
    /// What was answered when the request was handed in.
    at_once: Option<Vec<Told>>,
}

impl Request {
    /// Sends one order.
    pub fn single(handle: Handle, attempt: usize, order: NewOrder, is_watched: bool) -> Self {
        let key = key(&order).map(Box::new);
        let future = async move {
            let (answer, end) = match handle.submit_under(key, Box::new(order), is_watched).await {
                Ok(accepted) => (Ok(accepted.order), accepted.end),
                Err(error) => (Err(error), None),
            };
            vec![Told {
                attempt,
                answer,
                end,
            }]
        };
        Self {
            attempts: vec![attempt],
            future: Box::pin(future),
            at_once: None,
        }
    }

    /// Sends many orders at once.
    pub fn batch(handle: Handle, first: usize, orders: Vec<NewOrder>) -> Self {
        let attempts: Vec<_> = (first..first + orders.len()).collect();
        let asked = attempts.clone();
        let keys = orders.iter().enumerate();
        let keys: Vec<_> = keys
            .filter_map(|(at, order)| Some((at, key(order)?)))
            .collect();
        let future = async move {
            let answers = match handle.submit_batch(orders, keys).await {
                Ok(answers) => answers,
                Err(error) => asked.iter().map(|_| Err(error.clone())).collect(),
            };
            assert_eq!(answers.len(), asked.len(), "an item was not answered");
            let told = asked
                .into_iter()
                .zip(answers)
                .map(|(attempt, answer)| Told {
                    attempt,
                    answer,
                    end: None,
                });
            told.collect()
        };
        Self {
            attempts,
            future: Box::pin(future),
            at_once: None,
        }
    }

    /// Gives the request to the engine. Only a refusal is there at once; whether it is one.
    pub fn hand_in(&mut self) -> bool {
        self.at_once = self.poll();
        let told = self.at_once.iter().flatten();
        let mut refusals = told.map(|told| &told.answer);
        let is_refusal = |it| matches!(it, &Err(SubmitError::Overloaded { .. }));
        assert!(
            refusals.all(is_refusal),
            "answered before anything was done"
        );
        self.at_once.is_some()
    }

    /// The answer, if it is there.
    pub fn poll(&mut self) -> Option<Vec<Told>> {
        if self.at_once.is_some() {
            return self.at_once.take();
        }
        let mut context = Context::from_waker(Waker::noop());
        match self.future.as_mut().poll(&mut context) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }
}

/// A random order that nobody sent before: `number` makes it unique.
pub fn order(random: &mut StdRng, number: usize, now: Timestamp, processes: u16) -> NewOrder {
    let id = match random.random_range(0..10) {
        0..3 => WantedId::Made([Spelling::Uuid, Spelling::Hex, Spelling::Ord][number % 3]),
        // From a few, so that some collide.
        3..6 => chosen(format!("id-{}", random.random_range(0..12))),
        _ => chosen(format!("own-{number}")),
    };
    let mut soon = |chance| {
        let is_given = random.random_ratio(chance, 10);
        is_given.then(|| now.plus(random.random_range(-5_000_000..40_000_000)))
    };
    let (start_at, expires_at) = (soon(2), soon(2));
    let past = past(random, now);
    let total = Money::new(number as i64, Currency::from_code("EUR").unwrap()).unwrap();
    let has_key = id.chosen().is_none() || number.is_multiple_of(3);
    NewOrder {
        id,
        idempotency_key: has_key.then(|| format!("key-{number}").into()),
        customer_id: format!("attempt-{number}").into(),
        total,
        item_count: random.random_range(0..5),
        priority: Priority::ALL[random.random_range(0..3)],
        process: ProcessIndex(random.random_range(0..processes)),
        payload: format!(r#"{{"items":["article-{number}"]}}"#).into(),
        start_at,
        expires_at: expires_at.map(|at| at.max(start_at.map_or(at, |start| start.plus(1)))),
        past: past.clone().map(Box::new),
        hold: (past.is_none() && random.random_ratio(1, 8)).then(|| {
            Box::new(NewHold {
                reason: "new".into(),
                by: None,
                until: (!number.is_multiple_of(3)).then(|| now.plus(5_000_000)),
            })
        }),
    }
}

/// What happened to an order elsewhere, if it was finished there.
fn past(random: &mut StdRng, now: Timestamp) -> Option<Past> {
    if random.random_ratio(9, 10) {
        return None;
    }
    let ended_at = now.plus(-random.random_range(0..5_000_000));
    let started_at = ended_at.plus(-random.random_range(0..5_000_000));
    let end = [PastEnd::Completed, PastEnd::Cancelled][random.random_range(0..2)];
    let is_begun = end == PastEnd::Completed || random.random();
    Some(Past {
        end,
        created_at: started_at.plus(-random.random_range(0..5_000_000)),
        started_at: is_begun.then_some(started_at),
        ended_at,
        reason: None,
    })
}

/// The key of an order that has one. What is kept under it tells the order's id.
fn key(order: &NewOrder) -> Option<NewKey> {
    let key = order.idempotency_key.as_deref()?;
    let answer = |order: &Order| KeptAnswer {
        status: 201,
        content_type: "text/plain".into(),
        location: None,
        etag: None,
        body: order.id.as_str().as_bytes().into(),
    };
    Some(NewKey {
        key: RequestKey::new("orders", key.as_bytes(), [0; 32]).unwrap(),
        answer: Box::new(answer),
    })
}

fn chosen(text: String) -> WantedId {
    WantedId::Chosen(OrderId::parse(&text).unwrap())
}

/// The same order once more, marked as another attempt.
pub fn again(order: &NewOrder, number: usize) -> NewOrder {
    NewOrder {
        customer_id: format!("attempt-{number}").into(),
        ..order.clone()
    }
}

/// Which attempt an order on disk comes from.
pub fn attempt_of(order: &Order) -> Option<usize> {
    order.customer_id.strip_prefix("attempt-")?.parse().ok()
}

/// An order on its way.
pub struct Sent {
    pub order: NewOrder,
    pub repeats: Option<usize>,
}
