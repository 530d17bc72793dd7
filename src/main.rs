//! The `orderd` program. It only parses, dispatches and turns the answer into an exit code;
//! what the commands do is in `orderd::cli`.

fn main() {}
