//! orderd
pub mod clock;
pub mod config;
pub mod engine;
pub mod order;
pub mod store;
