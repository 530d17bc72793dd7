//! The shapes of what workers ask of a queue, and of what they say about their work.
//!
//! For the OpenAPI document and for clients written in Rust, like everything in `schema`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Order, Problem};

/// How much work a worker asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// Most orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000, default = 1)]
    pub max: Option<u16>,
    /// How long to wait if there is nothing, at most `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9]+(us|ms|s|m))+$", default = "0s", example = "10s")]
    pub wait: Option<String>,
    /// Who asks; the orders' histories say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "packer-7"
    )]
    pub worker: Option<String>,
}

/// Orders that were leased.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeasePage {
    /// The orders, by rank; empty if there was none.
    pub data: Vec<Leased>,
}

/// An attempt of a step that is the worker's until the deadline.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leased {
    /// The order's id.
    #[schema(example = "shop-2026-000017")]
    pub order_id: String,
    /// The queue it was leased from, where is said what became of it.
    #[schema(example = "warehouse")]
    pub queue: String,
    /// The step.
    #[schema(example = "pack")]
    pub step: String,
    /// Which attempt it is, from 1.
    #[schema(example = 1)]
    pub attempt: u16,
    /// To be sent with everything that is said about the attempt.
    #[schema(example = "3-1042-17-9d2c5680")]
    pub fence: String,
    /// The same for every attempt of this step of this order: give it to whoever is called, so that
    /// an attempt that is made again has its effect once.
    #[schema(example = "shop-2026-000017/pack")]
    pub effect_key: String,
    /// The step is to be undone; left out otherwise.
    #[serde(default)]
    pub undo: bool,
    /// When the lease is over unless a beat extends it.
    #[schema(format = DateTime, example = "2026-12-24T18:00:30.000000Z")]
    pub deadline: String,
    /// The order, without the outputs.
    pub order: Order,
    /// What earlier steps said, by the name of the step.
    pub outputs: BTreeMap<String, Value>,
}

/// Which attempt something is said about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mention {
    /// The order's id.
    #[schema(example = "shop-2026-000017")]
    pub order_id: String,
    /// The step.
    #[schema(example = "pack")]
    pub step: String,
    /// The fence that came with the lease.
    #[schema(example = "3-1042-17-9d2c5680")]
    pub fence: String,
}

/// An attempt that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The order's id.
    #[schema(example = "shop-2026-000017")]
    pub order_id: String,
    /// The step.
    #[schema(example = "pack")]
    pub step: String,
    /// The fence that came with the lease.
    #[schema(example = "3-1042-17-9d2c5680")]
    pub fence: String,
    /// Anything for later steps and for people: JSON of at most 64 KiB, shown with the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The order's id.
    #[schema(example = "shop-2026-000017")]
    pub order_id: String,
    /// The step.
    #[schema(example = "pack")]
    pub step: String,
    /// The fence that came with the lease.
    #[schema(example = "3-1042-17-9d2c5680")]
    pub fence: String,
    /// What went wrong, for people; 1,024 bytes are kept.
    #[schema(min_length = 1, example = "the printer is out of paper")]
    pub error: String,
    /// Whether to try again, by the step's policy. Otherwise the order is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = true)]
    pub retry: Option<bool>,
    /// Not to be tried again for so long, at most `1d`; in place of the policy's wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9]+(us|ms|s|m|h|d))+$", example = "30s")]
    pub retry_after: Option<String>,
    /// It is no fault but a "no": the order ends as rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = false)]
    pub reject: Option<bool>,
}

/// What was said counts.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// The order's id.
    #[schema(example = "shop-2026-000017")]
    pub order_id: String,
    /// The step.
    #[schema(example = "pack")]
    pub step: String,
    /// The order's version after it; not after a beat, which changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3)]
    pub version: Option<u32>,
    /// After a beat: when the lease is over now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-12-24T18:00:30.000000Z")]
    pub deadline: Option<String>,
}

/// What became of one of many things that were said.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportResult {
    /// The status that it would have had on its own.
    #[schema(example = 200)]
    pub status: u16,
    /// What counts, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Reported>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What became of many things that were said.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportResults {
    /// One for each, in the order of the request.
    pub results: Vec<ReportResult>,
}
