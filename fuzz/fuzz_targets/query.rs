//! Looks for inputs that break `query` of the table in `tests/fuzz/targets`.
//! Decides nothing itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orderd_fuzz::run("query", bytes));
