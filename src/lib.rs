//! orderd: an order-processing server in one binary.

pub mod cli;
pub mod clock;
