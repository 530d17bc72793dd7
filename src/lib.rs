//! orderd
pub mod clock;
pub mod order;
pub mod store;
