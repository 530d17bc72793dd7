//! The questions that can be asked of the feed and of the event stream.
//!
//! For the OpenAPI document and for clients written in Rust, like everything in `schema`.

use serde::Serialize;
use utoipa::IntoParams;

/// Which events to read.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventParameters {
    /// `next_cursor` of the page before, or the `event_id` of the last event that was seen. Of the
    /// feed also `latest`: only what happens from now on.
    pub after: Option<String>,
    /// Most events on the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u16>,
}

/// Where a stream begins.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamParameters {
    /// The `event_id` of the last event that was seen, a `next_cursor` of the feed, or `latest`:
    /// only what happens from now on. `Last-Event-ID` goes before it.
    pub after: Option<String>,
}

/// Which events are wanted. Several filters are all to fit.
#[derive(Clone, Debug, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventFilters {
    /// Only events of these types, with commas between them.
    #[param(example = "order.completed,order.dead")]
    pub r#type: Option<String>,
    /// Only events of this order.
    pub order_id: Option<String>,
    /// Only events of orders of this customer.
    #[param(example = "c-1042")]
    pub customer_id: Option<String>,
    /// Only events of orders of this process, in any version.
    #[param(example = "default")]
    pub process: Option<String>,
}
