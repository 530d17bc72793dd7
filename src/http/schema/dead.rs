//! The shapes of questions about dead letters, and of what became of those that were tried again.
//!
//! For the OpenAPI document and for clients written in Rust, like everything in `schema`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which dead letters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadFilter {
    /// Only of this process, in any version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "default")]
    pub process: Option<String>,
    /// Only those that died at this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "payment")]
    pub step: Option<String>,
    /// Only of this customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Only of this priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3)]
    pub priority: Option<u8>,
    /// Only those whose last failure contains this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "timed out")]
    pub failure: Option<String>,
    /// Only those accepted at this time or later (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-11-21T00:00:00Z")]
    pub created_after: Option<String>,
    /// Only those accepted before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-11-22T00:00:00Z")]
    pub created_before: Option<String>,
}

/// Which dead letters to list.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeadParameters {
    /// Only of this process, in any version.
    pub process: Option<String>,
    /// Only those that died at this step.
    pub step: Option<String>,
    /// Only of this customer.
    pub customer_id: Option<String>,
    /// Only of this priority.
    #[param(minimum = 1, maximum = 3)]
    pub priority: Option<u8>,
    /// Only those whose last failure contains this text.
    pub failure: Option<String>,
    /// Only those accepted at this time or later (RFC 3339).
    #[param(format = DateTime, example = "2026-11-21T00:00:00Z")]
    pub created_after: Option<String>,
    /// Only those accepted before this time (RFC 3339).
    #[param(format = DateTime, example = "2026-11-22T00:00:00Z")]
    pub created_before: Option<String>,
    /// Most orders on the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    pub after: Option<String>,
}

/// Which dead letters to try again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Which; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<DeadFilter>,
    /// Only count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = false)]
    pub dry_run: Option<bool>,
    /// Most orders of this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the request before, with the same filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why, for the orders' histories.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 1024,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "the payment service is back"
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

/// What became of a page of dead letters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayResult {
    /// Nothing was changed.
    pub dry_run: bool,
    /// Dead letters that the filter found, at most `limit`.
    #[schema(example = 17)]
    pub matched: usize,
    /// Those that are queued again.
    #[schema(example = 17)]
    pub replayed: usize,
    /// Those that somebody changed in between, and that were left alone.
    #[schema(example = 0)]
    pub skipped: usize,
    /// Whether there may be more.
    pub has_more: bool,
    /// Where to go on; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}
