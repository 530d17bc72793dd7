//! Calls to the outside: an HTTP client for addresses that people configure.
//!
//! Every call has a time limit and a limit on its answer; private networks are refused unless they
//! are named; redirects are answers like any other. Calls are signed as Standard Webhooks 1.0 has
//! it. Who is called, when and how often is decided above.

mod address;
mod client;
mod connect;
mod patience;
mod signature;
mod target;

pub use address::{Allowed, BadAllowed};
pub use client::{Answer, Call, CallError, Client, ClientSettings};
pub use patience::wait;
pub use signature::{BadSecret, Secret, signatures};
pub use target::{BadTarget, Target};
