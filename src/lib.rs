//! orderd
pub mod cli;
pub mod clock;
pub mod engine;
pub mod order;
pub mod shard;
pub mod store;
