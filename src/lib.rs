//! orderd takes orders over HTTP, keeps them safe, works them off in priority order, and shows what
//! happened to each.
//!
//! # A guided tour, from the bottom up
//!
//! Each module stands on a floor and uses only those below it; a test holds them to that.
//!
//! - [`clock`] is the only place that reads a clock.
//! - [`faults`] lets test builds die at named points and have planted bugs; empty in a release.
//! - [`config`] says what may be set, with its default and its check.
//! - [`order`] says what an order is: [`order::Order`], [`order::Money`], [`order::Process`], and
//!   the one function that moves an order from status to status, [`order::Status::apply`].
//! - [`outbound`] calls others over HTTP: bounded, signed, and no private network unless it is
//!   named.
//! - [`shard`] makes every decision. [`shard::Shard`] is a pure state machine: inputs and the time
//!   go in, an [`order::Commit`] comes out. No I/O, no clock, so tests can play millions of orders
//!   from a seed.
//! - [`store`] makes a commit durable: one write verb, [`store::Store::commit`], and a handful of
//!   reads. [`store::sqlite`] is the store that comes with orderd.
//! - [`engine`] runs a shard on one thread, in one loop: drain the inbox, decide, commit once,
//!   release the answers. While a commit is being flushed the next one fills: group commit that
//!   clocks itself.
//! - [`telling`] tells others what happened: it follows the journal for those who listen.
//! - [`server`] owns the sockets: connections, bodies, and what stands before every route.
//! - [`http`] is the API: a file for each noun, and one that chooses every status code.
//! - [`compat`] speaks the wire formats of older order services: a file for each.
//! - [`telemetry`] sets up the log.
//! - [`cli`] holds the commands; `serve` is the only place where everything meets.
//!
//! # The way of an order
//!
//! What a client sent is checked once, by [`order::NewOrder::check`]; from there on it cannot be
//! invalid. [`engine::Handle::submit`] puts it into the engine's inbox. The shard accepts it, the
//! store flushes it, and only then the answer leaves. In the next turn it waits in the shard's
//! ready queue, gets a lease, its step runs, and its outcome goes into the next commit.

pub mod cli;
pub mod clock;
pub mod compat;
pub mod config;
pub mod engine;
pub mod faults;
pub mod http;
pub mod order;
pub mod outbound;
pub mod server;
pub mod shard;
pub mod store;
pub mod telemetry;
pub mod telling;
