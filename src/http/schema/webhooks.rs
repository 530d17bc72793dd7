//! The shapes of webhooks: what is asked for, what is answered.
//!
//! For the OpenAPI document and for clients written in Rust, like everything in `schema`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A receiver that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where to send; `http` or `https`. Private networks need `outbound.allow`.
    #[schema(max_length = 2048, example = "https://shop.example/orderd")]
    pub url: String,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// Only events of these types; all if absent or empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["order.completed", "order.dead"]))]
    pub types: Option<Vec<String>>,
    /// Only events of this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Only events of orders of this customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Only events of orders of this process, in any version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Begin behind this event (an `event_id` or a `next_cursor` of the feed); from now on if
    /// absent. `0-0` is the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// How a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookStatus {
    /// Deliveries go through.
    Active,
    /// The last delivery failed; it is tried again.
    Failing,
    /// No deliveries are made.
    Paused,
}

/// A receiver of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its id.
    #[schema(example = "wh_0b7c9d0e1f2a3b4c")]
    pub webhook_id: String,
    /// Where to send.
    pub url: String,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Only events of these types; empty: all.
    pub types: Vec<String>,
    /// Only events of this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Only events of orders of this customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Only events of orders of this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// How it is.
    pub status: WebhookStatus,
    /// Why it is paused, or why deliveries fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is paused, or deliveries fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// Whether the server paused it.
    pub is_paused_by_server: bool,
    /// Everything up to this place in the feed is delivered or not wanted.
    #[schema(example = "17-3")]
    pub delivered_up_to: String,
    /// Where a replay is, if one is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_up_to: Option<String>,
    /// Deliveries that went through.
    pub delivered: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// What signatures are made with; only in the answer to a create and to a rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: Option<String>,
}

/// All receivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookList {
    /// The receivers, by id.
    pub data: Vec<Webhook>,
}

/// Why deliveries are paused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
}

/// How a secret is changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// How long the secret before signs too, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 604_800, default = 86_400)]
    pub overlap_seconds: Option<u32>,
}

/// What is delivered again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookReplay {
    /// Begin behind this event; `0-0` is the beginning.
    #[schema(example = "17-3")]
    pub after: String,
    /// Up to this event; to the end of now if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What came of one delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The event; null for a test.
    #[schema(required)]
    pub event_id: Option<String>,
    /// Its type.
    pub r#type: String,
    /// Its order; null for a test.
    #[schema(required)]
    pub order_id: Option<String>,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// What the receiver answered with.
    #[schema(required)]
    pub status: Option<u16>,
    /// Why it did not go through; null if it did.
    #[schema(required)]
    pub error: Option<String>,
    /// How long it took.
    pub took_ms: u64,
}

/// A page of deliveries, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryPage {
    /// The deliveries.
    pub data: Vec<Delivery>,
    /// Whether there are more.
    pub has_more: bool,
    /// Where to go on; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Which deliveries.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryParameters {
    /// `next_cursor` of the page before.
    pub after: Option<String>,
    /// Most deliveries on the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u16>,
}
