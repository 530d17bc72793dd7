//! The fuzz targets, built with the instrumentation of `cargo fuzz`. They are the same functions
//! that `cargo test --test fuzz` replays.

#[path = "../tests/fuzz/targets/mod.rs"]
mod targets;

use std::cell::RefCell;

use targets::Bench;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

/// Does what the target with this name does. The fuzzer hands over bytes and nothing else, so what
/// targets work with is kept here.
pub fn run(name: &str, bytes: &[u8]) {
    BENCH.with_borrow_mut(|bench| bench.run(name, bytes));
}
