//! Owns the sockets: connections and their limits, what stands before every route, the bodies of
//! requests, and the room for large answers.
//!
//! Any number of doors, each with its routes and its voice. What is behind the routes is not known
//! here, and no answer has its words from here.

mod accept;
mod body;
mod connection;
mod drain;
mod front;
mod hangup;
pub mod idempotency;
mod requests;
mod room;
mod stream;
mod voice;

pub use accept::{Api, Door, ServerSettings, serve};
pub use body::{
    BATCH_BYTES_MAX, BODY_BUDGET_BYTES, BODY_TIMEOUT, BodyBudget, BodyError, ORDER_BYTES_MAX,
    WholeBody,
};
pub use front::{Front, URI_BYTES_MAX};
pub use hangup::Hangup;
pub use requests::{CLASSES, Requests, Route};
pub use room::Room;
pub use stream::streamed;
pub use voice::{Refusal, RequestHead, Voice};
