//! What the load tools of five older order services send, as data: which bodies, how many, how
//! fast, over what connections, and what such a tool prints.
//!
//! One file for each service. Nothing here sends or measures: `load` does.

mod api_v1;
mod order_service;
mod orders_api;
mod realtime;
mod two_queue;

use std::borrow::Cow;
use std::time::Duration;

use super::load::mix;
use crate::order::Dialect;

/// What a load tool does: stages, one after the other.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it sends, in half a sentence.
    pub about: &'static str,
    /// Whose requests it sends.
    pub door: Door,
    /// At least one.
    pub stages: Cow<'static, [Stage]>,
    /// Time between the last answer of a stage and the first request of the next.
    pub pause: Duration,
    /// What is printed besides the report.
    pub told: Told,
}

/// Where a dialect takes orders, and how it acknowledges them.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// The dialect.
    pub dialect: Dialect,
    /// The path of the POST.
    pub path: &'static str,
    /// The status that means: taken.
    pub status: u16,
    /// Where the id of the order is.
    pub receipt: Receipt,
}

/// Where the id of an accepted order is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Behind these words in a line of text.
    Line(&'static str),
    /// In this member of a JSON object.
    Member(&'static str),
    /// Nowhere: it is the id that was sent.
    Sent,
}

/// Orders of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What it is called.
    pub name: &'static str,
    /// How many.
    pub orders: u32,
    /// How many a second, at fixed times; `None`: each connection as soon as it is answered.
    pub rate: Option<u64>,
    /// Requests at once, at most.
    pub connections: u32,
    /// How they travel.
    pub wire: Wire,
    /// How long one may take; `None`: as long as the command line says.
    pub timeout: Option<Duration>,
    /// Writes an order.
    pub order: fn(&Slot<'_>) -> Written,
}

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 on connections that are kept.
    Kept,
    /// HTTP/1.1, a new connection for each.
    Single,
    /// As ApacheBench sends: HTTP/1.0 with its headers, a new connection for each.
    ApacheBench,
}

/// What the load tool prints, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// Nothing of its own.
    Nothing,
    /// `Sent N orders in NAME scenario` after each stage.
    Stages,
    /// `Completed N requests in X.XX seconds.` and `Success: N, Failures: M`.
    Successes,
    /// The table of ApacheBench, beside published figures.
    ApacheBench(&'static Published),
}

/// Figures that somebody published for the older service.
#[derive(Debug)]
pub struct Published {
    /// Requests.
    pub requests: u32,
    /// Time taken for all, in milliseconds.
    pub total_ms: f64,
    /// Requests per second.
    pub rate: f64,
    /// Mean time of a request, in milliseconds.
    pub mean_ms: f64,
    /// Percentiles of the time of a request, with milliseconds.
    pub percentiles_ms: &'static [(u8, f64)],
}

/// Which order of a stage is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// From 0.
    pub number: u64,
    /// Chooses what the tool left to chance; the same seed makes the same orders.
    pub seed: u64,
    /// What chosen ids end with, so that a scenario can be repeated; empty for the tool's own ids.
    pub suffix: &'a str,
}

impl Slot<'_> {
    /// A number `from ..= to` that depends on the seed, the order and `what` it is for.
    pub fn draw(&self, what: u64, from: u64, to: u64) -> u64 {
        from + mix(self.seed ^ (what << 32), self.number) % (to - from + 1)
    }
}

/// An order as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its id, if it is chosen here.
    pub id: Option<String>,
    /// The body of the request.
    pub body: String,
}

/// All scenarios, by dialect.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    let families: [&[Scenario]; 5] = [
        &two_queue::SCENARIOS,
        &realtime::SCENARIOS,
        &order_service::SCENARIOS,
        &api_v1::SCENARIOS,
        &orders_api::SCENARIOS,
    ];
    families.into_iter().flatten()
}

/// The scenario with this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Orders of all stages.
    pub fn orders(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| u64::from(stage.orders))
            .sum()
    }

    /// Where its requests go unless another server is named.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.door.dialect.port())
    }
}

#[cfg(test)]
mod tests;
