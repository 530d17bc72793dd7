//! orderd
pub mod clock;
pub mod engine;
pub mod order;
pub mod store;
