//! The shapes of bodies, for the OpenAPI document and for clients written in Rust.
//!
//! The server itself reads with `wire` and writes with `render`; tests read what those write into
//! these, with unknown fields denied, so the document tells the truth.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

mod changes;
mod dead;
mod events;
mod processes;
mod queues;
mod webhooks;

pub use changes::{
    ChangeHeaders, EndStatus, FinishedOrder, KeyHeader, NewHold, NewPriority, Signature,
};
pub use dead::{DeadFilter, DeadParameters, ReplayRequest, ReplayResult};
pub use events::{EventFilters, EventParameters, StreamParameters};
pub use processes::{ProcessDetail, ProcessPage, ProcessStep, ProcessSummary, ProcessVersion};
pub use queues::{
    Completion, Failure, LeasePage, LeaseRequest, Leased, Mention, ReportResult, ReportResults,
    Reported,
};
pub use webhooks::{
    Delivery, DeliveryPage, DeliveryParameters, NewWebhook, PauseRequest, RotateRequest, Webhook,
    WebhookList, WebhookReplay, WebhookStatus,
};

/// An order to be taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "customer_id": "c-1042",
    "items": [
        {"sku": "MUG-BLUE", "quantity": 2, "unit_price": 1250},
        {"sku": "POSTER", "quantity": 1, "amount": 999}
    ],
    "total": {"amount": 3499, "currency": "USD"},
    "priority": 1,
    "address": "12 Example Street, Springfield",
    "metadata": {"channel": "web"}
}))]
pub struct NewOrder {
    /// The client's own id: makes it safe to send the order again. A UUIDv7 is made if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[!-~]+$",
        example = "shop-2026-000017"
    )]
    pub order_id: Option<String>,
    /// Who ordered.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "c-1042"
    )]
    pub customer_id: String,
    /// What was ordered.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<Item>,
    /// What it costs. If every line is priced, they must add up to it.
    pub total: Money,
    /// 1 (high, runs first), 2 (medium, the default) or 3 (low).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3, default = 2)]
    pub priority: Option<u8>,
    /// What is done with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = "default")]
    pub process: Option<String>,
    /// Where to, as free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub address: Option<String>,
    /// Anything for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 8192)]
    pub notes: Option<String>,
    /// Anything for programs: at most 50 entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// No step starts before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-12-24T18:00:00Z")]
    pub start_at: Option<String>,
    /// No first step starts after this time; later than `start_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-12-31T18:00:00Z")]
    pub expires_at: Option<String>,
    /// Keeps the first step from starting until the order is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<NewHold>,
}

/// One line of an order: an article with a quantity and perhaps a price, or just a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Item {
    /// A text, such as an article number.
    Plain(String),
    /// An article with a quantity.
    Line(Line),
}

/// An article with a quantity and perhaps a price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The article.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "MUG-BLUE"
    )]
    pub sku: String,
    /// How many.
    #[schema(minimum = 1, example = 2)]
    pub quantity: i64,
    /// Price of one, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 1250)]
    pub unit_price: Option<i64>,
    /// The line's total after discounts, in minor units. Wins over `unit_price` × `quantity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub amount: Option<i64>,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Whole minor units: 9999 is 99.99 USD, and 9999 JPY.
    #[schema(minimum = 0, example = 9999)]
    pub amount: i64,
    /// ISO 4217 code in capitals.
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    pub currency: String,
}

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, starts later.
    Scheduled,
    /// Accepted and queued, or waiting for a retry's time.
    Pending,
    /// A step runs.
    Processing,
    /// A step waits for an outside event.
    Waiting,
    /// Attempts used up: waits for a person.
    Dead,
    /// Steps are being undone.
    Compensating,
    /// Final: all steps done.
    Completed,
    /// Final: stopped by somebody.
    Cancelled,
    /// Final: refused for good by a step.
    Rejected,
    /// Final: not begun in time.
    Expired,
}

/// An order as the server has it.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its id.
    #[schema(example = "019aa3f0-6c3b-7d52-8a55-2f3c1d9e0b7a")]
    pub order_id: String,
    /// Who ordered.
    #[schema(example = "c-1042")]
    pub customer_id: String,
    /// What was ordered, as it was sent.
    pub items: Vec<Item>,
    /// Where to, as it was sent.
    pub address: Option<String>,
    /// As it was sent.
    pub notes: Option<String>,
    /// As it was sent.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What it costs.
    pub total: Money,
    /// 1 (high), 2 (medium) or 3 (low).
    #[schema(minimum = 1, maximum = 3, example = 2)]
    pub priority: u8,
    /// What is done with it.
    #[schema(example = "default")]
    pub process: String,
    /// The version of the process that it began with.
    #[schema(example = 1)]
    pub process_version: u32,
    /// No step starts before this time.
    #[schema(format = DateTime)]
    pub start_at: Option<String>,
    /// No first step starts after this time.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Where it is in its life.
    pub status: Status,
    /// Rises with every change, from 1.
    #[schema(minimum = 1, example = 1)]
    pub version: u32,
    /// The step it is at; absent when it has ended.
    #[schema(example = "simulated-work")]
    pub step: Option<String>,
    /// What it will be when its steps are undone; only while they are, or could not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Status>,
    /// Attempts of that step that were started.
    #[schema(example = 0)]
    pub attempt: u16,
    /// When it may start, while it is scheduled or pending.
    #[schema(format = DateTime)]
    pub ready_at: Option<String>,
    /// Since when it has been dead.
    #[schema(format = DateTime)]
    pub dead_since: Option<String>,
    /// The hold that keeps further steps from starting.
    pub hold: Option<Hold>,
    /// When it was accepted.
    #[schema(format = DateTime, example = "2026-11-21T03:24:10.123456Z")]
    pub created_at: String,
    /// When its first step was started first. Kept through retries and restarts.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it came here, if another service had finished it before.
    #[schema(format = DateTime)]
    pub imported_at: Option<String>,
    /// When it changed last.
    #[schema(format = DateTime, example = "2026-11-21T03:24:10.123456Z")]
    pub updated_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// Why it is where it is, for people.
    pub reason: Option<String>,
    /// What its steps said about it, by the name of the step. A step with rules says a label and a
    /// text.
    pub outputs: Option<BTreeMap<String, Value>>,
}

/// Why an order is held back.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Why, for people.
    #[schema(example = "address to be confirmed")]
    pub reason: String,
    /// Who asked for it.
    #[schema(example = "ada")]
    pub by: Option<String>,
    /// Since when.
    #[schema(format = DateTime, example = "2026-11-21T03:24:10.123456Z")]
    pub since: String,
    /// When it will be over by itself.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// Which orders to list.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// Only orders with this status.
    pub status: Option<Status>,
    /// Only orders of this customer.
    #[param(example = "c-1042")]
    pub customer_id: Option<String>,
    /// Only orders of this priority.
    #[param(minimum = 1, maximum = 3)]
    pub priority: Option<u8>,
    /// Only orders of this process, in any version.
    #[param(example = "default")]
    pub process: Option<String>,
    /// Only orders that are held back (`true`), or only others (`false`).
    pub held: Option<bool>,
    /// Only orders accepted at this time or later (RFC 3339).
    #[param(format = DateTime, example = "2026-11-21T00:00:00Z")]
    pub created_after: Option<String>,
    /// Only orders accepted before this time (RFC 3339).
    #[param(format = DateTime, example = "2026-11-22T00:00:00Z")]
    pub created_before: Option<String>,
    /// Most orders on the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    pub after: Option<String>,
}

/// A page of orders, newest first.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderPage {
    /// The orders.
    pub data: Vec<Order>,
    /// Whether there may be more.
    pub has_more: bool,
    /// Where the next page begins; absent at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// Orders that belong here and are damaged on disk; absent if there are none.
    #[serde(default)]
    pub left_out: Option<u64>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchResults {
    /// One result for each order, in the order of the request.
    pub results: Vec<BatchResult>,
}

/// What became of one order of a batch: `order` if the status is 201, `problem` otherwise.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchResult {
    /// The status that it would have had alone.
    #[schema(example = 201)]
    pub status: u16,
    /// The order as accepted.
    pub order: Option<Order>,
    /// Why it was not.
    pub problem: Option<Problem>,
}

/// Why a request was refused (RFC 9457).
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// A page about this code.
    #[schema(example = "/errors/invalid-order")]
    pub r#type: String,
    /// A few words, the same for every occurrence.
    #[schema(example = "The order is not valid")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// A sentence about this occurrence.
    #[schema(example = "/items/2/quantity: must be at least 1, is 0")]
    pub detail: String,
    /// The stable word to decide by.
    #[schema(example = "invalid-order")]
    pub code: String,
    /// With `order-exists`: the id, which is that of the order that has it.
    pub order_id: Option<String>,
    /// With `order-ended` and `order-not-dead`: where the order is.
    pub order_status: Option<Status>,
    /// With `order-ended` and `version-mismatch`: the version that the order has.
    pub order_version: Option<u32>,
    /// With status 503: seconds after which to try again, as in `Retry-After`.
    pub retry_after: Option<u32>,
    /// What is wrong, field by field; at most 100.
    pub errors: Option<Vec<FieldFault>>,
    /// How many more there are.
    pub errors_left_out: Option<usize>,
    /// The request's id, also in `X-Request-Id`; absent inside a batch.
    #[schema(example = "9f86d081000000000007")]
    pub request_id: Option<String>,
}

/// One thing that is wrong with an order.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldFault {
    /// JSON pointer (RFC 6901) to the field.
    #[schema(example = "/items/2/quantity")]
    pub pointer: String,
    /// A stable word.
    #[schema(example = "out-of-range")]
    pub code: String,
    /// A sentence for people.
    #[schema(example = "must be at least 1, is 0")]
    pub detail: String,
}
