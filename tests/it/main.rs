//! Integration tests: a whole server on a free port, with a store in a fresh folder.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is how a test tells"
)]

mod http_batch;
mod http_connections;
mod http_create;
mod http_reads;
mod http_refusals;
mod openapi;
mod support;
