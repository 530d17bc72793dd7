//! Integration tests: a whole server on a free port, with a store in a fresh folder.

mod http_batch;
mod http_connections;
mod http_create;
mod http_reads;
mod http_refusals;
mod openapi;
mod support;
