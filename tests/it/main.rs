//! Integration tests: a whole server on a free port, with a store of its own. `ORDERD_TEST_STORE`
//! says on which backend.
//!
//! Nothing here sleeps: what must happen is awaited, with a bound on everything.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is how a test tells"
)]

#[path = "../databases/chosen.rs"]
mod chosen;
mod cli_commands;
mod cli_copy;
mod cli_lost;
mod cli_mysql;
mod cli_orders;
mod cli_postgres;
mod cli_serve;
mod cli_support;
mod cli_telling;
mod compat_api_v1;
mod compat_bad;
mod compat_curl;
mod compat_documents;
mod compat_doors;
mod compat_faults;
mod compat_keys;
mod compat_load;
mod compat_order_service;
mod compat_orders_api;
mod compat_realtime;
mod compat_recount;
mod compat_seed;
mod compat_support;
mod compat_transcript;
mod compat_two_queue;
mod compat_words;
mod database_outage;
#[path = "../databases/mod.rs"]
mod databases;
mod http_batch;
mod http_behind;
mod http_change_keys;
mod http_changes;
mod http_connections;
mod http_corruption;
mod http_create;
mod http_dead;
mod http_fate;
mod http_full;
mod http_held_up;
mod http_idempotency;
mod http_import;
mod http_pages;
mod http_processes;
mod http_push;
mod http_push_effect;
mod http_queues;
mod http_reads;
mod http_refusals;
mod http_rules;
mod http_signals;
mod http_slow;
mod http_stream;
mod http_undo;
mod http_webhook_keys;
mod http_webhooks;
#[path = "../databases/machines.rs"]
mod machines;
mod openapi;
mod outages;
mod outbound;
mod postgres_standby;
mod promotion;
mod proxy;
mod receiver;
#[path = "../databases/rows.rs"]
mod rows;
mod services;
mod settings;
mod shop;
mod support;
mod tls;
#[path = "../databases/unchecked.rs"]
mod unchecked;
mod views;
mod workers;
