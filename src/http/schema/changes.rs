//! The shapes of what is asked of orders that exist, and of orders that come in with a past.
//!
//! For the OpenAPI document and for clients written in Rust, like everything in `schema`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::NewOrder;

/// A hold that is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// Why, for people.
    #[schema(
        min_length = 1,
        max_length = 1024,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "address to be confirmed"
    )]
    pub reason: String,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "ada"
    )]
    pub by: Option<String>,
    /// When the order is to be released without anybody's doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-12-24T18:00:00Z")]
    pub until: Option<String>,
}

/// Who asks for a change, and why. Both are kept in the order's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 1024,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "ordered twice"
    )]
    pub reason: Option<String>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "ada"
    )]
    pub by: Option<String>,
}

/// Another priority for an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPriority {
    /// 1 (high, runs first), 2 (medium) or 3 (low).
    #[schema(minimum = 1, maximum = 3, example = 1)]
    pub priority: u8,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 1024,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "the customer called"
    )]
    pub reason: Option<String>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "ada"
    )]
    pub by: Option<String>,
}

/// What may stand in the head of a change.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct ChangeHeaders {
    /// `ETag` of the order as it was read: the change is made only if the order is still the same.
    #[serde(rename = "If-Match")]
    #[param(example = "\"3\"")]
    pub if_match: Option<String>,
    /// The same request sent again under the same key gets the first answer, byte for byte, and
    /// changes nothing.
    #[serde(rename = "Idempotency-Key")]
    #[param(example = "8e03978e-40d5-43e8-bc93-6894a57f9324")]
    pub idempotency_key: Option<String>,
}

/// The key of a request that makes or changes several orders, or a webhook.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct KeyHeader {
    /// The same request sent again under the same key gets the first answer, and makes and changes
    /// nothing.
    #[serde(rename = "Idempotency-Key")]
    #[param(example = "8e03978e-40d5-43e8-bc93-6894a57f9324")]
    pub idempotency_key: Option<String>,
}

/// An order that another service has finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FinishedOrder {
    /// What was ordered; without `hold`.
    #[serde(flatten)]
    pub order: NewOrder,
    /// How it ended.
    pub status: EndStatus,
    /// When it was accepted there.
    #[schema(format = DateTime, example = "2025-02-25T12:00:00Z")]
    pub created_at: String,
    /// When its work began; for a completed order `created_at` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended there; not before the other times, and not in the future.
    #[schema(format = DateTime, example = "2025-02-25T12:30:00Z")]
    pub ended_at: String,
    /// Why it ended like this, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 1024,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    pub reason: Option<String>,
}

/// How an order can have ended before it came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndStatus {
    /// All of it was done.
    Completed,
    /// It was stopped.
    Cancelled,
}
