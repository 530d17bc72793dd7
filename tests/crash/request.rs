//! What the clients ask for: orders that can be told from their number, in requests that can be
//! sent again byte for byte.
//!
//! Everything follows from the number, so a journal of numbers says all.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// How orders come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// One order.
    Single,
    /// Many orders.
    Batch,
    /// Many orders that another service has finished.
    Import,
}

/// What keeps a request from making its orders twice when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Each order chose its id.
    Id,
    /// The request has an idempotency key.
    Key,
    /// Each order has an idempotency key.
    ItemKeys,
    /// Nothing: it must never be sent again.
    Bare,
}

/// Some orders with numbers in a row, asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub first: u64,
    pub count: u64,
    pub route: Route,
    pub guard: Guard,
}

impl Request {
    /// How many orders the next request has, and what it is like.
    pub fn draw(random: &mut StdRng) -> Self {
        let (route, count) = match random.random_range(0..100) {
            0..60 => (Route::Single, 1),
            60..94 => (Route::Batch, random.random_range(2..60)),
            _ => (Route::Import, random.random_range(1..12)),
        };
        let guard = match random.random_range(0..100) {
            0..35 => Guard::Id,
            35..70 => Guard::Key,
            70..85 if route != Route::Single => Guard::ItemKeys,
            70..85 => Guard::Key,
            _ => Guard::Bare,
        };
        Self {
            first: 0,
            count,
            route,
            guard,
        }
    }

    pub fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        self.first..self.first + self.count
    }

    pub fn path(&self) -> &'static str {
        match self.route {
            Route::Single => "/v1/orders",
            Route::Batch => "/v1/orders/batch",
            Route::Import => "/v1/orders/import",
        }
    }

    pub fn headers(&self) -> String {
        match self.guard {
            Guard::Key => format!("idempotency-key: {}\r\n", self.key()),
            _ => String::new(),
        }
    }

    /// The idempotency key of the whole.
    fn key(&self) -> String {
        format!("key-{}", self.first)
    }

    /// The key under which the answer for one of its orders is kept, if there is one.
    pub fn kept_key(&self, number: u64) -> Option<String> {
        match (self.guard, self.route) {
            (Guard::Key, Route::Single) => Some(self.key()),
            (Guard::Key, _) => Some(format!("{}#{}", number - self.first, self.key())),
            (Guard::ItemKeys, _) => Some(format!("item-{number}")),
            (Guard::Id | Guard::Bare, _) => None,
        }
    }

    pub fn body(&self) -> String {
        let mut orders: Vec<Value> = self.numbers().map(|number| self.order(number)).collect();
        if self.route == Route::Single {
            orders.remove(0).to_string()
        } else {
            Value::Array(orders).to_string()
        }
    }

    /// The id that an order chose.
    pub fn id(&self, number: u64) -> Option<String> {
        (self.guard == Guard::Id).then(|| format!("crash-{number}"))
    }

    /// The priority that an order asks for.
    pub fn priority(number: u64) -> u64 {
        number % 3 + 1
    }

    fn order(&self, number: u64) -> Value {
        let mut order = json!({
            "customer_id": number.to_string(),
            "items": [format!("article-{number}")],
            "total": {"amount": number, "currency": "EUR"},
            "priority": Self::priority(number),
            "notes": format!("number {number}"),
        });
        if let Some(id) = self.id(number) {
            order["order_id"] = id.into();
        }
        if self.guard == Guard::ItemKeys {
            order["idempotency_key"] = format!("item-{number}").into();
        }
        if self.route == Route::Import {
            order["status"] = "completed".into();
            for time in ["created_at", "started_at", "ended_at"] {
                order[time] = "2025-02-25T12:00:00Z".into();
            }
        } else if number.is_multiple_of(19) {
            order["process"] = "fragile".into();
        } else if number % 47 % 6 == 5 {
            order["process"] = "handed".into();
        } else if number.is_multiple_of(47) {
            order["start_at"] = "2099-01-01T00:00:00Z".into();
        }
        order
    }

    /// Whether a stored order is this one, whatever its priority is by now.
    pub fn is_same(&self, order: &Value, number: u64) -> bool {
        let sent = self.order(number);
        let fields = ["customer_id", "items", "total", "notes"];
        fields.into_iter().all(|field| order[field] == sent[field])
            && (sent["order_id"].is_null() || order["order_id"] == sent["order_id"])
            && (sent["process"].is_null() || order["process"] == sent["process"])
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            count,
            route,
            guard,
        } = self;
        write!(f, "{first} {count} {route:?} {guard:?}")
    }
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no request: {text}");
        let words: Vec<&str> = text.split(' ').collect();
        let [first, count, route, guard] = words[..] else {
            return Err(wrong());
        };
        let routes = [Route::Single, Route::Batch, Route::Import];
        let guards = [Guard::Id, Guard::Key, Guard::ItemKeys, Guard::Bare];
        let route = routes.into_iter().find(|it| format!("{it:?}") == route);
        let guard = guards.into_iter().find(|it| format!("{it:?}") == guard);
        Ok(Self {
            first: first.parse().map_err(|_| wrong())?,
            count: count.parse().map_err(|_| wrong())?,
            route: route.ok_or_else(wrong)?,
            guard: guard.ok_or_else(wrong)?,
        })
    }
}
