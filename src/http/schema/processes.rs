//! The shapes of what the server tells about its processes.
//!
//! For the OpenAPI document and for clients written in Rust, like everything in `schema`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// All processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessPage {
    /// The processes; first those that new orders may name.
    pub data: Vec<ProcessSummary>,
}

/// A process in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSummary {
    /// Its name.
    #[schema(example = "default")]
    pub name: String,
    /// The version that new orders get; null if there are only orders from before.
    #[schema(required, example = 2)]
    pub version: Option<u32>,
    /// The names of its steps, in their order.
    pub steps: Vec<String>,
    /// Orders of it that have not ended.
    pub open: u64,
    /// All versions that are known: the one for new orders, and those that open orders began with.
    pub versions: Vec<ProcessVersion>,
}

/// A version of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessVersion {
    /// Its number; 0 is built in.
    #[schema(example = 2)]
    pub version: u32,
    /// Whether new orders get it.
    pub takes_new_orders: bool,
    /// Orders that began with it and have not ended.
    pub open: u64,
}

/// A process in one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessDetail {
    /// Its name.
    #[schema(example = "default")]
    pub name: String,
    /// Its version; 0 is built in.
    #[schema(example = 2)]
    pub version: u32,
    /// Whether new orders get it.
    pub takes_new_orders: bool,
    /// Orders that began with it and have not ended.
    pub open: u64,
    /// Most orders of it that are processing at once.
    pub concurrency: u32,
    /// Most orders of it, in all its versions, that may be open at once; 0: no bound of its own.
    pub max_open_orders: u64,
    /// What is done, one after the other.
    pub steps: Vec<ProcessStep>,
    /// All versions that are known.
    pub versions: Vec<ProcessVersion>,
}

/// A step of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessStep {
    /// Its name.
    #[schema(example = "payment")]
    pub name: String,
    /// What kind of work it is.
    #[schema(example = "pull")]
    pub kind: String,
    /// Its settings as they would stand in the settings file, without secrets: of its kind,
    /// `concurrency` if it has a bound of its own, and how it is tried again.
    #[serde(flatten)]
    pub settings: BTreeMap<String, Value>,
}
